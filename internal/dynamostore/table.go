package dynamostore

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TTLAttribute is the attribute of time to live (seconds since 1970). CreateTable cannot enable it: template.yaml and UpdateTimeToLive do.
const TTLAttribute = "expires"

// Names of the indexes; those of lists are ownIndex and visIndex followed by the sort key.
const (
	ownIndex = "own-"
	visIndex = "visibility-"
	dueIndex = "due"
)

// TableInput is the definition of the table: on demand, two string keys, and indexes of keys alone.
func TableInput(name string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keySchema(attrPK, attrSK),
	}
	index := func(name, hash, sort string) {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName:  &name,
			KeySchema:  keySchema(hash, sort),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		})
	}
	attributes := []string{attrPK, attrSK, attrOwn, attrVis, attrDue, attrAt}
	for _, f := range fields {
		if !f.rows {
			index(ownIndex+f.name, attrOwn, f.attr)
		}
		index(visIndex+f.name, attrVis, f.attr)
		if f.attr != attrPK {
			attributes = append(attributes, f.attr)
		}
	}
	index(dueIndex, attrDue, attrAt)
	for _, a := range attributes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: aws.String(a), AttributeType: types.ScalarAttributeTypeS,
		})
	}
	return in
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: &hash, KeyType: types.KeyTypeHash},
		{AttributeName: &sort, KeyType: types.KeyTypeRange},
	}
}
