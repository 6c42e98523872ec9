package cloud

import (
	"context"
	"time"

	"bullion/internal/images"
	"bullion/internal/metrics"
)

// measuredStore tells of what becomes of uploads, once it is written.
type measuredStore struct {
	images.Store
	metrics *metrics.Writer
	now     func() time.Time
}

// Apply implements images.Store.
func (s measuredStore) Apply(ctx context.Context, w images.Write) error {
	err := s.Store.Apply(ctx, w)
	if err != nil || w.Is.Upload == nil {
		return err
	}
	u, state := w.Is.Upload, w.Is.Upload.Shown()
	var was *images.Upload
	if w.Was != nil {
		was = w.Was.Upload
	}
	if was != nil && was.ID == u.ID && was.Shown() == state {
		return nil
	}
	fields := map[string]any{"image": w.Is.ID, "upload": u.ID}
	s.metrics.Put(metrics.Uploads, 1, string(state), fields)
	if state == images.UploadAccepted {
		s.metrics.Put(metrics.Bytes, float64(u.Size), "", fields)
	}
	if (state == images.UploadAccepted || state == images.UploadRejected) && was != nil && was.Validation != nil {
		s.metrics.Put(metrics.ValidationTime, float64(s.now().Sub(was.Validation.StartedAt).Milliseconds()), "", fields)
	}
	return nil
}

// Due implements images.Store. Only scrub asks, so the age of the oldest is how far the service is behind.
func (s measuredStore) Due(ctx context.Context, at time.Time, limit int) ([]*images.Image, error) {
	due, err := s.Store.Due(ctx, at, limit)
	if err == nil && len(due) > 0 {
		s.metrics.Put(metrics.QueueAge, at.Sub(due[0].DueAt()).Seconds(), "", map[string]any{"image": due[0].ID, "due": len(due)})
	}
	return due, err
}
