package images

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// UploadState is where an upload is. Part uploaded is not upload completed is not image active.
type UploadState string

// The upload states.
const (
	UploadOpen     UploadState = "open"     // URLs are signed, bytes may arrive
	UploadReceived UploadState = "received" // the object is there and is being validated
	UploadEnding   UploadState = "ending"   // not going to be accepted; its bytes are being deleted, then it is as Outcome says
	UploadAccepted UploadState = "accepted" // valid: the image became active with these bytes
	UploadRejected UploadState = "rejected" // not valid: the bytes are deleted, the image is queued again
	UploadAborted  UploadState = "aborted"  // given up by the user
	UploadExpired  UploadState = "expired"  // given up by the service after ExpiresAt
)

// UploadMode is how the bytes travel.
type UploadMode string

// The upload modes.
const (
	ModePut       UploadMode = "put"       // one presigned PUT
	ModeMultipart UploadMode = "multipart" // presigned parts of an S3 multipart upload
	ModeStream    UploadMode = "stream"    // through the host: PUT …/file, PUT …/stage, imports
)

// Upload is one attempt to give an image its bytes. An image has at most one that is open or
// received; the last one stays on the record so that its outcome can be read.
type Upload struct {
	ID        string      `json:"id"` // UUID
	State     UploadState `json:"state"`
	Mode      UploadMode  `json:"mode"`
	Size      int64       `json:"size"`                // bytes declared; -1 when a stream does not say
	PartSize  int64       `json:"part_size,omitempty"` // bytes of every part but the last
	Parts     int         `json:"parts,omitempty"`
	SHA512    string      `json:"sha512,omitempty"` // declared by the uploader; must match
	S3Upload  string      `json:"s3_upload,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	ExpiresAt time.Time   `json:"expires_at"`
	Staged    bool        `json:"staged,omitempty"`  // from PUT …/stage: waits for an import call
	Outcome   UploadState `json:"outcome,omitempty"` // what an upload that is ending becomes

	Object     *Blob       `json:"object,omitempty"`     // what arrived
	Validation *Validation `json:"validation,omitempty"` // its examination, while it runs
	Rejection  *Rejection  `json:"rejection,omitempty"`
	Report     *Report     `json:"report,omitempty"` // what its examination found, once it is accepted
}

// Key is where the bytes of an upload live. Keys are made by the service alone.
func (u *Upload) Key(imageID string) string { return BlobKey(imageID, u.ID) }

// BlobKey is images/{image id}/{upload id}.
func BlobKey(imageID, uploadID string) string { return "images/" + imageID + "/" + uploadID }

// Shown is the state as users see it: an upload that is ending is what it will be.
func (u *Upload) Shown() UploadState {
	if u.State == UploadEnding {
		return u.Outcome
	}
	return u.State
}

// holds says whether the upload may have bytes in the bucket that count as in flight.
func (u *Upload) holds() bool { return u.Live() || u != nil && u.State == UploadEnding }

// Live says whether bytes of this upload may still become the image's.
func (u *Upload) Live() bool {
	return u != nil && (u.State == UploadOpen || u.State == UploadReceived)
}

// complete says whether all bytes arrived, whatever was found in them.
func (u *Upload) complete() bool {
	return u.State == UploadReceived || u.State == UploadAccepted || u.Shown() == UploadRejected
}

// expired says whether the upload waits for its user, and has done so for too long.
func (u *Upload) expired(now time.Time) bool {
	return (u.State == UploadOpen || u.State == UploadReceived && u.Staged) && !u.ExpiresAt.After(now)
}

func (u *Upload) clone() *Upload {
	if u == nil {
		return nil
	}
	c := *u
	c.Object = clonePtr(u.Object)
	c.Rejection = clonePtr(u.Rejection)
	if c.Report = clonePtr(u.Report); c.Report != nil {
		c.Report.Evidence, c.Report.Warnings = slices.Clone(u.Report.Evidence), slices.Clone(u.Report.Warnings)
	}
	if c.Validation = clonePtr(u.Validation); c.Validation != nil {
		c.Validation.HashState = bytes.Clone(c.Validation.HashState)
	}
	return &c
}

// Rejection says why an upload did not become an image.
type Rejection struct {
	Code    string `json:"code"`    // stable, for machines: format_mismatch, truncated, …
	Message string `json:"message"` // one sentence: what is wrong
	Hint    string `json:"hint"`    // one sentence: what to do
}

func (r *Rejection) Error() string { return r.Message }

// Report is what an examination found in an image that it accepted.
type Report struct {
	Bootable bool      `json:"bootable"` // there is evidence that a machine could start from it
	Evidence []string  `json:"evidence"` // sentences
	Warnings []Warning `json:"warnings"`
}

// Warning is a fault that was no reason to refuse an image.
type Warning struct {
	Code    string `json:"code"`    // stable, for machines: not_bootable, partition_table, …
	Message string `json:"message"` // one sentence: what is wrong
	Hint    string `json:"hint"`    // one sentence: what to do, or ""
}

// Bounds of a Report, which lives in the record: what an image makes the examination say must not grow it without end.
const (
	maxFindings = 20  // sentences of evidence, and warnings
	maxSentence = 500 // bytes
)

// bounded is the report as a record keeps it.
func (r *Report) bounded() *Report {
	if r == nil {
		return nil
	}
	sentence := func(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxSentence)], "") }
	b := &Report{Bootable: r.Bootable, Evidence: []string{}, Warnings: []Warning{}}
	for _, s := range r.Evidence[:min(len(r.Evidence), maxFindings)] {
		b.Evidence = append(b.Evidence, sentence(s))
	}
	for _, w := range r.Warnings[:min(len(r.Warnings), maxFindings)] {
		b.Warnings = append(b.Warnings, Warning{w.Code, sentence(w.Message), sentence(w.Hint)})
	}
	return b
}

// Validation is the state of an examination. It is saved so that another process can go on
// where one stopped.
type Validation struct {
	Phase     Phase  `json:"phase"`
	Hashed    int64  `json:"hashed"`               // bytes
	HashState []byte `json:"hash_state,omitempty"` // opaque; as secret as the image
	Lease
	StartedAt time.Time `json:"started_at"`
}

// examination is one that waits for somebody to begin it, at the latest after the grace.
func examination(now time.Time, grace time.Duration) *Validation {
	return &Validation{Phase: PhaseInspect, Lease: Lease{LeaseUntil: now.Add(grace)}, StartedAt: now}
}

// Phase is what an examination is doing.
type Phase string

// The phases.
const (
	PhaseInspect Phase = "inspect" // reading headers, tables, boot evidence
	PhaseHash    Phase = "hash"    // reading everything once
)

// Import is a fetch of bytes by the service itself, or the adoption of staged bytes.
type Import struct {
	TaskID string `json:"task_id"`
	Method string `json:"method"` // glance-direct, web-download, glance-download, location_import
	URI    string `json:"uri,omitempty"`
	// Region and RemoteImage are where an image of another Images API is.
	Region      string `json:"region,omitempty"`
	RemoteImage string `json:"remote_image,omitempty"`

	Checksum  string    `json:"checksum,omitempty"`  // of the file at the URI: sha256:, sha512:, sha1: or md5: and hex; "" when not given
	Validator string    `json:"validator,omitempty"` // of the file that is being fetched, as If-Range takes it
	State     TaskState `json:"state"`
	Message   string    `json:"message,omitempty"` // why it failed
	RequestID string    `json:"request_id,omitempty"`
	Request   string    `json:"request,omitempty"` // the body of the import call, JSON
	UserID    string    `json:"user_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Fetched   int64     `json:"fetched,omitempty"` // bytes
	Total     int64     `json:"total,omitempty"`   // bytes; 0 when the source does not say
	Lease
}

// TaskState is the state of an Import, in the words of Glance's tasks.
type TaskState string

// The task states.
const (
	TaskPending    TaskState = "pending"
	TaskProcessing TaskState = "processing"
	TaskSuccess    TaskState = "success"
	TaskFailure    TaskState = "failure"
)
