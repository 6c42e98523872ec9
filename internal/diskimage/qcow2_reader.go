package diskimage

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// qcow2Reader maps offsets of the virtual disk to clusters of the file. Every reference is checked when it is used.
type qcow2Reader struct {
	f span
	h *qcow2Header

	unpackedAt int64 // L2 entry whose compressed cluster is in unpacked
	unpacked   []byte
	work       unpackWork
}

func newQcow2Reader(f span, h *qcow2Header) *qcow2Reader {
	return &qcow2Reader{f: f, h: h, unpackedAt: -1}
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (q *qcow2Reader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := q.readCluster(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// readCluster fills p up to the end of the cluster (or subcluster) that off is in.
func (q *qcow2Reader) readCluster(p []byte, off int64) (int, error) {
	h := q.h
	cluster := int64(1) << h.clusterBits
	perL2 := cluster / h.l2EntrySize()
	index := off >> h.clusterBits
	within := off & (cluster - 1)
	n := int(min(int64(len(p)), cluster-within))

	l1Index := index / perL2
	if l1Index >= h.l1Entries {
		return 0, q.f.ends(h.l1+l1Index*8, 8)
	}
	e, err := q.f.read(h.l1+l1Index*8, 8)
	if err != nil {
		return 0, err
	}
	l2 := int64(be.Uint64(e) & qcow2Offset)
	if l2 == 0 {
		clear(p[:n])
		return n, nil
	}
	if err := h.inside(q.f, "entry %d of the L1 table", l1Index, l2); err != nil {
		return 0, err
	}
	e, err = q.f.read(l2+index%perL2*h.l2EntrySize(), int(h.l2EntrySize()))
	if err != nil {
		return 0, err
	}
	entry := be.Uint64(e)
	if entry&(1<<62) != 0 {
		return n, q.compressed(p[:n], entry, within)
	}
	host := int64(entry & qcow2Offset)
	zero := host == 0
	if h.extendedL2 { // 32 subclusters: bit x says allocated, bit 32+x says zero
		sub := cluster / 32
		bit := within / sub
		n = int(min(int64(n), sub-within%sub))
		bitmap := be.Uint64(e[8:])
		zero = zero || bitmap&(1<<(32+bit)) != 0 || bitmap&(1<<bit) == 0
	} else if h.version >= 3 {
		zero = zero || entry&1 != 0
	}
	if zero {
		clear(p[:n])
		return n, nil
	}
	if err := h.inside(q.f, "the L2 entry of cluster %d", index, host); err != nil {
		return 0, err
	}
	b, err := q.f.readUpTo(host+within, n) // the last cluster may be written in part; the rest reads as zeros
	if err != nil {
		return 0, err
	}
	clear(p[copy(p[:n], b):n])
	return n, nil
}

// compressed fills p from within of a compressed cluster.
func (q *qcow2Reader) compressed(p []byte, entry uint64, within int64) error {
	key := int64(entry &^ (3 << 62))
	if q.unpackedAt != key {
		shift := 62 - (q.h.clusterBits - 8)
		off := int64(entry & (1<<shift - 1))
		size := int64(entry>>shift&(1<<(62-shift)-1)+1)*512 - off%512
		if off >= q.f.size {
			return reject(CodeTruncated, hintWhole, "A compressed cluster of the qcow2 image is at byte %d, past the end of the file at byte %d.", off, q.f.size)
		}
		packed, err := q.f.readUpTo(off, int(size))
		if err != nil {
			return err
		}
		if err := q.work.add(1 << q.h.clusterBits); err != nil {
			return err
		}
		q.unpackedAt = -1
		if q.unpacked, err = unpackCluster(packed, 1<<q.h.clusterBits, q.h.zstd); err != nil {
			return reject(CodeCorrupt, hintWhole, "A compressed cluster of the qcow2 image, at byte %d, cannot be decompressed: %v.", off, err)
		}
		q.unpackedAt = key
	}
	copy(p, q.unpacked[within:])
	return nil
}

// unpackCluster decompresses exactly size bytes. What follows in packed belongs to the next cluster.
func unpackCluster(packed []byte, size int, zstandard bool) ([]byte, error) {
	out := make([]byte, size)
	if !zstandard {
		_, err := io.ReadFull(flate.NewReader(bytes.NewReader(packed)), out)
		return out, err
	}
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	n, err := io.ReadFull(z, out)
	if errors.Is(err, io.ErrUnexpectedEOF) && n == size {
		err = nil
	}
	return out, err
}
