// Package dynamo keeps what the identity function must remember on AWS: revoked tokens and application credentials. It is a table of its own,
// on demand, so that no other function can write it; it costs nothing while nobody asks.
//
// The layout, partition key pk and sort key sk, both strings:
//
//	revoked/{subject}      -             before, until (Unix microseconds), expires (Unix seconds, the TTL attribute)
//	user/{user id}         {name}        an application credential
//	credential/{id}        -             user, name: where it is
//
// The identity function needs dynamodb:GetItem, BatchGetItem, PutItem, UpdateItem, DeleteItem and Query on the table; the functions that
// verify tokens need BatchGetItem, which a condition on dynamodb:LeadingKeys confines to revoked/*.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/identity"
	"bullion/internal/images"
)

// Store implements identity.RevocationList and identity.AppCredentials. It is safe for concurrent use.
type Store struct {
	Client *dynamodb.Client
	Table  string
	Now    func() time.Time // nil: time.Now

	mu   sync.Mutex
	seen map[string]seen // what the table said about a token, by its id
}

var (
	_ identity.RevocationList = (*Store)(nil)
	_ identity.AppCredentials = (*Store)(nil)
)

type seen struct {
	revoked bool
	until   time.Time
}

// Keep is how long the answer about a token is kept: the time within which a revocation takes effect everywhere.
const Keep = 30 * time.Second

const maxSeen = 4096

// TTLAttribute is the attribute to name when time to live is enabled for the table.
const TTLAttribute = "expires"

// TableInput is the definition of the table.
func TableInput(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
	}
}

type item = map[string]types.AttributeValue

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func text(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func number(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}
func key(pk, sk string) item               { return item{"pk": text(pk), "sk": text(sk)} }
func revokedKey(subject string) item       { return key("revoked/"+subject, "-") }
func credentialKey(user, name string) item { return key("user/"+user, name) }
func pointerKey(id string) item            { return key("credential/"+id, "-") }
func fault(err error, doing string) error {
	return images.Wrap(images.Unavailable, fmt.Errorf("identity table: %s: %w", doing, err), "the identity store does not answer: try again")
}

func str(i item, name string) string {
	v, _ := i[name].(*types.AttributeValueMemberS)
	if v == nil {
		return ""
	}
	return v.Value
}

func num(i item, name string) int64 {
	v, _ := i[name].(*types.AttributeValueMemberN)
	if v == nil {
		return 0
	}
	n, _ := strconv.ParseInt(v.Value, 10, 64)
	return n
}

// Revoked implements identity.Revocations.
func (s *Store) Revoked(ctx context.Context, c identity.Claims) (bool, error) {
	now := s.now()
	s.mu.Lock()
	known, ok := s.seen[c.ID]
	s.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.revoked, nil
	}
	var keys []item
	for _, subject := range c.Subjects() {
		keys = append(keys, revokedKey(subject))
	}
	answer := false
	for try := 0; len(keys) > 0; try++ {
		out, err := s.Client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{s.Table: {Keys: keys}}})
		if err != nil {
			return false, fault(err, "read revocations")
		}
		for _, i := range out.Responses[s.Table] {
			if num(i, "until") > now.UnixMicro() && c.IssuedAt.UnixMicro() <= num(i, "before") {
				answer = true
			}
		}
		keys = out.UnprocessedKeys[s.Table].Keys
		if len(keys) > 0 && try == 3 {
			return false, fault(errors.New("throttled"), "read revocations")
		}
	}
	s.remember(c.ID, seen{answer, now.Add(Keep)}, now)
	return answer, nil
}

func (s *Store) remember(id string, v seen, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]seen{}
	}
	if len(s.seen) >= maxSeen {
		for k, o := range s.seen {
			if !now.Before(o.until) || len(s.seen) >= maxSeen {
				delete(s.seen, k)
			}
		}
	}
	s.seen[id] = v
}

// Revoke implements identity.RevocationList. A subject's times only ever grow.
func (s *Store) Revoke(ctx context.Context, r identity.Revocation) error {
	if r.Subject == "" || len(r.Subject) > 1024 {
		return errors.New("revoke: the subject is not an id")
	}
	values := item{":b": number(r.Before.UnixMicro()), ":u": number(r.Until.UnixMicro() + 1e6), ":e": number(r.Until.Unix() + 2)}
	raise := func(set, condition string) (bool, error) {
		in := &dynamodb.UpdateItemInput{TableName: &s.Table, Key: revokedKey(r.Subject), UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: item{}}
		in.ExpressionAttributeNames = map[string]string{}
		for short, name := range map[string]string{"#b": "before", "#u": "until", "#e": TTLAttribute} {
			if strings.Contains(set+condition, short) {
				in.ExpressionAttributeNames[short] = name
				in.ExpressionAttributeValues[":"+short[1:]] = values[":"+short[1:]]
			}
		}
		_, err := s.Client.UpdateItem(ctx, in)
		if _, not := errors.AsType[*types.ConditionalCheckFailedException](err); not {
			return false, nil
		}
		if err != nil {
			return false, fault(err, "revoke")
		}
		return true, nil
	}
	done, err := raise("SET #b = :b, #u = :u, #e = :e", "attribute_not_exists(pk) OR (#b <= :b AND #u <= :u)")
	if err == nil && !done { // one of the times is already later
		if _, err = raise("SET #u = :u, #e = :e", "#u < :u"); err == nil {
			_, err = raise("SET #b = :b", "#b < :b")
		}
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	clear(s.seen) // in this instance it takes effect at once
	s.mu.Unlock()
	return nil
}

func encode(c identity.AppCredential) item {
	i := credentialKey(c.UserID, c.Name)
	roles := make([]types.AttributeValue, 0, len(c.Roles))
	for _, r := range c.Roles {
		roles = append(roles, text(r))
	}
	i["id"], i["description"], i["user_name"], i["project"] = text(c.ID), text(c.Description), text(c.UserName), text(c.ProjectID)
	i["roles"] = &types.AttributeValueMemberL{Value: roles}
	i["unrestricted"] = &types.AttributeValueMemberBOOL{Value: c.Unrestricted}
	i["secret"], i["created"] = text(c.SecretHash), number(c.CreatedAt.UnixMicro())
	if !c.ExpiresAt.IsZero() {
		i["ends"] = number(c.ExpiresAt.UnixMicro())
	}
	return i
}

func decode(i item) identity.AppCredential {
	c := identity.AppCredential{ID: str(i, "id"), Name: str(i, "sk"), Description: str(i, "description"), UserID: str(i, "pk")[len("user/"):], UserName: str(i, "user_name"),
		ProjectID: str(i, "project"), SecretHash: str(i, "secret"), CreatedAt: time.UnixMicro(num(i, "created")).UTC()}
	if l, ok := i["roles"].(*types.AttributeValueMemberL); ok {
		for _, v := range l.Value {
			if r, ok := v.(*types.AttributeValueMemberS); ok {
				c.Roles = append(c.Roles, r.Value)
			}
		}
	}
	if b, ok := i["unrestricted"].(*types.AttributeValueMemberBOOL); ok {
		c.Unrestricted = b.Value
	}
	if n := num(i, "ends"); n != 0 {
		c.ExpiresAt = time.UnixMicro(n).UTC()
	}
	return c
}

// AddAppCredential implements identity.AppCredentials. The bound on how many a user has may be passed by as many as
// are made at the same moment.
func (s *Store) AddAppCredential(ctx context.Context, c identity.AppCredential) error {
	have, err := s.AppCredentialsOf(ctx, c.UserID)
	if err != nil {
		return err
	}
	if len(have) >= identity.MaxAppCredentials {
		return images.Errorf(images.Forbidden, "you have %d application credentials, the most that one user may have: delete one first", len(have))
	}
	pointer := pointerKey(c.ID)
	pointer["user"], pointer["name"] = text(c.UserID), text(c.Name)
	absent := aws.String("attribute_not_exists(pk)")
	_, err = s.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &s.Table, Item: encode(c), ConditionExpression: absent}},
		{Put: &types.Put{TableName: &s.Table, Item: pointer, ConditionExpression: absent}},
	}})
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for _, reason := range cancelled.CancellationReasons {
			if aws.ToString(reason.Code) == "ConditionalCheckFailed" {
				return images.Errorf(images.Conflict, "you have an application credential with the name %q already", c.Name)
			}
		}
	}
	if err != nil {
		return fault(err, "store an application credential")
	}
	return nil
}

// AppCredential implements identity.AppCredentials.
func (s *Store) AppCredential(ctx context.Context, id string) (identity.AppCredential, error) {
	none := images.Errorf(images.NotFound, "no such application credential")
	if id == "" || len(id) > 64 {
		return identity.AppCredential{}, none
	}
	pointer, err := s.get(ctx, pointerKey(id))
	if err != nil || pointer == nil {
		return identity.AppCredential{}, orElse(err, none)
	}
	found, err := s.get(ctx, credentialKey(str(pointer, "user"), str(pointer, "name")))
	if err != nil || found == nil || str(found, "id") != id {
		return identity.AppCredential{}, orElse(err, none)
	}
	return decode(found), nil
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (s *Store) get(ctx context.Context, k item) (item, error) {
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: k, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fault(err, "read an application credential")
	}
	return out.Item, nil
}

// AppCredentialsOf implements identity.AppCredentials.
func (s *Store) AppCredentialsOf(ctx context.Context, userID string) ([]identity.AppCredential, error) {
	out := []identity.AppCredential{}
	if userID == "" || len(userID) > 256 {
		return out, nil
	}
	pages := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{TableName: &s.Table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :u"), ExpressionAttributeValues: item{":u": text("user/" + userID)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(err, "list application credentials")
		}
		for _, i := range page.Items {
			out = append(out, decode(i))
		}
	}
	return out, nil // the sort key orders by name
}

// DeleteAppCredential implements identity.AppCredentials.
func (s *Store) DeleteAppCredential(ctx context.Context, userID, id string) error {
	c, err := s.AppCredential(ctx, id)
	if err != nil {
		return err
	}
	if c.UserID != userID {
		return images.Errorf(images.NotFound, "no such application credential")
	}
	_, err = s.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Delete: &types.Delete{TableName: &s.Table, Key: credentialKey(userID, c.Name)}},
		{Delete: &types.Delete{TableName: &s.Table, Key: pointerKey(id)}},
	}})
	if err != nil {
		return fault(err, "delete an application credential")
	}
	return nil
}
