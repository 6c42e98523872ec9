package s3store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/images"
)

// Head says what object is at the key now.
func (s *Store) Head(ctx context.Context, key string) (images.Blob, error) {
	b, _, err := s.head(ctx, key, "")
	return b, err
}

// head is Head of one version when it is named, with the metadata of the object.
func (s *Store) head(ctx context.Context, key, version string) (images.Blob, map[string]string, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, VersionId: optional(version)})
	if err != nil {
		return images.Blob{}, nil, fault(err, "head", key)
	}
	return images.Blob{Key: key, VersionID: pinned(out.VersionId), ETag: unquote(out.ETag), Size: aws.ToInt64(out.ContentLength)}, out.Metadata, nil
}

// Range reads n bytes of exactly this object from off. Its error is NotFound when the object is gone or the one at the key is
// another. The reader is good for as long as ctx lives; it ends with io.ErrUnexpectedEOF when the connection breaks.
func (s *Store) Range(ctx context.Context, b images.Blob, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 || off > b.Size || n > b.Size-off {
		return nil, images.Errorf(images.BadRange, "The bytes %d to %d are not in an object of %d.", off, off+n-1, b.Size)
	}
	if n == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.bucket, Key: &b.Key, VersionId: optional(b.VersionID), IfMatch: aws.String(`"` + b.ETag + `"`),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1)),
	})
	switch code(err) {
	case "PreconditionFailed", "InvalidRange", "MethodNotAllowed": // another object; another and shorter one; a version that is a delete marker
		return nil, images.Wrap(images.NotFound, err, "The object at %s is another one now", b.Key)
	}
	if err != nil {
		return nil, fault(err, "read", b.Key)
	}
	if got := aws.ToInt64(out.ContentLength); got != n {
		out.Body.Close()
		return nil, fmt.Errorf("s3store: read %s: asked for %d bytes from %d, the answer has %d", b.Key, n, off, got)
	}
	return out.Body, nil
}

// Delete removes every version of the object at the key, and the marks that earlier deletes left.
func (s *Store) Delete(ctx context.Context, key string) error {
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		switch code(err) {
		case "NotImplemented", "VersioningNotConfigured": // an engine without versions
			return s.deleteVersion(ctx, key, "")
		}
		if err != nil {
			return fault(err, "list versions of", key)
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Key) == key {
				err = s.deleteVersion(ctx, key, aws.ToString(v.VersionId))
			}
			if err != nil {
				return err
			}
		}
		for _, m := range page.DeleteMarkers {
			if aws.ToString(m.Key) == key {
				err = s.deleteVersion(ctx, key, aws.ToString(m.VersionId))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) deleteVersion(ctx context.Context, key, version string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, VersionId: optional(version)})
	if err = fault(err, "delete", key); images.KindOf(err) == images.NotFound {
		return nil
	}
	return err
}

// pinned is a version id that names one object for ever; the version null of a bucket without versions, or with versions
// suspended, does not.
func pinned(version *string) string {
	if v := aws.ToString(version); v != "null" {
		return v
	}
	return ""
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
