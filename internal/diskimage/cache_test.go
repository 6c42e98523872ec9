package diskimage

import (
	"bytes"
	"io"
	"testing"

	"bullion/internal/diskimage/corpus"
)

func TestCacheReadsTheSameBytesAsItsSource(t *testing.T) {
	data := corpus.Random(10_000, 1)
	c := NewCache(bytes.NewReader(data), int64(len(data)), Budget{PageSize: 64, Pages: 7, Requests: 100_000, Bytes: 1 << 30})
	for i := range 2000 {
		off, n := (i*7919)%9000, (i*31)%1000+1
		got := make([]byte, n)
		if _, err := c.ReadAt(got, int64(off)); err != nil {
			t.Fatalf("read %d at %d: %v", n, off, err)
		}
		if !bytes.Equal(got, data[off:off+n]) {
			t.Fatalf("read %d at %d differs from the source", n, off)
		}
	}
	buf := make([]byte, 100)
	if n, err := c.ReadAt(buf, 9_950); n != 50 || err != io.EOF || !bytes.Equal(buf[:50], data[9_950:]) {
		t.Errorf("read past the end: got %d, %v, want 50, EOF", n, err)
	}
	if n, err := c.ReadAt(buf, 10_000); n != 0 || err != io.EOF {
		t.Errorf("read at the end: got %d, %v, want 0, EOF", n, err)
	}
}

func TestCacheReadsAdjoiningPagesInOneRequest(t *testing.T) {
	c := NewCache(bytes.NewReader(make([]byte, 1<<20)), 1<<20, Budget{PageSize: 1 << 10, Pages: 64})
	for range 3 {
		if _, err := c.ReadAt(make([]byte, 10<<10), 512); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.Stats(), (Stats{Requests: 1, Bytes: 11 << 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCacheStopsWithARejectionWhenTheBudgetIsUsedUp(t *testing.T) {
	for name, b := range map[string]Budget{
		"requests": {PageSize: 512, Pages: 2, Requests: 3},
		"bytes":    {PageSize: 512, Pages: 2, Bytes: 1536},
	} {
		c := NewCache(bytes.NewReader(make([]byte, 1<<20)), 1<<20, b)
		var err error
		for i := int64(0); i < 3; i++ {
			if _, err = c.ReadAt(make([]byte, 1), i*4096); err != nil {
				t.Fatalf("%s: read %d: %v", name, i, err)
			}
		}
		_, err = c.ReadAt(make([]byte, 1), 4*4096)
		if r := asRejection(err); r == nil || r.Code != CodeBudget {
			t.Errorf("%s: got %v, want %s", name, err, CodeBudget)
		}
	}
}
