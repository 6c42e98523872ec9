package dynamostore

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

// everything allows all and makes nobody an administrator.
type everything struct{}

func (everything) Allows(string, images.Caller, *images.Image) bool { return true }
func (everything) SeesAll(images.Caller) bool                       { return false }

// bucket has every object that is asked for. It serves to drive the service; what is measured is the table alone.
type bucket struct{ images.Blobs }

func (bucket) PresignPut(context.Context, string, int64, time.Duration) (images.SignedRequest, error) {
	return images.SignedRequest{Method: http.MethodPut}, nil
}

func (bucket) Head(_ context.Context, key string) (images.Blob, error) {
	return images.Blob{Key: key, VersionID: strings.Repeat("v", 32), ETag: strings.Repeat("e", 32), Size: 1 << 20}, nil
}
func (bucket) Delete(context.Context, string) error { return nil }

// Prices of a million request units on demand in us-east-1, in dollars.
const (
	readPrice  = 0.125
	writePrice = 0.625
)

// priced are the units in the table of lists and steps in docs/cost.md. It checks the price of each row as well. What requests use up is measured on the built functions,
// in infra/local/harness.
func priced(t *testing.T) map[string]dynamotest.Capacity {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cost.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]dynamotest.Capacity{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z][^|]+) \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) \|$`).FindAllStringSubmatch(string(text), -1) {
		figure := func(n int) float64 {
			v, err := strconv.ParseFloat(row[n], 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		c := dynamotest.Capacity{Read: figure(2), Write: figure(3)}
		if want := (c.Read*readPrice + c.Write*writePrice) / 1000; math.Abs(want-figure(4)) > 0.0001 {
			t.Errorf("docs/cost.md: a thousand of %s cost %.4f, not %s", row[1], want, row[4])
		}
		found[row[1]] = c
	}
	if len(found) < 8 {
		t.Errorf("docs/cost.md has a table with %d operations", len(found))
	}
	return found
}

// TestCapacity measures what lists consume by their length, and the steps of an examination, and that lists and lookups do not cost more when there is more to look through.
func TestCapacity(t *testing.T) {
	endpoint := dynamotest.Dynoxide(t)
	meter := &dynamotest.Meter{}
	client := dynamotest.Client(endpoint, meter.Option)
	store := New(client, dynamotest.Table(t, client, TableInput), Options{})
	g := storetest.Generator{Rand: rand.New(rand.NewPCG(13, 14))}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	service := &images.Service{Store: store, Blobs: bucket{}, Policy: everything{}, Log: slog.New(slog.DiscardHandler), NewID: g.ID,
		Now:    func() time.Time { now = now.Add(time.Millisecond); return now },
		Limits: images.ServiceLimits{Quota: &images.Usage{Images: 1e6, Bytes: 1 << 60, InFlight: 1 << 60, Uploads: 1e6}}.WithDefaults(),
	}
	c := images.Caller{UserID: g.ID(), ProjectID: strings.ReplaceAll(g.ID(), "-", "")}
	ctx := t.Context()

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// An image as clients make them: a few properties, a tag.
	create := func(visibility images.Visibility) *images.Image {
		ops := []images.PatchOp{{Op: "add", Name: "name", Value: "debian-13-generic-amd64-20260101"}, {Op: "add", Name: "visibility", Value: string(visibility)},
			{Op: "add", Name: "disk_format", Value: "qcow2"}, {Op: "add", Name: "container_format", Value: "bare"}, {Op: "add", Name: "tags", Value: []any{"lts"}}}
		for name, value := range map[string]string{"os_distro": "debian", "os_version": "13", "hw_disk_bus": "virtio", "description": strings.Repeat("text ", 20)} {
			ops = append(ops, images.PatchOp{Op: "add", Name: name, Value: value})
		}
		i, err := service.Create(ctx, c, "", ops)
		must(err)
		return i
	}
	finish := func(i *images.Image) {
		v, err := service.OpenUpload(ctx, c, i.ID, images.UploadRequest{Size: 1 << 20})
		must(err)
		_, err = service.CompleteUpload(ctx, c, i.ID, v.Upload.ID)
		must(err)
		_, err = service.Claim(ctx, i.ID, v.Upload.ID, "holder", time.Minute)
		must(err)
		_, err = service.Accept(ctx, i.ID, v.Upload.ID, "holder", images.Facts{Digests: images.Digests{MD5: strings.Repeat("a", 32), SHA512: strings.Repeat("b", 128)}, VirtualSize: 1 << 30})
		must(err)
	}
	lists := map[string]images.Query{
		"list 25 of the project":          {Limit: 25},
		"list 25 of the project, by name": {Limit: 25, Sort: []images.SortKey{{Key: "name"}}},
		"list 25 of the project, by size": {Limit: 25, Sort: []images.SortKey{{Key: "size", Desc: true}}},
		"list 25 public":                  {Limit: 25, Visibility: images.Public},
		"list 200 of the project":         {Limit: 200},
		"find by name":                    {Limit: 25, Names: []string{"one of a kind"}},
	}
	order := []string{"list 25 of the project", "list 25 of the project, by name", "list 25 of the project, by size", "list 25 public", "list 200 of the project", "find by name"}
	measure := func() map[string]dynamotest.Capacity {
		t.Helper()
		costs := map[string]dynamotest.Capacity{}
		for name, q := range lists {
			meter.Take()
			_, err := service.List(ctx, c, q, "")
			must(err)
			costs[name] = meter.Take()
		}
		return costs
	}

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation\trequests\tread units\twrite units\t$ per million\t")
	published := priced(t)
	line := func(name string, c dynamotest.Capacity) {
		t.Helper()
		// What a list reads ahead depends on which of its parallel reads answers first.
		if p, has := published[name]; !has {
			t.Errorf("docs/cost.md has no row %q", name)
		} else if math.Abs(p.Read-c.Read) > 0.3*c.Read || math.Abs(p.Write-c.Write) > 0.05*c.Write {
			t.Errorf("%s consumed %.1f read and %.0f write units; docs/cost.md says %.1f and %.0f", name, c.Read, c.Write, p.Read, p.Write)
		}
		delete(published, name)
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.0f\t%.2f\t\n", name, c.Requests, c.Read, c.Write, c.Read*readPrice+c.Write*writePrice)
		if c.Read+c.Write == 0 {
			t.Errorf("%s consumed nothing", name)
		}
	}
	step := func(name string, do func()) {
		t.Helper()
		meter.Take()
		do()
		line(name, meter.Take())
	}

	i := create(images.Shared)
	_, err := service.Patch(ctx, c, i.ID, 0, []images.PatchOp{{Op: "add", Name: "name", Value: "one of a kind"}})
	must(err)
	v, err := service.OpenUpload(ctx, c, i.ID, images.UploadRequest{Size: 1 << 20})
	must(err)
	upload := v.Upload.ID
	_, err = service.CompleteUpload(ctx, c, i.ID, upload)
	must(err)
	step("claim a validation", func() { _, err := service.Claim(ctx, i.ID, upload, "holder", time.Minute); must(err) })
	step("save its progress", func() {
		must(service.Progress(ctx, i.ID, upload, "holder", time.Minute, images.PhaseHash, 1<<19, make([]byte, 300)))
	})
	step("accept", func() {
		_, err := service.Accept(ctx, i.ID, upload, "holder", images.Facts{Digests: images.Digests{MD5: strings.Repeat("a", 32), SHA512: strings.Repeat("b", 128)}, VirtualSize: 1 << 30})
		must(err)
	})
	step("look for due records", func() { _, err := store.Due(ctx, now, 100); must(err) })
	for range 230 {
		create(images.Shared)
	}
	for range 30 {
		finish(create(images.Public))
	}
	few := measure()
	for _, name := range order {
		line(name, few[name])
	}
	must(service.Delete(ctx, c, i.ID))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for name := range published {
		t.Errorf("docs/cost.md has units of %q, which nothing measures", name)
	}
	t.Logf("capacity that lists and steps consume:\n%s", table.String())

	for range 700 {
		create(images.Shared)
	}
	more := measure()
	for name, was := range few {
		if name == "find by name" {
			continue // the image is gone
		}
		if is := more[name]; is.Read > 1.2*was.Read {
			t.Errorf("%s consumes %.1f read units among 1000 images and %.1f among 300", name, is.Read, was.Read)
		}
	}
}
