package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bullion/internal/images"
)

// Parts ends the multipart uploads that no record knows of: the process that began them died before it wrote their id, or carried a stream. Their parts
// cost money and no list of objects shows them. An upload younger than the grace time is left alone.
func (s *Scrubber) Parts(ctx context.Context) (r Report, err error) {
	var failed error
	err = s.Images.Blobs.ListMultipart(ctx, "images/", func(m images.OpenMultipart) bool {
		imageID, _, ok := images.ParseKey(m.Key)
		if !ok || s.Now().Sub(m.Started) < s.grace() {
			return true
		}
		i, err := s.Images.Store.Image(ctx, imageID)
		if err != nil && images.KindOf(err) != images.NotFound {
			failed = fmt.Errorf("record of %s: %w", m.Key, err)
			return false
		}
		if err == nil && i.Upload.Live() && i.Upload.Key(i.ID) == m.Key && (i.Upload.Mode == images.ModeStream || i.Upload.S3Upload == m.S3Upload) {
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

// grace is how old something without a record must be before it goes.
func (s *Scrubber) grace() time.Duration {
	if s.Grace == 0 {
		return time.Hour
	}
	return s.Grace
}
