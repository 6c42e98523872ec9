package host

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bullion/infra/local/s3engine"
	"bullion/internal/event"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

const (
	validators      = 32               // examinations at once; most wait for the storage, as the hashes are known
	arrivalInterval = 5 * time.Second  // between looks for storage events when nothing wakes who takes them
	scrubInterval   = 15 * time.Second // between rounds of scrub
)

// created keeps the notification of a new object until it is handled. The S3 server answers its client only afterwards.
func (h *host) created(ctx context.Context, o s3engine.Object) error {
	payload, err := s3engine.Notification(o, region)
	if err != nil {
		return err
	}
	if err := h.store.AddArrival(ctx, o.Key, payload); err != nil { // as when the disk is full
		h.unheard.Store(true)
		return err
	}
	wake(h.arrived)
	return nil
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // somebody is awake already
	}
}

// takeArrivals handles notifications as the function validate does on AWS: at least once each, failed ones again later. Those in work stay due, so that the
// next start begins with them if this process dies.
func (h *host) takeArrivals(ctx context.Context) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		inWork  = map[int64]bool{} // by the arrival's id
	)
	for ctx.Err() == nil {
		due, err := h.store.NextArrivals(ctx, validators)
		if err != nil {
			h.warn(ctx, "storage events cannot be read", err)
		}
		mu.Lock()
		due = slices.DeleteFunc(due, func(a sqlitestore.Arrival) bool { return inWork[a.ID] })
		for _, a := range due {
			inWork[a.ID] = true
		}
		mu.Unlock()
		for _, a := range due {
			workers.Go(func() {
				h.handle(ctx, a)
				mu.Lock()
				delete(inWork, a.ID)
				mu.Unlock()
				wake(h.arrived) // there is room for another
			})
		}
		if len(due) == 0 {
			sleep(ctx, arrivalInterval, h.arrived)
		}
	}
	workers.Wait()
}

func (h *host) handle(ctx context.Context, a sqlitestore.Arrival) {
	err := event.HandleArrivals(ctx, a.Payload, h.validator.Arrived)
	switch {
	case err == nil:
		err = h.store.DoneArrival(ctx, a.ID)
	case ctx.Err() != nil:
		return // it is still there at the next start
	default:
		h.warn(ctx, "a storage event will be handled again", err)
		wait := min(time.Second<<min(a.Attempts, 9), 5*time.Minute)
		err = h.store.RetryArrival(ctx, a.ID, time.Now().Add(wait), err.Error())
	}
	if err != nil {
		h.warn(ctx, "a storage event cannot be marked", err)
		sleep(ctx, arrivalInterval, nil) // it is due still
	}
}

// scrub takes up what the last run left, and does its rounds. Beside a deployment it only does rounds: the deployment's own looks at the bucket.
func (h *host) scrub(ctx context.Context) {
	if h.cloud == nil && !h.adopt(ctx) {
		h.unheard.Store(true)
	}
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if _, more, err = h.scrubber.Due(ctx); err != nil {
				h.warn(ctx, "a round of scrub failed", err)
				more = false
			}
		}
		if h.unheard.Swap(false) && !h.adopt(ctx) {
			h.unheard.Store(true)
		}
		if !sleep(ctx, scrubInterval, h.due) {
			return
		}
	}
}

// adopt looks for what the records do not know of, and says whether it could.
func (h *host) adopt(ctx context.Context) bool {
	objects, err := h.scrubber.Adopt(ctx)
	if err != nil {
		h.warn(ctx, "the bucket could not be compared with the records", err)
	} else if objects.Adopted > 0 {
		h.log.LogAttrs(ctx, slog.LevelInfo, "took up objects whose event was lost", slog.Int("count", objects.Adopted))
	}
	parts, partsErr := h.scrubber.Parts(ctx)
	if partsErr != nil {
		h.warn(ctx, "the open uploads could not be compared with the records", partsErr)
	}
	return err == nil && partsErr == nil && objects.Failed+parts.Failed == 0
}

func (h *host) warn(ctx context.Context, what string, err error) {
	if ctx.Err() != nil || validation.InOtherHands(err) {
		return
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, what, slog.String("error", err.Error()))
}

// alone tells the service, before it serves, that nobody else works with these records and this bucket: the lock of the data directory says so.
func (h *host) alone(ctx context.Context) {
	h.scrubber.Alone = h.images.Now()
	crashed, err := lastRunCrashed(h.Data, thisMachine())
	if err != nil {
		h.warn(ctx, "the next start may not know how this run ended", err)
	}
	if crashed {
		h.log.LogAttrs(ctx, slog.LevelError, "the last run crashed, or was killed for lack of memory", slog.String("see", filepath.Join(h.Data, lastCrashFile)))
	}
	if err := h.images.Restarted(ctx, crashed); err != nil { // nothing is lost without it: leases run out
		h.warn(ctx, "what the last run held waits for its leases", err)
	}
}
