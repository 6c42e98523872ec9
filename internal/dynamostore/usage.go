package dynamostore

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// figure is one number of a project's usage. held is no figure of its own: it is bytes and bytes in flight together, which a limit bounds and
// no condition can add up.
type figure struct {
	attr string
	of   func(images.Usage) int64
	max  func(limit images.Usage) int64
}

var figures = []figure{
	{"images", func(u images.Usage) int64 { return u.Images }, func(l images.Usage) int64 { return l.Images }},
	{"bytes", func(u images.Usage) int64 { return u.Bytes }, nil},
	{"held", func(u images.Usage) int64 { return u.Bytes + u.InFlight }, func(l images.Usage) int64 { return l.Bytes }},
	{"in_flight", func(u images.Usage) int64 { return u.InFlight }, func(l images.Usage) int64 { return l.InFlight }},
	{"uploads", func(u images.Usage) int64 { return u.Uploads }, func(l images.Usage) int64 { return l.Uploads }},
}

// Usage reads the figures of a project.
func (s *Store) Usage(ctx context.Context, projectID string) (images.Usage, error) {
	it, err := s.get(ctx, pkUsage(projectID), skUsage)
	if err != nil {
		return images.Usage{}, err
	}
	return usageOf(it)
}

func usageOf(it item) (u images.Usage, err error) {
	for _, f := range []struct {
		attr string
		at   *int64
	}{{"images", &u.Images}, {"bytes", &u.Bytes}, {"in_flight", &u.InFlight}, {"uploads", &u.Uploads}} {
		if *f.at, err = it.int(f.attr); err != nil {
			return images.Usage{}, err
		}
	}
	return u, nil
}

// usageStep adds delta to the figures of the project unless a figure that it raises would be over the limit.
func (s *Store) usageStep(project string, delta images.Usage, limit *images.Usage) step {
	names, values := map[string]string{}, item{}
	var adds, conditions []string
	for n, f := range figures {
		d := f.of(delta)
		if d == 0 {
			continue
		}
		name, add, most := "#f"+string('0'+byte(n)), ":d"+string('0'+byte(n)), ":m"+string('0'+byte(n))
		names[name], values[add] = f.attr, intValue(d)
		adds = append(adds, name+" "+add)
		if limit == nil || f.max == nil || f.max(*limit) == images.Unlimited || d < 0 {
			continue
		}
		room := f.max(*limit) - d
		values[most] = intValue(room)
		if condition := name + " <= " + most; room < 0 {
			conditions = append(conditions, condition) // not even the first image of a project fits
		} else {
			conditions = append(conditions, "(attribute_not_exists("+name+") OR "+condition+")")
		}
	}
	expression := "ADD " + strings.Join(adds, ", ")
	u := &types.Update{
		TableName: &s.table, Key: itemKey(pkUsage(project), skUsage), UpdateExpression: &expression,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}
	if len(conditions) == 0 {
		return step{TransactWriteItem: types.TransactWriteItem{Update: u}}
	}
	condition := strings.Join(conditions, " AND ")
	u.ConditionExpression = &condition
	u.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	return step{types.TransactWriteItem{Update: u}, func(there item) error {
		now, err := usageOf(there)
		if err != nil {
			return err
		}
		if err := limit.Check(now.Add(delta), delta); err != nil {
			return err
		}
		return errAgain
	}}
}

// Quota reads what was set for a project.
func (s *Store) Quota(ctx context.Context, projectID string) (*images.Usage, error) {
	it, err := s.get(ctx, pkUsage(projectID), skQuota)
	if err != nil || it == nil {
		return nil, err
	}
	u, err := usageOf(it)
	return &u, err
}

// SetQuota sets it, or takes it back.
func (s *Store) SetQuota(ctx context.Context, projectID string, limit *images.Usage) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, err)
	}
	key := itemKey(pkUsage(projectID), skQuota)
	if limit == nil {
		return s.deleteAll(ctx, []item{key})
	}
	for _, f := range figures {
		if f.attr != "held" {
			key[f.attr] = intValue(f.of(*limit))
		}
	}
	return s.patiently(ctx, func() error {
		_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: key})
		return err
	})
}

// AddEgress adds to the item of the month. A request that is repeated after a lost answer may count twice.
func (s *Store) AddEgress(ctx context.Context, projectID, month string, bytes int64) error {
	return s.patiently(ctx, func() error {
		_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: itemKey(pkUsage(projectID), skEgress(month)), UpdateExpression: aws.String("ADD #bytes :n"),
			ExpressionAttributeNames: map[string]string{"#bytes": "bytes"}, ExpressionAttributeValues: item{":n": intValue(bytes)},
		})
		return err
	})
}

// Egress reads it.
func (s *Store) Egress(ctx context.Context, projectID, month string) (int64, error) {
	it, err := s.get(ctx, pkUsage(projectID), skEgress(month))
	if err != nil {
		return 0, err
	}
	return it.int("bytes")
}
