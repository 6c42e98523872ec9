// Package versioned runs the contract of images.Blobs in a bucket that keeps versions, as on AWS. The embedded engine has none, so this is versitygw as it comes;
// it is a package of its own because a process can run one engine only.
package versioned

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"

	"bullion/internal/proctest"
	"bullion/internal/s3store"
	"bullion/internal/s3store/blobtest"
)

const accessKey, secretKey, region = "blobtest", "a secret of tests alone", "us-east-1"

var endpoint string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "versioned")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	objects, versions := filepath.Join(dir, "objects"), filepath.Join(dir, "versions")
	if err := errors.Join(os.Mkdir(objects, 0o700), os.Mkdir(versions, 0o700)); err != nil {
		return 0, err
	}
	files, err := posix.New(objects, meta.XattrMeta{}, posix.PosixOpts{VersioningDir: versions, CopyObjectThreshold: 5 << 30})
	if err != nil {
		return 0, err
	}
	addr, err := proctest.FreeAddr()
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- embedgw.RunVersityGW(ctx, files, &embedgw.Config{
			RootUserAccess: accessKey, RootUserSecret: secretKey, Region: region, Ports: []string{addr},
			MaxConnections: 1024, MaxRequests: 512, MultipartMaxParts: 10_000, Quiet: true, DisableACLs: true,
			IAMService: auth.NewIAMServiceSingle(auth.Account{Access: accessKey, Secret: secretKey, Role: auth.RoleAdmin}),
			S3Options:  []s3api.Option{s3api.WithOnListen(func() { close(ready) })},
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		return 0, fmt.Errorf("the engine did not start: %w", err)
	}
	endpoint = "http://" + addr
	code := m.Run()
	stop()
	return code, <-ended
}

var buckets atomic.Int32

func TestBlobsInABucketWithVersions(t *testing.T) {
	blobtest.RunObjects(t, func(t *testing.T) blobtest.Bucket {
		client, err := s3store.NewClient(s3store.Config{Endpoint: endpoint, Region: region, AccessKey: accessKey, SecretKey: secretKey, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("bucket-%d", buckets.Add(1))
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		}); err != nil {
			t.Fatal(err)
		}
		store, err := s3store.New(client, name, s3store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return blobtest.Bucket{Blobs: store, Name: name, Raw: client, Versioned: true}
	})
}
