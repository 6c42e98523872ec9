package storetest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

// describe is a query in a failure message.
func describe(q *images.Query) string {
	c := *q
	if c.After != nil {
		c.After = &images.Image{ID: c.After.ID}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *suite) lists(t *testing.T) {
	t.Run("every list holds what the reference holds, in its order", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		m, err := g.Populate(t.Context(), store, 350)
		if err != nil {
			t.Fatal(err)
		}
		all := m.List(&images.Query{SeesAll: true})
		found := 0
		for range s.Queries {
			q := g.Query()
			if g.chance(10) {
				q.IDs = []string{pick(g, all).ID, pick(g, all).ID, g.ID()}
			}
			if g.chance(40) {
				q.After = pick(g, all) // which need not be in the list
			}
			want := m.List(q)
			got, err := m.follow(t.Context(), store, *q, 0)
			if err != nil {
				t.Fatalf("%s: %v", describe(q), err)
			}
			if !same(t, got, want) {
				t.Fatalf("in the list %s", describe(q))
			}
			for n := range got {
				if diff := cmp.Diff(want[n], got[n], whole); diff != "" {
					t.Fatalf("image %s in a list (-want +got):\n%s", got[n].ID, diff)
				}
			}
			found += len(got)
		}
		if found < s.Queries {
			t.Errorf("%d lists held %d images: the queries test too little", s.Queries, found)
		}
	})

	t.Run("every sort key, up and down, alone and with every other", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		m, err := g.Populate(t.Context(), store, 60)
		if err != nil {
			t.Fatal(err)
		}
		check := func(keys ...images.SortKey) {
			t.Helper()
			q := images.Query{ProjectID: "alpha", Visibility: images.VisibilityAll, Sort: keys, Limit: 15}
			got, err := m.follow(t.Context(), store, q, 0)
			if err != nil {
				t.Fatalf("%s: %v", describe(&q), err)
			}
			if !same(t, got, m.List(&q)) {
				t.Fatalf("in the list %s", describe(&q))
			}
		}
		for _, first := range images.SortKeys {
			for _, desc := range []bool{false, true} {
				check(images.SortKey{Key: first, Desc: desc})
				for _, second := range images.SortKeys {
					if second != first {
						check(images.SortKey{Key: first, Desc: desc}, images.SortKey{Key: second, Desc: g.chance(50)})
					}
				}
			}
		}
	})

	t.Run("an empty store lists nothing", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		for range 50 {
			page, err := store.List(t.Context(), g.Query())
			if err != nil || len(page.Images) != 0 || page.Next != nil {
				t.Fatalf("got %d images, Next %v and error %v", len(page.Images), page.Next, err)
			}
		}
	})
}
