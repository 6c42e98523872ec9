package s3engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"bullion/infra/local/s3engine"
	"bullion/internal/proctest"
)

const (
	accessKey = "bullion"
	secretKey = "not a secret"
	bucket    = "images"
	mib       = 1 << 20
	partSize  = 5 * mib // the smallest that S3 allows
)

// server is a running S3 server and a client of it.
type server struct {
	*s3engine.Server
	*s3.Client
	presign *s3.PresignClient
	cfg     s3engine.Config
	logs    *proctest.Output
	stop    func()

	mu     sync.Mutex
	events []s3engine.Object
}

// start runs a server in a new directory until the test ends.
func start(t testing.TB, change ...func(*s3engine.Config)) *server {
	t.Helper()
	return startIn(t, filepath.Join(t.TempDir(), "s3"), change...)
}

func startIn(t testing.TB, dir string, change ...func(*s3engine.Config)) *server {
	t.Helper()
	s := &server{logs: &proctest.Output{}}
	s.cfg = config(t, dir)
	s.cfg.Log = slog.New(slog.NewTextHandler(s.logs, nil))
	s.cfg.Created = func(_ context.Context, o s3engine.Object) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, o)
		return nil
	}
	for _, c := range change {
		c(&s.cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	s.Server, err = s3engine.Start(ctx, s.cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := s.Wait(); err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	})
	t.Cleanup(s.stop)
	s.Client, s.presign = clients(s.Endpoint())
	return s
}

func config(t testing.TB, dir string) s3engine.Config {
	return s3engine.Config{
		Dir: dir, Addr: freeAddr(t), AccessKey: accessKey, SecretKey: secretKey, Region: "eu-central-1", Bucket: bucket,
		AllowedOrigins: []string{"https://dashboard.example"},
	}
}

func clients(endpoint string) (*s3.Client, *s3.PresignClient) {
	c := s3.New(s3.Options{
		BaseEndpoint:               aws.String(endpoint),
		Region:                     "eu-central-1",
		UsePathStyle:               true,
		Credentials:                credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	return c, s3.NewPresignClient(c)
}

// freeAddr finds a port that nobody uses now (G10).
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := proctest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func (s *server) created() []s3engine.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]s3engine.Object(nil), s.events...)
}

// noise is n bytes that do not compress, different for each seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

// do sends a presigned request with a body, and returns status and S3 error code.
func do(t testing.TB, r *v4.PresignedHTTPRequest, body []byte) (status int, code string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.SignedHeader {
		if !strings.EqualFold(k, "Host") {
			req.Header[k] = v
		}
	}
	return send(t, req)
}

func send(t testing.TB, req *http.Request) (status int, code string, header http.Header) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(b), "<Code>"); ok {
		code, _, _ = strings.Cut(rest, "</Code>")
	}
	return resp.StatusCode, code, resp.Header
}

// code is the S3 error code of err, empty for success.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return err.Error()
	}
}

// presignPut signs a PUT of exactly size bytes that must not replace an object, as the service does.
func (s *server) presignPut(t testing.TB, key string, size int64) *v4.PresignedHTTPRequest {
	t.Helper()
	r, err := s.presign.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, ContentLength: &size, IfNoneMatch: aws.String("*"),
	}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// begin opens a multipart upload with parts of size bytes; 0 does not tell the server.
func (s *server) begin(t testing.TB, key string, size int64) string {
	t.Helper()
	in := &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key}
	if size > 0 {
		in.Metadata = map[string]string{"bullion-part-size": fmt.Sprint(size)}
	}
	out, err := s.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.UploadId
}

func (s *server) part(key, id string, n int32, body []byte) (types.CompletedPart, error) {
	out, err := s.UploadPart(context.Background(), &s3.UploadPartInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: &n, Body: bytes.NewReader(body),
	})
	if err != nil {
		return types.CompletedPart{}, err
	}
	return types.CompletedPart{PartNumber: &n, ETag: out.ETag}, nil
}

func (s *server) complete(key, id string, parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
	return s.CompleteMultipartUpload(context.Background(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, IfNoneMatch: aws.String("*"),
	})
}

// must is for calls whose failure is not what a test is about.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *server) read(t testing.TB, key string) []byte {
	t.Helper()
	out, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	return must(io.ReadAll(out.Body))(t)
}

// leftovers lists what is in the directory of unfinished things.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for _, e := range must(os.ReadDir(filepath.Join(dir, "uploads")))(t) {
		out = append(out, e.Name())
	}
	return out
}
