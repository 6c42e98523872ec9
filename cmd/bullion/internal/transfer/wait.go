package transfer

import (
	"context"
	"fmt"
	"time"

	"bullion/cmd/bullion/internal/glance"
)

// Rejected is the error of an upload whose bytes were examined and refused.
type Rejected struct {
	ImageID, UploadID string
	glance.Rejection
}

func (e *Rejected) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Wait follows the examination of a received upload to its end, and tells step about each state on the way. It returns nil when the bytes were accepted
// and the image is active, *Rejected when they were refused and *Ended when they were given up.
func Wait(ctx context.Context, api *glance.Client, u *glance.Upload, patience Patience, step func(*glance.Upload)) error {
	sender := Sender{API: api, Patience: patience}
	began, poll := time.Now(), time.Duration(0)
	for {
		switch u.State {
		case glance.UploadAccepted:
			return nil
		case glance.UploadRejected:
			e := &Rejected{ImageID: u.ImageID, UploadID: u.ID}
			if u.Rejection != nil {
				e.Rejection = *u.Rejection
			}
			return e
		case glance.UploadReceived, glance.UploadOpen:
		default:
			return &Ended{u.ID, u.State}
		}
		var done, total int64
		if v := u.Validation; v != nil {
			done, total = v.Hashed, v.Total
		}
		if step != nil {
			step(u)
		}
		poll = nextPoll(poll, done, total, time.Since(began))
		if err := sleep(ctx, poll); err != nil {
			return err
		}
		now, err := sender.status(ctx, u)
		if err != nil {
			return err
		}
		u = now
	}
}
