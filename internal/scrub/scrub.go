// Package scrub keeps the promises that a crash, a lost event or a forgotten upload would break: it finishes deletes and aborted uploads, expires
// uploads that nobody goes on with, restarts validations whose lease ran out, and takes up objects whose event never came.
package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bullion/internal/images"
	"bullion/internal/validation"
)

// Scrubber does the rounds. Set the exported fields before the first call.
type Scrubber struct {
	Images    *images.Service
	Validator *validation.Validator
	Log       *slog.Logger
	Now       func() time.Time

	// Fetch hands an import that is due to an importer, and does not wait for it; nil when there is none.
	Fetch func(ctx context.Context, imageID string)

	// Batch bounds the records of one round; default 100.
	Batch int
	// Grace is how old an object without a waiting record must be before it is deleted; default 1 hour.
	Grace time.Duration
	// Alone is when the host began, if nobody else works on its bucket: whoever could have written a record for what is older is dead, so that gets
	// no grace. The zero time where there are others.
	Alone time.Time
}

// Report counts what a round did.
type Report struct {
	Deleted   int // images whose delete was finished
	Ended     int // uploads whose end was finished
	Expired   int // uploads given up
	Validated int // validations run
	Adopted   int // objects whose event never came
	Parts     int // multipart uploads ended that no record knew of
	Fetching  int // imports handed to an importer, or left to one
	Missing   int // images whose bytes are gone
	Failed    int // records that will be tried again
}

// Due does what is due now, at most one batch, and says whether there may be more.
func (s *Scrubber) Due(ctx context.Context) (r Report, more bool, err error) {
	limit := cmp.Or(s.Batch, 100)
	due, err := s.Images.Store.Due(ctx, s.Now(), limit)
	if err != nil {
		return r, false, err
	}
	for _, i := range due {
		if err := s.one(ctx, i, &r); err != nil {
			if ctx.Err() != nil {
				return r, true, ctx.Err()
			}
			r.Failed++
			s.Log.LogAttrs(ctx, slog.LevelWarn, "scrub will try again", slog.String("image", i.ID), slog.String("status", string(i.Status)), slog.String("error", err.Error()))
		}
	}
	return r, len(due) == limit && r.Failed+r.Fetching < limit, nil
}

func (s *Scrubber) one(ctx context.Context, i *images.Image, r *Report) error {
	u := i.Upload
	switch {
	case i.Status == images.StatusPendingDelete:
		r.Deleted++
		return s.Images.FinishDelete(ctx, i)
	case i.Fetching(): // whatever its upload is: the importer goes on with it, or clears it away
		r.Fetching++
		if s.Fetch != nil {
			s.Fetch(ctx, i.ID)
		}
		return nil
	case u == nil:
		return nil
	case u.State == images.UploadEnding:
		r.Ended++
		return s.Images.FinishUpload(ctx, i)
	case u.State == images.UploadOpen, u.State == images.UploadReceived && u.Staged:
		r.Expired++
		return s.Images.ExpireUpload(ctx, i)
	case u.State == images.UploadReceived && u.Validation != nil:
		r.Validated++
		if err := s.Validator.Run(ctx, i.ID, u.ID, nil); !validation.InOtherHands(err) {
			return err
		}
	}
	return nil
}

// Adopt looks at every object in the bucket and takes up those whose record does not know of them: the event was lost, or the host died
// between the object and its event. Objects that nobody waits for are deleted when they are older than the grace time.
func (s *Scrubber) Adopt(ctx context.Context) (r Report, err error) {
	var failed error
	err = s.Images.Blobs.List(ctx, "images/", "", func(o images.Stored) bool {
		i, ok, err := s.record(ctx, o.Key)
		switch {
		case err != nil:
			failed = err
			return false
		case !ok, i != nil && i.Blob != nil && i.Blob.Key == o.Key:
			return true
		case i != nil && i.Upload.Live() && i.Upload.Key(i.ID) == o.Key, !s.young(o.Modified):
			if err := s.Validator.Arrived(ctx, images.Blob{Key: o.Key, Size: o.Size}); err != nil && !validation.InOtherHands(err) {
				r.Failed++
				s.Log.LogAttrs(ctx, slog.LevelWarn, "scrub will try again", slog.String("key", o.Key), slog.String("error", err.Error()))
			} else {
				r.Adopted++
			}
		}
		return ctx.Err() == nil
	})
	return r, errors.Join(err, failed, ctx.Err())
}

// record is that of the image to which a key belongs, nil when there is none (any more); ok is false when the key is not of an upload.
func (s *Scrubber) record(ctx context.Context, key string) (i *images.Image, ok bool, err error) {
	imageID, _, ok := images.ParseKey(key)
	if !ok {
		return nil, false, nil
	}
	switch i, err = s.Images.Store.Image(ctx, imageID); {
	case err == nil:
		return i, true, nil
	case images.KindOf(err) == images.NotFound:
		return nil, true, nil
	}
	return nil, true, fmt.Errorf("record of %s: %w", key, err)
}

// grace is how old something without a record must be before it goes.
func (s *Scrubber) grace() time.Duration { return cmp.Or(s.Grace, time.Hour) }

// young says whether a record may still be written for what was made then. The storage tells times in seconds.
func (s *Scrubber) young(made time.Time) bool {
	return s.Now().Sub(made) < s.grace() && !made.Before(s.Alone.Truncate(time.Second))
}
