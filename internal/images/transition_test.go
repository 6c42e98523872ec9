package images

import (
	"strings"
	"testing"
	"time"
)

// life is the transition table as a picture: a row for each status and a column for each that may follow.
//
//	.  never
//	+  always
//	o  with an upload that is open
//	r  with an upload that is received
//	w  with an upload that is received, or an import that is under way
//	v  with bytes that were validated
//	e  with no data
//	u  unless protected
const life = `
               queued saving uploading importing active deactivated pending_delete deleted
new            +      .      .         .         .      .           .              .
queued         .      o      o         w         .      .           u              .
saving         e      .      .         r         v      .           u              .
uploading      e      .      .         r         .      .           u              .
importing      e      .      .         .         v      .           u              .
active         .      .      .         .         .      v           u              .
deactivated    .      .      .         .         v      .           u              .
pending_delete .      .      .         .         .      .           .              +
deleted        .      .      .         .         .      .           .              .
`

// Records that meet one guard or another.
var (
	withUpload = func(state UploadState) func(*Image) {
		return func(i *Image) { i.Upload = &Upload{ID: "u", State: state} }
	}
	withImport = func(state TaskState) func(*Image) { return func(i *Image) { i.Import = &Import{State: state} } }
	withData   = func(i *Image) {
		size := int64(10)
		i.Blob, i.Size = &Blob{Key: "k", ETag: "e", Size: size}, &size
		i.Checksum, i.HashValue = strings.Repeat("a", 32), strings.Repeat("b", 128)
		i.DiskFormat, i.ContainerFormat = "raw", "bare"
	}
	bare      = func(*Image) {}
	protected = func(i *Image) { i.Protected = true }
)

// variants are records that differ in what guards look at, each with the guards that it meets.
var variants = []struct {
	name  string
	make  []func(*Image)
	meets string
}{
	{"bare", []func(*Image){bare}, "+eu"},
	{"protected", []func(*Image){protected}, "+e"},
	{"with an open upload", []func(*Image){withUpload(UploadOpen)}, "+oeu"},
	{"with a received upload", []func(*Image){withUpload(UploadReceived)}, "+rweu"},
	{"with an ending upload", []func(*Image){withUpload(UploadEnding)}, "+eu"},
	{"with an accepted upload", []func(*Image){withUpload(UploadAccepted)}, "+eu"},
	{"with a rejected upload", []func(*Image){withUpload(UploadRejected)}, "+eu"},
	{"with an aborted upload", []func(*Image){withUpload(UploadAborted)}, "+eu"},
	{"with an expired upload", []func(*Image){withUpload(UploadExpired)}, "+eu"},
	{"with an import that waits", []func(*Image){withImport(TaskPending)}, "+weu"},
	{"with an import that runs", []func(*Image){withImport(TaskProcessing)}, "+weu"},
	{"with an import that succeeded", []func(*Image){withImport(TaskSuccess)}, "+eu"},
	{"with an import that failed", []func(*Image){withImport(TaskFailure)}, "+eu"},
	{"with data", []func(*Image){withData, withUpload(UploadAccepted)}, "+vu"},
	{"with data, protected", []func(*Image){withData, protected}, "+v"},
	{"with data but no size", []func(*Image){withData, func(i *Image) { i.Size = nil }}, "+u"},
	{"with data of another size", []func(*Image){withData, func(i *Image) { *i.Size++ }}, "+u"},
	{"with data but no object", []func(*Image){withData, func(i *Image) { i.Blob = nil }}, "+u"},
	{"with data but no MD5", []func(*Image){withData, func(i *Image) { i.Checksum = "" }}, "+u"},
	{"with data but no SHA-512", []func(*Image){withData, func(i *Image) { i.HashValue = "b" }}, "+u"},
	{"with data but no disk format", []func(*Image){withData, func(i *Image) { i.DiskFormat = "" }}, "+u"},
	{"with data but no container format", []func(*Image){withData, func(i *Image) { i.ContainerFormat = "" }}, "+u"},
}

func TestEveryStepInTheLifeOfAnImage(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(life), "\n")
	columns := strings.Fields(lines[0])
	then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := then.Add(time.Hour)
	steps := 0
	for _, line := range lines[1:] {
		row := strings.Fields(line)
		from := Status(row[0])
		if from == "new" {
			from = ""
		}
		for n, guard := range row[1:] {
			to := Status(columns[n])
			if guard != "." {
				steps++
			}
			for _, v := range variants {
				i := &Image{ID: "i", Status: from, UpdatedAt: then}
				for _, change := range v.make {
					change(i)
				}
				err := i.move(to, now)
				want := guard != "." && strings.Contains(v.meets, guard)
				switch {
				case want && (err != nil || i.Status != to || !i.UpdatedAt.Equal(now)):
					t.Errorf("%q to %q, %s: got %q at %v and error %v, want it to happen", from, to, v.name, i.Status, i.UpdatedAt, err)
				case !want && (err == nil || i.Status != from || !i.UpdatedAt.Equal(then)):
					t.Errorf("%q to %q, %s: got %q at %v and error %v, want it refused and nothing changed", from, to, v.name, i.Status, i.UpdatedAt, err)
				}
				if guard == "." && KindOf(err) != Conflict {
					t.Errorf("%q to %q, %s: got error %v, want one of kind Conflict", from, to, v.name, err)
				}
			}
		}
	}
	if steps != len(transitions) {
		t.Errorf("the picture has %d steps, the table %d", steps, len(transitions))
	}
}

func TestARefusedStepSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		image Image
		to    Status
		kind  Kind
		want  string
	}{
		{"a step that is not in the table", Image{ID: "i", Status: StatusActive}, StatusQueued, Conflict, "Image i is active and cannot become queued."},
		{"an image that is protected", Image{ID: "i", Status: StatusActive, Protected: true}, StatusPendingDelete, Forbidden, "protected"},
		{"an image without its upload", Image{ID: "i", Status: StatusQueued}, StatusSaving, Conflict, "open"},
		{"an image that nobody validated", Image{ID: "i", Status: StatusImporting}, StatusActive, Internal, "without validated bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.image.move(c.to, time.Now())
			if err == nil || KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want kind %d with %q", err, c.kind, c.want)
			}
		})
	}
}

func TestEndingAnUploadLeavesARecordThatIsQueuedAndHoldsItsBytes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for from, state := range map[Status]UploadState{
		StatusQueued: UploadOpen, StatusSaving: UploadOpen, StatusUploading: UploadReceived, StatusImporting: UploadReceived,
	} {
		for _, outcome := range []UploadState{UploadAborted, UploadExpired, UploadRejected} {
			i := &Image{ID: "i", Status: from, Upload: &Upload{ID: "u", State: state, Size: 10, Validation: &Validation{}}, Import: &Import{State: TaskProcessing, Lease: Lease{Holder: "h"}}}
			if err := i.endUpload(outcome, now); err != nil {
				t.Errorf("%s, %s: %v", from, outcome, err)
				continue
			}
			u := i.Upload
			if i.Status != StatusQueued || u.State != UploadEnding || u.Outcome != outcome || u.Shown() != outcome || u.Validation != nil {
				t.Errorf("%s, %s: got %s with upload %+v", from, outcome, i.Status, u)
			}
			if got := UsageOf(i); got.InFlight != 10 || got.Uploads != 1 {
				t.Errorf("%s, %s: got usage %+v; bytes count until they are deleted", from, outcome, got)
			}
			if want := now.Add(cleanupGrace); !i.DueAt().Equal(want) {
				t.Errorf("%s, %s: due at %v, want %v", from, outcome, i.DueAt(), want)
			}
			if i.Import.State != TaskFailure || i.Import.Message == "" || i.Import.Holder != "" {
				t.Errorf("%s, %s: got import %+v, want it failed with a reason", from, outcome, i.Import)
			}
		}
	}
}
