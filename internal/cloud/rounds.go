package cloud

import (
	"context"
	"errors"
	"time"

	"bullion/internal/scrub"
)

// Round is what the schedule sends to the scrub function. Nothing set is the usual round.
type Round struct {
	// Adopt looks at the whole bucket, for objects whose event was lost and for multipart uploads that no record knows of; without it only what is due is done.
	Adopt bool `json:"adopt"`
	// Missing only looks for images whose bytes are gone, after a restore.
	Missing bool `json:"missing"`
}

// Rounds is the handler of the scrub function. It goes on while there is something due and a minute left to do it in.
func (c *Cloud) Rounds() func(context.Context, Round) (scrub.Report, error) {
	s := c.Scrubber()
	return func(ctx context.Context, round Round) (scrub.Report, error) {
		if round.Missing {
			return s.Missing(ctx)
		}
		if round.Adopt {
			objects, err := s.Adopt(ctx)
			parts, partsErr := s.Parts(ctx)
			objects.Parts, objects.Failed = parts.Parts, objects.Failed+parts.Failed
			return objects, errors.Join(err, partsErr)
		}
		var sum scrub.Report
		for {
			r, more, err := s.Due(ctx)
			sum.Deleted += r.Deleted
			sum.Ended += r.Ended
			sum.Expired += r.Expired
			sum.Validated += r.Validated
			sum.Fetching = r.Fetching
			sum.Failed = r.Failed // the same ones again
			err = errors.Join(err, c.events.Drain(ctx))
			if deadline, ok := ctx.Deadline(); err != nil || !more || ok && time.Until(deadline) < time.Minute {
				return sum, err
			}
		}
	}
}
