package diskimage

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
)

// newVirtual returns the span of the disk that r maps. It is read in pages, so that parsers of partitions and file systems may make small
// reads, within a budget of its own.
func newVirtual(r io.ReaderAt, size int64) span {
	c := NewCache(r, size, Budget{PageSize: 64 << 10, Pages: 64, Bytes: 32 << 20, Requests: 1024})
	c.ahead = false // the next page may be anywhere in the file
	return span{c, 0, size, "virtual disk"}
}

// readBlocks fills p from a disk of equal blocks. place says where block i is in f; 0 stands for a block of zeros.
func readBlocks(p []byte, off, block int64, place func(i int64) (int64, error), f span) (int, error) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		within := at % block
		n := int(min(int64(len(p)-done), block-within))
		from, err := place(at / block)
		if err != nil {
			return done, err
		}
		part := p[done : done+n]
		clear(part)
		if from != 0 {
			b, err := f.read(from+within, n)
			if err != nil {
				return done, err
			}
			copy(part, b)
		}
		done += n
	}
	return done, nil
}

// inflateZlib decompresses a zlib stream of at most size bytes; what is missing stays zero.
func inflateZlib(packed []byte, size int) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(z, out); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return out, nil
}

// unpackWork counts the bytes that a reader has decompressed. A hostile image makes every small read cost a whole cluster of 2 MiB.
type unpackWork int64

const maxUnpackWork = 64 << 20 // about a third of a second

func (w *unpackWork) add(n int64) error {
	if *w += unpackWork(n); *w > maxUnpackWork {
		return reject(CodeBudget, "Convert the image with qemu-img convert, which lays it out in order, then upload it again.", "Looking into this image would need more than %d bytes to be decompressed.", maxUnpackWork)
	}
	return nil
}
