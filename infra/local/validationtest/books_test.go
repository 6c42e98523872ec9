package validationtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/scrub"
)

// state is all that records and bucket hold of the images, as text.
func (w *world) state(ids []string) string {
	w.Helper()
	var b strings.Builder
	for _, id := range ids {
		i, err := w.service.Store.Image(w.Context(), id)
		text, marshalErr := json.Marshal(i)
		fmt.Fprintf(&b, "%s %v %v\n", text, err, marshalErr)
	}
	if err := blobs.List(w.Context(), "images/", "", func(o images.Stored) bool { fmt.Fprintf(&b, "%+v\n", o); return true }); err != nil {
		w.Fatal(err)
	}
	if err := blobs.ListMultipart(w.Context(), "images/", "", func(m images.OpenMultipart) bool { fmt.Fprintf(&b, "%+v\n", m); return true }); err != nil {
		w.Fatal(err)
	}
	return b.String()
}

// books looks at all pages, and returns the sum of them with how many there were.
func (w *world) books(s *scrub.Scrubber, dry bool) (sum scrub.Page, pages int) {
	w.Helper()
	for after := ""; pages == 0 || after != ""; pages++ {
		page, err := s.Page(w.Context(), after, dry)
		if err != nil {
			w.Fatalf("from %q on: %v", after, err)
		}
		sum.Images, sum.Objects, sum.Stored, sum.InFlight, sum.Young = sum.Images+page.Images, sum.Objects+page.Objects, sum.Stored+page.Stored, sum.InFlight+page.InFlight, sum.Young+page.Young
		sum.Findings = append(sum.Findings, page.Findings...)
		after = page.Next
	}
	return sum, pages
}

// kinds are the findings of a page, each with the object that it is about.
func kinds(p scrub.Page) []string {
	all := []string{}
	for _, f := range p.Findings {
		all = append(all, fmt.Sprintf("%s %s %s %d %v", f.Kind, f.ImageID, f.Key, f.Bytes, f.Fixed))
	}
	slices.Sort(all)
	return all
}

func TestTheBooksTellWhatDoesNotBalanceAndThenMendIt(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	record := func() string {
		t.Helper()
		i, err := w.service.Create(ctx, alice, "", []images.PatchOp{{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
		must(err)
		ids = append(ids, i.ID)
		return i.ID
	}
	opened := func(size int64) (id string, u *images.Upload) {
		t.Helper()
		id = record()
		view, err := w.service.OpenUpload(ctx, alice, id, images.UploadRequest{Size: size})
		must(err)
		return id, view.Upload
	}
	active := func() *images.Image {
		t.Helper()
		id := record()
		must(w.service.WriteFile(ctx, alice, id, strings.NewReader(string(noise(9000))), 9000))
		return w.image(id)
	}
	// What was left by an earlier test of this process.
	must(blobs.List(ctx, "images/", "", func(o images.Stored) bool { return blobs.Delete(ctx, o.Key) == nil }))
	must(blobs.ListMultipart(ctx, "images/", "", func(m images.OpenMultipart) bool { return blobs.AbortMultipart(ctx, m.Key, m.S3Upload) == nil }))

	healthy, gone, hidden := active(), active(), active()
	_, err := w.service.Patch(ctx, alice, hidden.ID, 0, []images.PatchOp{{Op: "replace", Name: "os_hidden", Value: true}})
	must(err)
	for _, i := range []*images.Image{gone, hidden} {
		must(blobs.Delete(ctx, i.Blob.Key))
	}
	expired, upload := opened(100 << 20)
	unheardID, unheard := opened(5000)
	unheardKey := unheard.Key(unheardID)
	_, err = blobs.Put(ctx, unheardKey, strings.NewReader(string(noise(5000))), 5000)
	must(err)
	stoppedID, stopped := opened(6000)
	stoppedKey := stopped.Key(stoppedID)
	blob, err := blobs.Put(ctx, stoppedKey, strings.NewReader(string(noise(6000))), 6000)
	must(err)
	_, err = w.service.Receive(ctx, blob)
	must(err)
	deleted := active()
	was := w.image(deleted.ID)
	is := was.Clone()
	is.Status = images.StatusPendingDelete
	must(w.service.Store.Apply(ctx, images.Write{Was: was, Is: is}))
	orphan, parts := images.BlobKey(images.NewID(), images.NewID()), images.BlobKey(images.NewID(), images.NewID())
	_, err = blobs.Put(ctx, orphan, strings.NewReader("nobody's"), 8)
	must(err)
	_, err = blobs.CreateMultipart(ctx, parts, 16<<20)
	must(err)
	_, err = blobs.Put(ctx, "images/by-hand", strings.NewReader("by hand"), 7)
	must(err)

	at := time.Now()
	scrubber := &scrub.Scrubber{Images: w.service, Validator: w.v, Log: w.service.Log, Now: func() time.Time { return at }, Batch: 2}
	// Now everything is young: only what is wrong whatever its age is told.
	young, pages := w.books(scrubber, true)
	always := slices.Sorted(slices.Values([]string{
		"bytes_missing " + gone.ID + " " + gone.Blob.Key + " 9000 false",
		"bytes_missing " + hidden.ID + " " + hidden.Blob.Key + " 9000 false",
		"object_foreign  images/by-hand 7 false",
	}))
	if diff := cmp.Diff(always, kinds(young)); diff != "" {
		t.Errorf("of what is young (-want +got):\n%s", diff)
	}
	if young.Images != 6 || young.Objects != 2 || young.Stored != 18000 || young.InFlight != 100<<20+11000 || young.Young != 1 || pages < 8 {
		t.Errorf("got %+v in %d pages", young, pages)
	}

	at = at.Add(8 * 24 * time.Hour)
	w.service.Now = func() time.Time { return at }
	want := func(fixed bool) []string {
		all := append(slices.Clone(always),
			fmt.Sprintf("delete_unfinished %s %s 9000 %v", deleted.ID, deleted.Blob.Key, fixed),
			fmt.Sprintf("examination_stopped %s %s 6000 %v", stoppedID, stoppedKey, fixed),
			fmt.Sprintf("object_unowned  %s 8 %v", orphan, fixed),
			fmt.Sprintf("parts_unowned  %s 0 %v", parts, fixed),
			fmt.Sprintf("upload_expired %s %s 104857600 %v", expired, upload.Key(expired), fixed),
			fmt.Sprintf("upload_expired %s %s 5000 %v", unheardID, unheardKey, fixed))
		if !fixed { // what expires has no object any more
			all = append(all, fmt.Sprintf("object_unheard %s %s 5000 false", unheardID, unheardKey))
		}
		slices.Sort(all)
		return all
	}
	before := w.state(ids)
	for range 2 {
		found, _ := w.books(scrubber, true)
		if diff := cmp.Diff(want(false), kinds(found)); diff != "" {
			t.Errorf("a dry run (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(before, w.state(ids)); diff != "" {
		t.Errorf("a dry run changed something:\n%s", diff)
	}
	found, _ := w.books(scrubber, false)
	if diff := cmp.Diff(want(true), kinds(found)); diff != "" {
		t.Errorf("a run (-want +got):\n%s", diff)
	}
	w.isActive(stoppedID, noise(6000))

	// What cannot be mended is left to people.
	must(blobs.Delete(ctx, "images/by-hand"))
	for _, i := range []*images.Image{gone, hidden} {
		must(w.service.Delete(ctx, alice, i.ID))
	}
	last, _ := w.books(scrubber, true)
	if len(last.Findings) > 0 || last.Images != 4 || last.Objects != 2 || last.Stored != 15000 || last.InFlight != 0 {
		t.Errorf("in the end got %+v", last)
	}
	w.isActive(healthy.ID, noise(9000))
}
