package s3engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/minio/crc64nvme"
)

// chasers is how many objects are hashed at the same time; each takes two threads and 2 MiB.
const chasers = 4

// digests are the hashes of one whole object, as its attribute keeps them.
type digests struct {
	ETag   string `json:"etag"` // with quotes
	Size   int64  `json:"size"`
	MD5    []byte `json:"md5"`
	SHA512 []byte `json:"sha512"`
}

// Digests returns MD5 and SHA-512 of the object key as 32 and 128 hexadecimal digits, if it has the given ETag (with
// or without quotes). They were computed while the bytes arrived; when that is still going on, or when the server was
// restarted in between, it waits. ok is false when there is no such object. An error means that the object
// cannot be read, or that the bytes on the disk are not those that were received.
func (s *Server) Digests(ctx context.Context, key, etag string) (md5hex, sha512hex string, ok bool, err error) {
	d, ok, err := s.backend.digestsOf(ctx, s.cfg.Bucket, key, etag)
	if err != nil || !ok {
		return "", "", false, err
	}
	return hex.EncodeToString(d.MD5), hex.EncodeToString(d.SHA512), true, nil
}

func (v *vault) digestsOf(ctx context.Context, bucket, key, etag string) (digests, bool, error) {
	etag = `"` + strings.Trim(etag, `"`) + `"`
	for {
		f, err := os.Open(v.path(bucket, key))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return digests{}, false, nil
		}
		if err != nil {
			return digests{}, false, fmt.Errorf("open object %s: %w", key, err)
		}
		d, found, err := v.loadDigests(f, etag)
		if err != nil || found {
			_ = f.Close()
			return d, found, err
		}
		if b, err := v.attrs.RetrieveAttribute(f, "", "", attrETag); err != nil || string(b) != etag {
			_ = f.Close()
			return digests{}, false, nil
		}
		j := v.jobOn(bucket, key, etag, f)
		select {
		case <-j.done:
		case <-ctx.Done():
			return digests{}, false, context.Cause(ctx)
		}
		if errors.Is(j.err, context.Canceled) && v.life.Err() == nil {
			continue // the object was replaced or deleted meanwhile; look again
		}
		return j.out, j.err == nil, j.err
	}
}

func (v *vault) loadDigests(f *os.File, etag string) (d digests, found bool, err error) {
	b, err := v.attrs.RetrieveAttribute(f, "", "", attrDigests)
	if err != nil {
		return d, false, nil
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, false, nil // damaged: they are computed again
	}
	fi, err := f.Stat()
	if err != nil {
		return d, false, fmt.Errorf("stat object: %w", err)
	}
	return d, d.ETag == etag && d.Size == fi.Size(), nil
}

func (v *vault) storeDigests(f *os.File, d digests) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return v.attrs.StoreAttribute(f, "", "", attrDigests, b)
}

// job computes the digests of one object.
type job struct {
	bucket, key, etag string
	ctx               context.Context
	cancel            context.CancelFunc
	done              chan struct{} // closed when out and err are set
	out               digests
	err               error
}

func (v *vault) newJob(bucket, key, etag string) *job {
	j := &job{bucket: bucket, key: key, etag: etag, done: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancel(v.life)
	return j
}

func (j *job) name() string { return j.bucket + "/" + j.key + "\x00" + j.etag }

// register makes j the job that Digests waits for.
func (v *vault) register(j *job) {
	v.jobsMu.Lock()
	defer v.jobsMu.Unlock()
	v.jobs[j.name()] = j
}

// jobOn returns the job for an object, and begins one that reads all of f when there is none. It takes f.
func (v *vault) jobOn(bucket, key, etag string, f *os.File) *job {
	v.jobsMu.Lock()
	defer v.jobsMu.Unlock()
	j := v.newJob(strings.Clone(bucket), strings.Clone(key), etag)
	if running, ok := v.jobs[j.name()]; ok {
		j.cancel()
		_ = f.Close()
		return running
	}
	v.jobs[j.name()] = j
	v.work.Go(func() {
		defer f.Close()
		size, err := int64(0), error(nil)
		if fi, e := f.Stat(); e != nil {
			err = e
		} else {
			size = fi.Size()
		}
		v.conclude(j, newPrefix(), f, size, err)
	})
	return j
}

// forget stops the jobs on an object that is going away.
func (v *vault) forget(bucket, key string) {
	v.jobsMu.Lock()
	defer v.jobsMu.Unlock()
	for _, j := range v.jobs {
		if j.bucket == bucket && j.key == key {
			j.cancel()
		}
	}
}

// prefix is how far the hashes of an object have come.
type prefix struct {
	*digester
	size int64
	crc  uint64
}

func newPrefix() *prefix { return &prefix{digester: newDigester()} }

// conclude hashes what is missing in p, which it closes, and ends j. The object is the first size bytes of f.
func (v *vault) conclude(j *job, p *prefix, f *os.File, size int64, err error) {
	if err == nil {
		var crc uint64
		crc, err = v.hash(j.ctx, p.digester, f, p.size, size-p.size)
		p.crc = crcJoiner{}.join(p.crc, crc, size-p.size)
	}
	p.close()
	want, known := v.attrs.RetrieveAttribute(f, "", "", attrCRC)
	if err == nil && known == nil && string(want) != crcString(p.crc) {
		err = fmt.Errorf("object %s is damaged: the disk does not hold the bytes that were received; delete it and upload it again", j.key)
	}
	if err == nil {
		j.out = digests{ETag: j.etag, Size: size}
		j.out.MD5, j.out.SHA512 = p.sums()
		if e := v.storeDigests(f, j.out); e != nil {
			v.cfg.Log.Warn("the hashes of an object could not be kept; they will be computed again", "key", j.key, "error", e)
		}
	}
	j.err = err
	j.cancel()
	v.jobsMu.Lock()
	if v.jobs[j.name()] == j {
		delete(v.jobs, j.name())
	}
	v.jobsMu.Unlock()
	close(j.done)
}

// hash reads n bytes of f from off on into d, and returns their CRC-64.
func (v *vault) hash(ctx context.Context, d *digester, f *os.File, off, n int64) (crc uint64, err error) {
	select {
	case v.chasing <- struct{}{}:
		defer func() { <-v.chasing }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	ring := newRing(depth)
	defer closeRing(ring)
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b := <-ring
		b.n, err = f.ReadAt(b.buf[:min(n, blockSize)], off)
		if errors.Is(err, io.EOF) && int64(b.n) == min(n, blockSize) {
			err = nil
		}
		if err != nil {
			b.refs.Store(1)
			b.release()
			return 0, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
		}
		crc = crc64nvme.Update(crc, b.bytes())
		off, n = off+int64(b.n), n-int64(b.n)
		b.refs.Store(2)
		d.write(b)
	}
	return crc, nil
}
