package s3engine_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// checkObject compares an object and its digests with what was sent.
func checkObject(t *testing.T, s *server, key, etag string, want []byte) {
	t.Helper()
	if got := s.read(t, key); !bytes.Equal(got, want) {
		t.Errorf("object %s has %d bytes that differ from the %d that were sent", key, len(got), len(want))
	}
	head := must(s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key}))(t)
	if *head.ETag != etag || *head.ContentLength != int64(len(want)) {
		t.Errorf("HEAD of %s: got ETag %s and %d bytes, want %s and %d", key, *head.ETag, *head.ContentLength, etag, len(want))
	}
	m, h, ok, err := s.Digests(t.Context(), key, etag)
	if err != nil || !ok {
		t.Fatalf("Digests(%s): ok %v, error %v", key, ok, err)
	}
	if want := fmt.Sprintf("%x", md5.Sum(want)); m != want {
		t.Errorf("MD5 of %s: got %s, want %s", key, m, want)
	}
	if want := fmt.Sprintf("%x", sha512.Sum512(want)); h != want {
		t.Errorf("SHA-512 of %s: got %s, want %s", key, h, want)
	}
}

func TestAPresignedPutStoresTheBytesAndBothHashes(t *testing.T) {
	s := start(t)
	for _, size := range []int{0, 1, 4096, 256 << 10, 256<<10 + 1, 7*mib + 13} {
		key, body := fmt.Sprintf("images/a/%d", size), noise(uint64(size), size)
		status, _, header := do(t, s.presignPut(t, key, int64(size)), body)
		if status != 200 {
			t.Fatalf("PUT of %d bytes: got status %d, want 200", size, status)
		}
		checkObject(t, s, key, header.Get("ETag"), body)
	}
}

func TestPartsInAnyOrderBecomeOneObject(t *testing.T) {
	s := start(t)
	for name, grid := range map[string]int64{"with a part size": partSize, "without a part size": 0, "with a part size that the parts do not have": 6 * mib} {
		t.Run(name, func(t *testing.T) {
			key, body := "images/"+name, noise(1, 3*partSize+77)
			id := s.begin(t, key, grid)
			parts := make([]types.CompletedPart, 4)
			for _, n := range []int{3, 1, 4, 2} {
				b := body[(n-1)*partSize : min(n*partSize, len(body))]
				parts[n-1] = must(s.part(key, id, int32(n), b))(t)
			}
			out := must(s.complete(key, id, parts...))(t)
			checkObject(t, s, key, *out.ETag, body)
			if left := leftovers(t, s.cfg.Dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
