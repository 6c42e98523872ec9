package s3engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bullion/infra/local/s3engine"
)

func TestStartSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	running := start(t)
	taken := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*s3engine.Config)
		want   []string
	}{
		"the port is taken":               {func(c *s3engine.Config) { c.Addr = taken.Addr().String() }, []string{taken.Addr().String(), "is taken", "choose another port"}},
		"the directory is served":         {func(c *s3engine.Config) { c.Dir = running.cfg.Dir }, []string{running.cfg.Dir, "another process", "choose another directory"}},
		"the directory cannot be made":    {func(c *s3engine.Config) { c.Dir = filepath.Join(file, "s3") }, []string{"cannot make", "choose a directory"}},
		"the directory has no attributes": {func(c *s3engine.Config) { c.Dir = "/proc/bullion" }, []string{"/proc/bullion", "choose a directory"}},
		"the directory is relative":       {func(c *s3engine.Config) { c.Dir = "data" }, []string{`"data"`, "whole path"}},
		"the port is left to the system":  {func(c *s3engine.Config) { c.Addr = "127.0.0.1:0" }, []string{"127.0.0.1:0", "not 0"}},
		"the port has a name":             {func(c *s3engine.Config) { c.Addr = "127.0.0.1:http" }, []string{"a number"}},
		"the host is missing":             {func(c *s3engine.Config) { c.Addr = ":9000" }, []string{"host:port"}},
		"the address is of elsewhere":     {func(c *s3engine.Config) { c.Addr = "192.0.2.1:9000" }, []string{"192.0.2.1:9000", "an address of this machine"}},
		"several things at once":          {func(c *s3engine.Config) { c.SecretKey, c.Bucket = "", "" }, []string{"SecretKey", "Bucket"}},
		"the bucket has no S3 name":       {func(c *s3engine.Config) { c.Bucket = "../images" }, []string{"../images", "lower-case"}},
		"a second server in the process":  {func(*s3engine.Config) {}, []string{"already running"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, filepath.Join(t.TempDir(), "s3"))
			cfg.Log = running.cfg.Log
			tt.change(&cfg)
			_, err := s3engine.Start(t.Context(), cfg)
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), cfg.SecretKey) && cfg.SecretKey != "" {
				t.Errorf("%q tells the secret", err)
			}
		})
	}
	// None of that disturbed the one that runs.
	must(running.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: strings.NewReader("x")}))(t)
}

func TestNothingIsPrinted(t *testing.T) {
	c := startChild(t, filepath.Join(t.TempDir(), "s3"))
	key := aws.String("images/x")
	must(c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: key, Body: strings.NewReader("x")}))(t)
	must(c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)}))(t)
	_, _ = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/missing")})
	_, _ = c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: key, UploadId: aws.String("missing"), PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	idle := must(net.Dial("tcp", c.cfg.Addr))(t) // as browsers have them
	defer idle.Close()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest := must(io.ReadAll(c.out))(t)
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if len(rest) > 0 || c.logs.String() != "" {
		t.Errorf("standard output: %q; standard error: %q; want nothing", rest, c.logs)
	}
}

func TestTheAdminAPIIsOutOfReach(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/create-user?access=a&secret=b&role=admin", "/list-users", "/list-buckets", "/" + bucket + "/create"} {
		req := must(http.NewRequestWithContext(t.Context(), "PATCH", s.Endpoint()+path, nil))(t)
		if status, _, _ := send(t, req); status != 405 {
			t.Errorf("PATCH %s: got status %d, want 405", path, status)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	s := start(t)
	must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/a/b"), Body: strings.NewReader("x")}))(t)
	must(s.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("copies/c"), CopySource: aws.String(bucket + "/images/a/b")}))(t)
	for _, grid := range []int64{0, partSize} {
		id := s.begin(t, "images/m", grid)
		must(s.part("images/m", id, 1, noise(1, 1000)))(t)
	}
	err := filepath.WalkDir(s.cfg.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if got := must(e.Info())(t).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheHostLearnsOfEveryObject(t *testing.T) {
	s := start(t)
	before := time.Now()
	put := must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/put"), Body: strings.NewReader("12345")}))(t)
	id := s.begin(t, "images/multipart", partSize)
	p := must(s.part("images/multipart", id, 1, noise(1, 1000)))(t)
	done := must(s.complete("images/multipart", id, p))(t)
	must(s.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/copy"), CopySource: aws.String(bucket + "/images/put")}))(t)
	must(s.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/put")}))(t)
	// A request with whose buffer the events could have been kept by mistake (G5).
	must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("zzzzzz/zzz"), Body: strings.NewReader("")}))(t)

	unquoted := func(e *string) string { return strings.Trim(*e, `"`) }
	want := []s3engine.Object{
		{Bucket: bucket, Key: "images/put", ETag: unquoted(put.ETag), Size: 5, EventName: "ObjectCreated:Put"},
		{Bucket: bucket, Key: "images/multipart", ETag: unquoted(done.ETag), Size: 1000, EventName: "ObjectCreated:CompleteMultipartUpload"},
		{Bucket: bucket, Key: "images/copy", ETag: unquoted(put.ETag), Size: 5, EventName: "ObjectCreated:Copy"},
		{Bucket: bucket, Key: "zzzzzz/zzz", ETag: "d41d8cd98f00b204e9800998ecf8427e", EventName: "ObjectCreated:Put"},
	}
	got := s.created()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(s3engine.Object{}, "At")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	last := before
	for _, o := range got {
		if !o.At.After(last) {
			t.Errorf("%s happened at %v, not after %v", o.Key, o.At, last)
		}
		last = o.At
	}
}

func TestAnEventThatIsNotKeptDoesNotUndoTheUpload(t *testing.T) {
	s := start(t, func(c *s3engine.Config) {
		c.Created = func(context.Context, s3engine.Object) error { return errors.New("the outbox is broken") }
	})
	must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: strings.NewReader("x")}))(t)
	if got := s.read(t, "images/x"); string(got) != "x" {
		t.Errorf("got %q, want x", got)
	}
	if got := s.logs.String(); !strings.Contains(got, "the outbox is broken") || !strings.Contains(got, "images/x") {
		t.Errorf("the log says %q, want the key and the error", got)
	}
}

func TestTheEventIsThereBeforeTheAnswer(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := start(t, func(c *s3engine.Config) {
		c.Created = func(context.Context, s3engine.Object) error {
			close(begun)
			<-goOn
			return nil
		}
	})
	answered := make(chan error, 1)
	go func() {
		_, err := s.PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: strings.NewReader("x")})
		answered <- err
	}()
	<-begun
	if got := s.read(t, "images/x"); string(got) != "x" { // the host can read it already
		t.Errorf("got %q, want x", got)
	}
	runtime.Gosched()
	select {
	case <-answered:
		t.Error("the client was answered before the event was kept")
	default:
	}
	close(goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestANotificationIsWhatLambdaDecodes(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 123_456_789, time.UTC)
	o := s3engine.Object{
		Bucket: "images", Key: "images/a b+c%d&ü/文", ETag: `"abc-2"`, Size: 6 << 30,
		EventName: "ObjectCreated:CompleteMultipartUpload", At: at,
	}
	var got events.S3Event
	if err := json.Unmarshal(must(s3engine.Notification(o, "eu-central-1"))(t), &got); err != nil {
		t.Fatal(err)
	}
	want := events.S3Event{Records: []events.S3EventRecord{{
		EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: "eu-central-1", EventTime: at.Truncate(time.Millisecond), EventName: o.EventName,
		PrincipalID:       events.S3UserIdentity{PrincipalID: "bullion"},
		RequestParameters: events.S3RequestParameters{SourceIPAddress: "127.0.0.1"},
		ResponseElements:  map[string]string{},
		S3: events.S3Entity{
			SchemaVersion: "1.0", ConfigurationID: "bullion",
			Bucket: events.S3Bucket{Name: "images", OwnerIdentity: events.S3UserIdentity{PrincipalID: "bullion"}, Arn: "arn:aws:s3:::images"},
			Object: events.S3Object{
				Key: "images/a+b%2Bc%25d%26%C3%BC/%E6%96%87", URLDecodedKey: o.Key, Size: o.Size, ETag: "abc-2",
				Sequencer: fmt.Sprintf("%018X", at.UnixNano()),
			},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSequencersGrow(t *testing.T) {
	last := ""
	for _, at := range []time.Time{time.Unix(0, 1), time.Unix(0, 2), time.Unix(1, 0), time.Now(), time.Now().AddDate(100, 0, 0)} {
		var e events.S3Event
		if err := json.Unmarshal(must(s3engine.Notification(s3engine.Object{Key: "x", At: at}, ""))(t), &e); err != nil {
			t.Fatal(err)
		}
		seq := e.Records[0].S3.Object.Sequencer
		if seq <= last {
			t.Errorf("sequencer %s of %v is not more than %s", seq, at, last)
		}
		last = seq
	}
}

func TestWithSyncEverythingWorksAlike(t *testing.T) {
	s := start(t, func(c *s3engine.Config) { c.Sync = true })
	body := noise(1, partSize+10)
	put := must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/put"), Body: bytes.NewReader(body)}))(t)
	checkObject(t, s, "images/put", *put.ETag, body)
	id := s.begin(t, "images/multipart", partSize)
	one := must(s.part("images/multipart", id, 1, body[:partSize]))(t)
	two := must(s.part("images/multipart", id, 2, body[partSize:]))(t)
	out := must(s.complete("images/multipart", id, one, two))(t)
	checkObject(t, s, "images/multipart", *out.ETag, body)
}
