package images

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"
)

const (
	streamLease = 2 * time.Minute // how long a stream may show no sign of life before its image is queued again
	firstGuess  = 64 << 20        // bytes reserved for a stream of unknown length
	largestStep = 1 << 30         // bytes by which the reservation grows at most
)

// WriteFile takes the bytes of an image as one stream through this host, hashes them on the way, and has them validated before it returns. size is the
// length that the client announced, -1 for none. The image is active when there is no error; a rejection is of kind Invalid. On a host that does not examine
// the image is importing when it returns.
func (s *Service) WriteFile(ctx context.Context, c Caller, id string, r io.Reader, size int64) error {
	i, digests, err := s.stream(ctx, c, id, r, size, StatusSaving)
	if err != nil {
		return err
	}
	u := i.Upload
	if s.Examine == nil {
		return nil // the storage's event starts the examination elsewhere
	}
	// The storage's event may have begun an examination first. It makes no difference which one ends, so this one waits for the outcome.
	if err := s.Examine(ctx, id, u.ID, &digests); err != nil && !errors.Is(err, ErrBusy) {
		return err
	}
	if i, err = s.outcome(ctx, id, u.ID); err != nil {
		return err
	}
	switch is := i.Upload; {
	case is == nil || is.ID != u.ID:
	case is.State == UploadAccepted:
		return nil
	case is.Rejection != nil:
		return Errorf(Invalid, "%s %s", is.Rejection.Message, is.Rejection.Hint)
	}
	return Errorf(Conflict, "The upload of image %s was given up while its bytes were examined.", id)
}

// outcome is the image once the upload is no longer being examined.
func (s *Service) outcome(ctx context.Context, id, uploadID string) (*Image, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		i, err := s.Store.Image(ctx, id)
		if err != nil || i.Upload == nil || i.Upload.ID != uploadID || i.Upload.State != UploadReceived {
			return i, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// StageFile takes the bytes of an image as one stream, and keeps them until an import asks for them.
func (s *Service) StageFile(ctx context.Context, c Caller, id string, r io.Reader, size int64) error {
	_, _, err := s.stream(ctx, c, id, r, size, StatusUploading)
	return err
}

// stream carries bytes into the storage while the image shows the status.
func (s *Service) stream(ctx context.Context, c Caller, id string, r io.Reader, size int64, status Status) (*Image, Digests, error) {
	if size > s.Limits.MaxSize {
		return nil, Digests{}, Errorf(TooLarge, "The file has %d bytes; an image has at most %d.", size, s.Limits.MaxSize)
	}
	now := s.now()
	u := &Upload{ID: s.NewID(), State: UploadOpen, Mode: ModeStream, Size: size, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(streamLease)}
	if size < 0 {
		u.Size = firstGuess
	}
	i, err := s.beginUpload(ctx, c, id, u, func(i *Image) error { return i.move(status, now) })
	if err != nil {
		return nil, Digests{}, err
	}
	// From here on the record says that bytes are under way, so whatever happens it is told how that ended.
	fail := func(err error) (*Image, Digests, error) {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if endErr := s.endUpload(cleanup, i, c.actor(), UploadAborted); endErr != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "a broken stream is left to scrub", slog.String("image", id), slog.String("error", endErr.Error()))
		}
		return nil, Digests{}, err
	}
	counted := &reservingReader{ctx: ctx, service: s, src: r, imageID: id, uploadID: u.ID, declared: size, reserved: u.Size, touched: now}
	hashed := newHashingReader(counted)
	b, err := s.Blobs.Put(ctx, u.Key(id), hashed, size)
	if counted.err != nil {
		err = counted.err
	}
	if err != nil {
		return fail(err)
	}
	if size >= 0 && b.Size != size {
		return fail(Errorf(Invalid, "The body has %d bytes; the request announced %d.", b.Size, size))
	}
	received, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		if i.Upload == nil || i.Upload.ID != u.ID || i.Upload.State != UploadOpen || i.Status != status {
			return Errorf(Conflict, "Image %s was deleted, or its upload given up, while its bytes arrived.", id)
		}
		now := s.now()
		u := i.Upload
		u.State, u.UpdatedAt, u.Object, u.Size = UploadReceived, now, &b, b.Size
		if status == StatusUploading {
			u.Staged, u.ExpiresAt = true, now.Add(s.Limits.UploadLife)
			return nil
		}
		u.Validation = examination(now, receiveGrace)
		return i.move(StatusImporting, now)
	})
	if err != nil {
		return fail(err)
	}
	return received, hashed.digests(), nil
}

// reservingReader lets through no byte that the record has not reserved, keeps the record's lease, and stops when nobody wants the bytes any more.
type reservingReader struct {
	ctx               context.Context
	service           *Service
	src               io.Reader
	imageID, uploadID string
	declared          int64 // -1 when the client did not say
	reserved, n       int64 // bytes
	touched           time.Time
	err               error // of the reservation
}

func (r *reservingReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.src.Read(p)
	r.n += int64(n)
	switch now := r.service.Now(); {
	case r.n > r.service.Limits.MaxSize:
		r.err = Errorf(TooLarge, "The file has more than %d bytes, which an image has at most.", r.service.Limits.MaxSize)
	case r.declared >= 0 && r.n > r.declared:
		r.err = Errorf(Invalid, "The body has more than the %d bytes that the request announced.", r.declared)
	case r.n > r.reserved, now.Sub(r.touched) > streamLease/4:
		r.err = r.reserve(now)
	}
	if r.err != nil {
		return 0, r.err
	}
	return n, err
}

func (r *reservingReader) reserve(now time.Time) error {
	want := r.reserved
	for want < r.n {
		want += min(want, largestStep)
	}
	_, err := r.service.change(r.ctx, r.imageID, Actor{}, func(i *Image) error {
		if i.Upload == nil || i.Upload.ID != r.uploadID || i.Upload.State != UploadOpen {
			return Errorf(Conflict, "Image %s was deleted, or its upload given up, while its bytes arrived.", r.imageID)
		}
		i.Upload.Size, i.Upload.UpdatedAt, i.Upload.ExpiresAt = want, r.service.now(), r.service.now().Add(streamLease)
		return nil
	})
	if err == nil {
		r.reserved, r.touched = want, now
	}
	return err
}

// ImportRequest is a call of POST …/import.
type ImportRequest struct {
	Method   string // glance-direct, web-download, GlanceDownload or LocationImport
	URI      string // of a fetch
	Checksum string // of a fetch: that of the file at the URI, as sha256:HEX; "" when not given
	// Region and RemoteImage are where an image of another Images API is.
	Region, RemoteImage string

	RequestID string
	Body      string // as it came, for the task
}

// ImportStaged has the staged bytes of an image validated. It returns when the work is taken up; the image tells how it ends.
func (s *Service) ImportStaged(ctx context.Context, c Caller, id string, r ImportRequest) (*Image, error) {
	if _, err := s.allowed(ctx, c, id, "upload_image", "modify_image"); err != nil {
		return nil, err
	}
	i, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		if i.Status != StatusUploading || i.Upload == nil || !i.Upload.Staged || i.Upload.State != UploadReceived {
			return Errorf(Conflict, "Image %s is %s and has no staged bytes; PUT them to its stage first.", id, i.Status)
		}
		now := s.now()
		i.Import = &Import{TaskID: id, Method: r.Method, State: TaskProcessing, RequestID: r.RequestID, Request: r.Body, UserID: c.UserID, CreatedAt: now, UpdatedAt: now}
		i.Upload.Staged = false
		i.Upload.Validation = examination(now, 0)
		return i.move(StatusImporting, now)
	})
	if err == nil && s.Wake != nil {
		s.Wake(ctx, i)
	}
	return i, err
}
