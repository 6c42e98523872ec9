package s3store

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/images"
)

// List calls yield for the objects whose keys begin with prefix and come after the key, in the order of keys, until it returns false. Only the current
// version of an object is in the list.
func (s *Store) List(ctx context.Context, prefix, after string, yield func(images.Stored) bool) error {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: optional(prefix), StartAfter: optional(after)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fault(err, "list", prefix)
		}
		for _, o := range page.Contents {
			if !yield(images.Stored{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified).UTC()}) {
				return nil
			}
		}
	}
	return nil
}

// ListMultipart calls yield for the multipart uploads that are open, of keys that begin with prefix and come after the key, in the order of keys, until it returns false.
func (s *Store) ListMultipart(ctx context.Context, prefix, after string, yield func(images.OpenMultipart) bool) error {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: optional(prefix), KeyMarker: optional(after)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fault(err, "list multipart uploads of", prefix)
		}
		for _, u := range page.Uploads {
			if !yield(images.OpenMultipart{Key: aws.ToString(u.Key), S3Upload: aws.ToString(u.UploadId), Started: aws.ToTime(u.Initiated).UTC()}) {
				return nil
			}
		}
	}
	return nil
}
