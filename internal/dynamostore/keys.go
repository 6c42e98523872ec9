package dynamostore

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"bullion/internal/images"
)

// Attribute names of keys. They are short because every one is written with every record and index entry.
const (
	attrPK = "pk"
	attrSK = "sk"

	attrOwn = "o" // partition of the owner's indexes; absent on what no list shows
	attrVis = "v" // partition of the indexes by visibility; absent likewise
	attrDue = "d" // partition of the index of due records; absent when never due
	attrAt  = "t" // sort key of that index
)

// shards is how many partitions one logical list is spread over. It is part of the keys: changing it needs a migration.
const shards = 4

// shard spreads images over the partitions.
func shard(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return string('0' + byte(h.Sum32()%shards))
}

// Keys of items in the table.
const (
	skRecord  = "record"
	skMembers = "members"
	skUsage   = "usage"
	skValue   = "value"
	skQuota   = "quota"
)

func pkImage(id string) string       { return "image/" + id }
func pkUsage(project string) string  { return "usage/" + project }
func skEgress(month string) string   { return "egress/" + month }
func pkOutbox(shard string) string   { return "outbox/" + shard }
func pkEphemeral(key string) string  { return "ephemeral/" + key }
func skEvent(seq int64) string       { return fmt.Sprintf("event/%016x", seq) }
func skOutbox(e images.Event) string { return fmt.Sprintf("%s/%016x", e.ImageID, e.Seq) }

func pkShares(status images.MemberStatus, project string) string {
	return "shares/" + string(status) + "/" + project
}

// imageID undoes pkImage.
func imageID(pk string) string { return strings.TrimPrefix(pk, "image/") }

// ownPartition and visPartition are where the index entries of an image are. A list shows either hidden images or the others, so they are apart.
func ownPartition(hidden bool, owner string) string { return flag(hidden) + "/" + owner }

func visPartition(hidden bool, v images.Visibility, shard string) string {
	return flag(hidden) + "/" + string(v) + "/" + shard
}

func flag(b bool) string {
	if b {
		return "hidden"
	}
	return "shown"
}

// field is one of images.SortKeys with the attribute that holds its sort key. Sort keys end with the time of creation and the id, so that
// the order of an index is the complete order of a list that is sorted by one key.
type field struct {
	name  string
	attr  string
	value func(*images.Image) string // encoded so that the order of bytes is the order of values; nil for created_at and id
	rows  bool                       // the owner's list in this order is kept in items of the table, which read consistently
}

var fields = []field{
	{name: "created_at", attr: "c", rows: true},
	{name: "name", attr: "n", value: func(i *images.Image) string { return escape(i.Name) }, rows: true},
	{name: "updated_at", attr: "u", value: func(i *images.Image) string { return timeKey(i.UpdatedAt) }},
	{name: "status", attr: "s", value: func(i *images.Image) string { return escape(string(i.Status)) }},
	{name: "size", attr: "z", value: func(i *images.Image) string { return sizeKey(i.Size) }},
	{name: "disk_format", attr: "f", value: func(i *images.Image) string { return escape(i.DiskFormat) }},
	{name: "container_format", attr: "g", value: func(i *images.Image) string { return escape(i.ContainerFormat) }},
	{name: "id", attr: attrPK},
}

func fieldNamed(name string) field {
	for _, f := range fields {
		if f.name == name {
			return f
		}
	}
	panic("dynamostore: no sort key " + name) // the service accepts images.SortKeys alone
}

// end ends a value in a sort key; escape sees to it that no value holds it.
const end = "\x01"

// above is more than whatever follows a value in a sort key, which is hexadecimal.
const above = "~"

// first and last are below and above every sort key.
const (
	first = end
	last  = "\U0010ffff"
)

// key is the sort key of an image in the indexes of the field.
func (f field) key(i *images.Image) string {
	switch {
	case f.attr == attrPK:
		return pkImage(i.ID)
	case f.value == nil:
		return createdKey(i)
	}
	return f.value(i) + end + createdKey(i)
}

// group is the part of a sort key that images with the same value of the field share.
func (f field) group(key string) string {
	switch {
	case f.attr == attrPK:
		return key
	case f.value == nil:
		return key[:timeLength]
	}
	return key[:strings.Index(key, end)+1]
}

func createdKey(i *images.Image) string { return timeKey(i.CreatedAt) + i.ID }

const timeLength = 16

// timeKey is a time in microseconds whose order of bytes is the order of time.
func timeKey(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixMicro())^1<<63) }

// sizeKey sorts what has no size before every size.
func sizeKey(size *int64) string {
	if size == nil {
		return "0"
	}
	return fmt.Sprintf("1%016x", uint64(*size)^1<<63)
}

// escape keeps the order of strings and takes the bytes from them that end a value. The service lets none of these bytes into a record.
func escape(s string) string {
	if !strings.ContainsAny(s, "\x00\x01\x02") {
		return s
	}
	return strings.NewReplacer("\x00", "\x02\x03", "\x01", "\x02\x04", "\x02", "\x02\x05").Replace(s)
}

// listed says whether any list can show the image.
func listed(i *images.Image) bool {
	return i != nil && i.Status != images.StatusPendingDelete && i.Status != images.StatusDeleted
}

// row is an item of the table that stands for an image in a list of its owner.
type row struct{ pk, sk string }

func ownRows(hidden bool, owner string, f field) string {
	return "own/" + f.name + "/" + ownPartition(hidden, owner)
}

// rowsOf are the items that stand for the image in its owner's lists.
func rowsOf(i *images.Image) []row {
	if !listed(i) {
		return nil
	}
	var rows []row
	for _, f := range fields {
		if f.rows {
			rows = append(rows, row{ownRows(i.Hidden, i.Owner, f), f.key(i)})
		}
	}
	return rows
}
