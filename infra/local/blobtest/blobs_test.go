// Package blobtest runs the contract of images.Blobs, and the failures that only S3 can cause, against the embedded S3 engine.
package blobtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/infra/local/s3engine"
	"bullion/internal/proctest"
	"bullion/internal/s3store"
	"bullion/internal/s3store/blobtest"
)

// endpoint is the one engine of this process: it cannot run twice in one. Each test has its own bucket.
var endpoint string

const accessKey, secretKey, region = "blobtest", "a secret of tests alone", "us-east-1"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "blobtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	addr, err := proctest.FreeAddr()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	engine, err := s3engine.Start(ctx, s3engine.Config{
		Dir: filepath.Join(dir, "s3"), Addr: addr, AccessKey: accessKey, SecretKey: secretKey, Region: region, Bucket: "unused",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	endpoint = "http://" + addr
	code := m.Run()
	stop()
	if err := engine.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

var buckets atomic.Int32

// open makes an empty bucket and a store of it that reaches S3 at the endpoint.
func open(t testing.TB, endpoint string, o s3store.Options) blobtest.Bucket {
	t.Helper()
	client := newClient(t, endpoint)
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	if _, err := client.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	store, err := s3store.New(client, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return blobtest.Bucket{Blobs: store, Name: name, Raw: client}
}

func newClient(t testing.TB, endpoint string) *s3.Client {
	t.Helper()
	client, err := s3store.NewClient(s3store.Config{Endpoint: endpoint, Region: region, AccessKey: accessKey, SecretKey: secretKey, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestBlobsOnTheEmbeddedEngine(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Bucket { return open(t, endpoint, s3store.Options{}) })
}
