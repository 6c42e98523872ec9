package dynamostore

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
	"bullion/internal/metadefs"
)

var _ metadefs.Store = (*Store)(nil)

// Namespaces are items of one partition, in the order of names. There are at most a thousand, written by administrators alone.
const (
	pkMetadefs   = "metadefs"
	attrDocument = "document"
)

func skNamespace(name string) string { return "namespace/" + name }

// Namespace returns the document of a namespace and its version.
func (s *Store) Namespace(ctx context.Context, name string) (document []byte, version int64, err error) {
	it, err := s.get(ctx, pkMetadefs, skNamespace(name))
	if err != nil {
		return nil, 0, err
	}
	if it == nil {
		return nil, 0, errNoNamespace(name)
	}
	version, err = it.int(attrVersion)
	return []byte(it.text(attrDocument)), version, err
}

// Namespaces returns documents in the order of names.
func (s *Store) Namespaces(ctx context.Context, after string, limit int) (documents [][]byte, err error) {
	reached := skNamespace(after)
	for len(documents) < limit {
		out, err := s.query(ctx, queryInput{hashAttr: attrPK, sortAttr: attrSK, hash: pkMetadefs, lo: reached, hi: skNamespace(last), limit: limit - len(documents) + 1})
		if err != nil {
			return nil, err
		}
		for _, found := range out.Items {
			it := item(found)
			if sk := it.text(attrSK); sk != reached && len(documents) < limit {
				documents, reached = append(documents, []byte(it.text(attrDocument))), sk
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			break
		}
	}
	return documents, nil
}

// PutNamespace writes a document if the name has the version; 0 wants a name that is free. A request that was repeated after a lost answer finds its own mark.
func (s *Store) PutNamespace(ctx context.Context, name string, version int64, document []byte) error {
	it := itemKey(pkMetadefs, skNamespace(name))
	it[attrVersion], it[attrDocument], it[attrWrite] = intValue(version+1), textValue(string(document)), textValue(mark())
	in := &dynamodb.PutItemInput{TableName: &s.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	refusal := images.Errorf(images.Conflict, "There is a namespace %.80q already.", name)
	if version > 0 {
		in.ConditionExpression, refusal = onVersion(&in.ExpressionAttributeNames, &in.ExpressionAttributeValues, version), images.ErrStale
	}
	return s.patiently(ctx, func() error {
		_, err := s.db.PutItem(ctx, in)
		if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
			if item(failed.Item).text(attrWrite) == it.text(attrWrite) {
				return nil
			}
			return told{refusal}
		}
		return err
	})
}

// DeleteNamespace removes a document if it has the version. One that was repeated after a lost answer says that there is none.
func (s *Store) DeleteNamespace(ctx context.Context, name string, version int64) error {
	in := &dynamodb.DeleteItemInput{TableName: &s.table, Key: itemKey(pkMetadefs, skNamespace(name)), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	in.ConditionExpression = onVersion(&in.ExpressionAttributeNames, &in.ExpressionAttributeValues, version)
	return s.patiently(ctx, func() error {
		_, err := s.db.DeleteItem(ctx, in)
		if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
			if len(failed.Item) == 0 {
				return told{errNoNamespace(name)}
			}
			return told{images.ErrStale}
		}
		return err
	})
}

// onVersion is the condition that an item has a version.
func onVersion(names *map[string]string, values *map[string]types.AttributeValue, version int64) *string {
	*names, *values = map[string]string{"#version": attrVersion}, item{":version": intValue(version)}
	return aws.String("#version = :version")
}

func errNoNamespace(name string) error {
	return images.Errorf(images.NotFound, "No namespace %.80q was found.", name)
}
