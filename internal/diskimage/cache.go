package diskimage

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Budget bounds the reading of one image. The zero value of a field takes its default.
type Budget struct {
	PageSize int   // bytes of one page; default 256 KiB, at which a real Debian qcow2 takes eight ranged reads
	Pages    int   // pages kept in memory; default 64
	Bytes    int64 // bytes read from the source in all; default 64 MiB
	Requests int   // reads of the source in all; default 400
}

func (b Budget) withDefaults() Budget {
	if b.PageSize <= 0 {
		b.PageSize = 256 << 10
	}
	if b.Pages <= 0 {
		b.Pages = 64
	}
	if b.Bytes <= 0 {
		b.Bytes = 64 << 20
	}
	if b.Requests <= 0 {
		b.Requests = 400
	}
	return b
}

// Stats counts what was read from the source of a [Cache].
type Stats struct {
	Requests int   // reads, each of one or more adjoining pages
	Bytes    int64 // bytes
}

// Cache is an [io.ReaderAt] that reads its source in whole, aligned pages, keeps the latest, and stops with a
// rejection ([CodeBudget]) when the budget is used up. It is safe for concurrent use; reads of the source happen one at a time.
type Cache struct {
	src    io.ReaderAt
	size   int64
	budget Budget
	ahead  bool // whether reading on after a cached page brings the page after it too

	mu    sync.Mutex
	pages map[int64]*list.Element // by page number; the values are *page
	order *list.List              // front: used last
	stats Stats
}

type page struct {
	number int64
	data   []byte
}

// NewCache returns a cache over the first size bytes of src.
func NewCache(src io.ReaderAt, size int64, b Budget) *Cache {
	return &Cache{src: src, size: size, budget: b.withDefaults(), ahead: true, pages: map[int64]*list.Element{}, order: list.New()}
}

// Stats says what was read so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// ReadAt implements [io.ReaderAt]. Like every such reader it returns io.EOF with the bytes that there are when p reaches past the end.
func (c *Cache) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	if off >= c.size {
		return 0, io.EOF
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	want := int64(len(p))
	short := want > c.size-off
	if short {
		want = c.size - off
	}
	size := int64(c.budget.PageSize)
	done := int64(0)
	for done < want {
		number := (off + done) / size
		data, err := c.page(number, (off+want-1)/size)
		if err != nil {
			return int(done), err
		}
		done += int64(copy(p[done:want], data[off+done-number*size:]))
	}
	if short {
		return int(done), io.EOF
	}
	return int(done), nil
}

// page returns one page. When it must read, it reads the missing pages up to last with it, as one request.
func (c *Cache) page(number, last int64) ([]byte, error) {
	if e, ok := c.pages[number]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*page).data, nil
	}
	end := number + 1
	for end <= last && end-number < int64(max(c.budget.Pages/4, 1)) {
		if _, ok := c.pages[end]; ok {
			break
		}
		end++
	}
	if _, ok := c.pages[number-1]; ok && c.ahead && end == number+1 && end*int64(c.budget.PageSize) < c.size {
		if _, ok := c.pages[end]; !ok {
			end++ // tables and directories are read forwards: one request in place of two
		}
	}
	from := number * int64(c.budget.PageSize)
	n := min(end*int64(c.budget.PageSize), c.size) - from
	if c.stats.Requests+1 > c.budget.Requests || c.stats.Bytes+n > c.budget.Bytes {
		return nil, reject(CodeBudget, "Convert the image with qemu-img convert, which lays it out in order, then upload it again.",
			"Checking this image would need more than %d reads or %d bytes.", c.budget.Requests, c.budget.Bytes)
	}
	c.stats.Requests++
	c.stats.Bytes += n
	data := make([]byte, n)
	if got, err := c.src.ReadAt(data, from); int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the source is shorter than it was said to be
		}
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, from, err)
	}
	for i := number; i < end; i++ {
		start := (i - number) * int64(c.budget.PageSize)
		c.keep(&page{i, data[start:min(start+int64(c.budget.PageSize), n):min(start+int64(c.budget.PageSize), n)]})
	}
	return c.pages[number].Value.(*page).data, nil
}

func (c *Cache) keep(p *page) {
	for c.order.Len() >= c.budget.Pages {
		oldest := c.order.Back()
		delete(c.pages, oldest.Value.(*page).number)
		c.order.Remove(oldest)
	}
	c.pages[p.number] = c.order.PushFront(p)
}
