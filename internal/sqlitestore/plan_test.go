package sqlitestore

import (
	"strings"
	"testing"

	"bullion/internal/images"
)

// plans are the plans of the engine for every branch of the list, and the readings themselves.
func plans(t *testing.T, s *Store, q *images.Query) (texts []string, readings []reading) {
	t.Helper()
	err := s.snapshot(t.Context(), func(c *conn) error {
		for _, b := range branches(q) {
			how, some, err := b.plan(c, s.limits)
			if err != nil {
				return err
			}
			if !some {
				continue
			}
			readings = append(readings, how)
			var lines []string
			if err := c.all(func(r *rows) error { lines = append(lines, r.ColumnText(3)); return nil }, "EXPLAIN QUERY PLAN "+how.text, how.args...); err != nil {
				return err
			}
			texts = append(texts, strings.Join(lines, "; "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts, readings
}

func TestCommonListsReadAnIndexInOrder(t *testing.T) {
	s, g := closeAtEnd(t, openNew(t)), generator()
	after := g.Image()
	by := func(key string) []images.SortKey { return []images.SortKey{{Key: key}} }
	for _, test := range []struct {
		name string
		q    images.Query
	}{
		{"the default order", images.Query{ProjectID: "alpha", Visibility: images.VisibilityAll}},
		{"by creation, up", images.Query{ProjectID: "alpha", Sort: by("created_at")}},
		{"by name", images.Query{ProjectID: "alpha", Sort: by("name")}},
		{"by status", images.Query{ProjectID: "alpha", Visibility: images.Public, Sort: by("status")}},
		{"one's own by update", images.Query{SeesAll: true, Owner: "alpha", Sort: by("updated_at")}},
		{"one's own by size", images.Query{SeesAll: true, Owner: "alpha", Sort: by("size")}},
		{"everything", images.Query{SeesAll: true}},
		{"everything by name", images.Query{SeesAll: true, Sort: by("name")}},
		{"of an owner", images.Query{SeesAll: true, Owner: "beta"}},
		{"of an owner that made it public", images.Query{ProjectID: "alpha", Owner: "beta", Visibility: images.Public}},
		{"of two statuses", images.Query{ProjectID: "alpha", Statuses: []string{"queued", "active"}, Visibility: images.Public}},
		{"with a name", images.Query{ProjectID: "alpha", Names: []string{"debian"}, Visibility: images.Public}},
		{"with a name, by name", images.Query{ProjectID: "alpha", Names: []string{"debian"}, Sort: by("name"), Visibility: images.Public}},
		{"private", images.Query{ProjectID: "alpha", Visibility: images.Private}},
		{"shared", images.Query{ProjectID: "alpha", Visibility: images.Shared}},
		{"shared and pending", images.Query{ProjectID: "alpha", Visibility: images.Shared, MemberStatus: images.Pending}},
		{"hidden", images.Query{ProjectID: "alpha", Hidden: true}},
	} {
		for _, q := range []images.Query{test.q, func() images.Query { q := test.q; q.After = after; return q }()} {
			q.Limit = 25
			texts, readings := plans(t, s, &q)
			for n, text := range texts {
				if readings[n].limit != 0 {
					t.Errorf("%s: %s is not walked", test.name, readings[n].text)
				}
				if strings.Contains(text, "TEMP B-TREE") || !strings.Contains(text, "SEARCH ") || strings.Contains(text, "SCAN i") {
					t.Errorf("%s: %s is read as %s", test.name, readings[n].text, text)
				}
				if q.After != nil && !strings.Contains(text, "created_at") && !strings.Contains(text, "updated_at") && strings.Contains(readings[n].text, ") > (") {
					t.Errorf("%s: %s does not begin at the marker: %s", test.name, readings[n].text, text)
				}
			}
		}
	}
}

func TestNoListSortsWhatItWalks(t *testing.T) {
	s, g := closeAtEnd(t, openNew(t, func(s *Store) { s.limits = limits{walk: 10} })), generator()
	m, err := g.Populate(t.Context(), s, 100)
	if err != nil {
		t.Fatal(err)
	}
	all := m.List(&images.Query{SeesAll: true})
	for range 500 {
		q := g.Query()
		if g.IntN(2) == 0 {
			q.After = all[g.IntN(len(all))]
		}
		texts, readings := plans(t, s, q)
		for n, how := range readings {
			if how.limit == 0 && strings.Contains(texts[n], "TEMP B-TREE") {
				t.Fatalf("%s is read as %s", how.text, texts[n])
			}
		}
	}
}
