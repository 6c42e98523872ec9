package images

import (
	"context"
	"strings"
	"time"
)

// Facts are what an examination proved.
type Facts struct {
	Digests
	VirtualSize int64             // bytes; 0 when not known
	Properties  map[string]string // set unless the user did
	Report      *Report           // nil when nothing was looked for
}

// ErrBusy is the error of Claim when another process is at work.
var ErrBusy = Errorf(Conflict, "Another process is validating this upload.")

// Claim takes the examination of a received upload for the time of the lease. Two processes never hold it at once. The error is ErrBusy when another holds
// it, NotFound when there is nothing (or no longer anything) to examine.
func (s *Service) Claim(ctx context.Context, imageID, uploadID, holder string, lease time.Duration) (*Image, error) {
	i, err := s.examined(ctx, imageID, uploadID, func(i *Image, v *Validation) error {
		now := s.now()
		if v.taken(holder, now) {
			return ErrBusy
		}
		if v.deadly(v.StartedAt, now) {
			i.Upload.Rejection = &Rejection{
				Code:    "examination_failed",
				Message: "The file could not be examined: every attempt failed or ended before its time.",
				Hint:    "Check the file with qemu-img check, or convert it with qemu-img convert, and upload it again.",
			}
			return i.endUpload(UploadRejected, now)
		}
		v.take(holder, now.Add(lease))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if i.Upload.State == UploadEnding {
		if err := s.FinishUpload(ctx, i); err != nil {
			return nil, err
		}
		return nil, errNotWaiting(imageID, uploadID)
	}
	return i, nil
}

// Progress saves how far an examination got and extends its lease. The error is NotFound when it is no longer wanted, ErrBusy when another took it.
func (s *Service) Progress(ctx context.Context, imageID, uploadID, holder string, lease time.Duration, phase Phase, hashed int64, state []byte) error {
	_, err := s.held(ctx, imageID, uploadID, holder, func(_ *Image, v *Validation) error {
		if hashed > v.Hashed {
			v.further()
		}
		v.Phase, v.Hashed, v.HashState, v.LeaseUntil = phase, hashed, state, s.now().Add(lease)
		return nil
	})
	return err
}

// Release gives the examination back, for another process to go on with at once. Whoever can do that did not die, so the attempt is not counted
// (uncountedFor).
func (s *Service) Release(ctx context.Context, imageID, uploadID, holder string) error {
	_, err := s.held(ctx, imageID, uploadID, holder, func(_ *Image, v *Validation) error {
		now := s.now()
		v.giveBack(now, now.Sub(v.StartedAt) >= uncountedFor)
		return nil
	})
	return err
}

// Accept makes the image active with the bytes of the upload.
func (s *Service) Accept(ctx context.Context, imageID, uploadID, holder string, f Facts) (*Image, error) {
	return s.held(ctx, imageID, uploadID, holder, func(i *Image, _ *Validation) error {
		now := s.now()
		u := i.Upload
		size := u.Object.Size
		i.Blob, i.Size, i.Checksum, i.HashValue = u.Object, &size, f.MD5, f.SHA512
		if f.VirtualSize > 0 {
			i.VirtualSize = &f.VirtualSize
		}
		for name, value := range f.Properties {
			if _, taken := i.Properties[name]; !taken && value != "" {
				if err := i.set(name, value); err != nil {
					return err
				}
			}
		}
		u.State, u.UpdatedAt, u.Validation, u.Object, u.Report = UploadAccepted, now, nil, nil, f.Report.bounded()
		i.endImport(TaskSuccess, "", now)
		return i.move(StatusActive, now)
	})
}

// Reject makes the image queued again, keeps the reason on the upload and deletes its bytes.
func (s *Service) Reject(ctx context.Context, imageID, uploadID, holder string, r Rejection) (*Image, error) {
	r.Message, r.Hint = strings.ToValidUTF8(r.Message, "?"), strings.ToValidUTF8(r.Hint, "?")
	i, err := s.held(ctx, imageID, uploadID, holder, func(i *Image, _ *Validation) error {
		i.Upload.Rejection = &r
		return i.endUpload(UploadRejected, s.now())
	})
	if err != nil {
		return nil, err
	}
	return i, s.FinishUpload(ctx, i)
}

// endImport says how a running import ended.
func (i *Image) endImport(state TaskState, message string, now time.Time) {
	if m := i.Import; m.running() {
		m.State, m.Message, m.UpdatedAt, m.Holder = state, message, now, ""
	}
}

// examined is change for an upload that is being examined.
func (s *Service) examined(ctx context.Context, imageID, uploadID string, edit func(*Image, *Validation) error) (*Image, error) {
	return s.change(ctx, imageID, Actor{}, func(i *Image) error {
		if i.Status == StatusPendingDelete || i.Upload == nil || i.Upload.ID != uploadID || i.Upload.Validation == nil || i.Upload.State != UploadReceived {
			return errNotWaiting(imageID, uploadID)
		}
		i.Upload.UpdatedAt = s.now()
		return edit(i, i.Upload.Validation)
	})
}

// held is examined for the process that holds the lease.
func (s *Service) held(ctx context.Context, imageID, uploadID, holder string, edit func(*Image, *Validation) error) (*Image, error) {
	return s.examined(ctx, imageID, uploadID, func(i *Image, v *Validation) error {
		if v.Holder != holder {
			return ErrBusy
		}
		return edit(i, v)
	})
}

func errNotWaiting(imageID, uploadID string) error {
	return Errorf(NotFound, "Upload %s of image %s does not wait for a validation.", uploadID, imageID)
}
