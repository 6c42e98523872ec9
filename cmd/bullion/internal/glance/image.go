package glance

import (
	"encoding/json"
	"fmt"
	"time"
)

// Image is an image document as the service sent it.
type Image struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Status          string    `json:"status"`
	Visibility      string    `json:"visibility"`
	Owner           string    `json:"owner"`
	Protected       bool      `json:"protected"`
	Hidden          bool      `json:"os_hidden"`
	Tags            []string  `json:"tags"`
	DiskFormat      string    `json:"disk_format"`
	ContainerFormat string    `json:"container_format"`
	MinDisk         int64     `json:"min_disk"`     // GiB
	MinRAM          int64     `json:"min_ram"`      // MiB
	Size            *int64    `json:"size"`         // bytes; nil before there are any
	VirtualSize     *int64    `json:"virtual_size"` // bytes; nil when unknown
	Checksum        string    `json:"checksum"`     // MD5, hex
	HashAlgo        string    `json:"os_hash_algo"`
	HashValue       string    `json:"os_hash_value"` // hex
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`

	// Properties are all other strings, those that begin with bullion_ among them.
	Properties map[string]string `json:"-"`

	raw json.RawMessage
}

// The statuses that this client acts on.
const (
	StatusQueued    = "queued"
	StatusImporting = "importing"
	StatusActive    = "active"
)

// wellKnown are the keys that are not custom properties.
var wellKnown = map[string]bool{
	"id": true, "name": true, "status": true, "visibility": true, "owner": true, "protected": true, "os_hidden": true, "tags": true,
	"disk_format": true, "container_format": true, "min_disk": true, "min_ram": true, "size": true, "virtual_size": true,
	"checksum": true, "os_hash_algo": true, "os_hash_value": true, "created_at": true, "updated_at": true,
	"self": true, "file": true, "schema": true, "stores": true, "direct_url": true, "locations": true, "members": true,
}

// UnmarshalJSON reads the document and keeps it, so that MarshalJSON shows what the service said.
func (i *Image) UnmarshalJSON(doc []byte) error {
	type plain Image
	if err := json.Unmarshal(doc, (*plain)(i)); err != nil {
		return fmt.Errorf("read an image document: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return fmt.Errorf("read an image document: %w", err)
	}
	i.Properties = map[string]string{}
	for key, value := range all {
		var text string
		if !wellKnown[key] && json.Unmarshal(value, &text) == nil && string(value) != "null" {
			i.Properties[key] = text
		}
	}
	i.raw = append(json.RawMessage(nil), doc...)
	return nil
}

// MarshalJSON is the document that the service sent.
func (i *Image) MarshalJSON() ([]byte, error) { return i.raw, nil }

// UploadID names the image's open or last upload, "" when there was none or the service does not know uploads.
func (i *Image) UploadID() string { return i.Properties["bullion_upload"] }

// Verdict is what the service knows of the bytes of an image.
type Verdict struct {
	State    string `json:"state"` // of the upload
	Progress *struct {
		Phase  string `json:"phase"`  // inspect or hash
		Hashed int64  `json:"hashed"` // bytes
		Total  int64  `json:"total"`  // bytes
	} `json:"progress,omitempty"`
	Rejection *Rejection `json:"rejection,omitempty"`
	Report    *struct {
		Bootable bool      `json:"bootable"`
		Evidence []string  `json:"evidence"`
		Warnings []Warning `json:"warnings"`
	} `json:"report,omitempty"`
}

// Warning is a fault that was no reason to refuse an image.
type Warning Rejection

// Event is a change of an image.
type Event struct {
	Seq          int64     `json:"seq"`
	At           time.Time `json:"at"`
	From         string    `json:"from,omitempty"`
	To           string    `json:"to"`
	Reason       string    `json:"reason,omitempty"`
	Actor        string    `json:"actor,omitempty"` // user id; "" for the service
	ActorProject string    `json:"actor_project,omitempty"`
}

// Member is a project with which an image is shared.
type Member struct {
	ProjectID string    `json:"member_id"`
	ImageID   string    `json:"image_id"`
	Status    string    `json:"status"` // pending, accepted or rejected
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Upload is the document of an upload.
type Upload struct {
	ID         string       `json:"id"`
	ImageID    string       `json:"image_id"`
	State      string       `json:"state"`
	Mode       string       `json:"mode"`      // put or multipart
	Size       int64        `json:"size"`      // bytes
	PartSize   int64        `json:"part_size"` // bytes of every part but the last
	Parts      int          `json:"parts"`
	CreatedAt  time.Time    `json:"created_at"`
	ExpiresAt  time.Time    `json:"expires_at"`
	Signed     []SignedPart `json:"signed"`
	Have       []Part       `json:"have"` // what S3 has
	Rejection  *Rejection   `json:"rejection"`
	Validation *Validation  `json:"validation"`
}

// The states of an upload.
const (
	UploadOpen     = "open"
	UploadReceived = "received"
	UploadAccepted = "accepted"
	UploadRejected = "rejected"
	UploadAborted  = "aborted"
	UploadExpired  = "expired"
)

// Part is one part that S3 has.
type Part struct {
	Number int   `json:"number"`
	Size   int64 `json:"size"` // bytes
}

// SignedPart is the request that sends one part. Its URL is a secret.
type SignedPart struct {
	Number    int               `json:"number"`
	Size      int64             `json:"size"` // bytes
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"` // to be sent exactly so
	ExpiresAt time.Time         `json:"expires_at"`
}

// Rejection says why the bytes of an upload did not become an image.
type Rejection struct {
	Code    string `json:"code"`    // for machines
	Message string `json:"message"` // one sentence: what is wrong
	Hint    string `json:"hint"`    // one sentence: what to do
}

// Validation says how far the service is with its examination.
type Validation struct {
	Phase  string `json:"phase"`  // inspect or hash
	Hashed int64  `json:"hashed"` // bytes
	Total  int64  `json:"total"`  // bytes
}
