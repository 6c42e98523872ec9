package images

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTheOrderOfAListIsComplete(t *testing.T) {
	for _, c := range []struct {
		name string
		sort []SortKey
		want []SortKey
	}{
		{"nothing asked: the newest first", nil, []SortKey{{"created_at", true}, {"id", true}}},
		{"one key that goes up: so do the others", []SortKey{{"name", false}}, []SortKey{{"name", false}, {"created_at", false}, {"id", false}}},
		{"one key that goes down", []SortKey{{"name", true}}, []SortKey{{"name", true}, {"created_at", true}, {"id", true}}},
		{"two keys: the others go down", []SortKey{{"name", false}, {"size", false}}, []SortKey{{"name", false}, {"size", false}, {"created_at", true}, {"id", true}}},
		{"what was asked is not asked again", []SortKey{{"id", false}}, []SortKey{{"id", false}, {"created_at", false}}},
		{"all is asked", []SortKey{{"id", true}, {"created_at", false}}, []SortKey{{"id", true}, {"created_at", false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := slices.Clone(c.sort)
			if got := (&Query{Sort: c.sort}).Order(); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if !slices.Equal(asked, c.sort) {
				t.Error("the query was changed")
			}
		})
	}
}

func TestCompareIsATotalOrderForEveryKey(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []*Image
	for n := range 40 {
		i := &Image{ID: fmt.Sprintf("%02d", n), Name: fmt.Sprint(r.IntN(3)), Status: []Status{StatusQueued, StatusActive}[r.IntN(2)],
			DiskFormat: []string{"", "raw"}[r.IntN(2)], ContainerFormat: []string{"", "bare"}[r.IntN(2)],
			CreatedAt: time.Unix(r.Int64N(3), 0), UpdatedAt: time.Unix(r.Int64N(3), 0)}
		if r.IntN(3) > 0 {
			size := r.Int64N(3)
			i.Size = &size
		}
		list = append(list, i)
	}
	for _, key := range SortKeys {
		for _, desc := range []bool{false, true} {
			q := &Query{Sort: []SortKey{{key, desc}}}
			for _, a := range list {
				for _, b := range list {
					ab, ba := q.Compare(a, b), q.Compare(b, a)
					if ab != -ba || (ab == 0) != (a == b) {
						t.Fatalf("%s: %s and %s compare as %d and %d", key, a.ID, b.ID, ab, ba)
					}
					for _, c := range list {
						if ab < 0 && q.Compare(b, c) < 0 && q.Compare(a, c) >= 0 {
							t.Fatalf("%s: %s < %s < %s, but not %s < %s", key, a.ID, b.ID, c.ID, a.ID, c.ID)
						}
					}
				}
			}
		}
	}
	null, zero := &Image{ID: "a"}, &Image{ID: "b", Size: new(int64)}
	if (&Query{Sort: []SortKey{{"size", false}}}).Compare(null, zero) >= 0 {
		t.Error("a size that is null does not come before 0 going up")
	}
}

func TestARangeComparesWhatIsThere(t *testing.T) {
	size := int64(5)
	at := time.Unix(100, 0)
	i := &Image{Size: &size, MinDisk: 5, MinRAM: 5, CreatedAt: at, UpdatedAt: at}
	ops := map[Op][3]bool{ // against a smaller, an equal and a larger value
		OpEQ: {false, true, false}, OpNEQ: {true, false, true}, OpGT: {true, false, false}, OpGTE: {true, true, false}, OpLT: {false, false, true}, OpLTE: {false, true, true},
		"like": {false, false, false}, "": {false, false, false},
	}
	for op, want := range ops {
		for n, value := range []int64{4, 5, 6} {
			for _, field := range []RangeField{RangeSize, RangeMinDisk, RangeMinRAM} {
				if got := (Range{Field: field, Op: op, Int: value}).Matches(i); got != want[n] {
					t.Errorf("%s 5 %s %d: got %v", field, op, value, got)
				}
			}
			for _, field := range []RangeField{RangeCreatedAt, RangeUpdatedAt} {
				if got := (Range{Field: field, Op: op, Time: time.Unix(95+value, 0)}).Matches(i); got != want[n] {
					t.Errorf("%s 100 %s %d: got %v", field, op, 95+value, got)
				}
			}
			if (Range{Field: RangeVirtualSize, Op: op, Int: value}).Matches(i) {
				t.Errorf("null %s %d passes", op, value)
			}
			if (Range{Field: "owner", Op: op, Int: value}).Matches(i) {
				t.Errorf("a field that cannot be compared passes %s", op)
			}
		}
	}
}

func TestATimeDiffersOutsideOfItsSecond(t *testing.T) {
	i := &Image{CreatedAt: time.Unix(100, 500_000_000)}
	for at, want := range map[time.Time]bool{
		time.Unix(100, 0): false, time.Unix(100, 999_999_999): false, time.Unix(99, 999_999_999): true, time.Unix(101, 0): true,
	} {
		if got := (Range{Field: RangeCreatedAt, Op: OpNEQ, Time: at}).Matches(i); got != want {
			t.Errorf("%v neq %v: got %v, want %v", i.CreatedAt, at, got, want)
		}
	}
}

func TestMatchesAsksEveryFilter(t *testing.T) {
	yes, no := true, false
	i := &Image{ID: "i", Name: "Debian Ä", Status: StatusActive, Visibility: Public, Owner: "p", Protected: true, Tags: []string{"a", "b"},
		DiskFormat: "raw", ContainerFormat: "bare", Checksum: "m", HashValue: "s", Properties: map[string]string{"os": "debian", "empty": ""}, MinDisk: 3}
	for _, c := range []struct {
		name string
		q    Query
		want bool
	}{
		{"no filter", Query{}, true},
		{"its visibility", Query{Visibility: Public}, true},
		{"another visibility", Query{Visibility: Private}, false},
		{"hidden", Query{Hidden: true}, false},
		{"protected", Query{Protected: &yes}, true},
		{"not protected", Query{Protected: &no}, false},
		{"its owner", Query{Owner: "p"}, true},
		{"another owner", Query{Owner: "q"}, false},
		{"a piece of its name, case ignored", Query{NameContains: "BIAN ä"}, true},
		{"a piece of another name", Query{NameContains: "ubuntu"}, false},
		{"its name", Query{Names: []string{"x", "Debian Ä"}}, true},
		{"its name in another case", Query{Names: []string{"debian ä"}}, false},
		{"its id", Query{IDs: []string{"i"}}, true},
		{"another id", Query{IDs: []string{"j"}}, false},
		{"one of the statuses", Query{Statuses: []string{"queued", "active"}}, true},
		{"another status", Query{Statuses: []string{"queued"}}, false},
		{"its formats", Query{DiskFormats: []string{"raw"}, ContainerFormats: []string{"bare"}}, true},
		{"another disk format", Query{DiskFormats: []string{"iso"}}, false},
		{"another container format", Query{ContainerFormats: []string{"ova"}}, false},
		{"all of its tags", Query{Tags: []string{"b", "a"}}, true},
		{"a tag that it lacks", Query{Tags: []string{"a", "c"}}, false},
		{"its checksum", Query{Checksum: "m", HashValue: "s"}, true},
		{"another checksum", Query{Checksum: "n"}, false},
		{"another hash", Query{HashValue: "n"}, false},
		{"its properties", Query{Properties: map[string]string{"os": "debian", "empty": ""}}, true},
		{"another value of a property", Query{Properties: map[string]string{"os": "Debian"}}, false},
		{"a property that it lacks, empty", Query{Properties: map[string]string{"none": ""}}, false},
		{"a range that it is in", Query{Ranges: []Range{{Field: RangeMinDisk, Op: OpGTE, Int: 3}}}, true},
		{"ranges of which it is in one", Query{Ranges: []Range{{Field: RangeMinDisk, Op: OpGTE, Int: 3}, {Field: RangeMinDisk, Op: OpLT, Int: 3}}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.q.Matches(i); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnErrorKeepsItsKindWhereverItIsWrapped(t *testing.T) {
	cause := errors.New("cause")
	wrapped := fmt.Errorf("outer: %w", Wrap(Conflict, cause, "Taken."))
	if KindOf(wrapped) != Conflict || !errors.Is(wrapped, cause) {
		t.Errorf("got kind %d of %v", KindOf(wrapped), wrapped)
	}
	if KindOf(cause) != Internal || KindOf(nil) != Internal {
		t.Error("an error without a kind is not Internal")
	}
	var shown *Error
	if !errors.As(wrapped, &shown) || shown.Message != "Taken." {
		t.Errorf("the message is %q; the cause is for the log alone", shown.Message)
	}
}
