package s3store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"bullion/internal/images"
)

// What Put may still do after it failed or its context ended: let requests end, and then clean up.
const (
	endWithin     = 10 * time.Second
	cleanUpWithin = 30 * time.Second
)

// Put stores what r gives: at once when it is one part at most, else in parts of which a few are in memory. It reads r in the caller's goroutine, so
// r must return when ctx ends, as the body of an HTTP request does. size is the length or -1; the error is Invalid when r has another.
//
// When Put fails nothing is left behind, as far as S3 can be reached for another 40 seconds; what is left of a process that dies is for scrub.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) (images.Blob, error) {
	switch {
	case size < -1:
		return images.Blob{}, fmt.Errorf("s3store: put %s: the size must be a number of bytes or -1, not %d", key, size)
	case size > images.MaxImageSize:
		return images.Blob{}, images.Errorf(images.TooLarge, "The stream has %d bytes; an image has at most %d.", size, int64(images.MaxImageSize))
	}
	p := &put{Store: s, key: key, mark: rand.Text(), src: source{r: r, size: size}}
	first, part := plan(size)
	buf := s.buffer(first)
	n, err := p.src.fill(ctx, buf)
	switch {
	case err != nil:
		s.release(buf)
		return images.Blob{}, err
	case p.src.end:
		return p.whole(ctx, buf[:n])
	}
	return p.parts(ctx, buf, part)
}

// put is one call of Put.
type put struct {
	*Store
	key  string
	mark string // goes with the object as metadata
	src  source
}

// whole stores the bytes with one request.
func (p *put) whole(ctx context.Context, body []byte) (images.Blob, error) {
	out, err := p.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &p.bucket, Key: &p.key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ContentType: aws.String(contentType),
		IfNoneMatch: aws.String("*"), ChecksumCRC32: sum32(body), Metadata: map[string]string{metaPut: p.mark},
	}, p.sending...)
	if err != nil {
		return p.settle(ctx, fault(err, "put", p.key))
	}
	p.release(body)
	return images.Blob{Key: p.key, VersionID: pinned(out.VersionId), ETag: unquote(out.ETag), Size: int64(len(body))}, nil
}

// settle finds out what a failed write did. An answer can be lost after the object was stored, and the SDK's retry then finds the key taken: by
// ourselves. When the object is ours the write succeeded, unless the caller has given up: then the object goes.
func (p *put) settle(ctx context.Context, failure error) (images.Blob, error) {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpWithin)
	defer cancel()
	b, meta, err := p.head(clean, p.key, "")
	switch {
	case err != nil || meta[metaPut] != p.mark:
		return images.Blob{}, failure
	case ctx.Err() == nil:
		return b, nil
	}
	return images.Blob{}, errors.Join(failure, p.deleteVersion(clean, p.key, b.VersionID))
}

// parts stores a stream of more than one part, of which the first is in buf.
func (p *put) parts(ctx context.Context, buf []byte, size func(n int) int64) (images.Blob, error) {
	upload, err := p.createMultipart(ctx, &s3.CreateMultipartUploadInput{
		Key: &p.key, Metadata: map[string]string{metaPartSize: strconv.Itoa(len(buf)), metaPut: p.mark},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		p.release(buf)
		return images.Blob{}, err
	}
	parts, err := p.send(ctx, upload, buf, size)
	if err == nil {
		var b images.Blob
		if b, err = p.complete(ctx, p.key, upload, parts, p.src.read); err == nil {
			return b, nil
		}
		if b, err = p.settle(ctx, err); err == nil {
			return b, nil
		}
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpWithin)
	defer cancel()
	return images.Blob{}, errors.Join(err, p.AbortMultipart(clean, p.key, upload))
}

// send reads the stream part by part and sends each while the next is read; body is the first. It returns the parts in order, when all requests have ended.
func (p *put) send(ctx context.Context, upload string, body []byte, size func(n int) int64) ([]types.CompletedPart, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// Requests that are under way when the stream fails, or the caller gives up, may end: a part that S3 is still receiving when the upload is aborted
	// could stay behind.
	under, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(endWithin, stop) })()
	var (
		requests sync.WaitGroup
		mu       sync.Mutex
		parts    []types.CompletedPart
		buffers  = make(chan struct{}, p.buffers) // those in use
	)
	buffers <- struct{}{}
	for n := 1; len(body) > 0; n++ {
		sent := body
		requests.Go(func() {
			defer func() { <-buffers }()
			part, err := p.sendPart(under, upload, n, sent)
			if err != nil {
				fail(err)
				return
			}
			p.release(sent)
			mu.Lock()
			defer mu.Unlock()
			parts = append(parts, part)
		})
		if p.src.end {
			break
		}
		buffers <- struct{}{}
		var err error
		if body, err = p.next(ctx, n+1, size); err != nil {
			fail(err)
			break
		}
	}
	requests.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(parts, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	return parts, nil
}

// next reads part n into a buffer of its own. It is empty at the end of the stream.
func (p *put) next(ctx context.Context, n int, size func(n int) int64) ([]byte, error) {
	if n > images.MaxParts {
		return nil, images.Errorf(images.TooLarge, "The stream has more than %d bytes; an image has at most %d.", p.src.read, int64(images.MaxImageSize))
	}
	buf := p.buffer(size(n))
	m, err := p.src.fill(ctx, buf)
	if err != nil || m == 0 {
		p.release(buf)
		return nil, err
	}
	return buf[:m], nil
}

func (p *put) sendPart(ctx context.Context, upload string, n int, body []byte) (types.CompletedPart, error) {
	sum := sum32(body)
	out, err := p.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &p.bucket, Key: &p.key, UploadId: &upload, PartNumber: aws.Int32(int32(n)), ChecksumCRC32: sum,
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	}, p.sending...)
	if err != nil {
		return types.CompletedPart{}, fault(err, fmt.Sprintf("send part %d of", n), p.key)
	}
	return types.CompletedPart{PartNumber: aws.Int32(int32(n)), ETag: out.ETag, ChecksumCRC32: sum}, nil
}

// sum32 is the CRC32 of a body as S3 wants it: big-endian, base64.
func sum32(body []byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))))
}

// buffer returns size bytes, of the pool when they are the usual ones.
func (s *Store) buffer(size int64) []byte {
	if size == bufferSize {
		return *s.pool.Get().(*[]byte)
	}
	return make([]byte, size)
}

// release gives bytes back that nobody reads any more. Those of a request that failed are not given back: its connection may still be sending them.
func (s *Store) release(b []byte) {
	if b = b[:cap(b)]; len(b) == bufferSize {
		s.pool.Put(&b)
	}
}
