package chaostest

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/infra/local/harness"
	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/s3store"
)

// service is the domain over the deployment's table and bucket, reached at the URLs.
func (c *cloud) service(dynamoDB, s3 string, now func() time.Time) *images.Service {
	c.t.Helper()
	client, err := s3store.NewClient(s3store.Config{Endpoint: s3, Region: harness.Region, AccessKey: harness.AccessKey, SecretKey: harness.SecretKey, PathStyle: true})
	ok(c.t, err)
	blobs, err := s3store.New(client, harness.Bucket, s3store.Options{})
	ok(c.t, err)
	return &images.Service{Store: dynamostore.New(dynamotest.Client(dynamoDB), c.engines.Table, dynamostore.Options{}), Blobs: blobs,
		Log: slog.New(slog.DiscardHandler), Now: now, NewID: images.NewID, Limits: images.ServiceLimits{MaxParts: images.MaxParts}.WithDefaults()}
}

// ledger is all that table and bucket hold of images.
type ledger struct {
	images map[string]*images.Image // live records by id
	ids    []string                 // of live records and tombstones
	rows   map[string][]string      // keys of the rows that stand for an image in lists, by its id
	stored map[string]int64         // objects with their sizes, by key
	parts  []string                 // keys of open multipart uploads
}

// read lists the table and the bucket whole.
func (c *cloud) read(ctx context.Context) (*ledger, error) {
	s := c.service(c.engines.DynamoDB, c.S3.Endpoint(), time.Now)
	l := &ledger{images: map[string]*images.Image{}, rows: map[string][]string{}, stored: map[string]int64{}}
	pages := dynamodb.NewScanPaginator(dynamotest.Client(c.engines.DynamoDB), &dynamodb.ScanInput{TableName: &c.engines.Table, ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("pk, sk")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			pk, sk := item["pk"].(*types.AttributeValueMemberS).Value, item["sk"].(*types.AttributeValueMemberS).Value
			id, isImage := strings.CutPrefix(pk, "image/")
			switch {
			case isImage && sk == "record":
				l.ids = append(l.ids, id)
			case isImage && sk == "members":
				l.rows[id] = append(l.rows[id], pk+" "+sk)
			case strings.HasPrefix(pk, "own/"), strings.HasPrefix(pk, "shares/"):
				id := sk[len(sk)-len("00000000-0000-0000-0000-000000000000"):]
				l.rows[id] = append(l.rows[id], pk+" "+sk)
			}
		}
	}
	for _, id := range l.ids {
		i, err := s.Store.Image(ctx, id)
		if err != nil && images.KindOf(err) != images.NotFound {
			return nil, err
		} else if err == nil {
			l.images[id] = i
		}
	}
	err := s.Blobs.List(ctx, "", "", func(o images.Stored) bool { l.stored[o.Key] = o.Size; return true })
	return l, errors.Join(err, s.Blobs.ListMultipart(ctx, "", "", func(m images.OpenMultipart) bool { l.parts = append(l.parts, m.Key); return true }))
}

// books compares the table with the bucket, and the parts of the table with each other, once everything has come to rest: scrub has nothing left to do even in
// ten years. It returns a sentence for each thing that does not balance.
func (c *cloud) books(ctx context.Context) []string {
	l, err := c.read(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	s := c.service(c.engines.DynamoDB, c.S3.Endpoint(), time.Now)
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if due, err := s.Store.Due(ctx, time.Now().AddDate(10, 0, 0), 1000); err != nil || len(due) > 0 {
		for _, i := range due {
			say("image %s is due although nothing is under way: %s, upload %+v", i.ID, i.Status, i.Upload)
		}
		if err != nil {
			say("what is due cannot be listed: %v", err)
		}
	}
	if untold, err := s.Store.Undelivered(ctx, 10); err != nil || len(untold) > 0 {
		say("the bus was not told of %v (%v)", untold, err)
	}
	kept := map[string]string{} // the image of an object
	usage := map[string]images.Usage{}
	lists := map[string][]string{}
	for id, i := range l.images {
		usage[i.Owner] = usage[i.Owner].Add(images.UsageOf(i))
		lists[i.Owner] = append(lists[i.Owner], id)
		if i.Upload.Live() {
			say("image %s still has the live upload %+v", id, i.Upload)
		}
		switch i.Status {
		case images.StatusQueued:
			if i.Blob != nil {
				say("image %s is queued and has bytes", id)
			}
		case images.StatusActive, images.StatusDeactivated:
			if i.Blob == nil {
				say("image %s is %s without bytes", id, i.Status)
				continue
			}
			kept[i.Blob.Key] = id
			if size, there := l.stored[i.Blob.Key]; !there {
				say("image %s is %s and its object %s is not in the bucket", id, i.Status, i.Blob.Key)
				continue
			} else if i.Size == nil || size != *i.Size || size != i.Blob.Size {
				say("image %s says %v bytes, its blob %d, its object has %d", id, i.Size, i.Blob.Size, size)
			}
			body, err := s.Blobs.Range(ctx, *i.Blob, 0, i.Blob.Size)
			if err != nil {
				say("the bytes of image %s cannot be read: %v", id, err)
				continue
			}
			sum := sha512.New()
			_, err = io.Copy(sum, body)
			body.Close()
			if got := hex.EncodeToString(sum.Sum(nil)); err != nil || got != i.HashValue {
				say("image %s says SHA-512 %.12s, its object has %.12s (%v)", id, i.HashValue, got, err)
			}
		default:
			say("image %s is left %s", id, i.Status)
		}
		if want := 2 + memberRows(ctx, s, id); len(l.rows[id]) != want {
			say("image %s has the rows %v, want %d", id, l.rows[id], want)
		}
	}
	for key := range l.stored {
		if kept[key] == "" {
			say("object %s belongs to no image", key)
		}
	}
	for _, key := range l.parts {
		say("a multipart upload of %s is left open", key)
	}
	for _, id := range l.ids {
		if l.images[id] == nil && len(l.rows[id]) > 0 {
			say("the deleted image %s left the rows %v", id, l.rows[id])
		}
	}
	for owner, want := range usage {
		if got, err := s.Store.Usage(ctx, owner); err != nil || got != want {
			say("the usage of project %s is %+v (%v), its images add up to %+v", owner, got, err, want)
		}
	}
	for owner, want := range lists {
		slices.Sort(want)
		for _, key := range images.SortKeys {
			got := []string{}
			q := &images.Query{ProjectID: owner, Owner: owner, Sort: []images.SortKey{{Key: key}}, Limit: images.MaxPage}
			page, err := s.Store.List(ctx, q)
			for _, i := range page.Images {
				got = append(got, i.ID)
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				say("the list of project %s by %s has %d images (%v), the table %d", owner, key, len(got), err, len(want))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// memberRows is how many items the members of an image take: the list, and a row for each.
func memberRows(ctx context.Context, s *images.Service, id string) int {
	members, err := s.Store.Members(ctx, id)
	if err != nil || len(members) == 0 {
		return 0
	}
	return 1 + len(members)
}

func TestTheBooksShowWhatDoesNotBalance(t *testing.T) {
	c := deployChaos(t, nil)
	ctx := t.Context()
	id := images.NewID()
	(&client{chaos: c, t: t, token: c.signIn("bob", "default")}).create(id, content(small, 0))
	c.Wait()
	c.bucket = func(func() error) {} // else what is stray would be found
	if wrong := c.books(ctx); len(wrong) > 0 {
		t.Fatalf("the books of a healthy deployment: %s", strings.Join(wrong, "\n"))
	}
	// What operators ask for says the same, in a function whose role is that of the template.
	root := c.signIn("root", "default")
	asked := func() (said []string, stored float64) {
		for after, begun := "", false; !begun || after != ""; begun = true {
			page := c.call(root, "POST", "/v2/scrub", fmt.Sprintf(`{"dry_run":true,"after":%q}`, after), 200)
			for _, f := range page["findings"].([]any) {
				said = append(said, f.(map[string]any)["kind"].(string))
			}
			stored += page["stored"].(float64)
			after, _ = page["next"].(string)
		}
		return said, stored
	}
	if said, stored := asked(); len(said) > 0 || stored != small {
		t.Errorf("scrub finds %v and %v bytes in a healthy deployment, want nothing and %d", said, stored, small)
	}
	l, err := c.read(ctx)
	ok(t, err)
	s := c.service(c.engines.DynamoDB, c.S3.Endpoint(), time.Now)
	_, err = s.Blobs.Put(ctx, "images/"+id+"/"+images.NewID(), strings.NewReader("stray"), 5)
	ok(t, err)
	_, err = s.Blobs.CreateMultipart(ctx, "images/"+id+"/"+images.NewID(), 8<<20)
	ok(t, err)
	ok(t, s.Blobs.Delete(ctx, slices.Collect(maps.Keys(l.stored))[0]))
	c.Wait()
	i := l.images[id]
	is := i.Clone()
	is.Upload = &images.Upload{ID: images.NewID(), State: images.UploadOpen, Size: 7, CreatedAt: time.Now(), UpdatedAt: time.Now(), ExpiresAt: time.Now()}
	ok(t, s.Store.Apply(ctx, images.Write{Was: i, Is: is}))
	said := strings.Join(c.books(ctx), "\n")
	for _, want := range []string{"is not in the bucket", "is left open", "still has the live upload", "is due although"} {
		if !strings.Contains(said, want) {
			t.Errorf("the books do not say %q:\n%s", want, said)
		}
	}
	if said, _ := asked(); !slices.Equal(said, []string{"upload_expired", "bytes_missing"}) { // the rest is too young
		t.Errorf("scrub finds %v, want an upload past its time and an image without bytes", said)
	}
}
