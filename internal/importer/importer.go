// Package importer fetches the bytes of images from addresses that users name.
//
// A run claims the import with a lease, looks at the source, and carries the file into the storage: in parts that are fetched in parallel when the source has ranges and
// tells one file from another, otherwise as one stream. Parts are kept when a run stops, dies or is out of time, and the next goes on
// with those that are missing; a stream begins anew. Whatever is fetched then goes the way of every upload: only package validation makes an
// image active.
//
// Files that are packed with gzip, bzip2, xz or Zstandard are stored unpacked, unless the image's container_format is compressed, or the file is a location or of another Images API. They, and files whose checksum is not a
// SHA-512, go as a stream. A checksum is of the file as the source has it.
package importer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/outgoing"
	"bullion/internal/validation"
)

// Importer fetches. Set the exported fields before the first call.
type Importer struct {
	Images *images.Service
	Client *fetch.Client
	Log    *slog.Logger

	// Regions tells the other Images APIs from which images may come; nil for none. It is asked at each import from one.
	Regions func(context.Context) ([]Region, error)

	// Lease is for how long a claim holds without a sign of life; default 2 minutes.
	Lease time.Duration
	// Beat is how often progress is saved; default 5 seconds.
	Beat time.Duration
	// Margin is how long before the deadline of its context a run stops; default 30 seconds.
	Margin time.Duration
	// Parallel is the number of parts that are fetched at once; default 4.
	Parallel int
	// Storage carries parts to signed addresses of our own storage; nil is the network.
	Storage http.RoundTripper

	NewID func() string // names one run
	Now   func() time.Time
}

// ErrContinue is the error of a run that stopped before the deadline of its context: start another.
var ErrContinue = errors.New("the import has to go on in another run")

// network is how parts reach our own storage. A signed address is not redirected.
var network http.RoundTripper = outgoing.New(&http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}, outgoing.Here)

// Run carries one import to its end: validated or failed, both of which are on the record. It returns nil when there is nothing to do, images.ErrBusy when another run is at it,
// ErrContinue when time ran out. Other errors are ours rather than the source's; the import goes on by itself after a while.
func (m *Importer) Run(ctx context.Context, imageID string) error {
	r := &run{Importer: m, imageID: imageID, holder: m.NewID(), lease: cmp.Or(m.Lease, 2*time.Minute), started: m.Now()}
	i, err := m.Images.ClaimImport(ctx, imageID, r.holder, r.lease)
	if err != nil {
		return unlessGone(err)
	}
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		work, cancel = context.WithDeadlineCause(work, deadline.Add(-cmp.Or(m.Margin, 30*time.Second)), ErrContinue)
		defer cancel()
	}
	beating := make(chan struct{})
	beat, endBeat := context.WithCancel(work)
	go func() {
		defer close(beating)
		r.beat(beat, stop)
	}()
	arrived, digests, err := r.fetch(work, i)
	endBeat()
	<-beating
	if err != nil {
		if work.Err() != nil {
			err = context.Cause(work)
		}
		return r.ended(ctx, i, err)
	}
	m.Log.LogAttrs(ctx, slog.LevelInfo, "import fetched", slog.String("image", imageID), slog.Int64("size", arrived.Size), slog.Duration("took", m.Now().Sub(r.started)))
	if i, err = m.Images.ReceiveImport(ctx, imageID, r.holder, arrived); err != nil {
		return unlessGone(err)
	}
	if m.Images.Examine == nil {
		return nil
	}
	if err := m.Images.Examine(ctx, imageID, i.Upload.ID, digests); err != nil && !errors.Is(err, images.ErrBusy) && !errors.Is(err, validation.ErrContinue) {
		return err
	}
	return nil // another run does, or will
}

// run is one attempt.
type run struct {
	*Importer
	imageID, holder string
	lease           time.Duration
	started         time.Time

	fetched atomic.Int64 // bytes
	total   atomic.Int64 // bytes; 0 when not known
}

// beat saves the progress and keeps the lease; it stops the work when nobody wants it any more.
func (r *run) beat(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(cmp.Or(r.Beat, 5*time.Second))
	defer ticker.Stop()
	kept := r.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := r.Images.ProgressImport(ctx, r.imageID, r.holder, r.lease, r.fetched.Load(), r.total.Load())
		switch {
		case err == nil:
			kept = r.Now()
		case ctx.Err() != nil:
			return
		case gone(err), r.Now().Sub(kept) > r.lease:
			stop(err)
			return
		default:
			r.Log.LogAttrs(ctx, slog.LevelWarn, "the progress of an import is not saved", slog.String("image", r.imageID), slog.String("error", err.Error()))
		}
	}
}

// ended tells the record how a run ended that did not bring the bytes.
func (r *run) ended(ctx context.Context, i *images.Image, err error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	message := ""
	source, isSource := errors.AsType[*fetch.Error](err)
	ours, isOurs := errors.AsType[*images.Error](err)
	switch {
	case gone(err):
		return nil
	case errors.Is(err, ErrContinue):
		if saveErr := r.Images.ProgressImport(cleanup, r.imageID, r.holder, r.lease, r.fetched.Load(), r.total.Load()); saveErr != nil {
			return unlessGone(saveErr)
		}
		return errors.Join(ErrContinue, unlessGone(r.Images.ReleaseImport(cleanup, r.imageID, r.holder, 0, true)))
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), unlessGone(r.Images.ReleaseImport(cleanup, r.imageID, r.holder, 0, false)))
	case errors.Is(err, errStorage):
	case isSource:
		message = source.Message
	case isOurs && ours.Kind != images.Internal && ours.Kind != images.Unavailable && ours.Kind != images.TooMany:
		message = ours.Message
	}
	if message == "" {
		pause := 15 * time.Second * time.Duration(max(i.Import.Attempts, 1))
		return errors.Join(err, unlessGone(r.Images.ReleaseImport(cleanup, r.imageID, r.holder, pause, true)))
	}
	r.Log.LogAttrs(ctx, slog.LevelInfo, "import failed", slog.String("image", r.imageID), slog.String("user", i.Import.UserID), slog.String("error", err.Error()))
	_, err = r.Images.FailImport(cleanup, r.imageID, r.holder, message)
	return unlessGone(err)
}

// gone says whether the import is not ours any more.
func gone(err error) bool {
	return errors.Is(err, images.ErrBusy) || err != nil && images.KindOf(err) == images.NotFound
}

func unlessGone(err error) error {
	if err != nil && images.KindOf(err) == images.NotFound {
		return nil
	}
	return err
}
