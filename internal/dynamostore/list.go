package dynamostore

import (
	"context"
	"errors"
	"slices"

	"bullion/internal/images"
)

// List reads a page of a list: it merges the keys of the indexes that hold the list, reads the records in that order, and keeps those for which
// Query.Lists holds.
func (s *Store) List(ctx context.Context, q *images.Query) (images.Page, error) {
	if err := ctx.Err(); err != nil {
		return images.Page{}, s.fault(ctx, err)
	}
	if q.Limit <= 0 {
		return images.Page{}, nil
	}
	r := s.newReader(q)
	walk, err := r.plan(ctx)
	if err != nil {
		return images.Page{}, err
	}
	var page images.Page
	bytes := 0
	caller := images.Caller{ProjectID: q.ProjectID}
	for {
		c, err := walk.next(ctx)
		switch {
		case errors.Is(err, errEnough):
			page.Next = r.last
			return page, nil
		case err != nil:
			return images.Page{}, err
		case c == nil:
			return page, nil
		}
		if images.Visible(c.image, caller, q.SeesAll, c.membership) {
			r.last = c.image
		}
		if !q.Lists(c.image, c.membership) {
			continue
		}
		page.Images = append(page.Images, c.image)
		bytes += weight(c.image)
		if len(page.Images) < q.Limit && bytes < pageBytes {
			continue
		}
		more, err := walk.more(ctx)
		if err != nil {
			return images.Page{}, err
		}
		if more {
			page.Next = c.image
		}
		return page, nil
	}
}

// errEnough ends a page that has read enough records and found few.
var errEnough = errors.New("the page has read enough")

// candidate is a record in its place; whether it belongs in the list is still to be seen.
type candidate struct {
	image      *images.Image
	membership *images.Member
}

// walker gives candidates in the complete order of the list, those behind q.After.
type walker interface {
	next(ctx context.Context) (*candidate, error) // nil at the end
	more(ctx context.Context) (bool, error)       // whether next may find one
}

// plan chooses how the list is read.
func (r *reader) plan(ctx context.Context) (walker, error) {
	q := r.q
	if len(q.IDs) > 0 {
		return r.byID(ctx)
	}
	order := complete(q.Order())
	if names := values(q, "name"); len(names) > 0 && order[0].Key != "name" && !(order[0].Key == "created_at" && uniform(order)) {
		if w, err := r.byName(ctx); w != nil || err != nil {
			return w, err
		}
	}
	return r.inOrder(ctx, order, nil, q.After)
}

// complete leaves out keys that decide nothing: those that were named before, and what follows the id.
func complete(order []images.SortKey) []images.SortKey {
	var keys []images.SortKey
	for _, k := range order {
		if !slices.ContainsFunc(keys, func(known images.SortKey) bool { return known.Key == k.Key }) {
			keys = append(keys, k)
		}
		if k.Key == "id" {
			break
		}
	}
	return keys
}

// uniform says whether the order is the order of an index, read up or down.
func uniform(order []images.SortKey) bool {
	for _, k := range order {
		if k.Desc != order[0].Desc {
			return false
		}
	}
	switch len(order) {
	case 1: // the id
		return true
	case 2:
		return order[0].Key == "created_at"
	case 3:
		return order[1].Key == "created_at"
	}
	return false
}

// fixed demands one value of a field.
type fixed struct {
	f     field
	group string
}

// inOrder reads in the order, among images with the fixed values, behind after.
func (r *reader) inOrder(ctx context.Context, order []images.SortKey, all []fixed, after *images.Image) (walker, error) {
	f, desc := fieldNamed(order[0].Key), order[0].Desc
	if uniform(order) {
		w := r.narrow(way{f: f, desc: desc, after: after})
		m, err := r.streams(ctx, w)
		return &straight{r: r, m: m, fixed: all}, err
	}
	g := &grouped{r: r, f: f, desc: desc, order: order, fixed: all, after: after}
	p := span{first, last}
	if after != nil {
		group := f.group(f.key(after))
		p = group2span(p, group, desc)
	}
	return g, g.open(ctx, p)
}

// group2span cuts what lies before the group, in the direction.
func group2span(p span, group string, desc bool) span {
	if desc {
		p.hi = group + above
	} else {
		p.lo = group
	}
	return p
}

// maxValues is up to how many values of a filter are looked up one by one.
const maxValues = 8

// values are the values that a filter allows in the field; nil when there is no filter, or too many values.
func values(q *images.Query, name string) []string {
	list := map[string][]string{"name": q.Names, "status": q.Statuses, "disk_format": q.DiskFormats, "container_format": q.ContainerFormats}[name]
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	if len(list) > maxValues {
		return nil
	}
	return list
}

// narrow looks only where the filters of the list can hold, when an index tells.
func (r *reader) narrow(w way) way {
	ranges := func(name string) (spans []span) {
		for _, v := range values(r.q, name) {
			spans = append(spans, span{escape(v) + end, escape(v) + end + above})
		}
		return spans
	}
	if w.spans = ranges(w.f.name); len(w.spans) > 0 {
		return w
	}
	if w.f.name == "created_at" {
		for _, name := range []string{"name", "status", "disk_format", "container_format"} {
			if spans := ranges(name); len(spans) > 0 {
				w.f, w.spans, w.strip = fieldNamed(name), spans, true
				return w
			}
		}
	}
	w.spans = []span{r.bounds(w.f)}
	return w
}

// bounds is the range of sort keys that the ranges of the query leave; it may be somewhat too wide.
func (r *reader) bounds(f field) span {
	p := span{first, last}
	for _, c := range r.q.Ranges {
		if string(c.Field) != f.name {
			continue
		}
		at := timeKey(c.Time)
		if c.Field == images.RangeSize {
			at = sizeKey(&c.Int)
		}
		switch c.Op {
		case images.OpGT, images.OpGTE:
			p.lo = max(p.lo, at)
		case images.OpLT, images.OpLTE:
			p.hi = min(p.hi, at+above)
		case images.OpEQ:
			p.lo, p.hi = max(p.lo, at), min(p.hi, at+above)
		}
	}
	return p
}

// straight reads an index whose order is the order of the list.
type straight struct {
	r      *reader
	m      *merge
	fixed  []fixed
	buffer []candidate
}

func (w *straight) next(ctx context.Context) (*candidate, error) {
	for len(w.buffer) == 0 {
		if w.r.over() {
			return nil, errEnough
		}
		batch, err := w.m.take(ctx, w.r.nextBatch())
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			return nil, nil
		}
		if w.buffer, err = w.r.candidates(ctx, batch, w.fixed); err != nil {
			return nil, err
		}
	}
	c := w.buffer[0]
	w.buffer = w.buffer[1:]
	return &c, nil
}

func (w *straight) more(ctx context.Context) (bool, error) {
	if len(w.buffer) > 0 {
		return true, nil
	}
	e, err := w.m.peek(ctx)
	return e != nil, err
}

// candidates reads the records of entries and keeps those that are still where the index had them and have the fixed values.
func (r *reader) candidates(ctx context.Context, batch []entry, all []fixed) ([]candidate, error) {
	if err := r.load(ctx, batch); err != nil {
		return nil, err
	}
	var list []candidate
	for _, e := range batch {
		i := r.records[e.id]
		if !listed(i) || e.f.key(i) != e.key ||
			slices.ContainsFunc(all, func(x fixed) bool { return x.f.group(x.f.key(i)) != x.group }) {
			continue
		}
		list = append(list, candidate{i, e.membership})
	}
	return list, nil
}

// grouped reads an order of several keys: the index of the first gives groups of images that tie in it, and each group is sorted in memory. A
// group that is too large for that, as all that are active, is read in the order of the other keys, by the index of the next, where
// such a large part of all images is met often.
type grouped struct {
	r     *reader
	f     field
	desc  bool
	order []images.SortKey
	fixed []fixed
	after *images.Image

	m      *merge
	buffer []candidate
	large  string // the group that is too large; "" for none
	inside walker // what reads it
}

// open begins at a place of the index.
func (g *grouped) open(ctx context.Context, p span) (err error) {
	g.m, err = g.r.streams(ctx, way{f: g.f, desc: g.desc, spans: []span{p}})
	return err
}

func (g *grouped) next(ctx context.Context) (*candidate, error) {
	for {
		if len(g.buffer) > 0 {
			c := g.buffer[0]
			g.buffer = g.buffer[1:]
			return &c, nil
		}
		if g.large != "" {
			c, err := g.nextInside(ctx)
			if c != nil || err != nil {
				return c, err
			}
			continue
		}
		if g.r.over() {
			return nil, errEnough
		}
		batch, err := g.groups(ctx, g.r.nextBatch())
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 && g.large == "" {
			return nil, nil
		}
		if g.buffer, err = g.r.sorted(ctx, batch, g.fixed); err != nil {
			return nil, err
		}
	}
}

// groups takes whole groups until there are enough entries. A group that is too large ends them and is not among them.
func (g *grouped) groups(ctx context.Context, enough int) ([]entry, error) {
	var list []entry
	for len(list) < enough {
		begin, group := len(list), ""
		for {
			e, err := g.m.peek(ctx)
			if err != nil {
				return nil, err
			}
			if e == nil || group != "" && g.f.group(e.key) != group {
				break
			}
			group = g.f.group(e.key)
			if e, err = g.m.next(ctx); err != nil {
				return nil, err
			}
			if list = append(list, *e); len(list)-begin > g.r.s.ties {
				g.large = group
				return list[:begin], nil
			}
		}
		if group == "" {
			break
		}
	}
	return list, nil
}

// nextInside reads the large group; at its end the walk goes on behind it.
func (g *grouped) nextInside(ctx context.Context) (*candidate, error) {
	if g.inside == nil {
		after := g.after
		if after != nil && g.f.group(g.f.key(after)) != g.large {
			after = nil
		}
		var err error
		if g.inside, err = g.r.inOrder(ctx, g.order[1:], append(slices.Clone(g.fixed), fixed{g.f, g.large}), after); err != nil {
			return nil, err
		}
	}
	c, err := g.inside.next(ctx)
	if c != nil || err != nil {
		return c, err
	}
	behind := span{g.large + above, last}
	if g.desc {
		behind = span{first, g.large}
	}
	g.large, g.inside = "", nil
	return nil, g.open(ctx, behind)
}

func (g *grouped) more(ctx context.Context) (bool, error) {
	if len(g.buffer) > 0 {
		return true, nil
	}
	if g.inside != nil {
		if more, err := g.inside.more(ctx); more || err != nil {
			return more, err
		}
	}
	if g.large != "" {
		return true, nil
	}
	e, err := g.m.peek(ctx)
	return e != nil, err
}

// sorted reads the records of entries and sorts those behind q.After in the order of the list.
func (r *reader) sorted(ctx context.Context, batch []entry, all []fixed) ([]candidate, error) {
	list, err := r.candidates(ctx, batch, all)
	if err != nil {
		return nil, err
	}
	return r.sort(list), nil
}

func (r *reader) sort(list []candidate) []candidate {
	if r.q.After != nil {
		list = slices.DeleteFunc(list, func(c candidate) bool { return r.q.Compare(c.image, r.q.After) <= 0 })
	}
	slices.SortFunc(list, func(a, b candidate) int { return r.q.Compare(a.image, b.image) })
	return list
}

// found is a list that is whole in memory.
type found struct{ list []candidate }

func (f *found) next(context.Context) (*candidate, error) {
	if len(f.list) == 0 {
		return nil, nil
	}
	c := f.list[0]
	f.list = f.list[1:]
	return &c, nil
}

func (f *found) more(context.Context) (bool, error) { return len(f.list) > 0, nil }

// byName reads the images of the names that the list asks for, in whatever order; nil when they are too many for the memory.
func (r *reader) byName(ctx context.Context) (walker, error) {
	m, err := r.streams(ctx, r.narrow(way{f: fieldNamed("name")}))
	if err != nil {
		return nil, err
	}
	batch, err := m.take(ctx, r.s.ties+1)
	if err != nil || len(batch) > r.s.ties {
		return nil, err
	}
	list, err := r.sorted(ctx, batch, nil)
	return &found{list}, err
}

// byID reads the images that the list names.
func (r *reader) byID(ctx context.Context) (walker, error) {
	ids := slices.Compact(slices.Sorted(slices.Values(r.q.IDs)))
	if err := r.s.records(ctx, ids, true, r.records); err != nil {
		return nil, err
	}
	members := map[string]*images.Member{}
	if slices.Contains(r.q.Scopes(), images.ScopeSharedWithMe) {
		var shared []string
		for id, i := range r.records {
			if i.Visibility == images.Shared && i.Owner != r.q.ProjectID {
				shared = append(shared, id)
			}
		}
		var err error
		if members, err = r.s.memberships(ctx, r.q.ProjectID, shared); err != nil {
			return nil, err
		}
	}
	var list []candidate
	for id, i := range r.records {
		list = append(list, candidate{i, members[id]})
	}
	return &found{r.sort(list)}, nil
}
