package transfer

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bullion/cmd/bullion/internal/glance"
)

// library is an image service whose downloads redirect to a storage, on real sockets.
type library struct {
	t       *testing.T
	content []byte
	api, s3 *httptest.Server
	onRange func(w http.ResponseWriter, r *http.Request, attempt int) bool // answers by itself when true

	attempts, asked atomic.Int32
	epoch           atomic.Int32 // of the addresses; those of another are refused
}

func newLibrary(t *testing.T, content []byte) *library {
	l := &library{t: t, content: content}
	l.s3 = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempt := int(l.attempts.Add(1))
		if r.Header.Get("X-Auth-Token") != "" {
			t.Error("the storage was sent a token")
		}
		if l.onRange != nil && l.onRange(w, r, attempt) {
			return
		}
		if r.URL.Query().Get("epoch") != fmt.Sprint(l.epoch.Load()) {
			xmlError(w, 403, "AccessDenied", "Request has expired")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	l.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		http.Redirect(w, r, fmt.Sprintf("%s/object?epoch=%d", l.s3.URL, l.epoch.Load()), http.StatusFound)
	}))
	t.Cleanup(l.api.Close)
	t.Cleanup(l.s3.Close)
	return l
}

func (l *library) receiver() *Receiver {
	return &Receiver{Content: client(l.t, l.api.URL).Content(imageID, int64(len(l.content))), Size: int64(len(l.content)),
		Patience: Patience{For: time.Minute}, Progress: new(Progress)}
}

func digestOf(content []byte) Digest {
	sum := sha512.Sum512(content)
	return Digest{"sha512", hex.EncodeToString(sum[:])}
}

func target(t *testing.T, path string, content []byte) *Target {
	t.Helper()
	to, err := OpenTarget(path, int64(len(content)), digestOf(content))
	if err == nil {
		err = to.Adopt(t.Context(), nil)
	}
	if err != nil {
		t.Fatalf("open the target: %v", err)
	}
	t.Cleanup(func() { to.Close() })
	return to
}

func TestDownloadsArriveWhole(t *testing.T) {
	_, content := file(t, 3*rangeSize+12345)
	tests := []struct {
		name  string
		setUp func(l *library)
		check func(t *testing.T, l *library)
	}{
		{name: "in ranges, the last one short", check: func(t *testing.T, l *library) {
			if got, most := l.asked.Load(), int32(4); got > most {
				t.Errorf("the service was asked %d times where the bytes are, want at most %d", got, most)
			}
		}},
		{name: "through errors of the storage", setUp: func(l *library) {
			l.onRange = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if attempt%2 == 0 {
					return false
				}
				xmlError(w, 503, "SlowDown", "Please reduce your request rate.")
				return attempt < 8
			}
		}},
		{name: "through connections that are cut inside the body", setUp: func(l *library) {
			l.onRange = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if attempt > 6 {
					return false
				}
				var from, to int64
				_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(l.content)))
				w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
				w.WriteHeader(206)
				_, _ = w.Write(l.content[from : from+(to-from)/2])
				_ = http.NewResponseController(w).Flush()
				return cut(w)
			}
		}},
		{name: "when the address expires on the way", setUp: func(l *library) {
			var once sync.Once
			l.onRange = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
				if attempt == 3 {
					once.Do(func() { l.epoch.Add(1) })
				}
				return false
			}
		}, check: func(t *testing.T, l *library) {
			if l.asked.Load() < 2 {
				t.Error("the service was not asked for another address")
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLibrary(t, content)
			if test.setUp != nil {
				test.setUp(l)
			}
			path := filepath.Join(t.TempDir(), "copy.raw")
			to := target(t, path, content)
			r := l.receiver()
			if err := r.Run(t.Context(), to, 0); err != nil {
				t.Fatalf("the download failed: %v", err)
			}
			if err := to.Commit(); err != nil {
				t.Fatalf("commit: %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("the file has %d bytes that are not the image's: %v", len(got), err)
			}
			if done, total, _ := r.Progress.Now(); done != total || total != int64(len(content)) {
				t.Errorf("progress ends at %d of %d", done, total)
			}
			if test.check != nil {
				test.check(t, l)
			}
		})
	}
}

func TestAnInterruptedDownloadGoesOn(t *testing.T) {
	_, content := file(t, 4*rangeSize)
	l := newLibrary(t, content)
	path := filepath.Join(t.TempDir(), "copy.raw")
	ctx, interrupt := context.WithCancel(t.Context())
	var calm atomic.Bool
	l.onRange = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if !calm.Load() && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			interruptAfterFirst(to(path, content), interrupt)
			return cut(w)
		}
		return false
	}
	first := target(t, path, content)
	if err := l.receiver().Run(ctx, first, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before it is whole")
	}
	l.s3.CloseClientConnections() // what was under way is over
	calm.Store(true)
	l.attempts.Store(0)
	second := target(t, path, content)
	if got, want := second.At(), int64(rangeSize); got != want {
		t.Fatalf("the second download begins at %d, want %d", got, want)
	}
	if err := l.receiver().Run(t.Context(), second, second.At()); err != nil {
		t.Fatalf("the second download failed: %v", err)
	}
	if err := second.Commit(); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if got, want := l.attempts.Load(), int32(3); got != want {
		t.Errorf("%d ranges were fetched to go on, want %d", got, want)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file has %d bytes that are not the image's: %v", len(got), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// to is the part file that a target of the content at path writes.
func to(path string, content []byte) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%.16s.part", filepath.Base(path), digestOf(content).Value))
}

// interruptAfterFirst interrupts once the first range is in the part file.
func interruptAfterFirst(part string, interrupt func()) {
	for {
		if info, err := os.Stat(part); err == nil && info.Size() >= rangeSize {
			interrupt()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBytesThatAreNotTheImagesDoNotBecomeTheFile(t *testing.T) {
	_, content := file(t, 100*kib)
	wrong := bytes.Clone(content)
	wrong[50*kib] ^= 1
	path := filepath.Join(t.TempDir(), "copy.raw")
	to := target(t, path, content)
	if err := newLibrary(t, wrong).receiver().Run(t.Context(), to, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*Damaged](to.Commit()); !ok {
		t.Error("the commit succeeded, want that the bytes are damaged")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there")
	}
}

func TestAStorageWithAnotherImageIsRefused(t *testing.T) {
	_, content := file(t, 100*kib)
	l := newLibrary(t, content)
	r := l.receiver()
	r.Size++
	r.Content = client(t, l.api.URL).Content(imageID, r.Size)
	if err := r.Run(t.Context(), new(bytes.Buffer), 0); err == nil || !contains(err.Error(), "whose record says 102401") {
		t.Errorf("error %v, want that the sizes differ", err)
	}
}

func TestZerosBecomeHoles(t *testing.T) {
	const size = 32 << 20
	content := make([]byte, size)
	copy(content[100:], "boot")
	copy(content[20<<20:], "data")
	path := filepath.Join(t.TempDir(), "sparse.raw")
	to := target(t, path, content)
	for at := 0; at < size; at += rangeSize {
		if _, err := to.Write(content[at : at+rangeSize]); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the file differs: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, most := info.Sys().(*syscall.Stat_t).Blocks*512, int64(1<<20); got > most {
		t.Errorf("the file takes %d bytes of disk, want at most %d", got, most)
	}
}

func TestTargetsThatCannotBeWrittenSayWhy(t *testing.T) {
	dir := t.TempDir()
	tests := []struct{ name, path, says string }{
		{"in a folder that is not there", filepath.Join(dir, "no", "x"), "there is no folder " + filepath.Join(dir, "no")},
		{"on a directory", dir, "is not a regular file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := OpenTarget(test.path, 1, Digest{})
			if err == nil || !contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestTheBestHashOfARecordIsUsed(t *testing.T) {
	tests := []struct {
		name  string
		image glance.Image
		want  Digest
	}{
		{"SHA-512 first", glance.Image{HashAlgo: "sha512", HashValue: "AB", Checksum: "cd"}, Digest{"sha512", "ab"}},
		{"MD5 when the other is unknown here", glance.Image{HashAlgo: "blake9", HashValue: "ab", Checksum: "CD"}, Digest{"md5", "cd"}},
		{"none when there is none", glance.Image{}, Digest{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := DigestOf(&test.image); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
