package sqlitestore

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"bullion/internal/images"
)

const null = sqlite3.NULL

// Image returns a live record.
func (s *Store) Image(ctx context.Context, id string) (*images.Image, error) {
	return s.record(ctx, id, "SELECT record FROM images WHERE id = ?")
}

// Position returns a live record or the tombstone of one.
func (s *Store) Position(ctx context.Context, id string) (*images.Image, error) {
	return s.record(ctx, id, "SELECT record FROM images WHERE id = ?1 UNION ALL SELECT record FROM tombstones WHERE id = ?1")
}

func (s *Store) record(ctx context.Context, id, text string) (i *images.Image, err error) {
	var found []byte
	err = s.read(ctx, func(c *conn) error {
		there, err := c.one(func(r *rows) { found = r.ColumnBlob(0, nil) }, text, id)
		if err == nil && !there {
			return noImage(id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return decode(found)
}

func noImage(id string) error {
	return images.Errorf(images.NotFound, "No image %.64q was found.", id)
}

// Due returns records that wait for the service, the longest due first.
func (s *Store) Due(ctx context.Context, at time.Time, limit int) (list []*images.Image, err error) {
	err = s.read(ctx, func(c *conn) error {
		list = nil
		return c.all(func(r *rows) error {
			i, err := decode(r.ColumnRawText(0))
			list = append(list, i)
			return err
		}, "SELECT record FROM images INDEXED BY by_due WHERE due_at <= ? ORDER BY due_at LIMIT ?", at.UnixMicro(), limit)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Usage is what the records of a project use.
func (s *Store) Usage(ctx context.Context, projectID string) (u images.Usage, err error) {
	err = s.read(ctx, func(c *conn) error {
		u, err = usage(c, projectID)
		return err
	})
	return u, err
}

// Quota is what was set for a project.
func (s *Store) Quota(ctx context.Context, projectID string) (limit *images.Usage, err error) {
	err = s.read(ctx, func(c *conn) error {
		_, err := c.one(func(r *rows) {
			limit = &images.Usage{Images: r.ColumnInt64(0), Bytes: r.ColumnInt64(1), InFlight: r.ColumnInt64(2), Uploads: r.ColumnInt64(3)}
		}, "SELECT images, bytes, in_flight, uploads FROM quotas WHERE project = ?", projectID)
		return err
	})
	return limit, err
}

// SetQuota sets it, or takes it back.
func (s *Store) SetQuota(ctx context.Context, projectID string, limit *images.Usage) error {
	if limit == nil {
		return s.apply(ctx, func(c *conn) error { return c.exec("DELETE FROM quotas WHERE project = ?", projectID) })
	}
	l := *limit
	return s.apply(ctx, func(c *conn) error {
		return c.exec("INSERT OR REPLACE INTO quotas (project, images, bytes, in_flight, uploads) VALUES (?, ?, ?, ?, ?)", projectID, l.Images, l.Bytes, l.InFlight, l.Uploads)
	})
}

// AddEgress counts bytes that a project took out.
func (s *Store) AddEgress(ctx context.Context, projectID, month string, bytes int64) error {
	return s.apply(ctx, func(c *conn) error {
		return c.exec("INSERT INTO egress (project, month, bytes) VALUES (?, ?, ?) ON CONFLICT (project, month) DO UPDATE SET bytes = bytes + excluded.bytes", projectID, month, bytes)
	})
}

// Egress is the sum of a month.
func (s *Store) Egress(ctx context.Context, projectID, month string) (bytes int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		_, err := c.one(func(r *rows) { bytes = r.ColumnInt64(0) }, "SELECT bytes FROM egress WHERE project = ? AND month = ?", projectID, month)
		return err
	})
	return bytes, err
}

func usage(c *conn, project string) (u images.Usage, err error) {
	_, err = c.one(func(r *rows) {
		u = images.Usage{Images: r.ColumnInt64(0), Bytes: r.ColumnInt64(1), InFlight: r.ColumnInt64(2), Uploads: r.ColumnInt64(3)}
	}, "SELECT images, bytes, in_flight, uploads FROM usage WHERE project = ?", project)
	return u, err
}
