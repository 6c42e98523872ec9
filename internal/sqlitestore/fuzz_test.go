package sqlitestore

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// FuzzList compares lists with the reference: any filters and order, any text in them, any position, any limits.
func FuzzList(f *testing.F) {
	f.Add(uint64(1), uint64(2), "debian", "%_\\", int64(0), 10, 3)
	f.Add(uint64(7), uint64(9), "\xff\x00'", "\ufffd", int64(-1), 1, 0)
	f.Add(uint64(40), uint64(4), "ΩMEGA", "]\"", int64(1767323045678901500), 500, 500)
	s, err := Open(context.Background(), filepath.Join(f.TempDir(), "bullion.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	m, err := storetest.Generator{Rand: rand.New(rand.NewPCG(3, 4))}.Populate(context.Background(), s, 150)
	if err != nil {
		f.Fatal(err)
	}
	all := m.List(&images.Query{SeesAll: true, Sort: []images.SortKey{{Key: "id"}}})
	f.Fuzz(func(t *testing.T, seed, seed2 uint64, text, other string, number int64, walk, few int) {
		g := storetest.Generator{Rand: rand.New(rand.NewPCG(seed, seed2))}
		q := g.Query()
		switch g.IntN(12) {
		case 0:
			q.NameContains = text
		case 1:
			q.Names = []string{text, other, text}
		case 2:
			q.Tags = []string{text}
		case 3:
			q.Properties = map[string]string{text: other}
		case 4:
			q.ProjectID, q.Owner = text, other
		case 5:
			q.Statuses = []string{text, "active"}
		case 6:
			q.IDs = []string{text, all[g.IntN(len(all))].ID, all[g.IntN(len(all))].ID}
		case 7:
			q.Ranges = append(q.Ranges, images.Range{Field: images.RangeField(text), Op: images.Op(other), Int: number})
		case 8:
			q.Ranges = append(q.Ranges, images.Range{Field: images.RangeUpdatedAt, Op: images.OpGTE, Time: time.Unix(0, number)})
		case 9:
			q.Ranges = append(q.Ranges, images.Range{Field: images.RangeSize, Op: images.OpNEQ, Int: number})
		case 10:
			q.Checksum, q.HashValue = text, other
		case 11:
			q.DiskFormats, q.ContainerFormats = []string{text, "qcow2"}, []string{other, "", "bare"}
		}
		if q.Sort != nil && g.IntN(2) == 0 || g.IntN(3) == 0 {
			at := all[g.IntN(len(all))].Clone()
			if g.IntN(2) == 0 {
				at.Name, at.Status, at.DiskFormat, at.Size = text, images.Status(other), other, nil
			}
			q.After = at
		}
		s.limits = limits{walk: walk, few: few, sort: few}
		q.Limit = max(q.Limit, 5)
		want := m.List(q)
		var got []*images.Image
		for pages := 0; ; pages++ {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			got = append(got, page.Images...)
			if page.Next == nil {
				break
			}
			if q.After != nil && q.Compare(q.After, page.Next) >= 0 || pages > 10_000 {
				t.Fatalf("%+v: Next %s does not lead on", q, page.Next.ID)
			}
			q.After = page.Next
		}
		if !slices.EqualFunc(got, want, func(a, b *images.Image) bool { return a.ID == b.ID }) {
			t.Errorf("%+v: got %d images, want %d", q, len(got), len(want))
		}
	})
}
