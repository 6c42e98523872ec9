package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
	"bullion/internal/validation"
)

// Kind is what is wrong with something.
type Kind string

// The kinds of findings.
const (
	DeleteUnfinished   Kind = "delete_unfinished"   // an image was deleted, and its bytes or its record are still there
	UploadUnfinished   Kind = "upload_unfinished"   // an upload ended, and its bytes still count
	UploadExpired      Kind = "upload_expired"      // an upload is open past its time
	ExaminationStopped Kind = "examination_stopped" // bytes arrived, and nobody examines them
	ImportWaiting      Kind = "import_waiting"      // an import to which nobody attends
	ObjectUnheard      Kind = "object_unheard"      // the bytes of an upload arrived, and its record does not know
	ObjectUnowned      Kind = "object_unowned"      // an object without a record
	ObjectForeign      Kind = "object_foreign"      // an object whose key the service did not make; scrub leaves it alone
	ObjectDiffers      Kind = "object_differs"      // an object of another size than its image
	BytesMissing       Kind = "bytes_missing"       // an image without its object; scrub leaves it alone, since the object may be brought back
	PartsUnowned       Kind = "parts_unowned"       // a multipart upload without a record
)

// Finding is one thing that does not balance.
type Finding struct {
	Kind    Kind   `json:"kind"`
	ImageID string `json:"image_id,omitempty"`
	Key     string `json:"key,omitempty"` // of an object
	Bytes   int64  `json:"bytes"`         // concerned, as far as they are known
	Says    string `json:"says"`          // a sentence
	Fixed   bool   `json:"fixed"`         // by this look
}

// Page is what one bounded look at the books found. A run is a page after the other, each from the Next of the one before.
type Page struct {
	Images   int       `json:"images"`    // records that were looked at
	Objects  int       `json:"objects"`   // objects that belong to an image
	Stored   int64     `json:"stored"`    // bytes of these objects
	InFlight int64     `json:"in_flight"` // bytes of uploads that are under way
	Young    int       `json:"young"`     // objects and multipart uploads without a record that may still get one
	Findings []Finding `json:"findings"`
	Next     string    `json:"next,omitempty"` // empty at the end

	Report Report `json:"-"`
}

// The parts of a run, in their order: a marker is one of them and where it goes on.
const (
	ofDue     = "due"
	ofObjects = "objects"
	ofParts   = "parts"
	ofRecords = "records"
	ofHidden  = "hidden" // records too
)

// Times of a page, which must end within the 29 seconds that API Gateway waits.
const (
	enough     = 10 * time.Second // nothing is begun later
	pageWithin = 25 * time.Second
)

// FromBucket is the marker of a run that leaves out what is due.
const FromBucket = ofObjects + "/"

// BucketSeen says whether a run has been through the bucket, when it would go on there.
func BucketSeen(next string) bool { return next == "" || strings.HasPrefix(next, ofRecords) }

// Page looks at what is due, then at the objects and the multipart uploads of the bucket, then at the records, from where the page before stopped; after is its Next, or empty.
// Unless it is dry it mends what it finds.
func (s *Scrubber) Page(ctx context.Context, after string, dry bool) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	l := &look{Scrubber: s, dry: dry, until: s.Now().Add(enough), page: Page{Findings: []Finding{}}}
	part, at, _ := strings.Cut(after, "/")
	var err error
	next := func(here string, step func(ctx context.Context, after string) (string, error), then string) {
		if at, err = step(ctx, at); at != "" {
			l.page.Next = here + "/" + at
		} else if then != "" {
			l.page.Next = then + "/"
		}
	}
	switch part {
	case "", ofDue:
		next(ofDue, l.dueFrom, ofObjects)
	case ofObjects:
		next(ofObjects, l.objects, ofParts)
	case ofParts:
		next(ofParts, l.parts, ofRecords)
	case ofRecords:
		next(ofRecords, l.records, ofHidden)
	case ofHidden:
		next(ofHidden, l.hidden, "")
	default:
		err = errMarker(after)
	}
	return &l.page, err
}

func errMarker(after string) error {
	return images.Errorf(images.Invalid, "%.100q is not where a scrub stopped; begin without it.", after)
}

// look is one page in the making.
type look struct {
	*Scrubber
	page  Page
	dry   bool
	until time.Time // when to stop; zero for never
}

// limit is how much one page looks at.
func (l *look) limit() int { return cmp.Or(l.Batch, images.MaxPage) }

func (l *look) over() bool { return !l.until.IsZero() && l.Now().After(l.until) }

func (l *look) find(f Finding) { l.page.Findings = append(l.page.Findings, f) }

// dueFrom goes through what is due, the longest due first. A dry look leaves it due, so its marker is how many it saw; the others find that what they did is gone.
func (l *look) dueFrom(ctx context.Context, at string) (next string, err error) {
	seen := 0
	if at != "" {
		if seen, err = strconv.Atoi(at); err != nil || seen < 0 || seen > 1_000_000 {
			return "", errMarker(ofDue + "/" + at)
		}
	}
	n, err := l.due(ctx, seen, l.limit())
	switch {
	case err != nil, n == 0, n < l.limit() && !l.over():
		return "", err
	case l.dry:
		return strconv.Itoa(seen + n), nil
	case l.page.Report.Failed+l.page.Report.Fetching >= n: // and would be found again
		return "", nil
	}
	return "0", nil
}

// due looks at up to limit records that are due, after those that were seen, and returns how many there were.
func (l *look) due(ctx context.Context, seen, limit int) (n int, err error) {
	due, err := l.Images.Store.Due(ctx, l.Now(), seen+limit)
	if err != nil {
		return 0, err
	}
	for _, i := range due[min(seen, len(due)):] {
		if l.over() {
			break
		}
		n++
		f, isWrong := finding(i)
		if !l.dry {
			err := l.one(ctx, i, &l.page.Report)
			if err != nil && ctx.Err() != nil {
				return n, ctx.Err()
			}
			if f.Fixed = err == nil; err != nil {
				l.page.Report.Failed++
				l.again(ctx, err, slog.String("image", i.ID), slog.String("status", string(i.Status)))
			}
		}
		if isWrong {
			l.find(f)
		}
	}
	return n, nil
}

// finding says why a record is due.
func finding(i *images.Image) (f Finding, ok bool) {
	f = Finding{ImageID: i.ID}
	u := i.Upload
	if u != nil {
		f.Key, f.Bytes = u.Key(i.ID), max(u.Size, 0)
	}
	switch {
	case i.Status == images.StatusPendingDelete:
		f.Kind, f.Says = DeleteUnfinished, "The delete of the image was not finished."
		if i.Blob != nil {
			f.Key, f.Bytes = i.Blob.Key, i.Blob.Size
		}
	case i.Fetching():
		f.Kind, f.Says = ImportWaiting, "The import of the image waits for an importer."
	case u == nil:
		return f, false
	case u.State == images.UploadEnding:
		f.Kind, f.Says = UploadUnfinished, "The upload has ended, and its bytes were not deleted yet."
	case u.State == images.UploadOpen, u.State == images.UploadReceived && u.Staged:
		f.Kind, f.Says = UploadExpired, "The upload is open since "+u.CreatedAt.Format(time.RFC3339)+", and its time is over."
	case u.State == images.UploadReceived && u.Validation != nil:
		f.Kind, f.Says = ExaminationStopped, "The bytes arrived, and nobody examines them."
	default:
		return f, false
	}
	return f, true
}

// objects compares objects with their records, from behind a key on.
func (l *look) objects(ctx context.Context, after string) (next string, err error) {
	var failed error
	n, last := 0, after
	err = l.Images.Blobs.List(ctx, "images/", after, func(o images.Stored) bool {
		if n == l.limit() || l.over() {
			next = last
			return false
		}
		n, last = n+1, o.Key
		failed = l.object(ctx, o)
		return failed == nil && ctx.Err() == nil
	})
	return next, errors.Join(err, failed, ctx.Err())
}

func (l *look) object(ctx context.Context, o images.Stored) error {
	i, isOurs, err := l.record(ctx, o.Key)
	if err != nil {
		return err
	}
	f := Finding{Key: o.Key, Bytes: o.Size}
	if i != nil {
		f.ImageID = i.ID
	}
	switch waits := i != nil && i.Upload != nil && i.Upload.Key(i.ID) == o.Key; {
	case !isOurs:
		f.Kind, f.Says = ObjectForeign, "The service made no object with this key."
		l.find(f)
		return nil
	case i != nil && i.Blob != nil && i.Blob.Key == o.Key:
		l.page.Objects++
		l.page.Stored += o.Size
		if o.Size != i.Blob.Size {
			f.Kind, f.Says = ObjectDiffers, fmt.Sprintf("The image has %d bytes, and its object %d.", i.Blob.Size, o.Size)
			l.find(f)
		}
		return nil
	case waits && i.Upload.State == images.UploadEnding:
		return nil // it is deleted when it is due
	case waits && i.Upload.Live():
		if l.dry && (l.young(o.Modified) || i.Upload.State != images.UploadOpen || i.Upload.Mode == images.ModeStream) {
			return nil // somebody is at it
		}
		f.Kind, f.Says = ObjectUnheard, "The bytes of the upload are there, and nobody heard of them."
	case l.young(o.Modified):
		l.page.Young++
		return nil
	default:
		f.Kind, f.Says = ObjectUnowned, "The object is older than the grace time, and no image has or awaits it."
	}
	if !l.dry {
		if err := l.Validator.Arrived(ctx, images.Blob{Key: o.Key, Size: o.Size}); err != nil && !validation.InOtherHands(err) {
			l.page.Report.Failed++
			l.again(ctx, err, slog.String("key", o.Key))
		} else {
			l.page.Report.Adopted++
			f.Fixed = true
		}
	}
	l.find(f)
	return nil
}

// parts compares multipart uploads with the records, from behind a key on. A page ends between two keys.
func (l *look) parts(ctx context.Context, after string) (next string, err error) {
	var failed error
	n, last := 0, after
	err = l.Images.Blobs.ListMultipart(ctx, "images/", after, func(m images.OpenMultipart) bool {
		if m.Key != last && (n >= l.limit() || l.over()) {
			next = last
			return false
		}
		n, last = n+1, m.Key
		failed = l.multipart(ctx, m)
		return failed == nil && ctx.Err() == nil
	})
	return next, errors.Join(err, failed, ctx.Err())
}

func (l *look) multipart(ctx context.Context, m images.OpenMultipart) error {
	if l.young(m.Started) {
		return nil
	}
	i, isOurs, err := l.record(ctx, m.Key)
	if err != nil {
		return err
	}
	f := Finding{Kind: PartsUnowned, Key: m.Key, Says: "A multipart upload is open since " + m.Started.Format(time.RFC3339) + ", and no image knows of it."}
	if i != nil {
		f.ImageID = i.ID
		if u := i.Upload; u != nil && u.Key(i.ID) == m.Key {
			named := (u.Live() || u.State == images.UploadEnding) && u.S3Upload == m.S3Upload
			streamed := u.Live() && u.Mode == images.ModeStream && !l.ofTheDead(m.Started) // who sends it knows of it
			if named || streamed {
				return nil
			}
		}
	}
	if !isOurs {
		return nil // the bucket's own rule ends it
	}
	if !l.dry {
		if err := l.Images.Blobs.AbortMultipart(ctx, m.Key, m.S3Upload); err != nil {
			l.page.Report.Failed++
			l.again(ctx, err, slog.String("key", m.Key))
		} else {
			l.page.Report.Parts++
			f.Fixed = true
		}
	}
	l.find(f)
	return nil
}

func (l *look) records(ctx context.Context, after string) (next string, err error) {
	return l.compare(ctx, after, false)
}

func (l *look) hidden(ctx context.Context, after string) (next string, err error) {
	return l.compare(ctx, after, true)
}

// compare takes records in the order of their ids, from behind one on, beside the list of the bucket, and looks for those whose bytes are gone, as after a restore of the
// bucket to an earlier time than the table.
func (l *look) compare(ctx context.Context, after string, hidden bool) (next string, err error) {
	q := images.Query{SeesAll: true, Visibility: images.VisibilityAll, Hidden: hidden, Limit: min(l.limit(), images.MaxPage), Sort: []images.SortKey{{Key: "id"}}}
	behind := ""
	if after != "" {
		if q.After, err = l.Images.Store.Position(ctx, after); err != nil {
			if images.KindOf(err) == images.NotFound {
				err = errMarker(after)
			}
			return "", err
		}
		behind = "images/" + after + "0" // the next character after the slash
	}
	page, err := l.Images.Store.List(ctx, &q)
	if err != nil {
		return "", fmt.Errorf("list the records: %w", err)
	}
	var failed error
	stored, stop := iter.Pull(func(yield func(string) bool) {
		failed = l.Images.Blobs.List(ctx, "images/", behind, func(o images.Stored) bool { return yield(o.Key) })
	})
	defer stop()
	key, more := "", true
	for _, i := range page.Images {
		l.page.Images++
		l.page.InFlight += images.UsageOf(i).InFlight
		if i.Blob == nil {
			continue
		}
		for more && key < i.Blob.Key {
			key, more = stored()
		}
		if failed != nil {
			return "", fmt.Errorf("list the bucket: %w", failed)
		}
		if more && key == i.Blob.Key {
			continue
		}
		if err := l.missing(ctx, i); err != nil {
			return "", err
		}
	}
	if page.Next != nil {
		next = page.Next.ID
	}
	return next, nil
}

// missing asks again for bytes that the list of the bucket did not show: they may have come since it passed their place, and the image may be gone.
func (l *look) missing(ctx context.Context, i *images.Image) error {
	if _, err := l.Images.Blobs.Head(ctx, i.Blob.Key); err == nil || images.KindOf(err) != images.NotFound {
		return err
	}
	now, err := l.Images.Store.Image(ctx, i.ID)
	if err != nil && images.KindOf(err) == images.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	if now.Status == images.StatusPendingDelete || now.Blob == nil || now.Blob.Key != i.Blob.Key {
		return nil
	}
	l.find(Finding{Kind: BytesMissing, ImageID: i.ID, Key: i.Blob.Key, Bytes: i.Blob.Size, Says: "The bytes of the image are not in the bucket."})
	l.Log.LogAttrs(ctx, slog.LevelError, "the bytes of an image are gone", slog.String("image", i.ID), slog.String("name", i.Name), slog.String("key", i.Blob.Key))
	return nil
}
