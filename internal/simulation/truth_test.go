package simulation

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bullion/internal/images"
)

// truth is what happened, seen from outside: every write that took effect, every object that came and went. It judges while the run goes on, and at its end.
type truth struct {
	w      *world
	images map[string]*fact
	wrong  []string

	arrived  map[string]int                // steps in which objects came, by key
	ending   map[string]int                // steps in which uploads began to end, or their images to go
	outcomes map[string]images.UploadState // of uploads by id, once they ended
	codes    map[string]string             // of rejections, by upload
	promised map[string]string             // uploads whose complete was acknowledged, with the SHA-512 of what was sent
	gaveUp   map[string]bool               // uploads that a user tried to abort
	gone     map[string]bool               // uploads that went with their image
	contents map[string]bool               // whether the bytes with the SHA-512 may become an image
	usages   map[string]images.Usage       // of projects, from the writes
}

// fact is the truth about one image.
type fact struct {
	is      *images.Image // after the last write; a tombstone stays
	members map[string]bool
	moments []moment
	changes []images.Event
	active  map[string]bool // SHA-512 of the bytes with which it was active
}

// moment is who could see an image from a step on.
type moment struct {
	step    int
	visible map[string]bool // by project; "*" is everybody
}

func (t *truth) violate(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	t.wrong = append(t.wrong, what)
	t.w.note("VIOLATION: %s", what)
}

func (t *truth) fact(id string) *fact {
	f := t.images[id]
	if f == nil {
		f = &fact{members: map[string]bool{}, active: map[string]bool{}}
		t.images[id] = f
	}
	return f
}

// applied is told of a write of a record that took effect.
func (t *truth) applied(w images.Write) {
	f, is := t.fact(w.Is.ID), w.Is.Clone()
	was := f.is
	switch {
	case w.Was == nil && was != nil:
		t.violate("the id %s is used again", is.ID)
	case w.Was != nil && was == nil:
		t.violate("image %s is changed before it exists", is.ID)
	case w.Was != nil && was.Version != w.Was.Version:
		t.violate("a change of image %s is based on version %d; it has %d", is.ID, w.Was.Version, was.Version)
	case was != nil && was.Status == images.StatusDeleted:
		t.violate("image %s is written after its delete", is.ID)
	case was != nil && was.Status == images.StatusPendingDelete && is.Status != images.StatusDeleted && is.Status != images.StatusPendingDelete:
		t.violate("image %s is %s after its delete was acknowledged", is.ID, is.Status)
	}
	t.judgeUpload(was, is)
	t.judgeImport(was, is)
	t.judgeBytes(was, is)
	t.judgeQuota(w)
	if was == nil || was.Status != is.Status || was.Owner != is.Owner || was.Visibility != is.Visibility {
		e := images.Event{ImageID: is.ID, To: is.Status}
		if was != nil {
			e.From = was.Status
		}
		f.changes = append(f.changes, e)
	}
	f.is = is
	f.remember(t.w.step)
}

// remember adds who can see the image now.
func (f *fact) remember(step int) {
	m := moment{step, map[string]bool{}}
	if f.is != nil && f.is.Status != images.StatusDeleted && f.is.Status != images.StatusPendingDelete {
		m.visible[f.is.Owner] = true
		switch f.is.Visibility {
		case images.Public, images.Community:
			m.visible["*"] = true
		case images.Shared:
			maps.Copy(m.visible, f.members)
		}
	}
	f.moments = append(f.moments, m)
}

func (t *truth) shared(id, project string, is bool) {
	f := t.fact(id)
	if is {
		f.members[project] = true
	} else {
		delete(f.members, project)
	}
	f.remember(t.w.step)
}

// visible says whether the project could see the image at any time from a step until now.
func (t *truth) visible(id, project string, from int) bool {
	f := t.images[id]
	if f == nil {
		return false
	}
	for n, m := range f.moments {
		if n+1 < len(f.moments) && f.moments[n+1].step < from {
			continue // over by then
		}
		if m.visible["*"] || m.visible[project] {
			return true
		}
	}
	return false
}

func (t *truth) judgeUpload(was, is *images.Image) {
	if was == nil || was.Upload == nil {
		return
	}
	u := was.Upload
	if is.Status == images.StatusPendingDelete && t.ending[u.ID] == 0 {
		t.ending[u.ID] = t.w.step
	}
	if is.Status == images.StatusDeleted {
		if t.outcomes[u.ID] == "" {
			t.gone[u.ID] = true
		}
		t.isDropped(is.ID, u)
		return
	}
	if is.Upload == nil || is.Upload.ID != u.ID {
		if u.Live() || u.State == images.UploadEnding {
			t.violate("upload %s of image %s is %s and is forgotten", u.ID, is.ID, u.State)
		}
		return
	}
	now := is.Upload
	if now.State == u.State {
		return
	}
	switch now.State {
	case images.UploadEnding:
		t.ending[u.ID] = t.w.step
		if now.Outcome == images.UploadExpired && (u.State == images.UploadReceived && !u.Staged || u.ExpiresAt.After(t.w.service.Now())) {
			t.violate("upload %s of image %s was %s until %v and expires at %v", u.ID, is.ID, u.State, u.ExpiresAt, t.w.service.Now())
		}
		if now.Rejection != nil {
			t.codes[u.ID] = now.Rejection.Code
		}
	case images.UploadAborted, images.UploadExpired, images.UploadRejected:
		t.outcomes[u.ID] = now.State
		t.isDropped(is.ID, u)
	case images.UploadAccepted:
		t.outcomes[u.ID] = now.State
	}
}

// isDropped says whether the bytes of an upload were deleted before its quota was given back. What comes after the upload began to end may come too late for that.
func (t *truth) isDropped(id string, u *images.Upload) {
	if b := t.w.bucket(); b.objects[u.Key(id)] != nil && t.arrived[u.Key(id)] < t.ending[u.ID] || b.uploads[u.S3Upload] != nil && b.uploads[u.S3Upload].key == u.Key(id) {
		t.violate("upload %s of image %s is over, and its bytes were not deleted", u.ID, id)
	}
}

// ownFailures are the sentences of an import that failed for no fault of its source.
var ownFailures = []string{"The import was cancelled.", "The import took more than a day.", "The file could not be fetched: every attempt ended", "The upload was given up.",
	"The project's quota", "The file could not be examined: every attempt ended"}

func (t *truth) judgeImport(was, is *images.Image) {
	if is.Import == nil || is.Import.State != images.TaskFailure || was.Import != nil && was.Import.State == images.TaskFailure || !strings.Contains(is.Import.URI, "/good") {
		return
	}
	if !slices.ContainsFunc(ownFailures, func(own string) bool { return strings.HasPrefix(is.Import.Message, own) }) {
		t.violate("the import of image %s from a good source failed: %s", is.ID, is.Import.Message)
	}
}

func (t *truth) judgeBytes(was, is *images.Image) {
	if was != nil && was.Blob != nil && (is.Blob == nil || *is.Blob != *was.Blob || is.HashValue != was.HashValue || is.Checksum != was.Checksum) {
		t.violate("the bytes of image %s change", is.ID)
	}
	if is.Status == images.StatusDeleted && is.Blob != nil && t.w.bucket().objects[is.Blob.Key] != nil {
		t.violate("image %s is gone and its bytes are not", is.ID)
	}
	if is.Status != images.StatusActive || was.Status == images.StatusDeactivated || was.Status == images.StatusActive {
		return
	}
	o := t.w.bucket().objects[is.Blob.Key]
	if o == nil {
		t.violate("image %s becomes active without bytes", is.ID)
		return
	}
	m, s := md5.Sum(o.body), sha512.Sum512(o.body)
	hash := hex.EncodeToString(s[:])
	if hex.EncodeToString(m[:]) != is.Checksum || hash != is.HashValue || int64(len(o.body)) != *is.Size || o.etag != is.Blob.ETag {
		t.violate("image %s becomes active with the hashes of other bytes", is.ID)
	}
	if !t.contents[hash] {
		t.violate("image %s becomes active with bytes that are not valid", is.ID)
	}
	if u := is.Upload; u.SHA512 != "" && u.SHA512 != hash {
		t.violate("image %s becomes active with bytes that were not declared", is.ID)
	}
	t.fact(is.ID).active[hash] = true
}

func (t *truth) judgeQuota(w images.Write) {
	for owner, d := range images.UsageDeltas(w) {
		t.usages[owner] = t.usages[owner].Add(d)
		if w.Limit != nil && owner == w.Is.Owner {
			if err := w.Limit.Check(t.usages[owner], d); err != nil {
				t.violate("the quota of %s is exceeded: %v", owner, err)
			}
		}
	}
}

// deletedObject is told of every object that goes.
func (t *truth) deletedObject(key string) {
	id, _, _ := images.ParseKey(key)
	if f := t.images[id]; f != nil && f.is.Blob != nil && f.is.Blob.Key == key && f.is.Status != images.StatusPendingDelete && f.is.Status != images.StatusDeleted {
		t.violate("the bytes of image %s, which is %s, are deleted", id, f.is.Status)
	}
}
