// Package validation decides whether the bytes of an upload become an image. It is the one way to active.
//
// A run claims the upload with a lease, inspects the object with package diskimage through ranged reads, hashes it in one pass, and
// accepts or rejects. It may be started any number of times, by the storage's event, by scrub, by a host that saw the bytes pass: claims, leases
// and compare-and-swap make all but one harmless. It may die at any point: whoever comes after the lease goes on, from the saved
// state of the hashes; an examiner that dies again and again without getting further ends as a rejection.
package validation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"bullion/internal/diskimage"
	"bullion/internal/images"
)

// Validator examines uploads. Set the exported fields before the first call.
type Validator struct {
	Images *images.Service
	Log    *slog.Logger

	// Digests gives the hashes of an object that the host computed while the bytes passed, ok false when it has none. It may wait for them.
	// nil: every object is read once more.
	Digests func(ctx context.Context, b images.Blob) (d images.Digests, ok bool, err error)

	// Inspection is how strict the inspection is; the formats and the encryption key come from the record.
	Inspection diskimage.Options

	// Lease is for how long a claim holds without a sign of life; default 2 minutes.
	Lease time.Duration
	// Margin is how long before the deadline of its context a run saves its state and stops; default 20 seconds.
	Margin time.Duration

	NewID func() string // names one run
	Now   func() time.Time
}

// ErrContinue is the error of a run that saved its state and stopped before the deadline of its context: start another.
var ErrContinue = errors.New("the validation has to go on in another run")

// Arrived takes the news that an object is in the bucket and carries the upload through. An object that nobody waits for is deleted. The error is for the
// caller to retry; nil when there is nothing more to do.
func (v *Validator) Arrived(ctx context.Context, b images.Blob) error {
	imageID, uploadID, ok := images.ParseKey(b.Key)
	if !ok {
		v.Log.LogAttrs(ctx, slog.LevelWarn, "an object is not of an upload", slog.String("key", b.Key))
		return nil
	}
	// Most news is of bytes that whoever carried them made an image of, or is at it: that costs no call to the storage.
	if i, err := v.Images.Store.Image(ctx, imageID); err == nil && (i.Blob != nil && i.Blob.Key == b.Key ||
		i.Upload.Live() && i.Upload.ID == uploadID && i.Upload.Mode == images.ModeStream) {
		return nil
	}
	// The event is a hint: it may be late, and of an object that is gone.
	head, err := v.Images.Blobs.Head(ctx, b.Key)
	if images.KindOf(err) == images.NotFound && err != nil {
		return nil
	} else if err != nil {
		return err
	}
	i, err := v.Images.Receive(ctx, head)
	switch {
	case err == nil && i.Upload.State == images.UploadReceived:
		return v.Run(ctx, imageID, uploadID, nil)
	case err == nil:
		return nil
	case images.KindOf(err) == images.NotFound:
		return v.unwanted(ctx, imageID, uploadID, head)
	}
	return err
}

// unwanted deletes an object whose upload was given up or whose image is gone. The record is read once more, since the object of an
// image must never go by mistake.
func (v *Validator) unwanted(ctx context.Context, imageID, uploadID string, b images.Blob) error {
	i, err := v.Images.Store.Image(ctx, imageID)
	if err != nil && images.KindOf(err) != images.NotFound {
		return err
	}
	if err == nil && (i.Blob != nil && i.Blob.Key == b.Key || i.Upload.Live() && i.Upload.ID == uploadID) {
		return nil
	}
	v.Log.LogAttrs(ctx, slog.LevelInfo, "deleting an object that nobody waits for", slog.String("image", imageID), slog.String("upload", uploadID))
	return v.Images.Blobs.Delete(ctx, b.Key)
}

// InOtherHands says of the error of a run that it is no failure: another run is at it, or will go on.
func InOtherHands(err error) bool {
	return errors.Is(err, images.ErrBusy) || errors.Is(err, ErrContinue)
}

// Run examines a received upload to its end: accepted or rejected. known are its digests when the host saw every byte, else nil. It returns nil when there is nothing to do, images.ErrBusy when another run is at it,
// ErrContinue when time ran out.
func (v *Validator) Run(ctx context.Context, imageID, uploadID string, known *images.Digests) error {
	r := &run{Validator: v, imageID: imageID, uploadID: uploadID, known: known, holder: v.NewID(), lease: cmp.Or(v.Lease, 2*time.Minute)}
	i, err := v.Images.Claim(ctx, imageID, uploadID, r.holder, r.lease)
	if err != nil {
		if images.KindOf(err) == images.NotFound {
			return nil
		}
		return err
	}
	err = r.examine(ctx, i)
	switch kind := images.KindOf(err); {
	case err == nil:
		return nil
	case kind == images.NotFound && !errors.Is(err, errObjectGone):
		return nil // the image was deleted or the upload given up meanwhile
	case errors.Is(err, images.ErrBusy):
		return nil // another run took over
	}
	// Whoever retries should not have to wait for the lease.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if releaseErr := v.Images.Release(cleanup, imageID, uploadID, r.holder); releaseErr != nil && images.KindOf(releaseErr) == images.Internal {
		v.Log.LogAttrs(ctx, slog.LevelWarn, "a lease runs to its end", slog.String("image", imageID), slog.String("error", releaseErr.Error()))
	}
	return err
}

// run is one examination.
type run struct {
	*Validator
	imageID, uploadID, holder string
	lease                     time.Duration
	known                     *images.Digests
}

func (r *run) examine(ctx context.Context, i *images.Image) error {
	started := r.Now()
	u := i.Upload
	object := *u.Object
	if u.Size >= 0 && object.Size != u.Size {
		return r.reject(ctx, images.Rejection{Code: "size_mismatch",
			Message: fmt.Sprintf("The file has %d bytes; the upload declared %d.", object.Size, u.Size),
			Hint:    "Upload the file again, and do not change it meanwhile."})
	}
	report, err := r.inspect(ctx, i, object)
	if rejection, ok := errors.AsType[*diskimage.Rejection](err); ok {
		return r.reject(ctx, images.Rejection{Code: rejection.Code, Message: rejection.Message, Hint: rejection.Hint})
	} else if errors.Is(err, errObjectGone) {
		return r.lost(ctx)
	} else if err != nil {
		return err
	}
	digests, err := r.digests(ctx, i, object)
	if errors.Is(err, errObjectGone) {
		return r.lost(ctx)
	} else if err != nil {
		return err
	}
	if u.SHA512 != "" && u.SHA512 != digests.SHA512 {
		return r.reject(ctx, images.Rejection{Code: "hash_mismatch",
			Message: "The SHA-512 of the bytes that arrived is not the one that was declared.",
			Hint:    "The file was changed or damaged on its way; upload it again."})
	}
	_, err = r.Images.Accept(ctx, r.imageID, r.uploadID, r.holder, images.Facts{
		Digests:     digests,
		VirtualSize: report.VirtualSize,
		Report:      found(report),
		Properties: map[string]string{
			"architecture":     report.Architecture,
			"hw_firmware_type": report.FirmwareType,
			"os_type":          report.OSType,
			"os_distro":        report.OSDistro,
			"os_version":       report.OSVersion,
		},
	})
	if err != nil {
		return err
	}
	r.Log.LogAttrs(ctx, slog.LevelInfo, "image is active", slog.String("image", r.imageID), slog.Int64("size", object.Size),
		slog.String("disk_format", i.DiskFormat), slog.Duration("took", r.Now().Sub(started)), slog.Any("warnings", report.Warnings))
	return nil
}

// found is the part of a report that people read.
func found(r *diskimage.Report) *images.Report {
	f := &images.Report{Bootable: r.Bootable, Evidence: r.Evidence}
	for _, w := range r.Warnings {
		f.Warnings = append(f.Warnings, images.Warning(w))
	}
	return f
}

func (r *run) inspect(ctx context.Context, i *images.Image, b images.Blob) (*diskimage.Report, error) {
	opts := r.Inspection
	opts.DiskFormat, opts.ContainerFormat = i.DiskFormat, i.ContainerFormat
	opts.EncryptionKeyID = i.Properties["cinder_encryption_key_id"]
	report, err := diskimage.Inspect(ctx, &object{ctx, r.Images.Blobs, b}, b.Size, opts)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return report, err
}

func (r *run) reject(ctx context.Context, why images.Rejection) error {
	_, err := r.Images.Reject(ctx, r.imageID, r.uploadID, r.holder, why)
	if err == nil {
		r.Log.LogAttrs(ctx, slog.LevelInfo, "upload rejected", slog.String("image", r.imageID), slog.String("code", why.Code), slog.String("reason", why.Message))
	}
	return err
}

func (r *run) lost(ctx context.Context) error {
	return r.reject(ctx, images.Rejection{Code: "object_lost",
		Message: "The bytes that arrived are no longer in the storage, or are not the same any more.",
		Hint:    "Upload the file again."})
}

var errObjectGone = errors.New("the object is gone")

// object reads the bytes of one blob, pinned: bytes of another object are an error.
type object struct {
	ctx   context.Context
	blobs images.Blobs
	blob  images.Blob
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off >= o.blob.Size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), o.blob.Size-off)
	body, err := o.blobs.Range(o.ctx, o.blob, off, want)
	if err != nil {
		if images.KindOf(err) == images.NotFound {
			return 0, fmt.Errorf("%w: %w", errObjectGone, err)
		}
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:want])
	if err != nil && o.ctx.Err() == nil {
		return n, images.Wrap(images.Unavailable, err, "The storage of images broke off; try again.")
	}
	if err == nil && want < int64(len(p)) {
		err = io.EOF
	}
	return n, err
}
