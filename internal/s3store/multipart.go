package s3store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"bullion/internal/images"
)

// Metadata of an object, under x-amz-meta-.
const (
	metaPartSize = "bullion-part-size" // bytes of every part but the last, decimal
	metaPut      = "bullion-put"       // random, by which a Put knows its object
)

// completeWithin bounds a completion: S3 needs minutes for 10,000 parts, an engine that copies them longer. The caller's context may end it sooner.
const completeWithin = time.Hour

// How AbortMultipart insists: parts that are on their way when an upload is aborted may still be stored.
const (
	abortTries = 10
	abortPause = 100 * time.Millisecond // before the second try, doubled each time up to
	abortRest  = 3 * time.Second
)

// CreateMultipart opens a multipart upload of equal parts of partSize bytes and returns its S3 id.
func (s *Store) CreateMultipart(ctx context.Context, key string, partSize int64) (string, error) {
	return s.createMultipart(ctx, &s3.CreateMultipartUploadInput{
		Key: &key, Metadata: map[string]string{metaPartSize: strconv.FormatInt(partSize, 10)},
	})
}

func (s *Store) createMultipart(ctx context.Context, in *s3.CreateMultipartUploadInput) (string, error) {
	in.Bucket, in.ContentType = &s.bucket, aws.String(contentType)
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", fault(err, "create multipart upload of", *in.Key)
	}
	return aws.ToString(out.UploadId), nil
}

// Parts lists the parts that S3 has, in order, at most 10,000.
func (s *Store) Parts(ctx context.Context, key, s3Upload string) ([]images.Part, error) {
	var parts []images.Part
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.bucket, Key: &key, UploadId: &s3Upload})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(err, "list parts of", key)
		}
		for _, p := range page.Parts {
			parts = append(parts, images.Part{Number: int(aws.ToInt32(p.PartNumber)), ETag: unquote(p.ETag), Size: aws.ToInt64(p.Size)})
		}
	}
	return parts, nil
}

// CompleteMultipart makes one object of the parts, and looks at it: an answer alone is not taken for an object.
func (s *Store) CompleteMultipart(ctx context.Context, key, s3Upload string, parts []images.Part) (images.Blob, error) {
	var size int64
	done := make([]types.CompletedPart, len(parts))
	for n, p := range parts {
		done[n] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: aws.String(`"` + p.ETag + `"`)}
		size += p.Size
	}
	return s.complete(ctx, key, s3Upload, done, size)
}

func (s *Store) complete(ctx context.Context, key, s3Upload string, parts []types.CompletedPart, size int64) (images.Blob, error) {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	out, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: &s3Upload, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return images.Blob{}, fault(err, "complete multipart upload of", key)
	}
	b, _, err := s.head(ctx, key, pinned(out.VersionId))
	if err != nil {
		return images.Blob{}, err
	}
	if b.Size != size {
		return images.Blob{}, fmt.Errorf("s3store: complete multipart upload of %s: the object has %d bytes, its parts have %d", key, b.Size, size)
	}
	return b, nil
}

// AbortMultipart frees the parts. It repeats until S3 knows nothing of the upload.
func (s *Store) AbortMultipart(ctx context.Context, key, s3Upload string) error {
	pause := abortPause
	for try := 1; ; try++ {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: &s3Upload})
		if err == nil {
			_, err = s.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &s.bucket, Key: &key, UploadId: &s3Upload, MaxParts: aws.Int32(1)})
		}
		switch {
		case code(err) == "NoSuchUpload":
			return nil
		case err != nil:
			return fault(err, "abort multipart upload of", key)
		case try == abortTries:
			return images.Errorf(images.Unavailable, "The storage still holds parts of the upload; try again")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("s3store: abort multipart upload of %s: %w", key, ctx.Err())
		case <-time.After(pause):
			pause = min(2*pause, abortRest)
		}
	}
}
