package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bullion/cmd/bullion/internal/glance"
)

// Parallel is how many parts or ranges travel at once, unless something else is asked for.
const Parallel = 4

// Sender sends one file to uploads.
type Sender struct {
	API      *glance.Client
	Source   *Source
	Parallel int // parts at once; 0 means Parallel
	Patience Patience
	Progress *Progress // may be nil
}

// Ended is the error of an upload that takes no more bytes.
type Ended struct {
	UploadID string
	State    string // of the upload; "" when it is no longer known
}

func (e *Ended) Error() string {
	if e.State == "" {
		return fmt.Sprintf("upload %s is no longer there; the image may have been deleted or given another upload", e.UploadID)
	}
	return fmt.Sprintf("upload %s is %s; it takes no more bytes", e.UploadID, e.State)
}

// Run sends what S3 lacks and completes the upload. It returns the document of an upload that is received, or further. When the error is a *Changed,
// the upload was aborted; after any other error it is as open as it was.
func (s *Sender) Run(ctx context.Context, u *glance.Upload) (*glance.Upload, error) {
	// A part can be lost between being sent and being listed, when the storage itself is restored from a copy; twice is not chance.
	for round := 0; ; round++ {
		if u.State != glance.UploadOpen {
			return u, nil
		}
		if err := s.send(ctx, u); err != nil {
			return nil, s.abortIfChanged(ctx, u, err)
		}
		if err := s.Source.Check(); err != nil {
			return nil, s.abortIfChanged(ctx, u, err)
		}
		var after *glance.Upload
		err := s.Patience.Do(ctx, func() (err error) {
			after, err = s.API.CompleteUpload(ctx, u.ImageID, u.ID)
			return err
		})
		if err == nil {
			return after, nil
		}
		if glance.StatusOf(err) != http.StatusConflict || round == 2 {
			return nil, fmt.Errorf("complete the upload: %w", err)
		}
		if u, err = s.status(ctx, u); err != nil {
			return nil, err
		}
	}
}

// abortIfChanged gives the upload up when that is the right answer to err.
func (s *Sender) abortIfChanged(ctx context.Context, u *glance.Upload, err error) error {
	changed, ok := errors.AsType[*Changed](err)
	if !ok {
		return err
	}
	// The abort must not be lost because the same moment brought a Ctrl-C.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if abortErr := s.API.AbortUpload(ctx, u.ImageID, u.ID); abortErr != nil && glance.StatusOf(abortErr) != http.StatusNotFound {
		return fmt.Errorf("%w; giving the upload up failed too: %w", changed, abortErr)
	}
	changed.Aborted = true
	return changed
}

// status reads the upload, and fails with Ended when there is none.
func (s *Sender) status(ctx context.Context, u *glance.Upload) (now *glance.Upload, err error) {
	err = s.Patience.Do(ctx, func() (err error) {
		now, err = s.API.UploadStatus(ctx, u.ImageID, u.ID)
		return err
	})
	if glance.StatusOf(err) == http.StatusNotFound {
		return nil, &Ended{UploadID: u.ID}
	}
	return now, err
}

// send sends every part that the document does not list.
func (s *Sender) send(ctx context.Context, u *glance.Upload) error {
	p, err := newPlan(u, s.Source.Size())
	if err != nil {
		return err
	}
	s.Progress.begin(p.size, p.size-p.left())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{Sender: s, upload: u, plan: p, good: time.Now()}
	var workers sync.WaitGroup
	for range max(1, min(cmp.Or(s.Parallel, Parallel), len(p.todo))) {
		workers.Go(func() {
			if err := r.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// run is one send.
type run struct {
	*Sender
	upload *glance.Upload

	mu   sync.Mutex
	plan *plan
	good time.Time // when a part arrived last

	signing sync.Mutex // one call signs for all who wait
}

func (r *run) work(ctx context.Context) error {
	for ctx.Err() == nil {
		r.mu.Lock()
		n, ok := r.plan.take()
		r.mu.Unlock()
		if !ok {
			return nil
		}
		if err := r.part(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// mostSignatures are tried on one part before it is believed that the storage means it.
const mostSignatures = 4

// part sends one part, however often it takes.
func (r *run) part(ctx context.Context, n int) error {
	var s spell
	for signatures := 0; ; {
		signed, fresh, err := r.signature(ctx, n)
		if err != nil {
			return err
		}
		if fresh {
			signatures++
		}
		answer, err := r.put(ctx, n, signed)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, retryable := errors.AsType[*glance.Unreachable](err); err != nil && !retryable {
			return err
		}
		what := again
		if err == nil {
			what = judge(answer.Status, answer.code)
		}
		switch what {
		case sent:
			r.mu.Lock()
			r.good = time.Now()
			r.mu.Unlock()
			return nil
		case again:
			if err == nil {
				err = answer.Error
			} else if s.tries > 0 {
				r.unsign(n) // a server that came back may be at another address
			}
		case resign:
			if r.unsign(n); signatures < mostSignatures {
				continue
			}
			return fmt.Errorf("the storage refuses part %d although it was just signed: %w", n, answer.Error)
		case look:
			done, lookErr := r.arrived(ctx, n)
			if done || lookErr != nil {
				return lookErr
			}
			return fmt.Errorf("send part %d: %w", n, answer.Error)
		case refuse:
			return fmt.Errorf("send part %d: %w", n, answer.Error)
		}
		r.mu.Lock()
		if r.good.After(s.since) && !s.since.IsZero() {
			s.since = r.good
		}
		r.mu.Unlock()
		if err := s.wait(ctx, r.Patience, err); err != nil {
			return err
		}
	}
}

// signature is the request that sends part n; fresh says that the service signed it just now.
func (r *run) signature(ctx context.Context, n int) (signed glance.SignedPart, fresh bool, err error) {
	at := func() (glance.SignedPart, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		signed, ok := r.plan.signed[n]
		return signed, ok
	}
	if signed, ok := at(); ok {
		return signed, false, nil
	}
	r.signing.Lock()
	defer r.signing.Unlock()
	if signed, ok := at(); ok {
		return signed, true, nil
	}
	r.mu.Lock()
	numbers := r.plan.unsigned(n)
	r.mu.Unlock()
	var doc *glance.Upload
	err = r.Patience.Do(ctx, func() (err error) {
		doc, err = r.API.SignParts(ctx, r.upload.ImageID, r.upload.ID, numbers)
		return err
	})
	if status := glance.StatusOf(err); status == http.StatusConflict || status == http.StatusNotFound {
		if _, lookErr := r.arrived(ctx, n); lookErr != nil {
			return signed, false, lookErr
		}
	}
	if err != nil {
		return signed, false, fmt.Errorf("sign more parts: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.plan.keep(doc.Signed); err != nil {
		return signed, false, err
	}
	signed, ok := r.plan.signed[n]
	if !ok {
		return signed, false, fmt.Errorf("the service did not sign part %d when asked to", n)
	}
	return signed, true, nil
}

func (r *run) unsign(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.plan.signed, n)
}

// arrived asks whether part n is there already. The error is Ended when the upload no longer takes parts.
func (r *run) arrived(ctx context.Context, n int) (bool, error) {
	now, err := r.status(ctx, r.upload)
	if err != nil {
		return false, err
	}
	_, length := r.plan.span(n)
	for _, part := range now.Have {
		if part.Number == n && part.Size == length {
			r.Progress.add(length)
			return true, nil
		}
	}
	switch now.State {
	case glance.UploadOpen:
		return false, nil
	case glance.UploadReceived, glance.UploadAccepted:
		return true, nil // somebody else sent the rest and completed it
	}
	return false, &Ended{now.ID, now.State}
}

// answer is what the storage said.
type answer struct {
	*glance.Error
	code string // S3's
}

// put makes one attempt. Errors of the network are *glance.Unreachable; others are of the file or of the signature.
func (r *run) put(ctx context.Context, n int, signed glance.SignedPart) (answer, error) {
	off, length := r.plan.span(n)
	body, err := r.Source.section(off, length)
	if err != nil {
		return answer{}, err
	}
	defer body.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, body)
	if err != nil {
		return answer{}, fmt.Errorf("the service signed part %d with an address that is not a URL", n)
	}
	req.ContentLength = length
	for name, value := range signed.Headers {
		switch {
		case isContentLength(name):
		case strings.EqualFold(name, "Host"):
			req.Host = value
		default:
			req.Header.Set(name, value)
		}
	}
	var arrived int64
	r.Progress.fly(body)
	defer func() { r.Progress.land(body, arrived) }()
	defer watch(body.position, length, cancel)()

	resp, err := r.API.Data.Do(req)
	if err != nil {
		if changed := r.Source.Check(); changed != nil {
			return answer{}, changed // the reason for the failure, most likely
		}
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		return answer{}, glance.HideURL(err, req.URL.Host)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return answer{}, glance.HideURL(err, req.URL.Host)
	}
	code, message := glance.StorageError(text)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		arrived = length
	}
	said := strings.TrimSpace(fmt.Sprintf("the storage answered %d %s %s", resp.StatusCode, code, message))
	return answer{&glance.Error{Status: resp.StatusCode, Message: said, RetryAfter: glance.RetryAfter(resp.Header, time.Now())}, code}, nil
}

func isContentLength(name string) bool { return strings.EqualFold(name, "Content-Length") }
