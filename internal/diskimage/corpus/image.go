// Package corpus builds disk images for tests: good, odd, broken and hostile ones of every format, each with the verdict that is
// right. They are made in memory, byte by byte, from the same documents that package diskimage cites; none of them is a recording.
//
// [Synthetic] returns them all. The tests of package diskimage add what qemu-img and mkfs write, and real discs and kernels of Debian packages.
package corpus

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

var (
	be = binary.BigEndian
	le = binary.LittleEndian
)

// Image is a sparse file in memory. It implements [io.ReaderAt].
type Image struct {
	size  int64
	parts []part // in the order of writing; later ones win
}

type part struct {
	off  int64
	data []byte
}

// NewImage returns an image of size zero bytes.
func NewImage(size int64) *Image { return &Image{size: size} }

// FromBytes returns an image that holds b.
func FromBytes(b []byte) *Image { return NewImage(int64(len(b))).Put(0, b) }

// Size is the length in bytes.
func (m *Image) Size() int64 { return m.size }

// Put writes b at off and lengthens the image when that is past its end.
func (m *Image) Put(off int64, b []byte) *Image {
	m.parts = append(m.parts, part{off, slices.Clone(b)})
	m.size = max(m.size, off+int64(len(b)))
	return m
}

// Append writes b at the end.
func (m *Image) Append(b []byte) *Image { return m.Put(m.size, b) }

// Truncate sets the size.
func (m *Image) Truncate(size int64) *Image {
	m.size = size
	return m
}

// Clone returns a copy that can be changed.
func (m *Image) Clone() *Image { return &Image{m.size, slices.Clone(m.parts)} }

// ReadAt implements [io.ReaderAt].
func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d", off)
	}
	if off >= m.size {
		return 0, io.EOF
	}
	var err error
	if int64(len(p)) > m.size-off {
		p, err = p[:m.size-off], io.EOF
	}
	clear(p)
	for _, s := range m.parts {
		from, to := max(s.off, off), min(s.off+int64(len(s.data)), off+int64(len(p)))
		if from < to {
			copy(p[from-off:to-off], s.data[from-s.off:to-s.off])
		}
	}
	return len(p), err
}

// Bytes returns the contents; only for images that fit in memory.
func (m *Image) Bytes() []byte {
	b := make([]byte, m.size)
	if _, err := m.ReadAt(b, 0); err != nil && err != io.EOF {
		panic(err)
	}
	return b
}

// WriteFile writes the image as a sparse file.
func (m *Image) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	for _, s := range m.parts {
		if s.off >= m.size {
			continue
		}
		if _, err := f.WriteAt(s.data[:min(int64(len(s.data)), m.size-s.off)], s.off); err != nil {
			return err
		}
	}
	return f.Close()
}

// U16, U32 and U64 write a number at off; order is binary.BigEndian or binary.LittleEndian.
func (m *Image) U16(order binary.ByteOrder, off int64, v uint16) *Image {
	b := make([]byte, 2)
	order.PutUint16(b, v)
	return m.Put(off, b)
}

// U32 writes a 32-bit number at off.
func (m *Image) U32(order binary.ByteOrder, off int64, v uint32) *Image {
	b := make([]byte, 4)
	order.PutUint32(b, v)
	return m.Put(off, b)
}

// U64 writes a 64-bit number at off.
func (m *Image) U64(order binary.ByteOrder, off int64, v uint64) *Image {
	b := make([]byte, 8)
	order.PutUint64(b, v)
	return m.Put(off, b)
}

// Random returns n bytes that look random and are the same every time.
func Random(n int, seed uint64) []byte {
	b := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
