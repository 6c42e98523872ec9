package simulation

import (
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/s3store"
	"bullion/internal/s3store/blobtest"
)

func TestTheStorageKeepsTheContract(t *testing.T) {
	server := httptest.NewServer(newStorage(time.Now))
	t.Cleanup(server.Close)
	var buckets atomic.Int32
	blobtest.Run(t, func(t *testing.T) blobtest.Bucket {
		client, err := s3store.NewClient(s3store.Config{Endpoint: server.URL, Region: storageRegion, AccessKey: storageKey, SecretKey: storageSecret, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("bucket-%d", buckets.Add(1))
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
		blobs, err := s3store.New(client, name, s3store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return blobtest.Bucket{Blobs: blobs, Name: name, Raw: client}
	})
}
