package diskimage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"bullion/internal/diskimage/corpus"
)

func TestRandomBytesDeclaredRawPassWithAWarning(t *testing.T) {
	for _, n := range []int{1, 511, 512, 1024, 4096, 100_000} {
		b := corpus.Random(n, uint64(n))
		rep, err := Inspect(t.Context(), bytes.NewReader(b), int64(n), Options{DiskFormat: "raw", ContainerFormat: "bare"})
		if err != nil {
			t.Fatalf("%d random bytes: %v", n, err)
		}
		if rep.VirtualSize != int64(n) || len(rep.Warnings) == 0 {
			t.Errorf("%d random bytes: got %+v, want virtual size %d and a warning", n, rep, n)
		}
	}
}

func TestAnEmptyFileDeclaredRawPassesWithAWarning(t *testing.T) {
	rep, err := Inspect(t.Context(), bytes.NewReader(nil), 0, Options{DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Warnings) != 1 {
		t.Errorf("got %q, want one warning", rep.Warnings)
	}
	_, err = Inspect(t.Context(), bytes.NewReader(nil), 0, Options{DiskFormat: "qcow2", ContainerFormat: "bare"})
	if r := asRejection(err); r == nil || r.Code != CodeFormatMismatch {
		t.Errorf("empty qcow2: got %v, want %s", err, CodeFormatMismatch)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) ReadAt([]byte, int64) (int, error) { return 0, b.err }

func TestAnErrorOfTheReaderIsNoRejection(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := Inspect(t.Context(), brokenReader{broken}, 1<<20, Options{})
	if !errors.Is(err, broken) || asRejection(err) != nil {
		t.Errorf("got %v, want the error of the reader", err)
	}
	_, err = Inspect(t.Context(), bytes.NewReader(make([]byte, 100)), 1<<20, Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || asRejection(err) != nil {
		t.Errorf("a source shorter than it was said to be: got %v, want unexpected EOF", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Inspect(ctx, bytes.NewReader(make([]byte, 1<<20)), 1<<20, Options{})
	if !errors.Is(err, context.Canceled) || asRejection(err) != nil {
		t.Errorf("a cancelled context: got %v, want context.Canceled", err)
	}
}
