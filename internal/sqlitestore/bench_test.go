package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// crowds are stores of many records, by their number, made when the first benchmark asks and kept until the end.
var crowds = map[int]*crowdStore{}

type crowdStore struct {
	*Store
	dir     string
	records []*images.Image
}

func TestMain(m *testing.M) {
	if run, ok := children[os.Getenv("SQLITESTORE_CHILD")]; ok {
		os.Exit(run())
	}
	code := m.Run()
	for _, c := range crowds {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if err := os.RemoveAll(c.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// processor reports the processor time of an operation, which says more than the clock on a machine that has other work.
func processor(b *testing.B) func() {
	spent := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

func crowd(b *testing.B, n int) *crowdStore {
	b.Helper()
	if c := crowds[n]; c != nil {
		return c
	}
	dir, err := os.MkdirTemp("", "bullion-bench-")
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background() // it outlives the benchmark
	s, err := Open(ctx, filepath.Join(dir, "bullion.db"))
	if err != nil {
		b.Fatal(err)
	}
	c := &crowdStore{Store: s, dir: dir, records: storetest.Generator{Rand: rand.New(rand.NewPCG(1, 2))}.Crowd(n)}
	crowds[n] = c
	if err := storetest.Seed(ctx, s, 64, c.records); err != nil {
		b.Fatal(err)
	}
	for k := 3; k < n; k += 100 {
		i := c.records[k]
		if err := s.CreateMember(ctx, images.Member{ImageID: i.ID, ProjectID: "guest", Status: images.Accepted, CreatedAt: i.CreatedAt, UpdatedAt: i.CreatedAt}); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

func BenchmarkCreate(b *testing.B) {
	for _, test := range []struct {
		name    string
		callers int
		options []Option
	}{
		{"callers=1", 1, nil}, {"callers=16", 16, nil}, {"relaxed/callers=1", 1, []Option{Relaxed()}}, {"relaxed/callers=16", 16, []Option{Relaxed()}},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := closeAtEnd(b, openNew(b, test.options...))
			g := storetest.Generator{Rand: rand.New(rand.NewPCG(1, 2))}
			records := make([]*images.Image, b.N)
			for n := range records {
				records[n] = g.Plain(fmt.Sprintf("project %d", n%7), n)
			}
			done := processor(b)
			b.ResetTimer()
			if err := storetest.Seed(b.Context(), s, test.callers, records); err != nil {
				b.Fatal(err)
			}
			done()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

func BenchmarkChange(b *testing.B) {
	s := closeAtEnd(b, openNew(b))
	i := storetest.Generator{Rand: rand.New(rand.NewPCG(1, 2))}.Plain("alpha", 0)
	if err := s.Apply(b.Context(), images.Write{Is: i}); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		if _, err := images.Change(b.Context(), s, i.ID, images.Actor{}, nil, func(i *images.Image) error { i.MinDisk = int64(n); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		c := crowd(b, n)
		b.Run(fmt.Sprintf("records=%d/callers=1", n), func(b *testing.B) {
			done := processor(b)
			for b.Loop() {
				if _, err := c.Image(b.Context(), c.records[rand.IntN(n)].ID); err != nil {
					b.Fatal(err)
				}
			}
			done()
		})
		b.Run(fmt.Sprintf("records=%d/callers=16", n), func(b *testing.B) {
			var failed atomic.Value
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Image(b.Context(), c.records[rand.IntN(n)].ID); err != nil {
						failed.Store(err)
					}
				}
			})
			if err := failed.Load(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	by := func(key string, desc bool) []images.SortKey { return []images.SortKey{{Key: key, Desc: desc}} }
	for _, test := range []struct {
		name string
		q    images.Query
	}{
		{"default/to_many", images.Query{ProjectID: "many"}},
		{"default/to_few", images.Query{ProjectID: "few"}},
		{"default/to_guest", images.Query{ProjectID: "guest"}},
		{"default/to_nobody", images.Query{ProjectID: "nobody"}},
		{"default/to_admin", images.Query{SeesAll: true}},
		{"middle/to_many", images.Query{ProjectID: "many", After: &images.Image{}}},
		{"name/to_many", images.Query{ProjectID: "many", Sort: by("name", false)}},
		{"name/to_few", images.Query{ProjectID: "few", Sort: by("name", false)}},
		{"name/to_admin", images.Query{SeesAll: true, Sort: by("name", false)}},
		{"status_active/to_many", images.Query{ProjectID: "many", Statuses: []string{"active"}}},
		{"status_queued/to_many", images.Query{ProjectID: "many", Statuses: []string{"queued"}}},
		{"private/to_many", images.Query{ProjectID: "many", Visibility: images.Private}},
		{"public/to_many", images.Query{ProjectID: "many", Visibility: images.Public}},
		{"shared/to_guest", images.Query{ProjectID: "guest", Visibility: images.Shared}},
		{"owner/to_admin", images.Query{SeesAll: true, Owner: "many"}},
		{"named/to_many", images.Query{ProjectID: "many", Names: []string{"debian 7"}}},
		{"updated/to_many", images.Query{ProjectID: "many", Sort: by("updated_at", true)}},
		{"updated/to_few", images.Query{ProjectID: "few", Sort: by("updated_at", true)}},
		{"size/to_many", images.Query{ProjectID: "many", Sort: by("size", true)}},
		{"id/to_many", images.Query{ProjectID: "many", Sort: by("id", false)}},
		{"format+name/to_many", images.Query{ProjectID: "many", Sort: []images.SortKey{{Key: "disk_format"}, {Key: "name", Desc: true}}}},
		{"status+created/to_many", images.Query{ProjectID: "many", Sort: []images.SortKey{{Key: "status"}, {Key: "created_at", Desc: true}}}},
		{"tag_lts/to_many", images.Query{ProjectID: "many", Tags: []string{"lts"}}},
		{"tag_none/to_many", images.Query{ProjectID: "many", Tags: []string{"no such tag"}}},
		{"property/to_many", images.Query{ProjectID: "many", Properties: map[string]string{"os_distro": "debian"}}},
		{"contains_common/to_many", images.Query{ProjectID: "many", NameContains: "BUNTU"}},
		{"contains_none/to_many", images.Query{ProjectID: "many", NameContains: "no such name"}},
	} {
		for _, n := range []int{100, 10_000, 100_000} {
			c := crowd(b, n)
			b.Run(fmt.Sprintf("%s/records=%d", test.name, n), func(b *testing.B) {
				q := test.q
				if q.Limit = 25; q.After != nil {
					q.After = c.records[n/2]
				}
				found := 0
				done := processor(b)
				for b.Loop() {
					page, err := c.List(b.Context(), &q)
					if err != nil {
						b.Fatal(err)
					}
					found = len(page.Images)
				}
				done()
				b.ReportMetric(float64(found), "images")
			})
		}
	}
}
