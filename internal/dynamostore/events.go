package dynamostore

import (
	"context"
	"fmt"
	"math/rand/v2"

	"bullion/internal/images"
)

// Events reads the history of an image.
func (s *Store) Events(ctx context.Context, imageID string, after int64, limit int) ([]images.Event, error) {
	return s.readEvents(ctx, pkImage(imageID), skEvent(max(after, 0)+1), skEvent(1<<62), limit)
}

// Undelivered reads events from the partitions where they stay until they are acknowledged. All events of an image are in one, in order. Each call begins
// with another partition, so that none waits for ever.
func (s *Store) Undelivered(ctx context.Context, limit int) ([]images.Event, error) {
	var all []images.Event
	from := rand.IntN(shards)
	for n := range shards {
		events, err := s.readEvents(ctx, pkOutbox(string('0'+byte((from+n)%shards))), first, last, limit-len(all))
		if err != nil {
			return nil, err
		}
		if all = append(all, events...); len(all) >= limit {
			break
		}
	}
	return all, nil
}

func (s *Store) readEvents(ctx context.Context, pk, lo, hi string, limit int) ([]images.Event, error) {
	var events []images.Event
	for len(events) < limit {
		out, err := s.query(ctx, queryInput{hashAttr: attrPK, sortAttr: attrSK, hash: pk, lo: lo, hi: hi, limit: limit - len(events)})
		if err != nil {
			return nil, err
		}
		for _, it := range out.Items {
			e, err := getJSON[images.Event](it, "event")
			if err != nil || e == nil {
				return nil, fmt.Errorf("dynamostore: event %s of %s cannot be read: %w", item(it).text(attrSK), pk, err)
			}
			events = append(events, *e)
		}
		if len(out.LastEvaluatedKey) == 0 {
			break
		}
		lo = item(out.LastEvaluatedKey).text(attrSK) + first
	}
	return events, nil
}

// Delivered takes events from where the undelivered ones stay.
func (s *Store) Delivered(ctx context.Context, events []images.Event) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, err)
	}
	seen := map[string]bool{}
	var keys []item
	for _, e := range events {
		if sk := skOutbox(e); !seen[sk] { // a batch must not name an item twice
			seen[sk] = true
			keys = append(keys, itemKey(pkOutbox(shard(e.ImageID)), sk))
		}
	}
	return s.deleteAll(ctx, keys)
}
