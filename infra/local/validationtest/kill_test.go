package validationtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bullion/infra/local/enginetest"
	"bullion/internal/diskimage/corpus"
	"bullion/internal/images"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

// A child is this test program in a process of its own, which carries one upload as far as it gets. The parent keeps the S3 engine and kills children.
const childEnv = "VALIDATIONTEST_CHILD"

// orders are what a child does.
type orders struct {
	Database, Endpoint string
	Image, Upload      string
	Later              time.Duration // how far its clock is ahead: leases of children before it have run out
	Steps              bool          // whether its time is up after each step of the hashes, as on Lambda
	Scrub              bool          // whether it is scrub that goes on; else it gets the storage's event
	Report             bool          // whether it writes a line before each effect, and waits for one back
	Starve             bool          // whether reading the object eats all memory
}

// begun is what a child says when all is set up and the work begins.
const begun = "begun"

// validateAsChild is the main function of a child.
func validateAsChild(text string) int {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := o.carryOut(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (o orders) carryOut(ctx context.Context) error {
	records, err := sqlitestore.Open(ctx, o.Database)
	if err != nil {
		return err
	}
	bytes, err := enginetest.Blobs(o.Endpoint)
	if err != nil {
		return err
	}
	effect := func(string) {}
	if o.Report {
		answers := bufio.NewReader(os.Stdin)
		var mu sync.Mutex
		effect = func(what string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Println(what)
			if _, err := answers.ReadString('\n'); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(3)
			}
		}
	}
	now := func() time.Time { return time.Now().Add(o.Later) }
	service, v := wire(watchedStore{records, effect}, watchedBlobs{bytes, effect, o.Starve}, now)
	if o.Steps {
		v.Margin = time.Hour
	}
	scrubber := &scrub.Scrubber{Images: service, Validator: v, Log: slog.New(slog.DiscardHandler), Now: now}
	fmt.Println(begun)
	for range 1000 {
		i, err := service.Store.Image(ctx, o.Image)
		if err != nil {
			return err
		}
		if u := i.Upload; u.State != images.UploadOpen && u.State != images.UploadReceived && u.State != images.UploadEnding {
			return nil
		}
		if err := o.once(ctx, v, scrubber); err != nil && !validation.InOtherHands(err) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("it does not end")
}

func (o orders) once(ctx context.Context, v *validation.Validator, s *scrub.Scrubber) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if o.Scrub {
		_, err = s.Adopt(ctx)
	} else {
		err = v.Arrived(ctx, images.Blob{Key: images.BlobKey(o.Image, o.Upload)})
	}
	if err != nil {
		return err
	}
	_, _, err = s.Due(ctx)
	return err
}

// watchedStore and watchedBlobs tell of each effect before it happens.
type watchedStore struct {
	images.Store
	effect func(string)
}

func (s watchedStore) Apply(ctx context.Context, w images.Write) error {
	s.effect(fmt.Sprintf("write the record: %s, upload %s", w.Is.Status, w.Is.Upload.State))
	return s.Store.Apply(ctx, w)
}

type watchedBlobs struct {
	images.Blobs
	effect func(string)
	starve bool
}

func (b watchedBlobs) Head(ctx context.Context, key string) (images.Blob, error) {
	b.effect("look at the object")
	return b.Blobs.Head(ctx, key)
}

// eaten keeps memory from being given back.
var eaten []byte

func (b watchedBlobs) Range(ctx context.Context, o images.Blob, off, n int64) (io.ReadCloser, error) {
	b.effect("read the object")
	if b.starve {
		// The kernel gives the process no more memory: a death with the same words with the race detector, whose runtime reserves less than a
		// size that no machine has.
		if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{}); err != nil {
			panic(err)
		}
		eaten = make([]byte, 1<<30)
	}
	return b.Blobs.Range(ctx, o, off, n)
}

func (b watchedBlobs) Delete(ctx context.Context, key string) error {
	b.effect("delete the object")
	return b.Blobs.Delete(ctx, key)
}

// child is a process that validates.
type child struct {
	cmd    *exec.Cmd
	said   *bufio.Scanner
	stdin  io.WriteCloser
	stderr bytes.Buffer
}

func (w *killWorld) child(o orders) *child {
	w.Helper()
	o.Database, o.Endpoint = w.database, enginetest.Endpoint()
	text, err := json.Marshal(o)
	if err != nil {
		w.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	c.said = bufio.NewScanner(out)
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		w.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	if !c.said.Scan() || c.said.Text() != begun {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		w.Fatalf("a child did not begin: %q\n%s", c.said.Text(), &c.stderr)
	}
	return c
}

// killed ends it as kill -9 does, and says whether it was still at work.
func (c *child) killed() bool {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	_ = c.cmd.Wait()
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// killWorld is the service on a database that several processes use.
type killWorld struct {
	*world
	database string
}

func newKillWorld(t *testing.T) *killWorld {
	t.Helper()
	database := filepath.Join(t.TempDir(), "records.db")
	store, err := sqlitestore.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s, v := wire(store, blobs, time.Now)
	return &killWorld{&world{t, s, v}, database}
}

// file is what is uploaded, and what must become of it.
type file struct {
	name, disk, container string
	data                  []byte
	sha512                string // declared
	code                  string // of the rejection; "" for active
	os                    string // os_type, os_distro and os_version of an image
}

// upload makes an image of a project of its own and sends the bytes.
func (w *killWorld) upload(f file) (owner images.Caller, o orders) {
	w.Helper()
	owner = images.Caller{UserID: "alice", ProjectID: images.NewID(), Roles: []string{"member", "reader"}}
	id, upload := w.send(owner, f)
	return owner, orders{Image: id, Upload: upload}
}

// judge checks the end of a file's way: the one right verdict, its bytes kept or gone, nothing counted that is not there, and a history without detours.
func (w *killWorld) judge(owner images.Caller, o orders, f file) error {
	i, err := w.service.Store.Image(w.Context(), o.Image)
	if err != nil {
		return err
	}
	head, err := blobs.Head(w.Context(), images.BlobKey(o.Image, o.Upload))
	there := err == nil
	if err != nil && images.KindOf(err) != images.NotFound {
		return err
	}
	usage, err := w.service.Store.Usage(w.Context(), owner.ProjectID)
	if err != nil {
		return err
	}
	events, err := w.service.Store.Events(w.Context(), o.Image, 0, 100)
	if err != nil {
		return err
	}
	var life []images.Status
	for _, e := range events {
		life = append(life, e.To)
	}
	if f.code != "" {
		switch {
		case i.Status != images.StatusQueued || i.Upload.State != images.UploadRejected || i.Upload.Rejection == nil || i.Upload.Rejection.Code != f.code:
			return fmt.Errorf("%s, upload %s, %+v; want queued and rejected for %s", i.Status, i.Upload.State, i.Upload.Rejection, f.code)
		case there:
			return errors.New("the rejected bytes are still there")
		case usage != images.Usage{Images: 1}:
			return fmt.Errorf("usage is %+v, want one image", usage)
		case fmt.Sprint(life) != "[queued importing queued]":
			return fmt.Errorf("its life is %s", life)
		}
		return nil
	}
	digests := images.NewHashes()
	_, _ = digests.Write(f.data) // it does not fail
	size := int64(len(f.data))
	got := strings.TrimSpace(i.Properties["os_type"] + " " + i.Properties["os_distro"] + " " + i.Properties["os_version"])
	switch {
	case i.Status != images.StatusActive || i.Upload.State != images.UploadAccepted:
		return fmt.Errorf("%s, upload %s, %+v; want active", i.Status, i.Upload.State, i.Upload.Rejection)
	case images.Digests{MD5: i.Checksum, SHA512: i.HashValue} != digests.Sums() || *i.Size != size:
		return errors.New("the hashes or the size are not those of the bytes")
	case !there || head.Size != size || i.Blob.Key != head.Key || i.Blob.ETag != head.ETag:
		return fmt.Errorf("the object is %+v, and there: %v; the record has %+v", head, there, i.Blob)
	case usage != images.Usage{Images: 1, Bytes: size}:
		return fmt.Errorf("usage is %+v, want one image of %d bytes", usage, size)
	case fmt.Sprint(life) != "[queued importing active]":
		return fmt.Errorf("its life is %s", life)
	case got != f.os:
		return fmt.Errorf("its system is %q, want %q", got, f.os)
	}
	return nil
}

// files are images of the corpus that fit, good and bad, and some that take several steps to hash.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	for _, c := range corpus.Synthetic() {
		if n := c.Image.Size(); n == 0 || n > 4<<20 || c.KeyID != "" || c.Container != "bare" {
			continue
		}
		if _, ok := map[string]bool{"raw": true, "qcow2": true, "vmdk": true, "vhd": true, "vhdx": true, "vdi": true, "ploop": true, "iso": true}[c.Disk]; !ok {
			continue
		}
		all = append(all, file{name: c.Name, disk: c.Disk, container: c.Container, data: c.Image.Bytes(), code: c.Code, os: c.OS})
	}
	if len(all) < 150 {
		t.Fatalf("the corpus gave %d files", len(all))
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	large := noise(17<<20 + 77)
	sum, wrong := sha512.Sum512(large), sha512.Sum512(nil)
	mixed := []file{}
	for n, f := range all {
		if n%3 == 0 {
			mixed = append(mixed, file{name: "17 MiB", disk: "raw", container: "bare", data: large, sha512: hex.EncodeToString(sum[:])})
		}
		if n%12 == 0 {
			mixed = append(mixed, file{name: "17 MiB of another hash", disk: "raw", container: "bare", data: large, sha512: hex.EncodeToString(wrong[:]), code: "hash_mismatch"})
		}
		mixed = append(mixed, f)
	}
	return mixed
}

// kills is how many kills a test makes: VALIDATIONTEST_KILLS, or few enough for every day.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("VALIDATIONTEST_KILLS")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("VALIDATIONTEST_KILLS: %v", err)
	}
	return n
}

// later is more than a lease, and more than the time after which scrub finishes what another began.
const later = 5 * time.Minute

// Each image's validation is killed up to three times, by SIGKILL, at any moment; then whoever comes later ends it.
func TestKilledAtAnyMomentEveryImageEndsActiveOrRejectedAsItShould(t *testing.T) {
	want := kills(t)
	all := files(t)
	var done, next, active, rejected atomic.Int64
	var workers sync.WaitGroup
	for range 3 {
		w := newKillWorld(t) // each has records of its own, so that no child takes up what another's is killed over
		workers.Go(func() {
			for done.Load() < int64(want) && !t.Failed() {
				f := all[int(next.Add(1)-1)%len(all)]
				owner, o := w.upload(f)
				for range 1 + rand.IntN(3) {
					o.Steps, o.Scrub = rand.IntN(2) == 0, rand.IntN(3) == 0
					o.Later += later
					c := w.child(o)
					var beside *child
					if rand.IntN(5) == 0 { // the same news twice: the other lives
						beside = w.child(o)
					}
					time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
					if c.killed() {
						done.Add(1)
					}
					if beside != nil && beside.killed() {
						done.Add(1)
					}
				}
				o.Later += later
				o.Scrub = rand.IntN(2) == 0
				if err := w.child(o).ended(); err != nil {
					t.Errorf("%s: %v", f.name, err)
				}
				if err := w.judge(owner, o, f); err != nil {
					t.Errorf("%s: %v", f.name, err)
				}
				if f.code == "" {
					active.Add(1)
				} else {
					rejected.Add(1)
				}
				if err := w.service.Delete(t.Context(), owner, o.Image); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d kills; %d images ended active, %d rejected", done.Load(), active.Load(), rejected.Load())
}

// ended waits for its end.
func (c *child) ended() error {
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("a child that was let live: %w\n%s", err, &c.stderr)
	}
	return nil
}

// Killed before its first effect, between any two, and after the last.
func TestKilledBetweenAnyTwoEffectsEveryImageEndsAsItShould(t *testing.T) {
	var qcow2 file
	for _, c := range corpus.Synthetic() {
		if c.Disk == "qcow2" && c.Code == "" && c.OS != "" && c.Image.Size() < 4<<20 {
			qcow2 = file{name: c.Name, disk: "qcow2", container: "bare", data: c.Image.Bytes(), os: c.OS}
			break
		}
	}
	html := []byte("<!DOCTYPE html><html><body>503 Service Unavailable</body></html>")
	for _, test := range []struct {
		file
		steps, scrub bool
	}{
		{qcow2, false, false},
		{qcow2, false, true},
		{file{name: "a raw disk in steps", disk: "raw", container: "bare", data: noise(17 << 20)}, true, false},
		{file{name: "a web page", disk: "raw", container: "bare", data: html, code: "not_a_disk"}, false, false},
		{file{name: "a web page, by scrub", disk: "raw", container: "bare", data: html, code: "not_a_disk"}, false, true},
	} {
		t.Run(fmt.Sprintf("%s, steps %v, scrub %v", test.name, test.steps, test.scrub), func(t *testing.T) {
			w := newKillWorld(t)
			for at := 0; ; at++ {
				owner, o := w.upload(test.file)
				o.Steps, o.Scrub, o.Report = test.steps, test.scrub, true
				c := w.child(o)
				effects := 0
				what := "the end"
				for c.said.Scan() {
					if effects == at {
						what = c.said.Text()
						break
					}
					effects++
					if _, err := io.WriteString(c.stdin, "\n"); err != nil {
						t.Fatal(err)
					}
				}
				last := effects < at || what == "the end"
				c.killed()
				o.Report, o.Later = false, later
				if err := w.child(o).ended(); err != nil {
					t.Errorf("killed before effect %d, %s: %v", at, what, err)
				}
				if err := w.judge(owner, o, test.file); err != nil {
					t.Errorf("killed before effect %d, %s: %v", at, what, err)
				}
				if last {
					if at < 6 {
						t.Errorf("it had %d effects; they are not told", at)
					}
					return
				}
			}
		})
	}
}

// An examiner that runs out of memory cannot be helped: it dies.
func TestAnExaminerThatRunsOutOfMemoryEachTimeEndsInARejection(t *testing.T) {
	f := file{name: "a disk", disk: "raw", container: "bare", data: noise(1 << 20)}
	for _, test := range []struct {
		name   string
		deaths int
		code   string
	}{
		{"each time", 100, "examination_failed"},
		{"three times, and then no more", 3, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newKillWorld(t)
			owner, o := w.upload(f)
			died := 0
			for ; died < test.deaths; died++ {
				o.Starve, o.Scrub, o.Later = true, died > 0, time.Duration(died)*later
				c := w.child(o)
				if err := c.ended(); err == nil {
					break
				} else if !strings.Contains(err.Error(), "out of memory") {
					t.Fatalf("it died of something else: %v", err)
				}
				if i := w.image(o.Image); i.Status != images.StatusImporting {
					t.Fatalf("after death %d the image is %s", died+1, i.Status)
				}
			}
			if test.code != "" && died != 4 {
				t.Errorf("it was tried %d times, want 4", died)
			}
			o.Starve, o.Later = false, o.Later+later
			if err := w.child(o).ended(); err != nil {
				t.Fatal(err)
			}
			f.code = test.code
			if err := w.judge(owner, o, f); err != nil {
				t.Error(err)
			}
		})
	}
}

// send makes an image and sends its bytes, as a client does, up to the moment before the news of them.
func (w *world) send(owner images.Caller, f file) (imageID, uploadID string) {
	w.Helper()
	i, err := w.service.Create(w.Context(), owner, "", []images.PatchOp{
		{Op: "add", Name: "name", Value: "x"}, {Op: "add", Name: "disk_format", Value: f.disk}, {Op: "add", Name: "container_format", Value: f.container}})
	if err != nil {
		w.Fatal(err)
	}
	u, err := w.service.OpenUpload(w.Context(), owner, i.ID, images.UploadRequest{Size: int64(len(f.data)), SHA512: f.sha512})
	if err != nil {
		w.Fatal(err)
	}
	for _, part := range u.Signed {
		off := int64(part.Number-1) * u.Upload.PartSize
		r, err := http.NewRequestWithContext(w.Context(), part.Method, part.URL, bytes.NewReader(f.data[off:off+part.Size]))
		if err != nil {
			w.Fatal(err)
		}
		r.Header = http.Header(part.Header).Clone()
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			w.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			w.Fatalf("PUT: %s %s", answer.Status, text)
		}
	}
	return i.ID, u.Upload.ID
}
