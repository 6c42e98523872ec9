package simulation

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/internal/api"
	"bullion/internal/event"
	"bullion/internal/fetch"
	"bullion/internal/fetch/fetchtest"
	"bullion/internal/images"
	"bullion/internal/importer"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/validation"
)

const bucketName = "images"

// world is one run: the service as a host wires it, over a store of records, a storage in memory, and a source of imports.
type world struct {
	*schedule
	seed    uint64
	outside *outside
	truth   *truth
	storage *storage
	store   images.Store // without faults

	service   *images.Service
	validator *validation.Validator
	scrubber  *scrub.Scrubber
	importer  *importer.Importer
	handler   http.Handler
	source    *source

	hosted bool     // one machine serves everything; else each request has its own
	host   *machine // when hosted
	queue  [][]byte // events of the storage that are not handled
	known  []string // ids of images that users may have heard of
	files  []file
	users  []user
}

// user is who asks; its name is its token.
type user struct {
	images.Caller
	stranger bool // is never given anything
}

// file is what a user may send.
type file struct {
	name string
	body []byte
	hash string // SHA-512
	good bool
}

// raw makes n bytes that are no known format: a raw disk.
func raw(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b[min(n, 4096):])
	return b
}

var small, medium, large = raw(5000, 1), raw(9000, 2), raw(17<<20, 3)

// qcow2 claims to be raw.
var qcow2 = append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 6000)...)

func hashOf(b []byte) string {
	sum := sha512.Sum512(b)
	return hex.EncodeToString(sum[:])
}

var files = []file{{"small", small, hashOf(small), true}, {"medium", medium, hashOf(medium), true}, {"qcow2", qcow2, hashOf(qcow2), false}}

var largeFile = file{"large", large, hashOf(large), true}

// newWorld wires a run; it must be called in a bubble. Projects have the seed in their names: a store serves many runs.
func newWorld(seed uint64, store images.Store, out *outside) *world {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := &world{seed: seed, outside: out, store: store, schedule: &schedule{rnd: rnd}, files: files}
	w.truth = &truth{w: w, images: map[string]*fact{}, arrived: map[string]int{}, ending: map[string]int{}, outcomes: map[string]images.UploadState{}, codes: map[string]string{},
		promised: map[string]string{}, gaveUp: map[string]bool{}, gone: map[string]bool{}, contents: map[string]bool{}, usages: map[string]images.Usage{}}
	if seed%40 == 0 {
		w.files = append(w.files, largeFile)
	}
	for _, f := range w.files {
		w.truth.contents[f.hash] = f.good
	}
	w.hosted = rnd.IntN(2) == 0
	w.host = newMachine()
	if rnd.IntN(5) > 0 {
		w.faults = profile{refuse: rnd.IntN(60), lose: rnd.IntN(40), cut: rnd.IntN(40), crash: rnd.IntN(12), dropEvents: rnd.IntN(300), again: rnd.IntN(300)}
	}

	w.storage = newStorage(time.Now)
	w.storage.buckets[bucketName] = &bucketful{objects: map[string]*stored{}, uploads: map[string]*collected{}}
	w.storage.created = func(key string, o *stored) {
		w.queue, w.truth.arrived[key] = append(w.queue, notification(key, o)), w.step
	}
	w.storage.deleted = func(key string, _ *stored) { w.truth.deletedObject(key) }
	client := s3.New(s3.Options{
		Region: storageRegion, UsePathStyle: true, BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &wire{w},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: storageKey, SecretAccessKey: storageSecret}, nil
		}),
		Retryer: patient{},
	})
	blobs, err := s3store.New(client, bucketName, s3store.Options{})
	if err != nil {
		panic(err)
	}
	now := func() time.Time { return time.Now().Add(w.skew) }
	ids := rand.New(rand.NewPCG(seed, 2))
	newID := func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		a, b := ids.Uint64(), ids.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
	}
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	quota := images.Usage{Images: int64(2 + rnd.IntN(4)), Bytes: int64(10_000 + rnd.IntN(30_000)), InFlight: images.Unlimited, Uploads: int64(1 + rnd.IntN(3))}
	if seed%40 == 0 {
		quota.Bytes = 40 << 20
	}
	w.service = &images.Service{Store: &records{w, store}, Blobs: blobs, Policy: policy.Default(), Log: log, Now: now, NewID: newID,
		Limits: images.ServiceLimits{PutUpTo: 6000, Quota: &quota}.WithDefaults()}
	w.validator = &validation.Validator{Images: w.service, Log: log, NewID: newID, Now: now}
	if rnd.IntN(3) > 0 { // functions that carry no bytes do not examine
		w.service.Examine = w.validator.Run
	}
	w.source = newSource(w.files)
	exception, err := fetch.ParseException("127.0.0.1:8080")
	if err != nil {
		panic(err)
	}
	rules := fetch.Rules{Except: []fetch.Exception{exception}}
	w.service.CheckSource = func(uri string) error { _, err := rules.CheckURL(uri); return err }
	w.importer = &importer.Importer{Images: w.service, Log: log, NewID: newID, Now: now, Storage: &wire{w},
		Client: fetch.New(rules, fetch.Options{Dial: w.source.dial})}
	w.scrubber = &scrub.Scrubber{Images: w.service, Validator: w.validator, Log: log, Now: now}
	w.scrubber.Fetch = func(_ context.Context, id string) {
		w.serve("import "+short(id), func(ctx context.Context, _ *process) { _ = w.importer.Run(ctx, id) })
	}
	tokens := tokens{}
	for _, u := range []user{
		{Caller: images.Caller{UserID: "alice", ProjectID: "one", Roles: []string{"member", "reader"}}},
		{Caller: images.Caller{UserID: "amy", ProjectID: "one", Roles: []string{"member", "reader"}}},
		{Caller: images.Caller{UserID: "bob", ProjectID: "two", Roles: []string{"member", "reader"}}},
		{Caller: images.Caller{UserID: "eve", ProjectID: "three", Roles: []string{"member", "reader"}}, stranger: true},
		{Caller: images.Caller{UserID: "root", ProjectID: "zero", Roles: []string{"admin", "member", "reader"}}},
	} {
		u.ProjectID = fmt.Sprintf("%s-%d", u.ProjectID, seed)
		w.users = append(w.users, u)
		tokens[u.UserID] = u.Caller
	}
	w.handler = api.New(api.Config{Images: w.service, Auth: tokens, Log: log, AuthURL: "http://127.0.0.1/v3"})
	return w
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == "request_id" {
		return slog.Attr{}
	}
	return a
}

func (w *world) bucket() *bucketful { return w.storage.buckets[bucketName] }

var standard = retry.NewStandard()

// patient repeats a request three times, a little later each time, and always the same.
type patient struct{}

func (patient) IsErrorRetryable(err error) bool {
	return !errors.Is(err, errDead) && standard.IsErrorRetryable(err)
}
func (patient) MaxAttempts() int { return 3 }
func (patient) RetryDelay(attempt int, _ error) (time.Duration, error) {
	return time.Duration(attempt) * 50 * time.Millisecond, nil
}
func (patient) GetRetryToken(context.Context, error) (func(error) error, error) {
	return func(error) error { return nil }, nil
}
func (patient) GetInitialToken() func(error) error { return func(error) error { return nil } }
func (p patient) GetAttemptToken(context.Context) (func(error) error, error) {
	return p.GetInitialToken(), nil
}

// tokens are names of users.
type tokens map[string]images.Caller

func (t tokens) Verify(_ context.Context, token string) (images.Caller, error) {
	c, ok := t[token]
	if !ok {
		return c, images.Errorf(images.Unauthenticated, "The token is not known.")
	}
	return c, nil
}

// notification is what S3 says of a new object.
func notification(key string, o *stored) []byte {
	return fmt.Appendf(nil, `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":%q,"size":%d,"eTag":%q}}}]}`, url.QueryEscape(key), len(o.body), o.etag)
}

// lifetime is for how long a function runs.
const lifetime = 15 * time.Minute

// serve runs f as the service does: on the host, or as a function of its own, which ends after its time whatever it does.
func (w *world) serve(name string, f func(context.Context, *process)) {
	if w.hosted {
		if w.host.dead.Load() {
			w.host = newMachine()
		}
		w.start(w.host, name, f)
		return
	}
	m := newMachine()
	timer := time.AfterFunc(lifetime, m.kill)
	w.start(m, name, func(ctx context.Context, p *process) {
		defer timer.Stop()
		ctx, cancel := context.WithTimeout(ctx, lifetime)
		defer cancel()
		f(ctx, p)
	})
}

// deliver hands an event over, and keeps it when it was not handled.
func (w *world) deliver(n int) {
	payload := w.queue[n]
	w.queue = append(w.queue[:n:n], w.queue[n+1:]...)
	switch throw := w.rnd.IntN(1000); {
	case throw < w.faults.dropEvents:
		w.note("an event is lost")
		return
	case throw < w.faults.dropEvents+w.faults.again:
		w.queue = append(w.queue, payload)
	}
	w.serve("validate", func(ctx context.Context, p *process) {
		if err := event.HandleArrivals(ctx, payload, w.validator.Arrived); err != nil && !p.on.dead.Load() {
			w.mu.Lock()
			w.queue = append(w.queue, payload)
			w.mu.Unlock()
		}
	})
	w.settle()
}

// rounds are the rounds of scrub, each of which may run at any time.
func (w *world) round(name string) {
	w.serve(name, func(ctx context.Context, _ *process) {
		switch name {
		case "due":
			for more := true; more; {
				var err error
				if _, more, err = w.scrubber.Due(ctx); err != nil {
					return
				}
			}
		case "adopt":
			_, _ = w.scrubber.Adopt(ctx)
		case "parts":
			_, _ = w.scrubber.Parts(ctx)
		}
	})
	w.settle()
}

// source is where imports come from: a server that its client reaches without a network.
type source struct {
	conns  chan net.Conn
	closed chan struct{}
	server *http.Server
	asked  int
}

func newSource(files []file) *source {
	s := &source{conns: make(chan net.Conn), closed: make(chan struct{})}
	bodies := map[string][]byte{"wrong": qcow2}
	for _, f := range files {
		if f.good {
			bodies["good-"+f.name], bodies["plain-good-"+f.name], bodies["cutting-good-"+f.name], bodies["changing-"+f.name] = f.body, f.body, f.body, f.body
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(medium)
	z.Close()
	bodies["packed-good"] = packed.Bytes()
	s.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		body, ok := bodies[name]
		s.asked++
		switch {
		case !ok:
			rw.WriteHeader(http.StatusNotFound)
			return
		case strings.HasPrefix(name, "plain"):
			rw.Write(body)
			return
		case strings.HasPrefix(name, "changing"):
			rw.Header().Set("ETag", fmt.Sprintf(`"%d"`, s.asked))
		default:
			rw.Header().Set("ETag", `"1"`)
		}
		if strings.HasPrefix(name, "cutting") && s.asked%3 == 1 {
			rw = fetchtest.Cut(rw, len(body)/2)
		}
		http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(body))
	}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.server.Serve(s)
	return s
}

func (s *source) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case s.conns <- there:
		return here, nil
	case <-s.closed:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *source) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *source) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

func (s *source) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
