package dynamostore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// TestSmallMemory compares lists with the reference while pages end early and hardly anything is sorted in memory, as among a hundred thousand images.
func TestSmallMemory(t *testing.T) {
	for _, size := range []struct{ budget, ties, records int }{{1, 1, 40}, {10, 3, 40}, {25, 10, 70}} {
		t.Run(fmt.Sprintf("%d records a page and %d ties", size.budget, size.ties), func(t *testing.T) {
			store := open(t, dynamotest.Dynoxide(t))
			g := storetest.Generator{Rand: rand.New(rand.NewPCG(15, uint64(size.budget)))}
			m, err := g.Populate(t.Context(), store, size.records)
			if err != nil {
				t.Fatal(err)
			}
			store.budget, store.ties = size.budget, size.ties
			all := m.List(&images.Query{SeesAll: true})
			short := 0
			for range 60 {
				q := g.Query()
				if len(q.Sort) < 2 && g.IntN(2) == 0 {
					q.Sort = []images.SortKey{{Key: "status", Desc: true}, {Key: "disk_format"}, {Key: "size", Desc: true}}
				}
				if g.IntN(3) == 0 {
					q.After = all[g.IntN(len(all))]
				}
				want := ids(m.List(q))
				var got []*images.Image
				for at := *q; ; {
					page, err := store.List(t.Context(), &at)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, page.Images...)
					if page.Next == nil {
						break
					}
					if at.After != nil && q.Compare(page.Next, at.After) <= 0 {
						t.Fatalf("Next does not lead on in the list %+v", q)
					}
					if len(page.Images) < q.Limit {
						short++
					}
					at.After = page.Next
				}
				if diff := cmp.Diff(want, ids(got)); diff != "" {
					t.Fatalf("list %+v (-want +got):\n%s", q, diff)
				}
			}
			if short == 0 {
				t.Error("no page ended early: the test tests nothing")
			}
		})
	}
}

func TestAPageOfLargeRecordsFitsIntoAnAnswer(t *testing.T) {
	store := open(t, dynamotest.Dynoxide(t))
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(25, 26))}
	const n = 60
	for k := range n {
		i := g.Plain("alpha", k)
		i.Properties = map[string]string{"a": strings.Repeat("x", images.MaxRecord)}
		if err := store.Apply(t.Context(), images.Write{Is: i}); err != nil {
			t.Fatal(err)
		}
	}
	for _, sort := range [][]images.SortKey{nil, {{Key: "disk_format"}, {Key: "name"}}} {
		q := images.Query{ProjectID: "alpha", Limit: images.MaxPage, Sort: sort}
		got, pages := 0, 0
		for {
			page, err := store.List(t.Context(), &q)
			if err != nil {
				t.Fatal(err)
			}
			if size := len(page.Images) * images.MaxRecord; size > 6_000_000 {
				t.Errorf("a page has %d bytes", size)
			}
			got, pages = got+len(page.Images), pages+1
			if q.After = page.Next; q.After == nil {
				break
			}
		}
		if got != n || pages < 2 {
			t.Errorf("got %d images in %d pages, want %d in several", got, pages, n)
		}
	}
}

func TestAnOwnImageIsInItsListsAtOnce(t *testing.T) {
	// The reads of the lists that a client makes right after a write must be of the table itself, since an index follows later.
	store := open(t, dynamotest.Dynoxide(t))
	for _, test := range []struct {
		name string
		q    images.Query
		want string
	}{
		{"the default list", images.Query{ProjectID: "alpha", Limit: 10}, ""},
		{"by name", images.Query{ProjectID: "alpha", Limit: 10, Sort: []images.SortKey{{Key: "name"}}}, ""},
		{"of one name", images.Query{ProjectID: "alpha", Limit: 10, Names: []string{"debian"}}, ""},
		{"of an administrator", images.Query{ProjectID: "alpha", SeesAll: true, Limit: 10}, ""},
		{"by size", images.Query{ProjectID: "alpha", Limit: 10, Sort: []images.SortKey{{Key: "size"}}}, "own-size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := store.newReader(&test.q)
			order := complete(test.q.Order())
			w := r.narrow(way{f: fieldNamed(order[0].Key)})
			owners, _, _ := r.lists(w.f)
			if len(owners) != 1 || owners[0] != "alpha" {
				t.Fatalf("owners: got %v, want alpha", owners)
			}
			index := ""
			if !w.f.rows {
				index = ownIndex + w.f.name
			}
			if index != test.want {
				t.Errorf("it is read from %q, want %q", index, test.want)
			}
		})
	}
}
