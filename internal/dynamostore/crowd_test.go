package dynamostore

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// heat counts the read units by the partition that serves them.
type heat struct {
	mu    sync.Mutex
	units map[string]float64
}

func (h *heat) add(partition string, units float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.units[partition] += units
}

// take is the sum and the hottest partition since the last take.
func (h *heat) take() (sum, most float64, where string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for partition, units := range h.units {
		if sum += units; units > most {
			most, where = units, partition
		}
	}
	h.units = map[string]float64{}
	return sum, most, where
}

// Option makes a client count. A record is counted as a whole unit, though eventually consistent reads cost half of one.
func (h *heat) Option(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("heat", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			query, isQuery := in.Parameters.(*dynamodb.QueryInput)
			if isQuery {
				query.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
			}
			out, meta, err := next.HandleInitialize(ctx, in)
			if err != nil {
				return out, meta, err
			}
			switch p := in.Parameters.(type) {
			case *dynamodb.QueryInput:
				h.add(aws.ToString(p.IndexName)+" "+item(p.ExpressionAttributeValues).text(":h"), aws.ToFloat64(out.Result.(*dynamodb.QueryOutput).ConsumedCapacity.CapacityUnits))
			case *dynamodb.BatchGetItemInput:
				for _, keys := range p.RequestItems {
					for _, k := range keys.Keys {
						h.add(item(k).text(attrPK), 1)
					}
				}
			case *dynamodb.GetItemInput:
				h.add(item(p.Key).text(attrPK), 1)
			}
			return out, meta, nil
		}), middleware.Before)
	})
}

// TestAPublicListReadAThousandTimesASecondDoesNotMeltAPartition simulates some seconds of fifty processes that each answer twenty lists of 200 public images a second,
// as Lambda would need for a thousand requests of 50 ms. A partition serves 3,000 read units a second
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html).
func TestAPublicListReadAThousandTimesASecondDoesNotMeltAPartition(t *testing.T) {
	const processes, each, seconds, keep, limit = 50, 2, 8, 5, 3000 // of the twenty lists two, as the others come from memory like the second
	h := &heat{units: map[string]float64{}}
	client := dynamotest.Client(dynamotest.Dynoxide(t), h.Option)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	table := dynamotest.Table(t, client, TableInput)
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(15, 16))}
	records := make([]*images.Image, 250)
	for n := range records {
		records[n] = g.Plain("cloud", n)
		records[n].Visibility, records[n].Status = images.Public, images.StatusActive
	}
	if err := storetest.Seed(t.Context(), New(client, table, Options{}), 8, records); err != nil {
		t.Fatal(err)
	}
	h.take()
	crowd := make([]*Store, processes)
	for n := range crowd {
		crowd[n] = New(client, table, Options{PublicFor: keep * time.Second, Now: func() time.Time { return now }}) // as in package cloud
	}
	worst, total := 0.0, 0.0
	for second := range seconds {
		for n, s := range crowd {
			if n%keep > second {
				continue // Lambda starts it later, so that not all read in the same second
			}
			for range each {
				page, err := s.List(t.Context(), &images.Query{ProjectID: "somebody", Visibility: images.Public, Limit: 200})
				if err != nil || len(page.Images) != 200 {
					t.Fatalf("got %d images, %v", len(page.Images), err)
				}
			}
		}
		sum, most, where := h.take()
		t.Logf("second %d: %.0f read units, at most %.0f in one partition (%s)", second, sum, most, where)
		worst, total = max(worst, most), total+sum
		if most > limit {
			t.Errorf("second %d: %.0f units in the partition %s, which serves %d", second, most, where, limit)
		}
		now = now.Add(time.Second)
	}
	if worst > limit/10 {
		t.Errorf("the hottest partition served %.0f units in a second; that should be far from %d", worst, limit)
	}
	t.Logf("in the mean %.0f units a second; the hottest partition had %.0f in its worst second", total/seconds, worst)
}
