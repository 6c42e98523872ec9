// Package scrub keeps the promises that a crash, a lost event or a forgotten upload would break: it finishes deletes and aborted uploads, expires
// uploads that nobody goes on with, restarts validations whose lease ran out, and takes up objects whose event never came. Whoever asks for a Page learns
// what it finds, and whether the books balance.
package scrub

import (
	"cmp"
	"context"
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

	// Batch bounds what one round of Due does, by default 100 records, and what one Page looks at, by default 1000 objects or records.
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
	Adopted   int // objects whose event never came, or that nobody waited for
	Parts     int // multipart uploads ended that no record knew of
	Fetching  int // imports handed to an importer, or left to one
	Failed    int // records that will be tried again
}

// Add adds the counts of another round.
func (r *Report) Add(o Report) {
	r.Deleted, r.Ended, r.Expired, r.Validated = r.Deleted+o.Deleted, r.Ended+o.Ended, r.Expired+o.Expired, r.Validated+o.Validated
	r.Adopted, r.Parts, r.Fetching, r.Failed = r.Adopted+o.Adopted, r.Parts+o.Parts, r.Fetching+o.Fetching, r.Failed+o.Failed
}

// Due does what is due now, at most one batch, and says whether there may be more.
func (s *Scrubber) Due(ctx context.Context) (r Report, more bool, err error) {
	l := &look{Scrubber: s}
	limit := cmp.Or(s.Batch, 100)
	n, err := l.due(ctx, 0, limit)
	r = l.page.Report
	return r, n == limit && r.Failed+r.Fetching < limit, err
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
func (s *Scrubber) Adopt(ctx context.Context) (Report, error) {
	return s.through(ctx, (*look).objects)
}

// Parts ends the multipart uploads that no record knows of: the process that began them died before it wrote their id, or carried a stream. Their parts
// cost money and no list of objects shows them. An upload younger than the grace time is left alone.
func (s *Scrubber) Parts(ctx context.Context) (Report, error) {
	return s.through(ctx, (*look).parts)
}

// through takes a step until it finds no more.
func (s *Scrubber) through(ctx context.Context, step func(l *look, ctx context.Context, after string) (next string, err error)) (r Report, err error) {
	next := ""
	for begun := false; !begun || next != "" && err == nil; begun = true {
		l := &look{Scrubber: s}
		next, err = step(l, ctx, next)
		r.Add(l.page.Report)
	}
	return r, err
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
	return s.Now().Sub(made) < s.grace() && !s.ofTheDead(made)
}

// ofTheDead says whether what was made then was made by a process that is no more.
func (s *Scrubber) ofTheDead(made time.Time) bool { return made.Before(s.Alone.Truncate(time.Second)) }

func (s *Scrubber) again(ctx context.Context, err error, what ...slog.Attr) {
	s.Log.LogAttrs(ctx, slog.LevelWarn, "scrub will try again", append(what, slog.String("error", err.Error()))...)
}
