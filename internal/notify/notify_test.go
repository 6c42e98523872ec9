package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/notify"
	"bullion/internal/sqlitestore"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The form of a message is a contract. A change of the golden file is one of docs/events.md, which shows it.
func TestTheFormOfAMessage(t *testing.T) {
	m := notify.NewMessage("https://images.example.org", images.Event{
		ImageID: "7a0e1f4a-5a53-4f5c-9d4b-2f8f7f1f2b10", Seq: 5, At: time.Date(2026, 3, 1, 12, 30, 15, 250_000_000, time.UTC), Owner: "4f0c6f3b5a5e4c6f8a5d1f2e3b4c5d6e",
		Actor: "9b1d5f0a7c3e4b2d8f6a1c0e5d7b9a3f", ActorProject: "4f0c6f3b5a5e4c6f8a5d1f2e3b4c5d6e", From: images.StatusImporting, To: images.StatusQueued,
		Reason: "The file is qcow2; the record says raw.",
	})
	got, err := json.MarshalIndent(m, "", "  ")
	ok(t, err)
	path := filepath.Join("testdata", "message.json")
	if *update {
		ok(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	ok(t, err)
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("(-want +got; -update writes it anew):\n%s", diff)
	}
	doc, err := os.ReadFile("../../docs/events.md")
	ok(t, err)
	if !strings.Contains(string(doc), string(got)) {
		t.Error("docs/events.md shows another message than testdata/message.json")
	}
}

func openStore(t testing.TB) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "records.db"), sqlitestore.Relaxed())
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// happen makes n changes of an image, each with an event.
func happen(t testing.TB, s images.Store, id string, n int) {
	t.Helper()
	var was *images.Image
	if at, err := s.Image(t.Context(), id); err == nil {
		was = at
	}
	for range n {
		now := time.Now().UTC().Truncate(time.Microsecond)
		is := &images.Image{ID: id, Status: images.StatusQueued, Visibility: images.Private, Owner: "project", CreatedAt: now, UpdatedAt: now}
		if was != nil {
			is = was.Clone()
		}
		ok(t, s.Apply(t.Context(), images.Write{Was: was, Is: is, Event: &images.Event{ImageID: id, At: now, Owner: "project", To: is.Status}}))
		was = is
	}
}

// takes is a sink that takes what its function says.
type takes func(events []images.Event) ([]images.Event, error)

func (f takes) Send(_ context.Context, events []images.Event) ([]images.Event, error) {
	return f(events)
}

func seqs(events []images.Event, id string) (list []int64) {
	for _, e := range events {
		if e.ImageID == id {
			list = append(list, e.Seq)
		}
	}
	return list
}

func TestARelayHandsOnEveryEventInOrderWhateverFails(t *testing.T) {
	s := openStore(t)
	ids := []string{images.NewID(), images.NewID(), images.NewID()}
	for _, id := range ids {
		happen(t, s, id, 90) // together more than one batch
	}
	var got []images.Event
	calls := 0
	r := &notify.Relay{Store: s, Sink: takes(func(events []images.Event) ([]images.Event, error) {
		calls++
		switch calls % 3 {
		case 0:
			return nil, errors.New("it is down")
		case 1: // it takes a part
			n := len(events)/2 + 1
			got = append(got, events[:n]...)
			return events[:n], errors.New("it had enough")
		}
		got = append(got, events...)
		return events, nil
	})}
	for tries := 0; ; tries++ {
		if err := r.Drain(t.Context()); err == nil {
			break
		}
		if tries > 100 {
			t.Fatal("the relay makes no progress")
		}
	}
	for _, id := range ids {
		if list := seqs(got, id); len(list) != 90 || !slices.IsSorted(list) {
			t.Errorf("image %s: got %v, want 1 to 90 in order", id, list)
		}
	}
}

// The process dies between the delivery and its mark: the delivery comes again.
func TestAnEventWhoseMarkWasLostIsDeliveredAgain(t *testing.T) {
	s, id := openStore(t), images.NewID()
	happen(t, s, id, 2)
	var got []images.Event
	sink := takes(func(events []images.Event) ([]images.Event, error) { got = append(got, events...); return events, nil })
	if err := (&notify.Relay{Store: unmarked{s}, Sink: sink}).Drain(t.Context()); err == nil {
		t.Error("no error, although the mark failed")
	}
	ok(t, (&notify.Relay{Store: s, Sink: sink}).Drain(t.Context()))
	ok(t, (&notify.Relay{Store: s, Sink: sink}).Drain(t.Context()))
	if diff := cmp.Diff([]int64{1, 2, 1, 2}, seqs(got, id)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type unmarked struct{ notify.Outbox }

func (unmarked) Delivered(context.Context, []images.Event) error { return errors.New("killed") }

func TestTheOutboxIsEmptiedWhenNobodyWantsToKnow(t *testing.T) {
	s := openStore(t)
	happen(t, s, images.NewID(), 250)
	ok(t, (&notify.Relay{Store: s}).Drain(t.Context()))
	if left, err := s.Undelivered(t.Context(), 1); err != nil || len(left) != 0 {
		t.Errorf("got %v and error %v, want none", left, err)
	}
}

func TestAWriteTellsOfItsEventOnceItIsKept(t *testing.T) {
	s, id := openStore(t), images.NewID()
	var got []images.Event
	told := notify.After(s, func(_ context.Context, e images.Event) { got = append(got, e) })
	happen(t, told, id, 3)
	now := time.Now()
	stale := &images.Image{ID: id, Version: 1, Status: images.StatusQueued, CreatedAt: now, UpdatedAt: now}
	if err := told.Apply(t.Context(), images.Write{Was: stale, Is: stale.Clone(), Event: &images.Event{ImageID: id, At: now}}); !errors.Is(err, images.ErrStale) {
		t.Errorf("a stale write: got %v", err)
	}
	kept, err := s.Events(t.Context(), id, 0, 10)
	ok(t, err)
	if diff := cmp.Diff(kept, got); diff != "" {
		t.Errorf("(-kept +told):\n%s", diff)
	}
}
