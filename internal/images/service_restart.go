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
// lease would have run out; an examination that died more than once in a row a little later each time, as it may be what kills the host. Hosts beside which others are at work must not call it.
func (s *Service) Restarted(ctx context.Context) error {
	due, err := s.Store.Due(ctx, s.now().Add(longestLease), mostHeld)
	if err != nil {
		return err
	}
	var failures []error
	for _, i := range due {
		_, err := s.change(ctx, i.ID, Actor{}, func(i *Image) error {
			now := s.now()
			switch u := i.Upload; {
			case i.Status == StatusPendingDelete:
				return ErrUnchanged
			case i.Fetching():
				i.Import.Holder, i.Import.LeaseUntil = "", now
			case u != nil && u.State == UploadReceived && u.Validation != nil:
				v := u.Validation
				if v.Holder == "" && v.Attempts > 0 {
					return ErrUnchanged // it was given back, or pauses
				}
				v.Holder, v.LeaseUntil = "", now.Add(time.Duration(max(v.Attempts-1, 0))*deathPause)
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
