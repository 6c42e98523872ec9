package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bullion/internal/images"
)

// nobody is the user id under which a server runs to whom directories can be closed.
const nobody = 65534

// small mounts a file system of so many bytes.
func small(t *testing.T, size int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system and needs root: run it with sudo")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestAFullDiskIsSaidAndSurvived(t *testing.T) {
	s := &server{t: t, data: filepath.Join(small(t, 96<<20), "data"), addr: freeAddr(t), s3: freeAddr(t)}
	s.start()
	t.Cleanup(s.stop)
	r := s.run("bullion", "image", "create", "--file", sparse(t, 200<<20), "--disk-format", "raw", "--retry-for", "2s", "too big")
	if r.status == 0 || !strings.Contains(r.stderr, "space") && !strings.Contains(r.stderr, "full") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	s.must("image", "create", "--file", sparse(t, 8<<20), "--disk-format", "raw", "small enough")
	if doc := s.show("small enough"); doc["status"] != "active" {
		t.Errorf("after the failure an image that fits is %v", doc["status"])
	}
}

// taking is a server whose disk stops taking anything at some moment, and takes it again later. What it acknowledged before and meanwhile must be there in the end.
type taking struct {
	*server
	c      *caller
	file   content
	before string   // an image that was active before
	kept   []string // images whose records were acknowledged
	waits  string   // one that was queued before
}

func newTaking(t *testing.T, s *server) *taking {
	w := &taking{server: s, c: newCaller(t, s), file: disk(1 << 20)}
	w.before, w.waits = w.create(), w.create()
	if status, said := w.put(w.before); status != http.StatusNoContent {
		t.Fatalf("a healthy server: %d %s", status, said)
	}
	return w
}

func (w *taking) create() string {
	w.t.Helper()
	status, said, id := w.record()
	if status != http.StatusCreated {
		w.t.Fatalf("create: %d %s", status, said)
	}
	return id
}

func (w *taking) record() (status int, said []byte, id string) {
	id = images.NewID()
	status, said = w.c.try("POST", "/v2/images", "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"name":"k","disk_format":"raw","container_format":"bare"}`, id)))
	if status == http.StatusCreated {
		w.kept = append(w.kept, id)
	}
	return status, said, id
}

func (w *taking) put(id string) (int, []byte) {
	return w.c.try("PUT", "/v2/images/"+id+"/file", "application/octet-stream", bytes.NewReader(w.file.body))
}

// reads holds that what is there can be listed and read whatever the disk does.
func (w *taking) reads() {
	w.t.Helper()
	if status, said := w.c.try("GET", "/v2/images/"+w.before+"/file", "", nil); status != http.StatusOK || !bytes.Equal(said, w.file.body) {
		w.t.Errorf("the download of an image: %d, %d bytes", status, len(said))
	}
	if status, said := w.c.try("GET", "/v2/images", "", nil); status != http.StatusOK || !bytes.Contains(said, []byte(w.before)) {
		w.t.Errorf("the list: %d %s", status, said)
	}
}

// recovers holds that everything goes on when the disk takes again, without a start.
func (w *taking) recovers() {
	w.t.Helper()
	w.eventually("an image is made again", time.Minute, func() bool { status, _, _ := w.record(); return status == http.StatusCreated })
	if status, said := w.put(w.waits); status != http.StatusNoContent {
		w.t.Errorf("an upload that was refused before: %d %s", status, said)
	}
	for _, id := range w.kept {
		status, said := w.c.try("GET", "/v2/images/"+id, "", nil)
		want := `"status":"queued"`
		if id == w.before || id == w.waits {
			want = w.file.hash
		}
		if status != http.StatusOK || !bytes.Contains(said, []byte(want)) {
			w.t.Errorf("image %s is not as it was acknowledged: %d %s", id, status, said)
		}
	}
	w.eventually("the books balance", time.Minute, func() bool { return w.run("bullion-admin", "scrub", "--dry-run").status == 0 })
}

func isRefused(t *testing.T, what string, status int, said []byte, want string) {
	t.Helper()
	if status != http.StatusServiceUnavailable || !bytes.Contains(said, []byte(want)) {
		t.Errorf("%s: got %d %s, want 503 that says %q", what, status, said, want)
	}
}

func TestADiskThatFillsUpUnderTheServerLosesNothing(t *testing.T) {
	dir := small(t, 64<<20)
	s := &server{t: t, data: filepath.Join(dir, "data"), addr: freeAddr(t), s3: freeAddr(t)}
	s.start()
	t.Cleanup(s.stop)
	w := newTaking(t, s)
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; _, err = f.Write(block) {
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}

	status, said := w.put(w.waits)
	isRefused(t, "an upload", status, said, " is full")
	w.reads()
	// The database has some room of its own.
	for n := 0; status != http.StatusServiceUnavailable || n == 0; n++ {
		if status, said, _ = w.record(); n > 5000 {
			t.Fatalf("%d records were taken by a full disk; the last answer is %d %s", n, status, said)
		}
	}
	isRefused(t, "a new image", status, said, " is full")
	if status, said := w.put(w.waits); status != http.StatusServiceUnavailable {
		t.Errorf("an upload, with a full database too: %d %s", status, said)
	}
	w.reads()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.recovers()
}

func TestStorageThatBecomesReadOnlyUnderTheServerLosesNothing(t *testing.T) {
	dir := small(t, 64<<20)
	if err := errors.Join(os.Chmod(programs, 0o755), os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "data"), 0o700), os.Chown(filepath.Join(dir, "data"), nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	for up := filepath.Dir(dir); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{t: t, data: filepath.Join(dir, "data"), addr: freeAddr(t), s3: freeAddr(t), user: nobody}
	s.start()
	t.Cleanup(s.stop)
	w := newTaking(t, s)
	writable := func(is bool) {
		t.Helper()
		err := filepath.WalkDir(filepath.Join(s.data, "s3"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if is {
				return os.Chmod(path, 0o700)
			}
			return os.Chmod(path, 0o500)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writable(false)
	t.Cleanup(func() { writable(true) })
	status, said := w.put(w.waits)
	isRefused(t, "an upload", status, said, "cannot be written")
	r := s.run("bullion", "image", "create", "--file", sparse(t, 1<<20), "--disk-format", "raw", "--retry-for", "2s", "refused")
	if r.status == 0 || !strings.Contains(r.stderr, "cannot be written") {
		t.Errorf("bullion: status %d: %s", r.status, r.stderr)
	}
	w.reads()
	if status, said := w.c.try("DELETE", "/v2/images/"+w.create(), "", nil); status != http.StatusNoContent {
		t.Errorf("the delete of an image without bytes: %d %s", status, said)
	} else {
		w.kept = w.kept[:len(w.kept)-1]
	}
	writable(true)
	w.recovers()

	// A start on a disk that takes nothing says so.
	s.stop()
	if err := os.Chmod(s.data, 0o500); err != nil {
		t.Fatal(err)
	}
	writable(false)
	cmd := s.process()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied") || strings.Contains(string(out), "goroutine ") {
		t.Errorf("a start on a disk that takes nothing: %v\n%s", err, out)
	}
	if err := os.Chmod(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	writable(true)
	s.start()
	w.c = newCaller(t, s)
	w.reads()
}
