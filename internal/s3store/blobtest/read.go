package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

var readTests = []test{
	{"what is not there is NotFound", func(t *testing.T, b Bucket) {
		checkAbsent(t, b, testKey)
		_, err := b.Range(context.Background(), images.Blob{Key: testKey, ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 10}, 0, 10)
		checkKind(t, "Range", err, images.NotFound)
	}},
	{"a range is exactly the bytes that were asked for", func(t *testing.T, b Bucket) {
		want := noise(1, 5*partSize/2)
		for _, blob := range []images.Blob{put(t, b, testKey, want), multipart(t, b, testKey+"-parts", want)} {
			size := int64(len(want))
			for _, c := range []struct{ off, n int64 }{
				{0, 1}, {0, size}, {1, size - 1}, {size - 1, 1}, {size / 2, 4096}, {partSize - 1, 2}, {0, 0}, {size, 0}, {7, 0},
			} {
				r, err := b.Range(context.Background(), blob, c.off, c.n)
				if err != nil {
					t.Errorf("Range(%d, %d): %v", c.off, c.n, err)
					continue
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, want[c.off:c.off+c.n]) {
					t.Errorf("Range(%d, %d): got %s (error %v), want %s", c.off, c.n, digest(got), err, digest(want[c.off:c.off+c.n]))
				}
			}
		}
	}},
	{"a range outside the object is BadRange", func(t *testing.T, b Bucket) {
		blob := put(t, b, testKey, noise(1, 10))
		for _, c := range []struct{ off, n int64 }{{-1, 1}, {0, -1}, {0, 11}, {10, 1}, {11, 0}, {5, 1<<63 - 1}, {1 << 62, 1 << 62}} {
			_, err := b.Range(context.Background(), blob, c.off, c.n)
			checkKind(t, fmt.Sprintf("Range(%d, %d)", c.off, c.n), err, images.BadRange)
		}
	}},
	{"a range of an object that is gone is NotFound, though another is at its key", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		was := put(t, b, testKey, noise(1, 1000))
		if err := b.Delete(ctx, testKey); err != nil {
			t.Fatal(err)
		}
		_, err := b.Range(ctx, was, 0, 10)
		checkKind(t, "Range of a deleted object", err, images.NotFound)
		for n, size := range []int{1000, 10} { // as large; too short for the range
			is := put(t, b, testKey, noise(2, size))
			_, err = b.Range(ctx, was, 500, 10)
			checkKind(t, fmt.Sprintf("Range of a replaced object, %d", n), err, images.NotFound)
			checkObject(t, b, is, noise(2, size))
			if err := b.Delete(ctx, testKey); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"a replacement behind the service's back is never read as the object", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		want := noise(1, 1000)
		blob := put(t, b, testKey, want)
		if _, err := b.Raw.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.Name, Key: aws.String(testKey), Body: bytes.NewReader(noise(2, 1000))}); err != nil {
			t.Fatal(err)
		}
		if b.Versioned {
			if got := read(t, b, blob); !bytes.Equal(got, want) {
				t.Errorf("got %s, want the bytes of the version %s", digest(got), digest(want))
			}
			if got := send(t, presignGet(t, b, blob, "image.raw"), nil); got.status != http.StatusOK || !bytes.Equal(got.body, want) {
				t.Errorf("download: got status %d and %s, want %s", got.status, digest(got.body), digest(want))
			}
			return
		}
		_, err := b.Range(ctx, blob, 0, 10)
		checkKind(t, "Range", err, images.NotFound)
	}},
	{"a stream ends with the context", func(t *testing.T, b Bucket) {
		blob := put(t, b, testKey, noise(1, 40*mib))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r, err := b.Range(ctx, blob, 0, blob.Size)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
			t.Errorf("got %d bytes more and error %v, want %v", n, err, context.Canceled)
		}
	}},
}

var presignGetTests = []test{
	{"whoever follows the link alone gets the bytes as an attachment", func(t *testing.T, b Bucket) {
		want := noise(1, 100_000)
		blob := put(t, b, testKey, want)
		r := presignGet(t, b, blob, "debian.qcow2")
		if r.Method != http.MethodGet || len(r.Header) > 0 {
			t.Errorf("got method %s and header %v, want GET and none: a redirect carries neither", r.Method, r.Header)
		}
		got := send(t, r, nil)
		if got.status != http.StatusOK || !bytes.Equal(got.body, want) {
			t.Errorf("got status %d and %s, want 200 and %s", got.status, digest(got.body), digest(want))
		}
		if ct := got.header.Get("Content-Type"); ct != "application/octet-stream" {
			t.Errorf("got content type %q, want application/octet-stream", ct)
		}
		if cd := got.header.Get("Content-Disposition"); cd != `attachment; filename="debian.qcow2"` {
			t.Errorf("got content disposition %q", cd)
		}
	}},
	{"what an uploader said of the content type is not repeated", func(t *testing.T, b Bucket) {
		body := []byte("<script>alert(1)</script>")
		up := presignPut(t, b, testKey, len(body), time.Minute)
		if got := send(t, up, body, func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }); got.status != http.StatusOK {
			t.Fatalf("PUT: %d %s", got.status, got.body)
		}
		blob, err := b.Head(context.Background(), testKey)
		if err != nil {
			t.Fatal(err)
		}
		got := send(t, presignGet(t, b, blob, "x.html"), nil)
		if ct := got.header.Get("Content-Type"); got.status != http.StatusOK || ct != "application/octet-stream" {
			t.Errorf("got status %d and content type %q, want 200 and application/octet-stream", got.status, ct)
		}
	}},
	{"a range of the download is possible, so that it can be resumed", func(t *testing.T, b Bucket) {
		want := noise(1, 100_000)
		r := presignGet(t, b, put(t, b, testKey, want), "debian.qcow2")
		got := send(t, r, nil, func(r *http.Request) { r.Header.Set("Range", "bytes=50000-") })
		if got.status != http.StatusPartialContent || !bytes.Equal(got.body, want[50000:]) {
			t.Errorf("got status %d and %s, want 206 and %s", got.status, digest(got.body), digest(want[50000:]))
		}
	}},
	{"anything but what was signed is refused", func(t *testing.T, b Bucket) {
		other := testKey[:len(testKey)-1] + "3"
		secret := noise(2, 100)
		put(t, b, other, secret)
		blob := put(t, b, testKey, noise(1, 100))
		for _, c := range []struct {
			name   string
			change func(*http.Request)
		}{
			{"another key", edited(testKey, other)},
			{"another file name", edited("debian.qcow2", "setup.exe")},
			{"another content type", edited("octet-stream", "html")},
			{"another signature", edited("X-Amz-Signature=", "X-Amz-Signature=0")},
			{"a longer life", edited("X-Amz-Expires=60", "X-Amz-Expires=600")},
			{"a PUT", func(r *http.Request) { r.Method = http.MethodPut }},
			{"a DELETE", func(r *http.Request) { r.Method = http.MethodDelete }},
		} {
			t.Run(c.name, func(t *testing.T) {
				got := send(t, presignGet(t, b, blob, "debian.qcow2"), nil, c.change)
				if got.status != http.StatusForbidden || bytes.Contains(got.body, secret) {
					t.Errorf("got status %d, want 403: %s", got.status, got.body)
				}
				checkObject(t, b, blob, noise(1, 100))
			})
		}
	}},
	{"after its time it is refused", func(t *testing.T, b Bucket) {
		blob := put(t, b, testKey, noise(1, 100))
		r, err := b.PresignGet(context.Background(), blob, "x", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(r.Expires) + 1500*time.Millisecond)
		if got := send(t, r, nil); got.status != http.StatusForbidden {
			t.Errorf("got status %d, want 403: %s", got.status, got.body)
		}
	}},
	{"no file name breaks out of its header", func(t *testing.T, b Bucket) {
		blob := put(t, b, testKey, noise(1, 10))
		for name, want := range map[string]string{
			"debian 12 (bookworm).qcow2":         "debian 12 (bookworm).qcow2",
			"":                                   "image",
			"...":                                "image",
			"a\r\nSet-Cookie: x=1\r\n\r\n<b>":    "a__Set-Cookie_ x=1_____b_",
			`a"; filename="b.exe`:                `a"; filename="b.exe`,
			`..\..\windows\system32`:             `_.._windows_system32`,
			"../../etc/passwd":                   "_.._etc_passwd",
			"Ümläut €.raw":                       "Ümläut €.raw",
			"日本語.iso":                            "日本語.iso",
			"invoice\u202Efdp.exe":               "invoice_fdp.exe",
			"bad\xff\xfeutf8.raw":                "bad__utf8.raw",
			"100%41.raw":                         "100%41.raw",
			"x\x00y\x7f.raw":                     "x_y_.raw",
			strings.Repeat("a", 5000) + ".qcow2": strings.Repeat("a", 194) + ".qcow2",
			strings.Repeat("é", 5000) + ".qcow2": strings.Repeat("é", 97) + ".qcow2",
		} {
			r := presignGet(t, b, blob, name)
			if u, err := url.Parse(r.URL); err != nil || u.Fragment != "" {
				t.Errorf("%.60q: the URL does not parse, or has a fragment: %v", name, err)
			}
			got := send(t, r, nil)
			if got.status != http.StatusOK {
				t.Errorf("%.60q: got status %d: %s", name, got.status, got.body)
				continue
			}
			if got.header.Get("Set-Cookie") != "" {
				t.Errorf("%.60q: a header was injected", name)
			}
			kind, params, err := mime.ParseMediaType(got.header.Get("Content-Disposition"))
			if err != nil || kind != "attachment" {
				t.Errorf("%.60q: got disposition %q (error %v)", name, got.header.Get("Content-Disposition"), err)
			}
			if diff := cmp.Diff(map[string]string{"filename": want}, params); diff != "" {
				t.Errorf("%.60q: (-want +got)\n%s", name, diff)
			}
		}
	}},
}

func presignGet(t *testing.T, b Bucket, blob images.Blob, filename string) images.SignedRequest {
	t.Helper()
	r, err := b.PresignGet(context.Background(), blob, filename, time.Minute)
	if err != nil {
		t.Fatalf("PresignGet(%+v, %.60q): %v", blob, filename, err)
	}
	return r
}

// multipart stores bytes as a multipart upload.
func multipart(t *testing.T, b Bucket, key string, body []byte) images.Blob {
	t.Helper()
	id := create(t, b, key, partSize)
	for n := 1; (n-1)*partSize < len(body); n++ {
		sendPart(t, b, key, id, n, cut(body, n))
	}
	return complete(t, b, key, id)
}
