package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"bullion/infra/local/s3engine"
	"bullion/internal/dynamostore"
	"bullion/internal/identity"
	"bullion/internal/images"
	"bullion/internal/migrate"
	"bullion/internal/outgoing"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

// target is what migrate copies into.
type target struct {
	table, bucket, inspection string
	keepProjects              bool
	dryRun, verify            bool
}

func migrateCommand(o *Options, getenv func(string) string) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "migrate", Short: "Copy all images into a deployment on AWS; stop the server first", Args: cobra.NoArgs,
		Long: "Copy records, bytes, members and definitions of metadata into the table and the bucket of a deployment on AWS.\n\n" +
			"Images keep their ids. Their bytes are inspected again at the target, and both hashes must be those of the record. A run can be stopped and started again: it goes on with what is " +
			"missing. Nothing changes here. Credentials and the region come from where the AWS CLI has them (AWS_PROFILE, AWS_REGION, …).\n\n" +
			"Users stay behind. A project gets the id that its name has in a user pool, so make a group of the same name there (main:member); --keep-projects keeps the ids.",
		Example: "  AWS_REGION=eu-central-1 bulliond migrate --dry-run --table bullion-Table-1A2B3C --bucket bullion-imagesbucket-1a2b3c",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(cmd.ErrOrStderr(), "warn")
			if err != nil {
				return err
			}
			say := func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }
			return t.run(cmd.Context(), *o, getenv, log, say)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.table, "table", "", "DynamoDB table of records: the output TableName of the stack")
	f.StringVar(&t.bucket, "bucket", "", "bucket of images: the output ImagesBucketName of the stack")
	f.StringVar(&t.inspection, "inspection", "lenient", "how the bytes are inspected at the target: lenient takes what the source may have taken, strict refuses what is odd")
	f.BoolVar(&t.keepProjects, "keep-projects", false, "keep the ids of projects, as for a target whose users are in the same Keystone")
	f.BoolVar(&t.dryRun, "dry-run", false, "only say what would be done")
	f.BoolVar(&t.verify, "verify", false, "read all bytes back from the target and hash them once more")
	return cmd
}

func (t target) run(ctx context.Context, o Options, getenv func(string) string, log *slog.Logger, say func(string)) error {
	if t.table == "" || t.bucket == "" {
		return errors.New("--table and --bucket are needed: the outputs TableName and ImagesBucketName of the stack, as aws cloudformation describe-stacks shows them")
	}
	to, records, err := t.open(ctx, getenv, log)
	if err != nil {
		return err
	}
	if err := to.Blobs.(*s3store.Store).Check(ctx); err != nil {
		return fmt.Errorf("the bucket %s cannot be used: %w", t.bucket, errors.Unwrap(err))
	}
	if _, err := to.Store.Due(ctx, time.Now(), 1); err != nil {
		return fmt.Errorf("the table %s cannot be used: %w", t.table, err)
	}
	from, closeSource, err := openSource(ctx, o, log)
	if err != nil {
		return err
	}
	defer closeSource()
	m := &migrate.Migration{From: from, To: to, ToMetadefs: records, DryRun: t.dryRun, Verify: t.verify, Say: say}
	if !t.keepProjects {
		if m.Project, err = projectIDs(ctx, filepath.Join(o.Data, "users.json")); err != nil {
			return err
		}
	}
	r, err := m.Run(ctx)
	would := ""
	if t.dryRun {
		would = "Would have: "
	}
	say(fmt.Sprintf("%s%d images with %d bytes copied, %d without bytes, %d there already, %d namespaces of metadata, %d failed.", would, r.Copied, r.Bytes, r.Records, r.There, r.Metadefs, r.Failed))
	return err
}

// open makes the service at the target. It examines what it gets itself, as the functions there may not be running yet.
func (t target) open(ctx context.Context, getenv func(string) string, log *slog.Logger) (*images.Service, *dynamostore.Store, error) {
	inspection, err := inspectionOf(Options{Inspection: t.inspection, Boot: "off"})
	if err != nil {
		return nil, nil, err
	}
	c, err := outgoing.LoadAWS(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c.Region == "" {
		return nil, nil, errors.New("no AWS region is chosen: set AWS_REGION, as eu-central-1")
	}
	objects := s3.NewFromConfig(c, func(o *s3.Options) {
		if endpoint := getenv("BULLION_S3_ENDPOINT"); endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &endpoint, true
		}
	})
	blobs, err := s3store.New(objects, t.bucket, s3store.Options{Buffers: 4})
	if err != nil {
		return nil, nil, err
	}
	records := dynamostore.New(dynamodb.NewFromConfig(c, func(o *dynamodb.Options) {
		if endpoint := getenv("BULLION_DYNAMODB_ENDPOINT"); endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}), t.table, dynamostore.Options{})
	to := &images.Service{Store: records, Blobs: blobs, Policy: policy.Default(), Log: log, Now: time.Now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults()}
	to.Examine = (&validation.Validator{Images: to, Log: log, Inspection: inspection, NewID: images.NewID, Now: time.Now}).Run
	return to, records, nil
}

// openSource opens the data directory as the server does, which must not be running.
func openSource(ctx context.Context, o Options, log *slog.Logger) (v migrate.Vault, closeSource func(), err error) {
	if _, err := os.Stat(filepath.Join(o.Data, "bullion.db")); err != nil {
		return v, nil, fmt.Errorf("%s has no images: choose the data directory with --data", o.Data)
	}
	key, err := s3Key(filepath.Join(o.Data, "s3-key.json"))
	if err != nil {
		return v, nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return v, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	engine, err := s3engine.Start(ctx, s3engine.Config{Dir: filepath.Join(o.Data, "s3"), Addr: address, AccessKey: key.Access, SecretKey: key.Secret, Region: region, Bucket: bucket, Log: log})
	if err != nil {
		stop()
		return v, nil, err
	}
	shut := func() { stop(); _ = engine.Wait() } // it only read
	client, err := s3store.NewClient(s3store.Config{Endpoint: engine.Endpoint(), Region: region, AccessKey: key.Access, SecretKey: key.Secret, PathStyle: true})
	if err == nil {
		v.Blobs, err = s3store.New(client, bucket, s3store.Options{})
	}
	if err != nil {
		shut()
		return v, nil, err
	}
	store, err := sqlitestore.Open(ctx, filepath.Join(o.Data, "bullion.db"))
	if err != nil {
		shut()
		return v, nil, err
	}
	v.Store, v.Metadefs = store, store
	return v, func() { _ = store.Close(); shut() }, nil
}

// freeAddress is one of the loopback interface on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("no port is free on the loopback interface: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// projectIDs translates ids of the projects in the file of users into those that their names have in a user pool. Others stay.
func projectIDs(ctx context.Context, path string) (func(string) string, error) {
	ids := map[string]string{}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // users are in a Keystone
	}
	users, err := identity.OpenFile(path)
	if err != nil {
		return nil, err
	}
	projects, err := users.Projects(ctx)
	for _, p := range projects {
		ids[p.ID] = identity.ProjectID(p.Name)
	}
	return func(id string) string { return cmp.Or(ids[id], id) }, err
}
