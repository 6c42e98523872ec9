// Package storetest is the contract of images.Store as a test. Every store passes it, in three lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) images.Store { return openFresh(t) })
//	}
//
// Lists are compared with a reference that is as plain as can be: every record in memory, kept when Query.Lists says so, sorted by
// Query.Compare. The records and queries are random, from a seed that the test prints; set STORETEST_SEED to repeat a run.
//
// A store may answer a list with short pages (see images.Page), so the suite follows Next and judges only the whole. It asks more of Next than
// that it leads to the end: it lies behind the position that was asked for, and whoever asked can see the image, because its id goes to
// the client as the next marker.
package storetest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"bullion/internal/images"
)

// Options fit the suite to an engine. The zero value is the whole suite.
type Options struct {
	// Records is how many records the test of size writes; 100,000 when 0.
	Records int
	// Queries is how many random lists are compared with the reference; 1500 when 0.
	Queries int
	// Writers is how many goroutines write at once; 16 when 0.
	Writers int
	// Second opens another handle on the records of a store that open gave, as another process would. Nil when the engine cannot;
	// then every goroutine uses the same handle.
	Second func(t *testing.T, first images.Store) images.Store
}

// Run is the whole suite. open gives an empty store; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) images.Store) { RunWith(t, open, Options{}) }

// RunWith is Run with Options.
func RunWith(t *testing.T, open func(t *testing.T) images.Store, o Options) {
	if o.Records == 0 {
		o.Records = 100_000
	}
	if o.Queries == 0 {
		o.Queries = 1500
	}
	if o.Writers == 0 {
		o.Writers = 16
	}
	s := &suite{Options: o, open: open}
	for _, group := range []struct {
		name string
		test func(*testing.T)
	}{
		{"records", s.records},
		{"concurrent writes", s.concurrency},
		{"usage", s.usage},
		{"quotas", s.quotas},
		{"events", s.events},
		{"members", s.members},
		{"due", s.due},
		{"cancelled calls", s.cancelled},
		{"lists", s.lists},
		{"paging", s.paging},
		{"many records", s.scale},
	} {
		t.Run(group.name, group.test)
	}
}

type suite struct {
	Options
	open func(t *testing.T) images.Store
}

// fresh is an empty store, closed when the test ends.
func (s *suite) fresh(t *testing.T) images.Store {
	t.Helper()
	store := s.open(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return store
}

// handles is n ways to the records of the store, on as many handles as the engine allows.
func (s *suite) handles(t *testing.T, store images.Store, n int) []images.Store {
	t.Helper()
	all := make([]images.Store, n)
	other := store
	if s.Second != nil {
		other = s.Second(t, store)
		t.Cleanup(func() {
			if err := other.Close(); err != nil {
				t.Errorf("Close of the second handle: %v", err)
			}
		})
	}
	for i := range all {
		all[i] = store
		if i%2 == 1 {
			all[i] = other
		}
	}
	return all
}

// random is a source of random numbers whose seed the test prints.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(20260102)
	if text := os.Getenv("STORETEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("STORETEST_SEED must be a whole number, not %q.", text)
		}
		seed = n
	}
	t.Logf("STORETEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0x62756c6c696f6e))
}

// epoch is when the records of the suite begin.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// create writes a new record and fails the test when it cannot.
func create(t *testing.T, store images.Store, i *images.Image) *images.Image {
	t.Helper()
	if err := store.Apply(t.Context(), images.Write{Is: i}); err != nil {
		t.Fatalf("creating %s: %v", i.ID, err)
	}
	return i
}

// replace writes an edited copy of the record and returns it.
func replace(t *testing.T, store images.Store, was *images.Image, edit func(*images.Image)) *images.Image {
	t.Helper()
	is := was.Clone()
	edit(is)
	if err := store.Apply(t.Context(), images.Write{Was: was, Is: is}); err != nil {
		t.Fatalf("replacing %s: %v", was.ID, err)
	}
	return is
}

// remove deletes the record for good and returns what was written.
func remove(t *testing.T, store images.Store, was *images.Image) *images.Image {
	t.Helper()
	return replace(t, store, was, func(i *images.Image) { i.Status = images.StatusDeleted })
}

// get reads a record and fails the test when it is not there.
func get(t *testing.T, store images.Store, id string) *images.Image {
	t.Helper()
	i, err := store.Image(t.Context(), id)
	if err != nil {
		t.Fatalf("Image(%s): %v", id, err)
	}
	return i
}

func wantKind(t *testing.T, what string, err error, want images.Kind) {
	t.Helper()
	if err == nil || images.KindOf(err) != want {
		t.Errorf("%s: got error %v of kind %d, want kind %d", what, err, images.KindOf(err), want)
	}
}

// usageIs checks the usage of a project.
func usageIs(t *testing.T, store images.Store, project string, want images.Usage) {
	t.Helper()
	got, err := store.Usage(t.Context(), project)
	if err != nil {
		t.Fatalf("Usage(%s): %v", project, err)
	}
	if got != want {
		t.Errorf("usage of %s: got %+v, want %+v", project, got, want)
	}
}

// Seed writes records as quickly as the store allows, from several goroutines. Stores use it in benchmarks too.
func Seed(ctx context.Context, store images.Store, writers int, records []*images.Image) error {
	return each(ctx, writers, records, func(ctx context.Context, i *images.Image) error {
		return store.Apply(ctx, images.Write{Is: i})
	})
}
