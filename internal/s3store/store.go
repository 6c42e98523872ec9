package s3store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/images"
)

// Options are the choices of a Store. The zero value is right for AWS.
type Options struct {
	// PublicEndpoint is the URL by which clients reach S3 when it is not the one by which the service does, as https://s3.example.org. The host
	// is part of a signature: a request that was signed for one host is refused by another.
	// With virtual-hosted addressing the bucket is put before the host.
	PublicEndpoint string
	// Buffers is how many parts one Put holds in memory, one of them being read while the others are sent; 2 when it is 0. A part has 16 MiB unless the stream is
	// larger than 156 GiB, or has no known length and is larger than 31 GiB.
	Buffers int
}

// Store is one bucket. Its methods may be called from many goroutines at once.
type Store struct {
	bucket  string
	client  *s3.Client
	presign *s3.PresignClient
	buffers int
	sending []func(*s3.Options) // for requests with a body
	pool    sync.Pool           // of *[]byte, each of one part
}

var _ images.Blobs = (*Store)(nil)

// New makes a Store of a bucket, which must exist; Check tells. It reaches S3 with the client's endpoint, credentials, retries and addressing.
func New(client *s3.Client, bucket string, o Options) (*Store, error) {
	if bucket == "" {
		return nil, errors.New("s3store: the name of the bucket is empty")
	}
	if o.Buffers < 0 {
		return nil, fmt.Errorf("s3store: Buffers must be at least 1, or 0 for the default; it is %d", o.Buffers)
	}
	own := client.Options()
	// By default the SDK adds a CRC32 to what it sends, and asks for one when a multipart upload is created. A client with a presigned request
	// could send neither; Put asks for its checksums itself.
	own.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	// The checksum of a whole object says nothing about a range of it.
	own.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	public := own.Copy()
	if o.PublicEndpoint != "" {
		u, err := url.Parse(o.PublicEndpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("s3store: PublicEndpoint must be a URL such as https://s3.example.org, not %q", o.PublicEndpoint)
		}
		public.BaseEndpoint = aws.String(strings.TrimSuffix(o.PublicEndpoint, "/"))
	}
	s := &Store{
		bucket:  bucket,
		client:  s3.New(own),
		presign: s3.NewPresignClient(s3.New(public)),
		buffers: cmp.Or(o.Buffers, 2),
	}
	if private(own.BaseEndpoint) {
		s.sending = append(s.sending, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	}
	s.pool.New = func() any { b := make([]byte, bufferSize); return &b }
	return s, nil
}

// Check asks whether the bucket is there and may be listed.
func (s *Store) Check(ctx context.Context) error {
	if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket}); err != nil {
		return images.Wrap(images.Unavailable, err, "The storage of images does not answer")
	}
	return nil
}

// private says whether nobody can be between the service and S3: it is TLS, or on the same machine. Then a body need not be signed: computing its SHA-256,
// here and in the engine, would take a quarter of the processor time of an upload. Its CRC32 guards against accidents.
func private(endpoint *string) bool {
	u, err := url.Parse(aws.ToString(endpoint))
	if err != nil || u.Scheme != "http" {
		return err == nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
