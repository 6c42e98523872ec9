package s3store

import (
	"testing"

	"bullion/internal/images"
)

func TestAStreamOfUnknownLengthFitsTheLargestImage(t *testing.T) {
	first, part := plan(-1)
	if first != part(1) {
		t.Errorf("the first part has %d bytes, part 1 has %d", first, part(1))
	}
	var total int64
	for n := 1; n <= images.MaxParts; n++ {
		size := part(n)
		if size < images.MinPartSize || size > images.MaxPutSize || n > 1 && size < part(n-1) {
			t.Fatalf("part %d has %d bytes; S3 takes %d to %d, and parts do not shrink", n, size, int64(images.MinPartSize), int64(images.MaxPutSize))
		}
		total += size
		// The embedded engine has nothing to copy while parts are equal.
		if total <= 31<<30 && size != first {
			t.Fatalf("part %d has %d bytes before 31 GiB, want %d", n, size, first)
		}
	}
	if total < images.MaxImageSize {
		t.Errorf("%d parts hold %d bytes, want %d", images.MaxParts, total, int64(images.MaxImageSize))
	}
}

func TestAStreamOfKnownLengthIsOneBufferOrEqualParts(t *testing.T) {
	for _, size := range []int64{0, 1, bufferSize - 1} {
		if first, _ := plan(size); first != size {
			t.Errorf("%d bytes: got a buffer of %d", size, first)
		}
	}
	for _, size := range []int64{bufferSize, bufferSize + 1, 1 << 30, 157 << 30, images.MaxImageSize} {
		first, part := plan(size)
		if first != part(1) || part(1) != part(images.MaxParts) || part(1)*images.MaxParts < size || first < bufferSize {
			t.Errorf("%d bytes: got parts of %d, %d, …, %d", size, first, part(1), part(images.MaxParts))
		}
		if limit := int64(106 << 20); first > limit {
			t.Errorf("%d bytes: a buffer has %d bytes, want %d at most", size, first, limit)
		}
	}
}
