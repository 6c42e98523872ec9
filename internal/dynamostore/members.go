package dynamostore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// The member list of an image is one item: an attribute for each project, its name marked with memberPrefix, and their number. So the bound, the
// uniqueness of entries and their end with the image are conditions on one item. Beside it every entry has a row in the partition of
// the project and the status, which lists read.
const (
	memberPrefix = "m:"
	attrCount    = "count"
)

// memberEntry is a member with the sort key of its row.
type memberEntry struct {
	images.Member
	row string
}

// memberText is the form of an entry in the member list.
type memberText struct {
	Status    images.MemberStatus `json:"status"`
	CreatedAt time.Time           `json:"created_at"`
	UpdatedAt time.Time           `json:"updated_at"`
	Row       string              `json:"row"`
}

func (e memberEntry) value() (types.AttributeValue, error) {
	text, err := json.Marshal(memberText{e.Status, e.CreatedAt, e.UpdatedAt, e.row})
	if err != nil {
		return nil, fmt.Errorf("writing member %.64q of image %s: %w", e.ProjectID, e.ImageID, err)
	}
	return textValue(string(text)), nil
}

// entryIn reads the entry of a project in a member list; nil when there is none.
func entryIn(it item, projectID string) (*memberEntry, error) {
	id := imageID(it.text(attrPK))
	m, err := getJSON[memberText](it, memberPrefix+projectID)
	if err != nil {
		return nil, fmt.Errorf("members of image %s: %w", id, err)
	}
	if m == nil {
		return nil, nil
	}
	return &memberEntry{images.Member{ImageID: id, ProjectID: projectID, Status: m.Status, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt}, m.Row}, nil
}

func (e memberEntry) rowKey() (pk, sk string) { return pkShares(e.Status, e.ProjectID), e.row }

func (e memberEntry) rowItem() item {
	it := itemKey(e.rowKey())
	it.setText("id", e.ImageID)
	return it
}

// Members reads the member list of an image.
func (s *Store) Members(ctx context.Context, imageID string) ([]images.Member, error) {
	entries, err := s.entries(ctx, imageID)
	if err != nil {
		return nil, err
	}
	members := make([]images.Member, len(entries))
	for n, e := range entries {
		members[n] = e.Member
	}
	return members, nil
}

func (s *Store) entries(ctx context.Context, imageID string) ([]memberEntry, error) {
	it, err := s.get(ctx, pkImage(imageID), skMembers)
	if err != nil {
		return nil, err
	}
	return entriesOf(it)
}

func entriesOf(it item) ([]memberEntry, error) {
	var list []memberEntry
	for name := range it {
		project, ok := strings.CutPrefix(name, memberPrefix)
		if !ok {
			continue
		}
		e, err := entryIn(it, project)
		if err != nil {
			return nil, err
		}
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b memberEntry) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ProjectID, b.ProjectID))
	})
	return list, nil
}

// Member reads one entry of the member list.
func (s *Store) Member(ctx context.Context, imageID, projectID string) (*images.Member, error) {
	it, err := s.get(ctx, pkImage(imageID), skMembers)
	if err != nil {
		return nil, err
	}
	e, err := entryIn(it, projectID)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, errNoMember(imageID, projectID)
	}
	return &e.Member, nil
}

func errNoMember(imageID, projectID string) error {
	return images.Errorf(images.NotFound, "Image %s is not shared with project %.64q.", imageID, projectID)
}

// CreateMember adds an entry while the image is there.
func (s *Store) CreateMember(ctx context.Context, m images.Member) error {
	i, err := s.Image(ctx, m.ImageID)
	if err != nil {
		return err
	}
	e := memberEntry{m, createdKey(i)}
	value, err := e.value()
	if err != nil {
		return err
	}
	return s.transact(ctx, []step{
		{types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &s.table, Key: itemKey(pkImage(m.ImageID), skRecord),
			ConditionExpression:       aws.String("attribute_exists(pk) AND #status <> :deleted"),
			ExpressionAttributeNames:  map[string]string{"#status": attrStatus},
			ExpressionAttributeValues: item{":deleted": textValue(string(images.StatusDeleted))},
		}}, func(item) error { return errNoImage(m.ImageID) }},
		{types.TransactWriteItem{Update: &types.Update{
			TableName: &s.table, Key: itemKey(pkImage(m.ImageID), skMembers),
			UpdateExpression:                    aws.String("SET #m = :m ADD #count :one"),
			ConditionExpression:                 aws.String("attribute_not_exists(#m) AND (attribute_not_exists(#count) OR #count < :most)"),
			ExpressionAttributeNames:            map[string]string{"#m": memberPrefix + m.ProjectID, "#count": attrCount},
			ExpressionAttributeValues:           item{":m": value, ":one": intValue(1), ":most": intValue(images.MaxMembers)},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}, func(there item) error {
			if _, ok := there[memberPrefix+m.ProjectID]; ok {
				return images.Errorf(images.Conflict, "Image %s is already shared with project %.64q.", m.ImageID, m.ProjectID)
			}
			return images.Errorf(images.TooLarge, "An image has at most %d members; remove one of image %s first.", images.MaxMembers, m.ImageID)
		}},
		s.write(e.rowItem()),
	})
}

// UpdateMember changes the status of an entry, and so the partition of its row.
func (s *Store) UpdateMember(ctx context.Context, m images.Member) error {
	return s.changeEntry(ctx, m.ImageID, m.ProjectID, func(was memberEntry) (types.Update, []step, error) {
		is := was
		is.Status, is.UpdatedAt = m.Status, m.UpdatedAt
		value, err := is.value()
		if err != nil {
			return types.Update{}, nil, err
		}
		steps := []step{s.write(is.rowItem())}
		if is.Status != was.Status {
			steps = append(steps, s.remove(was.rowKey()))
		}
		return types.Update{
			UpdateExpression:          aws.String("SET #m = :is"),
			ExpressionAttributeNames:  map[string]string{},
			ExpressionAttributeValues: item{":is": value},
		}, steps, nil
	})
}

// DeleteMember removes an entry.
func (s *Store) DeleteMember(ctx context.Context, imageID, projectID string) error {
	return s.changeEntry(ctx, imageID, projectID, func(was memberEntry) (types.Update, []step, error) {
		return types.Update{
			UpdateExpression:          aws.String("REMOVE #m ADD #count :less"),
			ExpressionAttributeNames:  map[string]string{"#count": attrCount},
			ExpressionAttributeValues: item{":less": intValue(-1)},
		}, []step{s.remove(was.rowKey())}, nil
	})
}

// changeEntry reads an entry and writes the change that edit makes of it, together with its steps, if nobody else changed the entry meanwhile; else it
// begins again.
func (s *Store) changeEntry(ctx context.Context, imageID, projectID string, edit func(memberEntry) (types.Update, []step, error)) error {
	return s.patiently(ctx, func() error {
		it, err := s.get(ctx, pkImage(imageID), skMembers)
		if err != nil {
			return told{err}
		}
		was, err := entryIn(it, projectID)
		if err != nil {
			return told{err}
		}
		if was == nil {
			return told{errNoMember(imageID, projectID)}
		}
		u, steps, err := edit(*was)
		if err != nil {
			return told{err}
		}
		u.TableName, u.Key = &s.table, itemKey(pkImage(imageID), skMembers)
		u.ConditionExpression = aws.String("#m = :was")
		u.ExpressionAttributeNames["#m"] = memberPrefix + projectID
		u.ExpressionAttributeValues[":was"] = it[memberPrefix+projectID]
		steps = append(steps, step{types.TransactWriteItem{Update: &u}, func(item) error { return errChanged }})
		err = s.transact(ctx, steps)
		if errors.Is(err, errChanged) {
			return errAgain
		}
		if err != nil {
			return told{err}
		}
		return nil
	})
}

// errChanged says that an entry is not what was read.
var errChanged = errors.New("the entry changed since it was read")

// endMembers are the steps that end the member list of an image that is deleted, the rows last. The time of creation is in the rows, so it
// cannot change while there are any; the service never changes it.
func (s *Store) endMembers(ctx context.Context, w images.Write) ([]step, error) {
	entries, err := s.entries(ctx, w.Was.ID)
	if err != nil {
		return nil, err
	}
	if w.Is.Status != images.StatusDeleted {
		if len(entries) > 0 {
			return nil, fmt.Errorf("dynamostore: the time of creation of image %s cannot change while it has members", w.Was.ID)
		}
		return nil, nil
	}
	steps := []step{s.remove(pkImage(w.Was.ID), skMembers)}
	for _, e := range entries {
		steps = append(steps, s.remove(e.rowKey()))
	}
	return steps, nil
}

// memberships reads the entries of the project in the member lists of the images.
func (s *Store) memberships(ctx context.Context, projectID string, ids []string) (map[string]*images.Member, error) {
	found := map[string]*images.Member{}
	keys := make([]item, len(ids))
	for n, id := range ids {
		keys[n] = itemKey(pkImage(id), skMembers)
	}
	err := s.batchGet(ctx, keys, true, func(it item) error {
		e, err := entryIn(it, projectID)
		if e != nil {
			found[e.ImageID] = &e.Member
		}
		return err
	})
	return found, err
}

// batchGet reads items in batches, in no order, and calls use for those that are there.
const batchGetMax = 100 // items of one read

func (s *Store) batchGet(ctx context.Context, keys []item, consistent bool, use func(item) error) error {
	for batch := range slices.Chunk(keys, batchGetMax) {
		raw := make([]map[string]types.AttributeValue, len(batch))
		for n, key := range batch {
			raw[n] = key
		}
		pending := map[string]types.KeysAndAttributes{s.table: {Keys: raw, ConsistentRead: &consistent}}
		err := s.patiently(ctx, func() error {
			out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: pending})
			if err != nil {
				return err
			}
			for _, it := range out.Responses[s.table] {
				if err := use(it); err != nil {
					return told{err}
				}
			}
			if pending = out.UnprocessedKeys; len(pending) > 0 {
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
