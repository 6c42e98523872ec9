package s3engine_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const gib = 1 << 30

// benchFile is a file of 1 GiB that uploads read from, as a client does.
func benchFile(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "image")
	f := must(os.Create(name))(b)
	block := noise(1, mib)
	for i := range gib / mib {
		block[0], block[1] = byte(i), byte(i>>8)
		must(f.Write(block))(b)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return name
}

// put sends part of a file to a presigned URL.
func put(r *v4.PresignedHTTPRequest, file string, off, n int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return err
	}
	req, err := http.NewRequest(r.Method, r.URL, io.LimitReader(f, n))
	if err != nil {
		return err
	}
	req.ContentLength = n
	for k, v := range r.SignedHeader {
		if !strings.EqualFold(k, "Host") {
			req.Header[k] = v
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

func (c *child) remove(b *testing.B, key string) {
	b.Helper()
	must(c.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}))(b)
}

func (c *child) etag(b *testing.B, key string) string {
	b.Helper()
	return *must(c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key}))(b).ETag
}

// BenchmarkPut uploads 1 GiB with one presigned PUT to a server in another process, until both hashes are known.
func BenchmarkPut(b *testing.B) { benchmarkPut(b) }

// BenchmarkPutWithSync is BenchmarkPut with Config.Sync: it measures the disk.
func BenchmarkPutWithSync(b *testing.B) {
	benchmarkPut(b, func(c *exec.Cmd) { c.Env = append(c.Env, syncEnv+"=1") })
}

func benchmarkPut(b *testing.B, prepare ...func(*exec.Cmd)) {
	b.Helper()
	file, c := benchFile(b), startChild(b, filepath.Join(b.TempDir(), "s3"), prepare...)
	b.SetBytes(gib)
	for b.Loop() {
		r := must(c.presign.PresignPutObject(context.Background(), &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("image"), ContentLength: aws.Int64(gib), IfNoneMatch: aws.String("*"),
		}))(b)
		if err := put(r, file, 0, gib); err != nil {
			b.Fatal(err)
		}
		c.digests(b, "image", c.etag(b, "image"))
		b.StopTimer()
		c.remove(b, "image")
		b.StartTimer()
	}
	c.memory(b)
}

// BenchmarkMultipart uploads 1 GiB in parts with presigned PUTs, until both hashes are known.
func BenchmarkMultipart(b *testing.B) {
	for _, parallel := range []int{1, 4, 8} {
		for _, size := range []int64{16 * mib, 64 * mib} {
			b.Run(fmt.Sprintf("%d at a time of %d MiB", parallel, size/mib), func(b *testing.B) {
				file, c := benchFile(b), startChild(b, filepath.Join(b.TempDir(), "s3"))
				b.SetBytes(gib)
				var completing, hashing time.Duration
				for b.Loop() {
					etag, done := c.multipart(b, "image", file, size, parallel)
					completing += done
					begin := time.Now()
					c.digests(b, "image", etag)
					hashing += time.Since(begin)
					b.StopTimer()
					c.remove(b, "image")
					b.StartTimer()
				}
				b.ReportMetric(completing.Seconds()*1000/float64(b.N), "ms-complete/op")
				b.ReportMetric(hashing.Seconds()*1000/float64(b.N), "ms-rest-of-hashes/op")
				c.memory(b)
			})
		}
	}
}

func (c *child) multipart(b *testing.B, key, file string, size int64, parallel int) (etag string, completing time.Duration) {
	b.Helper()
	ctx := context.Background()
	id := must(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, Metadata: map[string]string{"bullion-part-size": fmt.Sprint(size)},
	}))(b).UploadId
	numbers := make(chan int64)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for n := range numbers {
				r, err := c.presign.PresignUploadPart(ctx, &s3.UploadPartInput{
					Bucket: aws.String(bucket), Key: &key, UploadId: id, PartNumber: aws.Int32(int32(n)), ContentLength: &size,
				})
				if err == nil {
					err = put(r, file, (n-1)*size, size)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := int64(1); n <= gib/size; n++ {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
	listed := must(c.ListParts(ctx, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &key, UploadId: id}))(b)
	var parts []types.CompletedPart
	for _, p := range listed.Parts {
		parts = append(parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag})
	}
	begin := time.Now()
	out := must(c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}))(b)
	return *out.ETag, time.Since(begin)
}

// cpu is the processor time that a process has used.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))(b))
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var user, system int
	must(fmt.Sscan(f[11]+" "+f[12], &user, &system))(b)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}

// memory reports the most memory that the server ever used, and the processor time of both sides.
func (c *child) memory(b *testing.B) {
	b.Helper()
	b.ReportMetric(cpu(b, c.cmd.Process.Pid).Seconds()/float64(b.N), "s-server/op")
	b.ReportMetric(cpu(b, os.Getpid()).Seconds(), "s-client-in-all")
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid)))(b))
	if _, rest, ok := strings.Cut(status, "VmHWM:"); ok {
		var kib float64
		if _, err := fmt.Sscan(rest, &kib); err == nil {
			b.ReportMetric(kib/1024, "MiB-memory")
		}
	}
}

// BenchmarkGet downloads 1 GiB.
func BenchmarkGet(b *testing.B) {
	file, c := benchFile(b), startChild(b, filepath.Join(b.TempDir(), "s3"))
	c.multipart(b, "image", file, 64*mib, 4)
	buf := make([]byte, 256<<10)
	b.SetBytes(gib)
	for b.Loop() {
		out := must(c.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("image")}))(b)
		n := must(io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{out.Body}, buf))(b)
		if err := out.Body.Close(); err != nil || n != gib {
			b.Fatalf("got %d bytes, %v", n, err)
		}
	}
}

// BenchmarkFloor is what the machine can do without a server.
func BenchmarkFloor(b *testing.B) {
	block := bytes.Repeat([]byte{7}, 256<<10)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(gib)
		name := filepath.Join(b.TempDir(), "raw")
		for b.Loop() {
			f := must(os.Create(name))(b)
			for range gib / len(block) {
				must(f.Write(block))(b)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = os.Remove(name)
			b.StartTimer()
		}
	})
	b.Run("MD5 and SHA-512 at once", func(b *testing.B) {
		b.SetBytes(gib)
		for b.Loop() {
			var wg sync.WaitGroup
			wg.Go(func() {
				h := md5.New()
				for range gib / len(block) {
					h.Write(block)
				}
			})
			wg.Go(func() {
				h := sha512.New()
				for range gib / len(block) {
					h.Write(block)
				}
			})
			wg.Wait()
		}
	})
}
