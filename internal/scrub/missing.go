package scrub

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"bullion/internal/images"
)

// Missing looks for images whose bytes are gone from the bucket, as after a restore of the bucket to an earlier time than the table, and names each in the log. It
// changes nothing: what was deleted by accident may come back. It reads every record and the list of the whole bucket, side by side in the order of ids, in bounded memory.
func (s *Scrubber) Missing(ctx context.Context) (r Report, err error) {
	for _, hidden := range []bool{false, true} {
		if err := s.missing(ctx, hidden, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (s *Scrubber) missing(ctx context.Context, hidden bool, r *Report) error {
	var failed error
	next, stop := iter.Pull(func(yield func(string) bool) {
		failed = s.Images.Blobs.List(ctx, "images/", "", func(o images.Stored) bool { return yield(o.Key) })
	})
	defer stop()
	key, more := next()
	q := images.Query{SeesAll: true, Visibility: images.VisibilityAll, Hidden: hidden, Limit: images.MaxPage, Sort: []images.SortKey{{Key: "id"}}}
	for {
		page, err := s.Images.Store.List(ctx, &q)
		if err != nil {
			return fmt.Errorf("list the records: %w", err)
		}
		for _, i := range page.Images {
			if i.Blob == nil {
				continue
			}
			for more && key < i.Blob.Key {
				key, more = next()
			}
			if failed != nil {
				return fmt.Errorf("list the bucket: %w", failed)
			}
			if more && key == i.Blob.Key {
				continue
			}
			// It may have come, or been replaced, since the list of the bucket passed its place.
			if _, err := s.Images.Blobs.Head(ctx, i.Blob.Key); err == nil {
				continue
			} else if images.KindOf(err) != images.NotFound {
				return err
			}
			r.Missing++
			s.Log.LogAttrs(ctx, slog.LevelError, "the bytes of an image are gone", slog.String("image", i.ID), slog.String("name", i.Name), slog.String("key", i.Blob.Key))
		}
		if q.After = page.Next; q.After == nil {
			return nil
		}
	}
}
