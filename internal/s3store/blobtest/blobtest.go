// Package blobtest is the contract of images.Blobs as a test. It runs against a real S3 engine: signatures, lengths and conditions are
// what an engine checks, and what a fake would take on trust.
//
// The suite talks to the engine in three ways: through the Blobs under test; as a client does, with plain HTTP and a signed request; and with a
// client that has the bucket's credentials, where the contract is about what others did to the bucket.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

// Bucket is an empty bucket, and the Blobs that keep bytes in it.
type Bucket struct {
	images.Blobs
	Name      string
	Raw       *s3.Client // with every right on the bucket
	Versioned bool
}

// Run tests the contract. open returns a bucket that no other test uses.
func Run(t *testing.T, open func(t *testing.T) Bucket) {
	RunObjects(t, open)
	runSuites(t, open, []suite{{"Multipart", multipartTests}, {"ListMultipart", listMultipartTests}})
}

// RunObjects tests what the contract says of objects, which is what versions of a bucket make a difference to.
func RunObjects(t *testing.T, open func(t *testing.T) Bucket) {
	runSuites(t, open, []suite{
		{"Put", putTests}, {"PresignPut", presignPutTests}, {"Read", readTests}, {"PresignGet", presignGetTests}, {"Delete", deleteTests}, {"List", listTests},
	})
}

type suite struct {
	name  string
	tests []test
}

func runSuites(t *testing.T, open func(t *testing.T) Bucket, suites []suite) {
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for _, test := range suite.tests {
				t.Run(test.name, func(t *testing.T) {
					b := open(t)
					test.run(t, b)
					leaveEmpty(t, b)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, b Bucket)
}

// leaveEmpty removes what a test made, by the means of the contract, and checks that nothing stays.
func leaveEmpty(t *testing.T, b Bucket) {
	t.Helper()
	ctx := context.Background()
	stored := objects(t, b, "")
	each(len(stored), func(n int) {
		if err := b.Delete(ctx, stored[n].Key); err != nil {
			t.Errorf("Delete(%s): %v", stored[n].Key, err)
		}
	})
	open := openMultiparts(t, b, "")
	each(len(open), func(n int) {
		if err := b.AbortMultipart(ctx, open[n].Key, open[n].S3Upload); err != nil {
			t.Errorf("AbortMultipart(%s): %v", open[n].Key, err)
		}
	})
	checkEmpty(t, b)
}

// checkEmpty fails when the bucket holds an object or an open multipart upload.
func checkEmpty(t *testing.T, b Bucket) {
	t.Helper()
	if got := objects(t, b, ""); len(got) > 0 {
		t.Errorf("objects are left: %v", got)
	}
	if got := openMultiparts(t, b, ""); len(got) > 0 {
		t.Errorf("multipart uploads are left open: %v", got)
	}
}

func objects(t *testing.T, b Bucket, prefix string) (all []images.Stored) {
	t.Helper()
	if err := b.List(context.Background(), prefix, "", func(s images.Stored) bool { all = append(all, s); return true }); err != nil {
		t.Fatalf("List(%q): %v", prefix, err)
	}
	return all
}

func openMultiparts(t *testing.T, b Bucket, prefix string) (all []images.OpenMultipart) {
	t.Helper()
	if err := b.ListMultipart(context.Background(), prefix, "", func(u images.OpenMultipart) bool { all = append(all, u); return true }); err != nil {
		t.Fatalf("ListMultipart(%q): %v", prefix, err)
	}
	return all
}

// testKey is a key as the service makes them, the same in every run.
const testKey = "images/0b6d5d0e-1f0e-4d5c-9a39-6a1c5d0b7a11/5f1e8a3c-7a44-4c9e-8f0a-2f3f0f6f1b22"

// noise makes n bytes that are the same for the same seed and compress to nothing less.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// put stores bytes and returns their object.
func put(t *testing.T, b Bucket, key string, body []byte) images.Blob {
	t.Helper()
	blob, err := b.Put(context.Background(), key, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatalf("Put(%s, %d bytes): %v", key, len(body), err)
	}
	return blob
}

// read returns all bytes of an object.
func read(t *testing.T, b Bucket, blob images.Blob) []byte {
	t.Helper()
	r, err := b.Range(context.Background(), blob, 0, blob.Size)
	if err != nil {
		t.Fatalf("Range(%s, 0, %d): %v", blob.Key, blob.Size, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading %s: %v", blob.Key, err)
	}
	return got
}

// checkObject fails unless the object at the key has exactly these bytes and is the one of blob.
func checkObject(t *testing.T, b Bucket, blob images.Blob, want []byte) {
	t.Helper()
	head, err := b.Head(context.Background(), blob.Key)
	if err != nil {
		t.Fatalf("Head(%s): %v", blob.Key, err)
	}
	if diff := cmp.Diff(blob, head); diff != "" {
		t.Errorf("the object at %s is another (-blob +head):\n%s", blob.Key, diff)
	}
	if blob.Size != int64(len(want)) || blob.ETag == "" || b.Versioned != (blob.VersionID != "") {
		t.Errorf("got %+v, want %d bytes, an ETag, and a version: %v", blob, len(want), b.Versioned)
	}
	if got := read(t, b, blob); !bytes.Equal(got, want) {
		t.Errorf("the bytes of %s are %s, want %s", blob.Key, digest(got), digest(want))
	}
}

func digest(b []byte) string { return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b)) }

func checkKind(t *testing.T, doing string, err error, want images.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want kind %d", doing, want)
	}
	if got := images.KindOf(err); got != want {
		t.Fatalf("%s: error of kind %d, want %d: %v", doing, got, want, err)
	}
}

func checkAbsent(t *testing.T, b Bucket, key string) {
	t.Helper()
	got, err := b.Head(context.Background(), key)
	checkKind(t, fmt.Sprintf("Head(%s) = %+v", key, got), err, images.NotFound)
}

// outcome is the answer to a plain HTTP request.
type outcome struct {
	status int
	header http.Header
	body   []byte
}

// browser is a client that knows nothing but the signed request.
var browser = &http.Client{Timeout: time.Minute}

// send makes a signed request as its holder does, after the changes.
func send(t *testing.T, r images.SignedRequest, body []byte, change ...func(*http.Request)) outcome {
	t.Helper()
	o, err := trySend(r, body, change...)
	if err != nil {
		t.Fatalf("%s: %v", r.Method, err)
	}
	return o
}

func trySend(r images.SignedRequest, body []byte, change ...func(*http.Request)) (outcome, error) {
	req, err := http.NewRequest(r.Method, r.URL, bytes.NewReader(body))
	if err != nil {
		return outcome{}, err
	}
	req.Header = http.Header(r.Header).Clone()
	req.Close = len(change) > 0 // what is refused may leave the connection in the middle of a body
	for _, c := range change {
		c(req)
	}
	resp, err := browser.Do(req)
	if err != nil {
		return outcome{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return outcome{resp.StatusCode, resp.Header, got}, err
}

// edited changes the text of the URL of a request, which must have it.
func edited(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		was := r.URL.String()
		is := replaceOnce(was, from, to)
		if is == was {
			panic("nothing to edit: " + from)
		}
		u, err := r.URL.Parse(is)
		if err != nil {
			panic(err)
		}
		r.URL = u
	}
}

func replaceOnce(s, from, to string) string {
	before, after, found := bytes.Cut([]byte(s), []byte(from))
	if !found {
		return s
	}
	return string(before) + to + string(after)
}
