package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/images"
)

// contentType is what every download says: nothing that a browser would run or show.
const contentType = "application/octet-stream"

// longestTTL is how long S3 lets a signature live.
const longestTTL = 7 * 24 * time.Hour

// PresignPut signs a PUT of exactly size bytes that fails with 412 when the object exists already.
func (s *Store) PresignPut(ctx context.Context, key string, size int64, ttl time.Duration) (images.SignedRequest, error) {
	if err := checkLength(size); err != nil {
		return images.SignedRequest{}, err
	}
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, ContentLength: &size, IfNoneMatch: aws.String("*")}
	return s.signed(ctx, ttl, "PUT "+key, func(expires func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error) {
		return s.presign.PresignPutObject(ctx, in, expires)
	})
}

// PresignPart signs a PUT of exactly size bytes as part n, counted from 1.
func (s *Store) PresignPart(ctx context.Context, key, s3Upload string, n int, size int64, ttl time.Duration) (images.SignedRequest, error) {
	if err := checkLength(size); err != nil {
		return images.SignedRequest{}, err
	}
	if n < 1 || n > images.MaxParts {
		return images.SignedRequest{}, fmt.Errorf("s3store: a part has a number from 1 to %d, not %d", images.MaxParts, n)
	}
	in := &s3.UploadPartInput{Bucket: &s.bucket, Key: &key, UploadId: &s3Upload, PartNumber: aws.Int32(int32(n)), ContentLength: &size}
	return s.signed(ctx, ttl, "part of "+key, func(expires func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error) {
		return s.presign.PresignUploadPart(ctx, in, expires)
	})
}

// PresignGet signs a download of exactly this object, as an attachment of that file name. Without a version id, it is the object at the key;
// see the package's comment for why that is the same.
func (s *Store) PresignGet(ctx context.Context, b images.Blob, filename string, ttl time.Duration) (images.SignedRequest, error) {
	in := &s3.GetObjectInput{
		Bucket: &s.bucket, Key: &b.Key, VersionId: optional(b.VersionID),
		ResponseContentType:        aws.String(contentType),
		ResponseContentDisposition: aws.String(attachment(filename)),
	}
	return s.signed(ctx, ttl, "GET "+b.Key, func(expires func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error) {
		return s.presign.PresignGetObject(ctx, in, expires)
	})
}

// signed presigns and says until when the request is good: for the ttl, or until the credentials end if that is known and sooner.
func (s *Store) signed(ctx context.Context, ttl time.Duration, what string,
	presign func(func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error)) (images.SignedRequest, error) {
	ttl = min(ttl.Truncate(time.Second), longestTTL)
	if ttl <= 0 {
		return images.SignedRequest{}, fmt.Errorf("s3store: presign %s: the time to live must be a second at least", what)
	}
	p, err := presign(s3.WithPresignExpires(ttl))
	if err != nil {
		return images.SignedRequest{}, fmt.Errorf("s3store: presign %s: %w", what, err)
	}
	header := p.SignedHeader.Clone()
	header.Del("Host")
	r := images.SignedRequest{Method: p.Method, URL: p.URL, Header: header}
	if r.Expires, err = expiry(p.URL); err != nil {
		return images.SignedRequest{}, fmt.Errorf("s3store: presign %s: %w", what, err)
	}
	if key, err := s.client.Options().Credentials.Retrieve(ctx); err == nil && key.CanExpire && key.Expires.Before(r.Expires) {
		r.Expires = key.Expires.UTC()
	}
	return r, nil
}

// expiry reads from a presigned URL when its signature ends.
func expiry(signed string) (time.Time, error) {
	u, err := url.Parse(signed)
	if err != nil {
		return time.Time{}, errors.New("the URL cannot be parsed") // not with its text: it is a secret
	}
	q := u.Query()
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil {
		return time.Time{}, err
	}
	d, err := time.ParseDuration(q.Get("X-Amz-Expires") + "s")
	if err != nil {
		return time.Time{}, err
	}
	return at.Add(d), nil
}

// checkLength bounds one PUT. A length of 0 could not be signed: the header would be left out.
func checkLength(size int64) error {
	if size < 1 || size > images.MaxPutSize {
		return fmt.Errorf("s3store: a PUT has 1 to %d bytes, not %d", int64(images.MaxPutSize), size)
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
