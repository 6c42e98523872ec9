package s3engine_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
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

// checkAbsent checks that there is no object, and nothing unfinished on the disk.
func checkAbsent(t *testing.T, s *server, key string) {
	t.Helper()
	_, err := s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
	if got := code(err); got != "NotFound" {
		t.Errorf("HEAD of %s: got %q, want NotFound", key, got)
	}
	if left := leftovers(t, s.cfg.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
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
		if got, want := header.Get("ETag"), fmt.Sprintf(`"%x"`, md5.Sum(body)); got != want {
			t.Errorf("ETag of %d bytes: got %s, want %s", size, got, want)
		}
		checkObject(t, s, key, header.Get("ETag"), body)
	}
}

func TestPartsInAnyOrderBecomeOneObject(t *testing.T) {
	s := start(t)
	for name, grid := range map[string]int64{
		"with a part size":                            partSize,
		"without a part size":                         0,
		"with a part size that the parts do not have": 6 * mib,
	} {
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
			second := must(s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key, PartNumber: aws.Int32(2)}))(t)
			defer second.Body.Close()
			if got := must(io.ReadAll(second.Body))(t); !bytes.Equal(got, body[partSize:2*partSize]) {
				t.Errorf("part 2 by number has %d bytes that are not those of part 2", len(got))
			}
		})
	}
}

func TestCompleteDoesNotCopyPartsThatAreInPlace(t *testing.T) {
	s := start(t)
	key, body := "images/inode", noise(2, 2*partSize)
	id := s.begin(t, key, partSize)
	a := must(s.part(key, id, 1, body[:partSize]))(t)
	b := must(s.part(key, id, 2, body[partSize:]))(t)
	before := must(os.Stat(filepath.Join(s.cfg.Dir, "uploads", id, "data")))(t)
	must(s.complete(key, id, a, b))(t)
	after := must(os.Stat(filepath.Join(s.cfg.Dir, "objects", bucket, key)))(t)
	if !os.SameFile(before, after) {
		t.Error("the object is another file than the one that the parts were written to")
	}
}

func TestASubsetOfThePartsMakesAnObjectOfThoseAlone(t *testing.T) {
	s := start(t)
	body := noise(3, 3*partSize)
	for name, listed := range map[string][]int{"the first two": {1, 2}, "the first and the last": {1, 3}, "the last two": {2, 3}} {
		t.Run(name, func(t *testing.T) {
			key := "images/" + name
			id := s.begin(t, key, partSize)
			var parts []types.CompletedPart
			var want []byte
			for n := 1; n <= 3; n++ {
				b := body[(n-1)*partSize : n*partSize]
				p := must(s.part(key, id, int32(n), b))(t)
				if slices.Contains(listed, n) {
					parts, want = append(parts, p), append(want, b...)
				}
			}
			out := must(s.complete(key, id, parts...))(t)
			checkObject(t, s, key, *out.ETag, want)
		})
	}
}

func TestAPartThatIsSentAgainReplacesTheFirstOnlyWhenItArrives(t *testing.T) {
	s := start(t)
	old, fresh, tail := noise(4, partSize), noise(5, partSize), noise(6, 10)
	tests := map[string]struct {
		again   []byte
		spoil   bool // claim a checksum that the body does not have
		want    []byte
		changed bool
	}{
		"the same bytes change nothing":              {again: old, want: old},
		"other bytes replace the first":              {again: fresh, want: fresh, changed: true},
		"other bytes that do not arrive are ignored": {again: fresh, spoil: true, want: old},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			key := "images/" + name
			id := s.begin(t, key, partSize)
			first := must(s.part(key, id, 1, old))(t)
			last := must(s.part(key, id, 2, tail))(t)
			in := &s3.UploadPartInput{
				Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(1), Body: bytes.NewReader(tt.again),
			}
			if tt.spoil {
				in.ContentMD5 = aws.String("1B2M2Y8AsgTpgAmY7PhCfg==")
			}
			second := first
			out, err := s.UploadPart(t.Context(), in)
			if tt.spoil {
				if got := code(err); got != "BadDigest" {
					t.Fatalf("a part with a wrong MD5: got %q, want BadDigest", got)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				second.ETag = out.ETag
			}
			if got := *second.ETag != *first.ETag; got != tt.changed {
				t.Errorf("the ETag changed: got %v, want %v", got, tt.changed)
			}
			done := must(s.complete(key, id, second, last))(t)
			checkObject(t, s, key, *done.ETag, append(slices.Clone(tt.want), tail...))
		})
	}
}

func TestOnePartSentByManyAtOnceIsOneOfThem(t *testing.T) {
	s := start(t)
	key := "images/crowd"
	id := s.begin(t, key, partSize)
	bodies := map[string][]byte{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			body := noise(uint64(10+i), partSize)
			p, err := s.part(key, id, 1, body)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			bodies[*p.ETag] = body
		})
	}
	wg.Wait()
	listed := must(s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id}))(t)
	if len(listed.Parts) != 1 {
		t.Fatalf("got %d parts, want 1", len(listed.Parts))
	}
	etag := *listed.Parts[0].ETag
	out := must(s.complete(key, id, types.CompletedPart{PartNumber: aws.Int32(1), ETag: &etag}))(t)
	checkObject(t, s, key, *out.ETag, bodies[etag])
}

func TestCompleteRefusesAWrongList(t *testing.T) {
	s := start(t)
	key := "images/wrong"
	id := s.begin(t, key, partSize)
	one := must(s.part(key, id, 1, noise(1, partSize)))(t)
	small := must(s.part(key, id, 2, []byte("small")))(t)
	three := must(s.part(key, id, 3, noise(3, partSize)))(t)
	missing := types.CompletedPart{PartNumber: aws.Int32(4), ETag: one.ETag}
	other := types.CompletedPart{PartNumber: aws.Int32(1), ETag: three.ETag}
	tests := map[string]struct {
		parts []types.CompletedPart
		size  *int64
		want  string
	}{
		"a part that did not arrive":         {parts: []types.CompletedPart{one, missing}, want: "InvalidPart"},
		"a part with another ETag":           {parts: []types.CompletedPart{other, three}, want: "InvalidPart"},
		"parts out of order":                 {parts: []types.CompletedPart{three, one}, want: "InvalidPartOrder"},
		"a part twice":                       {parts: []types.CompletedPart{one, one}, want: "InvalidPartOrder"},
		"a small part that is not the last":  {parts: []types.CompletedPart{one, small, three}, want: "EntityTooSmall"},
		"a size that is not that of the sum": {parts: []types.CompletedPart{one, small}, size: aws.Int64(1), want: "InvalidRequest"},
		"nothing":                            {want: "MalformedXML"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
				Bucket: aws.String(bucket), Key: &key, UploadId: &id, MpuObjectSize: tt.size,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: tt.parts},
			})
			if got := code(err); got != tt.want {
				t.Errorf("got %q, want %s", got, tt.want)
			}
		})
	}
	must(s.complete(key, id, one, small))(t) // a refusal does not spoil the upload
}

func TestCompleteAgainSucceedsAgain(t *testing.T) {
	s := start(t)
	key, body := "images/again", noise(1, partSize)
	id := s.begin(t, key, partSize)
	p := must(s.part(key, id, 1, body))(t)
	etags := make(chan string, 10)
	var wg sync.WaitGroup
	for range cap(etags) {
		wg.Go(func() {
			// Without a condition: it would refuse the object that the first of them makes.
			out, err := s.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
				Bucket: aws.String(bucket), Key: &key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{p}},
			})
			if err != nil {
				t.Error(err)
				return
			}
			// Whoever is told that it is complete must find the object (G3).
			if _, err := s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key}); err != nil {
				t.Errorf("HEAD after Complete: %v", err)
			}
			etags <- *out.ETag
		})
	}
	wg.Wait()
	close(etags)
	first := <-etags
	for e := range etags {
		if e != first {
			t.Errorf("got ETags %s and %s from one upload", first, e)
		}
	}
	checkObject(t, s, key, first, body)
	_, err := s.complete("images/elsewhere", id, p)
	if got := code(err); got != "NoSuchUpload" {
		t.Errorf("Complete under another key: got %q, want NoSuchUpload", got)
	}
}

func TestAbortFreesTheParts(t *testing.T) {
	s := start(t)
	key := "images/abort"
	id := s.begin(t, key, partSize)
	must(s.part(key, id, 1, noise(1, partSize)))(t)
	abort := func() string {
		_, err := s.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id})
		return code(err)
	}
	if got := abort(); got != "" {
		t.Fatalf("Abort: got %q, want success", got)
	}
	checkAbsent(t, s, key)
	if got := abort(); got != "NoSuchUpload" {
		t.Errorf("Abort again: got %q, want NoSuchUpload", got)
	}
	if _, err := s.part(key, id, 2, []byte("late")); code(err) != "NoSuchUpload" {
		t.Errorf("a late part: got %q, want NoSuchUpload", code(err))
	}
}

func TestListsOfPartsAndUploadsArePaged(t *testing.T) {
	s := start(t)
	var want []string
	for _, key := range []string{"images/b", "images/a", "images/c"} {
		s.begin(t, key, 0)
		want = append(want, key)
	}
	slices.Sort(want)
	var got []string
	uploads := s3.NewListMultipartUploadsPaginator(s.Client, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket), Prefix: aws.String("images/"), MaxUploads: aws.Int32(2)})
	for uploads.HasMorePages() {
		for _, u := range must(uploads.NextPage(t.Context()))(t).Uploads {
			got = append(got, *u.Key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}

	key := "images/paged"
	id := s.begin(t, key, partSize)
	wantParts := []int32{1, 2, 5, 9, 700, 10_000}
	for _, n := range wantParts {
		must(s.part(key, id, n, []byte("x")))(t)
	}
	var gotParts []int32
	parts := s3.NewListPartsPaginator(s.Client, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, MaxParts: aws.Int32(4)})
	for parts.HasMorePages() {
		for _, p := range must(parts.NextPage(t.Context()))(t).Parts {
			gotParts = append(gotParts, *p.PartNumber)
		}
	}
	if diff := cmp.Diff(wantParts, gotParts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestAPartCanBeACopyOfARange(t *testing.T) {
	s := start(t)
	body := noise(1, 2*partSize)
	if status, _, _ := do(t, s.presignPut(t, "images/source", int64(len(body))), body); status != 200 {
		t.Fatalf("PUT: got status %d", status)
	}
	key := "images/copy"
	id := s.begin(t, key, partSize)
	out := must(s.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(1),
		CopySource: aws.String(bucket + "/images/source"), CopySourceRange: aws.String(fmt.Sprintf("bytes=100-%d", 100+partSize-1)),
	}))(t)
	two := must(s.part(key, id, 2, []byte("end")))(t)
	done := must(s.complete(key, id, types.CompletedPart{PartNumber: aws.Int32(1), ETag: out.CopyPartResult.ETag}, two))(t)
	checkObject(t, s, key, *done.ETag, append(slices.Clone(body[100:100+partSize]), "end"...))
}

func TestARefusedPartGivesItsRoomBack(t *testing.T) {
	s := start(t)
	key := "images/room"
	id := s.begin(t, key, partSize)
	_, err := s.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(3), Body: bytes.NewReader(noise(1, partSize)),
		ContentMD5: aws.String("1B2M2Y8AsgTpgAmY7PhCfg=="),
	})
	if got := code(err); got != "BadDigest" {
		t.Fatalf("got %q, want BadDigest", got)
	}
	fi := must(os.Stat(filepath.Join(s.cfg.Dir, "uploads", id, "data")))(t)
	if blocks := fi.Sys().(*syscall.Stat_t).Blocks; blocks > 16 { // one page, when the kernel keeps the edge
		t.Errorf("the part holds %d KiB of the disk", blocks/2)
	}
	listed := must(s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id}))(t)
	if len(listed.Parts) != 0 {
		t.Errorf("got %d parts, want none", len(listed.Parts))
	}
}

func TestDigestsOfAnObjectThatIsNotThereAreUnknown(t *testing.T) {
	s := start(t)
	body := noise(1, 100)
	_, _, header := do(t, s.presignPut(t, "images/here", 100), body)
	for name, q := range map[string][2]string{
		"another ETag":      {"images/here", `"0123"`},
		"another key":       {"images/elsewhere", header.Get("ETag")},
		"a key below a key": {"images/here/below", header.Get("ETag")},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ok, err := s.Digests(t.Context(), q[0], q[1])
			if ok || err != nil {
				t.Errorf("got ok %v, error %v; want neither", ok, err)
			}
		})
	}
	if _, _, ok, _ := s.Digests(t.Context(), "images/here", `ABC`); ok {
		t.Error("an ETag that is not the object's was accepted")
	}
}
