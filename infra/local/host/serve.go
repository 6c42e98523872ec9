package host

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bullion/infra/local/s3engine"
	"bullion/internal/api"
	"bullion/internal/cloud"
	"bullion/internal/diskimage"
	"bullion/internal/durable"
	"bullion/internal/identity"
	"bullion/internal/identity/keystone"
	"bullion/internal/images"
	"bullion/internal/importer"
	"bullion/internal/metadefs"
	"bullion/internal/notify"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
	"bullion/web"
)

// memoryLimit is when the garbage of signing in (argon2 takes 12 MiB a time) is collected at the latest, in bytes.
const memoryLimit = 100 << 20

const (
	bucket = "images"
	region = "us-east-1"
)

// host is a running program.
type host struct {
	Options
	log       *slog.Logger
	records   images.Store
	blobs     *s3store.Store
	storage   string             // origin of the URLs that blobs signs
	store     *sqlitestore.Store // the records on this machine, nil of a gateway
	engine    *s3engine.Server   // the bytes on this machine, nil of a gateway
	cloud     *cloud.Cloud       // nil on one machine
	users     *identity.FileDirectory
	first     *identity.Credentials // made by this start
	images    *images.Service
	validator *validation.Validator
	scrubber  *scrub.Scrubber
	importer  *importer.Importer
	handler   http.Handler
	arrived   chan struct{} // wakes who takes storage events
	unheard   atomic.Bool   // an event could not be kept, or the look at the start failed, so scrub must look at the bucket
	due       chan struct{} // wakes scrub
	happened  chan struct{} // wakes the relay of events
	webhooks  []*notify.Webhook
	imports   chan string // ids of images whose bytes are to be fetched
}

// Serve runs until ctx ends. What a person should read goes to out, the log elsewhere.
func Serve(ctx context.Context, o Options, log *slog.Logger, out io.Writer) error {
	if o.PublicURL == "" {
		o.PublicURL = "http://" + o.Listen
	}
	o.PublicURL = strings.TrimRight(o.PublicURL, "/")
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	listener, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()

	work, stop := context.WithCancel(ctx)
	defer stop()
	h, err := open(work, o, log)
	if err != nil {
		return err
	}
	var background sync.WaitGroup
	if h.store != nil {
		h.alone(work)
		background.Go(func() { h.takeArrivals(work) })
		background.Go(func() { h.tell(work) })
	}
	background.Go(func() { h.scrub(work) })
	background.Go(func() { h.takeImports(work) })

	server := &http.Server{
		Handler:           h.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than clients and proxies keep connections, most for 60 or 90 seconds: who ends one may cross a request on its way
		WriteTimeout:      5 * time.Minute, // from the headers to the end of the answer; files have no such bound
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()
	if h.engine != nil {
		go func() { failed <- h.engine.Wait() }()
	}
	fmt.Fprint(out, h.greet()) // in one write, so that whoever reads it has all of it or nothing

	select {
	case <-ctx.Done():
		err = nil
		fmt.Fprintln(out, "Stopping. Uploads that are under way can be resumed after the next start.")
	case err = <-failed:
		if err == nil {
			err = errors.New("stopped")
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if shutdownErr := server.Shutdown(grace); shutdownErr != nil {
		server.Close()
	}
	stop()
	background.Wait()
	if h.engine != nil {
		if engineErr := h.engine.Wait(); err == nil && engineErr != nil && !errors.Is(engineErr, context.Canceled) {
			err = engineErr
		}
	}
	return errors.Join(err, h.records.Close())
}

// listen takes the port first: nothing is made or changed when another program has it.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another program, perhaps another bulliond: stop it, or choose another address with --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023 with --listen", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w; choose an address of this machine with --listen", addr, err)
	}
	return l, nil
}

// open makes every part and joins them.
func open(ctx context.Context, o Options, log *slog.Logger) (_ *host, err error) {
	h := &host{Options: o, log: log, arrived: make(chan struct{}, 1), due: make(chan struct{}, 1), happened: make(chan struct{}, 1)}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w; choose another with --data", err)
	}
	rules, err := loadPolicy(o.Policy)
	if err != nil {
		return nil, err
	}
	inspection, err := inspectionOf(o)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Identity != "own" && o.Identity != "deployment":
		err = fmt.Errorf("--identity %q is not own or deployment", o.Identity)
	case o.Store == "dynamodb" && len(o.Webhooks) > 0:
		err = errors.New("--webhook-url needs --store sqlite: a deployment tells EventBridge")
	case o.Store == "dynamodb" && o.Regions != "":
		err = errors.New("--regions needs --store sqlite: the importer of a deployment would end what it does not know")
	case o.Store == "dynamodb":
		err = h.openDeployment(ctx)
	case o.Store != "sqlite":
		err = fmt.Errorf("--store %q is not sqlite or dynamodb", o.Store)
	case o.Identity == "deployment":
		err = errors.New("--identity deployment needs --store dynamodb")
	default:
		err = h.openHere(ctx)
	}
	if err != nil {
		return nil, err
	}
	h.images = &images.Service{
		Store: notify.After(h.records, func(context.Context, images.Event) { wake(h.happened) }), Blobs: h.blobs, Policy: rules, Log: log, Now: time.Now, NewID: images.NewID,
		Limits: images.ServiceLimits{MaxSize: o.MaxSize, PutUpTo: o.PutUpTo, Quota: &o.Quota},
	}
	h.validator = &validation.Validator{Images: h.images, Log: log, Inspection: inspection, NewID: images.NewID, Now: time.Now}
	var definitions metadefs.Store
	if h.cloud == nil {
		definitions, h.validator.Digests = h.store, h.digests
	} else {
		h.images.Limits.MaxParts = images.MaxParts
	}
	h.images.Limits = h.images.Limits.WithDefaults()
	h.images.Examine = h.validator.Run
	h.images.Wake = func(context.Context, *images.Image) { wake(h.due) }
	h.scrubber = &scrub.Scrubber{Images: h.images, Validator: h.validator, Log: log, Now: time.Now}
	if err := h.openImports(); err != nil {
		return nil, err
	}
	if h.store != nil {
		if err := h.openWebhooks(ctx); err != nil {
			return nil, err
		}
	}

	mux := http.NewServeMux()
	auth, authURL, err := h.mountIdentity(ctx, mux)
	if err != nil {
		return nil, err
	}
	mux.Handle("/ui/", http.StripPrefix("/ui", web.Handler([]string{h.storage})))
	mux.Handle("/", api.New(api.Config{
		Images: h.images, Metadefs: &metadefs.Service{Store: definitions, Policy: rules, Now: time.Now}, Auth: auth, Log: log, AuthURL: authURL, Ready: h.blobs.Check, Rate: rate(o), Compute: o.ComputeProxy, Origins: o.Origins, Scrubber: h.scrubber,
	}))
	h.handler = mux
	return h, nil
}

// openHere opens the database and the S3 server of this machine.
func (h *host) openHere(ctx context.Context) error {
	key, err := s3Key(filepath.Join(h.Data, "s3-key.json"))
	if err != nil {
		return err
	}
	// The S3 server locks the data directory, so it starts before anything is written to the database; its first event waits for the store.
	opened := make(chan struct{})
	if h.engine, err = s3engine.Start(ctx, s3engine.Config{
		Dir: filepath.Join(h.Data, "s3"), Addr: h.S3Listen,
		AccessKey: key.Access, SecretKey: key.Secret, Region: region, Bucket: bucket,
		AllowedOrigins: append([]string{origin(h.PublicURL), "http://" + h.Listen}, h.Origins...),
		Sync:           h.Sync,
		Log:            h.log,
		Created: func(ctx context.Context, object s3engine.Object) error {
			select {
			case <-opened:
				return h.created(ctx, object)
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}); err != nil {
		return err
	}
	if h.store, err = sqlitestore.Open(ctx, filepath.Join(h.Data, "bullion.db")); err != nil {
		return err
	}
	close(opened)
	client, err := s3store.NewClient(s3store.Config{Endpoint: h.engine.Endpoint(), Region: region, AccessKey: key.Access, SecretKey: key.Secret, PathStyle: true})
	if err != nil {
		return err
	}
	h.records, h.storage = h.store, h.engine.Endpoint()
	h.blobs, err = s3store.New(client, bucket, s3store.Options{})
	return err
}

// rate is what one user may ask of the API.
func rate(o Options) *api.Rate {
	if o.RequestsPerSecond <= 0 {
		return nil
	}
	return &api.Rate{PerSecond: o.RequestsPerSecond, Burst: max(1, int(2*o.RequestsPerSecond))}
}

// openIdentity opens the directory of users and the signing key, and makes both at the first start.
func (h *host) openIdentity(ctx context.Context) (*identity.Service, error) {
	var err error
	if h.users, err = identity.OpenFile(filepath.Join(h.Data, "users.json")); err != nil {
		return nil, err
	}
	keys, err := identity.OpenKeyFile(filepath.Join(h.Data, "keys.json"), time.Now)
	if err != nil {
		return nil, err
	}
	made, done, err := identity.Bootstrap(ctx, h.users)
	if err != nil {
		return nil, err
	}
	if done {
		h.first = &made
		if err := h.writeClouds(made); err != nil {
			return nil, err
		}
	}
	c := identity.Config{
		Directory: h.users, Keys: keys, Revocations: h.users, Credentials: h.users,
		PublicURL: h.PublicURL, Log: h.log,
	}
	if h.ComputeProxy {
		c.ComputeURL = h.PublicURL
	}
	var proxies []netip.Prefix
	for _, text := range h.Proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxy %q is not a network such as 192.0.2.0/24", text)
		}
		proxies = append(proxies, p)
	}
	if len(proxies) > 0 {
		c.ClientAddress = identity.ForwardedAddress(proxies)
	}
	if h.Providers != "" {
		text, err := os.ReadFile(h.Providers)
		if err != nil {
			return nil, fmt.Errorf("read the OpenID Connect providers: %w", err)
		}
		if err := json.Unmarshal(text, &c.Providers); err != nil {
			return nil, fmt.Errorf("%s is not a JSON list of providers: %w", h.Providers, err)
		}
	}
	return identity.NewService(c)
}

// mountIdentity serves Keystone's API and returns who checks tokens: our own service, or a Keystone elsewhere.
func (h *host) mountIdentity(ctx context.Context, mux *http.ServeMux) (_ api.Authenticator, authURL string, err error) {
	if h.Keystone.URL != "" {
		v, err := keystone.New(h.Keystone)
		return v, h.Keystone.URL, err
	}
	open := h.openIdentity
	if h.Identity == "deployment" {
		open = h.deployedIdentity
	}
	service, err := open(ctx)
	if err != nil {
		return nil, "", err
	}
	mux.Handle("/v3", service.Handler())
	mux.Handle("/v3/", service.Handler())
	return service.Verifier(), h.PublicURL + "/v3", nil
}

// writeClouds leaves a clouds.yaml for OpenStack's tools, with one cloud for each of the first users.
func (h *host) writeClouds(c identity.Credentials) error {
	member := identity.CloudsYAML("bullion", h.PublicURL, c.MemberName, c.MemberPassword, c.Project.Name)
	admin := identity.CloudsYAML("bullion-admin", h.PublicURL, c.AdminName, c.AdminPassword, c.Project.Name)
	text := "# Written at the first start. It holds passwords: keep it private, or change them with bulliond user passwd.\n" +
		member + strings.TrimPrefix(admin, "clouds:\n")
	return durable.WriteFile(filepath.Join(h.Data, "clouds.yaml"), []byte(text))
}

func loadPolicy(choice string) (images.Policy, error) {
	if choice == "" {
		return policy.Default(), nil
	}
	if slices.Contains(policy.Presets, choice) {
		return policy.Parse([]byte("preset: " + choice))
	}
	document, err := os.ReadFile(choice)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w; name a file, or one of the presets %s", err, strings.Join(policy.Presets, ", "))
	}
	rules, err := policy.Parse(document)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", choice, err)
	}
	return rules, nil
}

// inspectionOf reads how strict the inspection of uploads is.
func inspectionOf(o Options) (opts diskimage.Options, err error) {
	if opts.Mode, err = diskimage.ParseMode(o.Inspection); err != nil {
		return opts, fmt.Errorf("--inspection: %w", err)
	}
	if opts.Boot, err = diskimage.ParseBootRule(o.Boot); err != nil {
		return opts, fmt.Errorf("--boot: %w", err)
	}
	return opts, nil
}

// origin is the scheme and host of a URL, as browsers send it.
func origin(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

type s3Account struct {
	Access string `json:"access_key"`
	Secret string `json:"secret_key"`
}

// s3Key reads the account of the embedded S3 server, and makes it at the first start.
func s3Key(path string) (a s3Account, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var secret [30]byte
		rand.Read(secret[:])
		a = s3Account{Access: "bullion", Secret: base64.RawURLEncoding.EncodeToString(secret[:])}
		text, _ = json.Marshal(a)
		return a, durable.WriteFile(path, text)
	} else if err != nil {
		return a, fmt.Errorf("read the account of the S3 server: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil || a.Access == "" || a.Secret == "" {
		return a, fmt.Errorf("%s is damaged: delete it, and a new account is made at the next start (signed URLs that are out end)", path)
	}
	return a, nil
}

// digests are the hashes that the S3 server computed while the bytes passed.
func (h *host) digests(ctx context.Context, b images.Blob) (images.Digests, bool, error) {
	md5, sha512, ok, err := h.engine.Digests(ctx, b.Key, b.ETag)
	return images.Digests{MD5: md5, SHA512: sha512}, ok, err
}

// greet says what a person needs to know.
func (h *host) greet() string {
	var text strings.Builder
	fmt.Fprintf(&text, `Bullion is ready.

  API        %[1]s
  Dashboard  %[1]s/ui/
`, h.PublicURL)
	if h.cloud == nil {
		fmt.Fprintf(&text, "  Data       %s\n", h.Data)
	} else {
		fmt.Fprintf(&text, "  Records    DynamoDB table %s\n  Images     S3 bucket %s\n", h.Table, h.Bucket)
	}
	if h.first == nil {
		return text.String()
	}
	fmt.Fprintf(&text, `
This is the first start. The project %q has two users; their passwords are shown this once:

  %-8s %s   (uploads, shares, deletes its project's images)
  %-8s %s   (sees and manages everything)

They are also in %s, which OpenStack's tools and bullion read:

  export OS_CLIENT_CONFIG_FILE=%[6]s OS_CLOUD=bullion
  bullion image create --file YOUR-IMAGE.qcow2 "My first image"
`, h.first.Project.Name, h.first.MemberName, h.first.MemberPassword, h.first.AdminName, h.first.AdminPassword, filepath.Join(h.Data, "clouds.yaml"))
	return text.String()
}
