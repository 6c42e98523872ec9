package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
)

// document is the image as clients read it: custom properties first, then the attributes in Glance's order. It is written by hand since
// custom properties are members of the same object.
func document(i *images.Image) []byte {
	b := &object{}
	for _, name := range slices.Sorted(maps.Keys(i.Properties)) {
		if !images.Base(name) {
			b.text(name, i.Properties[name])
		}
	}
	status(b, i)
	b.text("name", i.Name)
	b.orNull("disk_format", i.DiskFormat)
	b.orNull("container_format", i.ContainerFormat)
	b.text("visibility", string(i.Visibility))
	b.numberOrNull("size", i.Size)
	b.numberOrNull("virtual_size", i.VirtualSize)
	b.text("status", string(i.Status))
	b.orNull("checksum", i.Checksum)
	b.truth("protected", i.Protected)
	b.number("min_ram", i.MinRAM)
	b.number("min_disk", i.MinDisk)
	b.text("owner", i.Owner)
	b.truth("os_hidden", i.Hidden)
	algo := ""
	if i.HashValue != "" {
		algo = images.HashAlgo
	}
	b.orNull("os_hash_algo", algo)
	b.orNull("os_hash_value", i.HashValue)
	b.text("id", i.ID)
	b.text("created_at", timestamp(i.CreatedAt))
	b.text("updated_at", timestamp(i.UpdatedAt))
	b.texts("tags", i.Tags)
	if i.HasData() {
		b.text("stores", storeID)
	}
	b.text("self", "/v2/images/"+i.ID)
	b.text("file", "/v2/images/"+i.ID+"/file")
	b.text("schema", "/v2/schemas/image")
	return b.end()
}

// status adds what is known of the way to active, in properties of our own. An active image has none, so that tools that compare
// properties see what they set.
func status(b *object, i *images.Image) {
	u := i.Upload
	if i.HasData() {
		return
	}
	importStatus(b, i)
	if u == nil {
		return
	}
	b.text("bullion_upload", u.ID)
	b.text("bullion_upload_state", string(u.Shown()))
	if p := progress(u); p != nil {
		b.text("bullion_progress", fmt.Sprintf("%s %d/%d", p.Phase, p.Hashed, p.Total))
	}
	if r := u.Rejection; r != nil {
		b.text("bullion_rejection", fmt.Sprintf("%s: %s %s", r.Code, r.Message, r.Hint))
	}
}

// object builds one JSON object. A list writes thousands of members a page, so plain values do not go through encoding/json.
type object struct{ buf []byte }

func (o *object) name(name string) {
	if o.buf == nil {
		o.buf = append(make([]byte, 0, 1024), '{')
	} else {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(appendString(o.buf, name), ':')
}

func (o *object) text(name, v string) {
	o.name(name)
	o.buf = appendString(o.buf, v)
}

func (o *object) orNull(name, v string) {
	if v == "" {
		o.null(name)
	} else {
		o.text(name, v)
	}
}

func (o *object) null(name string) {
	o.name(name)
	o.buf = append(o.buf, "null"...)
}

func (o *object) number(name string, v int64) {
	o.name(name)
	o.buf = strconv.AppendInt(o.buf, v, 10)
}

func (o *object) numberOrNull(name string, v *int64) {
	if v == nil {
		o.null(name)
	} else {
		o.number(name, *v)
	}
}

func (o *object) truth(name string, v bool) {
	o.name(name)
	o.buf = strconv.AppendBool(o.buf, v)
}

func (o *object) texts(name string, list []string) {
	o.name(name)
	o.buf = append(o.buf, '[')
	for i, s := range list {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = appendString(o.buf, s)
	}
	o.buf = append(o.buf, ']')
}

func (o *object) end() []byte { return append(o.buf, '}') }

// appendString appends s as encoding/json writes it. What is plain is copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return append(b, encode(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func encode(v string) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings get here
	}
	return b
}

// timestamp is a time in Glance's form: UTC, whole seconds.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

type memberDocument struct {
	MemberID  string              `json:"member_id"`
	ImageID   string              `json:"image_id"`
	Status    images.MemberStatus `json:"status"`
	CreatedAt string              `json:"created_at"`
	UpdatedAt string              `json:"updated_at"`
	Schema    string              `json:"schema"`
}

func member(m images.Member) memberDocument {
	return memberDocument{m.ProjectID, m.ImageID, m.Status, timestamp(m.CreatedAt), timestamp(m.UpdatedAt), "/v2/schemas/member"}
}

type uploadDocument struct {
	ID         string              `json:"id"`
	ImageID    string              `json:"image_id"`
	State      images.UploadState  `json:"state"`
	Mode       images.UploadMode   `json:"mode"`
	Size       int64               `json:"size"`
	PartSize   int64               `json:"part_size"`
	Parts      int                 `json:"parts"`
	CreatedAt  string              `json:"created_at"`
	ExpiresAt  string              `json:"expires_at"`
	Signed     []signedDocument    `json:"signed"`
	Have       []partDocument      `json:"have"`
	Validation *validationDocument `json:"validation,omitempty"`
	Rejection  *images.Rejection   `json:"rejection,omitempty"`
}

type signedDocument struct {
	Number int   `json:"number"`
	Size   int64 `json:"size"`
	requestDocument
}

// requestDocument is a request that the holder may make as it stands.
type requestDocument struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	ExpiresAt string            `json:"expires_at"`
}

type partDocument struct {
	Number int   `json:"number"`
	Size   int64 `json:"size"`
}

// validationDocument is how far an examination got.
type validationDocument struct {
	Phase  images.Phase `json:"phase"`
	Hashed int64        `json:"hashed"` // bytes
	Total  int64        `json:"total"`  // bytes
}

func progress(u *images.Upload) *validationDocument {
	if u.Validation == nil || u.Object == nil {
		return nil
	}
	return &validationDocument{u.Validation.Phase, u.Validation.Hashed, u.Object.Size}
}

// verdictDocument is what is known of the bytes that were sent last, if any were: how far their examination is, why they were refused, or what was found.
type verdictDocument struct {
	ImageID   string              `json:"image_id"`
	UploadID  string              `json:"upload_id,omitempty"`
	State     images.UploadState  `json:"state,omitempty"`
	Progress  *validationDocument `json:"progress,omitempty"`
	Rejection *images.Rejection   `json:"rejection,omitempty"`
	Report    *images.Report      `json:"report,omitempty"`
}

func verdict(i *images.Image) verdictDocument {
	u := i.Upload
	if u == nil {
		return verdictDocument{ImageID: i.ID}
	}
	return verdictDocument{i.ID, u.ID, u.Shown(), progress(u), u.Rejection, u.Report}
}

func upload(v *images.UploadView) uploadDocument {
	u := v.Upload
	d := uploadDocument{ID: u.ID, ImageID: v.Image.ID, State: u.Shown(), Mode: u.Mode, Size: u.Size, PartSize: u.PartSize, Parts: u.Parts,
		CreatedAt: timestamp(u.CreatedAt), ExpiresAt: timestamp(u.ExpiresAt), Rejection: u.Rejection, Validation: progress(u),
		Signed: []signedDocument{}, Have: []partDocument{}}
	for _, p := range v.Signed {
		d.Signed = append(d.Signed, signedDocument{p.Number, p.Size, request(p.SignedRequest)})
	}
	for _, p := range v.Parts {
		d.Have = append(d.Have, partDocument{p.Number, p.Size})
	}
	return d
}

func request(r images.SignedRequest) requestDocument {
	d := requestDocument{Method: r.Method, URL: r.URL, Headers: map[string]string{}, ExpiresAt: timestamp(r.Expires)}
	for name := range r.Header {
		d.Headers[name] = strings.Join(r.Header[name], ", ")
	}
	return d
}
