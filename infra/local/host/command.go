// Package host runs Bullion on one machine: the API, identity and the dashboard on one port, the embedded S3 server on another, records in SQLite, and
// the work in the background that on AWS is done by functions.
//
// Everything lives in one data directory that only its user can read:
//
//	bullion.db       records, outbox of storage events (SQLite)
//	s3/              objects and open uploads
//	users.json       users, projects, roles (password hashes)
//	keys.json        the key that signs tokens
//	webhook-secret   what signs the requests to webhooks, when there are any
//	s3-key.json      the account of the embedded S3 server, known to this host alone
//	clouds.yaml      how OpenStack tools sign in, written at the first start
//	run.json         the machine as it was when the program began, and
//	crash.txt        what Go says when it crashes: by these the next start knows how this run ended
//	last-crash.txt   what Go said when it last did
//
// The program may be killed at any moment. What it had acknowledged is kept, and what it was doing goes on at the next start.
package host

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bullion/internal/identity/keystone"
	"bullion/internal/images"
	"bullion/internal/policy"
)

// Options are the operator's choices.
type Options struct {
	Data      string // directory
	Listen    string // host:port of the API
	S3Listen  string // host:port of the embedded S3 server; clients must reach it
	PublicURL string // how clients reach the API; "" is http:// and Listen
	Policy    string // path of a policy document, or the name of a preset; "" is the default policy
	Origins   []string
	LogLevel  string
	Sync      bool

	Store       string // sqlite, or dynamodb for a gateway in front of a deployment on AWS
	Table       string // of DynamoDB
	Bucket      string // of S3
	EndpointURL string // of DynamoDB and S3 where they are not AWS's; "" for AWS
	Identity    string // own, or deployment for the users, keys and tokens of the deployment
	Getenv      func(string) string

	Proxies   []string // networks of proxies in front, whose X-Forwarded-For is believed
	Providers string   // path of a JSON list of OpenID Connect providers; "" for none
	Keystone  keystone.Config

	MaxSize int64        // bytes of the largest image
	PutUpTo int64        // bytes up to which an upload is one request
	Quota   images.Usage // what each project may use

	Inspection string // strict or lenient
	Boot       string // off, warn or require

	RequestsPerSecond float64 // of one user in one project; 0 does not bound

	Webhooks      []string // URLs that are told of every change
	WebhookSecret string   // path; "" is webhook-secret in Data

	ComputeProxy bool // serve the image proxy of the Compute API

	ImportAllow []string // private hosts and networks from which imports may fetch
	Regions     string   // path of a JSON list of other Images APIs from which images may be imported; "" for none
}

// environment names the variable that sets a flag's default.
var environment = map[string]string{
	"data":       "BULLION_DATA",
	"listen":     "BULLION_LISTEN",
	"s3-listen":  "BULLION_S3_LISTEN",
	"public-url": "BULLION_PUBLIC_URL",
	"policy":     "BULLION_POLICY",
	"log-level":  "BULLION_LOG_LEVEL",
	"inspection": "BULLION_INSPECTION",
	"boot":       "BULLION_BOOT",
	"store":      "BULLION_STORE",
	"table":      "BULLION_TABLE",
	"bucket":     "BULLION_BUCKET",
	"identity":   "BULLION_IDENTITY",
}

// Main runs the command line and returns the exit status.
func Main(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := command(getenv)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "bulliond:", err)
		return 1
	}
	return 0
}

func command(getenv func(string) string) *cobra.Command {
	o := Options{Getenv: getenv}
	root := &cobra.Command{
		Use:   "bulliond",
		Short: "Bullion on one machine: a vault for virtual machine images",
		Long: "bulliond keeps virtual machine images and gives them to OpenStack's tools.\n\n" +
			"Without a command it serves. The first start makes a project and two users and prints their passwords once.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(cmd.ErrOrStderr(), o.LogLevel)
			if err != nil {
				return err
			}
			return Serve(cmd.Context(), o, log, cmd.OutOrStdout())
		},
	}
	all := root.PersistentFlags()
	all.StringVar(&o.Data, "data", defaultData(getenv), "directory of records, objects, users and keys")
	f := root.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9292", "address of the API and the dashboard")
	f.StringVar(&o.S3Listen, "s3-listen", "127.0.0.1:9293", "address of the S3 server to which images are uploaded")
	f.StringVar(&o.PublicURL, "public-url", "", "how clients reach the API (default http:// and the listen address)")
	f.StringVar(&o.Policy, "policy", "", "policy document (YAML or JSON), or the preset admin-only")
	f.StringSliceVar(&o.Origins, "origin", nil, "origins beside our own whose pages may use the API and upload, as https://horizon.example.org")
	f.StringVar(&o.LogLevel, "log-level", "warn", "debug, info, warn or error")
	f.BoolVar(&o.Sync, "sync", false, "wait for the disk before every answer: nothing acknowledged is lost when the power fails, and uploads are as slow as the disk")
	f.StringVar(&o.Store, "store", "sqlite", "sqlite keeps everything on this machine; dynamodb makes this a gateway: records in DynamoDB and bytes in S3, as a deployment on AWS has them")
	f.StringVar(&o.Table, "table", "", "DynamoDB table of the records, with --store dynamodb")
	f.StringVar(&o.Bucket, "bucket", "", "S3 bucket of the images, with --store dynamodb")
	f.StringVar(&o.EndpointURL, "endpoint-url", "", "where DynamoDB and S3 are if not at AWS; $BULLION_DYNAMODB_ENDPOINT and $BULLION_S3_ENDPOINT for each by itself")
	f.StringVar(&o.Identity, "identity", "own", "own users and tokens, in the data directory; or deployment for those of the deployment, which variables name as they do for its function identity")
	f.StringSliceVar(&o.Proxies, "trusted-proxy", nil, "network of a proxy in front, as 192.0.2.0/24; its X-Forwarded-For says who signs in")
	f.StringVar(&o.Providers, "providers", "", "file with a JSON list of OpenID Connect providers whose users may come in")
	f.StringVar(&o.Keystone.URL, "keystone", "", "let the Keystone at this URL vouch for callers instead of users of our own; who asks it is in $BULLION_KEYSTONE_USERNAME, _PASSWORD and _PROJECT, or _APPLICATION_CREDENTIAL_ID and _SECRET")
	f.Int64Var(&o.MaxSize, "max-size", images.MaxImageSize, "largest image, in bytes")
	f.Int64Var(&o.PutUpTo, "put-up-to", images.DefaultPutUpTo, "largest upload that is one request, in bytes; larger ones go in parallel parts")
	f.StringVar(&o.Inspection, "inspection", "strict", "strict refuses files that are not what their record says or are damaged; lenient takes them as Glance does, but for those that reach outside themselves")
	f.StringVar(&o.Boot, "boot", "warn", "what becomes of images without a sign that a machine could boot them: off does not look, warn keeps a warning with the image, require refuses them")
	f.StringSliceVar(&o.ImportAllow, "import-allow", nil, "private hosts and networks from which imports may fetch, as 10.0.0.0/8, 127.0.0.1:8000 or mirror.example.org; the public internet is always allowed, others never")
	f.StringVar(&o.Regions, "regions", "", "file with a JSON list of other Images APIs from which images may be imported (docs/operations.md)")
	f.StringArrayVar(&o.Webhooks, "webhook-url", nil, "URL that is told of every change of an image (docs/events.md); repeat for more")
	f.StringVar(&o.WebhookSecret, "webhook-secret-file", "", "file with the secret that signs these requests (default webhook-secret in the data directory, made when it is not there)")
	f.BoolVar(&o.ComputeProxy, "compute-proxy", false, "answer the image calls of the Compute API too (/v2.1/images), and name it in the catalogue, for old tools")
	f.Float64Var(&o.RequestsPerSecond, "requests-per-second", 1000, "requests that one user may make in one project, twice as many at once after a pause; 0 for any number")
	f.Int64Var(&o.Quota.Images, "quota-images", images.Unlimited, "images that a project may have for which nothing else was set; -1 for any number")
	f.Int64Var(&o.Quota.Bytes, "quota-bytes", images.Unlimited, "bytes that each project may store, those under way included; -1 for any number")
	f.Int64Var(&o.Quota.Uploads, "quota-uploads", images.Unlimited, "uploads that each project may have open; -1 for any number")
	f.Int64Var(&o.Quota.InFlight, "quota-in-flight", images.Unlimited, "bytes that each project may have under way; -1 for any number")
	for name, variable := range environment {
		flag := root.Flag(name)
		flag.Usage += " [$" + variable + "]"
		if v := getenv(variable); v != "" {
			flag.DefValue = v
			if err := flag.Value.Set(v); err != nil {
				root.RunE = func(*cobra.Command, []string) error { return fmt.Errorf("%s: %w", variable, err) }
			}
		}
	}
	o.Keystone.Username, o.Keystone.Password = getenv("BULLION_KEYSTONE_USERNAME"), getenv("BULLION_KEYSTONE_PASSWORD")
	o.Keystone.Project = getenv("BULLION_KEYSTONE_PROJECT")
	o.Keystone.AppCredentialID, o.Keystone.AppCredentialSecret = getenv("BULLION_KEYSTONE_APPLICATION_CREDENTIAL_ID"), getenv("BULLION_KEYSTONE_APPLICATION_CREDENTIAL_SECRET")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		// The S3 server changes the working directory, so every path is made absolute before it starts.
		var err error
		if o.Data, err = filepath.Abs(o.Data); err != nil {
			return err
		}
		if o.Providers != "" {
			if o.Providers, err = filepath.Abs(o.Providers); err != nil {
				return err
			}
		}
		if o.Regions != "" {
			if o.Regions, err = filepath.Abs(o.Regions); err != nil {
				return err
			}
		}
		if o.WebhookSecret != "" {
			if o.WebhookSecret, err = filepath.Abs(o.WebhookSecret); err != nil {
				return err
			}
		}
		if o.Policy != "" && !slices.Contains(policy.Presets, o.Policy) {
			o.Policy, err = filepath.Abs(o.Policy)
		}
		return err
	}
	root.AddCommand(userCommand(&o), projectCommand(&o), keyCommand(&o), backupCommand(&o), migrateCommand(&o, getenv))
	return root
}

// defaultData is where data goes when nothing is said: $XDG_DATA_HOME/bullion.
func defaultData(getenv func(string) string) string {
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "bullion")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "bullion")
	}
	return "bullion-data"
}

func logger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q is not known; use debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// sleep waits, or returns false when ctx ends before.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return true
}
