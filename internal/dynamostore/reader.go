package dynamostore

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"bullion/internal/images"
)

// reader reads for one page of a list.
type reader struct {
	s       *Store
	q       *images.Query
	records map[string]*images.Image // as far as they were read; nil for what is gone
	read    int                      // records read
	bytes   int                      // of these records, about
	last    *images.Image            // the last one in the order of the list that whoever asks can see
	shares  []entry                  // of the project, once they were read
	batch   int                      // how many records to read next
}

func (s *Store) newReader(q *images.Query) *reader {
	return &reader{s: s, q: q, records: map[string]*images.Image{}, batch: min(max(q.Limit, 4), batchGetMax)}
}

// over says that the page has read enough and there is a place to go on from.
func (r *reader) over() bool {
	return (r.read >= r.s.budget || r.bytes >= pageBytes) && r.last != nil
}

// pageBytes bounds a page, which has to fit into the answer of a Lambda function (6 MB) and into its memory.
const pageBytes = 4 << 20

// weight is about how many bytes a record has.
func weight(i *images.Image) int {
	n := 1 << 10
	for k, v := range i.Properties {
		n += len(k) + len(v)
	}
	for _, tag := range i.Tags {
		n += len(tag)
	}
	return n
}

// nextBatch grows, because whoever reads on finds little, but not beyond what a page may hold.
func (r *reader) nextBatch() int {
	n := r.batch
	if r.read > 0 {
		n = min(n, max(1, (pageBytes-r.bytes)/max(1, r.bytes/r.read)))
	}
	r.batch = min(2*r.batch, 4*batchGetMax)
	return n
}

// lists says where the list has to be looked for: lists of owners, of visibilities, and shares of the project by status. They may hold
// more than the list, and overlap; Query.Lists decides about every record.
func (r *reader) lists(f field) (owners []string, visibilities []images.Visibility, statuses []images.MemberStatus) {
	q := r.q
	owner := func(id string) {
		if !slices.Contains(owners, id) && (q.Owner == "" || q.Owner == id) {
			owners = append(owners, id)
		}
	}
	open := func(v images.Visibility) {
		if q.Owner == "" {
			visibilities = append(visibilities, v)
		} else if q.Owner != q.ProjectID {
			owner(q.Owner)
		}
	}
	for _, scope := range q.Scopes() {
		switch scope {
		case images.ScopeOwn:
			// The project's own public images are in the list of all that are public, and these are fewer than all of the project.
			if q.SeesAll || q.Owner != "" || q.Visibility != images.Public && q.Visibility != images.Community {
				owner(q.ProjectID)
			}
		case images.ScopePublic:
			open(images.Public)
		case images.ScopeCommunity:
			open(images.Community)
		case images.ScopeSharedWithMe:
			if statuses = []images.MemberStatus{cmp.Or(q.MemberStatus, images.Accepted)}; q.MemberStatus == images.MemberStatusAll {
				statuses = []images.MemberStatus{images.Pending, images.Accepted, images.Rejected}
			}
		case images.ScopeAll:
			switch {
			case q.Owner != "":
				owner(q.Owner)
				continue
			case q.Visibility == "" || q.Visibility == images.VisibilityAll:
				visibilities = []images.Visibility{images.Private, images.Shared, images.Community, images.Public}
			default:
				visibilities = []images.Visibility{q.Visibility}
			}
			// Indexes follow a moment later; an administrator sees at least what its own project just wrote.
			if f.rows && q.ProjectID != "" {
				owner(q.ProjectID)
			}
		}
	}
	return owners, visibilities, statuses
}

// way is how a part of a list is read: in which index, which ranges of it, and behind which key.
type way struct {
	f     field
	desc  bool
	spans []span
	strip bool // the ranges hold one value each, which does not count for the order
	after *images.Image
}

// streams opens the way in every list.
func (r *reader) streams(ctx context.Context, w way) (*merge, error) {
	owners, visibilities, statuses := r.lists(w.f)
	m := &merge{desc: w.desc}
	// One chunk of all streams together should fill the page.
	parts := len(owners) + shards*len(visibilities) + 1
	chunk := r.q.Limit/parts + r.q.Limit/4 + 8
	add := func(index, hashAttr, sortAttr, hash string) {
		for _, p := range w.spans {
			st := r.indexStream(index, hashAttr, sortAttr, hash, p, w.desc, chunk)
			fetch := st.fetch
			st.fetch = func(ctx context.Context, p span, limit int) ([]entry, string, error) {
				chunk, reached, err := fetch(ctx, p, limit)
				for n := range chunk {
					chunk[n].f = w.f
				}
				return chunk, reached, err
			}
			if w.strip {
				st.strip = len(p.lo)
			}
			if w.after != nil {
				key := w.f.key(w.after)
				if w.strip {
					key = p.lo + createdKey(w.after)
				}
				st.skip, st.span = key, p.behind(key, w.desc)
			}
			m.streams = append(m.streams, st)
		}
	}
	for _, owner := range owners {
		if w.f.rows {
			add("", attrPK, attrSK, ownRows(r.q.Hidden, owner, w.f))
		} else {
			add(ownIndex+w.f.name, attrOwn, w.f.attr, ownPartition(r.q.Hidden, owner))
		}
	}
	for _, v := range visibilities {
		for n := range shards {
			add(visIndex+w.f.name, attrVis, w.f.attr, visPartition(r.q.Hidden, v, string('0'+byte(n))))
		}
	}
	if len(statuses) > 0 {
		shared, err := r.shareStreams(ctx, w, statuses, chunk)
		if err != nil {
			return nil, err
		}
		m.streams = append(m.streams, shared...)
	}
	return m, nil
}

// indexStream reads a partition of an index, or of the table itself.
func (r *reader) indexStream(index, hashAttr, sortAttr, hash string, p span, desc bool, chunk int) *stream {
	st := &stream{span: p, desc: desc, chunk: chunk}
	public := hashAttr == attrVis && r.s.cache != nil && !r.q.SeesAll && hash[:len(hash)-1] == visPartition(false, images.Public, "")
	st.fetch = func(ctx context.Context, p span, limit int) ([]entry, string, error) {
		q := queryInput{index: index, hashAttr: hashAttr, sortAttr: sortAttr, hash: hash, lo: p.lo, hi: p.hi, desc: desc, limit: limit + 1}
		if public {
			return r.s.cache.query(ctx, q, r.s.keys)
		}
		return r.s.keys(ctx, q)
	}
	return st
}

// keys reads a page of an index.
func (s *Store) keys(ctx context.Context, q queryInput) (chunk []entry, reached string, err error) {
	out, err := s.query(ctx, q)
	if err != nil {
		return nil, "", err
	}
	for _, raw := range out.Items {
		it := item(raw)
		e := entry{id: it.text("id"), key: it.text(q.sortAttr), fresh: q.index == ""}
		if q.index != "" {
			e.id = imageID(it.text(attrPK))
		}
		chunk = append(chunk, e)
	}
	return chunk, item(out.LastEvaluatedKey).text(q.sortAttr), nil
}

// shareStreams reads what is shared with the project. Its rows are in the order of creation; for another order all of them are read, with their
// records.
func (r *reader) shareStreams(ctx context.Context, w way, statuses []images.MemberStatus, chunk int) ([]*stream, error) {
	var streams []*stream
	created := fieldNamed("created_at")
	byCreation := w.strip || w.f.name == created.name
	for _, status := range statuses {
		st := r.indexStream("", attrPK, attrSK, pkShares(status, r.q.ProjectID), span{first, last}, w.desc, chunk)
		if !w.strip && byCreation {
			st.span = w.spans[0]
		}
		if byCreation && w.after != nil {
			st.skip = createdKey(w.after)
			st.span = st.span.behind(st.skip, w.desc)
		}
		fetch := st.fetch
		st.fetch = func(ctx context.Context, p span, limit int) ([]entry, string, error) {
			chunk, reached, err := fetch(ctx, p, limit)
			for n := range chunk {
				chunk[n].f = created
				chunk[n].membership = &images.Member{ImageID: chunk[n].id, ProjectID: r.q.ProjectID, Status: status}
			}
			return chunk, reached, err
		}
		streams = append(streams, st)
	}
	if byCreation {
		return streams, nil
	}
	if r.shares == nil {
		all, err := (&merge{streams: streams, desc: w.desc}).take(ctx, int(^uint(0)>>1))
		if err != nil {
			return nil, err
		}
		read, bytes := r.read, r.bytes
		if err := r.load(ctx, all); err != nil {
			return nil, err
		}
		r.read, r.bytes = read, bytes // every page has to read them; what it may read besides stays the same
		r.shares = append([]entry{}, all...)
	}
	var sorted []entry
	for _, e := range r.shares {
		i := r.records[e.id]
		if i == nil {
			continue
		}
		e.f, e.key = w.f, w.f.key(i)
		e.pos = e.key
		behind := w.after == nil || (e.key > w.f.key(w.after)) != w.desc && e.key != w.f.key(w.after)
		if behind && slices.ContainsFunc(w.spans, func(p span) bool { return p.lo <= e.key && e.key <= p.hi }) {
			sorted = append(sorted, e)
		}
	}
	slices.SortFunc(sorted, func(a, b entry) int { return (&merge{desc: w.desc}).compare(a.pos, b.pos) })
	return []*stream{{buffer: sorted, done: true}}, nil
}

// load reads the records of the entries as far as they were not read. What an index said is read as it is now when the copy that was
// read first does not agree with it.
func (r *reader) load(ctx context.Context, entries []entry) error {
	var fresh, any, public []string
	for _, e := range entries {
		if _, ok := r.records[e.id]; ok {
			continue
		}
		r.records[e.id] = nil
		switch {
		case e.fresh:
			fresh = append(fresh, e.id)
		case e.public:
			public = append(public, e.id)
		default:
			any = append(any, e.id)
		}
	}
	r.read += len(fresh) + len(any) + len(public)
	if len(public) > 0 {
		any = append(any, r.s.cache.records(public, r.records)...)
	}
	if err := r.s.records(ctx, any, false, r.records); err != nil {
		return err
	}
	doubtful := map[string]bool{}
	for _, e := range entries {
		if i := r.records[e.id]; !e.fresh && (i == nil || e.f.name != "" && e.f.key(i) != e.key) {
			doubtful[e.id] = true
		}
	}
	for id := range doubtful {
		fresh = append(fresh, id)
	}
	if err := r.s.records(ctx, fresh, true, r.records); err != nil {
		return err
	}
	for _, id := range public {
		r.s.cache.keep(r.records[id])
	}
	for _, id := range slices.Concat(fresh, any, public) {
		if i := r.records[id]; i != nil {
			r.bytes += weight(i)
		}
	}
	return nil
}

// records reads records by id into a map.
func (s *Store) records(ctx context.Context, ids []string, consistent bool, into map[string]*images.Image) error {
	var mu sync.Mutex
	batches := slices.Collect(slices.Chunk(ids, batchGetMax))
	return parallel(len(batches), 4, func(n int) error {
		keys := make([]item, len(batches[n]))
		for k, id := range batches[n] {
			keys[k] = itemKey(pkImage(id), skRecord)
		}
		return s.batchGet(ctx, keys, consistent, func(it item) error {
			i, err := decode(it)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			into[i.ID] = i
			return nil
		})
	})
}
