package images

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Values of a list's visibility and member_status that no record has.
const (
	VisibilityAll   Visibility   = "all"
	MemberStatusAll MemberStatus = "all"
)

// Page sizes of lists.
const (
	DefaultPage = 200 // Glance's 25 makes the CLI ask 400 times for 10,000 images
	MaxPage     = 1000
)

// Query is a request for one page of a list. The zero value of a filter does not filter, but for Hidden:
// a list shows either hidden images or the others.
type Query struct {
	ProjectID string // whose list it is
	SeesAll   bool   // over all projects

	Visibility   Visibility   // one of the four, VisibilityAll or ""
	MemberStatus MemberStatus // one of the three, MemberStatusAll or "": accepted

	Owner        string
	Hidden       bool
	Protected    *bool
	NameContains string // anywhere in the name, case ignored

	// Any of the values.
	IDs, Names, Statuses, DiskFormats, ContainerFormats []string

	Tags       []string          // all of them
	Checksum   string            // MD5, hex
	HashValue  string            // SHA-512, hex
	Properties map[string]string // all of them, whole values

	Ranges []Range // all of them

	Sort  []SortKey // as asked; Order completes it
	Limit int       // 1 … MaxPage
	After *Image    // the position behind which the page begins; nil for the first page
}

func (q *Query) memberStatus() MemberStatus { return cmp.Or(q.MemberStatus, Accepted) }

// Range compares one field with a value. A field that is null passes no comparison. neq looks at times in whole seconds, as they are shown: a time
// differs when it is outside of the second that Time is in.
type Range struct {
	Field RangeField
	Op    Op
	Int   int64     // for the numeric fields
	Time  time.Time // for created_at and updated_at
}

// RangeField is a field that can be compared.
type RangeField string

// The comparable fields.
const (
	RangeSize        RangeField = "size"
	RangeVirtualSize RangeField = "virtual_size"
	RangeMinDisk     RangeField = "min_disk"
	RangeMinRAM      RangeField = "min_ram"
	RangeCreatedAt   RangeField = "created_at"
	RangeUpdatedAt   RangeField = "updated_at"
)

// Op is a comparison operator in Glance's spelling.
type Op string

// The operators.
const (
	OpEQ  Op = "eq"
	OpNEQ Op = "neq"
	OpGT  Op = "gt"
	OpGTE Op = "gte"
	OpLT  Op = "lt"
	OpLTE Op = "lte"
)

func (o Op) holds(c int) bool {
	switch o {
	case OpEQ:
		return c == 0
	case OpNEQ:
		return c != 0
	case OpGT:
		return c > 0
	case OpGTE:
		return c >= 0
	case OpLT:
		return c < 0
	case OpLTE:
		return c <= 0
	}
	return false
}

// Matches says whether the value of the image's field passes.
func (r Range) Matches(i *Image) bool {
	number := func(v *int64) bool { return v != nil && r.Op.holds(cmp.Compare(*v, r.Int)) }
	switch r.Field {
	case RangeSize:
		return number(i.Size)
	case RangeVirtualSize:
		return number(i.VirtualSize)
	case RangeMinDisk:
		return number(&i.MinDisk)
	case RangeMinRAM:
		return number(&i.MinRAM)
	case RangeCreatedAt:
		return r.time(i.CreatedAt)
	case RangeUpdatedAt:
		return r.time(i.UpdatedAt)
	}
	return false
}

func (r Range) time(at time.Time) bool {
	if r.Op == OpNEQ {
		return !at.Truncate(time.Second).Equal(r.Time.Truncate(time.Second))
	}
	return r.Op.holds(at.Compare(r.Time))
}

// Matches says whether the image passes every filter of the query; who may see it is for Lists.
// Images that are being deleted match nothing.
func (q *Query) Matches(i *Image) bool {
	if i.Status == StatusPendingDelete || i.Status == StatusDeleted {
		return false
	}
	oneOf := func(values []string, v string) bool { return len(values) == 0 || slices.Contains(values, v) }
	equal := func(want, got string) bool { return want == "" || want == got }
	if i.Hidden != q.Hidden ||
		q.Visibility != "" && q.Visibility != VisibilityAll && i.Visibility != q.Visibility ||
		q.Protected != nil && i.Protected != *q.Protected ||
		!equal(q.Owner, i.Owner) || !equal(q.Checksum, i.Checksum) || !equal(q.HashValue, i.HashValue) ||
		!oneOf(q.IDs, i.ID) || !oneOf(q.Names, i.Name) || !oneOf(q.Statuses, string(i.Status)) ||
		!oneOf(q.DiskFormats, i.DiskFormat) || !oneOf(q.ContainerFormats, i.ContainerFormat) ||
		!strings.Contains(Fold(i.Name), Fold(q.NameContains)) {
		return false
	}
	for _, t := range q.Tags {
		if !slices.Contains(i.Tags, t) {
			return false
		}
	}
	for k, v := range q.Properties {
		if got, ok := i.Properties[k]; !ok || got != v {
			return false
		}
	}
	for _, r := range q.Ranges {
		if !r.Matches(i) {
			return false
		}
	}
	return true
}

// Fold is the form of a name in which case is ignored. Stores that keep a folded copy use it too.
func Fold(s string) string { return strings.ToLower(s) }

// SortKey is one key of an order.
type SortKey struct {
	Key  string // one of SortKeys
	Desc bool
}

// SortKeys are the fields that a list can be sorted by, as in Glance.
var SortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// Order is the complete order of the list: what was asked, or created_at, and then created_at and id, so that
// no two images are equal. The added keys go down unless exactly one key was asked and goes up.
func (q *Query) Order() []SortKey {
	order := slices.Clone(q.Sort)
	desc := len(q.Sort) != 1 || q.Sort[0].Desc
	for _, key := range []string{"created_at", "id"} {
		if !slices.ContainsFunc(order, func(k SortKey) bool { return k.Key == key }) {
			order = append(order, SortKey{key, desc})
		}
	}
	return order
}

// Compare orders two images by the complete order of the query: null sizes first when going up, strings by bytes.
func (q *Query) Compare(a, b *Image) int { return compareBy(q.Order(), a, b) }

func compareBy(order []SortKey, a, b *Image) int {
	for _, k := range order {
		c := compareField(k.Key, a, b)
		if k.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareField(key string, a, b *Image) int {
	switch key {
	case "name":
		return cmp.Compare(a.Name, b.Name)
	case "status":
		return cmp.Compare(a.Status, b.Status)
	case "container_format":
		return cmp.Compare(a.ContainerFormat, b.ContainerFormat)
	case "disk_format":
		return cmp.Compare(a.DiskFormat, b.DiskFormat)
	case "size":
		switch {
		case a.Size == nil && b.Size == nil:
			return 0
		case a.Size == nil:
			return -1
		case b.Size == nil:
			return 1
		}
		return cmp.Compare(*a.Size, *b.Size)
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	default:
		return cmp.Compare(a.ID, b.ID)
	}
}

// Sorted sorts images in place by the complete order of the query.
func (q *Query) Sorted(list []*Image) {
	order := q.Order()
	slices.SortFunc(list, func(a, b *Image) int { return compareBy(order, a, b) })
}

// Page is one page of a list.
type Page struct {
	Images []*Image
	// Next is the position at which the list goes on, nil at its end. A store that reads a bounded number of records
	// may return fewer images than asked for, even none, with a Next: it is then the last record that was read. Whoever asked can see
	// that record (Visible), since its id becomes the client's marker; and each page goes on, so that following Next ends.
	Next *Image
}
