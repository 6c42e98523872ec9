package images

import (
	"context"
	"io"
	"time"
)

// Blobs keeps the bytes: objects in one bucket of an S3 endpoint. Its one implementation is package s3store.
// Errors of kind NotFound say that the object or multipart upload is not there; others are faults of the store.
type Blobs interface {
	// PresignPut signs a PUT of exactly size bytes that fails when the object exists already.
	PresignPut(ctx context.Context, key string, size int64, ttl time.Duration) (SignedRequest, error)

	// CreateMultipart opens a multipart upload of equal parts of partSize bytes and returns its S3 id.
	CreateMultipart(ctx context.Context, key string, partSize int64) (s3Upload string, err error)
	// PresignPart signs a PUT of exactly size bytes as part n, counted from 1.
	PresignPart(ctx context.Context, key, s3Upload string, n int, size int64, ttl time.Duration) (SignedRequest, error)
	// Parts lists the parts that S3 has, in order: the truth about an upload.
	Parts(ctx context.Context, key, s3Upload string) ([]Part, error)
	// CompleteMultipart makes one object of the parts. It fails with Conflict when the object exists already, and NotFound when the multipart upload is
	// not there, as after an earlier complete: Head tells.
	CompleteMultipart(ctx context.Context, key, s3Upload string, parts []Part) (Blob, error)
	// AbortMultipart frees the parts and returns when none is left; it is no error when the upload is not there.
	AbortMultipart(ctx context.Context, key, s3Upload string) error

	// Put stores what r gives, at any length, and fails with Conflict when the object exists already. size is the length or -1.
	// When r fails nothing is left behind.
	Put(ctx context.Context, key string, r io.Reader, size int64) (Blob, error)

	// Head says what object is at the key now.
	Head(ctx context.Context, key string) (Blob, error)
	// Range reads n bytes of exactly this object from off; it fails when the object at the key is another one.
	Range(ctx context.Context, b Blob, off, n int64) (io.ReadCloser, error)
	// PresignGet signs a download of exactly this object, as an attachment of that file name.
	PresignGet(ctx context.Context, b Blob, filename string, ttl time.Duration) (SignedRequest, error)
	// Delete removes every version of the object at the key; it is no error when there is none.
	Delete(ctx context.Context, key string) error

	// List calls yield for the objects whose keys begin with prefix and come after the key, in the order of keys, until it returns false.
	List(ctx context.Context, prefix, after string, yield func(Stored) bool) error
	// ListMultipart calls yield for the multipart uploads that are open, of keys that begin with prefix and come after the key, in the order of keys, until it returns false.
	ListMultipart(ctx context.Context, prefix, after string, yield func(OpenMultipart) bool) error
}

// SignedRequest is a request that whoever holds it can make until it expires. It is a secret.
type SignedRequest struct {
	Method  string
	URL     string
	Header  map[string][]string // to be sent exactly so, Host left out
	Expires time.Time
}

// Part is one part that S3 has.
type Part struct {
	Number int
	ETag   string
	Size   int64 // bytes
}

// Stored is an object in a listing.
type Stored struct {
	Key      string
	Size     int64
	Modified time.Time
}

// OpenMultipart is a multipart upload in a listing.
type OpenMultipart struct {
	Key      string
	S3Upload string
	Started  time.Time
}
