package s3engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

// Names of attributes. All but the last three are those of versitygw's posix backend, which reads them.
const (
	attrETag      = "etag" // with quotes
	attrChecksums = "checksums"
	attrMetadata  = "metadata"
	attrTags      = "X-Amz-Tagging"
	attrParts     = "mp-metadata"
	attrUpload    = "bullion-upload"  // the multipart upload that made the object
	attrCRC       = "bullion-crc"     // what the CRC-64/NVME of that object must be, as S3 writes it
	attrDigests   = "bullion-digests" // both hashes of the whole object, JSON of type digests
)

// attributes keeps the metadata of objects in extended attributes, as versitygw does, except where those do
// not fit: on ext4 all attributes of a file share one block of 4 KiB (G1).
type attributes struct{ meta.XattrMeta }

// StoreAttribute replaces an attribute of the open file f, or of the file bucket/object when f is nil.
func (a attributes) StoreAttribute(f *os.File, bucket, object, name string, value []byte) error {
	err := a.XattrMeta.StoreAttribute(f, bucket, object, name, value)
	if !errors.Is(err, s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)) {
		return err
	}
	if name == attrParts {
		return nil // only reads by part number need it
	}
	// The kernel has one word for two matters: a full disk and a full block of attributes.
	var fs unix.Statfs_t
	if f != nil {
		if unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Bavail > 0 {
			return s3err.GetMetadataTooLargeErr(len(value), 2048)
		}
	} else if unix.Statfs(filepath.Join(bucket, object), &fs) == nil && fs.Bavail > 0 {
		return s3err.GetMetadataTooLargeErr(len(value), 2048)
	}
	return err
}

// properties are what an uploader says about an object; they become attributes.
type properties struct {
	ContentType             string            `json:"content_type,omitempty"`
	ContentEncoding         string            `json:"content_encoding,omitempty"`
	ContentLanguage         string            `json:"content_language,omitempty"`
	ContentDisposition      string            `json:"content_disposition,omitempty"`
	CacheControl            string            `json:"cache_control,omitempty"`
	Expires                 string            `json:"expires,omitempty"`
	WebsiteRedirectLocation string            `json:"website_redirect_location,omitempty"`
	Metadata                map[string]string `json:"metadata,omitempty"`
	Tags                    map[string]string `json:"tags,omitempty"`
}

// describe writes all attributes of an object to its file, which nobody can see yet.
func (v *vault) describe(f *os.File, p properties, etag string, sums s3response.Checksum) error {
	set := func(name string, value []byte) error {
		if err := v.attrs.StoreAttribute(f, "", "", name, value); err != nil {
			if isS3(err) {
				return err
			}
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
		return nil
	}
	for _, a := range []struct{ name, value string }{
		{attrETag, etag},
		{"content-type", p.ContentType},
		{"content-encoding", p.ContentEncoding},
		{"content-language", p.ContentLanguage},
		{"content-disposition", p.ContentDisposition},
		{"cache-control", p.CacheControl},
		{"expires", p.Expires},
		{"website-redirect-location", p.WebsiteRedirectLocation},
	} {
		if a.value == "" {
			continue
		}
		if err := set(a.name, []byte(a.value)); err != nil {
			return err
		}
	}
	for _, a := range []struct {
		name  string
		value any
		keep  bool
	}{
		{attrChecksums, sums, sums.Algorithm != ""},
		{attrMetadata, p.Metadata, len(p.Metadata) > 0},
		{attrTags, p.Tags, p.Tags != nil},
	} {
		if !a.keep {
			continue
		}
		b, err := json.Marshal(a.value)
		if err != nil {
			return fmt.Errorf("encode attribute %s: %w", a.name, err)
		}
		if err := set(a.name, b); err != nil {
			return err
		}
	}
	return nil
}

// attribute reads an attribute of the file at path; it is empty when the file or the attribute is missing.
func (v *vault) attribute(path, name string) string {
	b, err := v.attrs.RetrieveAttribute(nil, "", path, name)
	if err != nil {
		return ""
	}
	return string(b)
}
