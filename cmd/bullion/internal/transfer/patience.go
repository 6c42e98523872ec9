package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"bullion/cmd/bullion/internal/glance"
)

// Patience is how long to go on when nothing answers, as while a server restarts. The zero value gives up at once.
type Patience struct {
	For    time.Duration
	Notice func(error) // told each failure that is waited out; may be nil
}

// fewest tries are made whatever the time, so that one slow failure is not the end.
const fewest = 4

// Do makes a call until it succeeds, fails in a way that will not change, or patience ends.
func (p Patience) Do(ctx context.Context, call func() error) error {
	var s spell
	for {
		err := call()
		if err == nil || ctx.Err() != nil || !glance.Retryable(err) {
			return err
		}
		if err := s.wait(ctx, p, err); err != nil {
			return err
		}
	}
}

// spell is a run of failures of one thing.
type spell struct {
	since time.Time // of the first failure, or of the last time that something else succeeded
	tries int
}

// GaveUp is the error of a call that failed until patience ended.
type GaveUp struct {
	After time.Duration
	Err   error
}

func (e *GaveUp) Error() string { return e.Err.Error() }

func (e *GaveUp) Unwrap() error { return e.Err }

// wait counts a failure and sleeps, or returns the error that ends the run.
func (s *spell) wait(ctx context.Context, p Patience, failure error) error {
	if s.tries++; s.since.IsZero() {
		s.since = time.Now()
	}
	if p.For <= 0 {
		return failure
	}
	if after := time.Since(s.since); after > p.For && s.tries >= fewest {
		return &GaveUp{after, failure}
	}
	if p.Notice != nil {
		p.Notice(failure)
	}
	var asked time.Duration
	if e, ok := errors.AsType[*glance.Error](failure); ok {
		asked = e.RetryAfter
	}
	return sleep(ctx, backoff(s.tries, asked, rand.Float64()))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// errStalled ends a request that moves no bytes.
var errStalled = fmt.Errorf("no byte moved for %s", stallAfter)

// stallAfter is longer than a slow line needs to drain the socket's buffer.
const stallAfter = 2 * time.Minute

// watch cancels a request when its position does not change for stallAfter before it is at the end. The returned function ends the watch.
func watch(position func() int64, end int64, cancel context.CancelCauseFunc) (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(stallAfter / 8)
		defer ticker.Stop()
		last, since := int64(-1), time.Now()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				switch at := position(); {
				case at >= end:
					return
				case at != last:
					last, since = at, now
				case now.Sub(since) >= stallAfter:
					cancel(errStalled)
					return
				}
			}
		}
	}()
	return func() { close(done) }
}
