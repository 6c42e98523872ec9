package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"bullion/internal/images"
)

// entry is an image in an index: where it stands and how to find it, but not what it is.
type entry struct {
	id  string
	key string // its sort key in the index of the field
	pos string // its place among the entries that it is merged with
	f   field

	membership *images.Member // of the project that asks, when the entry comes from its shares
	fresh      bool           // the entry was read as it is now, and so must be its record
	public     bool           // may be shown from the cache
}

// span is a range of sort keys, both ends included.
type span struct{ lo, hi string }

// below cuts what lies at or before the key, in the direction; the key itself stays, for the caller to skip.
func (p span) behind(key string, desc bool) span {
	if desc {
		p.hi = min(p.hi, key)
	} else {
		p.lo = max(p.lo, key)
	}
	return p
}

// stream reads one partition of an index in order, a chunk at a time. It goes on by the key that it read last and not by a token, so a
// marker whose record is gone serves as well as any.
type stream struct {
	fetch func(ctx context.Context, p span, limit int) (chunk []entry, reached string, err error) // reached is "" at the end
	span  span
	desc  bool
	skip  string // the key behind which the stream goes on
	strip int    // how much of the key does not count for its place
	chunk int

	buffer []entry
	done   bool
}

// maxChunk bounds the entries of one read; some hundred bytes each.
const maxChunk = 1000

// fill sees to it that the buffer holds something, unless the stream is at its end.
func (s *stream) fill(ctx context.Context) error {
	for len(s.buffer) == 0 && !s.done {
		if s.span.lo > s.span.hi {
			s.done = true
			return nil
		}
		chunk, reached, err := s.fetch(ctx, s.span, min(s.chunk, maxChunk))
		if err != nil {
			return err
		}
		for _, e := range chunk {
			if e.key != s.skip {
				e.pos = e.key[s.strip:]
				s.buffer = append(s.buffer, e)
			}
		}
		if s.done = reached == ""; !s.done {
			s.skip, s.span = reached, s.span.behind(reached, s.desc)
		}
		s.chunk *= 2
	}
	return nil
}

// merge reads streams as one, in the order of places. Streams may overlap: of entries at one place, which are the same image, one is given.
type merge struct {
	streams []*stream
	desc    bool
}

// peek is the next entry, nil at the end. It stays the next.
func (m *merge) peek(ctx context.Context) (*entry, error) {
	var empty []*stream
	for _, s := range m.streams {
		if len(s.buffer) == 0 && !s.done {
			empty = append(empty, s)
		}
	}
	if err := parallel(len(empty), len(empty), func(n int) error { return empty[n].fill(ctx) }); err != nil {
		return nil, err
	}
	m.streams = slices.DeleteFunc(m.streams, func(s *stream) bool { return len(s.buffer) == 0 })
	var next *entry
	for _, s := range m.streams {
		head := &s.buffer[0]
		if next == nil || m.compare(head.pos, next.pos) < 0 {
			next = head
		}
	}
	return next, nil
}

func (m *merge) compare(a, b string) int {
	if m.desc {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// next takes the next entry; nil at the end.
func (m *merge) next(ctx context.Context) (*entry, error) {
	head, err := m.peek(ctx)
	if head == nil || err != nil {
		return nil, err
	}
	e := *head
	for _, s := range m.streams {
		if s.buffer[0].pos != e.pos {
			continue
		}
		if e.membership == nil {
			e.membership = s.buffer[0].membership
		}
		e.fresh = e.fresh || s.buffer[0].fresh
		s.buffer = s.buffer[1:]
	}
	return &e, nil
}

// take takes up to n entries.
func (m *merge) take(ctx context.Context, n int) ([]entry, error) {
	var list []entry
	for len(list) < n {
		e, err := m.next(ctx)
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		list = append(list, *e)
	}
	return list, nil
}

// parallel calls do for 0 … n-1, from up to workers goroutines, and returns all errors together.
func parallel(n, workers int, do func(int) error) error {
	switch n {
	case 0:
		return nil
	case 1:
		return do(0)
	}
	errs := make([]error, n)
	slots := make(chan struct{}, workers)
	var wg sync.WaitGroup
	for k := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[k] = do(k)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
