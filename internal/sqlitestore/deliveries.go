package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bullion/internal/images"
	"bullion/internal/notify"
)

var _ notify.Queue = (*Store)(nil)

// QueueDeliveries keeps events for each of the destinations until DoneDelivery. An event that waits already is not kept twice.
func (s *Store) QueueDeliveries(ctx context.Context, destinations []string, events []images.Event) error {
	now, texts := time.Now().UnixMicro(), make([]string, len(events))
	events = slices.Clone(events)
	for n, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding an event of image %s: %w", e.ImageID, err)
		}
		texts[n] = string(text)
	}
	destinations = slices.Clone(destinations)
	return s.apply(ctx, func(c *conn) error {
		for _, destination := range destinations {
			for n, e := range events {
				if err := c.exec("INSERT INTO deliveries (destination, image_id, seq, event, added_at, due_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
					destination, e.ImageID, e.Seq, texts[n], now, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// KeepDestinations forgets what waits for any other destination.
func (s *Store) KeepDestinations(ctx context.Context, destinations []string) error {
	text, err := json.Marshal(append([]string{}, destinations...))
	if err != nil {
		return err
	}
	return s.apply(ctx, func(c *conn) error {
		return c.exec("DELETE FROM deliveries WHERE destination NOT IN (SELECT value FROM json_each(?))", string(text))
	})
}

// NextDeliveries returns what is due for the destination, of each image at most the event that comes first.
func (s *Store) NextDeliveries(ctx context.Context, destination string, limit int) (list []notify.Delivery, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.all(func(r *rows) error {
			d := notify.Delivery{N: r.ColumnInt64(0), Attempts: r.ColumnInt(2), AddedAt: time.UnixMicro(r.ColumnInt64(3)).UTC()}
			if err := json.Unmarshal(r.ColumnRawText(1), &d.Event); err != nil {
				return fmt.Errorf("an event of the database is damaged: %w", err)
			}
			list = append(list, d)
			return nil
		}, `SELECT n, event, attempts, added_at FROM deliveries d INDEXED BY deliveries_due WHERE destination = ?1 AND due_at <= ?2
			AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.destination = ?1 AND e.image_id = d.image_id AND e.seq < d.seq) ORDER BY due_at, n LIMIT ?3`,
			destination, time.Now().UnixMicro(), limit)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// DoneDelivery forgets a delivery; it is no error when it is forgotten already.
func (s *Store) DoneDelivery(ctx context.Context, n int64) error {
	return s.apply(ctx, func(c *conn) error { return c.exec("DELETE FROM deliveries WHERE n = ?", n) })
}

// PostponeDelivery notes that an attempt failed, and when the image's events are due again.
func (s *Store) PostponeDelivery(ctx context.Context, n int64, until time.Time) error {
	return s.apply(ctx, func(c *conn) error {
		if err := c.exec("UPDATE deliveries SET attempts = attempts + 1 WHERE n = ?", n); err != nil {
			return err
		}
		return c.exec(`UPDATE deliveries SET due_at = ?2 WHERE (destination, image_id) = (SELECT destination, image_id FROM deliveries WHERE n = ?1)`, n, until.UnixMicro())
	})
}
