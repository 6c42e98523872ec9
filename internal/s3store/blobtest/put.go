package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"bullion/internal/images"
)

const mib = 1 << 20

var putTests = []test{
	{"a stream of any length is stored whole, whether or not it says how long it is", func(t *testing.T, b Bucket) {
		for n, size := range []int{0, 1, 4097, 16*mib - 1, 16 * mib, 16*mib + 1, 32 * mib, 40*mib + 7} {
			for _, declared := range []int64{int64(size), -1} {
				t.Run(fmt.Sprintf("%d bytes declared as %d", size, declared), func(t *testing.T) {
					want := noise(uint64(n), size)
					key := fmt.Sprintf("%s-%d-%d", testKey, n, declared)
					blob, err := b.Put(context.Background(), key, onlyReader{bytes.NewReader(want)}, declared)
					if err != nil {
						t.Fatal(err)
					}
					checkObject(t, b, blob, want)
					if got := openMultiparts(t, b, key); len(got) > 0 {
						t.Errorf("a multipart upload is left open: %v", got)
					}
				})
			}
		}
	}},
	{"a reader may give its bytes as it likes", func(t *testing.T, b Bucket) {
		want := noise(1, 17*mib)
		for n, r := range []io.Reader{
			iotest.HalfReader(bytes.NewReader(want)),
			iotest.DataErrReader(bytes.NewReader(want)), // the last bytes together with io.EOF
			&hiccups{r: bytes.NewReader(want)},
		} {
			for _, declared := range []int64{int64(len(want)), -1} {
				blob, err := b.Put(context.Background(), fmt.Sprintf("%s-%d-%d", testKey, n, declared), r, declared)
				if err != nil {
					t.Fatalf("reader %d: %v", n, err)
				}
				checkObject(t, b, blob, want)
				switch n {
				case 0:
					r = iotest.HalfReader(bytes.NewReader(want))
				case 1:
					r = iotest.DataErrReader(bytes.NewReader(want))
				case 2:
					r = &hiccups{r: bytes.NewReader(want)}
				}
			}
		}
	}},
	{"an object is never replaced", func(t *testing.T, b Bucket) {
		want := noise(1, 100)
		blob := put(t, b, testKey, want)
		for _, size := range []int{100, 20 * mib} {
			_, err := b.Put(context.Background(), testKey, bytes.NewReader(noise(2, size)), int64(size))
			checkKind(t, fmt.Sprintf("Put of %d bytes over an object", size), err, images.Conflict)
			checkObject(t, b, blob, want)
		}
		if got := openMultiparts(t, b, ""); len(got) > 0 {
			t.Errorf("a multipart upload is left open: %v", got)
		}
	}},
	{"of many that store the same key at once exactly one succeeds", func(t *testing.T, b Bucket) {
		for round, size := range []int{1000, 17 * mib} {
			key := fmt.Sprintf("%s-%d", testKey, round)
			const writers = 4
			var wg sync.WaitGroup
			blobs, errs := make([]images.Blob, writers), make([]error, writers)
			for n := range writers {
				wg.Go(func() {
					body := noise(uint64(n), size)
					blobs[n], errs[n] = b.Put(context.Background(), key, bytes.NewReader(body), int64(size))
				})
			}
			wg.Wait()
			won := -1
			for n, err := range errs {
				switch {
				case err != nil:
					checkKind(t, fmt.Sprintf("writer %d", n), err, images.Conflict)
				case won >= 0:
					t.Errorf("writers %d and %d both stored %s", won, n, key)
				default:
					won = n
				}
			}
			if won < 0 {
				t.Fatalf("nobody stored %s: %v", key, errs)
			}
			checkObject(t, b, blobs[won], noise(uint64(won), size))
		}
		if got := openMultiparts(t, b, ""); len(got) > 0 {
			t.Errorf("multipart uploads are left open: %v", got)
		}
	}},
	{"a reader that fails leaves nothing", func(t *testing.T, b Bucket) {
		fault := errors.New("the line is cut")
		for _, after := range []int{0, 1000, 16 * mib, 40 * mib} {
			for _, declared := range []int64{64 * mib, -1} {
				t.Run(fmt.Sprintf("after %d bytes of %d", after, declared), func(t *testing.T) {
					r := io.MultiReader(bytes.NewReader(noise(1, after)), iotest.ErrReader(fault))
					_, err := b.Put(context.Background(), testKey, r, declared)
					if !errors.Is(err, fault) {
						t.Errorf("got error %v, want the reader's", err)
					}
					checkEmpty(t, b)
				})
			}
		}
	}},
	{"an error of the reader keeps its kind", func(t *testing.T, b Bucket) {
		r := io.MultiReader(bytes.NewReader(noise(1, 17*mib)), iotest.ErrReader(images.Errorf(images.TooLarge, "Too much.")))
		_, err := b.Put(context.Background(), testKey, r, -1)
		checkKind(t, "Put", err, images.TooLarge)
	}},
	{"a stream that is shorter or longer than it says is refused and leaves nothing", func(t *testing.T, b Bucket) {
		for _, c := range []struct{ size, declared int }{
			{0, 1}, {1, 0}, {999, 1000}, {1001, 1000}, {16*mib - 1, 16 * mib}, {16*mib + 1, 16 * mib}, {39 * mib, 40 * mib}, {41 * mib, 40 * mib},
		} {
			_, err := b.Put(context.Background(), testKey, onlyReader{bytes.NewReader(noise(1, c.size))}, int64(c.declared))
			checkKind(t, fmt.Sprintf("%d bytes declared as %d", c.size, c.declared), err, images.Invalid)
			checkEmpty(t, b)
		}
	}},
	{"a caller that gives up leaves nothing", func(t *testing.T, b Bucket) {
		for _, after := range []int{0, 1000, 40 * mib} {
			ctx, cancel := context.WithCancel(context.Background())
			r := &hook{r: bytes.NewReader(noise(1, 64*mib)), at: after, do: cancel}
			_, err := b.Put(ctx, testKey, r, -1)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled after %d bytes: got error %v, want %v", after, err, context.Canceled)
			}
			checkEmpty(t, b)
			cancel()
		}
	}},
	{"a size that is no size is refused", func(t *testing.T, b Bucket) {
		if _, err := b.Put(context.Background(), testKey, bytes.NewReader(nil), -2); err == nil {
			t.Error("size -2: no error")
		}
		_, err := b.Put(context.Background(), testKey, bytes.NewReader(nil), images.MaxImageSize+1)
		checkKind(t, "a size above the limit", err, images.TooLarge)
	}},
}

// onlyReader hides every method but Read.
type onlyReader struct{ io.Reader }

// hiccups gives nothing, and no error, before each read.
type hiccups struct {
	r    io.Reader
	even bool
}

func (h *hiccups) Read(p []byte) (int, error) {
	if h.even = !h.even; h.even {
		return 0, nil
	}
	return h.r.Read(p)
}

// hook calls do when at bytes have been read.
type hook struct {
	r    io.Reader
	at   int
	do   func()
	done bool
}

func (h *hook) Read(p []byte) (int, error) {
	if h.at <= 0 && !h.done {
		h.done = true
		h.do()
	}
	n, err := h.r.Read(p[:min(len(p), max(h.at, 4096))])
	h.at -= n
	return n, err
}
