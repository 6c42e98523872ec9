package images

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Bounds of one call about parts.
const (
	firstParts  = 16  // signed when an upload is opened
	MaxSignings = 100 // parts signed by one call
)

// receiveGrace is how long the storage's event may take to start the validation before scrub starts it.
const receiveGrace = time.Minute

// UploadRequest is what the client says about the bytes that it will send.
type UploadRequest struct {
	Size   int64  // bytes, exactly
	SHA512 string // hex; "" when not known
}

// SignedPart is the request that sends one part; the whole object when the upload's mode is put.
type SignedPart struct {
	Number int
	Size   int64
	SignedRequest
}

// UploadView is an upload with what S3 has of it and requests that send more.
type UploadView struct {
	Image  *Image
	Upload *Upload
	Parts  []Part       // what S3 has; only UploadStatus fills it
	Signed []SignedPart // what may be sent now
}

// OpenUpload begins an upload: it reserves the project's quota, then signs the first requests. An image that is queued has
// at most one open upload.
func (s *Service) OpenUpload(ctx context.Context, c Caller, id string, r UploadRequest) (*UploadView, error) {
	r.SHA512 = strings.ToLower(r.SHA512)
	switch {
	case r.Size <= 0:
		return nil, Errorf(Invalid, "size must be the number of bytes in the file, at least 1; it is %d.", r.Size)
	case r.Size > s.Limits.MaxSize:
		return nil, Errorf(TooLarge, "The file has %d bytes; an image has at most %d.", r.Size, s.Limits.MaxSize)
	case r.SHA512 != "" && !isHex(r.SHA512, 128):
		return nil, Errorf(Invalid, "sha512 must be the 128 hexadecimal digits of the file's SHA-512.")
	}
	now := s.now()
	u := &Upload{ID: s.NewID(), State: UploadOpen, Mode: ModePut, Size: r.Size, PartSize: r.Size, Parts: 1, SHA512: r.SHA512,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(s.Limits.UploadLife)}
	if r.Size > s.Limits.PutUpTo {
		u.Mode = ModeMultipart
		u.PartSize, u.Parts = PlanParts(r.Size, s.Limits.MaxParts)
	}
	i, err := s.beginUpload(ctx, c, id, u, nil)
	if err != nil {
		return nil, err
	}
	if i, err = s.ensureMultipart(ctx, i); err != nil {
		return nil, err
	}
	numbers := make([]int, min(i.Upload.Parts, firstParts))
	for n := range numbers {
		numbers[n] = n + 1
	}
	return s.sign(ctx, i, numbers)
}

// beginUpload puts a new upload on the record of an image that can take one; and, when given, makes a further change in the same write.
func (s *Service) beginUpload(ctx context.Context, c Caller, id string, u *Upload, and func(*Image) error) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "upload_image")
	if err != nil {
		return nil, err
	}
	if err := s.FinishUpload(ctx, i); err != nil {
		return nil, err
	}
	return s.change(ctx, id, c.actor(), func(i *Image) error {
		switch {
		case i.Status == StatusPendingDelete:
			return errNoImage(id)
		case i.Status != StatusQueued:
			return Errorf(Conflict, "Image %s is %s; only an image that is queued takes an upload.", i.ID, i.Status)
		case i.Upload.holds():
			return Errorf(Conflict, "Image %s already has the open upload %s; resume it, or abort it first.", i.ID, i.Upload.ID)
		case i.DiskFormat == "" || i.ContainerFormat == "":
			return Errorf(Invalid, "Set disk_format and container_format of image %s before its upload.", i.ID)
		}
		i.Upload, i.UpdatedAt = u, u.UpdatedAt
		if and != nil {
			return and(i)
		}
		return nil
	})
}

// ensureMultipart opens the multipart upload in S3 when the record does not name one yet. Of two processes that open one at
// once the record keeps the first, and the other is aborted.
func (s *Service) ensureMultipart(ctx context.Context, i *Image) (*Image, error) {
	u := i.Upload
	if u.Mode != ModeMultipart || u.S3Upload != "" {
		return i, nil
	}
	s3Upload, err := s.Blobs.CreateMultipart(ctx, u.Key(i.ID), u.PartSize)
	if err != nil {
		return nil, err
	}
	after, err := s.changeUpload(ctx, i.ID, u.ID, Actor{}, func(i *Image) error {
		if i.Upload.S3Upload != "" {
			return ErrUnchanged
		}
		i.Upload.S3Upload = s3Upload
		return nil
	})
	if err != nil || after.Upload.S3Upload != s3Upload {
		if abortErr := s.Blobs.AbortMultipart(ctx, u.Key(i.ID), s3Upload); abortErr != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "surplus multipart upload is left to scrub", slog.String("image", i.ID), slog.String("error", abortErr.Error()))
		}
	}
	return after, err
}

// changeUpload is change for the upload of that id, which must be open.
func (s *Service) changeUpload(ctx context.Context, id, uploadID string, actor Actor, edit func(*Image) error) (*Image, error) {
	return s.change(ctx, id, actor, func(i *Image) error {
		if err := openUpload(i, uploadID); err != nil {
			return err
		}
		return edit(i)
	})
}

func openUpload(i *Image, uploadID string) error {
	switch u := i.Upload; {
	case u == nil || u.ID != uploadID || u.Mode == ModeStream:
		return Errorf(NotFound, "Image %s has no upload %.64q.", i.ID, uploadID)
	case u.State != UploadOpen:
		return Errorf(Conflict, "Upload %s is %s; it takes no more bytes.", u.ID, u.State)
	}
	return nil
}

// upload returns an image that the caller may upload to, with that upload.
func (s *Service) upload(ctx context.Context, c Caller, id, uploadID string) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "upload_image")
	if err != nil {
		return nil, err
	}
	if i.Upload == nil || i.Upload.ID != uploadID || i.Upload.Mode == ModeStream {
		return nil, Errorf(NotFound, "Image %s has no upload %.64q.", id, uploadID)
	}
	return i, nil
}

// UploadStatus returns an upload with the parts that S3 has, so that any client can go on with it.
func (s *Service) UploadStatus(ctx context.Context, c Caller, id, uploadID string) (*UploadView, error) {
	i, err := s.upload(ctx, c, id, uploadID)
	if err != nil {
		return nil, err
	}
	v := &UploadView{Image: i, Upload: i.Upload}
	if i.Upload.State == UploadOpen {
		v.Parts, err = s.partsOf(ctx, i)
	}
	return v, err
}

// partsOf lists what has arrived. An object that is there already counts as all of its parts.
func (s *Service) partsOf(ctx context.Context, i *Image) ([]Part, error) {
	u := i.Upload
	if u.Mode == ModeMultipart {
		if u.S3Upload == "" {
			return nil, nil
		}
		parts, err := s.Blobs.Parts(ctx, u.Key(i.ID), u.S3Upload)
		if err == nil || KindOf(err) != NotFound {
			return parts, err
		}
	}
	b, err := s.Blobs.Head(ctx, u.Key(i.ID))
	if err != nil {
		if KindOf(err) == NotFound {
			return nil, nil
		}
		return nil, err
	}
	if b.Size != u.Size {
		return nil, nil
	}
	parts := make([]Part, u.Parts)
	for n := range parts {
		parts[n] = Part{Number: n + 1, Size: u.PartLength(n + 1)}
	}
	return parts, nil
}

// SignParts signs requests for the parts by number, whether or not they were signed before, and keeps the upload open for longer.
func (s *Service) SignParts(ctx context.Context, c Caller, id, uploadID string, numbers []int) (*UploadView, error) {
	i, err := s.upload(ctx, c, id, uploadID)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 || len(numbers) > MaxSignings {
		return nil, Errorf(Invalid, "numbers must name 1 to %d parts; it names %d.", MaxSignings, len(numbers))
	}
	for _, n := range numbers {
		if n < 1 || n > i.Upload.Parts {
			return nil, Errorf(Invalid, "Part %d is not in upload %s, whose parts are 1 to %d.", n, uploadID, i.Upload.Parts)
		}
	}
	if err := openUpload(i, uploadID); err != nil {
		return nil, err
	}
	// A write for every call would cost more than the signature; an hour is near enough for a life of days.
	if now := s.now(); now.Sub(i.Upload.UpdatedAt) > time.Hour {
		i, err = s.changeUpload(ctx, id, uploadID, c.actor(), func(i *Image) error {
			i.Upload.UpdatedAt, i.Upload.ExpiresAt = now, now.Add(s.Limits.UploadLife)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if i, err = s.ensureMultipart(ctx, i); err != nil {
		return nil, err
	}
	return s.sign(ctx, i, numbers)
}

func (s *Service) sign(ctx context.Context, i *Image, numbers []int) (*UploadView, error) {
	u := i.Upload
	v := &UploadView{Image: i, Upload: u}
	for _, n := range numbers {
		p := SignedPart{Number: n, Size: u.PartLength(n)}
		var err error
		if u.Mode == ModePut {
			p.SignedRequest, err = s.Blobs.PresignPut(ctx, u.Key(i.ID), u.Size, s.Limits.URLLife)
		} else {
			p.SignedRequest, err = s.Blobs.PresignPart(ctx, u.Key(i.ID), u.S3Upload, n, p.Size, s.Limits.URLLife)
		}
		if err != nil {
			return nil, err
		}
		v.Signed = append(v.Signed, p)
	}
	return v, nil
}

// CompleteUpload makes the object of the parts that S3 has. It can be repeated; the image is importing, or further, when it returns: the storage's event
// may have led to a verdict before the client asks.
func (s *Service) CompleteUpload(ctx context.Context, c Caller, id, uploadID string) (*UploadView, error) {
	i, err := s.upload(ctx, c, id, uploadID)
	if err != nil {
		return nil, err
	}
	if i.Upload.complete() {
		return &UploadView{Image: i, Upload: i.Upload}, nil
	}
	if err := openUpload(i, uploadID); err != nil {
		return nil, err
	}
	b, err := s.object(ctx, i)
	if err == nil {
		i, err = s.Receive(ctx, b)
	}
	if err != nil {
		// The verdict may have come in between, and the bytes be gone with it.
		if i, again := s.upload(ctx, c, id, uploadID); again == nil && i.Upload.complete() {
			return &UploadView{Image: i, Upload: i.Upload}, nil
		}
		return nil, err
	}
	return &UploadView{Image: i, Upload: i.Upload}, nil
}

// object returns the object of an upload, completing the multipart upload when that has not happened yet.
func (s *Service) object(ctx context.Context, i *Image) (Blob, error) {
	u := i.Upload
	key := u.Key(i.ID)
	if u.Mode == ModeMultipart && u.S3Upload != "" {
		parts, err := s.Blobs.Parts(ctx, key, u.S3Upload)
		if err != nil && KindOf(err) != NotFound {
			return Blob{}, err
		}
		if err == nil {
			if missing := missingParts(u, parts); len(missing) > 0 {
				return Blob{}, Errorf(Conflict, "Upload %s lacks %d of its %d parts, the first is part %d; send them and complete again.",
					u.ID, len(missing), u.Parts, missing[0])
			}
			if _, err := s.Blobs.CompleteMultipart(ctx, key, u.S3Upload, parts); err != nil && KindOf(err) != NotFound && KindOf(err) != Conflict {
				return Blob{}, err
			}
		}
	}
	b, err := s.Blobs.Head(ctx, key)
	if err != nil && KindOf(err) == NotFound {
		return Blob{}, Errorf(Conflict, "The bytes of upload %s have not arrived; send them and complete again.", u.ID)
	}
	return b, err
}

// missingParts are the numbers of parts that are absent or have another length than planned.
func missingParts(u *Upload, parts []Part) []int {
	have := make(map[int]int64, len(parts))
	for _, p := range parts {
		have[p.Number] = p.Size
	}
	var missing []int
	for n := 1; n <= u.Parts; n++ {
		if size, ok := have[n]; !ok || size != u.PartLength(n) {
			missing = append(missing, n)
		}
	}
	return missing
}

// Receive records that the object of an upload is there: the image becomes importing and waits for its validation. Both the client's complete and the
// storage's event lead here, in any order and number. The error is NotFound when nobody waits for the object (the image was deleted, the upload given
// up): its bytes can go.
func (s *Service) Receive(ctx context.Context, b Blob) (*Image, error) {
	imageID, uploadID, ok := ParseKey(b.Key)
	if !ok {
		return nil, Errorf(NotFound, "Key %.200q is not of an upload.", b.Key)
	}
	return s.change(ctx, imageID, Actor{}, func(i *Image) error {
		u := i.Upload
		if u == nil || u.ID != uploadID || i.Status == StatusPendingDelete {
			return Errorf(NotFound, "Nobody waits for upload %s of image %s.", uploadID, imageID)
		}
		switch u.State {
		case UploadOpen:
		case UploadReceived, UploadAccepted:
			return ErrUnchanged
		default:
			return Errorf(NotFound, "Upload %s of image %s is %s.", uploadID, imageID, u.State)
		}
		if u.Mode == ModeStream {
			return ErrUnchanged // the host that carries the stream goes on by itself
		}
		now := s.now()
		u.State, u.UpdatedAt, u.Object = UploadReceived, now, &b
		u.Validation = examination(now, receiveGrace)
		return i.move(StatusImporting, now)
	})
}

// AbortUpload gives an upload up. Its bytes are gone when it returns, and its quota is free.
func (s *Service) AbortUpload(ctx context.Context, c Caller, id, uploadID string) error {
	i, err := s.upload(ctx, c, id, uploadID)
	if err != nil {
		return err
	}
	return s.endUpload(ctx, i, c.actor(), UploadAborted)
}

// ExpireUpload gives up, for the service, an upload that was open for too long. It does nothing when that is no longer so.
func (s *Service) ExpireUpload(ctx context.Context, i *Image) error {
	return s.endUpload(ctx, i, Actor{}, UploadExpired)
}

// endUpload decides first and deletes then: once the record says that the upload ends, nothing can make an image of its bytes any more.
func (s *Service) endUpload(ctx context.Context, i *Image, actor Actor, outcome UploadState) error {
	uploadID := i.Upload.ID
	i, err := s.change(ctx, i.ID, actor, func(i *Image) error {
		if i.Upload == nil || i.Upload.ID != uploadID || !i.Upload.Live() || outcome == UploadExpired && !i.Upload.expired(s.now()) {
			return ErrUnchanged
		}
		return i.endUpload(outcome, s.now())
	})
	if err != nil {
		return err
	}
	return s.FinishUpload(ctx, i)
}

// endUpload makes the image queued again and its upload one that ends.
func (i *Image) endUpload(outcome UploadState, now time.Time) error {
	u := i.Upload
	u.State, u.Outcome, u.UpdatedAt, u.Validation = UploadEnding, outcome, now, nil
	i.UpdatedAt = now
	why := "The upload was given up."
	if u.Rejection != nil {
		why = u.Rejection.Message
	}
	i.endImport(TaskFailure, why, now)
	if i.Status == StatusQueued {
		return nil
	}
	return i.move(StatusQueued, now)
}

// FinishUpload deletes the bytes of an upload that is ending and frees its quota. It can be repeated.
func (s *Service) FinishUpload(ctx context.Context, i *Image) error {
	if i.Upload == nil || i.Upload.State != UploadEnding {
		return nil
	}
	uploadID := i.Upload.ID
	if err := s.dropBytes(ctx, i); err != nil {
		return err
	}
	_, err := s.change(ctx, i.ID, Actor{}, func(i *Image) error {
		if i.Upload == nil || i.Upload.ID != uploadID || i.Upload.State != UploadEnding {
			return ErrUnchanged
		}
		i.Upload.State, i.Upload.Outcome, i.Upload.UpdatedAt = i.Upload.Outcome, "", s.now()
		return nil
	})
	return err
}

// Download signs a request for the bytes of an image. The error is ErrNoData when there are none yet.
func (s *Service) Download(ctx context.Context, c Caller, id string) (*Image, SignedRequest, error) {
	i, err := s.Readable(ctx, c, id)
	if err != nil {
		return nil, SignedRequest{}, err
	}
	r, err := s.Blobs.PresignGet(ctx, *i.Blob, filename(i), s.Limits.URLLife)
	if err != nil {
		return i, r, err
	}
	if err := s.Store.AddEgress(ctx, c.ProjectID, s.month(), i.Blob.Size); err != nil { // a disk that takes no more still gives what it has
		s.Log.LogAttrs(ctx, slog.LevelError, "a download is not counted", slog.String("image", id), slog.String("project", c.ProjectID), slog.Int64("bytes", i.Blob.Size), slog.String("error", err.Error()))
	}
	return i, r, nil
}

// Readable returns an image whose bytes the caller may read now. The error is ErrNoData when there are none yet.
func (s *Service) Readable(ctx context.Context, c Caller, id string) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "download_image")
	if err != nil {
		return nil, err
	}
	switch {
	case i.Status == StatusDeactivated && !s.Policy.SeesAll(c):
		return nil, Errorf(Forbidden, "Image %s is deactivated; an administrator can reactivate it.", id)
	case i.Blob == nil:
		return nil, ErrNoData
	}
	return i, nil
}

// ErrNoData is the error of reading the bytes of an image that has none. Glance answers 204.
var ErrNoData = Errorf(Conflict, "The image has no data yet.")

// filename is what a download should be called: the image's name with its format, without what a file system or a header would trip over.
func filename(i *Image) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`/\"<>:|?*;%`, r) {
			return '_'
		}
		return r
	}, i.Name)
	if name = strings.Trim(name, ". "); name == "" {
		name = i.ID
	}
	if ext := "." + i.DiskFormat; !strings.HasSuffix(name, ext) {
		name += ext
	}
	return name
}

// ParseKey takes a key apart that BlobKey made.
func ParseKey(key string) (imageID, uploadID string, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[0] != "images" || !validUUID(parts[1]) || !validUUID(parts[2]) {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func isHex(s string, n int) bool {
	return len(s) == n && !slices.ContainsFunc([]byte(s), func(b byte) bool { return !strings.ContainsRune("0123456789abcdef", rune(b)) })
}
