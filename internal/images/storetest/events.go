package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

func (s *suite) events(t *testing.T) {
	// history writes n versions of a new record, each with an event but every third, then deletes it, and returns the events.
	history := func(t *testing.T, store images.Store, i *images.Image, n int) []images.Event {
		t.Helper()
		var all []images.Event
		var was *images.Image
		for v := 1; v <= n; v++ {
			is := i.Clone()
			if is.Name = fmt.Sprintf("version %d", v); v == n {
				is.Status = images.StatusDeleted
			}
			w := images.Write{Was: was, Is: is}
			if was != nil {
				is.Version = was.Version
			}
			if v%3 != 0 {
				e := images.Event{ImageID: i.ID, At: epoch.Add(time.Duration(v) * time.Microsecond), Owner: i.Owner, Actor: "user", ActorProject: "project", From: "queued",
					To: is.Status, Reason: `It said "no" – naïvely.`}
				w.Event = &e
				e.Seq = 0
				stored := e
				stored.Seq = int64(v)
				all = append(all, stored)
			}
			if err := store.Apply(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			was = is
		}
		return all
	}

	t.Run("the events of an image come in order, in pages, and outlive it", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := g.Plain("alpha", 0)
		history(t, store, g.Plain("alpha", 1), 4)
		want := history(t, store, i, 14)
		got, err := store.Events(t.Context(), i.ID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		for size := 1; size < 5; size++ {
			var paged []images.Event
			after := int64(0)
			for {
				page, err := store.Events(t.Context(), i.ID, after, size)
				if err != nil || len(page) > size {
					t.Fatalf("a page of %d: got %d events and error %v", size, len(page), err)
				}
				if len(page) == 0 {
					break
				}
				paged = append(paged, page...)
				after = page[len(page)-1].Seq
			}
			if diff := cmp.Diff(want, paged); diff != "" {
				t.Errorf("in pages of %d (-want +got):\n%s", size, diff)
			}
		}
		if none, err := store.Events(t.Context(), g.ID(), 0, 10); err != nil || len(none) != 0 {
			t.Errorf("of an unknown image: got %v and error %v, want none", none, err)
		}
	})

	t.Run("events are undelivered until they are acknowledged, one time is enough, and stay readable", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		want := map[string][]images.Event{}
		for n := range 6 {
			i := g.Plain("alpha", n)
			want[i.ID] = history(t, store, i, 5)
		}
		if few, err := store.Undelivered(t.Context(), 3); err != nil || len(few) != 3 {
			t.Errorf("with limit 3: got %d events and error %v, want 3", len(few), err)
		}
		got := map[string][]images.Event{}
		for rounds := 0; ; rounds++ {
			page, err := store.Undelivered(t.Context(), 5)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			if rounds > 100 {
				t.Fatal("acknowledged events come back")
			}
			for _, e := range page {
				got[e.ImageID] = append(got[e.ImageID], e)
			}
			for range 2 {
				if err := store.Delivered(t.Context(), page); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("undelivered, for each image (-want +got):\n%s", diff)
		}
		for id := range want {
			events, err := store.Events(t.Context(), id, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[id], events); diff != "" {
				t.Errorf("after delivery (-want +got):\n%s", diff)
			}
		}
		if err := store.Delivered(t.Context(), nil); err != nil {
			t.Errorf("acknowledging nothing: %v", err)
		}
	})

	t.Run("only the acknowledged events are delivered", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		want := history(t, store, g.Plain("alpha", 0), 8)
		if err := store.Delivered(t.Context(), want[1:3]); err != nil {
			t.Fatal(err)
		}
		got, err := store.Undelivered(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(want[:1:1], want[3:]...), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
