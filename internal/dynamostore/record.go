package dynamostore

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bullion/internal/images"
)

// item is an item of the table.
type item map[string]types.AttributeValue

// Limits of DynamoDB.
const (
	maxItem    = 400 << 10 // bytes of an item, names of attributes included
	maxSortKey = 1024      // bytes
	maxHashKey = 2048      // bytes
)

const (
	attrVersion = "version"
	attrStatus  = "status"
	attrWrite   = "write" // a random mark of the write that made the item, by which a repeated request knows itself
)

func (it item) setText(name, v string) {
	if v != "" {
		it[name] = &types.AttributeValueMemberS{Value: v}
	}
}

func (it item) setInt(name string, v int64) {
	if v != 0 {
		it[name] = intValue(v)
	}
}

func (it item) setSize(name string, v *int64) {
	if v != nil {
		it[name] = intValue(*v)
	}
}

func (it item) setBool(name string, v bool) {
	if v {
		it[name] = &types.AttributeValueMemberBOOL{Value: true}
	}
}

// setJSON keeps a part that no expression looks into as one string.
func setJSON[T any](it item, name string, v *T) error {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	it[name] = &types.AttributeValueMemberS{Value: string(text)}
	return nil
}

func intValue(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}

func textValue(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func (it item) text(name string) string {
	if v, ok := it[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func (it item) bool(name string) bool {
	v, ok := it[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

// int reads a number; 0 when there is none.
func (it item) int(name string) (int64, error) {
	v, ok := it[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w", name, err)
	}
	return n, nil
}

func (it item) size(name string) (*int64, error) {
	if _, ok := it[name]; !ok {
		return nil, nil
	}
	n, err := it.int(name)
	return &n, err
}

func getJSON[T any](it item, name string) (*T, error) {
	text := it.text(name)
	if text == "" {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return nil, fmt.Errorf("attribute %s: %w", name, err)
	}
	return v, nil
}

// encode makes the item of a record with the version. A tombstone keeps what sorts and what says who could see it.
func encode(i *images.Image, version int64, write string) (item, error) {
	it := item{
		attrPK:      textValue(pkImage(i.ID)),
		attrSK:      textValue(skRecord),
		attrVersion: intValue(version),
		attrStatus:  textValue(string(i.Status)),
		attrWrite:   textValue(write),
		"created":   intValue(i.CreatedAt.UnixMicro()),
		"updated":   intValue(i.UpdatedAt.UnixMicro()),
	}
	it.setText("name", i.Name)
	it.setText("visibility", string(i.Visibility))
	it.setText("owner", i.Owner)
	it.setText("disk_format", i.DiskFormat)
	it.setText("container_format", i.ContainerFormat)
	it.setSize("size", i.Size)
	if i.Status == images.StatusDeleted {
		return it, it.check(i.ID)
	}
	it.setBool("protected", i.Protected)
	it.setBool("hidden", i.Hidden)
	it.setInt("min_disk", i.MinDisk)
	it.setInt("min_ram", i.MinRAM)
	it.setSize("virtual_size", i.VirtualSize)
	it.setText("checksum", i.Checksum)
	it.setText("hash", i.HashValue)
	if len(i.Tags) > 0 {
		tags := make([]types.AttributeValue, len(i.Tags))
		for n, tag := range i.Tags {
			tags[n] = textValue(tag)
		}
		it["tags"] = &types.AttributeValueMemberL{Value: tags}
	}
	if len(i.Properties) > 0 {
		m := make(map[string]types.AttributeValue, len(i.Properties))
		for k, v := range i.Properties {
			m[k] = textValue(v)
		}
		it["properties"] = &types.AttributeValueMemberM{Value: m}
	}
	if err := setJSON(it, "blob", i.Blob); err != nil {
		return nil, err
	}
	if err := setJSON(it, "upload", i.Upload); err != nil {
		return nil, err
	}
	if err := setJSON(it, "import", i.Import); err != nil {
		return nil, err
	}
	if listed(i) {
		it[attrOwn] = textValue(ownPartition(i.Hidden, i.Owner))
		it[attrVis] = textValue(visPartition(i.Hidden, i.Visibility, shard(i.ID)))
		for _, f := range fields {
			if f.attr != attrPK {
				it[f.attr] = textValue(f.key(i))
			}
		}
	}
	if due := i.DueAt(); !due.IsZero() {
		it[attrDue] = textValue(shard(i.ID))
		it[attrAt] = textValue(timeKey(due) + i.ID)
	}
	return it, it.check(i.ID)
}

// check refuses what DynamoDB would refuse, in words for the caller.
func (it item) check(id string) error {
	if n := it.bytes(); n > maxItem {
		return images.Errorf(images.TooLarge, "The record of image %s would have %d bytes; at most %d are kept. Remove properties or tags.", id, n, maxItem)
	}
	for _, f := range fields {
		if n := len(it.text(f.attr)); n > maxSortKey {
			return images.Errorf(images.TooLarge, "The %s of image %s is too long: it makes a sort key of %d bytes, and at most %d are possible.", f.name, id, n, maxSortKey)
		}
	}
	if n := len(it.text("owner")); n > maxHashKey-64 {
		return images.Errorf(images.TooLarge, "The owner of image %s has %d bytes; at most %d are possible.", id, n, maxHashKey-64)
	}
	return nil
}

// bytes is the size of an item as DynamoDB counts it; of numbers, which it packs, at most a little more.
func (it item) bytes() int {
	n := 0
	for name, v := range it {
		n += len(name) + valueBytes(v)
	}
	return n
}

func valueBytes(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberL:
		n := 3
		for _, e := range v.Value {
			n += 1 + valueBytes(e)
		}
		return n
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + item(v.Value).bytes()
	}
	return 1
}

// decode undoes encode.
func decode(it item) (*images.Image, error) {
	i, err := decodeRecord(it)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", it.text(attrPK), err)
	}
	return i, nil
}

func decodeRecord(it item) (*images.Image, error) {
	i := &images.Image{
		ID: imageID(it.text(attrPK)), Name: it.text("name"), Status: images.Status(it.text(attrStatus)),
		Visibility: images.Visibility(it.text("visibility")), Owner: it.text("owner"),
		Protected: it.bool("protected"), Hidden: it.bool("hidden"),
		DiskFormat: it.text("disk_format"), ContainerFormat: it.text("container_format"),
		Checksum: it.text("checksum"), HashValue: it.text("hash"),
	}
	var created, updated int64
	for _, n := range []struct {
		name string
		at   *int64
	}{{attrVersion, &i.Version}, {"created", &created}, {"updated", &updated}, {"min_disk", &i.MinDisk}, {"min_ram", &i.MinRAM}} {
		var err error
		if *n.at, err = it.int(n.name); err != nil {
			return nil, err
		}
	}
	i.CreatedAt, i.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if l, ok := it["tags"].(*types.AttributeValueMemberL); ok {
		for _, v := range l.Value {
			if tag, ok := v.(*types.AttributeValueMemberS); ok {
				i.Tags = append(i.Tags, tag.Value)
			}
		}
	}
	if m, ok := it["properties"].(*types.AttributeValueMemberM); ok {
		i.Properties = make(map[string]string, len(m.Value))
		for k := range m.Value {
			i.Properties[k] = item(m.Value).text(k)
		}
	}
	var err error
	if i.Size, err = it.size("size"); err != nil {
		return nil, err
	}
	if i.VirtualSize, err = it.size("virtual_size"); err != nil {
		return nil, err
	}
	if i.Blob, err = getJSON[images.Blob](it, "blob"); err != nil {
		return nil, err
	}
	if i.Upload, err = getJSON[images.Upload](it, "upload"); err != nil {
		return nil, err
	}
	i.Import, err = getJSON[images.Import](it, "import")
	return i, err
}
