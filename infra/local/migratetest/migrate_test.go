// Package migratetest moves a vault from one machine to AWS's engines: a real bulliond with its data directory, and DynamoDB and S3 engines as the target.
package migratetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/infra/local/s3engine"
	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity"
	"bullion/internal/images"
	"bullion/internal/proctest"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
	"bullion/internal/validation"
)

const accessKey, secretKey, region, bucket = "test", "a secret of tests", "us-east-1", "images"

var (
	programs string // folder of bulliond and bullion
	endpoint string // of the target's S3 engine
	blobs    *s3store.Store
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if programs, err = os.MkdirTemp("", "bullion-migrate-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(programs)
	for _, p := range []struct{ dir, pkg string }{{"..", "./cmd/bulliond"}, {"../../..", "./cmd/bullion"}} {
		build := exec.Command("go", "build", "-o", programs+"/", p.pkg)
		build.Dir, build.Env = p.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	addr, err := proctest.FreeAddr()
	if err != nil {
		return 1, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	engine, err := s3engine.Start(ctx, s3engine.Config{Dir: filepath.Join(programs, "s3"), Addr: addr, AccessKey: accessKey, SecretKey: secretKey, Region: region, Bucket: bucket})
	if err != nil {
		return 1, err
	}
	endpoint = engine.Endpoint()
	client, err := s3store.NewClient(s3store.Config{Endpoint: endpoint, Region: region, AccessKey: accessKey, SecretKey: secretKey, PathStyle: true})
	if err != nil {
		return 1, err
	}
	if blobs, err = s3store.New(client, bucket, s3store.Options{}); err != nil {
		return 1, err
	}
	code = m.Run()
	stop()
	return code, engine.Wait()
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// source is a data directory that a bulliond made, with images in it.
type source struct {
	t    *testing.T
	data string
}

// serve runs bulliond while do does.
func (s *source) serve(do func(api string)) {
	s.t.Helper()
	api, err := proctest.FreeAddr()
	ok(s.t, err)
	s3, err := proctest.FreeAddr()
	ok(s.t, err)
	out := &proctest.Output{}
	cmd := exec.Command(filepath.Join(programs, "bulliond"), "--data", s.data, "--listen", api, "--s3-listen", s3)
	cmd.Stdout, cmd.Stderr = out, out
	ok(s.t, cmd.Start())
	for n := 0; ; n++ {
		r, err := http.Get("http://" + api + "/healthcheck")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if n == 600 {
			s.t.Fatalf("bulliond does not answer:\n%s", out)
		}
		time.Sleep(100 * time.Millisecond)
	}
	do(api)
	ok(s.t, cmd.Process.Signal(os.Interrupt))
	ok(s.t, cmd.Wait())
}

// create uploads a raw disk of so many bytes and returns the image's id.
func (s *source) create(name string, size int, more ...string) string {
	s.t.Helper()
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)})
	_, _ = random.Read(content) // it does not fail
	file := filepath.Join(s.t.TempDir(), "disk.raw")
	ok(s.t, os.WriteFile(file, content, 0o600))
	cmd := exec.Command(filepath.Join(programs, "bullion"), append(append([]string{"image", "create", "--quiet", "--disk-format", "raw", "--file", file}, more...), name)...)
	cmd.Env = append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+filepath.Join(s.data, "clouds.yaml"), "OS_CLOUD=bullion", "XDG_STATE_HOME="+s.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("bullion image create: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// open gives the records of the source to use.
func (s *source) open(use func(*sqlitestore.Store)) {
	s.t.Helper()
	store, err := sqlitestore.Open(s.t.Context(), filepath.Join(s.data, "bullion.db"))
	ok(s.t, err)
	use(store)
	ok(s.t, store.Close())
}

// migrate is the command against the engines, at a table.
func (s *source) migrate(tables, table string, flags ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(programs, "bulliond"), append([]string{"migrate", "--data", s.data, "--table", table, "--bucket", bucket}, flags...)...)
	cmd.Env = []string{"HOME=" + s.data, "PATH=" + os.Getenv("PATH"), "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"BULLION_S3_ENDPOINT=" + endpoint, "BULLION_DYNAMODB_ENDPOINT=" + tables}
	return cmd
}

func (s *source) migrated(tables, table string, flags ...string) string {
	s.t.Helper()
	out, err := s.migrate(tables, table, flags...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("bulliond migrate %v: %v\n%s", flags, err, out)
	}
	return string(out)
}

func (s *source) want(got, text string) {
	s.t.Helper()
	if !strings.Contains(got, text) {
		s.t.Errorf("got\n%s\nwant %q in it", got, text)
	}
}

func TestAVaultMovesToAWS(t *testing.T) {
	ctx := t.Context()
	s := &source{t, t.TempDir()}
	tables := dynamotest.Dynoxide(t)
	client := dynamotest.Client(tables)
	table := dynamotest.Table(t, client, dynamostore.TableInput)
	target := dynamostore.New(client, table, dynamostore.Options{})

	var small, large, off, damaged string
	s.serve(func(string) {
		small = s.create("small", 3<<20, "--property", "os_distro=debian", "--tag", "lts")
		large = s.create("large", 70<<20+512)
		off = s.create("off", 5<<20)
		damaged = s.create("damaged", 4<<20)
		out, err := s.migrate(tables, table).CombinedOutput()
		if err == nil {
			t.Error("a vault is migrated under a running server")
		}
		s.want(string(out), "another process already serves")
	})
	empty := images.NewID()
	s.open(func(store *sqlitestore.Store) {
		first, err := store.Image(ctx, small)
		ok(t, err)
		ok(t, store.CreateMember(ctx, images.Member{ImageID: small, ProjectID: "5ba9a9c0f7a14e3b8a6c0f9d1e2b3c4d", Status: images.Accepted, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt}))
		_, err = images.Change(ctx, store, off, images.Actor{}, nil, func(i *images.Image) error {
			i.Status, i.Hidden, i.Protected = images.StatusDeactivated, true, true
			return nil
		})
		ok(t, err)
		bare := first.Clone()
		bare.ID, bare.Name, bare.Status, bare.Version, bare.Blob, bare.Upload, bare.Size, bare.VirtualSize, bare.Checksum, bare.HashValue = empty, "empty", images.StatusQueued, 0, nil, nil, nil, nil, "", ""
		bare.CreatedAt = time.Now().UTC().Truncate(time.Microsecond)
		ok(t, store.Apply(ctx, images.Write{Is: bare}))
		ok(t, store.PutNamespace(ctx, "OS::Custom", 0, []byte(`{"namespace":"OS::Custom","visibility":"public","protected":false,"owner":"x","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`)))
	})

	got := s.migrated(tables, table, "--dry-run")
	s.want(got, small+"  would be copied, 3145728 bytes  (small)")
	s.want(got, "Would have: 4 images with 85983744 bytes copied, 1 without bytes, 0 there already, 1 namespaces of metadata, 0 failed.")
	if page, err := target.List(ctx, &images.Query{SeesAll: true, Visibility: images.VisibilityAll, Limit: 10}); err != nil || len(page.Images) != 0 {
		t.Errorf("after --dry-run the target has %d images, %v", len(page.Images), err)
	}

	// A byte rots at the source.
	file := s.object(damaged)
	content, err := os.ReadFile(file)
	ok(t, err)
	content[2<<20]++
	ok(t, os.WriteFile(file, content, 0o600))

	// The first run dies after its first image, in the middle of the second.
	cmd := s.migrate(tables, table)
	pipe, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	line, err := bufio.NewReader(pipe).ReadString('\n')
	ok(t, err)
	s.want(line, small+"  copied, 3145728 bytes")
	time.Sleep(100 * time.Millisecond)
	ok(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed

	out, err := s.migrate(tables, table).CombinedOutput()
	if err == nil {
		t.Error("a damaged image is no failure")
	}
	s.want(string(out), small+"  is there already")
	s.want(string(out), large+"  copied")
	s.want(string(out), damaged+"  failed: its bytes are not those that were validated")
	if i, err := target.Image(ctx, damaged); err != nil || i.HasData() || i.Status != images.StatusQueued {
		t.Errorf("the damaged image is %v with data %v at the target, %v; want queued without", i.Status, i.HasData(), err)
	}
	content[2<<20]--
	ok(t, os.WriteFile(file, content, 0o600))
	s.want(s.migrated(tables, table, "--verify"), "1 images with 4194304 bytes copied, 0 without bytes, 4 there already, 0 namespaces of metadata, 0 failed.")
	s.want(s.migrated(tables, table), "0 images with 0 bytes copied, 0 without bytes, 5 there already")

	s.open(func(store *sqlitestore.Store) {
		for _, id := range []string{small, large, off, damaged, empty} {
			from, err := store.Image(ctx, id)
			ok(t, err)
			to, err := target.Image(ctx, id)
			ok(t, err)
			if to.HasData() != from.HasData() || to.HasData() && to.Blob.Size != from.Blob.Size {
				t.Errorf("%s: the target has the bytes %v, want %v", from.Name, to.Blob, from.Blob)
			}
			want := from.Clone()
			want.Owner = identity.ProjectID("main")
			for _, i := range []*images.Image{want, to} {
				i.Version, i.Blob, i.Upload, i.Import = 0, nil, nil, nil
			}
			if len(want.Properties) == 0 {
				want.Properties = to.Properties
				if len(to.Properties) != 0 {
					t.Errorf("%s: got the properties %v, want none", from.Name, to.Properties)
				}
			}
			if diff := cmp.Diff(want, to); diff != "" {
				t.Errorf("%s (-source +target):\n%s", from.Name, diff)
			}
		}
	})
	members, err := target.Members(ctx, small)
	ok(t, err)
	if len(members) != 1 || members[0].Status != images.Accepted {
		t.Errorf("got the members %v, want one that accepted", members)
	}
	if _, version, err := target.Namespace(ctx, "OS::Custom"); err != nil || version != 1 {
		t.Errorf("got the namespace in version %d, %v", version, err)
	}
	left := 0
	ok(t, blobs.List(ctx, "images/", "", func(images.Stored) bool { left++; return true }))
	ok(t, blobs.ListMultipart(ctx, "images/", "", func(images.OpenMultipart) bool { left += 100; return true }))
	if left != 4 {
		t.Errorf("the bucket has %d objects and uploads, want four objects", left)
	}
}

// object is the file of an image's bytes at the source.
func (s *source) object(id string) string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, "s3", "objects", "images", "images", id, "*"))
	ok(s.t, err)
	if len(files) != 1 {
		s.t.Fatalf("the source has the files %v for %s, want one", files, id)
	}
	return files[0]
}

func TestACommandThatCannotReachItsTargetSaysWhy(t *testing.T) {
	s := &source{t, t.TempDir()}
	tables := dynamotest.Dynoxide(t)
	for _, test := range []struct {
		change func(*exec.Cmd)
		want   string
	}{
		{func(c *exec.Cmd) { c.Args = c.Args[:4] }, "--table and --bucket are needed"},
		{func(*exec.Cmd) {}, "the table missing cannot be used"},
		{func(c *exec.Cmd) { c.Args[len(c.Args)-1] = "nothing" }, "the bucket nothing cannot be used"},
		{func(c *exec.Cmd) { c.Env = append(c.Env, "AWS_REGION=") }, "set AWS_REGION"},
	} {
		cmd := s.migrate(tables, "missing")
		test.change(cmd)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("got %v and %s, want %q", err, out, test.want)
		}
	}
}

// restored is a target whose table and bucket were restored to different times.
type restored struct {
	*testing.T
	service *images.Service
	scrub   *scrub.Scrubber
	log     *bytes.Buffer
	at      time.Time
}

func newRestored(t *testing.T) *restored {
	client := dynamotest.Client(dynamotest.Dynoxide(t))
	r := &restored{T: t, log: &bytes.Buffer{}, at: time.Now()}
	now := func() time.Time { return r.at }
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	r.service = &images.Service{Store: dynamostore.New(client, dynamotest.Table(t, client, dynamostore.TableInput), dynamostore.Options{}), Blobs: blobs,
		Policy: everything{}, Log: log, Now: now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults()}
	v := &validation.Validator{Images: r.service, Log: log, NewID: images.NewID, Now: now}
	r.service.Examine = v.Run
	r.scrub = &scrub.Scrubber{Images: r.service, Validator: v, Log: log, Now: now}
	return r
}

type everything struct{}

func (everything) Allows(string, images.Caller, *images.Image) bool { return true }
func (everything) SeesAll(images.Caller) bool                       { return true }

func (r *restored) image(name string) *images.Image {
	r.Helper()
	i, err := r.service.Create(r.Context(), images.Caller{UserID: "u", ProjectID: "p"}, "", []images.PatchOp{{Op: "add", Name: "name", Value: name},
		{Op: "add", Name: "disk_format", Value: "raw"}, {Op: "add", Name: "container_format", Value: "bare"}})
	ok(r, err)
	return i
}

func (r *restored) active(name string) *images.Image {
	r.Helper()
	i := r.image(name)
	ok(r, r.service.WriteFile(r.Context(), images.Caller{UserID: "u", ProjectID: "p"}, i.ID, io.LimitReader(rand.NewChaCha8([32]byte{7}), 1<<20), 1<<20))
	i, err := r.service.Store.Image(r.Context(), i.ID)
	ok(r, err)
	return i
}

func TestScrubReconcilesATableAndABucketOfDifferentTimes(t *testing.T) {
	r := newRestored(t)
	ctx := t.Context()

	// The bucket is the older: the object of an image is not there.
	here, gone := r.active("here"), r.active("gone")
	ok(t, blobs.Delete(ctx, gone.Blob.Key))
	// The table is the older: an upload was complete, but its record says that it is open; another has no record at all.
	opened := r.image("opened")
	view, err := r.service.OpenUpload(ctx, images.Caller{UserID: "u", ProjectID: "p"}, opened.ID, images.UploadRequest{Size: 1 << 20})
	ok(t, err)
	_, err = blobs.Put(ctx, images.BlobKey(opened.ID, view.Upload.ID), io.LimitReader(rand.NewChaCha8([32]byte{8}), 1<<20), 1<<20)
	ok(t, err)
	orphan := images.BlobKey(images.NewID(), images.NewID())
	_, err = blobs.Put(ctx, orphan, strings.NewReader("nobody's"), 8)
	ok(t, err)

	_, err = r.scrub.Adopt(ctx)
	ok(t, err)
	for i, want := range map[*images.Image]images.Status{here: images.StatusActive, opened: images.StatusActive} {
		got, err := r.service.Store.Image(ctx, i.ID)
		ok(t, err)
		if got.Status != want {
			t.Errorf("%s is %s, want %s", i.Name, got.Status, want)
		}
	}
	if _, err := blobs.Head(ctx, orphan); err != nil {
		t.Errorf("an object without a record went before its time: %v", err)
	}
	r.at = r.at.Add(2 * time.Hour)
	_, err = r.scrub.Adopt(ctx)
	ok(t, err)
	if _, err := blobs.Head(ctx, orphan); images.KindOf(err) != images.NotFound {
		t.Errorf("an object without a record is kept: %v", err)
	}

	missing := func() (found []string) {
		for after, begun := "", false; !begun || after != ""; begun = true {
			page, err := r.scrub.Page(ctx, after, true)
			ok(t, err)
			for _, f := range page.Findings {
				if f.Kind == scrub.BytesMissing {
					found = append(found, f.ImageID)
				}
			}
			after = page.Next
		}
		return found
	}
	if got := missing(); !slices.Equal(got, []string{gone.ID}) || !strings.Contains(r.log.String(), gone.ID) {
		t.Errorf("the images without bytes are %v, want %s, named in the log:\n%s", got, gone.ID, r.log)
	}
	if got, err := r.service.Store.Image(ctx, gone.ID); err != nil || got.Status != images.StatusActive {
		t.Errorf("the record of an image without bytes is %v, %v; want it untouched, as the bytes may be restored", got, err)
	}
	// Deleting it works all the same.
	ok(t, r.service.Delete(ctx, images.Caller{UserID: "u", ProjectID: "p"}, gone.ID))
	if got := missing(); len(got) != 0 {
		t.Errorf("after its delete the images %v are without bytes", got)
	}
}
