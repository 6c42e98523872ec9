package storetest

import (
	"fmt"
	"testing"
	"time"

	"bullion/internal/images"
)

// Crowd is n records as a cloud has them after years: most of one project that owns "many", a hundred of "few", and the rest of a
// thousand others; one in a hundred public, some community, some private, a few hidden.
func (g Generator) Crowd(n int) []*images.Image {
	list := make([]*images.Image, n)
	for k := range list {
		i := g.Plain("many", k)
		i.CreatedAt = epoch.Add(time.Duration(k) * time.Second)
		i.UpdatedAt = i.CreatedAt.Add(time.Duration(g.IntN(1_000_000)) * time.Microsecond)
		i.Name = fmt.Sprintf("%s %d", pick(g, []string{"debian", "ubuntu", "rocky", "windows"}), g.IntN(n))
		i.Status = images.StatusActive
		switch {
		case k%1000 == 7:
			i.Owner = "few"
		case k%2 == 1:
			i.Owner = fmt.Sprintf("project %d", g.IntN(1000))
		}
		switch {
		case g.chance(1):
			i.Visibility = images.Public
		case g.chance(1):
			i.Visibility = images.Community
		case g.chance(30):
			i.Visibility = images.Private
		}
		if i.Hidden = g.chance(3); g.IntN(500) == 0 {
			i.Status = images.StatusQueued
		}
		i.Properties = map[string]string{"os_distro": pick(g, values[:3]), "description": "an image among many"}
		if i.Tags = nil; g.chance(20) {
			i.Tags = []string{"lts"}
		}
		if i.Status == images.StatusActive {
			size := int64(g.IntN(1 << 40))
			i.Size, i.VirtualSize, i.Blob = &size, ptr(size*2), &images.Blob{Key: images.BlobKey(i.ID, i.ID), ETag: g.hex(16), Size: size}
			i.Checksum, i.HashValue = g.hex(16), g.hex(64)
		}
		list[k] = i
	}
	return list
}

func (s *suite) scale(t *testing.T) {
	store, g := s.fresh(t), Generator{random(t)}
	records := g.Crowd(s.Records)
	m := &Model{Images: make(map[string]*images.Image, len(records)), Members: map[string][]images.Member{}}
	var shared []images.Member
	for k, i := range records {
		m.Images[i.ID] = i
		if k%100 == 3 {
			at := i.CreatedAt
			member := images.Member{ImageID: i.ID, ProjectID: "guest", Status: images.Accepted, CreatedAt: at, UpdatedAt: at}
			m.Members[i.ID] = []images.Member{member}
			shared = append(shared, member)
		}
	}
	if err := Seed(t.Context(), store, 4*s.Writers, records); err != nil {
		t.Fatal(err)
	}
	if err := each(t.Context(), s.Writers, shared, store.CreateMember); err != nil {
		t.Fatal(err)
	}

	t.Run("the usage of every project is right", func(t *testing.T) {
		want := map[string]images.Usage{}
		for _, i := range records {
			want[i.Owner] = want[i.Owner].Add(images.UsageOf(i))
		}
		for _, p := range []string{"many", "few", "guest", "project 7"} {
			usageIs(t, store, p, want[p])
		}
	})

	t.Run("a project can page through everything it sees", func(t *testing.T) {
		q := images.Query{ProjectID: "many", Limit: images.MaxPage}
		got, err := m.follow(t.Context(), store, q, 0)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, m.List(&q))
	})

	sort := func(keys ...images.SortKey) []images.SortKey { return keys }
	for _, test := range []struct {
		name string
		q    images.Query
	}{
		{"the default list", images.Query{}},
		{"by name", images.Query{Sort: sort(images.SortKey{Key: "name"})}},
		{"by size, down", images.Query{Sort: sort(images.SortKey{Key: "size", Desc: true})}},
		{"by status", images.Query{Sort: sort(images.SortKey{Key: "status"})}},
		{"by update", images.Query{Sort: sort(images.SortKey{Key: "updated_at", Desc: true})}},
		{"by id", images.Query{Sort: sort(images.SortKey{Key: "id"})}},
		{"by disk format and name", images.Query{Sort: sort(images.SortKey{Key: "disk_format"}, images.SortKey{Key: "name", Desc: true})}},
		{"the queued ones", images.Query{Statuses: []string{"queued"}}},
		{"the active ones by name", images.Query{Statuses: []string{"active"}, Sort: sort(images.SortKey{Key: "name"})}},
		{"public", images.Query{Visibility: images.Public}},
		{"community by name", images.Query{Visibility: images.Community, Sort: sort(images.SortKey{Key: "name"})}},
		{"private", images.Query{Visibility: images.Private}},
		{"shared", images.Query{Visibility: images.Shared}},
		{"shared and pending", images.Query{Visibility: images.Shared, MemberStatus: images.Pending}},
		{"of one owner", images.Query{Owner: "project 5", Visibility: images.VisibilityAll}},
		{"with a tag", images.Query{Tags: []string{"lts"}}},
		{"with a property", images.Query{Properties: map[string]string{"os_distro": "debian"}}},
		{"with a rare name", images.Query{NameContains: "IAN 77"}},
		{"hidden", images.Query{Hidden: true}},
		{"with a name", images.Query{Names: []string{records[5].Name}}},
		{"with a checksum", images.Query{Checksum: records[11].Checksum}},
		{"updated lately", images.Query{Ranges: []images.Range{{Field: images.RangeUpdatedAt, Op: images.OpGT, Time: records[len(records)*99/100].CreatedAt}}}},
	} {
		t.Run(test.name+", to everybody", func(t *testing.T) {
			for _, p := range []string{"many", "few", "guest", "nobody", ""} {
				q := test.q
				q.ProjectID, q.SeesAll, q.Limit = p, p == "", 25
				want := m.List(&q)
				got, err := m.follow(t.Context(), store, q, 100)
				if err != nil {
					t.Fatal(err)
				}
				if !same(t, got, want[:min(len(want), len(got), 100+q.Limit)]) || len(got) < min(len(want), 100) {
					t.Errorf("to %q: got %d images of %d", p, len(got), len(want))
				}
				if len(want) < 60 {
					continue
				}
				q.After = want[len(want)/2]
				if got, err = m.follow(t.Context(), store, q, 30); err != nil {
					t.Fatal(err)
				}
				want = m.List(&q)
				if !same(t, got, want[:min(len(want), len(got))]) || len(got) < min(len(want), 30) {
					t.Errorf("to %q, from the middle: got %d images of %d", p, len(got), len(want))
				}
			}
		})
	}
}
