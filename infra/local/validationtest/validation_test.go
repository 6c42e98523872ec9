// Package validationtest runs package validation against the embedded S3 engine and SQLite: runs that come twice, late, or die, and objects that
// change or vanish.
package validationtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bullion/infra/local/enginetest"
	"bullion/internal/images"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

var blobs *s3store.Store

func TestMain(m *testing.M) {
	if orders := os.Getenv(childEnv); orders != "" {
		os.Exit(validateAsChild(orders))
	}
	os.Exit(enginetest.Main(m, func(s *s3store.Store) { blobs = s }))
}

var alice = images.Caller{UserID: "alice", ProjectID: "p", Roles: []string{"member", "reader"}}

type world struct {
	*testing.T
	service *images.Service
	v       *validation.Validator
}

func newWorld(t *testing.T) *world {
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s, v := wire(store, blobs, time.Now)
	return &world{t, s, v}
}

// wire is the service as a host puts it together.
func wire(store images.Store, blobs images.Blobs, now func() time.Time) (*images.Service, *validation.Validator) {
	log := slog.New(slog.DiscardHandler)
	s := &images.Service{Store: store, Blobs: blobs, Policy: policy.Default(), Log: log, Now: now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults()}
	v := &validation.Validator{Images: s, Log: log, NewID: images.NewID, Now: now}
	s.Examine = v.Run
	return s, v
}

// uploaded makes an image and sends its bytes, as a client does, up to the moment before the news of them.
func (w *world) uploaded(data []byte, sha512hex string) (imageID, uploadID string) {
	w.Helper()
	return w.send(alice, file{disk: "raw", container: "bare", data: data, sha512: sha512hex})
}

// received is uploaded, and the record knows that the bytes are there; nobody has examined them.
func (w *world) received(data []byte) (imageID, uploadID string) {
	w.Helper()
	imageID, uploadID = w.uploaded(data, "")
	b, err := blobs.Head(w.Context(), images.BlobKey(imageID, uploadID))
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.service.Receive(w.Context(), b); err != nil {
		w.Fatal(err)
	}
	return imageID, uploadID
}

func (w *world) arrived(ctx context.Context, imageID, uploadID string) error {
	return w.v.Arrived(ctx, images.Blob{Key: images.BlobKey(imageID, uploadID)})
}

func (w *world) image(id string) *images.Image {
	w.Helper()
	i, err := w.service.Store.Image(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// noise is data that is no known format: a raw disk.
func noise(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	source.Read(data[min(n, 4096):])
	return data
}

func (w *world) isActive(id string, data []byte) {
	w.Helper()
	i := w.image(id)
	m, s := md5.Sum(data), sha512.Sum512(data)
	if i.Status != images.StatusActive || i.Checksum != hex.EncodeToString(m[:]) || i.HashValue != hex.EncodeToString(s[:]) || *i.Size != int64(len(data)) {
		w.Errorf("status %s, checksum %s, size %v; want active with the hashes of the bytes", i.Status, i.Checksum, i.Size)
	}
}

func (w *world) isRejected(id, code string) {
	w.Helper()
	i := w.image(id)
	if i.Status != images.StatusQueued || i.Upload.State != images.UploadRejected || i.Upload.Rejection.Code != code {
		w.Fatalf("status %s, upload %+v; want queued and rejected for %s", i.Status, i.Upload, code)
	}
	if _, err := blobs.Head(w.Context(), i.Upload.Key(id)); images.KindOf(err) != images.NotFound || err == nil {
		w.Errorf("the rejected bytes are still there: %v", err)
	}
	if u, err := w.service.Store.Usage(w.Context(), "p"); err != nil || u.InFlight != 0 || u.Uploads != 0 {
		w.Errorf("the quota is not free: %+v, %v", u, err)
	}
}

func TestNewsThatComesTwentyTimesAtOnceMakesOneImage(t *testing.T) {
	w := newWorld(t)
	data := noise(3 << 20)
	id, upload := w.uploaded(data, "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := w.arrived(t.Context(), id, upload); err != nil && !errors.Is(err, images.ErrBusy) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.isActive(id, data)
	events, err := w.service.Store.Events(t.Context(), id, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var life []images.Status
	for _, e := range events {
		life = append(life, e.To)
	}
	if got, want := fmt.Sprint(life), "[queued importing active]"; got != want {
		t.Errorf("its life is %s, want %s", got, want)
	}
	if err := w.arrived(t.Context(), id, upload); err != nil {
		t.Errorf("late news: %v", err)
	}
	w.isActive(id, data)
}

func TestAHashThatIsInterruptedAgainAndAgainEndsAsAnUnbrokenOne(t *testing.T) {
	w := newWorld(t)
	w.v.Margin = time.Hour // every run believes that its time is up after one step
	data := noise(60 << 20)
	id, upload := w.uploaded(data, "")
	runs := 0
	for ; ; runs++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := w.arrived(ctx, id, upload)
		if err != nil && errors.Is(err, validation.ErrContinue) {
			v := w.image(id).Upload.Validation
			if v.Phase != images.PhaseHash || v.Hashed == 0 || v.Hashed >= int64(len(data)) {
				t.Fatalf("run %d left %+v", runs, v)
			}
			err = w.v.Run(ctx, id, upload, nil)
		}
		cancel()
		if err == nil {
			if w.image(id).Status == images.StatusActive {
				break
			}
			continue
		}
		if !errors.Is(err, validation.ErrContinue) {
			t.Fatal(err)
		}
		if runs > 20 {
			t.Fatal("it does not get further")
		}
	}
	if runs == 0 {
		t.Error("it was not interrupted at all")
	}
	w.isActive(id, data)
}

func TestADeclaredHashMustMatch(t *testing.T) {
	w := newWorld(t)
	data := noise(1 << 20)
	sum := sha512.Sum512(data)
	id, upload := w.uploaded(data, hex.EncodeToString(sum[:]))
	if err := w.arrived(t.Context(), id, upload); err != nil {
		t.Fatal(err)
	}
	w.isActive(id, data)
	wrong := sha512.Sum512([]byte("something else"))
	id, upload = w.uploaded(data, hex.EncodeToString(wrong[:]))
	if err := w.arrived(t.Context(), id, upload); err != nil {
		t.Fatal(err)
	}
	w.isRejected(id, "hash_mismatch")
}

// interrupted is a storage in which something happens at the first look for an object.
type interrupted struct {
	images.Blobs
	looks *atomic.Int64
	by    func()
}

func (b interrupted) Head(ctx context.Context, key string) (images.Blob, error) {
	if b.looks.Add(1) == 1 {
		b.by()
	}
	return b.Blobs.Head(ctx, key)
}

func TestTheWordOfAClientThatComesAfterTheVerdictIsAnsweredWithIt(t *testing.T) {
	good, bad := noise(1<<20), []byte("no disk")
	for name, test := range map[string]struct {
		disk string
		data []byte
		want images.UploadState
	}{"accepted": {"raw", good, images.UploadAccepted}, "rejected": {"qcow2", bad, images.UploadRejected}} {
		for when, news := range map[string]func(w *world, arrive func()){
			"before": func(_ *world, arrive func()) { arrive() },
			"meanwhile": func(w *world, arrive func()) {
				w.service.Blobs = interrupted{blobs, new(atomic.Int64), arrive}
			},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				id, upload := w.send(alice, file{disk: test.disk, container: "bare", data: test.data})
				news(w, func() {
					if err := w.arrived(t.Context(), id, upload); err != nil {
						t.Error(err)
					}
				})
				for range 2 {
					view, err := w.service.CompleteUpload(t.Context(), alice, id, upload)
					if err != nil {
						t.Fatal(err)
					}
					if view.Upload.State != test.want {
						t.Errorf("the upload is %s, want %s", view.Upload.State, test.want)
					}
				}
			})
		}
	}
}

func TestAnObjectThatVanishesIsSaidToBeLost(t *testing.T) {
	w := newWorld(t)
	id, upload := w.received(noise(1 << 20))
	if err := blobs.Delete(t.Context(), images.BlobKey(id, upload)); err != nil {
		t.Fatal(err)
	}
	if err := w.v.Run(t.Context(), id, upload, nil); err != nil {
		t.Fatal(err)
	}
	w.isRejected(id, "object_lost")
}

func TestAnExaminerThatDiesEveryTimeEndsInARejection(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	w.service.Now = func() time.Time { return now }
	id, upload := w.received(noise(1 << 20))
	var err error
	for n := range 10 {
		// A process claims and is never heard of again.
		if _, err = w.service.Claim(t.Context(), id, upload, fmt.Sprint("victim ", n), time.Minute); err != nil {
			break
		}
		if _, busy := w.service.Claim(t.Context(), id, upload, "another", time.Minute); !errors.Is(busy, images.ErrBusy) {
			t.Fatalf("two hold the claim: %v", busy)
		}
		now = now.Add(2 * time.Minute)
	}
	if images.KindOf(err) != images.NotFound {
		t.Fatalf("the last claim: %v", err)
	}
	w.isRejected(id, "examination_failed")
}

// deaf is a storage that nobody may ask for an object.
type deaf struct {
	images.Blobs
	asked *int
}

func (d deaf) Head(ctx context.Context, key string) (images.Blob, error) {
	*d.asked++
	return d.Blobs.Head(ctx, key)
}

func TestNewsOfBytesThatAreAnImageAlreadyAsksNothingOfTheStorage(t *testing.T) {
	w := newWorld(t)
	i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	data := noise(9000)
	if err := w.service.WriteFile(t.Context(), alice, i.ID, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	asked := 0
	w.service.Blobs = deaf{blobs, &asked}
	if err := w.v.Arrived(t.Context(), *w.image(i.ID).Blob); err != nil || asked > 0 {
		t.Errorf("the storage was asked %d times; %v", asked, err)
	}
	w.isActive(i.ID, data)
	if err := w.v.Arrived(t.Context(), images.Blob{Key: images.BlobKey(i.ID, images.NewID())}); err != nil || asked != 1 {
		t.Errorf("of another object it was asked %d times, want once; %v", asked, err)
	}
}

// A host that ends again and again does not condemn what it was at within minutes; later only if it may have been the cause.
func TestAHostThatDiesAgainAndAgainGoesOnWithWhatItExamined(t *testing.T) {
	for _, c := range []struct {
		name    string
		crashed bool
		life    time.Duration
		lives   int
		least   int // claims
		most    int
		ends    bool
	}{
		{"it crashes for minutes", true, 4 * time.Second, 40, 4, 8, false},
		{"it crashes for an hour", true, 4 * time.Second, 900, 4, 8, true},
		{"it is killed for an hour", false, 4 * time.Second, 900, 30, 90, false},
		{"it is killed for two days", false, 5 * time.Minute, 48 * 12, 140, 160, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			now := time.Now()
			w.service.Now = func() time.Time { return now }
			id, upload := w.received(noise(1 << 20))
			claims, ended := 0, false
			for n := 0; n < c.lives && !ended; n++ {
				switch _, err := w.service.Claim(t.Context(), id, upload, images.NewID(), time.Minute); {
				case err == nil:
					claims++
				case images.KindOf(err) == images.NotFound:
					ended = true
				case !errors.Is(err, images.ErrBusy):
					t.Fatalf("after %d claims: %v", claims, err)
				}
				now = now.Add(c.life)
				if err := w.service.Restarted(t.Context(), c.crashed); err != nil {
					t.Fatal(err)
				}
			}
			if claims < c.least || claims > c.most || ended != c.ends {
				t.Errorf("it was tried %d times, want %d to %d; it ended: %v, want %v", claims, c.least, c.most, ended, c.ends)
			}
			switch i := w.image(id); {
			case !ended && (i.Status != images.StatusImporting || i.Upload.Validation.LeaseUntil.After(now.Add(2*time.Minute))):
				t.Errorf("it is %s, and tried again at %v; now it is %v", i.Status, i.Upload.Validation.LeaseUntil, now)
			case ended && (i.Upload.Rejection == nil || i.Upload.Rejection.Code != "examination_failed"):
				t.Errorf("it ended as %s with %+v", i.Upload.State, i.Upload.Rejection)
			}
		})
	}
}

// broken is storage that deletes nothing.
type broken struct{ images.Blobs }

func (broken) Delete(context.Context, string) error {
	return images.Errorf(images.Unavailable, "The storage does not answer.")
}

// Whoever began to delete is given a minute to end it, unless it is known to be dead.
func TestAHostThatStartsEndsDeletesAtOnce(t *testing.T) {
	w := newWorld(t)
	gone, _ := w.uploaded(noise(1<<20), "")
	queued, upload := w.uploaded(noise(1<<20), "")
	w.service.Blobs = broken{blobs}
	if err := w.service.Delete(t.Context(), alice, gone); err != nil { // it is left to scrub
		t.Fatal(err)
	}
	if err := w.service.AbortUpload(t.Context(), alice, queued, upload); images.KindOf(err) != images.Unavailable {
		t.Fatal(err)
	}
	w.service.Blobs = blobs
	s := &scrub.Scrubber{Images: w.service, Validator: w.v, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	for _, starts := range []bool{false, true} {
		if starts {
			if err := w.service.Restarted(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		r, _, err := s.Due(t.Context())
		if want := map[bool]int{true: 1}[starts]; err != nil || r.Deleted != want || r.Ended != want {
			t.Errorf("the host started: %v; scrub did %+v, %v; want %d of each", starts, r, err, want)
		}
	}
	if _, err := w.service.Store.Image(t.Context(), gone); err == nil || images.KindOf(err) != images.NotFound {
		t.Errorf("the deleted image: %v, want NotFound", err)
	}
	if got := w.image(queued).Upload.State; got != images.UploadAborted {
		t.Errorf("the upload is %s, want aborted", got)
	}
}

// Storage that fails, and a host that is stopped, are no fault of the file: for a day, only deaths count.
func TestOnlyDeathsCountAsAttempts(t *testing.T) {
	for _, c := range []struct {
		name     string
		age      time.Duration
		released bool
		want     int
	}{
		{"given back", time.Hour, true, 0},
		{"never heard of again", time.Hour, false, 1},
		{"given back, after more than a day", 25 * time.Hour, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			id, upload := w.received(noise(1 << 20))
			w.service.Now = func() time.Time { return time.Now().Add(c.age) }
			if _, err := w.service.Claim(t.Context(), id, upload, "holder", time.Minute); err != nil {
				t.Fatal(err)
			}
			if c.released {
				if err := w.service.Release(t.Context(), id, upload, "holder"); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.image(id).Upload.Validation.Attempts; got != c.want {
				t.Errorf("%d attempts count, want %d", got, c.want)
			}
		})
	}
}

func TestWhatWasFoundStaysWithTheImage(t *testing.T) {
	w := newWorld(t)
	id, upload := w.uploaded(noise(1<<20), "")
	if err := w.arrived(t.Context(), id, upload); err != nil {
		t.Fatal(err)
	}
	r := w.image(id).Upload.Report
	if r == nil || r.Bootable {
		t.Fatalf("the report is %+v, want one that says not bootable", r)
	}
	found := ""
	for _, w := range r.Warnings {
		found += w.Code + " "
		if w.Message == "" {
			t.Errorf("warning %s says nothing", w.Code)
		}
	}
	if found != "unknown_contents not_bootable " {
		t.Errorf("the warnings are %q", found)
	}
}

func TestBytesThatNobodyWaitsForAreDeleted(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*world, string, string) error
	}{
		{"the image was deleted", func(w *world, id, _ string) error { return w.service.Delete(w.Context(), alice, id) }},
		{"the upload was given up", func(w *world, id, upload string) error {
			return w.service.AbortUpload(w.Context(), alice, id, upload)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			id, upload := w.uploaded(noise(1<<20), "")
			if err := c.end(w, id, upload); err != nil {
				t.Fatal(err)
			}
			// A slow PUT lands afterwards.
			if _, err := blobs.Put(t.Context(), images.BlobKey(id, upload), bytes.NewReader(noise(1<<20)), 1<<20); err != nil {
				t.Fatal(err)
			}
			if err := w.arrived(t.Context(), id, upload); err != nil {
				t.Fatal(err)
			}
			if _, err := blobs.Head(t.Context(), images.BlobKey(id, upload)); err == nil {
				t.Error("the bytes are still there")
			}
		})
	}
}

func TestGivingUpAnUploadWhileItIsValidatedNeverHarmsAnImage(t *testing.T) {
	w := newWorld(t)
	for n := range 30 {
		data := noise(256 << 10)
		id, upload := w.uploaded(data, "")
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.arrived(t.Context(), id, upload); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			time.Sleep(time.Duration(n) * time.Millisecond)
			if err := w.service.AbortUpload(t.Context(), alice, id, upload); err != nil && images.KindOf(err) == images.Internal {
				t.Error(err)
			}
		})
		wg.Wait()
		switch i := w.image(id); i.Status {
		case images.StatusActive:
			if _, err := blobs.Head(t.Context(), i.Blob.Key); err != nil {
				t.Fatalf("round %d: an active image without its bytes: %v", n, err)
			}
		case images.StatusQueued:
			if i.Upload.Live() {
				t.Errorf("round %d: queued with an upload that is %s", n, i.Upload.State)
			}
		default:
			t.Errorf("round %d: %s", n, i.Status)
		}
	}
}

func TestAStreamIsHashedOnItsWay(t *testing.T) {
	w := newWorld(t)
	data := noise(40 << 20)
	for _, size := range []int64{int64(len(data)), -1} {
		i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.service.WriteFile(t.Context(), alice, i.ID, bytes.NewReader(data), size); err != nil {
			t.Fatal(err)
		}
		w.isActive(i.ID, data)
	}
}

func TestAStreamThatBreaksLeavesNothing(t *testing.T) {
	w := newWorld(t)
	i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the client went away")
	err = w.service.WriteFile(t.Context(), alice, i.ID, io.MultiReader(bytes.NewReader(noise(20<<20)), brokenReader{broken}), -1)
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	after := w.image(i.ID)
	if after.Status != images.StatusQueued || after.Upload.State != images.UploadAborted {
		t.Errorf("%s, upload %s", after.Status, after.Upload.State)
	}
	if u, err := w.service.Store.Usage(t.Context(), "p"); err != nil || u.InFlight != 0 {
		t.Errorf("the quota is not free: %+v, %v", u, err)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func TestScrubEndsUploadsThatNoRecordKnows(t *testing.T) {
	w := newWorld(t)
	scrubber := &scrub.Scrubber{Images: w.service, Validator: w.v, Log: w.service.Log, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}
	known, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	open, err := w.service.OpenUpload(t.Context(), alice, known.ID, images.UploadRequest{Size: 100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{images.BlobKey(known.ID, images.NewID()), images.BlobKey(images.NewID(), images.NewID())} {
		if _, err := blobs.CreateMultipart(t.Context(), key, 16<<20); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := scrubber.Parts(t.Context()); err != nil || r.Parts < 2 || r.Failed != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var left []string
	if err := blobs.ListMultipart(t.Context(), "images/", "", func(m images.OpenMultipart) bool { left = append(left, m.Key); return true }); err != nil {
		t.Fatal(err)
	}
	if want := open.Upload.Key(known.ID); len(left) != 1 || left[0] != want {
		t.Errorf("open uploads are %v, want %s alone", left, want)
	}
}
