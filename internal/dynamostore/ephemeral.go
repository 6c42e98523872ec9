package dynamostore

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// PutEphemeral keeps a value for ttl, as a revoked token until it would have expired. DynamoDB removes it some time after that at no cost;
// GetEphemeral no longer shows it from the moment itself. A key has 1 to 1024 bytes.
func (s *Store) PutEphemeral(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if key == "" || len(key) > 1024 {
		return images.Errorf(images.Internal, "A key has 1 to 1024 bytes; this has %d.", len(key))
	}
	until := s.opts.Now().Add(ttl)
	it := itemKey(pkEphemeral(key), skValue)
	it[skValue] = &types.AttributeValueMemberB{Value: value}
	it[TTLAttribute] = intValue(until.Unix() + 1)
	it["until"] = intValue(until.UnixMicro())
	return s.patiently(ctx, func() error {
		_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: it})
		return err
	})
}

// GetEphemeral reads a value that PutEphemeral kept; false when there is none or its time is over.
func (s *Store) GetEphemeral(ctx context.Context, key string) ([]byte, bool, error) {
	it, err := s.get(ctx, pkEphemeral(key), skValue)
	if err != nil {
		return nil, false, err
	}
	until, err := it.int("until")
	if err != nil || until <= s.opts.Now().UnixMicro() {
		return nil, false, err
	}
	if v, ok := it[skValue].(*types.AttributeValueMemberB); ok {
		return v.Value, true, nil
	}
	return nil, true, nil
}
