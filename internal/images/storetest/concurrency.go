package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

func (s *suite) concurrency(t *testing.T) {
	t.Run("of writers that read the same version one wins and the others are stale", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		i := create(t, store, g.Plain("alpha", 0))
		for round := range 10 {
			var won atomic.Int64
			var winner atomic.Pointer[images.Image]
			err := together(s.Writers, func(w int) error {
				is := i.Clone()
				is.Name = fmt.Sprintf("round %d writer %d", round, w)
				switch err := handles[w].Apply(t.Context(), images.Write{Was: i, Is: is}); {
				case err == nil:
					won.Add(1)
					winner.Store(is)
					return nil
				case errors.Is(err, images.ErrStale):
					return nil
				default:
					return err
				}
			})
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if won.Load() != 1 {
				t.Fatalf("round %d: %d writers won, want 1", round, won.Load())
			}
			if diff := cmp.Diff(winner.Load(), get(t, store, i.ID), whole); diff != "" {
				t.Fatalf("round %d: the record is not the winner's (-want +got):\n%s", round, diff)
			}
			i = winner.Load()
		}
	})

	t.Run("of writers that create the same id one wins and the others conflict", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		for range 5 {
			i := g.Plain("alpha", 0)
			var won atomic.Int64
			err := together(s.Writers, func(w int) error {
				err := handles[w].Apply(t.Context(), images.Write{Is: i.Clone()})
				switch {
				case err == nil:
					won.Add(1)
				case images.KindOf(err) != images.Conflict:
					return err
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if won.Load() != 1 {
				t.Fatalf("%d writers won, want 1", won.Load())
			}
		}
		usageIs(t, store, "alpha", images.Usage{Images: 5})
	})

	t.Run("no update is lost", func(t *testing.T) {
		const each = 15
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		i := g.Plain("alpha", 0)
		i.Properties = map[string]string{"count": "0"}
		create(t, store, i)
		err := together(s.Writers, func(w int) error {
			for done := 0; done < each; {
				_, err := images.Change(t.Context(), handles[w], i.ID, images.Actor{}, nil, func(i *images.Image) error {
					n, err := strconv.Atoi(i.Properties["count"])
					i.Properties["count"] = strconv.Itoa(n + 1)
					return err
				})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, images.ErrStale):
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := get(t, store, i.ID)
		if want := strconv.Itoa(s.Writers * each); got.Properties["count"] != want {
			t.Errorf("count: got %s, want %s", got.Properties["count"], want)
		}
		if want := int64(s.Writers*each + 1); got.Version != want {
			t.Errorf("version: got %d, want %d", got.Version, want)
		}
	})

	t.Run("a delete and an update of the same version do not both happen", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, 2)
		for round := range 20 {
			i := create(t, store, g.Plain("alpha", round))
			var won [2]bool
			err := together(2, func(w int) error {
				is := i.Clone()
				if is.Name = "updated"; w == 1 {
					is.Status = images.StatusDeleted
				}
				err := handles[w].Apply(t.Context(), images.Write{Was: i, Is: is})
				if won[w] = err == nil; errors.Is(err, images.ErrStale) {
					err = nil
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if won[0] == won[1] {
				t.Fatalf("update won: %v, delete won: %v; want one of them", won[0], won[1])
			}
			_, err = store.Image(t.Context(), i.ID)
			if gone := images.KindOf(err) == images.NotFound && err != nil; gone != won[1] {
				t.Fatalf("delete won: %v, but Image says %v", won[1], err)
			}
		}
	})

	t.Run("what one handle wrote another reads at once", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, 2)
		for n := range 20 {
			i := create(t, handles[n%2], g.Plain("alpha", n))
			if got := get(t, handles[(n+1)%2], i.ID); got.Version != 1 {
				t.Fatalf("version: got %d, want 1", got.Version)
			}
			usageIs(t, handles[(n+1)%2], "alpha", images.Usage{Images: int64(n + 1)})
		}
	})

	t.Run("writes of many records at once all happen", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		var next atomic.Int64
		records := make([]*images.Image, 20*s.Writers)
		for n := range records {
			records[n] = g.Plain(projects[n%len(projects)], n)
		}
		err := together(s.Writers, func(w int) error {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(records) {
					return nil
				}
				if err := handles[w].Apply(t.Context(), images.Write{Is: records[n]}); err != nil {
					return err
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		m := &Model{Images: map[string]*images.Image{}}
		for _, i := range records {
			m.Images[i.ID] = i
		}
		q := images.Query{SeesAll: true, Limit: 100}
		got, err := m.follow(t.Context(), store, q, 0)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, m.List(&q))
	})
}

func (s *suite) cancelled(t *testing.T) {
	t.Run("a call whose context is over before it begins gives the context's error and writes nothing", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		i := create(t, store, g.Plain("alpha", 0))
		m := images.Member{ImageID: i.ID, ProjectID: "beta", Status: images.Pending, CreatedAt: epoch, UpdatedAt: epoch}
		if err := store.CreateMember(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		other := g.Plain("alpha", 1)
		late := m
		late.ProjectID, late.Status = "gamma", images.Accepted
		accepted := m
		accepted.Status = images.Accepted
		for name, call := range map[string]func() error{
			"Apply (create)":  func() error { return store.Apply(ctx, images.Write{Is: other}) },
			"Apply (replace)": func() error { return store.Apply(ctx, images.Write{Was: i, Is: i.Clone()}) },
			"Image":           func() error { _, err := store.Image(ctx, i.ID); return err },
			"Position":        func() error { _, err := store.Position(ctx, i.ID); return err },
			"List": func() error {
				_, err := store.List(ctx, &images.Query{ProjectID: "alpha", Limit: 1})
				return err
			},
			"Due":          func() error { _, err := store.Due(ctx, epoch, 1); return err },
			"Members":      func() error { _, err := store.Members(ctx, i.ID); return err },
			"Member":       func() error { _, err := store.Member(ctx, i.ID, "beta"); return err },
			"CreateMember": func() error { return store.CreateMember(ctx, late) },
			"UpdateMember": func() error { return store.UpdateMember(ctx, accepted) },
			"DeleteMember": func() error { return store.DeleteMember(ctx, i.ID, "beta") },
			"Usage":        func() error { _, err := store.Usage(ctx, "alpha"); return err },
			"Events":       func() error { _, err := store.Events(ctx, i.ID, 0, 1); return err },
			"Undelivered":  func() error { _, err := store.Undelivered(ctx, 1); return err },
			"Delivered": func() error {
				return store.Delivered(ctx, []images.Event{{ImageID: i.ID, Seq: 1}})
			},
		} {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got error %v, want context.Canceled", name, err)
			}
		}
		_, err := store.Image(t.Context(), other.ID)
		wantKind(t, "the record that should not be there", err, images.NotFound)
		if diff := cmp.Diff(i, get(t, store, i.ID), whole); diff != "" {
			t.Errorf("the record (-want +got):\n%s", diff)
		}
		members, err := store.Members(t.Context(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]images.Member{m}, members); diff != "" {
			t.Errorf("the members (-want +got):\n%s", diff)
		}
	})

	t.Run("a write whose context ends meanwhile happens whole or not at all", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		handles := s.handles(t, store, s.Writers)
		records := make([]*images.Image, 200)
		for n := range records {
			records[n] = g.Plain("alpha", n)
		}
		said := make([]error, len(records))
		var next atomic.Int64
		err := together(s.Writers, func(w int) error {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(records) {
					return nil
				}
				i := records[n]
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%20)*100*time.Microsecond)
				said[n] = handles[w].Apply(ctx, images.Write{Is: i, Event: &images.Event{ImageID: i.ID, At: i.CreatedAt, Owner: "alpha", To: i.Status}})
				cancel()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		there := int64(0)
		for n, i := range records {
			_, err := store.Image(t.Context(), i.ID)
			if err != nil && images.KindOf(err) != images.NotFound {
				t.Fatal(err)
			}
			events, eventsErr := store.Events(t.Context(), i.ID, 0, 10)
			if eventsErr != nil {
				t.Fatal(eventsErr)
			}
			switch {
			case said[n] == nil && err != nil:
				t.Errorf("a write that succeeded is not there: %v", err)
			case (err == nil) != (len(events) == 1):
				t.Errorf("the record is there: %v, but it has %d events", err == nil, len(events))
			}
			if err == nil {
				there++
			}
		}
		usageIs(t, store, "alpha", images.Usage{Images: there})
	})
}
