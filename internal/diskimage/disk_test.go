package diskimage

import (
	"bytes"
	"io"
	"testing"
)

// openDisk returns the disk inside an image.
func openDisk(r io.ReaderAt, size int64, format string) (*volume, error) {
	f := span{r, 0, size, "file"}
	g, err := sniff(f)
	if err != nil {
		return nil, err
	}
	in := &inspection{file: f, lim: limits{defaultMaxVirtual}, rep: &Report{}}
	return in.open(f, format, g)
}

// compareDisk compares the whole disk inside an image with what it should be.
func compareDisk(t testing.TB, name string, r io.ReaderAt, size int64, format string, want []byte) {
	t.Helper()
	v, err := openDisk(r, size, format)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if v.size != int64(len(want)) {
		t.Errorf("%s: the disk has %d bytes, want %d", name, v.size, len(want))
		return
	}
	const step = 1<<20 - 4096 // not a multiple of any cluster
	for off := 0; off < len(want); off += step {
		n := min(step, len(want)-off)
		got, err := v.disk.read(int64(off), n)
		if err != nil {
			t.Errorf("%s: read %d at %d: %v", name, n, off, err)
			return
		}
		if !bytes.Equal(got, want[off:off+n]) {
			i := 0
			for got[i] == want[off+i] {
				i++
			}
			t.Errorf("%s: byte %d is %#x, want %#x", name, off+i, got[i], want[off+i])
			return
		}
	}
}
