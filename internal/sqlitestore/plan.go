package sqlitestore

import (
	"slices"
	"strings"

	"bullion/internal/images"
)

// limits bound what one page costs.
type limits struct {
	walk int // entries of an index, in view of the caller and without a match, that the walks of a page read together
	few  int // records that are better read and sorted than walked past
	sort int // records that are read and sorted when no index has their order
}

var defaultLimits = limits{walk: 5000, few: 500, sort: 10_000}

// index is an index of table images.
type index struct {
	name    string
	columns []string
}

var indexes = []index{
	{"own_created", []string{"owner", "shelf", "created_at", "id"}},
	{"own_name", []string{"owner", "shelf", "name", "created_at", "id"}},
	{"own_status", []string{"owner", "shelf", "status", "created_at", "id"}},
	{"own_visibility", []string{"owner", "shelf", "visibility", "created_at", "id"}},
	{"own_updated", []string{"owner", "shelf", "updated_at", "created_at", "id"}},
	{"own_size", []string{"owner", "shelf", "size", "created_at", "id"}},
	{"vis_created", []string{"visibility", "shelf", "created_at", "id"}},
	{"vis_name", []string{"visibility", "shelf", "name", "created_at", "id"}},
	{"vis_status", []string{"visibility", "shelf", "status", "created_at", "id"}},
	{"by_updated", []string{"shelf", "updated_at", "created_at", "id"}},
	{"by_size", []string{"shelf", "size", "created_at", "id"}},
	{"by_disk", []string{"shelf", "disk_format", "created_at", "id"}},
	{"by_container", []string{"shelf", "container_format", "created_at", "id"}},
	{"sqlite_autoindex_images_1", []string{"id"}},
}

// prefix is how many columns of the index are equal in the whole branch.
func (ix index) prefix(b *branch) int {
	for n, column := range ix.columns {
		if _, ok := b.value(column); !ok {
			return n
		}
	}
	return len(ix.columns)
}

// ordered says whether the entries of the branch have the order in the index.
func (ix index) ordered(b *branch, keys []key) bool {
	rest := ix.columns[ix.prefix(b):]
	return uniform(keys) && len(rest) >= len(keys) && slices.EqualFunc(rest[:len(keys)], keys, func(column string, k key) bool { return column == k.column })
}

// source is where a branch is read from: FROM and the conditions that it meets by itself.
type source struct {
	from    string
	where   []condition
	columns []string // equal in all its records
	member  bool     // they are shared with the project, with the status of the branch
}

func (ix index) source(b *branch) source {
	s := source{from: "images i INDEXED BY " + ix.name, columns: ix.columns[:ix.prefix(b)]}
	for _, column := range s.columns {
		v, _ := b.value(column)
		s.where = append(s.where, condition{"i." + column + " = ?", []any{v}})
	}
	return s
}

// marked are the records with a mark.
func marked(mark int64) source {
	return source{from: "marks k INDEXED BY by_mark CROSS JOIN images i ON i.n = k.image", where: []condition{{"k.mark = ?", []any{mark}}}}
}

// shared are the records that are shared with the project.
func (b *branch) shared() source {
	at, _ := b.value("shelf")
	return source{from: "members m INDEXED BY members_by_project CROSS JOIN images i ON i.n = m.image", columns: []string{"visibility", "shelf"}, member: true,
		where: []condition{{"m.project = ? AND m.status = ? AND m.shelf = ?", []any{b.query.ProjectID, string(b.member), at}}}}
}

// rest are the conditions that a record of the source has yet to meet: to be a position where a walk can stop, and to match. A position can be
// seen by the project and is in the branch as far as the order can tell.
func (b *branch) rest(s source) (seen, match []condition) {
	for _, e := range b.equal {
		if slices.Contains(s.columns, e.column) {
			continue
		}
		c := condition{"i." + e.column + " = ?", []any{e.value}}
		if e.scope || b.sortsBy(e.column) {
			seen = append(seen, c)
		} else {
			match = append(match, c)
		}
	}
	if b.member != "" && !s.member {
		seen = append(seen, condition{"EXISTS (SELECT 1 FROM members WHERE image = i.n AND project = ? AND status = ?)", []any{b.query.ProjectID, string(b.member)}})
	}
	return seen, append(match, b.match...)
}

// reading is how a branch is read. Its rows are n and a state: null for a record where a walk cannot stop, 0 for another one that does not match, 1 for
// one that matches, or that one's text.
type reading struct {
	text  string
	args  []any
	limit int // rows after which there may be more; 0 when the rows end with the branch
}

// plan chooses how to read the branch; false when nothing is in it.
func (b *branch) plan(c *conn, l limits) (reading, bool, error) {
	behind, some := b.behind()
	if !some {
		return reading{}, false, nil
	}
	keys := b.order()
	walk, ordered := b.walkable(keys)
	if ordered {
		seen, match := b.rest(walk)
		// Images of the project's own, which are listed as such, are the one thing that an exact walk may pass by.
		if len(seen) == 0 && !slices.ContainsFunc(match, func(m condition) bool { return m.text != notOwn }) {
			return b.walk(walk, keys, behind), true, nil
		}
	}
	enough, known := l.few, len(walk.columns)
	if !ordered || !b.pinned(walk) {
		enough, known = l.sort, 0
	}
	for _, s := range b.selective(known) {
		switch n, err := s.count(c, enough+1); {
		case err != nil:
			return reading{}, false, err
		case n == 0:
			return reading{}, false, nil
		case n <= enough:
			return b.sorted(s, keys, behind), true, nil
		}
	}
	if ordered {
		return b.walk(walk, keys, behind), true, nil
	}
	return b.sorted(b.closest(keys).source(b), keys, behind), true, nil
}

// notOwn leaves the project's own images out of what others made public.
const notOwn = "i.owner <> ?"

// sortsBy says whether the query is ordered by the column.
func (b *branch) sortsBy(column string) bool {
	return slices.ContainsFunc(b.query.Order(), func(k images.SortKey) bool { return k.Key == column })
}

// pinned says whether a walk of the source can stop at every record.
func (b *branch) pinned(s source) bool {
	seen, _ := b.rest(s)
	return len(seen) == 0
}

// walkable is the source with the order that is closest to the branch.
func (b *branch) walkable(keys []key) (best source, found bool) {
	if b.member != "" && uniform(keys) && len(keys) == 2 && keys[0].column == "created_at" && keys[1].column == "id" {
		return b.shared(), true
	}
	most := -1
	for _, ix := range indexes {
		if !ix.ordered(b, keys) {
			continue
		}
		s, n := ix.source(b), 2*ix.prefix(b)
		if b.pinned(s) {
			n++
		}
		if n > most {
			best, most, found = s, n, true
		}
	}
	return best, found
}

// closest is the index that has most of the branch's equalities, and next the first key of its order if there is such a one.
func (b *branch) closest(keys []key) index {
	best, most := indexes[0], -1
	for _, ix := range indexes {
		n := 2 * ix.prefix(b)
		if n/2 < len(ix.columns) && len(keys) > 0 && ix.columns[n/2] == keys[0].column {
			n++
		}
		if n > most {
			best, most = ix, n
		}
	}
	return best
}

// selective are the sources that may hold few records, the likeliest first. An index is one when it has more equalities than known: else
// the walk reads no more than it.
func (b *branch) selective(known int) []source {
	var list []source
	q := b.query
	if len(q.IDs) > 0 {
		list = append(list, source{from: "images i INDEXED BY sqlite_autoindex_images_1", where: []condition{in("id", q.IDs)}})
	}
	if q.HashValue != "" {
		list = append(list, source{from: "images i INDEXED BY by_hash", where: []condition{{"i.hash_value <> '' AND i.hash_value = ?", []any{q.HashValue}}}})
	}
	if q.Checksum != "" {
		list = append(list, source{from: "images i INDEXED BY by_checksum", where: []condition{{"i.checksum <> '' AND i.checksum = ?", []any{q.Checksum}}}})
	}
	for _, m := range queryMarks(q) {
		list = append(list, marked(m))
	}
	if b.member != "" && known == 0 {
		list = append(list, b.shared())
	}
	if ix := b.closest(nil); ix.prefix(b) > known {
		list = append(list, ix.source(b))
	}
	for _, r := range q.Ranges {
		if r.Field == images.RangeUpdatedAt && (r.Op == images.OpGT || r.Op == images.OpGTE || r.Op == images.OpEQ) {
			at, _ := b.value("shelf")
			updated, _ := ranged(r)
			list = append(list, source{from: "images i INDEXED BY by_updated", columns: []string{"shelf"}, where: []condition{{"i.shelf = ?", []any{at}}, updated}})
		}
	}
	return list
}

// count is how many records the source has, up to most.
func (s source) count(c *conn, most int) (n int, err error) {
	where, args := and(s.where)
	_, err = c.one(func(r *rows) { n = r.ColumnInt(0) }, "SELECT count(*) FROM (SELECT 1 FROM "+s.from+" WHERE "+where+" LIMIT ?)", append(args, most)...)
	return n, err
}

// walk reads the source in its own order, record by record.
func (b *branch) walk(s source, keys []key, behind condition) reading {
	seen, match := b.rest(s)
	state := "i.record"
	var args []any
	if len(match) > 0 {
		where, more := and(match)
		state, args = "CASE WHEN "+where+" THEN "+state+" ELSE 0 END", append(args, more...)
	}
	if len(seen) > 0 {
		where, more := and(seen)
		state, args = "CASE WHEN "+where+" THEN "+state+" END", append(more, args...)
	}
	where, more := and(append(slices.Clone(s.where), behind))
	text := "SELECT i.n, " + state + " FROM " + s.from + " WHERE " + where + orderBy(keys)
	if s.member {
		// The entry repeats these columns of the image.
		text = strings.NewReplacer("(i.created_at, i.id)", "(m.image_created_at, m.image_id)").Replace(text)
		text = text[:strings.Index(text, " ORDER BY ")] + strings.NewReplacer("i.created_at", "m.image_created_at", "i.id", "m.image_id").Replace(orderBy(keys))
	}
	return reading{text: text, args: append(args, more...)}
}

// sorted reads the whole source and keeps the first of what belongs to the page.
func (b *branch) sorted(s source, keys []key, behind condition) reading {
	seen, match := b.rest(s)
	where, args := and(slices.Concat(s.where, seen, match, []condition{behind}))
	p := reading{limit: b.query.Limit + 1}
	p.text = "SELECT i.n, 1 FROM " + s.from + " WHERE " + where + orderBy(keys) + " LIMIT ?"
	p.args = append(args, p.limit)
	return p
}

func orderBy(keys []key) string {
	if len(keys) == 0 {
		return ""
	}
	parts := make([]string, len(keys))
	for n, k := range keys {
		if parts[n] = "i." + k.column; k.desc {
			parts[n] += " DESC"
		}
	}
	return " ORDER BY " + strings.Join(parts, ", ")
}

// and joins conditions; none hold always.
func and(list []condition) (string, []any) {
	var parts []string
	var args []any
	for _, c := range list {
		if c.text != "" {
			parts, args = append(parts, c.text), append(args, c.args...)
		}
	}
	if len(parts) == 0 {
		return "1", nil
	}
	return strings.Join(parts, " AND "), args
}
