package s3engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// vault is the backend that versitygw serves: its posix backend, with our own way in for bytes.
type vault struct {
	*posix.Posix
	cfg     Config
	attrs   attributes
	root    string // Dir/objects
	staging string // Dir/uploads
	keys    keyLocks

	uploadsMu sync.Mutex
	uploads   map[string]*upload // open multipart uploads by id

	jobsMu sync.Mutex
	jobs   map[string]*job // hashes being computed, by key and ETag

	chasing chan struct{} // a token for each hash job that runs, to bound memory and threads

	life     context.Context // ends when the server stops
	stopLife context.CancelFunc
	work     sync.WaitGroup // goroutines that outlive a request
	last     atomic.Int64   // the time of the last event, see now
}

var _ backend.Backend = (*vault)(nil)

func (v *vault) String() string { return "bullion" }

// stop ends the work in the background and waits for it.
func (v *vault) stop() {
	v.stopLife()
	v.work.Wait()
}

// path is the file of an object.
func (v *vault) path(bucket, key string) string { return filepath.Join(v.root, bucket, key) }

// now is the time, but never the same twice nor earlier than before, so that it can order events of one key.
func (v *vault) now() time.Time {
	for {
		last := v.last.Load()
		next := max(time.Now().UnixNano(), last+1)
		if v.last.CompareAndSwap(last, next) {
			return time.Unix(0, next).UTC()
		}
	}
}

// created tells the host about an object. The request may be over by the time the host has written its outbox
// row, so the context is not the request's.
func (v *vault) created(o Object) {
	if v.cfg.Created == nil {
		return
	}
	if err := v.cfg.Created(context.WithoutCancel(v.life), o); err != nil {
		v.cfg.Log.Error("an object was stored but its event was not; a reconcile has to find it",
			"bucket", o.Bucket, "key", o.Key, "event", o.EventName, "error", err)
	}
}

// answer turns err into what a client is told. Unknown errors are logged here, since versitygw would print them.
func (v *vault) answer(op, key string, err error) error {
	switch {
	case err == nil || isS3(err):
		return err
	case full(err):
		v.cfg.Log.Error("the disk is full", "operation", op, "key", strings.Clone(key), "dir", v.cfg.Dir)
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice) // 507, which the AWS SDKs do not retry
	case unwritable(err):
		v.cfg.Log.Error("the disk cannot be written", "operation", op, "key", strings.Clone(key), "dir", v.cfg.Dir, "error", err)
		return readOnly
	case errors.Is(err, syscall.ENAMETOOLONG):
		return s3err.GetKeyTooLongErr(int64(len(key)), 1024)
	case v.life.Err() != nil:
		return stopping
	}
	v.cfg.Log.Error("the S3 server failed", "operation", op, "key", strings.Clone(key), "error", err)
	return s3err.GetAPIError(s3err.ErrInternalError)
}

var (
	stopping = s3err.APIError{Code: "ServiceUnavailable", Description: "The server is stopping; try again.", HTTPStatusCode: 503}
	readOnly = s3err.APIError{Code: "StorageReadOnly", Description: "The disk of the storage cannot be written; an operator must look at it.", HTTPStatusCode: http.StatusInsufficientStorage}
	tooSlow  = s3err.APIError{Code: "RequestTimeout", Description: "Your socket connection to the server was not read from or written to within the timeout period.", HTTPStatusCode: 400}
)

func isS3(err error) bool {
	_, ok := err.(s3err.S3Error) // versitygw does not unwrap either
	return ok
}

// checkKey refuses keys that a file cannot have of its own.
func checkKey(key string) error {
	clean := path.Clean("/" + key)[1:]
	first, _, _ := strings.Cut(clean, "/")
	if key == "" || clean != strings.TrimSuffix(key, "/") || first == posix.MetaTmpDir {
		return s3err.APIError{
			Code:           "InvalidArgument",
			Description:    "This key cannot be stored: it must not be empty, begin with / or " + posix.MetaTmpDir + ", or contain empty, . or .. segments.",
			HTTPStatusCode: 400,
		}
	}
	return nil
}

func (v *vault) checkBucket(bucket string) error {
	if _, err := os.Stat(filepath.Join(v.root, bucket)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return s3err.GetBucketErr(s3err.ErrNoSuchBucket, strings.Clone(bucket))
		}
		return fmt.Errorf("stat bucket: %w", err)
	}
	return nil
}

// keyLocks serialise writers of one key, across all ways to write it.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	mu    sync.Mutex
	users int
}

// lock waits for the key and returns how to let it go.
func (k *keyLocks) lock(bucket, key string) (unlock func()) {
	name := bucket + "/" + key // a new string: the parts may belong to a request (G5)
	k.mu.Lock()
	l, ok := k.held[name]
	if !ok {
		l = &keyLock{}
		k.held[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.held, name)
		}
	}
}

// preconditions evaluates If-Match and If-None-Match against the object as it is; hold the key's lock to act on it.
func (v *vault) preconditions(bucket, key string, ifMatch, ifNoneMatch *string) error {
	if ifMatch == nil && ifNoneMatch == nil {
		return nil
	}
	name := v.path(bucket, key)
	fi, err := os.Stat(name)
	exists := err == nil && !fi.IsDir()
	return backend.EvaluateObjectPutPreconditions(v.attribute(name, attrETag), ifMatch, ifNoneMatch, exists)
}

// CopyObject adds what posix leaves out: conditional writes, and the event.
func (v *vault) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	bucket, key := deref(in.Bucket), deref(in.Key)
	if err := checkKey(key); err != nil {
		return s3response.CopyObjectOutput{}, err
	}
	defer v.keys.lock(bucket, key)()
	// versitygw does not hand these headers to its backends.
	var ifMatch, ifNoneMatch *string
	if rc, ok := ctx.(*fasthttp.RequestCtx); ok {
		ifMatch, ifNoneMatch = header(rc, "If-Match"), header(rc, "If-None-Match")
	}
	if err := v.preconditions(bucket, key, ifMatch, ifNoneMatch); err != nil {
		return s3response.CopyObjectOutput{}, err
	}
	out, err := v.Posix.CopyObject(ctx, in)
	if err != nil {
		return out, v.answer("CopyObject", key, err)
	}
	o := Object{Bucket: strings.Clone(bucket), Key: strings.Clone(key), EventName: "ObjectCreated:Copy", At: v.now()}
	name := v.path(bucket, key)
	o.ETag = strings.Trim(v.attribute(name, attrETag), `"`)
	if fi, err := os.Stat(name); err == nil {
		o.Size = fi.Size()
	}
	v.created(o)
	return out, nil
}

func header(rc *fasthttp.RequestCtx, name string) *string {
	b := rc.Request.Header.Peek(name)
	if b == nil {
		return nil
	}
	s := strings.Trim(string(b), `" `)
	return &s
}

// DeleteObject removes an object; a hash job on it stops.
func (v *vault) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	bucket, key := deref(in.Bucket), deref(in.Key)
	defer v.keys.lock(bucket, key)()
	out, err := v.Posix.DeleteObject(ctx, in)
	if err == nil {
		v.forget(bucket, key)
	}
	return out, v.answer("DeleteObject", key, err)
}

// DeleteObjects removes objects; hash jobs on them stop.
func (v *vault) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	for _, o := range in.Delete.Objects {
		defer v.forget(deref(in.Bucket), deref(o.Key))
	}
	out, err := v.Posix.DeleteObjects(ctx, in)
	return out, v.answer("DeleteObjects", "", err)
}

// The methods below are posix's, except that their errors are logged rather than printed (G7). The first four
// are part of every request.

func (v *vault) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	out, err := v.Posix.GetBucketAcl(ctx, in)
	return out, v.answer("GetBucketAcl", "", err)
}

func (v *vault) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	out, err := v.Posix.GetBucketPolicy(ctx, bucket)
	return out, v.answer("GetBucketPolicy", "", err)
}

func (v *vault) GetObjectLockConfiguration(ctx context.Context, bucket string) ([]byte, error) {
	out, err := v.Posix.GetObjectLockConfiguration(ctx, bucket)
	return out, v.answer("GetObjectLockConfiguration", "", err)
}

func (v *vault) GetBucketCors(ctx context.Context, bucket string) ([]byte, error) {
	out, err := v.Posix.GetBucketCors(ctx, bucket)
	return out, v.answer("GetBucketCors", "", err)
}

func (v *vault) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	out, err := v.Posix.GetObject(ctx, in)
	return out, v.answer("GetObject", deref(in.Key), err)
}

func (v *vault) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	out, err := v.Posix.HeadObject(ctx, in)
	return out, v.answer("HeadObject", deref(in.Key), err)
}

func (v *vault) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	out, err := v.Posix.ListObjects(ctx, in)
	return out, v.answer("ListObjects", deref(in.Prefix), err)
}

func (v *vault) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	out, err := v.Posix.ListObjectsV2(ctx, in)
	return out, v.answer("ListObjectsV2", deref(in.Prefix), err)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
