package images

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"
)

// importLife is how long an import may take in all, however often it gets further.
const importLife = 24 * time.Hour

// errNotImporting is the error of everything that an importer does for an image that does not wait for it any more: it was deleted, or the import cancelled.
func errNotImporting(imageID string) error {
	return Errorf(NotFound, "Image %s does not wait for an import.", imageID)
}

// running says whether the import has not ended; nil is none.
func (m *Import) running() bool {
	return m != nil && (m.State == TaskPending || m.State == TaskProcessing)
}

// Fetching says whether the image waits for an importer: to fetch its bytes, or to go on with that.
func (i *Image) Fetching() bool {
	return i.Status == StatusImporting && i.Import.running() && (i.Import.URI != "" || i.Import.Region != "") && (i.Upload == nil || i.Upload.State != UploadReceived)
}

// StartImport has the service fetch the bytes of an image from an address. It returns when the work is taken up; the image tells how it goes and how it ends.
func (s *Service) StartImport(ctx context.Context, c Caller, id string, r ImportRequest) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "upload_image", "modify_image")
	if err != nil {
		return nil, err
	}
	switch {
	case s.CheckSource == nil:
		return nil, Errorf(Invalid, "This service does not fetch images; upload the file instead.")
	case r.URI == "":
		return nil, Errorf(Invalid, "method.uri must be the address of the file, as https://example.org/disk.qcow2.")
	}
	if err := s.CheckSource(r.URI); err != nil {
		return nil, Wrap(Invalid, err, "method.uri: %s", err)
	}
	if r.Checksum = strings.ToLower(r.Checksum); r.Checksum != "" && !validChecksum(r.Checksum) {
		return nil, Errorf(Invalid, "method.checksum must be sha256:, sha512:, sha1: or md5: and the hexadecimal digits of the file's checksum.")
	}
	return s.beginFetch(ctx, c, i, r)
}

// beginFetch puts an import on the record, whose source and checksum were looked at and which the rules allow.
func (s *Service) beginFetch(ctx context.Context, c Caller, i *Image, r ImportRequest) (*Image, error) {
	if err := s.FinishUpload(ctx, i); err != nil {
		return nil, err
	}
	id := i.ID
	i, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		switch {
		case i.Status == StatusPendingDelete:
			return errNoImage(id)
		case i.Status != StatusQueued:
			return Errorf(Conflict, "Image %s is %s; only an image that is queued takes an import.", id, i.Status)
		case i.Upload.holds():
			return Errorf(Conflict, "Image %s already has the open upload %s; finish it, or abort it first.", id, i.Upload.ID)
		case r.Region == "" && (i.DiskFormat == "" || i.ContainerFormat == ""):
			return Errorf(Conflict, "Set disk_format and container_format of image %s before its import.", id)
		}
		now := s.now()
		i.Upload = nil // its outcome is of another attempt
		i.Import = &Import{TaskID: id, Method: r.Method, URI: r.URI, Region: r.Region, RemoteImage: r.RemoteImage, Checksum: r.Checksum, State: TaskPending, RequestID: r.RequestID, Request: r.Body,
			UserID: c.UserID, CreatedAt: now, UpdatedAt: now, Lease: Lease{LeaseUntil: now}}
		return i.move(StatusImporting, now)
	})
	if err == nil && s.Wake != nil {
		s.Wake(ctx, i)
	}
	return i, err
}

func validChecksum(text string) bool {
	algo, digits, _ := strings.Cut(text, ":")
	length := map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}[algo]
	return length > 0 && isHex(digits, length)
}

// CancelImport gives a running fetch up. The image is queued again and what was fetched is gone when it returns.
func (s *Service) CancelImport(ctx context.Context, c Caller, id string) error {
	if _, err := s.allowed(ctx, c, id, "upload_image", "modify_image"); err != nil {
		return err
	}
	i, err := s.change(ctx, id, c.actor(), func(i *Image) error {
		if !i.Fetching() {
			return Errorf(Conflict, "Image %s is %s and fetches nothing that could be cancelled.", id, i.Status)
		}
		return i.failImport("The import was cancelled.", s.now())
	})
	if err != nil {
		return err
	}
	return s.FinishUpload(ctx, i)
}

// ClaimImport takes a fetch for the time of the lease. Two processes never hold it at once. The error is ErrBusy when another holds it, NotFound when there
// is nothing (or no longer anything) to fetch.
func (s *Service) ClaimImport(ctx context.Context, imageID, holder string, lease time.Duration) (*Image, error) {
	i, err := s.fetching(ctx, imageID, func(i *Image, m *Import) error {
		now := s.now()
		switch {
		case m.taken(holder, now):
			return ErrBusy
		case now.Sub(m.CreatedAt) > importLife:
			return i.failImport("The import took more than a day. Use a faster source, or upload the file.", now)
		case m.deadly(m.CreatedAt, now):
			return i.failImport("The file could not be fetched: every attempt ended before its time. Try again later, or upload the file.", now)
		}
		m.State = TaskProcessing
		m.take(holder, now.Add(lease))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !i.Fetching() {
		if err := s.FinishUpload(ctx, i); err != nil {
			return nil, err
		}
		return nil, errNotImporting(imageID)
	}
	return i, s.FinishUpload(ctx, i)
}

// ImportPlan is what an importer found out about the file before it fetches it.
type ImportPlan struct {
	Size      int64  // bytes that will be stored; -1 when not known
	Parts     bool   // the bytes come in parts that are kept when the importer stops; Size is known then
	Validator string // of the file at the source
	SHA512    string // that the stored bytes must have; "" when not known
}

// BeginImport reserves the quota of what will be stored and puts an upload for it on the record. In parts it goes on with what an earlier importer left, if it is of
// the same file; everything else that was left is deleted.
func (s *Service) BeginImport(ctx context.Context, imageID, holder string, p ImportPlan) (*Image, error) {
	if p.Size > s.Limits.MaxSize {
		return nil, Errorf(TooLarge, "The file has %d bytes; an image has at most %d.", p.Size, s.Limits.MaxSize)
	}
	i, err := s.holding(ctx, imageID, holder, func(i *Image, m *Import) error {
		u := i.Upload
		if !u.Live() || p.Parts && u.S3Upload != "" && u.Size == p.Size && m.Validator == p.Validator {
			return ErrUnchanged
		}
		u.State, u.Outcome, u.UpdatedAt = UploadEnding, UploadAborted, s.now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if i.Upload.Live() {
		return i, nil
	}
	if err := s.FinishUpload(ctx, i); err != nil {
		return nil, err
	}
	now := s.now()
	u := &Upload{ID: s.NewID(), State: UploadOpen, Mode: ModeStream, Size: p.Size, SHA512: p.SHA512, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(importLife)}
	if p.Size < 0 {
		u.Size = firstGuess
	}
	if p.Parts {
		u.PartSize, u.Parts = PlanParts(p.Size, s.Limits.MaxParts)
	}
	i, err = s.holding(ctx, imageID, holder, func(i *Image, m *Import) error {
		if i.Upload.holds() {
			return ErrBusy // only another importer can have put it there
		}
		i.Upload, i.UpdatedAt = u, now
		m.Validator, m.Fetched, m.Total = p.Validator, 0, max(p.Size, 0)
		return nil
	})
	if err != nil || !p.Parts {
		return i, err
	}
	s3Upload, err := s.Blobs.CreateMultipart(ctx, u.Key(imageID), u.PartSize)
	if err != nil {
		return nil, err
	}
	i, err = s.holding(ctx, imageID, holder, func(i *Image, _ *Import) error {
		i.Upload.S3Upload = s3Upload
		return nil
	})
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if abortErr := s.Blobs.AbortMultipart(cleanup, u.Key(imageID), s3Upload); abortErr != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "surplus multipart upload is left to scrub", slog.String("image", imageID), slog.String("error", abortErr.Error()))
		}
	}
	return i, err
}

// PutImport stores a stream as the bytes of the upload that BeginImport made. It lets through nothing that the quota has not room for. size is the length, -1 for
// not known.
func (s *Service) PutImport(ctx context.Context, i *Image, r io.Reader, size int64) (Blob, Digests, error) {
	u := i.Upload
	counted := &reservingReader{ctx: ctx, service: s, src: r, imageID: i.ID, uploadID: u.ID, declared: size, reserved: u.Size, touched: s.now()}
	hashed := newHashingReader(counted)
	b, err := s.Blobs.Put(ctx, u.Key(i.ID), hashed, size)
	if counted.err != nil {
		err = counted.err
	}
	return b, hashed.digests(), err
}

// SignImportPart signs the request that sends one part of the upload that BeginImport made.
func (s *Service) SignImportPart(ctx context.Context, i *Image, n int) (SignedRequest, error) {
	return s.Blobs.PresignPart(ctx, i.Upload.Key(i.ID), i.Upload.S3Upload, n, i.Upload.PartLength(n), s.Limits.URLLife)
}

// ImportParts says which parts of the upload are still to be fetched, and how many bytes the others have.
func (s *Service) ImportParts(ctx context.Context, i *Image) (missing []int, have int64, err error) {
	u := i.Upload
	parts, err := s.Blobs.Parts(ctx, u.Key(i.ID), u.S3Upload)
	if KindOf(err) == NotFound && err != nil {
		// Completed already, by an importer that died then.
		if b, headErr := s.Blobs.Head(ctx, u.Key(i.ID)); headErr == nil && b.Size == u.Size {
			return nil, u.Size, nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	missing = missingParts(u, parts)
	have = u.Size
	for _, n := range missing {
		have -= u.PartLength(n)
	}
	return missing, have, nil
}

// CompleteImport makes one object of the parts. It can be repeated.
func (s *Service) CompleteImport(ctx context.Context, i *Image) (Blob, error) {
	key := i.Upload.Key(i.ID)
	parts, err := s.Blobs.Parts(ctx, key, i.Upload.S3Upload)
	if err == nil {
		_, err = s.Blobs.CompleteMultipart(ctx, key, i.Upload.S3Upload, parts)
	}
	if err != nil && KindOf(err) != NotFound && KindOf(err) != Conflict {
		return Blob{}, err
	}
	return s.Blobs.Head(ctx, key) // Conflict and NotFound: it was completed already
}

// ProgressImport saves how far a fetch got and extends its lease. The error is NotFound when it is no longer wanted, ErrBusy when another took it.
func (s *Service) ProgressImport(ctx context.Context, imageID, holder string, lease time.Duration, fetched, total int64) error {
	_, err := s.holding(ctx, imageID, holder, func(i *Image, m *Import) error {
		now := s.now()
		if fetched > m.Fetched && i.Upload != nil && i.Upload.S3Upload != "" {
			m.further() // these bytes stay when the importer dies
		}
		m.Fetched, m.Total, m.UpdatedAt, m.LeaseUntil = fetched, total, now, now.Add(lease)
		return nil
	})
	return err
}

// ReleaseImport gives the fetch back, for any process to go on with after the pause. counted is whether the attempt counts as one that failed.
func (s *Service) ReleaseImport(ctx context.Context, imageID, holder string, pause time.Duration, counted bool) error {
	_, err := s.holding(ctx, imageID, holder, func(_ *Image, m *Import) error {
		m.giveBack(s.now().Add(pause), counted)
		return nil
	})
	return err
}

// ReceiveImport records that all bytes are there: the upload waits for its validation.
func (s *Service) ReceiveImport(ctx context.Context, imageID, holder string, b Blob) (*Image, error) {
	return s.holding(ctx, imageID, holder, func(i *Image, m *Import) error {
		u := i.Upload
		if u == nil || u.State != UploadOpen || u.Key(imageID) != b.Key {
			return errNotImporting(imageID)
		}
		now := s.now()
		u.State, u.UpdatedAt, u.Object, u.Size = UploadReceived, now, &b, b.Size
		u.Validation = examination(now, receiveGrace)
		m.UpdatedAt, m.Holder, m.Fetched, m.Total = now, "", max(m.Fetched, m.Total), max(m.Fetched, m.Total)
		return nil
	})
}

// FailImport makes the image queued again, keeps the reason on the import and deletes what was fetched.
func (s *Service) FailImport(ctx context.Context, imageID, holder, message string) (*Image, error) {
	message = strings.ToValidUTF8(message, "?")
	i, err := s.holding(ctx, imageID, holder, func(i *Image, _ *Import) error { return i.failImport(message, s.now()) })
	if err != nil {
		return nil, err
	}
	return i, s.FinishUpload(ctx, i)
}

// failImport ends the import and, with it, its upload.
func (i *Image) failImport(message string, now time.Time) error {
	i.endImport(TaskFailure, message, now)
	if i.Upload.Live() {
		return i.endUpload(UploadAborted, now)
	}
	return i.move(StatusQueued, now)
}

// fetching is change for an image whose bytes are being fetched.
func (s *Service) fetching(ctx context.Context, imageID string, edit func(*Image, *Import) error) (*Image, error) {
	return s.change(ctx, imageID, Actor{}, func(i *Image) error {
		if !i.Fetching() {
			return errNotImporting(imageID)
		}
		return edit(i, i.Import)
	})
}

// holding is fetching for the process that holds the lease.
func (s *Service) holding(ctx context.Context, imageID, holder string, edit func(*Image, *Import) error) (*Image, error) {
	return s.fetching(ctx, imageID, func(i *Image, m *Import) error {
		if m.Holder != holder {
			return ErrBusy
		}
		return edit(i, m)
	})
}
