package diskimage

import (
	"bytes"
	"io"
	"testing"

	"bullion/internal/diskimage/corpus"
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

func TestDecompressionIsBoundedToo(t *testing.T) {
	disk := corpus.NewImage(80 << 20)
	for off := int64(0); off < disk.Size(); off += 2 << 20 {
		disk.Put(off, []byte("x"))
	}
	m := corpus.QCOW2{ClusterBits: 21, Compress: "zlib"}.Make(disk)
	v, err := openDisk(m, m.Size(), "qcow2")
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < disk.Size(); off += 2 << 20 {
		if _, err = v.disk.read(off, 1); err != nil {
			break
		}
	}
	if r := asRejection(err); r == nil || r.Code != CodeBudget {
		t.Errorf("reading a byte of each cluster: got %v, want %s", err, CodeBudget)
	}
	rep, err := Inspect(t.Context(), m, m.Size(), Options{DiskFormat: "qcow2", ContainerFormat: "bare"})
	if err != nil || rep.VirtualSize != disk.Size() {
		t.Errorf("inspecting it: got %+v, %v, want a good image", rep, err)
	}
}
