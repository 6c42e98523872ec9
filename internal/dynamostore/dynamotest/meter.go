package dynamotest

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// Meter sums the capacity that requests consume. Give its Option to Client.
type Meter struct {
	mu  sync.Mutex
	now Capacity
}

// Capacity is what requests consumed.
type Capacity struct {
	Requests    int
	Read, Write float64 // request units
}

// Option makes a client count.
func (m *Meter) Option(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("meter", m.measure), middleware.Before)
	})
}

// Take gives the sum since the last Take and begins anew.
func (m *Meter) Take() Capacity {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.now
	m.now = Capacity{}
	return c
}

func (m *Meter) measure(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	total := types.ReturnConsumedCapacityTotal
	write := true
	switch p := in.Parameters.(type) {
	case *dynamodb.GetItemInput:
		p.ReturnConsumedCapacity, write = total, false
	case *dynamodb.QueryInput:
		p.ReturnConsumedCapacity, write = total, false
	case *dynamodb.BatchGetItemInput:
		p.ReturnConsumedCapacity, write = total, false
	case *dynamodb.PutItemInput:
		p.ReturnConsumedCapacity = total
	case *dynamodb.UpdateItemInput:
		p.ReturnConsumedCapacity = total
	case *dynamodb.DeleteItemInput:
		p.ReturnConsumedCapacity = total
	case *dynamodb.BatchWriteItemInput:
		p.ReturnConsumedCapacity = total
	case *dynamodb.TransactWriteItemsInput:
		p.ReturnConsumedCapacity = total
	}
	out, meta, err := next.HandleInitialize(ctx, in)
	var consumed []types.ConsumedCapacity
	one := func(c *types.ConsumedCapacity) {
		if c != nil {
			consumed = append(consumed, *c)
		}
	}
	switch r := out.Result.(type) {
	case *dynamodb.GetItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.QueryOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		consumed = r.ConsumedCapacity
	case *dynamodb.PutItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.DeleteItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.BatchWriteItemOutput:
		consumed = r.ConsumedCapacity
	case *dynamodb.TransactWriteItemsOutput:
		consumed = r.ConsumedCapacity
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Requests++
	for _, c := range consumed {
		if write {
			m.now.Write += aws.ToFloat64(c.CapacityUnits)
		} else {
			m.now.Read += aws.ToFloat64(c.CapacityUnits)
		}
	}
	return out, meta, err
}
