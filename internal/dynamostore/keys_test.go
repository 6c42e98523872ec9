package dynamostore

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// sign makes results of comparisons comparable.
func sign(c int) int { return cmp.Compare(c, 0) }

func TestTheOrderOfKeysIsTheOrderOfLists(t *testing.T) {
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(17, 18))}
	names := []string{"", "a", "a\x00", "a\x00b", "a\x01", "a\x01b", "a\x02", "a\x02\x03", "a\x03", "a b", "ab", "~", "a~", "\uffff", "ß"}
	sizes := []int64{math.MinInt64, -1, 0, 1, 255, 256, math.MaxInt64}
	var list []*images.Image
	for n := range 300 {
		i := g.Image()
		i.Name = names[n%len(names)]
		if n%3 > 0 {
			i.Size = &sizes[n%len(sizes)]
		}
		if n%50 == 0 {
			i.CreatedAt, i.UpdatedAt = time.UnixMicro(-int64(n)).UTC(), time.UnixMicro(-1).UTC()
		}
		list = append(list, i)
	}
	for _, f := range fields {
		q := images.Query{Sort: []images.SortKey{{Key: f.name}}}
		tie := q.Order()[0].Key
		// Both orders are total and each group is a stretch of keys, so that neighbours tell of all.
		sorted := slices.SortedFunc(slices.Values(list), func(a, b *images.Image) int { return cmp.Compare(f.key(a), f.key(b)) })
		for n, a := range sorted {
			ka := f.key(a)
			if f.name != "id" && (!strings.HasPrefix(ka, f.group(ka)) || ka > f.group(ka)+above) {
				t.Fatalf("%s: key %q is not within its group", f.name, ka)
			}
			for _, b := range sorted[n+1 : min(n+3, len(sorted))] {
				kb := f.key(b)
				if got, want := sign(cmp.Compare(ka, kb)), sign(q.Compare(a, b)); got != want {
					t.Fatalf("%s: keys %q and %q compare as %d, the images as %d", f.name, ka, kb, got, want)
				}
				if same := f.group(ka) == f.group(kb); f.name != "id" && same != tied(tie, a, b) {
					t.Fatalf("%s: groups %q and %q, but the values tie: %v", f.name, f.group(ka), f.group(kb), !same)
				}
			}
		}
	}
}

// tied says whether two images have the same value of a sort key.
func tied(key string, a, b *images.Image) bool {
	x, y := *a, *b
	x.ID, y.ID = "", ""
	if key != "created_at" {
		x.CreatedAt, y.CreatedAt = time.Time{}, time.Time{}
	}
	return (&images.Query{Sort: []images.SortKey{{Key: key}}}).Compare(&x, &y) == 0
}

func FuzzEscapeKeepsTheOrder(f *testing.F) {
	f.Add("a\x00", "a\x01")
	f.Add("", "\x02")
	f.Add("a", "a\x01b")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := escape(a)+end, escape(b)+end
		if got, want := cmp.Compare(x, y), cmp.Compare(a, b); got != want {
			t.Errorf("%q and %q compare as %d, as keys %d", a, b, want, got)
		}
		if strings.Count(x, end) != 1 {
			t.Errorf("key %q of %q holds the end of a value", x, a)
		}
	})
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(19, 20))}
	for range 500 {
		i := g.Image()
		it, err := encode(i, 7, "mark")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(it)
		if err != nil {
			t.Fatal(err)
		}
		want := i.Clone()
		want.Version = 7
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func TestARecordThatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	good, err := encode(storetest.Generator{Rand: rand.New(rand.NewPCG(21, 22))}.Plain("alpha", 0), 1, "mark")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]types.AttributeValue{
		"version": &types.AttributeValueMemberN{Value: "1.5"},
		"size":    &types.AttributeValueMemberN{Value: "many"},
		"upload":  textValue("{"),
		"blob":    textValue("[]"),
	} {
		it := item{}
		for k, v := range good {
			it[k] = v
		}
		it[name] = value
		if _, err := decode(it); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), it.text(attrPK)) {
			t.Errorf("a record with a wrong %s: got error %v, want one that names it", name, err)
		}
	}
}

func TestWhatDoesNotFitIsRefusedBeforeItIsSent(t *testing.T) {
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(23, 24))}
	for name, spoil := range map[string]func(*images.Image){
		"properties": func(i *images.Image) { i.Properties = map[string]string{"a": strings.Repeat("x", maxItem)} },
		"name":       func(i *images.Image) { i.Name = strings.Repeat("x", maxSortKey) },
		"owner":      func(i *images.Image) { i.Owner = strings.Repeat("x", maxHashKey) },
	} {
		i := g.Plain("alpha", 0)
		spoil(i)
		_, err := encode(i, 1, "mark")
		var told *images.Error
		if !errors.As(err, &told) || told.Kind != images.TooLarge || !strings.Contains(told.Message, name) {
			t.Errorf("%s: got error %v, want one of kind TooLarge that names it", name, err)
		}
	}
	i := g.Plain("alpha", 0)
	i.Name, i.Owner = strings.Repeat("\uffff", images.MaxName), strings.Repeat("\uffff", images.MaxName)
	if _, err := encode(i, 1, "mark"); err != nil {
		t.Errorf("the longest name and owner that the service lets in: %v", err)
	}
}

func TestTableHasOnlyIndexesOfKeysAndFewerThanTheQuota(t *testing.T) {
	in := TableInput("name")
	if n := len(in.GlobalSecondaryIndexes); n > 20 {
		t.Errorf("%d indexes; the default quota of a table is 20", n)
	}
	used := map[string]bool{attrPK: true, attrSK: true}
	for _, index := range in.GlobalSecondaryIndexes {
		if index.Projection.ProjectionType != types.ProjectionTypeKeysOnly {
			t.Errorf("index %s projects %s", aws.ToString(index.IndexName), index.Projection.ProjectionType)
		}
		for _, k := range index.KeySchema {
			used[aws.ToString(k.AttributeName)] = true
		}
	}
	for _, a := range in.AttributeDefinitions {
		if !used[aws.ToString(a.AttributeName)] {
			t.Errorf("attribute %s is defined and in no key: DynamoDB refuses that", aws.ToString(a.AttributeName))
		}
		delete(used, aws.ToString(a.AttributeName))
	}
	if len(used) > 0 {
		t.Errorf("attributes of keys that are not defined: %v", used)
	}
	// The package comment is what an operator reads.
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"GetItem", "Query", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "BatchWriteItem"} {
		if !strings.Contains(string(doc), "dynamodb:"+action) {
			t.Errorf("doc.go does not name the permission dynamodb:%s", action)
		}
	}
}
