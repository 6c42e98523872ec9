package s3engine_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"

	"bullion/infra/local/s3engine"
)

// TestKilledAtAnyMomentNothingThatWasAcknowledgedIsLost runs uploaders against a server that is killed at random
// moments and started again, and checks after each start what clients were told before.
func TestKilledAtAnyMomentNothingThatWasAcknowledgedIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s3")
	bodies := [][]byte{noise(1, partSize), noise(2, partSize), noise(3, partSize), noise(4, 1000)}
	whole := bytes.Join(bodies, nil)
	var put, parts, completed sync.Map // what was acknowledged: key to ETag; key, upload and number to ETag; key to ETag
	var open sync.Map                  // key to upload id
	var serial atomic.Int64

	for round := range 12 {
		c := startChild(t, dir)
		verify(t, c, &put, &parts, &completed, &open, bodies, whole)

		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(serial.Add(1))
				key := fmt.Sprintf("images/put-%d", n)
				out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(bodies[n%4]), IfNoneMatch: aws.String("*")})
				if err == nil {
					put.Store(key, putOf{*out.ETag, n % 4})
				}
			}
		})
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					key := fmt.Sprintf("images/multipart-%d", serial.Add(1))
					upload(ctx, c.Client, key, bodies, &parts, &completed, &open)
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		c.kill()
		stop()
		wg.Wait()
		if t.Failed() {
			t.Fatalf("after round %d; the server said:\n%s", round, c.logs)
		}
	}
	verify(t, startChild(t, dir), &put, &parts, &completed, &open, bodies, whole)
}

type putOf struct {
	etag string
	body int
}

type partKey struct {
	key, id string
	n       int32
}

func upload(ctx context.Context, c *s3.Client, key string, bodies [][]byte, parts, completed, open *sync.Map) {
	created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, Metadata: map[string]string{"bullion-part-size": fmt.Sprint(partSize)},
	})
	if err != nil {
		return
	}
	id := *created.UploadId
	open.Store(key, id)
	var listed []types.CompletedPart
	for i, b := range bodies {
		n := int32(i + 1)
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: &n, Body: bytes.NewReader(b)})
		if err != nil {
			return
		}
		parts.Store(partKey{key, id, n}, *out.ETag)
		listed = append(listed, types.CompletedPart{PartNumber: &n, ETag: out.ETag})
	}
	out, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: listed},
	})
	if err == nil {
		completed.Store(key, *out.ETag)
	}
}

// verify checks what clients were told, and finishes every upload that was interrupted with the parts that are missing.
func verify(t *testing.T, c *child, put, parts, completed, open *sync.Map, bodies [][]byte, whole []byte) {
	t.Helper()
	ctx := t.Context()
	get := func(key string) (etag string, body []byte, found bool) {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
		if code(err) == "NoSuchKey" {
			return "", nil, false
		}
		if err != nil {
			t.Fatalf("GET of %s: %v", key, err)
		}
		defer out.Body.Close()
		var b bytes.Buffer
		must(b.ReadFrom(out.Body))(t)
		return *out.ETag, b.Bytes(), true
	}
	put.Range(func(k, v any) bool {
		key, want := k.(string), v.(putOf)
		if etag, body, found := get(key); !found || etag != want.etag || !bytes.Equal(body, bodies[want.body]) {
			t.Errorf("%s was stored with ETag %s; now found %v, ETag %s, %d bytes", key, want.etag, found, etag, len(body))
		}
		put.Delete(k) // once is enough
		return true
	})
	completed.Range(func(k, v any) bool {
		key := k.(string)
		if etag, body, found := get(key); !found || etag != v.(string) || !bytes.Equal(body, whole) {
			t.Errorf("%s was completed with ETag %s; now found %v, ETag %s, %d bytes", key, v, found, etag, len(body))
		} else if m, _ := c.digests(t, key, etag); m != fmt.Sprintf("%x", md5.Sum(whole)) {
			t.Errorf("MD5 of %s: got %s", key, m)
		}
		completed.Delete(k)
		open.Delete(k)
		return true
	})
	open.Range(func(k, v any) bool {
		resume(t, c, k.(string), v.(string), parts, bodies, whole, get)
		open.Delete(k)
		return true
	})
	for _, name := range leftovers(t, c.cfg.Dir) {
		// An upload whose creation was never answered stays open until it is aborted; anything else is rubbish.
		if _, err := os.Stat(filepath.Join(c.cfg.Dir, "uploads", name, "upload.json")); err != nil {
			t.Errorf("left behind: %s", name)
		}
	}
}

func resume(t *testing.T, c *child, key, id string, parts *sync.Map, bodies [][]byte, whole []byte, get func(string) (string, []byte, bool)) {
	t.Helper()
	ctx := t.Context()
	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id})
	if code(err) == "NoSuchUpload" {
		// The completion was not answered, but it happened.
		if _, body, found := get(key); !found || !bytes.Equal(body, whole) {
			t.Errorf("upload of %s is gone and the object has %d bytes (found: %v)", key, len(body), found)
		}
		return
	}
	if err != nil {
		t.Fatalf("ListParts of %s: %v", key, err)
	}
	have := map[int32]string{}
	for _, p := range listed.Parts {
		have[*p.PartNumber] = *p.ETag
	}
	var done []types.CompletedPart
	for i, b := range bodies {
		n := int32(i + 1)
		if want, ok := parts.Load(partKey{key, id, n}); ok && have[n] != want.(string) {
			t.Errorf("part %d of %s was acknowledged with ETag %s and has %q now", n, key, want, have[n])
		}
		etag := have[n]
		if etag == "" {
			etag = *must(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: &n, Body: bytes.NewReader(b)}))(t).ETag
		}
		done = append(done, types.CompletedPart{PartNumber: &n, ETag: &etag})
	}
	out := must(c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	}))(t)
	if _, body, found := get(key); !found || !bytes.Equal(body, whole) {
		t.Errorf("%s was resumed and has %d bytes that differ from the %d that were sent", key, len(body), len(whole))
	}
	if m, _ := c.digests(t, key, *out.ETag); m != fmt.Sprintf("%x", md5.Sum(whole)) {
		t.Errorf("MD5 of %s after it was resumed: got %s", key, m)
	}
}

func TestARestartKeepsUploadsObjectsAndHashes(t *testing.T) {
	s := start(t)
	body := noise(1, 2*partSize)
	must(s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("images/put"), Body: bytes.NewReader(body)}))(t)
	id := s.begin(t, "images/multipart", partSize)
	one := must(s.part("images/multipart", id, 1, body[:partSize]))(t)
	side := s.begin(t, "images/side", 0)
	sideOne := must(s.part("images/side", side, 1, body[:partSize]))(t)

	s = startAfter(t, s)
	two := must(s.part("images/multipart", id, 2, body[partSize:]))(t)
	out := must(s.complete("images/multipart", id, one, two))(t)
	sideTwo := must(s.part("images/side", side, 2, body[partSize:]))(t)
	sideOut := must(s.complete("images/side", side, sideOne, sideTwo))(t)

	s = startAfter(t, s) // at once: the hashes of the two are hardly begun
	checkObject(t, s, "images/put", fmt.Sprintf(`"%x"`, md5.Sum(body)), body)
	checkObject(t, s, "images/multipart", *out.ETag, body)
	checkObject(t, s, "images/side", *sideOut.ETag, body)
}

// journal writes lines to the journal of an upload of a server that does not run.
func journal(t *testing.T, dir, id string, lines ...any) {
	t.Helper()
	f := must(os.OpenFile(filepath.Join(dir, "uploads", id, "parts.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))(t)
	defer f.Close()
	for _, l := range lines {
		must(f.Write(append(must(json.Marshal(l))(t), '\n')))(t)
	}
}

type journalled struct {
	N    int    `json:"n"`
	Size int64  `json:"size"`
	CRC  uint64 `json:"crc"`
}

func TestTenThousandPartsBecomeOneObject(t *testing.T) {
	// The parts are zeros that take no room on the disk, written by the test while the server is down: nobody
	// wants to wait for 50 GB.
	s := start(t)
	key := "images/huge"
	id := s.begin(t, key, partSize)
	s.stop()
	const n = 10_000
	crc := crc64nvme.Checksum(make([]byte, partSize))
	var lines []any
	for i := range n {
		lines = append(lines, journalled{i + 1, partSize, crc})
	}
	journal(t, s.cfg.Dir, id, lines...)
	if err := os.Truncate(filepath.Join(s.cfg.Dir, "uploads", id, "data"), n*partSize); err != nil {
		t.Fatal(err)
	}

	s = startIn(t, s.cfg.Dir)
	var parts []types.CompletedPart
	pages := s3.NewListPartsPaginator(s.Client, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id})
	for pages.HasMorePages() {
		for _, p := range must(pages.NextPage(t.Context()))(t).Parts {
			parts = append(parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag})
		}
	}
	if len(parts) != n {
		t.Fatalf("got %d parts, want %d", len(parts), n)
	}
	out := must(s.complete(key, id, parts...))(t)
	if !strings.HasSuffix(*out.ETag, `-10000"`) {
		t.Errorf("got ETag %s, want one that ends with the number of parts", *out.ETag)
	}
	head := must(s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key}))(t)
	if *head.ContentLength != n*partSize {
		t.Errorf("got %d bytes, want %d", *head.ContentLength, n*partSize)
	}
	// The hashes of 50 GB are not wanted either; a deletion stops them.
	must(s.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}))(t)
	if _, _, ok, err := s.Digests(t.Context(), key, *out.ETag); ok || err != nil {
		t.Errorf("Digests of a deleted object: got ok %v, error %v; want neither", ok, err)
	}
}

func TestBytesThatThePowerTookAreNotBelieved(t *testing.T) {
	s := start(t)
	key, body := "images/power", noise(1, 2*partSize)
	id := s.begin(t, key, partSize)
	one := must(s.part(key, id, 1, body[:partSize]))(t)
	two := must(s.part(key, id, 2, body[partSize:]))(t)
	s.stop()
	// As after a power failure: the journal reached the disk, the bytes of part 2 did not, and the machine was
	// started anew.
	dir := filepath.Join(s.cfg.Dir, "uploads", id)
	f := must(os.OpenFile(filepath.Join(dir, "data"), os.O_WRONLY, 0))(t)
	must(f.WriteAt(make([]byte, 4096), partSize+8192))(t)
	_ = f.Close()
	spec := string(must(os.ReadFile(filepath.Join(dir, "upload.json")))(t))
	head, tail, _ := strings.Cut(spec, `"boot":"`)
	if err := os.WriteFile(filepath.Join(dir, "upload.json"), []byte(head+`"boot":"yesterday`+tail[36:]), 0o600); err != nil {
		t.Fatal(err)
	}

	s = startIn(t, s.cfg.Dir)
	listed := must(s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id}))(t)
	if len(listed.Parts) != 1 || *listed.Parts[0].PartNumber != 1 {
		t.Fatalf("got %d parts, want part 1 alone", len(listed.Parts))
	}
	if _, err := s.complete(key, id, one, two); code(err) != "InvalidPart" {
		t.Errorf("Complete with the lost part: got %q, want InvalidPart", code(err))
	}
	two = must(s.part(key, id, 2, body[partSize:]))(t)
	out := must(s.complete(key, id, one, two))(t)
	checkObject(t, s, key, *out.ETag, body)
}

func TestHashesOfADamagedObjectAreAnError(t *testing.T) {
	s := start(t)
	key := "images/damaged"
	id := s.begin(t, key, partSize)
	s.stop()
	journal(t, s.cfg.Dir, id, journalled{1, 1000, 12345}) // the bytes do not have this CRC
	if err := os.WriteFile(filepath.Join(s.cfg.Dir, "uploads", id, "data"), noise(1, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	s = startIn(t, s.cfg.Dir)
	p := types.CompletedPart{PartNumber: aws.Int32(1), ETag: aws.String(fmt.Sprintf("%016x%016x", 12345, 1000))}
	out := must(s.complete(key, id, p))(t)
	_, _, ok, err := s.Digests(t.Context(), key, *out.ETag)
	for range 2 { // nor when it is asked again
		if ok || err == nil || !strings.Contains(err.Error(), "upload it again") {
			t.Errorf("got ok %v, error %v; want an error that says what to do", ok, err)
		}
		_, _, ok, err = s.Digests(t.Context(), key, *out.ETag)
	}
}

func TestAStartCleansUpAfterACrash(t *testing.T) {
	s := start(t)
	id := s.begin(t, "images/open", partSize)
	must(s.part("images/open", id, 1, noise(1, partSize)))(t)
	s.stop()
	up := filepath.Join(s.cfg.Dir, "uploads")
	tmp := filepath.Join(s.cfg.Dir, "objects", bucket, ".sgwtmp")
	for _, name := range []string{
		filepath.Join(up, "put-123"), filepath.Join(up, "new-1", "data"), filepath.Join(up, "old-1", "data"),
		filepath.Join(up, id, "side-00001-1"), filepath.Join(up, id, "new.json"),
		filepath.Join(tmp, "123.456"), filepath.Join(tmp, "multipart", "abc", "1.2.inprogress", "1"),
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A part that was being written, and a line of the journal that was.
	f := must(os.OpenFile(filepath.Join(up, id, "data"), os.O_WRONLY, 0))(t)
	must(f.WriteAt(noise(2, mib), partSize))(t)
	_ = f.Close()
	j := must(os.OpenFile(filepath.Join(up, id, "parts.log"), os.O_WRONLY|os.O_APPEND, 0))(t)
	must(j.WriteString(`{"n":2,"si`))(t)
	_ = j.Close()

	s = startIn(t, s.cfg.Dir)
	if left := leftovers(t, s.cfg.Dir); len(left) != 1 {
		t.Errorf("got %v, want the open upload alone", left)
	}
	if files := must(os.ReadDir(filepath.Join(up, id)))(t); len(files) != 3 {
		t.Errorf("the upload has %d files, want data, parts.log and upload.json", len(files))
	}
	if files := must(os.ReadDir(tmp))(t); len(files) != 0 {
		t.Errorf("versitygw's directory has %d files, want none", len(files))
	}
	fi := must(os.Stat(filepath.Join(up, id, "data")))(t)
	if kib := fi.Sys().(*syscall.Stat_t).Blocks / 2; kib > partSize/1024+8 {
		t.Errorf("data takes %d KiB, want the 5120 of part 1", kib)
	}
	two := must(s.part("images/open", id, 2, []byte("x")))(t)
	listed := must(s.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("images/open"), UploadId: &id}))(t)
	if len(listed.Parts) != 2 {
		t.Fatalf("got %d parts, want 2", len(listed.Parts))
	}
	one := types.CompletedPart{PartNumber: aws.Int32(1), ETag: listed.Parts[0].ETag}
	out := must(s.complete("images/open", id, one, two))(t)
	checkObject(t, s, "images/open", *out.ETag, append(noise(1, partSize), 'x'))
}

func TestAnUploadThatCannotBeReadIsGivenUpAlone(t *testing.T) {
	s := start(t)
	spoiled, good := s.begin(t, "images/spoiled", partSize), s.begin(t, "images/good", partSize)
	p := must(s.part("images/good", good, 1, []byte("good")))(t)
	s.stop()
	if err := os.WriteFile(filepath.Join(s.cfg.Dir, "uploads", spoiled, "upload.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = startIn(t, s.cfg.Dir)
	if _, err := s.part("images/spoiled", spoiled, 1, []byte("x")); code(err) != "NoSuchUpload" {
		t.Errorf("a part of the upload that is gone: got %q, want NoSuchUpload", code(err))
	}
	out := must(s.complete("images/good", good, p))(t)
	checkObject(t, s, "images/good", *out.ETag, []byte("good"))
	if left := leftovers(t, s.cfg.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if !strings.Contains(s.logs.String(), "begin again") {
		t.Errorf("the log says %q, want what happened", s.logs)
	}
}

func TestOldUploadsAreAbandonedWhenThatIsAskedFor(t *testing.T) {
	s := start(t)
	s.begin(t, "images/old", partSize)
	s = startAfter(t, s, func(c *s3engine.Config) { c.AbandonAfter = time.Nanosecond })
	for len(leftovers(t, s.cfg.Dir)) > 0 { // the test's own deadline is the limit
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAFullDiskIsAnAnswerAndLeavesNothing(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal("this test needs unshare and mount: apt-get install util-linux mount")
	}
	dir := t.TempDir()
	// A file system of 24 MiB, in a mount namespace of its own, so that no privilege is needed.
	c := startChild(t, dir, func(cmd *exec.Cmd) {
		cmd.Args = []string{"unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", `mount -t tmpfs -o size=24m,mode=700 bullion "$0" && exec "$1"`, dir, cmd.Path}
		cmd.Path = unshare
	})
	inside := fmt.Sprintf("/proc/%d/root%s", c.cmd.Process.Pid, dir)
	room := func() uint64 {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(inside, &fs); err != nil {
			t.Fatal(err)
		}
		return fs.Bfree
	}
	key := "images/x"
	id := *must(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, Metadata: map[string]string{"bullion-part-size": fmt.Sprint(30 * mib)},
	}))(t).UploadId
	side := *must(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key}))(t).UploadId
	before := room()
	big := noise(1, 30*mib)
	for name, send := range map[string]func() error{
		"PUT": func() error {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(big)})
			return err
		},
		"a part in its slot": func() error {
			_, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(1), Body: bytes.NewReader(big)})
			return err
		},
		"a part in a side file": func() error {
			_, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &side, PartNumber: aws.Int32(1), Body: bytes.NewReader(big)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := code(send()); got != "InsufficientStorage" {
				t.Errorf("got %q, want InsufficientStorage", got)
			}
			if after := room(); after != before {
				t.Errorf("%d blocks are free, before there were %d", after, before)
			}
		})
	}
	must(c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(big[:mib])}))(t)
}
