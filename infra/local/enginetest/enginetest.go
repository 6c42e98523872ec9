// Package enginetest runs the tests of a package over the embedded S3 engine, which a process can run once.
package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"bullion/infra/local/s3engine"
	"bullion/internal/proctest"
	"bullion/internal/s3store"
)

const accessKey, secretKey, region, bucket = "test", "a secret of tests", "us-east-1", "images"

// endpoint is where the engine of this process answers.
var endpoint string

// Endpoint is where the engine answers, for Blobs in another process.
func Endpoint() string { return endpoint }

// Blobs are those of the engine that answers there.
func Blobs(endpoint string) (*s3store.Store, error) {
	client, err := s3store.NewClient(s3store.Config{Endpoint: endpoint, Region: region, AccessKey: accessKey, SecretKey: secretKey, PathStyle: true})
	if err != nil {
		return nil, err
	}
	return s3store.New(client, bucket, s3store.Options{})
}

// Main starts an engine with one bucket, hands its blobs to use, runs the tests, and returns their exit status.
func Main(m *testing.M, use func(*s3store.Store)) int {
	code, err := run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M, use func(*s3store.Store)) (code int, err error) {
	dir, err := os.MkdirTemp("", "enginetest-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	addr, err := proctest.FreeAddr()
	if err != nil {
		return 1, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	engine, err := s3engine.Start(ctx, s3engine.Config{Dir: filepath.Join(dir, "s3"), Addr: addr, AccessKey: accessKey, SecretKey: secretKey, Region: region, Bucket: bucket})
	if err != nil {
		return 1, err
	}
	endpoint = engine.Endpoint()
	blobs, err := Blobs(endpoint)
	if err != nil {
		return 1, err
	}
	use(blobs)
	code = m.Run()
	stop()
	return code, engine.Wait()
}
