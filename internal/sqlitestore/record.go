package sqlitestore

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"bullion/internal/images"
)

// record is an image as it is kept. Its fields are those of images.Image, or the conversion does not compile.
type record struct {
	ID              string            `json:"id"`
	Name            string            `json:"name,omitempty"`
	Status          images.Status     `json:"status"`
	Visibility      images.Visibility `json:"visibility"`
	Owner           string            `json:"owner"`
	Protected       bool              `json:"protected,omitempty"`
	Hidden          bool              `json:"hidden,omitempty"`
	Tags            []string          `json:"tags,omitempty"`
	DiskFormat      string            `json:"disk_format,omitempty"`
	ContainerFormat string            `json:"container_format,omitempty"`
	MinDisk         int64             `json:"min_disk,omitempty"`
	MinRAM          int64             `json:"min_ram,omitempty"`
	Size            *int64            `json:"size,omitempty"`
	VirtualSize     *int64            `json:"virtual_size,omitempty"`
	Checksum        string            `json:"checksum,omitempty"`
	HashValue       string            `json:"hash_value,omitempty"`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	Properties      map[string]string `json:"properties,omitempty"`
	Version         int64             `json:"version"`
	Blob            *images.Blob      `json:"blob,omitempty"`
	Upload          *images.Upload    `json:"upload,omitempty"`
	Import          *images.Import    `json:"import,omitempty"`
}

func encode(i *images.Image, version int64) (string, error) {
	r := record(*i)
	r.Version, r.CreatedAt, r.UpdatedAt = version, i.CreatedAt.UTC(), i.UpdatedAt.UTC()
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encoding image %s: %w", i.ID, err)
	}
	return string(text), nil
}

func decode(text []byte) (*images.Image, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("a record of the database is damaged: %w", err)
	}
	i := images.Image(r)
	return &i, nil
}

// tombstone is what remains of a record that was deleted: what sorts and says who could see it.
func tombstone(i *images.Image) *images.Image {
	return &images.Image{ID: i.ID, Name: i.Name, Status: i.Status, Visibility: i.Visibility, Owner: i.Owner, Hidden: i.Hidden, DiskFormat: i.DiskFormat,
		ContainerFormat: i.ContainerFormat, Size: i.Size, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, Version: i.Version}
}

// The shelves of table images, and the one of members whose image is not shared.
const (
	shelfShown  = 0
	shelfHidden = 1
	shelfGoing  = 2
	shelfNone   = -1
)

func shelf(hidden bool) int64 {
	if hidden {
		return shelfHidden
	}
	return shelfShown
}

// columns of table images that are written from the record, in the order of values.
var columns = []string{"version", "owner", "visibility", "shelf", "name", "folded", "status", "disk_format", "container_format", "size", "virtual_size",
	"min_disk", "min_ram", "protected", "checksum", "hash_value", "created_at", "updated_at", "due_at", "bytes", "in_flight", "uploads", "record"}

// values of the columns: string, int64 or nil.
func values(i *images.Image, version int64, text string) []any {
	at := shelf(i.Hidden)
	if i.Status == images.StatusPendingDelete {
		at = shelfGoing
	}
	var due any
	if t := i.DueAt(); !t.IsZero() {
		due = t.UnixMicro()
	}
	flag := int64(0)
	if i.Protected {
		flag = 1
	}
	u := images.UsageOf(i)
	return []any{version, i.Owner, string(i.Visibility), at, i.Name, images.Fold(i.Name), string(i.Status), i.DiskFormat, i.ContainerFormat, orNull(i.Size),
		orNull(i.VirtualSize), i.MinDisk, i.MinRAM, flag, i.Checksum, i.HashValue, i.CreatedAt.UnixMicro(), i.UpdatedAt.UnixMicro(), due,
		u.Bytes, u.InFlight, u.Uploads, text}
}

func orNull(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// marks are the tags and properties of an image as in table marks, sorted, each once.
func marks(i *images.Image) []int64 {
	list := make([]int64, 0, len(i.Tags)+len(i.Properties))
	for _, t := range i.Tags {
		list = append(list, tagMark(t))
	}
	for k, v := range i.Properties {
		list = append(list, propertyMark(k, v))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func tagMark(tag string) int64 { return mark("tag", tag) }

func propertyMark(name, value string) int64 { return mark("property", name, value) }

func mark(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p)) //nolint:errcheck // a hash takes everything
		h.Write([]byte{0}) //nolint:errcheck
	}
	return int64(h.Sum64())
}
