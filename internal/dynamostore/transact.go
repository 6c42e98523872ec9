package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// conflictTries bounds how often a write is tried again that met another on the same item: a good twenty seconds. Only the item of a project's
// usage is written by many at once.
const conflictTries = 50

// step is one part of a transaction with the meaning of its condition: refused gets the item as it is, nil when there is none, and says what to
// tell the caller; errAgain begins the transaction anew.
type step struct {
	types.TransactWriteItem
	refused func(item) error
}

// errAgain asks for another try.
var errAgain = errors.New("try again")

// transact writes all steps or none. The SDK gives every call a token, so that a request it repeats is carried out once.
func (s *Store) transact(ctx context.Context, steps []step) error {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(steps))}
	for n, step := range steps {
		in.TransactItems[n] = step.TransactWriteItem
	}
	return s.patiently(ctx, func() error {
		in.ClientRequestToken = aws.String(mark())
		_, err := s.db.TransactWriteItems(ctx, in)
		cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		again := false
		for n, reason := range cancelled.CancellationReasons {
			switch code := aws.ToString(reason.Code); code {
			case "", "None":
			case "ConditionalCheckFailed":
				if n < len(steps) && steps[n].refused != nil {
					if err := steps[n].refused(reason.Item); !errors.Is(err, errAgain) {
						return told{err}
					}
					again = true
				}
			case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
				again = true
			default:
				return told{fmt.Errorf("dynamostore: table %s: transaction refused: %s: %s", s.table, code, aws.ToString(reason.Message))}
			}
		}
		if again {
			return errAgain
		}
		return err
	})
}

// told is an error that needs no more sorting.
type told struct{ error }

// patiently calls do again while it answers errAgain or meets another write, with random waits that grow.
func (s *Store) patiently(ctx context.Context, do func() error) error {
	for try := range conflictTries {
		if err := ctx.Err(); err != nil {
			return s.fault(ctx, err)
		}
		err := do()
		if err == nil {
			return nil
		}
		if t, ok := errors.AsType[told](err); ok {
			return t.error
		}
		if _, conflict := errors.AsType[*types.TransactionConflictException](err); !conflict && !errors.Is(err, errAgain) {
			return s.fault(ctx, err)
		}
		wait := time.NewTimer(pause(try, 500*time.Millisecond))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return s.fault(ctx, ctx.Err())
		}
	}
	return images.Errorf(images.Unavailable, "Too many writes of the same record or project at once; try again in a moment.")
}
