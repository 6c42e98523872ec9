package dynamostore

import (
	"context"
	"time"

	"bullion/internal/images"
)

// Due reads the index of due records, then the records as they are now.
func (s *Store) Due(ctx context.Context, at time.Time, limit int) ([]*images.Image, error) {
	r := s.newReader(&images.Query{SeesAll: true, Limit: limit})
	var streams []*stream
	for n := range shards {
		streams = append(streams, r.indexStream(dueIndex, attrDue, attrAt, string('0'+byte(n)), span{first, timeKey(at) + above}, false, limit+1))
	}
	m := &merge{streams: streams}
	var due []*images.Image
	for len(due) < limit {
		batch, err := m.take(ctx, limit-len(due))
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		for n := range batch {
			batch[n].fresh = true
		}
		if err := r.load(ctx, batch); err != nil {
			return nil, err
		}
		for _, e := range batch {
			i := r.records[e.id]
			if i != nil && !i.DueAt().IsZero() && timeKey(i.DueAt())+i.ID == e.key {
				due = append(due, i)
			}
		}
	}
	return due, nil
}
