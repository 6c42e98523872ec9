package main

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bullion/cmd/bullion/internal/glance"
	"bullion/cmd/bullion/internal/pending"
	"bullion/cmd/bullion/internal/transfer"
	"bullion/internal/diskimage"
)

// delivery is how a file gets to an image: the flags that create, upload and resume share, and what they work with.
type delivery struct {
	a        *app
	api      *glance.Client
	source   *transfer.Source
	parallel int
	retryFor time.Duration
	noWait   bool

	noPreflight bool
	sha512      string
	verify      bool
}

// flags adds those of every transfer.
func (d *delivery) flags(f *pflag.FlagSet) {
	f.IntVar(&d.parallel, "parallel", transfer.Parallel, "parts sent at once, 1 to 32")
	f.DurationVar(&d.retryFor, "retry-for", 2*time.Minute, "how long to go on while nothing answers")
	f.BoolVar(&d.noWait, "no-wait", false, "do not wait until the service has checked the image")
}

// beginFlags adds those of a transfer that begins.
func (d *delivery) beginFlags(f *pflag.FlagSet) {
	d.flags(f)
	f.BoolVar(&d.noPreflight, "no-preflight", false, "do not check the file before it is sent; the service checks it anyway")
	f.StringVar(&d.sha512, "sha512", "", "SHA-512 that the file must have, in hex; the service refuses any other bytes")
	f.BoolVar(&d.verify, "verify", false, "compute the SHA-512 of the file first and have the service compare it")
}

func (d *delivery) check() error {
	switch {
	case d.parallel < 1 || d.parallel > 32:
		return misuse("--parallel must be 1 to 32; it is %d", d.parallel)
	case d.retryFor < 0:
		return misuse("--retry-for must not be negative; it is %s", d.retryFor)
	case d.sha512 != "" && d.verify:
		return misuse("--verify computes what --sha512 gives; use one of them")
	}
	if d.sha512 = strings.ToLower(d.sha512); d.sha512 != "" {
		if b, err := hex.DecodeString(d.sha512); err != nil || len(b) != sha512.Size {
			return misuse("--sha512 must be 128 hexadecimal digits")
		}
	}
	return nil
}

func (d *delivery) patience(m *meter) transfer.Patience {
	return transfer.Patience{For: d.retryFor, Notice: m.wait}
}

// preflight looks at the file as the service will, so that nothing is created or sent when it would be refused. Formats that are "" are found out.
func (d *delivery) preflight(ctx context.Context, diskFormat, containerFormat string) (*diskimage.Report, error) {
	if d.noPreflight {
		return &diskimage.Report{DiskFormat: diskFormat, ContainerFormat: containerFormat}, nil
	}
	report, err := diskimage.Inspect(ctx, d.source, d.source.Size(), diskimage.Options{DiskFormat: diskFormat, ContainerFormat: containerFormat})
	if r, ok := errors.AsType[*diskimage.Rejection](err); ok {
		return nil, advise(&preflightError{d.source.Path(), r}, r.Hint, "Nothing was sent.")
	}
	if err != nil {
		return nil, fmt.Errorf("check file %s: %w", d.source.Path(), err)
	}
	for _, w := range report.Warnings {
		d.a.note("Warning (%s): %s", w.Code, clean(strings.TrimSpace(w.Message+" "+w.Hint)))
	}
	return report, nil
}

// preflightError is a file that the service would reject.
type preflightError struct {
	path string
	*diskimage.Rejection
}

func (e *preflightError) Error() string {
	return fmt.Sprintf("file %s is refused (%s): %s", e.path, e.Code, e.Message)
}

func (e *preflightError) Unwrap() error { return e.Rejection }

// declared is the hash to declare, computed when the user wants that.
func (d *delivery) declared(ctx context.Context, m *meter) (string, error) {
	if !d.verify {
		return d.sha512, nil
	}
	var done atomic.Int64
	line := m.phase("Hashing", func() reading { return reading{done: done.Load(), total: d.source.Size()} })
	hash := sha512.New()
	buffer := make([]byte, 1<<20)
	var err error
	for off := int64(0); off < d.source.Size() && err == nil; {
		var n int
		n, err = d.source.ReadAt(buffer[:min(int64(len(buffer)), d.source.Size()-off)], off)
		hash.Write(buffer[:n])
		off += int64(n)
		done.Store(off)
		if n > 0 || errors.Is(err, io.EOF) {
			err = ctx.Err()
		}
		if n == 0 {
			break // it shrank; the check below says so
		}
	}
	if err == nil {
		err = d.source.Check()
	}
	line.end(err != nil)
	if err != nil {
		return "", fmt.Errorf("hash file %s: %w", d.source.Path(), err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// create makes the record of an image. The id is ours, so that a create whose answer was lost is not made twice.
func (d *delivery) create(ctx context.Context, patience transfer.Patience, attributes map[string]any) (i *glance.Image, err error) {
	id := newUUID()
	attributes["id"] = id
	tries := 0
	err = patience.Do(ctx, func() (err error) {
		tries++
		i, err = d.api.Create(ctx, attributes)
		if glance.StatusOf(err) == 409 && tries > 1 {
			i, err = d.api.Get(ctx, id)
		}
		return err
	})
	return i, err
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// open begins the upload of the source, or finds the one that a try began whose answer was lost.
func (d *delivery) open(ctx context.Context, patience transfer.Patience, i *glance.Image, sha512 string) (u *glance.Upload, err error) {
	tries := 0
	err = patience.Do(ctx, func() (err error) {
		tries++
		u, err = d.api.OpenUpload(ctx, i.ID, d.source.Size(), sha512)
		if glance.StatusOf(err) != 409 || tries == 1 {
			return err
		}
		now, getErr := d.api.Get(ctx, i.ID)
		if getErr != nil || now.UploadID() == "" {
			return err
		}
		u, err = d.api.UploadStatus(ctx, i.ID, now.UploadID())
		return err
	})
	return u, err
}

// deliver sends the source to an open upload and follows it until the image is active. What it leaves behind when it fails, its error says.
func (d *delivery) deliver(ctx context.Context, m *meter, i *glance.Image, u *glance.Upload) (*glance.Image, error) {
	d.remember(i, u)
	patience := d.patience(m)
	var progress transfer.Progress
	sender := transfer.Sender{API: d.api, Source: d.source, Parallel: d.parallel, Patience: patience, Progress: &progress}
	line := m.phase("Uploading", bytesMoved(&progress))
	after, err := sender.Run(ctx, u)
	line.end(err != nil)
	if err != nil {
		return nil, d.unfinished(err, i, u, &progress)
	}
	if err := d.a.forget(u.ID); err != nil {
		d.a.note("Warning: %s", sentence(err.Error()))
	}
	return d.await(ctx, m, i, after)
}

// await follows the examination.
func (d *delivery) await(ctx context.Context, m *meter, i *glance.Image, u *glance.Upload) (*glance.Image, error) {
	patience := d.patience(m)
	if !d.noWait {
		var hashed, total atomic.Int64
		// The storage may have hashed the bytes as they came; then there is nothing to count.
		line := m.phase("Checking", func() reading {
			r := reading{done: hashed.Load(), total: total.Load()}
			if r.done == 0 || r.done == r.total {
				r.doing = "examining"
			}
			return r
		})
		total.Store(u.Size)
		err := transfer.Wait(ctx, d.api, u, patience, func(now *glance.Upload) {
			if v := now.Validation; v != nil && v.Total > 0 {
				total.Store(v.Total)
				hashed.Store(v.Hashed)
			}
		})
		if err == nil {
			hashed.Store(total.Load())
		}
		line.end(err != nil)
		if err != nil {
			return nil, d.unaccepted(err, i)
		}
	}
	var now *glance.Image
	err := patience.Do(ctx, func() (err error) {
		now, err = d.api.Get(ctx, i.ID)
		return err
	})
	return now, err
}

// remember makes the upload resumable with no argument. That it cannot be is no reason not to upload.
func (d *delivery) remember(i *glance.Image, u *glance.Upload) {
	dir, err := d.a.remembered()
	path, absErr := filepath.Abs(d.source.Path())
	if err = errors.Join(err, absErr); err == nil {
		err = dir.Save(pending.Upload{ID: u.ID, ImageID: i.ID, ImageName: i.Name, Endpoint: d.api.Endpoint(), Cloud: d.a.cloudName(),
			Path: path, Size: d.source.Size(), ModTime: d.source.ModTime(), CreatedAt: time.Now().UTC().Truncate(time.Second)})
	}
	if err != nil {
		d.a.note("Warning: this upload can be resumed only with its image and --file: %s", sentence(err.Error()))
	}
}

func (a *app) cloudName() string {
	if a.cloud != "" {
		return a.cloud
	}
	return a.getenv("OS_CLOUD")
}

// unfinished explains an upload that ended before all was sent.
func (d *delivery) unfinished(err error, i *glance.Image, u *glance.Upload, progress *transfer.Progress) error {
	again := fmt.Sprintf("bullion image upload %s --file %s", i.ID, quoted(d.source.Path()))
	if changed, ok := errors.AsType[*transfer.Changed](err); ok {
		if !changed.Aborted {
			return advise(err, "The upload cannot be used. Give it up with: bullion upload abort "+u.ID)
		}
		_ = d.a.forget(u.ID) // it would be found ended, and forgotten, by the next resume
		return advise(err, "The upload was given up and its bytes deleted; the image stays queued.", "When the file is finished, send it with: "+again)
	}
	if _, ok := errors.AsType[*transfer.Ended](err); ok {
		_ = d.a.forget(u.ID)
		return advise(err, "Send the file again with: "+again)
	}
	resume := "Go on with: bullion upload resume " + u.ID
	if _, saved := d.find(u.ID); !saved {
		resume = fmt.Sprintf("Go on with: bullion upload resume %s --file %s", i.ID, quoted(d.source.Path()))
	}
	kept := fmt.Sprintf("%s of %s are stored and kept.", humanBytes(progress.Arrived()), humanBytes(u.Size))
	if gaveUp, ok := errors.AsType[*transfer.GaveUp](err); ok {
		return advise(fmt.Errorf("%w Given up after %s", gaveUp, humanTime(gaveUp.After)), kept, resume)
	}
	return advise(err, kept, resume)
}

func (d *delivery) find(uploadID string) (pending.Upload, bool) {
	dir, err := d.a.remembered()
	if err != nil {
		return pending.Upload{}, false
	}
	list, _ := dir.List() // unreadable ones are not this one
	for _, u := range list {
		if u.ID == uploadID {
			return u, true
		}
	}
	return pending.Upload{}, false
}

// unaccepted explains an upload that arrived and did not become an active image.
func (d *delivery) unaccepted(err error, i *glance.Image) error {
	if r, ok := errors.AsType[*transfer.Rejected](err); ok {
		return rejection(r, i)
	}
	return advise(err, "All bytes have arrived, and the service goes on checking them. See: bullion image show "+i.ID)
}

// rejectedImage is an image whose bytes were refused.
type rejectedImage struct {
	image string
	*transfer.Rejected
}

func (e *rejectedImage) Error() string {
	return fmt.Sprintf("image %s was rejected (%s): %s", e.image, e.Code, e.Message)
}

func (e *rejectedImage) Unwrap() error { return e.Rejected }

// rejection shows a verdict with what to do next.
func rejection(r *transfer.Rejected, i *glance.Image) error {
	advice := []string{}
	if r.Hint != "" {
		advice = append(advice, r.Hint)
	}
	return advise(&rejectedImage{named(i), r}, append(advice,
		"The image is queued again. Send another file with: bullion image upload "+i.ID+" --file FILE",
		"or delete it with: bullion image delete "+i.ID)...)
}

// completeFile makes a shell complete --file with files.
func completeFile(cmd *cobra.Command) {
	_ = cmd.MarkFlagFilename("file")
}
