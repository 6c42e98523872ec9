package s3engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"golang.org/x/sys/unix"
)

// Config says where the server keeps its objects, where it listens and whom it tells of new objects.
type Config struct {
	// Dir is absolute and private to the user (0700); it is made when it does not exist. The file system
	// must have extended attributes (ext4, xfs, btrfs, tmpfs have).
	Dir string
	// Addr is host:port, the very host that presigned URLs name; the port is a number and not 0.
	Addr string
	// AccessKey and SecretKey are the only account.
	AccessKey, SecretKey string
	// Region that requests are signed for; us-east-1 when empty.
	Region string
	// Bucket is made when it does not exist.
	Bucket string
	// AllowedOrigins may PUT, GET and HEAD from a browser and read ETag. None when empty.
	AllowedOrigins []string
	// Created is called after an object became visible and before the client learns of it; what it
	// does must be durable when it returns. Its error is logged and the object stays: a reconcile at the
	// start of the host has to find it. A repeated Complete calls it again. May be nil.
	Created func(ctx context.Context, o Object) error
	// Sync flushes data to the disk before a success is answered; see the package comment.
	Sync bool
	// AbandonAfter aborts multipart uploads that were begun longer ago; zero keeps them.
	AbandonAfter time.Duration
	// Idle is how long a client may send nothing, before, in and after a request, and how long it may take for the head of one, until its connection ends; two minutes when 0.
	Idle time.Duration
	// Log receives what cannot be told to a client; slog.Default when nil.
	Log *slog.Logger
}

// Object is one object that became visible.
type Object struct {
	Bucket, Key string
	ETag        string // without quotes
	VersionID   string // empty: the bucket has no versions
	EventName   string // as in S3 event notifications: ObjectCreated:Put, :Post, :Copy, :CompleteMultipartUpload
	Size        int64  // bytes
	At          time.Time
}

const (
	maxConnections = 1024
	maxRequests    = 256 // at once; more wait
	patience       = 30 * time.Second
	maxParts       = 10_000
)

var running atomic.Bool

// Server is a running S3 server.
type Server struct {
	cfg     Config
	backend *vault
	done    chan struct{}
	err     error
}

// Start opens the directory, finishes what a crash left behind, makes the bucket and listens. The server is
// ready when Start returns and runs until ctx ends; Wait tells when it has stopped. It changes the working directory
// of the process (see the package comment). Errors are sentences that name the fix.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	lock, err := claim(cfg.Dir)
	if err != nil {
		return nil, err
	}
	release := func() { _ = lock.Close() } // closing drops the flock
	if err := free(cfg.Addr); err != nil {
		release()
		return nil, err
	}
	// Asked before open, which would change the working directory under the server that runs (G4, G9).
	if !running.CompareAndSwap(false, true) {
		release()
		return nil, errors.New("an S3 server is already running in this process: stop it first, or start another process")
	}
	release = func() { running.Store(false); _ = lock.Close() }
	v, err := open(ctx, cfg)
	if err != nil {
		release()
		return nil, err
	}

	s := &Server{cfg: cfg, backend: v, done: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(s.done)
		defer release()
		defer v.stop()
		stopped := make(chan struct{})
		defer context.AfterFunc(ctx, func() { hangUp(port(cfg.Addr), stopped) })()
		defer close(stopped)
		s.err = embedgw.RunVersityGW(ctx, v, s.gateway(ready))
	}()
	select {
	case <-ready:
		return s, nil
	case <-s.done:
		if s.err == nil {
			s.err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("the S3 server did not start on %s: %w", cfg.Addr, s.err)
	}
}

// Endpoint is the URL that clients are configured with, in path style.
func (s *Server) Endpoint() string { return "http://" + s.cfg.Addr }

// Wait blocks until the server has stopped, and returns why if that was not the end of its context.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

func (s *Server) gateway(ready chan<- struct{}) *embedgw.Config {
	root := auth.Account{Access: s.cfg.AccessKey, Secret: s.cfg.SecretKey, Role: auth.RoleAdmin}
	var gateway *s3api.S3ApiServer
	q := &queue{vault: s.backend, slots: make(chan struct{}, maxRequests), patience: patience}
	return &embedgw.Config{
		RootUserAccess:    root.Access,
		RootUserSecret:    root.Secret,
		Region:            s.cfg.Region,
		Ports:             []string{s.cfg.Addr},
		MaxConnections:    maxConnections,
		MaxRequests:       maxConnections, // so that all of them come to our queue
		MultipartMaxParts: maxParts,
		KeepAlive:         true,
		Quiet:             true,
		DisableACLs:       true,
		IAMService:        auth.NewIAMServiceSingle(root), // any other choice prints (G7)
		S3Options: []s3api.Option{
			s3api.WithMiddleware("/", refuseAdmin),
			s3api.WithMiddleware("/", q.serve),
			func(g *s3api.S3ApiServer) { gateway = g },
			s3api.WithOnListen(func() {
				server := httpServer(gateway)
				server.ReadTimeout, server.IdleTimeout = s.cfg.Idle, s.cfg.Idle // a body has its own (impatient)
				close(ready)
			}),
		},
	}
}

// httpServer is what versitygw serves with, before it does. It has no option for the time that a connection may be silent, and keeps its server to itself.
func httpServer(g *s3api.S3ApiServer) *fasthttp.Server {
	app := reflect.ValueOf(g).Elem().FieldByName("app")
	return (*fiber.App)(app.UnsafePointer()).Server()
}

// refuseAdmin keeps versitygw's admin API, which shares the port (G12), out of reach: all of it is PATCH,
// a method that S3 does not have.
func refuseAdmin(ctx fiber.Ctx) error {
	if ctx.Method() == fiber.MethodPatch {
		return ctx.SendStatus(fiber.StatusMethodNotAllowed)
	}
	return ctx.Next()
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func (c *Config) check() error {
	var errs []error
	if !filepath.IsAbs(c.Dir) {
		errs = append(errs, fmt.Errorf("the S3 server: Dir %q is not absolute: give the whole path", c.Dir))
	}
	if host, _, err := net.SplitHostPort(c.Addr); err != nil || host == "" || port(c.Addr) < 1 {
		errs = append(errs, fmt.Errorf("the S3 server: Addr %q is not host:port with a number that is not 0: presigned URLs name it, so it must be known before", c.Addr))
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		errs = append(errs, errors.New("the S3 server: AccessKey and SecretKey are needed: make a random pair and keep it with the configuration"))
	}
	if !bucketName.MatchString(c.Bucket) {
		errs = append(errs, fmt.Errorf("the S3 server: Bucket %q is not a name that S3 allows: use 3 to 63 lower-case letters, digits and dashes", c.Bucket))
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	c.Idle = cmp.Or(c.Idle, 2*time.Minute)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return errors.Join(errs...)
}

// claim makes dir and takes its lock.
func claim(dir string) (*os.File, error) {
	for _, d := range []string{dir, filepath.Join(dir, "objects"), filepath.Join(dir, "uploads")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("the S3 server cannot make %s: %w; choose a directory that this user may write", d, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the S3 server cannot make %s private: %w; choose a directory that belongs to this user", dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the S3 server cannot write in %s: %w; choose a directory that this user may write", dir, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process already serves %s: stop it, or choose another directory", dir)
		}
		return nil, fmt.Errorf("the S3 server cannot lock %s: %w; choose a directory on a local disk", dir, err)
	}
	// Not every file system that has attributes has those of users; find out before the first upload does.
	if err := unix.Fsetxattr(int(lock.Fd()), "user.bullion-test", []byte("x"), 0); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the file system of %s keeps no extended attributes (%w): choose a directory on ext4, xfs or btrfs", dir, err)
	}
	return lock, nil
}

// free finds out whether addr can be listened on, while the answer can still be a good sentence.
func free(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program: stop that program, or choose another port for the S3 server", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not listen on %s: choose a port above 1023 for the S3 server", addr)
	default:
		return fmt.Errorf("the S3 server cannot listen on %s: %w; choose an address of this machine", addr, err)
	}
}

func port(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(text)
	return n
}

// open builds the backend on cfg.Dir: sweeps, loads open uploads, makes the bucket.
func open(ctx context.Context, cfg Config) (*vault, error) {
	root := filepath.Join(cfg.Dir, "objects")
	opts := posix.PosixOpts{CopyObjectThreshold: 5 << 30, ForceNoObjLockFile: true}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	p, err := posix.New(root, attributes{}, opts)
	if err != nil {
		return nil, fmt.Errorf("the S3 server cannot open %s: %w", root, err)
	}
	v := &vault{
		Posix:   p,
		cfg:     cfg,
		root:    root,
		staging: filepath.Join(cfg.Dir, "uploads"),
		uploads: map[string]*upload{},
		jobs:    map[string]*job{},
		keys:    keyLocks{held: map[string]*keyLock{}},
		chasing: make(chan struct{}, chasers),
	}
	v.life, v.stopLife = context.WithCancel(context.WithoutCancel(ctx))
	stopWithCtx := context.AfterFunc(ctx, v.stopLife)
	fail := func(err error) (*vault, error) {
		stopWithCtx()
		v.stop()
		return nil, err
	}
	if err := v.sweep(); err != nil {
		return fail(fmt.Errorf("the S3 server cannot clean up %s: %w", cfg.Dir, err))
	}
	if err := v.loadUploads(); err != nil {
		return fail(fmt.Errorf("the S3 server cannot read its open uploads: %w", err))
	}
	if err := v.makeBucket(ctx); err != nil {
		return fail(fmt.Errorf("the S3 server cannot make bucket %s: %w", cfg.Bucket, err))
	}
	if cfg.AbandonAfter > 0 {
		v.work.Go(v.abandon)
	}
	return v, nil
}

func (v *vault) makeBucket(ctx context.Context) error {
	owner := auth.Account{Access: v.cfg.AccessKey, Role: auth.RoleAdmin}
	acl, err := json.Marshal(auth.ACL{Owner: owner.Access})
	if err != nil {
		return err
	}
	_, err = v.Posix.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &v.cfg.Bucket})
	if err == nil {
		// A crash between mkdir and the attribute leaves a directory that no request can use.
		if _, err := v.attrs.RetrieveAttribute(nil, "", filepath.Join(v.root, v.cfg.Bucket), "acl"); errors.Is(err, meta.ErrNoSuchKey) {
			if err := v.attrs.StoreAttribute(nil, "", filepath.Join(v.root, v.cfg.Bucket), "acl", acl); err != nil {
				return err
			}
		}
	} else {
		//lint:ignore SA1029 posix asks for this key
		err = v.Posix.CreateBucket(context.WithValue(ctx, "bucket-owner", owner), &s3.CreateBucketInput{ //nolint:staticcheck // the same, for golangci-lint
			Bucket:                    &v.cfg.Bucket,
			ObjectOwnership:           types.ObjectOwnershipBucketOwnerEnforced,
			CreateBucketConfiguration: &types.CreateBucketConfiguration{},
		}, acl)
		if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(v.root, v.cfg.Bucket, posix.MetaTmpDir), 0o700); err != nil {
		return err
	}
	return v.allowOrigins(ctx)
}

// allowOrigins replaces the CORS rules of the bucket by what the configuration says now.
func (v *vault) allowOrigins(ctx context.Context) error {
	if len(v.cfg.AllowedOrigins) == 0 {
		return v.Posix.PutBucketCors(ctx, v.cfg.Bucket, nil)
	}
	type rule struct {
		AllowedOrigin []string
		AllowedMethod []string
		AllowedHeader []string
		ExposeHeader  []string
		MaxAgeSeconds int
	}
	rules := struct {
		XMLName  xml.Name `xml:"CORSConfiguration"`
		CORSRule []rule
	}{CORSRule: []rule{{
		AllowedOrigin: v.cfg.AllowedOrigins,
		AllowedMethod: []string{"PUT", "GET", "HEAD"},
		AllowedHeader: []string{"*"},
		ExposeHeader:  []string{"ETag"},
		MaxAgeSeconds: 3600,
	}}}
	body, err := xml.Marshal(rules)
	if err != nil {
		return err
	}
	return v.Posix.PutBucketCors(ctx, v.cfg.Bucket, body)
}

// newID makes a random UUID, the form of upload id that versitygw's paging of uploads understands.
func newID() string {
	var b [16]byte
	_, _ = io.ReadFull(rand.Reader, b[:]) // crypto/rand does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
