package scrub

import (
	"context"
	"errors"
	"log/slog"

	"bullion/internal/images"
)

// Parts ends the multipart uploads that no record knows of: the process that began them died before it wrote their id, or carried a stream. Their parts
// cost money and no list of objects shows them. An upload younger than the grace time is left alone.
func (s *Scrubber) Parts(ctx context.Context) (r Report, err error) {
	var failed error
	err = s.Images.Blobs.ListMultipart(ctx, "images/", func(m images.OpenMultipart) bool {
		if s.young(m.Started) {
			return true
		}
		i, ok, err := s.record(ctx, m.Key)
		switch {
		case err != nil:
			failed = err
			return false
		case !ok, i != nil && i.Upload.Live() && i.Upload.Key(i.ID) == m.Key && (i.Upload.Mode == images.ModeStream || i.Upload.S3Upload == m.S3Upload):
			return true
		}
		if err := s.Images.Blobs.AbortMultipart(ctx, m.Key, m.S3Upload); err != nil {
			r.Failed++
			s.Log.LogAttrs(ctx, slog.LevelWarn, "scrub will try again", slog.String("key", m.Key), slog.String("error", err.Error()))
		} else {
			r.Parts++
		}
		return ctx.Err() == nil
	})
	return r, errors.Join(err, failed, ctx.Err())
}
