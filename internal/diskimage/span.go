package diskimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// span is a range of bytes to be parsed: the file, the virtual disk inside it, or a partition of that.
// Its reads are exact: all of the bytes asked for, a rejection when the span ends before them, or the error of the reader.
type span struct {
	r    io.ReaderAt
	base int64  // where the span begins in r
	size int64  // bytes
	name string // what messages call it, as in "the file"
}

// maxRead bounds a single read, and so what a wrong number can make us allocate.
const maxRead = 4 << 20

// read returns n bytes from off.
func (s span) read(off int64, n int) ([]byte, error) {
	if n < 0 || n > maxRead {
		return nil, reject(CodeMalformed, hintAgain, "The image asks for a table of %d bytes at byte %d of the %s, which is too large.", n, off, s.name)
	}
	if off < 0 || int64(n) > s.size || off > s.size-int64(n) {
		return nil, s.ends(off, int64(n))
	}
	buf := make([]byte, n)
	got, err := s.r.ReadAt(buf, s.base+off)
	if got == n {
		return buf, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("read %d bytes at %d of the %s: %w", n, off, s.name, err)
}

// readUpTo returns n bytes from off, or as many as there are.
func (s span) readUpTo(off int64, n int) ([]byte, error) {
	if off < 0 || off >= s.size {
		return nil, nil
	}
	return s.read(off, int(min(int64(n), s.size-off)))
}

// ends is the rejection of a span that is too short for n bytes at off.
func (s span) ends(off, n int64) *Rejection {
	return reject(CodeTruncated, hintWhole, "The %s ends at byte %d, but it refers to %d bytes at byte %d.", s.name, s.size, n, off)
}

// has says whether n bytes at off lie inside the span.
func (s span) has(off, n int64) bool {
	return off >= 0 && n >= 0 && n <= s.size && off <= s.size-n
}

// sub returns the n bytes from off as a span of their own; what lies past the end of s is cut off.
func (s span) sub(off, n int64, name string) span {
	if off < 0 || off > s.size || n < 0 {
		return span{bytes.NewReader(nil), 0, 0, name}
	}
	return span{s.r, s.base + off, min(n, s.size-off), name}
}

// cancellable is a reader that stops when its context ends.
type cancellable struct {
	ctx context.Context
	r   io.ReaderAt
}

func (c cancellable) ReadAt(p []byte, off int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.ReadAt(p, off)
}

// tableSample bounds how much of a table of offsets is read at each of its ends. A table of up to twice that is read whole;
// of larger ones the middle is trusted until it is used, so that the cost does not grow with the disk.
const tableSample = 512 << 10

// eachEntry calls check with the entries of a table of n entries of width bytes at off.
func (s span) eachEntry(off int64, n int64, width int, check func(i int64, entry []byte) error) error {
	if n <= 0 {
		return nil
	}
	if n > s.size/int64(width) || !s.has(off, n*int64(width)) {
		return s.ends(off, n*int64(width))
	}
	sample := int64(tableSample / width)
	for i := int64(0); i < n; {
		if n > 2*sample && i == sample {
			i = n - sample
		}
		count := min(sample, n-i)
		if n > 2*sample && i < sample {
			count = min(count, sample-i)
		}
		table, err := s.read(off+i*int64(width), int(count)*width)
		if err != nil {
			return err
		}
		for ; len(table) > 0; table = table[width:] {
			if err := check(i, table[:width]); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}
