package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
)

func (s *suite) paging(t *testing.T) {
	t.Run("at page sizes of every kind a list has every image once, from its parts and from markers alike", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		m, err := g.Populate(t.Context(), store, 60)
		if err != nil {
			t.Fatal(err)
		}
		for _, sort := range [][]images.SortKey{nil, {{Key: "name"}}, {{Key: "size", Desc: true}}, {{Key: "status"}, {Key: "updated_at", Desc: true}}} {
			q := images.Query{ProjectID: "beta", Visibility: images.VisibilityAll, MemberStatus: images.MemberStatusAll, Sort: sort}
			want := m.List(&q)
			for _, q.Limit = range sizes(len(want)) {
				got, err := m.follow(t.Context(), store, q, 0)
				if err != nil {
					t.Fatalf("%s: %v", describe(&q), err)
				}
				if !same(t, got, want) {
					t.Fatalf("in the list %s", describe(&q))
				}
			}
			// As a client pages: the marker is an id, which the store turns into a position again.
			q.Limit = 4
			var got []*images.Image
			for pages := 0; ; pages++ {
				page, err := store.List(t.Context(), &q)
				if err != nil || pages > 1000 {
					t.Fatalf("page %d: %v", pages, err)
				}
				got = append(got, page.Images...)
				if page.Next == nil {
					break
				}
				if q.After, err = store.Position(t.Context(), page.Next.ID); err != nil {
					t.Fatal(err)
				}
			}
			same(t, got, want)
		}
	})

	t.Run("paging goes on where it was when the marker is deleted", func(t *testing.T) {
		for _, sort := range [][]images.SortKey{nil, {{Key: "name"}}, {{Key: "name", Desc: true}}, {{Key: "size"}}, {{Key: "created_at"}}, {{Key: "id"}},
			{{Key: "disk_format"}, {Key: "name", Desc: true}}} {
			store, g := s.fresh(t), Generator{random(t)}
			m, err := g.Populate(t.Context(), store, 40)
			if err != nil {
				t.Fatal(err)
			}
			q := images.Query{ProjectID: "gamma", Visibility: images.VisibilityAll, Sort: sort, Limit: 3}
			want := m.List(&q)
			var got []*images.Image
			for pages := 0; ; pages++ {
				page, err := store.List(t.Context(), &q)
				if err != nil || pages > 1000 {
					t.Fatalf("page %d: %v", pages, err)
				}
				got = append(got, page.Images...)
				if page.Next == nil {
					break
				}
				if marker, ok := m.Images[page.Next.ID]; ok {
					remove(t, store, marker)
					delete(m.Images, marker.ID)
				}
				if q.After, err = store.Position(t.Context(), page.Next.ID); err != nil {
					t.Fatal(err)
				}
			}
			if !same(t, got, want) {
				t.Fatalf("in the list %s", describe(&q))
			}
		}
	})

	t.Run("paging neither skips nor repeats while others create, change and delete", func(t *testing.T) {
		store, g := s.fresh(t), Generator{random(t)}
		m, err := g.Populate(t.Context(), store, 120)
		if err != nil {
			t.Fatal(err)
		}
		// A stream of its own: that of g would make the ids of the model again.
		c := &churn{store: s.handles(t, store, 2)[1], g: Generator{rand.New(rand.NewPCG(g.Uint64(), g.Uint64()))}, stay: m}
		stop := make(chan struct{})
		var others sync.WaitGroup
		others.Go(func() { c.run(t, stop) })
		for round := range 24 {
			q := images.Query{ProjectID: pick(g, projects), SeesAll: round%4 == 0, Visibility: images.VisibilityAll, Limit: 1 + g.IntN(12),
				Sort: pick(g, [][]images.SortKey{nil, {{Key: "name"}}, {{Key: "size", Desc: true}}, {{Key: "id"}}, {{Key: "created_at"}}, {{Key: "status"}, {Key: "name"}}})}
			want := m.List(&q)
			got, err := m.follow(t.Context(), store, q, 0)
			if err != nil && !strings.Contains(err.Error(), "cannot see") { // of images that come and go the model knows nothing
				t.Errorf("%s: %v", describe(&q), err)
				break
			}
			if err != nil {
				continue
			}
			got = slices.DeleteFunc(got, func(i *images.Image) bool { return m.Images[i.ID] == nil })
			if !same(t, got, want) {
				t.Errorf("in the list %s", describe(&q))
				break
			}
		}
		close(stop)
		others.Wait()
		if c.err != nil {
			t.Fatal(c.err)
		}
		t.Logf("%d writes meanwhile", c.writes)
	})
}

// sizes are page sizes for a list of n: small ones, of which the last page is full or not, the half, and those around n.
func sizes(n int) []int {
	all := []int{1, 2, 3, 5, 8, n / 2, n/2 + 1, n - 1, n, n + 1, n + 2}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(size int) bool { return size < 1 })
}

// churn writes without end: records come, change in every way and go; records of stay change in what no list is sorted or filtered by.
type churn struct {
	store  images.Store
	g      Generator
	stay   *Model
	writes int
	err    error
}

func (c *churn) run(t *testing.T, stop <-chan struct{}) {
	var coming []*images.Image
	staying := c.stay.List(&images.Query{SeesAll: true, Sort: []images.SortKey{{Key: "id"}}})
	current := map[string]*images.Image{}
	for {
		select {
		case <-stop:
			return
		default:
		}
		var err error
		switch c.g.IntN(4) {
		case 0:
			i := c.g.Image()
			err = c.store.Apply(t.Context(), images.Write{Is: i})
			coming = append(coming, i)
		case 1:
			if len(coming) > 30 {
				n := c.g.IntN(len(coming))
				is := coming[n].Clone()
				is.Status = images.StatusDeleted
				err = c.store.Apply(t.Context(), images.Write{Was: coming[n], Is: is})
				coming = slices.Delete(coming, n, n+1)
			}
		case 2:
			if len(coming) > 0 {
				n := c.g.IntN(len(coming))
				is := c.g.Image()
				is.ID = coming[n].ID
				err = c.store.Apply(t.Context(), images.Write{Was: coming[n], Is: is})
				coming[n] = is
			}
		case 3:
			id := pick(c.g, staying).ID
			was := current[id]
			if was == nil {
				was = c.stay.Images[id]
			}
			is := was.Clone()
			is.Protected, is.UpdatedAt, is.Properties = !was.Protected, was.UpdatedAt.Add(time.Second), map[string]string{"changed": c.g.ID()}
			err = c.store.Apply(t.Context(), images.Write{Was: was, Is: is})
			current[id] = is
		}
		if err != nil {
			c.err = errors.Join(c.err, fmt.Errorf("writing meanwhile: %w", err))
			return
		}
		c.writes++
	}
}
