package images

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on one record, Glance's defaults.
const (
	MaxName       = 255       // characters, for names, tags and property names
	MaxProperties = 128       // custom properties of one image
	MaxTags       = 128       // tags of one image
	MaxMembers    = 128       // members of one image
	MaxValue      = 64 << 10  // bytes of one property value
	MaxRecord     = 200 << 10 // bytes of all properties and tags: a record must fit a 400 KB DynamoDB item
)

// Field says how the API treats an attribute of an image.
type Field struct {
	Name string
	set  func(i *Image, name string, v any) error // from a decoded JSON value
	// unset makes the attribute what it is on a new image; nil when it cannot be removed.
	unset func(*Image)
}

// fields are the attributes that clients may set, at creation and by patch. Rules about who may set what are
// in the Service; rules about values are here.
var fields = []Field{
	{Name: "name", set: setText(MaxName, func(i *Image) *string { return &i.Name })},
	{Name: "visibility", set: setVisibility},
	{Name: "owner", set: setOwner},
	{Name: "protected", set: setBool(func(i *Image) *bool { return &i.Protected })},
	{Name: "os_hidden", set: setBool(func(i *Image) *bool { return &i.Hidden })},
	{Name: "tags", set: setTags, unset: func(i *Image) { i.Tags = nil }},
	{Name: "disk_format", set: setFormat(DiskFormats, func(i *Image) *string { return &i.DiskFormat })},
	{Name: "container_format", set: setFormat(ContainerFormats, func(i *Image) *string { return &i.ContainerFormat })},
	{Name: "min_disk", set: setCount(func(i *Image) *int64 { return &i.MinDisk })},
	{Name: "min_ram", set: setCount(func(i *Image) *int64 { return &i.MinRAM })},
}

// readOnly attributes are shown and never taken from a client.
var readOnly = []string{"id", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value",
	"created_at", "updated_at", "self", "file", "schema", "direct_url", "stores"}

// reserved attributes are neither shown nor taken.
var reserved = []string{"locations", "location", "deleted", "deleted_at", "is_public", "members"}

// reservedPrefixes begin the names of properties that are the service's own.
var reservedPrefixes = []string{"os_glance_", "bullion_"}

// Base says whether name is an attribute of every image and so cannot be a custom property.
func Base(name string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) ||
		slices.Contains(readOnly, name) || slices.Contains(reserved, name)
}

// set changes one attribute or custom property to a decoded JSON value: string, bool, json.Number, []any or nil.
func (i *Image) set(name string, value any) error {
	for _, f := range fields {
		if f.Name == name {
			return f.set(i, name, value)
		}
	}
	if err := writable(name); err != nil {
		return err
	}
	if name == "" || utf8.RuneCountInString(name) > MaxName {
		return Errorf(Invalid, "A property name has 1 to %d characters; %.40q has %d.", MaxName, name, utf8.RuneCountInString(name))
	}
	text, ok := value.(string)
	if !ok {
		return Errorf(Invalid, "Property %q must be a string, not %s.", name, kindOfJSON(value))
	}
	if len(text) > MaxValue {
		return Errorf(Invalid, "Property %q has %d bytes; at most %d are kept.", name, len(text), MaxValue)
	}
	if err := plainText(name, text); err != nil {
		return err
	}
	if i.Properties == nil {
		i.Properties = map[string]string{}
	}
	i.Properties[name] = text
	return nil
}

// unset removes a custom property, or makes one of the few removable attributes empty.
func (i *Image) unset(name string) error {
	for _, f := range fields {
		if f.Name != name {
			continue
		}
		if f.unset == nil {
			return Errorf(Forbidden, "Attribute %q is part of every image and cannot be removed; replace its value.", name)
		}
		f.unset(i)
		return nil
	}
	if err := writable(name); err != nil {
		return err
	}
	if _, ok := i.Properties[name]; !ok {
		return Errorf(Conflict, "Image %s has no property %q to remove.", i.ID, name)
	}
	delete(i.Properties, name)
	return nil
}

func (i *Image) has(name string) bool {
	if slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
		return true
	}
	_, ok := i.Properties[name]
	return ok
}

// writable says whether clients may set the name at all.
func writable(name string) error {
	if slices.Contains(readOnly, name) {
		return Errorf(Forbidden, "Attribute %q is read-only.", name)
	}
	if name == "locations" {
		return Errorf(Forbidden, "The locations of an image are not shown and cannot be set; POST …/locations has the service fetch a file and keep it.")
	}
	if slices.Contains(reserved, name) || slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return Errorf(Forbidden, "Attribute %q is reserved.", name)
	}
	return nil
}

// checkSize bounds the record as a whole.
func (i *Image) checkSize() error {
	if len(i.Properties) > MaxProperties {
		return Errorf(TooLarge, "An image has at most %d custom properties; this would have %d.", MaxProperties, len(i.Properties))
	}
	if len(i.Tags) > MaxTags {
		return Errorf(TooLarge, "An image has at most %d tags; this would have %d.", MaxTags, len(i.Tags))
	}
	total := 0
	for k, v := range i.Properties {
		total += len(k) + len(v)
	}
	for _, t := range i.Tags {
		total += len(t)
	}
	if total > MaxRecord {
		return Errorf(TooLarge, "The properties and tags of an image have at most %d bytes together; these have %d.", MaxRecord, total)
	}
	return nil
}

func setText(limit int, at func(*Image) *string) func(*Image, string, any) error {
	return func(i *Image, name string, v any) error {
		text, ok := v.(string)
		switch {
		case v == nil:
			text = ""
		case !ok:
			return Errorf(Invalid, "%s must be a string, not %s.", name, kindOfJSON(v))
		}
		if n := utf8.RuneCountInString(text); n > limit {
			return Errorf(Invalid, "%s has %d characters; at most %d are allowed.", name, n, limit)
		}
		if err := plainText(name, text); err != nil {
			return err
		}
		*at(i) = text
		return nil
	}
}

func setVisibility(i *Image, _ string, v any) error {
	text, ok := v.(string)
	if !ok || !Visibility(text).Valid() {
		return Errorf(Invalid, "visibility must be one of public, private, shared, community.")
	}
	i.Visibility = Visibility(text)
	return nil
}

func setOwner(i *Image, _ string, v any) error {
	text, ok := v.(string)
	if !ok || text == "" || len(text) > MaxName {
		return Errorf(Invalid, "owner must be a project id of 1 to %d characters.", MaxName)
	}
	i.Owner = text
	return plainText("owner", text)
}

func setBool(at func(*Image) *bool) func(*Image, string, any) error {
	return func(i *Image, name string, v any) error {
		b, ok := v.(bool)
		if !ok {
			return Errorf(Invalid, "%s must be true or false, not %s.", name, kindOfJSON(v))
		}
		*at(i) = b
		return nil
	}
}

func setFormat(allowed []string, at func(*Image) *string) func(*Image, string, any) error {
	return func(i *Image, name string, v any) error {
		text, ok := v.(string)
		if v == nil {
			text, ok = "", true
		}
		if !ok || v != nil && !slices.Contains(allowed, text) {
			return Errorf(Invalid, "%s must be one of %s, not %.40q.", name, strings.Join(allowed, ", "), text)
		}
		was := at(i)
		if *was == text {
			return nil
		}
		if i.Status != "" && i.Status != StatusQueued {
			return Errorf(Forbidden, "%s cannot change once an image has data.", name)
		}
		*was = text
		return nil
	}
}

func setCount(at func(*Image) *int64) func(*Image, string, any) error {
	return func(i *Image, name string, v any) error {
		var n int64
		switch v := v.(type) {
		case json.Number:
			var err error
			if n, err = v.Int64(); err != nil {
				n = -1
			}
		default:
			n = -1
		}
		if n < 0 || n > math.MaxInt32 {
			return Errorf(Invalid, "%s must be a whole number from 0 to %d.", name, math.MaxInt32)
		}
		*at(i) = n
		return nil
	}
}

func setTags(i *Image, _ string, v any) error {
	list, ok := v.([]any)
	if !ok {
		return Errorf(Invalid, "tags must be a list of strings, not %s.", kindOfJSON(v))
	}
	tags := make([]string, 0, min(len(list), MaxTags+1))
	for _, item := range list {
		tag, ok := item.(string)
		if !ok {
			return Errorf(Invalid, "tags must be a list of strings; it holds %s.", kindOfJSON(item))
		}
		if err := checkTag(tag); err != nil {
			return err
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		if len(tags) > MaxTags {
			return Errorf(TooLarge, "An image has at most %d tags.", MaxTags)
		}
	}
	i.Tags = tags
	return nil
}

func checkTag(tag string) error {
	if n := utf8.RuneCountInString(tag); n == 0 || n > MaxName {
		return Errorf(Invalid, "A tag has 1 to %d characters; this has %d.", MaxName, n)
	}
	return plainText("tag", tag)
}

// plainText refuses what no store and no terminal should get: invalid UTF-8, NUL and other control characters, and, as Glance does, characters
// outside the basic plane.
func plainText(what, text string) error {
	if !utf8.ValidString(text) {
		return Errorf(Invalid, "%s is not valid UTF-8.", what)
	}
	for _, r := range text {
		if r > 0xFFFF {
			return Errorf(Invalid, "%s holds %q; characters of four bytes are not supported.", what, r)
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7F {
			return Errorf(Invalid, "%s holds the control character %U.", what, r)
		}
	}
	return nil
}

func kindOfJSON(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "something else"
}
