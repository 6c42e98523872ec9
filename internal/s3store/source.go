package s3store

import (
	"context"
	"errors"
	"io"

	"bullion/internal/images"
)

// source reads a stream that has exactly size bytes, or any number when size is -1.
type source struct {
	r    io.Reader
	size int64
	read int64 // so far
	end  bool  // nothing is left
}

// maxEmpty is how often a reader may give nothing and no error.
const maxEmpty = 100

// fill reads until p is full or the stream ends, which ends it for good. It fails when the stream does, when ctx ends, and when the stream is shorter
// or longer than declared. Whatever the reader's Read blocks on is not interrupted.
func (s *source) fill(ctx context.Context, p []byte) (n int, err error) {
	if s.size >= 0 {
		p = p[:min(int64(len(p)), s.size-s.read)]
	}
	for empty := 0; n < len(p) && !s.end; {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		m, err := s.r.Read(p[n:])
		n += m
		s.read += int64(m)
		switch {
		case errors.Is(err, io.EOF):
			s.end = true
		case err != nil:
			return 0, err
		case m > 0:
			empty = 0
		default:
			if empty++; empty == maxEmpty {
				return 0, io.ErrNoProgress
			}
		}
	}
	if s.size < 0 {
		return n, nil
	}
	if s.end && s.read < s.size {
		return 0, images.Errorf(images.Invalid, "The stream ended after %d of its %d bytes.", s.read, s.size)
	}
	if s.read == s.size && !s.end {
		s.end = true
		if extra, err := io.ReadFull(s.r, make([]byte, 1)); extra > 0 {
			return 0, images.Errorf(images.Invalid, "The stream has more than its %d bytes.", s.size)
		} else if !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	return n, nil
}
