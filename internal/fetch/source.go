package fetch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A stream may break this often, and once more for so many bytes.
const (
	mendings  = 32
	mendEvery = 4 << 20
)

// HeadSize is how many of the first bytes Open looks at.
const HeadSize = 16

// Source is one file at an address, pinned to what it was when it was opened.
type Source struct {
	// Size is the length in bytes; -1 when the source does not say.
	Size int64
	// Ranges says whether parts can be asked for.
	Ranges bool
	// Validator is a strong ETag or a date that changes when the file does; "" when the source gives none.
	Validator string
	// Head are the first bytes, HeadSize at most.
	Head []byte

	client  *Client
	address string // as it was given
	token   string // that the address wants; "" for none
	final   atomic.Pointer[string]
}

// Open asks for the first bytes of the file and learns what the source can do. Failures that may pass are tried again.
func (c *Client) Open(ctx context.Context, address string) (*Source, error) {
	return c.OpenAs(ctx, address, "")
}

// OpenAs is Open with an OpenStack token, which is sent to the address alone and not to where it redirects.
func (c *Client) OpenAs(ctx context.Context, address, token string) (*Source, error) {
	var s *Source
	err := c.Retry(ctx, func() (_ bool, err error) {
		s, err = c.open(ctx, address, token)
		return false, err
	})
	return s, err
}

func (c *Client) open(ctx context.Context, address, token string) (*Source, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := c.get(ctx, address, token, fmt.Sprintf("bytes=0-%d", HeadSize-1), "")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	s := &Source{Size: -1, client: c, address: address, token: token}
	s.remember(answer)
	switch answer.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, failed(empty, errors.New("416 for the first bytes"))
	case http.StatusPartialContent:
		first, _, total, err := contentRange(answer.Header)
		if err != nil || first != 0 {
			return nil, failed(lied, fmt.Errorf("Content-Range %q for the first bytes: %w", answer.Header.Get("Content-Range"), err))
		}
		s.Size, s.Ranges = total, total >= 0
	default:
		s.Size = answer.ContentLength
	}
	s.Validator = validator(answer.Header)
	body := watch(answer.Body, c.stall, cancel)
	defer body.stop()
	head := make([]byte, HeadSize)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || s.Size >= 0 && int64(n) < min(HeadSize, s.Size) {
		return nil, BrokeOff(fmt.Errorf("%d of the first bytes: %w", n, err))
	}
	if n == 0 {
		return nil, failed(empty, nil)
	}
	s.Head = head[:n]
	return s, nil
}

// remember keeps where the redirects ended, so that every range comes from the same mirror.
func (s *Source) remember(answer *http.Response) {
	final := answer.Request.URL.String()
	s.final.Store(&final)
}

// validator is what If-Range takes: a strong ETag, else the date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); len(tag) > 2 && len(tag) <= 256 && tag[0] == '"' {
		return tag
	}
	if date := h.Get("Last-Modified"); date != "" && len(date) <= 64 {
		if _, err := http.ParseTime(date); err == nil {
			return date
		}
	}
	return ""
}

// contentRange reads "bytes first-last/total"; total is -1 for an asterisk.
func contentRange(h http.Header) (first, last, total int64, err error) {
	text, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes ")
	span, totalText, ok2 := strings.Cut(text, "/")
	a, b, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, errors.New("it is not bytes first-last/total")
	}
	total = -1
	if totalText != "*" {
		total, err = strconv.ParseInt(totalText, 10, 64)
	}
	var err1, err2 error
	first, err1 = strconv.ParseInt(a, 10, 64)
	last, err2 = strconv.ParseInt(b, 10, 64)
	err = errors.Join(err, err1, err2)
	if err == nil && (first < 0 || last < first || total != -1 && last >= total) {
		err = errors.New("its numbers contradict one another")
	}
	return first, last, total, err
}

// Range reads n bytes from off, which must be in the file, once: the caller tries again. Any other file, and any other part of it, is an error.
func (s *Source) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	answer, err := s.get(ctx, fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if err != nil {
		cancel()
		return nil, err
	}
	if err := s.same(answer, off, off+n-1); err != nil {
		answer.Body.Close()
		cancel()
		return nil, err
	}
	return &body{Reader: &exactly{r: watch(answer.Body, s.client.stall, cancel), left: n}, close: func() { cancel(); answer.Body.Close() }}, nil
}

// get asks where the redirects ended; when that answer is an error, as of a signed address that has expired, it follows them anew.
func (s *Source) get(ctx context.Context, rng string) (*http.Response, error) {
	if final := *s.final.Load(); final != s.address {
		if answer, err := s.client.get(ctx, final, "", rng, s.Validator); err == nil || ctx.Err() != nil {
			return answer, err
		}
	}
	answer, err := s.client.get(ctx, s.address, s.token, rng, s.Validator)
	if err == nil {
		s.remember(answer)
	}
	return answer, err
}

// same says whether an answer to a request for a range is that range of the pinned file.
func (s *Source) same(answer *http.Response, first, last int64) error {
	if answer.StatusCode != http.StatusPartialContent {
		return hasChanged("status %d for bytes %d-%d", answer.StatusCode, first, last)
	}
	f, l, total, err := contentRange(answer.Header)
	switch now := validator(answer.Header); {
	case err != nil:
		return failed(lied, fmt.Errorf("Content-Range %q: %w", answer.Header.Get("Content-Range"), err))
	case now != s.Validator:
		return hasChanged("it is now %s, was %s", now, s.Validator)
	case total != s.Size:
		return hasChanged("it has now %d bytes, had %d", total, s.Size)
	case f != first || l != last:
		return failed(lied, fmt.Errorf("bytes %d-%d instead of %d-%d", f, l, first, last))
	}
	return nil
}

// Reader reads the whole file as one stream. A connection that breaks is mended where the source has ranges and a validator.
func (s *Source) Reader(ctx context.Context) io.ReadCloser {
	return &reader{ctx: ctx, source: s}
}

type reader struct {
	ctx    context.Context
	source *Source
	body   io.ReadCloser
	n      int64 // bytes given out
	mended int64 // connections that went on where one broke
	done   bool
	err    error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.done || r.err != nil {
		return 0, cmp.Or(r.err, io.EOF)
	}
	if len(p) == 0 {
		return 0, nil
	}
	got := 0
	mends := r.source.Ranges && r.source.Validator != ""
	r.err = r.source.client.Retry(r.ctx, func() (bool, error) {
		if r.body == nil {
			if r.n > 0 {
				// A source that breaks at every byte gets further with each, and would never be given up.
				if r.mended++; r.mended > mendings+r.n/mendEvery {
					return false, failed(broken, fmt.Errorf("broke off %d times within %d bytes", r.mended, r.n))
				}
			}
			var err error
			if r.body, err = r.begin(); err != nil {
				return false, err
			}
		}
		n, err := r.body.Read(p)
		r.n += int64(n)
		got = n
		switch {
		case n > 0 && (err == nil || errors.Is(err, io.EOF)):
			if errors.Is(err, io.EOF) {
				r.done = r.complete() // if not, the next call mends or fails
			}
			return true, nil
		case errors.Is(err, io.EOF) && r.complete():
			r.done = true
			return true, nil
		case err == nil:
			return false, nil
		}
		r.drop()
		if n > 0 && mends {
			return true, nil // the next call mends
		}
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{Message: broken, Temporary: true, Cause: fmt.Errorf("after %d bytes: %w", r.n, err)}
		}
		if r.n > 0 && !mends { // nothing to go on with
			e = &Error{Message: e.Message, Cause: e}
		}
		return false, e
	})
	if r.err != nil {
		return got, r.err
	}
	if r.done && got == 0 {
		return 0, io.EOF
	}
	return got, nil
}

// complete says whether what was given out is the file, as far as the source told its size.
func (r *reader) complete() bool { return r.source.Size < 0 || r.n == r.source.Size }

func (r *reader) begin() (io.ReadCloser, error) {
	s := r.source
	if s.Ranges {
		if r.n >= s.Size {
			return io.NopCloser(bytes.NewReader(nil)), nil
		}
		return s.Range(r.ctx, r.n, s.Size-r.n)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	answer, err := s.get(ctx, "")
	if err != nil {
		cancel()
		return nil, err
	}
	if answer.StatusCode != http.StatusOK || validator(answer.Header) != s.Validator || s.Size >= 0 && answer.ContentLength != s.Size {
		answer.Body.Close()
		cancel()
		return nil, hasChanged("status %d, %s, %d bytes", answer.StatusCode, validator(answer.Header), answer.ContentLength)
	}
	return &body{Reader: watch(answer.Body, s.client.stall, cancel), close: func() { cancel(); answer.Body.Close() }}, nil
}

func (r *reader) drop() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

func (r *reader) Close() error {
	r.drop()
	return nil
}

type body struct {
	io.Reader
	close func()
}

func (b *body) Close() error {
	b.close()
	return nil
}

// exactly reads the promised number of bytes; fewer are an error.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = BrokeOff(fmt.Errorf("%d bytes are missing: %w", e.left, io.ErrUnexpectedEOF))
	}
	return n, err
}

// watched ends a request whose body gives nothing for too long.
type watched struct {
	r       io.Reader
	stall   time.Duration
	timer   *time.Timer
	stalled atomic.Bool
}

func watch(r io.Reader, stall time.Duration, cancel context.CancelFunc) *watched {
	w := &watched{r: r, stall: stall}
	w.timer = time.AfterFunc(stall, func() {
		w.stalled.Store(true)
		cancel()
	})
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall) // runs only while a read waits: a slow taker is not the source's fault
	n, err := w.r.Read(p)
	w.timer.Stop()
	if err != nil && w.stalled.Load() {
		err = &Error{Message: tooSlow, Temporary: true, Cause: err}
	}
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }
