package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bullion/internal/scrub"
)

// Round is what the schedule sends to the scrub function. Nothing set is the usual round.
type Round struct {
	// Adopt looks at the whole bucket, for objects whose event was lost and for multipart uploads that no record knows of; without it only what is due is done.
	Adopt bool `json:"adopt"`
	// After is where an adoption goes on that an earlier run had no time to end.
	After string `json:"after,omitempty"`
}

// Rounds is the handler of the scrub function. It goes on while there is something to do and a minute left to do it in.
func (c *Cloud) Rounds() func(context.Context, Round) (scrub.Report, error) {
	s := c.Scrubber()
	return func(ctx context.Context, round Round) (scrub.Report, error) {
		if round.Adopt {
			return c.adopt(ctx, s, cmp.Or(round.After, scrub.FromBucket))
		}
		var sum scrub.Report
		for {
			r, more, err := s.Due(ctx)
			sum.Fetching, sum.Failed = 0, 0 // the same ones again
			sum.Add(r)
			err = errors.Join(err, c.events.Drain(ctx))
			if err != nil || !more || ends(ctx) {
				return sum, err
			}
		}
	}
}

// ends says whether less than a minute is left.
func ends(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < time.Minute
}

// adopt goes through the bucket, and has another run of the function do what it has no time for.
func (c *Cloud) adopt(ctx context.Context, s *scrub.Scrubber, after string) (sum scrub.Report, err error) {
	for !scrub.BucketSeen(after) {
		if ends(ctx) {
			payload, err := json.Marshal(Round{Adopt: true, After: after})
			if err == nil {
				err = c.invokeAgain(ctx, payload)
			}
			if err != nil {
				err = fmt.Errorf("the bucket from %s on waits for the next adoption: %w", after, err)
			}
			return sum, err
		}
		page, err := s.Page(ctx, after, false)
		sum.Add(page.Report)
		if err != nil {
			return sum, err
		}
		after = page.Next
	}
	return sum, nil
}
