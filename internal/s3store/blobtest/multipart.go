package blobtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

// partSize is the smallest that S3 takes for a part that is not the last.
const partSize = images.MinPartSize

var multipartTests = []test{
	{"parts in any order and at once become one object", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		want := noise(1, 4*partSize+100)
		id := create(t, b, testKey, partSize)
		var wg sync.WaitGroup
		for n := 5; n >= 1; n-- {
			r := presignPart(t, b, testKey, id, n, len(cut(want, n)))
			wg.Go(func() {
				if got, err := trySend(r, cut(want, n)); err != nil || got.status != http.StatusOK {
					t.Errorf("part %d: %d %s %v", n, got.status, got.body, err)
				}
			})
		}
		wg.Wait()
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		for n, p := range parts {
			if p.Number != n+1 || p.Size != int64(len(cut(want, n+1))) || p.ETag == "" {
				t.Errorf("got part %+v, want number %d with %d bytes and an ETag", p, n+1, len(cut(want, n+1)))
			}
		}
		if len(parts) != 5 {
			t.Fatalf("got %d parts, want 5", len(parts))
		}
		checkAbsent(t, b, testKey) // parts are not an object
		blob, err := b.CompleteMultipart(ctx, testKey, id, parts)
		if err != nil {
			t.Fatal(err)
		}
		checkObject(t, b, blob, want)
		if got := openMultiparts(t, b, ""); len(got) > 0 {
			t.Errorf("the upload is still open: %v", got)
		}
	}},
	{"one part alone may have any size", func(t *testing.T, b Bucket) {
		want := noise(1, 10)
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, want)
		checkObject(t, b, complete(t, b, testKey, id), want)
	}},
	{"a part that is sent again counts as sent last", func(t *testing.T, b Bucket) {
		want := noise(1, partSize+10)
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, noise(2, partSize))
		sendPart(t, b, testKey, id, 2, want[partSize:])
		sendPart(t, b, testKey, id, 1, want[:partSize])
		checkObject(t, b, complete(t, b, testKey, id), want)
	}},
	{"a part that changed since it was listed stops the completion", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, noise(1, 100))
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		sendPart(t, b, testKey, id, 1, noise(2, 100))
		_, err = b.CompleteMultipart(ctx, testKey, id, parts)
		checkKind(t, "CompleteMultipart", err, images.Conflict)
		checkAbsent(t, b, testKey)
		checkObject(t, b, complete(t, b, testKey, id), noise(2, 100))
	}},
	{"anything but what was signed is refused and stores no part", func(t *testing.T, b Bucket) {
		id := create(t, b, testKey, partSize)
		other := create(t, b, testKey, partSize)
		body := noise(1, 4096)
		for _, c := range []struct {
			name   string
			body   []byte
			change func(*http.Request)
		}{
			{"a byte less", body[1:], func(*http.Request) {}},
			{"a byte more", append(bytes.Clone(body), 0), func(*http.Request) {}},
			{"no byte", nil, func(*http.Request) {}},
			{"chunks without a length", body, func(r *http.Request) { r.ContentLength = -1; r.Header.Del("Content-Length") }},
			{"another part", body, edited("partNumber=1", "partNumber=2")},
			{"another upload", body, edited(id, other)},
			{"another signature", body, edited("X-Amz-Signature=", "X-Amz-Signature=0")},
			{"no upload at all", body, edited("uploadId="+id+"&", "")},
		} {
			t.Run(c.name, func(t *testing.T) {
				got := send(t, presignPart(t, b, testKey, id, 1, 4096), c.body, c.change)
				if got.status < 400 || got.status >= 500 {
					t.Errorf("got status %d, want a refusal: %s", got.status, got.body)
				}
				for _, id := range []string{id, other} {
					if parts, err := b.Parts(context.Background(), testKey, id); err != nil || len(parts) > 0 {
						t.Errorf("got parts %v (error %v), want none", parts, err)
					}
				}
				checkAbsent(t, b, testKey)
			})
		}
	}},
	{"an object that is there already is not replaced, and the upload can be aborted", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		want := noise(1, 100)
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, noise(2, 200))
		blob := put(t, b, testKey, want)
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.CompleteMultipart(ctx, testKey, id, parts)
		checkKind(t, "CompleteMultipart over an object", err, images.Conflict)
		checkObject(t, b, blob, want)
		if err := b.AbortMultipart(ctx, testKey, id); err != nil {
			t.Error(err)
		}
		checkObject(t, b, blob, want)
	}},
	{"completing again changes nothing", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		want := noise(1, partSize+1)
		id := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, id, 1, want[:partSize])
		sendPart(t, b, testKey, id, 2, want[partSize:])
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		blob := complete(t, b, testKey, id)
		// S3 may know for a while that this upload became this object; else the upload is not there, or the object is.
		again, err := b.CompleteMultipart(ctx, testKey, id, parts)
		switch {
		case err == nil:
			if diff := cmp.Diff(blob, again); diff != "" {
				t.Errorf("completing again gave another object (-first +again):\n%s", diff)
			}
		case images.KindOf(err) != images.NotFound && images.KindOf(err) != images.Conflict:
			t.Errorf("completing again: %v", err)
		}
		checkObject(t, b, blob, want)
	}},
	{"completing many times at once makes one object", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		want := noise(1, 3*partSize)
		id := create(t, b, testKey, partSize)
		for n := 1; n <= 3; n++ {
			sendPart(t, b, testKey, id, n, cut(want, n))
		}
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		const callers = 6
		blobs, errs := make([]images.Blob, callers), make([]error, callers)
		var wg sync.WaitGroup
		for n := range callers {
			wg.Go(func() { blobs[n], errs[n] = b.CompleteMultipart(ctx, testKey, id, parts) })
		}
		wg.Wait()
		head, err := b.Head(ctx, testKey)
		if err != nil {
			t.Fatalf("nobody made the object: %v", errs)
		}
		for n := range callers {
			if errs[n] == nil && blobs[n] != head {
				t.Errorf("caller %d got %+v, the object is %+v", n, blobs[n], head)
			}
			if errs[n] != nil && images.KindOf(errs[n]) != images.NotFound && images.KindOf(errs[n]) != images.Conflict {
				t.Errorf("caller %d: %v", n, errs[n])
			}
		}
		checkObject(t, b, head, want)
	}},
	{"an upload that is not there is NotFound, but aborting it is no error", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		gone := create(t, b, testKey, partSize)
		sendPart(t, b, testKey, gone, 1, noise(1, 10))
		parts, err := b.Parts(ctx, testKey, gone)
		if err != nil {
			t.Fatal(err)
		}
		late := presignPart(t, b, testKey, gone, 2, 10)
		for range 2 {
			if err := b.AbortMultipart(ctx, testKey, gone); err != nil {
				t.Fatal(err)
			}
		}
		_, err = b.Parts(ctx, testKey, gone)
		checkKind(t, "Parts", err, images.NotFound)
		_, err = b.CompleteMultipart(ctx, testKey, gone, parts)
		checkKind(t, "CompleteMultipart", err, images.NotFound)
		if got := send(t, late, noise(1, 10)); got.status != http.StatusNotFound {
			t.Errorf("a part after the end: got status %d, want 404: %s", got.status, got.body)
		}
		checkAbsent(t, b, testKey)
		checkEmpty(t, b)
	}},
	{"when abort returns no part is left, though parts were arriving", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		id := create(t, b, testKey, partSize)
		body := noise(1, partSize)
		started := make(chan struct{}, 4)
		var wg sync.WaitGroup
		for n := 1; n <= 4; n++ {
			r := presignPart(t, b, testKey, id, n, len(body))
			wg.Go(func() {
				slow := &hook{r: bytes.NewReader(body), at: len(body) / 2, do: func() { started <- struct{}{} }}
				req, err := http.NewRequest(r.Method, r.URL, slow)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header, req.ContentLength = http.Header(r.Header).Clone(), int64(len(body))
				if resp, err := browser.Do(req); err == nil { // whichever way it ends
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		for range 4 {
			<-started
		}
		if err := b.AbortMultipart(ctx, testKey, id); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		_, err := b.Parts(ctx, testKey, id)
		checkKind(t, "Parts", err, images.NotFound)
		checkEmpty(t, b)
	}},
	{"an upload without parts has none, and cannot be completed", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		id := create(t, b, testKey, partSize)
		if parts, err := b.Parts(ctx, testKey, id); err != nil || len(parts) != 0 {
			t.Errorf("got parts %v (error %v), want none", parts, err)
		}
		if _, err := b.CompleteMultipart(ctx, testKey, id, nil); err == nil {
			t.Error("completed without parts")
		}
		checkAbsent(t, b, testKey)
	}},
	{"all parts up to number 10,000 are listed over pages, in order", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		id := create(t, b, testKey, partSize)
		numbers := make(chan int)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := range numbers {
					r, err := b.PresignPart(ctx, testKey, id, n, int64(1+n%7), time.Hour)
					if err != nil {
						t.Errorf("PresignPart(%d): %v", n, err)
						continue
					}
					if got, err := trySend(r, make([]byte, 1+n%7)); err != nil || got.status != http.StatusOK {
						t.Errorf("part %d: %d %s %v", n, got.status, got.body, err)
					}
				}
			})
		}
		want := []int{1} // and each fourth, which makes three pages
		for n := 4; n <= images.MaxParts; n += 4 {
			want = append(want, n)
		}
		for _, n := range slices.Backward(want) {
			numbers <- n
		}
		close(numbers)
		wg.Wait()
		parts, err := b.Parts(ctx, testKey, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) != len(want) {
			t.Fatalf("got %d parts, want %d", len(parts), len(want))
		}
		for i, p := range parts {
			if n := want[i]; p.Number != n || p.Size != int64(1+n%7) {
				t.Fatalf("got part %+v at %d, want number %d of %d bytes", p, i, n, 1+n%7)
			}
		}
	}},
}

// cut is part n of the bytes.
func cut(all []byte, n int) []byte {
	return slices.Collect(slices.Chunk(all, partSize))[n-1]
}

func create(t *testing.T, b Bucket, key string, partSize int64) string {
	t.Helper()
	id, err := b.CreateMultipart(context.Background(), key, partSize)
	if err != nil || id == "" {
		t.Fatalf("CreateMultipart(%s) = %q, %v", key, id, err)
	}
	return id
}

func presignPart(t *testing.T, b Bucket, key, id string, n, size int) images.SignedRequest {
	t.Helper()
	r, err := b.PresignPart(context.Background(), key, id, n, int64(size), time.Minute)
	if err != nil {
		t.Fatalf("PresignPart(%s, %d): %v", key, n, err)
	}
	return r
}

func sendPart(t *testing.T, b Bucket, key, id string, n int, body []byte) {
	t.Helper()
	if got := send(t, presignPart(t, b, key, id, n, len(body)), body); got.status != http.StatusOK {
		t.Fatalf("part %d of %d bytes: %d %s", n, len(body), got.status, got.body)
	}
}

func complete(t *testing.T, b Bucket, key, id string) images.Blob {
	t.Helper()
	parts, err := b.Parts(context.Background(), key, id)
	if err != nil {
		t.Fatalf("Parts(%s): %v", key, err)
	}
	blob, err := b.CompleteMultipart(context.Background(), key, id, parts)
	if err != nil {
		t.Fatalf("CompleteMultipart(%s, %d parts): %v", key, len(parts), err)
	}
	return blob
}
