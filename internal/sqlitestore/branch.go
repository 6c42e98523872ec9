package sqlitestore

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"bullion/internal/images"
)

// branch is one part of a list that can be read in order: a scope of the query, with one of its statuses and one of its names. The
// branches of a list are disjoint.
type branch struct {
	query  *images.Query
	scope  images.Scope
	member images.MemberStatus // of the asking project's entry, for ScopeSharedWithMe
	equal  []equality
	match  []condition // the other filters, as far as columns tell
}

// equality is a column that has one value in the whole branch.
type equality struct {
	column string
	value  any
	scope  bool // it decides who can see the image
}

// condition is SQL over the table images as i.
type condition struct {
	text string
	args []any
}

// maxValues is how many statuses, and how many names, become branches of their own.
const maxValues = 4

// branches divides the list.
func branches(q *images.Query) []*branch {
	filters, possible := residual(q)
	if !possible {
		return nil
	}
	var list []*branch
	for _, s := range q.Scopes() {
		list = append(list, scoped(q, s)...)
	}
	hidden := equality{"shelf", shelf(q.Hidden), true}
	for _, b := range list {
		b.equal, b.match = append(b.equal, hidden), append(b.match, filters...)
	}
	if len(q.Statuses) > 0 {
		list = divide(list, "status", slices.DeleteFunc(slices.Clone(q.Statuses), func(s string) bool {
			return s == string(images.StatusPendingDelete) || s == string(images.StatusDeleted)
		}))
	}
	if len(q.Names) > 0 {
		list = divide(list, "name", slices.Clone(q.Names))
	}
	return list
}

// scoped are the branches of one scope, which differ in visibility or in the status of the membership.
func scoped(q *images.Query, s images.Scope) (list []*branch) {
	add := func(member images.MemberStatus, equal ...equality) {
		b := &branch{query: q, scope: s, member: member, equal: slices.Clone(equal)}
		if s == images.ScopePublic || s == images.ScopeCommunity || s == images.ScopeSharedWithMe {
			switch q.Owner {
			case "":
				b.match = append(b.match, condition{"i.owner <> ?", []any{q.ProjectID}})
			case q.ProjectID:
				return
			default:
				b.equal = append(b.equal, equality{"owner", q.Owner, false})
			}
		}
		list = append(list, b)
	}
	visible := func(v images.Visibility) equality { return equality{"visibility", string(v), true} }
	one := q.Visibility != "" && q.Visibility != images.VisibilityAll
	switch s {
	case images.ScopeOwn:
		switch {
		case q.ProjectID == "" || q.Owner != "" && q.Owner != q.ProjectID:
		case one:
			add("", equality{"owner", q.ProjectID, true}, equality{"visibility", string(q.Visibility), false})
		default:
			add("", equality{"owner", q.ProjectID, true})
		}
	case images.ScopePublic:
		add("", visible(images.Public))
	case images.ScopeCommunity:
		add("", visible(images.Community))
	case images.ScopeSharedWithMe:
		if q.ProjectID == "" {
			return nil
		}
		statuses := []images.MemberStatus{q.MemberStatus}
		switch q.MemberStatus {
		case "":
			statuses[0] = images.Accepted
		case images.MemberStatusAll:
			statuses = []images.MemberStatus{images.Pending, images.Accepted, images.Rejected}
		}
		for _, m := range statuses {
			add(m, visible(images.Shared))
		}
	case images.ScopeAll:
		var equal []equality
		if q.Owner != "" {
			equal = append(equal, equality{"owner", q.Owner, false})
		}
		switch {
		case one:
			add("", append(equal, equality{"visibility", string(q.Visibility), false})...)
		case q.Owner != "":
			add("", equal...)
		default:
			for _, v := range []images.Visibility{images.Public, images.Community, images.Shared, images.Private} {
				add("", equality{"visibility", string(v), false})
			}
		}
	}
	return list
}

// divide makes a branch of each value, or a condition of them when they are many.
func divide(list []*branch, column string, values []string) []*branch {
	slices.Sort(values)
	values = slices.Compact(values)
	if len(values) > maxValues {
		for _, b := range list {
			b.match = append(b.match, in(column, values))
		}
		return list
	}
	var divided []*branch
	for _, b := range list {
		for _, v := range values {
			d := *b
			d.equal = append(slices.Clone(b.equal), equality{column, v, false})
			divided = append(divided, &d)
		}
	}
	return divided
}

// residual are the filters that are never equalities of a branch, and false when nothing passes them.
func residual(q *images.Query) (list []condition, possible bool) {
	add := func(text string, args ...any) { list = append(list, condition{text, args}) }
	if len(q.IDs) > 0 {
		list = append(list, in("id", q.IDs))
	}
	if q.Protected != nil {
		add("i.protected = ?", *q.Protected)
	}
	if q.NameContains != "" {
		add("instr(i.folded, ?) > 0", images.Fold(q.NameContains))
	}
	if len(q.DiskFormats) > 0 {
		list = append(list, in("disk_format", q.DiskFormats))
	}
	if len(q.ContainerFormats) > 0 {
		list = append(list, in("container_format", q.ContainerFormats))
	}
	if q.Checksum != "" {
		add("i.checksum = ?", q.Checksum)
	}
	if q.HashValue != "" {
		add("i.hash_value = ?", q.HashValue)
	}
	for _, m := range queryMarks(q) {
		add("EXISTS (SELECT 1 FROM marks WHERE image = i.n AND mark = ?)", m)
	}
	for _, r := range q.Ranges {
		c, possible := ranged(r)
		if !possible {
			return nil, false
		}
		if c.text != "" {
			list = append(list, c)
		}
	}
	return list, true
}

// queryMarks are the tags and properties that the query asks for.
func queryMarks(q *images.Query) []int64 {
	return marks(&images.Image{Tags: q.Tags, Properties: q.Properties})
}

func in(column string, values []string) condition {
	if len(values) == 1 {
		return condition{"i." + column + " = ?", []any{values[0]}}
	}
	// Strings always encode. Invalid UTF-8 becomes U+FFFD, which at worst makes a candidate that Matches refuses.
	list, _ := json.Marshal(values)
	return condition{"i." + column + " IN (SELECT value FROM json_each(?))", []any{string(list)}}
}

var operators = map[images.Op]string{images.OpEQ: "=", images.OpNEQ: "<>", images.OpGT: ">", images.OpGTE: ">=", images.OpLT: "<", images.OpLTE: "<="}

// ranged is a comparison, and false when it never holds. Times in the database are whole microseconds, those of the query need not be.
func ranged(r images.Range) (condition, bool) {
	op, known := operators[r.Op]
	if !known {
		return condition{}, false
	}
	column := "i." + string(r.Field)
	switch r.Field {
	case images.RangeMinDisk, images.RangeMinRAM:
		return condition{column + " " + op + " ?", []any{r.Int}}, true
	case images.RangeSize, images.RangeVirtualSize:
		return condition{"(" + column + " >= 0 AND " + column + " " + op + " ?)", []any{r.Int}}, true
	case images.RangeCreatedAt, images.RangeUpdatedAt:
		if r.Op == images.OpNEQ {
			second := r.Time.Truncate(time.Second)
			return condition{"(" + column + " < ? OR " + column + " >= ?)", []any{second.UnixMicro(), second.Add(time.Second).UnixMicro()}}, true
		}
		at := r.Time.UnixMicro() // rounded down
		if r.Time.Nanosecond()%int(time.Microsecond) != 0 {
			switch r.Op { // between at and at+1 there is no record
			case images.OpEQ:
				return condition{}, false
			case images.OpGTE:
				op = ">"
			case images.OpLT:
				op = "<="
			}
		}
		return condition{column + " " + op + " ?", []any{at}}, true
	}
	return condition{}, false
}

// value of a column that is equal in the whole branch.
func (b *branch) value(column string) (any, bool) {
	for _, e := range b.equal {
		if e.column == column {
			return e.value, true
		}
	}
	return nil, false
}

// key is a column that the branch is ordered by.
type key struct {
	column string
	desc   bool
}

// order is the order of the query as far as images of the branch differ in it. It ends with the id, which no two share.
func (b *branch) order() []key {
	var keys []key
	for _, k := range b.query.Order() {
		if _, fixed := b.value(k.Key); !fixed {
			keys = append(keys, key{k.Key, k.Desc})
		}
		if k.Key == "id" {
			break
		}
	}
	return keys
}

// uniform says whether all keys go in one direction, as an index does.
func uniform(keys []key) bool {
	return !slices.ContainsFunc(keys, func(k key) bool { return k.desc != keys[0].desc })
}

// behind is the condition that holds for the images of the branch behind the query's position, and false when it holds for none.
func (b *branch) behind() (condition, bool) {
	if b.query.After == nil {
		return condition{}, true
	}
	var keys []key
	var at []any
	inclusive := false
	for _, k := range b.query.Order() {
		position := sortValue(k.Key, b.query.After)
		fixed, ok := b.value(k.Key)
		if !ok {
			keys, at = append(keys, key{k.Key, k.Desc}), append(at, position)
		} else if fixed != position {
			// Among images that are level with the position so far, this key puts the whole branch on one side of it.
			inclusive = strings.Compare(fixed.(string), position.(string)) > 0 != k.Desc
			break
		}
		if k.Key == "id" {
			break
		}
	}
	switch {
	case len(keys) == 0:
		return condition{}, inclusive
	case uniform(keys):
		return rowValue(keys, at, inclusive), true
	}
	return lexicographic(keys, at, inclusive), true
}

// sortValue is the column's value of an image: string or int64.
func sortValue(column string, i *images.Image) any {
	switch column {
	case "name":
		return i.Name
	case "status":
		return string(i.Status)
	case "container_format":
		return i.ContainerFormat
	case "disk_format":
		return i.DiskFormat
	case "size":
		return orNull(i.Size)
	case "created_at":
		return i.CreatedAt.UnixMicro()
	case "updated_at":
		return i.UpdatedAt.UnixMicro()
	}
	return i.ID
}

func operator(desc, inclusive bool) string {
	op := ">"
	if desc {
		op = "<"
	}
	if inclusive {
		op += "="
	}
	return op
}

// rowValue is a comparison that an index answers.
func rowValue(keys []key, at []any, inclusive bool) condition {
	names := make([]string, len(keys))
	for n, k := range keys {
		names[n] = "i." + k.column
	}
	return condition{"(" + strings.Join(names, ", ") + ") " + operator(keys[0].desc, inclusive) + " (?" + strings.Repeat(", ?", len(keys)-1) + ")", at}
}

// lexicographic is the same for keys of both directions.
func lexicographic(keys []key, at []any, inclusive bool) condition {
	last := len(keys) - 1
	c := condition{"i." + keys[last].column + " " + operator(keys[last].desc, inclusive) + " ?", []any{at[last]}}
	for n := last - 1; n >= 0; n-- {
		name := "i." + keys[n].column
		c = condition{"(" + name + " " + operator(keys[n].desc, false) + " ? OR " + name + " = ? AND (" + c.text + "))", append([]any{at[n], at[n]}, c.args...)}
	}
	return c
}
