package images

import (
	"context"
	"errors"
	"time"
)

// Bounds of what Restarted looks at. Leases are shorter; whatever is more waits for the end of its own.
const (
	longestLease = 10 * time.Minute
	mostHeld     = 1000
)

// Restarted is for a host that is alone, before it serves: whoever held a lease died with the last run. Their work is due at once then, instead of when the
// lease would have run out; what died more than once in a row a little later each time, as it may be what kills the host. Only if crashed, so that the last run ended by its own doing or for lack of memory, is that an
// attempt which counts: examinations and imports do not end because their host was killed, however often. Deletes are finished at once too. Hosts beside which others are at work must not call it.
func (s *Service) Restarted(ctx context.Context, crashed bool) error {
	due, err := s.Store.Due(ctx, s.now().Add(longestLease), mostHeld)
	if err != nil {
		return err
	}
	var failures []error
	for _, i := range due {
		_, err := s.change(ctx, i.ID, Actor{}, func(i *Image) error {
			now := s.now()
			orphaned := func(l *Lease, since time.Time) error {
				if !l.orphaned(now, crashed || now.Sub(since) >= uncountedFor) {
					return ErrUnchanged
				}
				return nil
			}
			switch u := i.Upload; {
			case i.Status == StatusPendingDelete:
				i.UpdatedAt = now.Add(-cleanupGrace)
			case i.Fetching():
				return orphaned(&i.Import.Lease, i.Import.CreatedAt)
			case u != nil && u.State == UploadEnding:
				u.UpdatedAt = now.Add(-cleanupGrace)
			case u != nil && u.State == UploadReceived && u.Validation != nil:
				return orphaned(&u.Validation.Lease, u.Validation.StartedAt)
			case u != nil && u.State == UploadOpen && u.Mode == ModeStream:
				u.ExpiresAt = now
			default:
				return ErrUnchanged
			}
			return nil
		})
		if err != nil && KindOf(err) != NotFound {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}
