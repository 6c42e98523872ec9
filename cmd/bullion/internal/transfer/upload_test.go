package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/cmd/bullion/internal/glance"
)

const kib = 1 << 10

func TestUploadsArriveWhole(t *testing.T) {
	const size, part = 1000*kib + 7, 64 * kib
	once := func(fault func(w http.ResponseWriter, r *http.Request) bool) func(http.ResponseWriter, *http.Request, int, int) bool {
		return func(w http.ResponseWriter, r *http.Request, n, attempt int) bool { return attempt == 1 && fault(w, r) }
	}
	tests := []struct {
		name   string
		part   int64
		signed int // by the opening
		setUp  func(v *vault)
		check  func(t *testing.T, v *vault)
	}{
		{name: "in parts, the last one short", part: part, signed: 16},
		{name: "in one request", part: size, signed: 1},
		{name: "when the opening signed nothing", part: part},
		{name: "in more parts than one call signs", part: 4 * kib, signed: 16, check: func(t *testing.T, v *vault) {
			if got, want := v.signings(200), 1; got != want {
				t.Errorf("part 200 was signed %d times, want %d", got, want)
			}
		}},
		{name: "through errors of the storage", part: part, signed: 16, setUp: func(v *vault) {
			v.onPart = func(w http.ResponseWriter, r *http.Request, n, attempt int) bool {
				statuses := []int{500, 503, 429, 408}
				if n%3 != 0 || attempt > len(statuses) {
					return false
				}
				xmlError(w, statuses[attempt-1], "SlowDown", "Please reduce your request rate.")
				return true
			}
		}},
		{name: "through connections that are cut before the answer", part: part, signed: 16, setUp: func(v *vault) {
			v.onPart = once(func(w http.ResponseWriter, r *http.Request) bool { return cut(w) })
		}},
		{name: "through connections that are cut inside the body", part: part, signed: 16, setUp: func(v *vault) {
			v.onPart = once(func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = io.CopyN(io.Discard, r.Body, 10*kib)
				return cut(w)
			})
		}},
		{name: "when the storage reports a cut body as a bad request", part: part, signed: 16, setUp: func(v *vault) {
			v.onPart = once(func(w http.ResponseWriter, r *http.Request) bool {
				xmlError(w, 400, "IncompleteBody", "You did not provide the number of bytes")
				return true
			})
		}},
		{name: "when signatures have expired", part: part, signed: 16, setUp: func(v *vault) {
			for n := range 17 {
				v.revoked[fmt.Sprintf("%d.1", n)] = true
			}
		}, check: func(t *testing.T, v *vault) {
			if got, want := v.signings(3), 2; got != want {
				t.Errorf("part 3 was signed %d times, want %d", got, want)
			}
		}},
		{name: "when the signer's own credentials have expired", part: part, signed: 16, setUp: func(v *vault) {
			v.onPart = once(func(w http.ResponseWriter, r *http.Request) bool {
				xmlError(w, 400, "ExpiredToken", "The provided token has expired.")
				return true
			})
		}},
		{name: "when the answer to the only request is lost", part: size, signed: 1, setUp: func(v *vault) {
			v.onPart = once(func(w http.ResponseWriter, r *http.Request) bool {
				body, _ := io.ReadAll(r.Body)
				v.keep(1, body)
				return cut(w)
			})
		}, check: func(t *testing.T, v *vault) {
			if got, want := v.tried(1), 2; got != want {
				t.Errorf("the request was sent %d times, want %d: the second finds the object there", got, want)
			}
		}},
		{name: "when the service fails for a while", part: 4 * kib, signed: 1, setUp: func(v *vault) {
			var calls atomic.Int32
			v.onAPI = func(w http.ResponseWriter, r *http.Request) bool {
				switch calls.Add(1) {
				case 1:
					deny(w, 503, "Later.")
					return true
				case 2:
					return cut(w)
				}
				return false
			}
		}},
		{name: "when a part that was sent is not there at the end", part: part, signed: 16, setUp: func(v *vault) {
			var lost sync.Once
			v.onAPI = func(w http.ResponseWriter, r *http.Request) bool {
				lost.Do(func() {
					v.mu.Lock()
					defer v.mu.Unlock()
					delete(v.parts, 2)
				})
				return false
			}
		}, check: func(t *testing.T, v *vault) {
			if got, want := v.tried(2), 2; got != want {
				t.Errorf("part 2 was sent %d times, want %d", got, want)
			}
			if got, want := v.tried(3), 1; got != want {
				t.Errorf("part 3 was sent %d times, want %d", got, want)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, size, test.part)
			path, content := file(t, size)
			if test.setUp != nil {
				test.setUp(v)
			}
			s := v.sender(path)
			u, err := s.Run(t.Context(), v.opened(test.signed))
			if err != nil {
				t.Fatalf("the upload failed: %v", err)
			}
			if got, want := u.State, glance.UploadReceived; got != want {
				t.Errorf("the upload is %s, want %s", got, want)
			}
			v.mustHold(content)
			if done, total, _ := s.Progress.Now(); done != total || total != size {
				t.Errorf("progress ends at %d of %d, want %d of it", done, total, size)
			}
			if test.check != nil {
				test.check(t, v)
			}
		})
	}
}

func TestAResumedUploadSendsOnlyWhatIsMissing(t *testing.T) {
	const size, part = 640 * kib, 64 * kib
	v := newVault(t, size, part)
	path, content := file(t, size)
	for _, n := range []int{1, 2, 4, 9} {
		v.keep(n, content[(n-1)*part:n*part])
	}
	v.keep(5, content[4*part:4*part+100]) // cut short by something: sent again
	s := v.sender(path)
	if _, err := s.Run(t.Context(), v.opened(0)); err != nil {
		t.Fatalf("the upload failed: %v", err)
	}
	v.mustHold(content)
	if diff := cmp.Diff([]int{3, 5, 6, 7, 8, 10}, v.attempted()); diff != "" {
		t.Errorf("parts that were sent (-want +got):\n%s", diff)
	}
	if _, _, before := s.Progress.Now(); before != 4*part {
		t.Errorf("progress says that %d bytes were there before, want %d", before, 4*part)
	}
}

func TestUploadsThatCannotSucceedEndAtOnce(t *testing.T) {
	const size, part = 256 * kib, 64 * kib
	answer := func(status int, code string) func(*vault) {
		return func(v *vault) {
			v.onPart = func(w http.ResponseWriter, r *http.Request, n, attempt int) bool {
				if n != 2 {
					return false
				}
				xmlError(w, status, code, "No.")
				return true
			}
		}
	}
	tests := []struct {
		name     string
		setUp    func(v *vault)
		attempts int // of part 2
		says     string
	}{
		{"when the storage calls the request wrong", answer(400, "InvalidArgument"), 1, "the storage answered 400 InvalidArgument No."},
		{"when the storage cannot do that", answer(501, "NotImplemented"), 1, "501 NotImplemented"},
		{"when fresh signatures are refused again and again", answer(403, "SignatureDoesNotMatch"), mostSignatures + 1, "although it was just signed"},
		{"when the part may not be there and is not", answer(412, "PreconditionFailed"), 1, "412 PreconditionFailed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, size, part)
			path, _ := file(t, size)
			test.setUp(v)
			_, err := v.sender(path).Run(t.Context(), v.opened(16))
			if err == nil || !contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if got, want := v.tried(2), test.attempts; got != want {
				t.Errorf("part 2 was sent %d times, want %d", got, want)
			}
			if got, want := v.opened(0).State, "open"; got != want {
				t.Errorf("the upload is %s, want %s: it can be resumed", got, want)
			}
		})
	}
}

func TestAnUploadThatIsGivenUpElsewhereEnds(t *testing.T) {
	const size, part = 256 * kib, 64 * kib
	v := newVault(t, size, part)
	path, _ := file(t, size)
	v.onPart = func(w http.ResponseWriter, r *http.Request, n, attempt int) bool {
		v.mu.Lock()
		v.state = "aborted"
		v.mu.Unlock()
		xmlError(w, 404, "NoSuchUpload", "The specified upload does not exist.")
		return true
	}
	_, err := v.sender(path).Run(t.Context(), v.opened(16))
	if ended, ok := errors.AsType[*Ended](err); !ok || ended.State != "aborted" {
		t.Errorf("error %v, want that the upload is aborted", err)
	}
}

func TestAFileThatChangesEndsItsUpload(t *testing.T) {
	const size, part = 512 * kib, 64 * kib
	must := func(t *testing.T, err error) {
		if err != nil {
			t.Errorf("change the file: %v", err)
		}
	}
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		what   string
	}{
		{"when it grows", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write([]byte("more"))
			must(t, errors.Join(err, f.Close()))
		}, "grew from 524288 to 524292 bytes"},
		{"when it shrinks", func(t *testing.T, path string) { must(t, os.Truncate(path, 3*part)) }, "shrank from 524288 to 196608 bytes"},
		{"when it is written to", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("other"), 5)
			must(t, errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Now().Add(time.Second))))
		}, "was written to"},
		{"when it is replaced", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", make([]byte, size), 0o600))
			must(t, os.Rename(path+".new", path))
		}, "was replaced by another file"},
		{"when it is removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }, "was removed"},
	}
	for _, test := range tests {
		for _, n := range []int{2, 8} { // under way, and with the last part
			t.Run(fmt.Sprintf("%s while part %d travels", test.name, n), func(t *testing.T) {
				t.Parallel()
				v := newVault(t, size, part)
				path, _ := file(t, size)
				var once sync.Once
				v.onPart = func(w http.ResponseWriter, r *http.Request, number, attempt int) bool {
					if number == n {
						once.Do(func() { test.change(t, path) })
					}
					return false
				}
				_, err := v.sender(path).Run(t.Context(), v.opened(16))
				changed, ok := errors.AsType[*Changed](err)
				if !ok || changed.What != test.what || !changed.Aborted {
					t.Fatalf("error %#v, want that the file %s, and that the upload was aborted", err, test.what)
				}
				if got, want := v.opened(0).State, "aborted"; got != want {
					t.Errorf("the upload is %s, want %s: nothing is left behind", got, want)
				}
				if v.completed() != 0 {
					t.Error("the upload was completed")
				}
			})
		}
	}
}

func TestAnInterruptedUploadStaysOpenAndCanBeResumed(t *testing.T) {
	const size, part = 640 * kib, 64 * kib
	v := newVault(t, size, part)
	path, content := file(t, size)
	ctx, interrupt := context.WithCancel(t.Context())
	var arrived atomic.Int32
	var calm atomic.Bool
	v.onPart = func(w http.ResponseWriter, r *http.Request, n, attempt int) bool {
		if calm.Load() || arrived.Add(1) < 5 {
			return false
		}
		interrupt()
		_, _ = io.Copy(io.Discard, r.Body)
		return cut(w)
	}
	_, err := v.sender(path).Run(ctx, v.opened(16))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
	v.s3.CloseClientConnections() // what was under way is over
	calm.Store(true)
	resumed := v.opened(0)
	if got, want := resumed.State, "open"; got != want {
		t.Fatalf("the upload is %s, want %s", got, want)
	}
	had := len(resumed.Have)
	if had == 0 || had == 10 {
		t.Fatalf("the vault has %d of 10 parts; the test is about some", had)
	}
	v.mu.Lock()
	v.attempts = map[int]int{}
	v.mu.Unlock()
	if _, err := v.sender(path).Run(t.Context(), resumed); err != nil {
		t.Fatalf("the resumed upload failed: %v", err)
	}
	v.mustHold(content)
	if got, want := len(v.attempted()), 10-had; got != want {
		t.Errorf("%d parts were sent to resume, want %d", got, want)
	}
}

func TestAnUploadOutlivesARestartOfTheServer(t *testing.T) {
	const size, part = 640 * kib, 64 * kib
	v := newVault(t, size, part)
	path, content := file(t, size)
	address := v.s3.Listener.Addr().String()
	var down sync.Once
	v.onPart = func(w http.ResponseWriter, r *http.Request, n, attempt int) bool {
		stopped := false
		down.Do(func() {
			stopped = true
			v.s3.Listener.Close()
			go v.s3.CloseClientConnections()
			go func() {
				time.Sleep(400 * time.Millisecond)
				listener, err := net.Listen("tcp", address)
				if err != nil {
					t.Errorf("listen again on %s: %v", address, err)
					return
				}
				again := &http.Server{Handler: http.HandlerFunc(v.store)}
				t.Cleanup(func() { again.Close() })
				_ = again.Serve(listener)
			}()
		})
		return stopped && cut(w)
	}
	s := v.sender(path)
	var notices atomic.Int32
	s.Patience.Notice = func(err error) {
		if contains(err.Error(), "Signature") {
			t.Errorf("the notice %q holds a presigned URL", err)
		}
		notices.Add(1)
	}
	if _, err := s.Run(t.Context(), v.opened(16)); err != nil {
		t.Fatalf("the upload failed: %v", err)
	}
	v.mustHold(content)
	if notices.Load() == 0 {
		t.Error("nobody was told about the wait")
	}
}

func TestPatienceEnds(t *testing.T) {
	const size, part = 256 * kib, 64 * kib
	v := newVault(t, size, part)
	path, _ := file(t, size)
	u := v.opened(16)
	v.s3.Close()
	s := v.sender(path)
	s.Patience.For = time.Millisecond
	_, err := s.Run(t.Context(), u)
	gaveUp, ok := errors.AsType[*GaveUp](err)
	if !ok {
		t.Fatalf("error %v, want that it gave up", err)
	}
	if got, want := gaveUp.Error(), v.s3.Listener.Addr().String()+" does not answer: connection refused."; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if got, want := v.opened(0).State, "open"; got != want {
		t.Errorf("the upload is %s, want %s", got, want)
	}
}

func TestAnUploadIsOfItsOwnFileOnly(t *testing.T) {
	v := newVault(t, 256*kib, 64*kib)
	path, _ := file(t, 255*kib)
	_, err := v.sender(path).Run(t.Context(), v.opened(16))
	if err == nil || !contains(err.Error(), "it is not the file that the upload began with") {
		t.Errorf("error %v, want that the file is another", err)
	}
	if got := v.attempted(); got != nil {
		t.Errorf("parts %v were sent, want none", got)
	}
}

func TestWaitFollowsTheExamination(t *testing.T) {
	hash := func(done int64) glance.Upload {
		return glance.Upload{State: "received", Validation: &glance.Validation{Phase: "hash", Hashed: done, Total: 100}}
	}
	rejection := glance.Rejection{Code: "truncated", Message: "The file ends early.", Hint: "Send all of it."}
	tests := []struct {
		name   string
		stages []glance.Upload
		want   error
		steps  []int64
	}{
		{"to an active image", []glance.Upload{hash(10), hash(60), {State: "accepted"}}, nil, []int64{0, 10, 60}},
		{"to a rejection with its reason", []glance.Upload{hash(10), {State: "rejected", Rejection: &rejection}},
			&Rejected{imageID, uploadID, rejection}, []int64{0, 10}},
		{"to an upload that somebody gave up", []glance.Upload{{State: "aborted"}}, &Ended{uploadID, "aborted"}, []int64{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, 100, 100)
			v.state = "received"
			u := v.opened(0)
			v.stages = test.stages
			var steps []int64
			err := Wait(t.Context(), v.client(), u, Patience{}, func(u *glance.Upload) {
				var done int64
				if u.Validation != nil {
					done = u.Validation.Hashed
				}
				steps = append(steps, done)
			})
			if diff := cmp.Diff(test.want, err); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.steps, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWaitEndsWhenTheImageIsDeleted(t *testing.T) {
	v := newVault(t, 100, 100)
	v.state = "received"
	u := v.opened(0)
	v.onAPI = func(w http.ResponseWriter, r *http.Request) bool {
		deny(w, 404, "No image found.")
		return true
	}
	err := Wait(t.Context(), v.client(), u, Patience{}, nil)
	if ended, ok := errors.AsType[*Ended](err); !ok || ended.State != "" {
		t.Errorf("error %v, want that the upload is no longer there", err)
	}
}

func TestSourcesThatCannotBeSentSayWhy(t *testing.T) {
	dir := t.TempDir()
	empty, pipe := filepath.Join(dir, "empty"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatalf("make the files: %v", err)
	}
	tests := []struct{ name, path, want string }{
		{"a missing file", filepath.Join(dir, "none"), "there is no file " + filepath.Join(dir, "none") + "; check the path"},
		{"a directory", dir, "path " + dir + " is a directory; name the image file in it"},
		{"an empty file", empty, "file " + empty + " is empty; an image has at least one byte"},
		{"a pipe, without waiting for its writer", pipe,
			"path " + pipe + " is not a regular file, so its size is not known and it cannot be read again after a failure; copy it to a file and upload that"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := OpenSource(test.path)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// counted tells how often a section is read by hand.
type counted struct {
	*section
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.section.Read(p)
}

func TestTheKernelSendsSections(t *testing.T) {
	const size = 4 << 20
	path, _ := file(t, size+100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("received %d bytes, want %d: %v", n, size, err)
		}
	}))
	defer server.Close()
	source, err := OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	sec, err := source.section(50, size)
	if err != nil {
		t.Fatal(err)
	}
	body := &counted{section: sec}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatalf("send the section: %v", err)
	}
	resp.Body.Close()
	if got, most := body.reads, 1; got > most {
		t.Errorf("the section was read %d times by hand; want at most %d, at its end: sendfile is defeated", got, most)
	}
	if got, want := sec.position(), int64(size); got != want {
		t.Errorf("its position is %d, want %d", got, want)
	}
}

func BenchmarkUpload(b *testing.B) {
	const size = 256 << 20
	path := filepath.Join(b.TempDir(), "disk.raw")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	source, err := OpenSource(path)
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	b.SetBytes(16 << 20)
	for n := 0; b.Loop(); n++ {
		body, err := source.section(int64(n%16)<<24, 16<<20)
		if err != nil {
			b.Fatal(err)
		}
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, server.URL, body)
		if err != nil {
			b.Fatal(err)
		}
		req.ContentLength = 16 << 20
		resp, err := server.Client().Do(req)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
