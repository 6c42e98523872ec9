package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
)

var presignPutTests = []test{
	{"the exact bytes are stored", func(t *testing.T, b Bucket) {
		for n, size := range []int{1, 4096, 6 * mib} {
			key := fmt.Sprintf("%s-%d", testKey, n)
			want := noise(uint64(n), size)
			if got := send(t, presignPut(t, b, key, size, time.Minute), want); got.status != http.StatusOK {
				t.Fatalf("PUT of %d bytes: %d %s", size, got.status, got.body)
			}
			blob, err := b.Head(context.Background(), key)
			if err != nil {
				t.Fatal(err)
			}
			checkObject(t, b, blob, want)
		}
	}},
	{"the request says what to send and until when", func(t *testing.T, b Bucket) {
		before := time.Now().Truncate(time.Second)
		r := presignPut(t, b, testKey, 4096, 10*time.Minute)
		if r.Method != http.MethodPut {
			t.Errorf("got method %s, want PUT", r.Method)
		}
		if got := http.Header(r.Header).Get("If-None-Match"); got != "*" {
			t.Errorf("got If-None-Match %q, want *", got)
		}
		if got, err := strconv.Atoi(http.Header(r.Header).Get("Content-Length")); err != nil || got != 4096 {
			t.Errorf("got Content-Length %q, want 4096", http.Header(r.Header).Get("Content-Length"))
		}
		if _, ok := r.Header["Host"]; ok {
			t.Error("the header has Host, which a browser may not set")
		}
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-amz-") {
				t.Errorf("the header has %s, which the client would have to compute", name)
			}
		}
		if earliest := before.Add(10 * time.Minute); r.Expires.Before(earliest) || r.Expires.After(earliest.Add(time.Minute)) {
			t.Errorf("got expiry %v, want about %v", r.Expires, earliest)
		}
	}},
	{"anything but what was signed is refused and stores nothing", func(t *testing.T, b Bucket) {
		other := testKey[:len(testKey)-1] + "3"
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
			{"without If-None-Match", body, func(r *http.Request) { r.Header.Del("If-None-Match") }},
			{"another If-None-Match", body, func(r *http.Request) { r.Header.Set("If-None-Match", `"0"`) }},
			{"another key", body, edited(testKey, other)},
			{"another signature", body, edited("X-Amz-Signature=", "X-Amz-Signature=0")},
			{"a longer life", body, edited("X-Amz-Expires=60", "X-Amz-Expires=600")},
			{"fewer signed headers", body, edited("content-length%3B", "")},
			{"another query parameter", body, edited("X-Amz-Expires", "acl=&X-Amz-Expires")},
			{"an access list", body, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }},
			{"metadata", body, func(r *http.Request) { r.Header.Set("X-Amz-Meta-Bullion-Part-Size", "1") }},
			{"a copy of another object", body, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", b.Name+"/"+other) }},
			{"another method", nil, func(r *http.Request) { r.Method = http.MethodDelete }},
		} {
			t.Run(c.name, func(t *testing.T) {
				got := send(t, presignPut(t, b, testKey, 4096, time.Minute), c.body, c.change)
				if got.status < 400 || got.status >= 500 {
					t.Errorf("got status %d, want a refusal: %s", got.status, got.body)
				}
				checkAbsent(t, b, testKey)
				checkEmpty(t, b)
			})
		}
	}},
	{"after its time it is refused", func(t *testing.T, b Bucket) {
		r := presignPut(t, b, testKey, 10, time.Second)
		time.Sleep(time.Until(r.Expires) + 1500*time.Millisecond)
		if got := send(t, r, noise(1, 10)); got.status != http.StatusForbidden {
			t.Errorf("got status %d, want 403: %s", got.status, got.body)
		}
		checkAbsent(t, b, testKey)
	}},
	{"used again it replaces nothing", func(t *testing.T, b Bucket) {
		want := noise(1, 4096)
		r := presignPut(t, b, testKey, len(want), time.Minute)
		if got := send(t, r, want); got.status != http.StatusOK {
			t.Fatalf("first PUT: %d %s", got.status, got.body)
		}
		blob, err := b.Head(context.Background(), testKey)
		if err != nil {
			t.Fatal(err)
		}
		if got := send(t, r, noise(2, 4096)); got.status != http.StatusPreconditionFailed {
			t.Errorf("second PUT: got status %d, want 412: %s", got.status, got.body)
		}
		checkObject(t, b, blob, want)
	}},
	{"used many times at once it stores one of the bodies", func(t *testing.T, b Bucket) {
		r := presignPut(t, b, testKey, mib, time.Minute)
		const clients = 8
		var wg sync.WaitGroup
		var got [clients]outcome
		var errs [clients]error
		for n := range clients {
			wg.Go(func() { got[n], errs[n] = trySend(r, noise(uint64(n), mib)) })
		}
		wg.Wait()
		won := -1
		for n := range clients {
			switch {
			case errs[n] != nil: // a connection that is cut because the body is not wanted is a refusal too
			case got[n].status == http.StatusOK && won < 0:
				won = n
			case got[n].status != http.StatusPreconditionFailed && got[n].status != http.StatusConflict:
				t.Errorf("client %d: got status %d, want 412 or 409 when %d won: %s", n, got[n].status, won, got[n].body)
			}
		}
		if won < 0 {
			t.Fatal("no client stored its body")
		}
		blob, err := b.Head(context.Background(), testKey)
		if err != nil {
			t.Fatal(err)
		}
		checkObject(t, b, blob, noise(uint64(won), mib))
	}},
	{"what cannot be signed is an error", func(t *testing.T, b Bucket) {
		ctx := context.Background()
		for _, size := range []int64{-1, 0, images.MaxPutSize + 1} {
			if _, err := b.PresignPut(ctx, testKey, size, time.Minute); err == nil {
				t.Errorf("%d bytes: no error", size)
			}
			if _, err := b.PresignPart(ctx, testKey, "upload", 1, size, time.Minute); err == nil {
				t.Errorf("a part of %d bytes: no error", size)
			}
		}
		for _, n := range []int{-1, 0, images.MaxParts + 1} {
			if _, err := b.PresignPart(ctx, testKey, "upload", n, 1, time.Minute); err == nil {
				t.Errorf("part %d: no error", n)
			}
		}
		if _, err := b.PresignPut(ctx, testKey, 1, 0); err == nil {
			t.Error("no time to live: no error")
		}
	}},
	{"a life longer than S3 allows is cut, and says so", func(t *testing.T, b Bucket) {
		r := presignPut(t, b, testKey, 1, 30*24*time.Hour)
		if limit := time.Now().Add(7 * 24 * time.Hour); r.Expires.After(limit) {
			t.Errorf("got expiry %v, want %v at most", r.Expires, limit)
		}
		if got := send(t, r, []byte{1}); got.status != http.StatusOK {
			t.Errorf("got status %d, want 200: %s", got.status, got.body)
		}
	}},
}

func presignPut(t *testing.T, b Bucket, key string, size int, ttl time.Duration) images.SignedRequest {
	t.Helper()
	r, err := b.PresignPut(context.Background(), key, int64(size), ttl)
	if err != nil {
		t.Fatalf("PresignPut(%s, %d): %v", key, size, err)
	}
	return r
}
