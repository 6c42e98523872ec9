package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"

	"bullion/internal/images"
)

// Events returns events of one image.
func (s *Store) Events(ctx context.Context, imageID string, after int64, limit int) ([]images.Event, error) {
	return s.events(ctx, "SELECT event FROM events WHERE image_id = ? AND seq > ? ORDER BY seq LIMIT ?", imageID, after, limit)
}

// Undelivered returns events that nobody has acknowledged, in the order of all writes.
func (s *Store) Undelivered(ctx context.Context, limit int) ([]images.Event, error) {
	return s.events(ctx, "SELECT event FROM events INDEXED BY undelivered WHERE delivered = 0 ORDER BY n LIMIT ?", limit)
}

func (s *Store) events(ctx context.Context, text string, args ...any) (list []images.Event, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.all(func(r *rows) error {
			var e images.Event
			if err := json.Unmarshal(r.ColumnRawText(0), &e); err != nil {
				return fmt.Errorf("an event of the database is damaged: %w", err)
			}
			list = append(list, e)
			return nil
		}, text, args...)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Delivered acknowledges events.
func (s *Store) Delivered(ctx context.Context, events []images.Event) error {
	type key struct {
		image string
		seq   int64
	}
	keys := make([]key, len(events))
	for n, e := range events {
		keys[n] = key{e.ImageID, e.Seq}
	}
	return s.apply(ctx, func(c *conn) error {
		for _, k := range keys {
			if err := c.exec("UPDATE events SET delivered = 1 WHERE image_id = ? AND seq = ? AND delivered = 0", k.image, k.seq); err != nil {
				return err
			}
		}
		return nil
	})
}
