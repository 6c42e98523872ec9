package s3engine

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"crypto/md5"
	"crypto/sha512"

	"github.com/minio/crc64nvme"
	"github.com/versity/versitygw/s3err"
)

const (
	// blockSize is how much of a body is read, hashed and written at a time: large enough that a system call is
	// cheap, small enough that the block is still in the processor's cache when it is hashed.
	blockSize = 256 << 10
	// depth is how many blocks of one body are between the socket and the slower of its hashes.
	depth = 8
)

// block is a piece of a body. It goes home to its ring when all its users have released it.
type block struct {
	buf  []byte
	n    int
	refs atomic.Int32
	home chan *block
}

func (b *block) bytes() []byte { return b.buf[:b.n] }

func (b *block) release() {
	if b.refs.Add(-1) == 0 {
		b.home <- b
	}
}

var blocks = sync.Pool{New: func() any { return &block{buf: make([]byte, blockSize)} }}

// newRing borrows n blocks. Receive from it to get a free one.
func newRing(n int) chan *block {
	home := make(chan *block, n)
	for range n {
		b := blocks.Get().(*block)
		b.home = home
		home <- b
	}
	return home
}

// closeRing gives the blocks back, after the last user has released the last of them.
func closeRing(home chan *block) {
	for range cap(home) {
		b := <-home
		b.home = nil
		blocks.Put(b)
	}
}

// digester computes MD5 and SHA-512 of the same bytes at the same time, each on its own goroutine.
type digester struct {
	md5, sha512 *lane
}

type lane struct {
	hash hash.Hash
	in   chan *block
	done chan struct{}
}

func newDigester() *digester {
	return &digester{md5: newLane(md5.New()), sha512: newLane(sha512.New())}
}

func newLane(h hash.Hash) *lane {
	l := &lane{hash: h, in: make(chan *block, depth), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for b := range l.in {
			_, _ = l.hash.Write(b.bytes()) // a hash never fails
			b.release()
		}
	}()
	return l
}

// write hands b to both hashes, each of which releases it once.
func (d *digester) write(b *block) {
	d.md5.in <- b
	d.sha512.in <- b
}

// close ends the goroutines, after all that was written is hashed.
func (d *digester) close() {
	close(d.md5.in)
	close(d.sha512.in)
	<-d.md5.done
	<-d.sha512.done
}

// sums returns MD5 and SHA-512; close first.
func (d *digester) sums() (md5sum, sha512sum []byte) {
	return d.md5.hash.Sum(nil), d.sha512.hash.Sum(nil)
}

// receive reads a body to its end and hands each block to write with its offset, and to d when it is not nil.
// It returns the length and CRC-64/NVME. The body must be want bytes long, unless want is negative.
func (v *vault) receive(ctx context.Context, body io.Reader, want int64, d *digester, write func(p []byte, off int64) error) (size int64, crc uint64, err error) {
	body, stop := v.impatient(ctx, body)
	defer stop()
	n := 1
	if d != nil {
		n = depth
	}
	ring := newRing(n)
	defer closeRing(ring)
	for end := false; !end; {
		b := <-ring
		b.n = 0
		for b.n < len(b.buf) && !end {
			var m int
			m, err = body.Read(b.buf[b.n:])
			b.n += m
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				end, err = true, nil
			}
			if err != nil {
				b.refs.Store(1)
				b.release()
				return 0, 0, v.hungUp(err)
			}
		}
		b.refs.Store(1)
		if d != nil {
			b.refs.Store(3)
			d.write(b)
		}
		crc = crc64nvme.Update(crc, b.bytes())
		err = write(b.bytes(), size)
		size += int64(b.n)
		b.release()
		if err != nil {
			if full(err) || unwritable(err) {
				_, _ = io.Copy(io.Discard, body) // so that the client reads our answer (G14)
			}
			return 0, 0, err
		}
	}
	if want >= 0 && size != want {
		return 0, 0, s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return size, crc, nil
}

// drain reads a body that nobody wants to its end.
func (v *vault) drain(ctx context.Context, body io.Reader) {
	body, stop := v.impatient(ctx, body)
	defer stop()
	_, _ = io.Copy(io.Discard, body)
}

func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// unwritable says whether the disk, or a directory of it, has become read-only.
func unwritable(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// hungUp sorts the errors of reading from a client.
func (v *vault) hungUp(err error) error {
	switch {
	case isS3(err):
		return err
	case v.life.Err() != nil:
		return stopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tooSlow
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return s3err.GetAPIError(s3err.ErrIncompleteBody)
	default:
		return fmt.Errorf("read body: %w", err)
	}
}

// impatient makes reads of body fail when the client sends nothing for a while, and at once when the server
// stops: fasthttp would wait for ever, and a part that is being sent blocks its slot.
func (v *vault) impatient(ctx context.Context, body io.Reader) (_ io.Reader, stop func()) {
	rc, ok := ctx.(interface{ Conn() net.Conn })
	if !ok || rc.Conn() == nil {
		return body, func() {}
	}
	r := &impatientReader{Reader: body, conn: rc.Conn(), life: v.life, idle: v.cfg.Idle}
	past := time.Unix(1, 0)
	stopCut := context.AfterFunc(v.life, func() { _ = r.conn.SetReadDeadline(past) })
	return r, func() {
		if stopCut() {
			_ = r.conn.SetReadDeadline(time.Time{})
		}
	}
}

type impatientReader struct {
	io.Reader
	conn net.Conn
	life context.Context
	idle time.Duration
}

func (r *impatientReader) Read(p []byte) (int, error) {
	_ = r.conn.SetReadDeadline(time.Now().Add(r.idle))
	if err := r.life.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
