package s3engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"bullion/infra/local/s3engine"
)

func TestAPresignedURLAllowsWhatItSaysAndNothingElse(t *testing.T) {
	s := start(t)
	body := noise(1, 1000)
	with := func(r *v4.PresignedHTTPRequest, name, value string) *v4.PresignedHTTPRequest {
		u := must(url.Parse(r.URL))(t)
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return &v4.PresignedHTTPRequest{URL: u.String(), Method: r.Method, SignedHeader: r.SignedHeader}
	}
	good := s.presignPut(t, "images/x", 1000)
	expired := must(s.presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), ContentLength: aws.Int64(1000)},
		s3.WithPresignExpires(time.Second), func(o *s3.PresignOptions) { o.Presigner = earlier{v4.NewSigner()} }))(t)
	stranger := s3.NewPresignClient(s.Client, func(o *s3.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(accessKey, "another secret", "")
		})
	})
	forged := must(stranger.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), ContentLength: aws.Int64(1000)}))(t)
	tests := map[string]struct {
		r    *v4.PresignedHTTPRequest
		body []byte
	}{
		"a shorter body":       {good, body[:999]},
		"a longer body":        {good, append(noise(1, 1000), 'x')},
		"no body":              {good, nil},
		"another key":          {&v4.PresignedHTTPRequest{URL: strings.Replace(good.URL, "images/x", "images/y", 1), Method: "PUT", SignedHeader: good.SignedHeader}, body},
		"another method":       {&v4.PresignedHTTPRequest{URL: good.URL, Method: "DELETE", SignedHeader: good.SignedHeader}, nil},
		"a longer life":        {with(good, "X-Amz-Expires", "600"), body},
		"another signature":    {with(good, "X-Amz-Signature", strings.Repeat("0", 64)), body},
		"one more parameter":   {with(good, "x-id", "Something"), body},
		"a URL that expired":   {expired, body},
		"a secret of somebody": {forged, body},
		"no signature":         {&v4.PresignedHTTPRequest{URL: s.Endpoint() + "/" + bucket + "/images/x", Method: "PUT"}, body},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if status, code, _ := do(t, tt.r, tt.body); status != 403 {
				t.Errorf("got status %d %s, want 403", status, code)
			}
			checkAbsent(t, s, "images/x")
			checkAbsent(t, s, "images/y")
		})
	}
	if status, code, _ := do(t, good, body); status != 200 {
		t.Errorf("the URL as it was signed: got status %d %s, want 200", status, code)
	}
}

// earlier signs as of an hour ago.
type earlier struct{ *v4.Signer }

func (e earlier) PresignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, o ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return e.Signer.PresignHTTP(ctx, c, r, hash, service, region, at.Add(-time.Hour), o...)
}

func TestABodyWithAnotherChecksumIsRefused(t *testing.T) {
	s := start(t)
	body := noise(1, 300_000)
	wrong := noise(2, 300_000)
	sha := sha256.Sum256(body)
	claims := map[string]func(*s3.PutObjectInput){
		"Content-MD5": func(in *s3.PutObjectInput) { in.ContentMD5 = aws.String("1B2M2Y8AsgTpgAmY7PhCfg==") },
		"CRC-32":      func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") },
		"CRC-32C":     func(in *s3.PutObjectInput) { in.ChecksumCRC32C = aws.String("AAAAAA==") },
		"CRC-64/NVME": func(in *s3.PutObjectInput) { in.ChecksumCRC64NVME = aws.String("AAAAAAAAAAA=") },
		"SHA-256":     func(in *s3.PutObjectInput) { in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(sha[:])) },
	}
	for name, claim := range claims {
		t.Run(name, func(t *testing.T) {
			in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: bytes.NewReader(wrong)}
			claim(in)
			_, err := s.PutObject(t.Context(), in)
			if got := code(err); got != "BadDigest" {
				t.Errorf("PUT: got %q, want BadDigest", got)
			}
			checkAbsent(t, s, "images/x")
		})
	}
	_, err := s.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: bytes.NewReader(body),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sha[:])),
	})
	if err != nil {
		t.Errorf("the right SHA-256: %v", err)
	}
}

func TestMultipartUploadsKeepTheChecksumsThatTheSDKAsksFor(t *testing.T) {
	s := start(t)
	body := noise(1, partSize+100)
	for _, tt := range []struct {
		algo types.ChecksumAlgorithm
		kind types.ChecksumType
	}{
		{types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc32, types.ChecksumTypeComposite},
		{types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite},
	} {
		t.Run(string(tt.algo)+" "+string(tt.kind), func(t *testing.T) {
			key := "images/" + string(tt.algo) + string(tt.kind)
			id := must(s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
				Bucket: aws.String(bucket), Key: &key, ChecksumAlgorithm: tt.algo, ChecksumType: tt.kind,
				Metadata: map[string]string{"bullion-part-size": fmt.Sprint(partSize)},
			}))(t).UploadId
			var parts []types.CompletedPart
			for n, b := range [][]byte{body[:partSize], body[partSize:]} {
				out := must(s.UploadPart(t.Context(), &s3.UploadPartInput{
					Bucket: aws.String(bucket), Key: &key, UploadId: id, PartNumber: aws.Int32(int32(n + 1)),
					Body: bytes.NewReader(b), ChecksumAlgorithm: tt.algo, // sent as a trailer
				}))(t)
				parts = append(parts, types.CompletedPart{
					PartNumber: aws.Int32(int32(n + 1)), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
					ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA256: out.ChecksumSHA256,
				})
			}
			done := must(s.complete(key, *id, parts...))(t)
			head := must(s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key, ChecksumMode: types.ChecksumModeEnabled}))(t)
			if head.ChecksumType != tt.kind {
				t.Errorf("checksum type: got %s, want %s", head.ChecksumType, tt.kind)
			}
			checkObject(t, s, key, *done.ETag, body)
			if tt.kind != types.ChecksumTypeFullObject {
				return
			}
			// A PUT of the same bytes must arrive at the same checksum; the SDK also checks it when it reads.
			one := must(s.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String(key + "-put"), Body: bytes.NewReader(body), ChecksumAlgorithm: tt.algo,
			}))(t)
			type sums struct{ CRC32, CRC32C, CRC64NVME *string }
			want := sums{one.ChecksumCRC32, one.ChecksumCRC32C, one.ChecksumCRC64NVME}
			if diff := cmp.Diff(want, sums{head.ChecksumCRC32, head.ChecksumCRC32C, head.ChecksumCRC64NVME}); diff != "" {
				t.Errorf("checksum of the whole (-of a PUT +of the parts):\n%s", diff)
			}
		})
	}
}

func TestOfManyConditionalWritersExactlyOneWins(t *testing.T) {
	s := start(t)
	source := noise(1, 10)
	if status, _, _ := do(t, s.presignPut(t, "images/source", 10), source); status != 200 {
		t.Fatalf("PUT: got status %d", status)
	}
	ways := map[string]func(key string, i int) string{
		"PUT": func(key string, i int) string {
			_, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(noise(uint64(i), 300_000)), IfNoneMatch: aws.String("*")})
			return code(err)
		},
		"Complete": func(key string, i int) string {
			id := s.begin(t, key, partSize)
			p, err := s.part(key, id, 1, noise(uint64(i), 1000))
			if err != nil {
				return code(err)
			}
			_, err = s.complete(key, id, p)
			return code(err)
		},
		"Copy": func(key string, _ int) string {
			_, err := s.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: &key, CopySource: aws.String(bucket + "/images/source"), IfNoneMatch: aws.String("*")})
			return code(err)
		},
	}
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			const writers = 20
			codes := make([]string, writers)
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() { codes[i] = write("images/"+name, i) })
			}
			wg.Wait()
			got := map[string]int{}
			for _, c := range codes {
				got[c]++
			}
			if diff := cmp.Diff(map[string]int{"": 1, "PreconditionFailed": writers - 1}, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("all ways at once", func(t *testing.T) {
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for _, write := range ways {
			for i := range 4 {
				wg.Go(func() {
					if write("images/all", i) == "" {
						mu.Lock()
						defer mu.Unlock()
						won++
					}
				})
			}
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d writers won, want 1", won)
		}
	})
}

func TestAnOverwriteHasAnotherETag(t *testing.T) {
	s := start(t)
	key := "images/x"
	etags := map[string]bool{}
	for i := range 3 {
		out := must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(noise(uint64(i), 1000))}))(t)
		etags[*out.ETag] = true
		id := s.begin(t, key, partSize)
		p := must(s.part(key, id, 1, noise(7, 1000)))(t) // the same bytes every time
		done := must(s.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: &key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{p}},
		}))(t)
		etags[*done.ETag] = true
		checkObject(t, s, key, *done.ETag, noise(7, 1000))
	}
	if len(etags) != 6 {
		t.Errorf("6 writes have %d different ETags", len(etags))
	}
}

func TestAClientThatHangsUpLeavesNothing(t *testing.T) {
	s := start(t)
	key := "images/hangup"
	id := s.begin(t, key, partSize)
	urls := map[string]string{
		"PUT": must(s.presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, ContentLength: aws.Int64(partSize)}))(t).URL,
		"part": must(s.presign.PresignUploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(1), ContentLength: aws.Int64(partSize),
		}))(t).URL,
	}
	for name, raw := range urls {
		t.Run(name, func(t *testing.T) {
			u := must(url.Parse(raw))(t)
			conn := must(net.Dial("tcp", s.cfg.Addr))(t)
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", u.RequestURI(), s.cfg.Addr, partSize)
			must(conn.Write(noise(1, partSize/2)))(t)
			// Half closed: the server sees the end of the body and can still answer.
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp := must(http.ReadResponse(bufio.NewReader(conn), nil))(t)
			if resp.StatusCode != 400 {
				t.Errorf("got status %d, want 400", resp.StatusCode)
			}
			_ = resp.Body.Close()
			_ = conn.Close()
			listed := must(s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id}))(t)
			if len(listed.Parts) != 0 {
				t.Errorf("got %d parts, want none", len(listed.Parts))
			}
		})
	}
	must(s.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id}))(t)
	checkAbsent(t, s, key)
}

func TestStoppingEndsUploadsThatAreUnderWay(t *testing.T) {
	s := start(t)
	u := must(url.Parse(s.presignPut(t, "images/stop", partSize).URL))(t)
	conn := must(net.Dial("tcp", s.cfg.Addr))(t)
	defer conn.Close()
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nIf-None-Match: *\r\nContent-Length: %d\r\n\r\n", u.RequestURI(), s.cfg.Addr, partSize)
	must(conn.Write(noise(1, partSize/2)))(t)
	s.stop() // reports an error if the server does not stop
	again := startIn(t, s.cfg.Dir)
	checkAbsent(t, again, "images/stop")
}

func TestAFormPostStoresAnObject(t *testing.T) {
	s := start(t)
	body := noise(1, 100_000)
	form := must(s.presign.PresignPostObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/form")}, func(o *s3.PresignPostOptions) {
		o.Conditions = []any{[]any{"content-length-range", 1, 200_000}}
	}))(t)
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for k, v := range form.Values {
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	file := must(w.CreateFormFile("file", "image"))(t)
	must(file.Write(body))(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	req := must(http.NewRequestWithContext(t.Context(), "POST", form.URL, &buf))(t)
	req.Header.Set("Content-Type", w.FormDataContentType())
	status, code, header := send(t, req)
	if status != 204 {
		t.Fatalf("got status %d %s, want 204", status, code)
	}
	checkObject(t, s, "images/form", header.Get("ETag"), body)
	if got, want := s.created()[0].EventName, "ObjectCreated:Post"; got != want {
		t.Errorf("event: got %s, want %s", got, want)
	}
}

func TestABrowserOfTheDashboardMayUpload(t *testing.T) {
	s := start(t)
	preflight := func(origin, method string) (int, http.Header) {
		req := must(http.NewRequestWithContext(t.Context(), "OPTIONS", s.Endpoint()+"/"+bucket+"/images/x", nil))(t)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", method)
		req.Header.Set("Access-Control-Request-Headers", "content-type, if-none-match")
		status, _, header := send(t, req)
		return status, header
	}
	for _, method := range []string{"PUT", "GET", "HEAD"} {
		status, header := preflight("https://dashboard.example", method)
		if got := header.Get("Access-Control-Allow-Origin"); status != 200 || got != "https://dashboard.example" {
			t.Errorf("preflight of %s: got status %d for origin %q", method, status, got)
		}
		if got := header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "ETag") {
			t.Errorf("preflight of %s exposes %q, want ETag", method, got)
		}
	}
	if status, _ := preflight("https://elsewhere.example", "PUT"); status != 403 {
		t.Errorf("preflight from elsewhere: got status %d, want 403", status)
	}
	if status, _ := preflight("https://dashboard.example", "DELETE"); status != 403 {
		t.Errorf("preflight of DELETE: got status %d, want 403", status)
	}
	without := startAfter(t, s, func(c *s3engine.Config) { c.AllowedOrigins = nil })
	req := must(http.NewRequestWithContext(t.Context(), "GET", without.Endpoint()+"/"+bucket+"/images/x", nil))(t)
	req.Header.Set("Origin", "https://dashboard.example")
	if _, _, header := send(t, req); header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("an origin is still allowed after it was removed from the configuration")
	}
}

// startAfter stops a server and starts another in its directory.
func startAfter(t *testing.T, s *server, change ...func(*s3engine.Config)) *server {
	t.Helper()
	s.stop()
	return startIn(t, s.cfg.Dir, change...)
}

func TestKeysThatAFileCannotHaveAreRefused(t *testing.T) {
	s := start(t)
	for _, key := range []string{"a//b", "a/./b", "./a", "a/../b", ".sgwtmp/x", strings.Repeat("x", 300)} {
		_, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("x")})
		if err == nil {
			t.Errorf("PUT of key %q succeeded", key)
		}
		_, err = s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
		if err == nil && len(key) < 256 {
			t.Errorf("multipart upload of key %q was begun", key)
		}
	}
	must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/file"), Body: strings.NewReader("x")}))(t)
	for key, want := range map[string]string{"images/file/below": "ObjectParentIsFile", "images": "ExistingObjectIsDirectory"} {
		_, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("x")})
		if got := code(err); got != want {
			t.Errorf("PUT of %s: got %q, want %s", key, got, want)
		}
	}
}

func TestOddKeysAreTheirOwn(t *testing.T) {
	s := start(t)
	for i, key := range []string{"images/a b+c%d&e#f?g", "images/übung/文件", "images/a=b;c,d@e"} {
		body := noise(uint64(i), 100)
		status, code, header := do(t, s.presignPut(t, key, 100), body)
		if status != 200 {
			t.Fatalf("PUT of %q: got status %d %s", key, status, code)
		}
		checkObject(t, s, key, header.Get("ETag"), body)
		if got := s.created()[i].Key; got != key {
			t.Errorf("event: got key %q, want %q", got, key)
		}
	}
}

func TestMetadataThatDoesNotFitIsTheClientsMistake(t *testing.T) {
	s := start(t)
	in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/x"), Body: strings.NewReader("x"), Metadata: map[string]string{"m": strings.Repeat("m", 1900)}}
	var tags url.Values = map[string][]string{}
	for i := range 10 {
		tags.Set(fmt.Sprint(i, strings.Repeat("k", 120)), strings.Repeat("v", 250))
	}
	in.Tagging = aws.String(tags.Encode())
	_, err := s.PutObject(t.Context(), in)
	if got := code(err); got != "MetadataTooLarge" {
		t.Errorf("got %q, want MetadataTooLarge", got)
	}
	checkAbsent(t, s, "images/x")
	in.Tagging, in.Body = aws.String("os=debian&arch=arm64"), strings.NewReader("x")
	must(s.PutObject(t.Context(), in))(t)
	head := must(s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: in.Key}))(t)
	if diff := cmp.Diff(in.Metadata, head.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	out := must(s.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: in.Key}))(t)
	if len(out.TagSet) != 2 {
		t.Errorf("got %d tags, want 2", len(out.TagSet))
	}
}

func TestDescriptionsSurviveAMultipartUpload(t *testing.T) {
	s := start(t)
	key := "images/described"
	id := *must(s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, ContentType: aws.String("application/x-qemu-disk"), ContentDisposition: aws.String(`attachment; filename="a.qcow2"`),
		Metadata: map[string]string{"bullion-part-size": fmt.Sprint(partSize), "owner": "me"}, Tagging: aws.String("a=b"),
	}))(t).UploadId
	s = startAfter(t, s) // they are on the disk, not in memory
	p := must(s.part(key, id, 1, []byte("bytes")))(t)
	must(s.complete(key, id, p))(t)
	out := must(s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key, Range: aws.String("bytes=1-2")}))(t)
	defer out.Body.Close()
	type description struct{ Type, Disposition, Owner, Bytes string }
	got := description{*out.ContentType, *out.ContentDisposition, out.Metadata["owner"], string(must(io.ReadAll(out.Body))(t))}
	want := description{"application/x-qemu-disk", `attachment; filename="a.qcow2"`, "me", "yt"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tags := must(s.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: &key}))(t)
	if len(tags.TagSet) != 1 {
		t.Errorf("got %d tags, want 1", len(tags.TagSet))
	}
}

func TestAPartSizeThatS3DoesNotAllowIsRefused(t *testing.T) {
	s := start(t)
	for _, size := range []string{"x", "0", "-1", "5242879", "5368709121"} {
		_, err := s.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
			Bucket: aws.String(bucket), Key: aws.String("images/x"), Metadata: map[string]string{"bullion-part-size": size},
		})
		if got := code(err); got != "InvalidArgument" {
			t.Errorf("part size %s: got %q, want InvalidArgument", size, got)
		}
	}
}
