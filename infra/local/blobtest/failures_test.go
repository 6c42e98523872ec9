package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/proctest"
	"bullion/internal/s3store"
	"bullion/internal/s3store/blobtest"
)

const key = "images/0b6d5d0e-1f0e-4d5c-9a39-6a1c5d0b7a11/5f1e8a3c-7a44-4c9e-8f0a-2f3f0f6f1b22"

// fault is what happens to the first so many requests of a kind on their way to the engine.
type fault struct {
	request func(*http.Request) bool
	times   int32
	status  int    // of an answer that the engine does not give; 0: the engine does what it is asked, and its answer is lost
	body    string // of that answer
	lost    func() // called when the answer is lost, before the connection is cut; may be nil
	met     atomic.Int32
}

// faulty is an endpoint that is the engine but for the faults.
func faulty(t *testing.T, faults ...*fault) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range faults {
			if !f.request(r) || f.met.Add(1) > f.times {
				continue
			}
			if f.status != 0 {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(f.status)
				io.WriteString(w, f.body)
				return
			}
			forward.ServeHTTP(httptest.NewRecorder(), r)
			if f.lost != nil {
				f.lost()
			}
			panic(http.ErrAbortHandler) // cuts the connection
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func is(method, query string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if r.Method != method || !strings.HasPrefix(r.URL.Path, "/bucket-") || strings.Count(r.URL.Path, "/") < 2 {
			return false
		}
		q := r.URL.Query()
		if query == "" {
			return !q.Has("uploadId") && !q.Has("uploads") && !q.Has("partNumber")
		}
		return q.Has(query)
	}
}

var (
	putObject = is(http.MethodPut, "")
	putPart   = is(http.MethodPut, "partNumber")
	begin     = is(http.MethodPost, "uploads")
	complete  = is(http.MethodPost, "uploadId")
	abort     = is(http.MethodDelete, "uploadId")
)

// Answers of S3 as it documents them.
const (
	slowDown      = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>656c76696e6727732072657175657374</RequestId></Error>`
	internalError = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message><RequestId>656c76696e6727732072657175657374</RequestId><HostId>Uuag1LuByRx9e6j5Onimru9pO4ZVKnJ2Qz7/C1NPcfTWAtRPfTaOFg==</HostId></Error>`
	conflicting   = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>ConditionalRequestConflict</Code><Message>The conditional request cannot succeed due to a conflicting operation against this resource.</Message><Condition>If-None-Match</Condition></Error>`
)

const always = 1 << 30

func TestPutThroughFailures(t *testing.T) {
	const small, large = 1000, 40 << 20
	for _, c := range []struct {
		name  string
		size  int
		fault *fault
		want  images.Kind
		fails bool
	}{
		{"an answer that is lost does not make the object somebody else's", small, &fault{request: putObject, times: 1}, 0, false},
		{"an object is stored though no answer arrives", small, &fault{request: putObject, times: always}, 0, false},
		{"a completion whose answer is lost is a success", large, &fault{request: complete, times: 1}, 0, false},
		{"a completion is a success though no answer arrives", large, &fault{request: complete, times: always}, 0, false},
		{"parts whose answers are lost are sent again", large, &fault{request: putPart, times: 2}, 0, false},
		{"S3 may ask to slow down", small, &fault{request: putObject, times: 2, status: 503, body: slowDown}, 0, false},
		{"S3 may ask to slow down for a part", large, &fault{request: putPart, times: 2, status: 503, body: slowDown}, 0, false},
		{"a completion that fails after it began to answer is tried again", large, &fault{request: complete, times: 1, status: 200, body: internalError}, 0, false},
		{"a completion that always fails so is Unavailable", large, &fault{request: complete, times: always, status: 200, body: internalError}, images.Unavailable, true},
		{"a part that always fails is Unavailable", large, &fault{request: putPart, times: always, status: 500, body: internalError}, images.Unavailable, true},
		{"an object that always fails is Unavailable", small, &fault{request: putObject, times: always, status: 503, body: slowDown}, images.Unavailable, true},
		{"an upload that cannot begin is Unavailable", large, &fault{request: begin, times: always, status: 503, body: slowDown}, images.Unavailable, true},
		{"a write that goes on at the same time is a Conflict", small, &fault{request: putObject, times: always, status: 409, body: conflicting}, images.Conflict, true},
		{"a completion that goes on at the same time is a Conflict", large, &fault{request: complete, times: always, status: 409, body: conflicting}, images.Conflict, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, faulty(t, c.fault), s3store.Options{})
			want := noise(c.size)
			blob, err := b.Put(t.Context(), key, bytes.NewReader(want), int64(c.size))
			if c.fault.met.Load() == 0 {
				t.Fatal("the fault did not happen")
			}
			if c.fails {
				if err == nil || images.KindOf(err) != c.want {
					t.Errorf("got error %v, want one of kind %d", err, c.want)
				}
				checkEmpty(t, b)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			head, err := b.Head(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head, blob); diff != "" {
				t.Errorf("(-head +put)\n%s", diff)
			}
			checkBytes(t, b, blob, want)
			checkNoMultipart(t, b)
		})
	}
}

func TestPutDeletesWhatIsStoredAfterTheCallerGaveUp(t *testing.T) {
	for name, c := range map[string]struct {
		size  int
		write func(*http.Request) bool
	}{"one request": {1000, putObject}, "parts": {40 << 20, complete}} {
		t.Run(name, func(t *testing.T) {
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			stored := make(chan struct{})
			// The engine stores the object, and nobody hears of it, since the caller gives up before the answer.
			late := &fault{times: 1, request: func(r *http.Request) bool {
				if !c.write(r) {
					return false
				}
				*r = *r.WithContext(context.WithoutCancel(r.Context()))
				return true
			}, lost: func() { close(stored); giveUp() }}
			b := open(t, faulty(t, late), s3store.Options{})
			_, err := b.Put(ctx, key, bytes.NewReader(noise(c.size)), int64(c.size))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want %v", err, context.Canceled)
			}
			select {
			case <-stored:
			default:
				t.Fatal("the object was not stored, so nothing was tested")
			}
			checkEmpty(t, b)
		})
	}
}

func TestCompleteMultipartWhoseAnswerIsLostLeavesTheObjectToHead(t *testing.T) {
	b := open(t, faulty(t, &fault{request: complete, times: 1}), s3store.Options{})
	ctx := t.Context()
	id, err := b.CreateMultipart(ctx, key, images.MinPartSize)
	if err != nil {
		t.Fatal(err)
	}
	want := noise(1000)
	r, err := b.PresignPart(ctx, key, id, 1, int64(len(want)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(r.Method, r.URL, bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	parts, err := b.Parts(ctx, key, id)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := b.CompleteMultipart(ctx, key, id, parts)
	if err != nil && images.KindOf(err) != images.NotFound && images.KindOf(err) != images.Conflict {
		t.Errorf("got error %v, want none, or one of kind NotFound or Conflict", err)
	}
	head, headErr := b.Head(ctx, key)
	if headErr != nil {
		t.Fatal(headErr)
	}
	if err == nil && head != blob {
		t.Errorf("got %+v, the object is %+v", blob, head)
	}
	checkBytes(t, b, head, want)
}

func TestAbortMultipartInsists(t *testing.T) {
	ignored := &fault{request: abort, times: 2, status: 204} // as when parts land after the upload was aborted
	b := open(t, faulty(t, ignored), s3store.Options{})
	id, err := b.CreateMultipart(t.Context(), key, images.MinPartSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AbortMultipart(t.Context(), key, id); err != nil {
		t.Error(err)
	}
	if got := ignored.met.Load(); got != 3 {
		t.Errorf("got %d requests to abort, want 3", got)
	}
	checkNoMultipart(t, b)
}

func TestAbortMultipartEndsWithTheContext(t *testing.T) {
	b := open(t, faulty(t, &fault{request: abort, times: always, status: 204}), s3store.Options{})
	id, err := b.CreateMultipart(t.Context(), key, images.MinPartSize)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.AbortMultipart(ctx, key, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestAStoreThatIsOutOfReachIsUnavailable(t *testing.T) {
	nobody, err := proctest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s3store.New(newClient(t, "http://"+nobody), "bucket-0", s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(b) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(t.Context()); images.KindOf(err) != images.Unavailable {
				t.Errorf("got error %v of kind %d, want kind Unavailable", err, images.KindOf(err))
			}
		})
	}
}

func TestAStoreThatRefusesUsIsNotMistakenForAnEmptyOne(t *testing.T) {
	client, err := s3store.NewClient(s3store.Config{Endpoint: endpoint, Region: region, AccessKey: accessKey, SecretKey: "not the secret", PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	name := open(t, endpoint, s3store.Options{}).Name
	b, err := s3store.New(client, name, s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(b) {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context())
			if err == nil || name != "Check" && images.KindOf(err) != images.Internal {
				t.Errorf("got error %v of kind %d, want kind Internal", err, images.KindOf(err))
			}
			if err != nil && strings.Contains(err.Error(), "not the secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestABucketThatDoesNotExistIsFoundByCheck(t *testing.T) {
	b, err := s3store.New(newClient(t, endpoint), "bucket-none", s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); images.KindOf(err) != images.Unavailable {
		t.Errorf("Check: got error %v, want one of kind Unavailable", err)
	}
	if _, err := b.Put(t.Context(), key, strings.NewReader("x"), 1); err == nil || images.KindOf(err) != images.Internal {
		t.Errorf("Put: got error %v, want one of kind Internal", err)
	}
	is, err := s3store.New(newClient(t, endpoint), open(t, endpoint, s3store.Options{}).Name, s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := is.Check(t.Context()); err != nil {
		t.Errorf("Check of a bucket that exists: %v", err)
	}
}

// calls are the methods that reach S3.
func calls(b *s3store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Check":           b.Check,
		"CreateMultipart": func(ctx context.Context) error { _, err := b.CreateMultipart(ctx, key, images.MinPartSize); return err },
		"Parts":           func(ctx context.Context) error { _, err := b.Parts(ctx, key, "upload"); return err },
		"CompleteMultipart": func(ctx context.Context) error {
			_, err := b.CompleteMultipart(ctx, key, "upload", []images.Part{{Number: 1, ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 1}})
			return err
		},
		"AbortMultipart": func(ctx context.Context) error { return b.AbortMultipart(ctx, key, "upload") },
		"Put":            func(ctx context.Context) error { _, err := b.Put(ctx, key, strings.NewReader("x"), 1); return err },
		"Head":           func(ctx context.Context) error { _, err := b.Head(ctx, key); return err },
		"Range": func(ctx context.Context) error {
			_, err := b.Range(ctx, images.Blob{Key: key, ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 1}, 0, 1)
			return err
		},
		"Delete": func(ctx context.Context) error { return b.Delete(ctx, key) },
		"List":   func(ctx context.Context) error { return b.List(ctx, "", "", func(images.Stored) bool { return true }) },
		"ListMultipart": func(ctx context.Context) error {
			return b.ListMultipart(ctx, "", "", func(images.OpenMultipart) bool { return true })
		},
	}
}

// noise makes n bytes, the same every time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func checkBytes(t *testing.T, b blobtest.Bucket, blob images.Blob, want []byte) {
	t.Helper()
	r, err := b.Range(t.Context(), blob, 0, blob.Size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes (error %v), want %d", len(got), err, len(want))
	}
}

func checkEmpty(t *testing.T, b blobtest.Bucket) {
	t.Helper()
	if err := b.List(t.Context(), "", "", func(s images.Stored) bool { t.Errorf("an object is left: %+v", s); return true }); err != nil {
		t.Error(err)
	}
	checkNoMultipart(t, b)
}

func checkNoMultipart(t *testing.T, b blobtest.Bucket) {
	t.Helper()
	err := b.ListMultipart(t.Context(), "", "", func(u images.OpenMultipart) bool { t.Errorf("a multipart upload is left open: %+v", u); return true })
	if err != nil {
		t.Error(err)
	}
}
