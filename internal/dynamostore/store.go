package dynamostore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"bullion/internal/images"
)

// Store is images.Store on one DynamoDB table.
type Store struct {
	db    *dynamodb.Client
	table string
	opts  Options
	cache *publicCache // nil when nothing is kept

	// A page reads at most budget records, and groups of images that tie in the first of several sort keys are sorted in memory up
	// to ties of them. Tests make both small.
	budget, ties int
}

var _ images.Store = (*Store)(nil)

// Options of a Store; the zero value is what a single process wants.
type Options struct {
	// PublicFor is how long what was read of public images for lists may be shown again; 0 reads anew each time. A deployment with many readers sets
	// a few seconds, see the package comment.
	PublicFor time.Duration
	// Now is the time, time.Now when nil.
	Now func() time.Time
}

const (
	recordsPerPage = 2000
	tiesInMemory   = 1000
)

// New makes a store on a table that has the form of TableInput. The client's region, endpoint and credentials are used; its retries are replaced:
// nine more attempts after throttling, errors of the service and of the network, with random waits of up to a second.
func New(client *dynamodb.Client, table string, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	db := dynamodb.New(client.Options(), func(c *dynamodb.Options) {
		c.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = 10
			s.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return pause(attempt, time.Second), nil
			})
		})
	})
	s := &Store{db: db, table: table, opts: o, budget: recordsPerPage, ties: tiesInMemory}
	if o.PublicFor > 0 {
		s.cache = &publicCache{life: o.PublicFor, now: o.Now}
	}
	return s
}

// pause is a random wait that grows with every attempt. DynamoDB answers in milliseconds, so it begins with a few; the SDK's own begins with a second.
func pause(attempt int, most time.Duration) time.Duration {
	return mathrand.N(min(20*time.Millisecond<<min(attempt, 10), most))
}

// Close does nothing: the client has no state of its own.
func (s *Store) Close() error { return nil }

// Image reads a live record.
func (s *Store) Image(ctx context.Context, id string) (*images.Image, error) {
	i, err := s.Position(ctx, id)
	if err == nil && i.Status == images.StatusDeleted {
		err = errNoImage(id)
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Position reads a live record or a tombstone.
func (s *Store) Position(ctx context.Context, id string) (*images.Image, error) {
	it, err := s.get(ctx, pkImage(id), skRecord)
	if err != nil {
		return nil, err
	}
	if it == nil {
		return nil, errNoImage(id)
	}
	return decode(it)
}

// get reads one item as it is now; nil when there is none.
func (s *Store) get(ctx context.Context, pk, sk string) (item, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: itemKey(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	if len(out.Item) == 0 {
		return nil, nil
	}
	return out.Item, nil
}

func itemKey(pk, sk string) item { return item{attrPK: textValue(pk), attrSK: textValue(sk)} }

func errNoImage(id string) error {
	return images.Errorf(images.NotFound, "There is no image %s.", id)
}

// fault sorts an error of the client: the end of the context is told as such, what may pass is Unavailable, and all else stays unknown.
func (s *Store) fault(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("dynamostore: %w", ctxErr)
	}
	err = fmt.Errorf("dynamostore: table %s: %w", s.table, err)
	if passing(err) {
		return images.Wrap(images.Unavailable, err, "The database is busy; try again in a moment.")
	}
	return err
}

// passing says whether the same request may succeed later.
func passing(err error) bool {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		_, throttle := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
		return throttle || api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "TransactionConflictException" || api.ErrorCode() == "TransactionCanceledException"
	}
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err).Bool()
}

// query reads one page of a partition's sort keys from lo to hi, both included.
func (s *Store) query(ctx context.Context, q queryInput) (*dynamodb.QueryOutput, error) {
	in := &dynamodb.QueryInput{
		TableName:              &s.table,
		KeyConditionExpression: aws.String("#h = :h AND #s BETWEEN :lo AND :hi"),
		ExpressionAttributeNames: map[string]string{
			"#h": q.hashAttr, "#s": q.sortAttr,
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{":h": textValue(q.hash), ":lo": textValue(q.lo), ":hi": textValue(q.hi)},
		ScanIndexForward:          aws.Bool(!q.desc),
		Limit:                     aws.Int32(int32(q.limit)),
	}
	if q.index == "" {
		in.ConsistentRead = aws.Bool(true)
	} else {
		in.IndexName = &q.index
	}
	out, err := s.db.Query(ctx, in)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return out, nil
}

type queryInput struct {
	index              string // "" is the table itself, read as it is now
	hashAttr, sortAttr string
	hash, lo, hi       string
	desc               bool
	limit              int
}

// mark is a random name for one write.
func mark() string { return rand.Text() }
