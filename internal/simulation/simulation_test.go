package simulation

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "run this seed alone, and show all of it")
	runs      = flag.Int("runs", usualRuns, "runs over SQLite")
	atOnce    = flag.Int("at-once", 2, "runs at once")
	firstSeed = flag.Uint64("first", 1, "the first seed")
)

// seedsThatFailed are runs that found something, as the simulation was then. Each is run before all others.
//
//	3, 19     a stream whose image was deleted while its bytes arrived ended in a panic
//	193, 282  scrub expired an upload that was completed after scrub had listed it
//	243       PUT …/file said 204 of such an upload
//	85, 127   an answer of S3 that broke off was told as a failure of the service
var seedsThatFailed = []uint64{3, 19, 85, 127, 193, 243, 282}

func TestNothingIsLostStuckOrShownOverSQLite(t *testing.T) {
	dir := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "simulation-"); err == nil {
		dir = memory
		t.Cleanup(func() { os.RemoveAll(memory) })
	}
	var made atomic.Int32
	simulate(t, *runs, func(t *testing.T) images.Store {
		store, err := sqlitestore.Open(t.Context(), filepath.Join(dir, fmt.Sprintf("%d.db", made.Add(1))), sqlitestore.Relaxed())
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}

func TestNothingIsLostStuckOrShownOverDynamoDB(t *testing.T) {
	for name, engine := range map[string]func(testing.TB) string{"Dynoxide": dynamotest.Dynoxide, "MiniStack": dynamotest.Ministack} {
		t.Run(name, func(t *testing.T) {
			client := dynamotest.Client(engine(t))
			share := 10
			if name == "MiniStack" {
				share = 60
			}
			simulate(t, max(*runs/share, 2), func(t *testing.T) images.Store {
				return dynamostore.New(client, dynamotest.Table(t, client, dynamostore.TableInput), dynamostore.Options{})
			})
		})
	}
}

// simulate makes so many runs. A store serves them one after the other, since each ends with the deletion of all its images.
func simulate(t *testing.T, n int, open func(*testing.T) images.Store) {
	var seeds []uint64
	switch {
	case *oneSeed != 0:
		seeds = []uint64{*oneSeed}
	default:
		seeds = slices.Clone(seedsThatFailed)
		for i := range n {
			seeds = append(seeds, *firstSeed+uint64(i))
		}
	}
	began := time.Now()
	next := make(chan uint64)
	var steps, failed atomic.Int64
	var workers sync.WaitGroup
	for range min(*atOnce, len(seeds)) {
		workers.Go(func() { runAll(t, next, open, &steps, &failed) })
	}
	for _, seed := range seeds {
		if failed.Load() < 5 {
			next <- seed
		}
	}
	close(next)
	workers.Wait()
	t.Logf("%d runs, %d steps, %v", len(seeds), steps.Load(), time.Since(began).Round(time.Millisecond))
}

// runAll makes the runs that come, one after the other.
func runAll(t *testing.T, seeds <-chan uint64, open func(*testing.T) images.Store, steps, failed *atomic.Int64) {
	out := newOutside()
	defer close(out.calls)
	store := open(t)
	defer func() { store.Close() }()
	for seed := range seeds {
		w := run(t, seed, store, out)
		steps.Add(int64(w.step))
		if len(w.truth.wrong) == 0 && *oneSeed == 0 {
			continue
		}
		shown := w.trace[max(0, len(w.trace)-400):]
		if *oneSeed != 0 {
			shown = w.trace
		}
		if len(w.truth.wrong) == 0 {
			t.Logf("seed %d is clean:\n%s", seed, strings.Join(shown, "\n"))
			continue
		}
		t.Errorf("seed %d:\n\t%s\nTo see all of it:\n\tgo test ./internal/simulation -run '%s' -seed %d\n%s",
			seed, strings.Join(w.truth.wrong, "\n\t"), t.Name(), seed, strings.Join(shown, "\n"))
		failed.Add(1)
		store.Close()
		store = open(t)
	}
}

// run is one run: users, events and faults; then peace, in which everything must heal; then the end of every image.
func run(t *testing.T, seed uint64, store images.Store, out *outside) (w *world) {
	defer func() {
		if p := recover(); p != nil {
			w.truth.violate("%v\n%s", p, debug.Stack())
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, store, out)
		defer w.source.server.Close()
		w.disturb()
		if err := w.finish(20_000); err != nil {
			w.truth.violate("%v", err)
			panic("stuck")
		}
		w.faults = profile{}
		w.heal()
		w.check()
		w.books()
		w.clear()
	})
	return w
}

// disturb lets everything happen at once until the users are done.
func (w *world) disturb() {
	w.enter()
	for w.step = 1; w.step < 4000; w.step++ {
		w.mu.Lock()
		alive := w.alive
		w.mu.Unlock()
		if alive == 0 {
			return
		}
		switch n := w.rnd.IntN(1000); {
		case n < 40 && len(w.queue) > 0:
			w.deliver(w.rnd.IntN(len(w.queue)))
		case n < 55:
			w.round("due")
		case n < 60:
			w.round("adopt")
		case n < 63:
			w.round("parts")
		case n < 90:
			w.wait(w.pause())
		case n < 93:
			w.skew += time.Duration(w.rnd.IntN(600)-300) * time.Second
			w.note("the clock is off by %v", w.skew)
		case n < 93+w.faults.crash:
			w.crash()
		default:
			if !w.one() {
				w.wait(w.pause())
			}
		}
	}
}

// crash ends the host, or one of the functions that run.
func (w *world) crash() {
	if len(w.pending) == 0 {
		return
	}
	p := w.pending[w.rnd.IntN(len(w.pending))].p
	if p.on.user {
		return
	}
	w.note("%s crashes, and what shares its machine", p.name)
	p.on.kill()
	w.settle()
	w.bury()
}

// heal is what the service has to come to rest: time, its rounds, and the events that the storage still has.
func (w *world) heal() {
	for _, d := range []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, 2 * time.Hour, 8 * 24 * time.Hour, 10 * time.Minute, 2 * time.Hour, 8 * 24 * time.Hour, 2 * time.Hour} {
		w.wait(d)
		for range len(w.queue) {
			w.deliver(0)
			w.ended()
		}
		for _, name := range []string{"due", "adopt", "parts", "due"} {
			w.round(name)
			w.ended()
		}
	}
}

// books asks scrub what does not balance when everything has healed. It must find every image and every object, and nothing to do.
func (w *world) books() {
	live, stored, bytes := 0, 0, int64(0)
	for _, f := range w.truth.images {
		if f.is.Status != images.StatusDeleted {
			live++
		}
		if f.is.Blob != nil && f.is.Status != images.StatusDeleted {
			stored++
			bytes += f.is.Blob.Size
		}
	}
	w.scrubber.Batch = 3 // so that there are many pages
	w.serve("books", func(ctx context.Context, _ *process) {
		var sum scrub.Page
		for after, begun := "", false; !begun || after != ""; begun = true {
			page, err := w.scrubber.Page(ctx, after, true)
			if err != nil {
				w.truth.violate("the books cannot be read from %q on: %v", after, err)
				return
			}
			for _, f := range page.Findings {
				w.truth.violate("the books do not balance: %+v", f)
			}
			sum.Images, sum.Objects, sum.Stored, sum.InFlight, sum.Young = sum.Images+page.Images, sum.Objects+page.Objects, sum.Stored+page.Stored, sum.InFlight+page.InFlight, sum.Young+page.Young
			after = page.Next
		}
		if want := (scrub.Page{Images: live, Objects: stored, Stored: bytes}); !reflect.DeepEqual(sum, want) {
			w.truth.violate("the books say %+v, want %+v", sum, want)
		}
	})
	w.ended()
}

func (w *world) ended() {
	if err := w.finish(20_000); err != nil {
		w.truth.violate("%v", err)
		panic("stuck")
	}
}

// check is what must hold when everything has healed.
func (w *world) check() {
	t, ctx := w.truth, context.Background()
	total := map[string]images.Usage{}
	owned := map[string]bool{} // keys
	for _, id := range slices.Sorted(maps.Keys(t.images)) {
		f := t.images[id]
		var is *images.Image
		var err error
		w.outside.do(func() { is, err = w.store.Image(ctx, id) })
		if f.is.Status == images.StatusDeleted {
			if images.KindOf(err) != images.NotFound || err == nil {
				t.violate("image %s is back: %v", id, err)
			}
		} else if err != nil {
			t.violate("image %s is lost: %v", id, err)
			continue
		} else if diff := gocmp.Diff(f.is, is); diff != "" {
			t.violate("image %s is not as it was written (-written +is):\n%s", id, diff)
		}
		w.checkEvents(id, f)
		if f.is.Status == images.StatusDeleted {
			continue
		}
		total[is.Owner] = total[is.Owner].Add(images.UsageOf(is))
		switch is.Status {
		case images.StatusQueued, images.StatusActive, images.StatusDeactivated:
		default:
			t.violate("image %s is stuck: %s, upload %+v, import %+v", id, is.Status, is.Upload, is.Import)
		}
		if u := is.Upload; u.Live() || u != nil && u.State == images.UploadEnding {
			t.violate("upload %s of image %s is stuck: %s until %v", u.ID, id, u.State, u.ExpiresAt)
		}
		if m := is.Import; m != nil && (m.State == images.TaskPending || m.State == images.TaskProcessing) {
			t.violate("the import of image %s is stuck: %s", id, m.State)
		}
		if is.Blob != nil {
			owned[is.Blob.Key] = true
			if o := w.bucket().objects[is.Blob.Key]; o == nil || hashOf(o.body) != is.HashValue {
				t.violate("image %s is %s without its bytes", id, is.Status)
			}
		}
	}
	for _, u := range w.users {
		var used images.Usage
		var err error
		w.outside.do(func() { used, err = w.store.Usage(ctx, u.ProjectID) })
		if err != nil || used != total[u.ProjectID] {
			t.violate("project %s uses %+v; the store says %+v (%v)", u.ProjectID, total[u.ProjectID], used, err)
		}
	}
	for key := range w.bucket().objects {
		if !owned[key] {
			t.violate("object %s has no owner", key)
		}
	}
	for id, u := range w.bucket().uploads {
		t.violate("multipart upload %s of %s has no owner", id, u.key)
	}
	for _, id := range slices.Sorted(maps.Keys(t.promised)) {
		hash, outcome, code := t.promised[id], t.outcomes[id], t.codes[id]
		switch {
		case outcome == images.UploadAccepted, t.gone[id], t.gaveUp[id]:
		case outcome == images.UploadRejected && (code == "examination_failed" || !t.contents[hash]):
		default:
			t.violate("upload %s was acknowledged; it became %q %s", id, outcome, code)
		}
	}
}

// checkEvents says whether the history of an image is what happened to it.
func (w *world) checkEvents(id string, f *fact) {
	var events []images.Event
	var err error
	w.outside.do(func() { events, err = w.store.Events(context.Background(), id, 0, 1000) })
	if err != nil {
		w.truth.violate("the history of image %s: %v", id, err)
	}
	var got []images.Event
	for n, e := range events {
		if n > 0 && e.Seq <= events[n-1].Seq {
			w.truth.violate("the history of image %s is out of order", id)
		}
		got = append(got, images.Event{ImageID: e.ImageID, From: e.From, To: e.To})
	}
	if diff := gocmp.Diff(f.changes, got); diff != "" {
		w.truth.violate("the history of image %s is not what happened (-happened +history):\n%s", id, diff)
	}
}

// clear deletes every image, and says whether anything stays.
func (w *world) clear() {
	root := w.users[slices.IndexFunc(w.users, func(u user) bool { return u.UserID == "root" })]
	w.start(newMachine(), root.UserID, func(ctx context.Context, p *process) {
		s := &session{w, root, ctx, p}
		for _, id := range slices.Sorted(maps.Keys(w.truth.images)) {
			if w.truth.images[id].is.Status == images.StatusDeleted {
				continue
			}
			s.ask("PATCH", "/v2/images/"+id, patchType, strings.NewReader(`[{"op":"replace","path":"/protected","value":false}]`))
			if r := s.ask("DELETE", "/v2/images/"+id, "", nil); r.status != 204 {
				w.truth.violate("image %s cannot be deleted: %d %s", id, r.status, r.body)
			}
		}
	})
	w.ended()
	if n := cmp.Or(len(w.bucket().objects), len(w.bucket().uploads)); n > 0 {
		w.truth.violate("%d objects or uploads are left when every image is deleted", n)
	}
	for _, u := range w.users {
		if used := w.truth.usages[u.ProjectID]; used != (images.Usage{}) {
			w.truth.violate("project %s uses %+v when every image is deleted", u.ProjectID, used)
		}
	}
}
