package s3store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"bullion/internal/images"
)

func TestFillReadsExactlyTheStream(t *testing.T) {
	body := []byte("0123456789")
	cut := errors.New("cut")
	for _, c := range []struct {
		name string
		r    io.Reader
		size int64
		want string // of two fills of 6 bytes
		err  error
		kind images.Kind
	}{
		{"of known length", bytes.NewReader(body), 10, "0123456789", nil, 0},
		{"of unknown length", bytes.NewReader(body), -1, "0123456789", nil, 0},
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(body)), 10, "0123456789", nil, 0},
		{"with its end at once", iotest.DataErrReader(bytes.NewReader(body)), 10, "0123456789", nil, 0},
		{"with its end at once, of unknown length", iotest.DataErrReader(bytes.NewReader(body)), -1, "0123456789", nil, 0},
		{"empty", bytes.NewReader(nil), 0, "", nil, 0},
		{"empty, of unknown length", bytes.NewReader(nil), -1, "", nil, 0},
		{"shorter than declared", bytes.NewReader(body), 11, "012345", nil, images.Invalid},
		{"longer than declared", bytes.NewReader(body), 9, "012345", nil, images.Invalid},
		{"longer than nothing", bytes.NewReader(body), 0, "", nil, images.Invalid},
		{"that fails", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(cut)), -1, "012345", cut, 0},
		{"that fails where it should end", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(cut)), 10, "012345", cut, 0},
		{"that is broken off", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, "012345", io.ErrUnexpectedEOF, 0},
		{"that gives nothing for ever", nothing{}, -1, "", io.ErrNoProgress, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source{r: c.r, size: c.size}
			var got []byte
			var err error
			for range 3 {
				p := make([]byte, 6)
				var n int
				if n, err = s.fill(t.Context(), p); err != nil || s.end {
					got = append(got, p[:n]...)
					break
				}
				got = append(got, p[:n]...)
			}
			switch {
			case string(got) != c.want:
				t.Errorf("got %q (error %v), want %q", got, err, c.want)
			case c.err != nil && !errors.Is(err, c.err):
				t.Errorf("got error %v, want %v", err, c.err)
			case c.kind != 0 && (err == nil || images.KindOf(err) != c.kind):
				t.Errorf("got error %v, want one of kind %d", err, c.kind)
			case c.err == nil && c.kind == 0 && (err != nil || !s.end):
				t.Errorf("got error %v and end %v, want the end", err, s.end)
			}
		})
	}
}

func TestFillStopsBetweenReadsWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := source{r: readFunc(func(p []byte) (int, error) { cancel(); return 1, nil }), size: -1}
	if _, err := s.fill(ctx, make([]byte, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if s.read != 1 {
		t.Errorf("read %d bytes after the end, want 1", s.read)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
