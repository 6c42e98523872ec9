package dynamostore

import (
	"context"
	"sync"
	"time"

	"bullion/internal/images"
)

// publicCache keeps for a short time what was read of public images for lists: pages of keys and records. What many ask at once is read once.
type publicCache struct {
	life time.Duration
	now  func() time.Time

	mu    sync.Mutex
	pages map[queryInput]*cachedPage
	byID  map[string]cachedRecord
}

// maxCached bounds the pages and the records that are kept, a few megabytes. The cache begins anew when it is full: what is asked often is back at once.
const maxCached = 2000

type cachedPage struct {
	ready   chan struct{}
	until   time.Time
	chunk   []entry
	reached string
	err     error
}

type cachedRecord struct {
	image *images.Image
	until time.Time
}

// query gives a page of keys, from read when it has none. Who waits for another's read gives up with its own context.
func (c *publicCache) query(ctx context.Context, q queryInput, read func(context.Context, queryInput) ([]entry, string, error)) ([]entry, string, error) {
	for {
		c.mu.Lock()
		p := c.pages[q]
		mine := p == nil || c.now().After(p.until)
		if mine {
			if c.pages == nil || len(c.pages) >= maxCached {
				c.pages = map[queryInput]*cachedPage{}
			}
			p = &cachedPage{ready: make(chan struct{}), until: c.now().Add(c.life)}
			c.pages[q] = p
		}
		c.mu.Unlock()
		if mine {
			p.chunk, p.reached, p.err = read(ctx, q)
			for n := range p.chunk {
				p.chunk[n].public = true
			}
			if p.err != nil {
				c.mu.Lock()
				if c.pages[q] == p {
					delete(c.pages, q)
				}
				c.mu.Unlock()
			}
			close(p.ready)
		}
		select {
		case <-p.ready:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
		if p.err != nil && !mine {
			continue // the other's error may be the end of its own context
		}
		return append([]entry(nil), p.chunk...), p.reached, p.err
	}
}

// records copies what is kept into a map and says what is not.
func (c *publicCache) records(ids []string, into map[string]*images.Image) (missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for _, id := range ids {
		if r, ok := c.byID[id]; ok && !now.After(r.until) {
			into[id] = r.image.Clone()
		} else {
			missing = append(missing, id)
		}
	}
	return missing
}

// keep keeps a record.
func (c *publicCache) keep(i *images.Image) {
	if i == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxCached {
		c.byID = map[string]cachedRecord{}
	}
	if r, ok := c.byID[i.ID]; !ok || c.now().After(r.until) {
		c.byID[i.ID] = cachedRecord{i.Clone(), c.now().Add(c.life)}
	}
}
