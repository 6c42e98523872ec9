package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// maxSteps is how many parts a transaction may have.
const maxSteps = 100

// Apply makes one write. A change that concerns the record alone is one conditional put; whatever else must agree makes it a transaction.
func (s *Store) Apply(ctx context.Context, w images.Write) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, err)
	}
	version := int64(1)
	if w.Was != nil {
		version = w.Was.Version + 1
	}
	record, err := encode(w.Is, version, mark())
	if err != nil {
		return err
	}
	var rest []step
	rest = append(rest, s.rowSteps(w)...)
	rest = append(rest, s.usageSteps(w)...)
	if w.Event != nil {
		steps, err := s.eventSteps(*w.Event, version)
		if err != nil {
			return err
		}
		rest = append(rest, steps...)
	}
	var left []item // share rows for which the transaction has no room
	if w.Was != nil && (w.Is.Status == images.StatusDeleted || !w.Is.CreatedAt.Equal(w.Was.CreatedAt)) {
		steps, err := s.endMembers(ctx, w)
		if err != nil {
			return err
		}
		room := min(maxSteps-1-len(rest), len(steps))
		for _, step := range steps[room:] {
			left = append(left, step.Delete.Key)
		}
		rest = append(rest, steps[:room]...)
	}

	put := s.putRecord(w.Was, record)
	if len(rest) == 0 {
		err = s.put(ctx, put)
	} else {
		err = s.transact(ctx, append([]step{put}, rest...))
	}
	if err != nil {
		return err
	}
	w.Is.Version = version
	// Rows that stay behind name a tombstone, which no list shows and no later image replaces: removing them is tidiness.
	_ = s.deleteAll(ctx, left)
	return nil
}

// putRecord writes the record over the version that the caller read. A request that was repeated after a lost answer finds its own mark.
func (s *Store) putRecord(was *images.Image, record item) step {
	p := &types.Put{
		TableName: &s.table, Item: record,
		ConditionExpression:                 aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	refusal := images.Errorf(images.Conflict, "Id %s is in use or was; choose another.", imageID(record.text(attrPK)))
	if was != nil {
		p.ConditionExpression = aws.String("#version = :version AND #status <> :deleted")
		p.ExpressionAttributeNames = map[string]string{"#version": attrVersion, "#status": attrStatus}
		p.ExpressionAttributeValues = item{":version": intValue(was.Version), ":deleted": textValue(string(images.StatusDeleted))}
		refusal = images.ErrStale
	}
	return step{types.TransactWriteItem{Put: p}, func(there item) error {
		if there.text(attrWrite) == record.text(attrWrite) {
			return nil
		}
		return refusal
	}}
}

// put is a transaction of one put, at half the price.
func (s *Store) put(ctx context.Context, p step) error {
	in := &dynamodb.PutItemInput{
		TableName: &s.table, Item: p.Put.Item,
		ConditionExpression:                 p.Put.ConditionExpression,
		ExpressionAttributeNames:            p.Put.ExpressionAttributeNames,
		ExpressionAttributeValues:           p.Put.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: p.Put.ReturnValuesOnConditionCheckFailure,
	}
	return s.patiently(ctx, func() error {
		_, err := s.db.PutItem(ctx, in)
		if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
			return told{p.refused(failed.Item)}
		}
		return err
	})
}

// rowSteps move the items that stand for the image in its owner's lists.
func (s *Store) rowSteps(w images.Write) []step {
	was, is := rowsOf(w.Was), rowsOf(w.Is)
	var steps []step
	for _, r := range was {
		if !slices.Contains(is, r) {
			steps = append(steps, s.remove(r.pk, r.sk))
		}
	}
	for _, r := range is {
		if !slices.Contains(was, r) {
			it := itemKey(r.pk, r.sk)
			it.setText("id", w.Is.ID)
			steps = append(steps, s.write(it))
		}
	}
	return steps
}

func (s *Store) write(it item) step {
	return step{TransactWriteItem: types.TransactWriteItem{Put: &types.Put{TableName: &s.table, Item: it}}}
}

func (s *Store) remove(pk, sk string) step {
	return step{TransactWriteItem: types.TransactWriteItem{Delete: &types.Delete{TableName: &s.table, Key: itemKey(pk, sk)}}}
}

// usageSteps change the usage of the owners. The limit is a condition on the figures before the change, so that it holds however many write at once.
func (s *Store) usageSteps(w images.Write) []step {
	deltas := images.UsageDeltas(w)
	var steps []step
	for _, owner := range slices.Sorted(maps.Keys(deltas)) {
		var limit *images.Usage
		if owner == w.Is.Owner {
			limit = w.Limit
		}
		steps = append(steps, s.usageStep(owner, deltas[owner], limit))
	}
	return steps
}

// eventSteps keep the event twice: in the history of the image, and where it stays until it is delivered.
func (s *Store) eventSteps(e images.Event, version int64) ([]step, error) {
	e.Seq = version
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("writing the event of image %s: %w", e.ImageID, err)
	}
	var steps []step
	for _, it := range []item{itemKey(pkImage(e.ImageID), skEvent(version)), itemKey(pkOutbox(shard(e.ImageID)), skOutbox(e))} {
		it.setText("event", string(text))
		steps = append(steps, s.write(it))
	}
	return steps, nil
}

// deleteAll removes items in batches.
func (s *Store) deleteAll(ctx context.Context, keys []item) error {
	for batch := range slices.Chunk(keys, 25) {
		requests := make([]types.WriteRequest, len(batch))
		for n, key := range batch {
			requests[n].DeleteRequest = &types.DeleteRequest{Key: key}
		}
		pending := map[string][]types.WriteRequest{s.table: requests}
		err := s.patiently(ctx, func() error {
			out, err := s.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: pending})
			if err != nil {
				return err
			}
			if pending = out.UnprocessedItems; len(pending) > 0 {
				return errAgain
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
