package sqlitestore

import (
	"context"
	"time"
)

// Arrival is something that the storage said, which waits to be handled.
type Arrival struct {
	ID       int64 // grows with every arrival; never given twice
	Key      string
	Payload  []byte
	AddedAt  time.Time
	Attempts int    // that failed
	Reason   string // why the last one did
}

// AddArrival keeps an arrival until DoneArrival. It is on the disk when AddArrival returns.
func (s *Store) AddArrival(ctx context.Context, key string, payload []byte) error {
	now := time.Now().UnixMicro()
	body := append(make([]byte, 0, len(payload)), payload...) // never nil
	return s.apply(ctx, func(c *conn) error {
		return c.exec("INSERT INTO arrivals (key, payload, added_at, due_at) VALUES (?, ?, ?, ?)", key, body, now, now)
	})
}

// NextArrivals returns up to limit arrivals that are due, those first that are due longest. They stay until DoneArrival.
func (s *Store) NextArrivals(ctx context.Context, limit int) (list []Arrival, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.all(func(r *rows) error {
			list = append(list, Arrival{ID: r.ColumnInt64(0), Key: r.ColumnText(1), Payload: r.ColumnBlob(2, nil), AddedAt: time.UnixMicro(r.ColumnInt64(3)).UTC(),
				Attempts: r.ColumnInt(4), Reason: r.ColumnText(5)})
			return nil
		}, "SELECT id, key, payload, added_at, attempts, reason FROM arrivals WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", time.Now().UnixMicro(), limit)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// DoneArrival forgets an arrival; it is no error when it is forgotten already.
func (s *Store) DoneArrival(ctx context.Context, id int64) error {
	return s.apply(ctx, func(c *conn) error { return c.exec("DELETE FROM arrivals WHERE id = ?", id) })
}

// RetryArrival notes that an attempt failed, and when the next is due.
func (s *Store) RetryArrival(ctx context.Context, id int64, at time.Time, reason string) error {
	return s.apply(ctx, func(c *conn) error {
		return c.exec("UPDATE arrivals SET attempts = attempts + 1, due_at = ?, reason = ? WHERE id = ?", at.UnixMicro(), reason, id)
	})
}
