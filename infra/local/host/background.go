package host

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bullion/infra/local/s3engine"
	"bullion/internal/event"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

const (
	validators    = 32               // examinations at once; most wait for the storage, as the hashes are known
	scrubInterval = 15 * time.Second // between rounds of scrub
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

// takeArrivals handles notifications as the function validate does on AWS: at least once each, failed ones again later.
func (h *host) takeArrivals(ctx context.Context) {
	var workers sync.WaitGroup
	for range validators {
		workers.Go(func() {
			for ctx.Err() == nil {
				if a, ok := h.nextArrival(ctx); ok {
					h.handle(ctx, a)
				} else {
					sleep(ctx, 5*time.Second, h.arrived)
				}
			}
		})
	}
	workers.Wait()
}

// nextArrival takes one notification out of the reach of other workers. If this process dies with it, scrub adopts the object at the next start.
func (h *host) nextArrival(ctx context.Context) (a sqlitestore.Arrival, ok bool) {
	h.taking.Lock()
	defer h.taking.Unlock()
	next, err := h.store.NextArrivals(ctx, 1)
	if err == nil && len(next) > 0 {
		a, ok = next[0], true
		err = h.store.RetryArrival(ctx, a.ID, time.Now().Add(time.Hour), "in work")
	}
	if err != nil {
		h.warn(ctx, "storage events cannot be read", err)
		return a, false
	}
	return a, ok
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
	}
}

// scrub takes up what the last run left, and does its rounds. Beside a deployment it only does rounds: the deployment's own looks at the bucket.
func (h *host) scrub(ctx context.Context) {
	if h.cloud == nil {
		h.adopt(ctx)
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
	if err := h.images.Restarted(ctx); err != nil { // nothing is lost without it: leases run out
		h.warn(ctx, "what the last run held waits for its leases", err)
	}
}
