package storetest

import (
	"testing"
	"time"

	"bullion/internal/images"
)

func (s *suite) due(t *testing.T) {
	t.Run("due records come the longest due first, as far as they are due, and follow changes", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		live := map[string]*images.Image{}
		check := func(what string) {
			t.Helper()
			for _, at := range []time.Time{epoch.Add(-time.Hour), epoch, epoch.Add(10 * time.Hour), epoch.Add(20*time.Hour + time.Microsecond), epoch.Add(1000 * time.Hour)} {
				want := map[string]bool{}
				for _, i := range live {
					if due := i.DueAt(); !due.IsZero() && !due.After(at) {
						want[i.ID] = true
					}
				}
				got, err := store.Due(t.Context(), at, 1000)
				if err != nil {
					t.Fatal(err)
				}
				last := time.Time{}
				for _, i := range got {
					if !want[i.ID] {
						t.Errorf("%s, due at %v: %s is due at %v or comes twice", what, at, i.ID, i.DueAt())
					}
					delete(want, i.ID)
					if i.DueAt().Before(last) {
						t.Errorf("%s: %s is not in order", what, i.ID)
					}
					last = i.DueAt()
				}
				if len(want) > 0 {
					t.Errorf("%s, due at %v: %d records are missing", what, at, len(want))
				}
				for _, limit := range []int{1, 3} {
					few, err := store.Due(t.Context(), at, limit)
					if err != nil {
						t.Fatal(err)
					}
					if len(few) != min(limit, len(got)) {
						t.Errorf("%s, due at %v: got %d records, want %d", what, at, len(few), min(limit, len(got)))
					}
					for n := range few {
						if !few[n].DueAt().Equal(got[n].DueAt()) {
							t.Errorf("%s: with limit %d record %d is due at %v, want %v", what, limit, n, few[n].DueAt(), got[n].DueAt())
						}
					}
				}
			}
		}
		check("an empty store")
		for range 150 {
			i := create(t, store, g.Image())
			live[i.ID] = i
		}
		check("after creation")
		for _, was := range live {
			switch g.IntN(3) {
			case 0:
				next := g.Image()
				live[was.ID] = replace(t, store, was, func(i *images.Image) { v := i.Version; *i = *next; i.ID, i.Version = was.ID, v })
			case 1:
				remove(t, store, was)
				delete(live, was.ID)
			}
		}
		check("after changes")
	})
}
