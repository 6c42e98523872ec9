package images

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Status is where an image is in its life; the transition table says what may follow what.
// The values are those of the OpenStack Images API.
type Status string

// The statuses. A client that waits for Active may meet Queued, Saving and Importing on the
// way; StatusUploading shows only between stage and import.
const (
	StatusQueued        Status = "queued"         // a record without bytes; an upload may be open or was rejected
	StatusSaving        Status = "saving"         // bytes stream through the host (PUT …/file)
	StatusUploading     Status = "uploading"      // bytes stream to, or wait in, the staging area (PUT …/stage)
	StatusImporting     Status = "importing"      // the bytes have arrived and are being validated, or are being fetched
	StatusActive        Status = "active"         // validated; may be downloaded
	StatusDeactivated   Status = "deactivated"    // validated; only an administrator may download
	StatusPendingDelete Status = "pending_delete" // gone for users; bytes are being deleted
	StatusDeleted       Status = "deleted"        // a tombstone: the id is never used again
)

// Visibility is who may see an image, with Glance's meaning.
type Visibility string

// The visibilities. Shared is the default of the API since 2.5.
const (
	Private   Visibility = "private"   // the owner's project
	Shared    Visibility = "shared"    // the owner's project and the members
	Community Visibility = "community" // everyone who knows the id; listed only on request
	Public    Visibility = "public"    // everyone, in every list
)

// Valid says whether v is one of the four visibilities.
func (v Visibility) Valid() bool {
	return v == Private || v == Shared || v == Community || v == Public
}

// DiskFormats are the values that disk_format may take: Glance's defaults.
var DiskFormats = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}

// ContainerFormats are the values that container_format may take: Glance's defaults.
var ContainerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}

// HashAlgo is the value of os_hash_algo, the only one that the service computes.
const HashAlgo = "sha512"

// Image is the record of one virtual machine image. A Store keeps it whole; it holds its
// current or last Upload, so that one compare-and-swap covers both.
type Image struct {
	ID                          string // UUID, lower case with dashes; one that was used is never used again
	Name                        string
	Status                      Status
	Visibility                  Visibility
	Owner                       string // project id
	Protected                   bool
	Hidden                      bool // os_hidden
	Tags                        []string
	DiskFormat, ContainerFormat string // "" is null on the wire

	MinDisk int64 // GiB
	MinRAM  int64 // MiB

	Size        *int64 // bytes; nil before there are any
	VirtualSize *int64 // bytes that a guest sees; nil when unknown
	Checksum    string // MD5 of the bytes in hex, never an ETag; "" before validation
	HashValue   string // SHA-512 of the bytes in hex; "" before validation

	CreatedAt, UpdatedAt time.Time // UTC, microseconds

	Properties map[string]string // custom properties, description among them

	// What follows is the service's own.

	Version int64   // of the record; every write adds one
	Blob    *Blob   // the exact object that was validated; nil before
	Upload  *Upload // the open or the last upload; nil when there was none
	Import  *Import // the running or the last import; nil when there was none
}

// Blob names one immutable object: bytes that were uploaded once and never change.
type Blob struct {
	Key       string `json:"key"`                  // images/{image id}/{upload id}
	VersionID string `json:"version_id,omitempty"` // of a versioned bucket, else ""
	ETag      string `json:"etag"`                 // as S3 gives it, without quotes
	Size      int64  `json:"size"`                 // bytes
}

// Digests are the hashes of all bytes of an object, in hex.
type Digests struct {
	MD5    string
	SHA512 string
}

// Clone copies the image so that no part of the copy is shared with it.
func (i *Image) Clone() *Image {
	c := *i
	c.Tags = slices.Clone(i.Tags)
	c.Properties = maps.Clone(i.Properties)
	c.Size = clonePtr(i.Size)
	c.VirtualSize = clonePtr(i.VirtualSize)
	c.Blob = clonePtr(i.Blob)
	c.Upload = i.Upload.clone()
	c.Import = clonePtr(i.Import)
	return &c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// HasData says whether validated bytes are behind the record.
func (i *Image) HasData() bool { return i.Blob != nil }

// Member is a project with which an image is shared.
type Member struct {
	ImageID   string
	ProjectID string
	Status    MemberStatus
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MemberStatus is what the member's project says to being shared with. It decides lists only:
// an image can be shown by id to a member of any status.
type MemberStatus string

// The member statuses.
const (
	Pending  MemberStatus = "pending"
	Accepted MemberStatus = "accepted"
	Rejected MemberStatus = "rejected"
)

// Valid says whether s is one of the three member statuses.
func (s MemberStatus) Valid() bool { return s == Pending || s == Accepted || s == Rejected }

// NewID makes the random UUID (version 4) of an image, an upload or a run.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
