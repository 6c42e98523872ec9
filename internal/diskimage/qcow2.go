package diskimage

import (
	"fmt"
	"math/bits"
)

// volume is a checked image: the disk inside it, ready to be read.
type volume struct {
	format   string
	size     int64  // virtual size in bytes
	disk     *span  // the contents of the disk; nil when they cannot be read
	signs    *signs // of the disk, when it is the file itself and so is known already
	warnings []Warning
}

// qcow2Header holds the fields that were checked; see docs/interop/qcow2.txt of QEMU.
type qcow2Header struct {
	version     uint32
	clusterBits uint32
	size        int64
	l1          int64 // offset of the L1 table
	l1Entries   int64
	refTable    int64
	refClusters int64
	refOrder    uint32
	snapshots   uint32
	snapTable   int64
	dirty       bool
	extendedL2  bool
	zstd        bool
}

const (
	qcow2Dirty      = 1 << 0
	qcow2Corrupt    = 1 << 1
	qcow2DataFile   = 1 << 2
	qcow2Compress   = 1 << 3
	qcow2ExtendedL2 = 1 << 4
	qcow2Known      = qcow2Dirty | qcow2Corrupt | qcow2DataFile | qcow2Compress | qcow2ExtendedL2

	qcow2MaxL1        = 32 << 20 // bytes, as in qemu
	qcow2MaxRefTable  = 8 << 20  // bytes, as in qemu
	qcow2MaxSnapshots = 65536
	qcow2Offset       = 0x00fffffffffffe00 // bits 9 to 55 of a table entry
)

// openQcow2 checks a qcow2 image and returns the disk inside.
func openQcow2(f span, lim limits) (*volume, error) {
	h, err := readQcow2Header(f, lim)
	if err != nil {
		return nil, err
	}
	if err := h.checkTables(f); err != nil {
		return nil, err
	}
	v := &volume{format: "qcow2", size: h.size}
	if h.dirty {
		v.warnings = append(v.warnings, Warning{CodeUnclean, "The qcow2 image was not closed cleanly.", "Run qemu-img check on it."})
	}
	disk := newVirtual(newQcow2Reader(f, h), h.size)
	v.disk = &disk
	return v, nil
}

// readQcow2Header checks everything that the first cluster says, the dangerous things first.
func readQcow2Header(f span, lim limits) (*qcow2Header, error) {
	b, err := f.read(0, 72)
	if err != nil {
		return nil, err
	}
	h := &qcow2Header{version: be.Uint32(b[4:]), clusterBits: be.Uint32(b[20:])}
	if be.Uint64(b[8:]) != 0 || be.Uint32(b[16:]) != 0 {
		return nil, reject(CodeBackingFile, hintFlatten, "The qcow2 image has a backing file: a part of its contents is in another file.")
	}
	if h.version != 2 && h.version != 3 {
		return nil, reject(CodeUnknownFeature, hintAgain, "The qcow2 image has version %d; 2 and 3 are known.", h.version)
	}
	headerLength, incompatible, compression := uint32(72), uint64(0), byte(0)
	h.refOrder = 4
	if h.version == 3 {
		if b, err = f.read(0, 104); err != nil {
			return nil, err
		}
		incompatible, h.refOrder, headerLength = be.Uint64(b[72:]), be.Uint32(b[96:]), be.Uint32(b[100:])
	}
	switch {
	case incompatible&qcow2DataFile != 0:
		return nil, reject(CodeExternalData, hintFlatten, "The qcow2 image keeps its contents in an external data file.")
	case incompatible&qcow2Corrupt != 0:
		return nil, reject(CodeCorrupt, "Repair it with qemu-img check -r all, or make the image again.", "The qcow2 image is marked corrupt.")
	case incompatible&^qcow2Known != 0:
		return nil, reject(CodeUnknownFeature, hintAgain, "The qcow2 image needs the unknown incompatible feature %d.", bits.TrailingZeros64(incompatible&^qcow2Known))
	}
	if crypt := be.Uint32(b[32:]); crypt != 0 {
		return nil, reject(CodeEncrypted, "Decrypt it with qemu-img convert, then upload the result.", "The qcow2 image is encrypted (method %d), so its contents cannot be checked.", crypt)
	}
	if h.clusterBits < 9 || h.clusterBits > 21 {
		return nil, reject(CodeMalformed, hintAgain, "The qcow2 image has cluster_bits %d; 9 to 21 are possible.", h.clusterBits)
	}
	h.dirty, h.extendedL2 = incompatible&qcow2Dirty != 0, incompatible&qcow2ExtendedL2 != 0
	cluster := int64(1) << h.clusterBits
	if h.extendedL2 && h.clusterBits < 14 {
		return nil, reject(CodeMalformed, hintAgain, "The qcow2 image has extended L2 entries with clusters of %d bytes; at least 16,384 are needed.", cluster)
	}
	if h.version == 3 {
		if headerLength < 104 || int64(headerLength) > cluster || headerLength%8 != 0 {
			return nil, reject(CodeMalformed, hintAgain, "The qcow2 image has a header of %d bytes; 104 to %d are possible.", headerLength, cluster)
		}
		if headerLength > 104 {
			c, err := f.read(104, 1)
			if err != nil {
				return nil, err
			}
			compression = c[0]
		}
		if want := incompatible&qcow2Compress != 0; compression > 1 || want != (compression == 1) {
			return nil, reject(CodeUnknownFeature, hintAgain, "The qcow2 image has the compression type %d, which is unknown or contradicts its feature bits.", compression)
		}
		h.zstd = compression == 1
	}
	if h.refOrder > 6 {
		return nil, reject(CodeMalformed, hintAgain, "The qcow2 image has refcount_order %d; 0 to 6 are possible.", h.refOrder)
	}
	if err := checkQcow2Extensions(f, int64(headerLength), cluster); err != nil {
		return nil, err
	}
	if h.size, err = lim.virtualSize(be.Uint64(b[24:])); err != nil {
		return nil, err
	}
	if h.l1, err = qcow2Table(f, "L1 table", be.Uint64(b[40:]), cluster); err != nil {
		return nil, err
	}
	h.l1Entries = int64(be.Uint32(b[36:]))
	if h.refTable, err = qcow2Table(f, "refcount table", be.Uint64(b[48:]), cluster); err != nil {
		return nil, err
	}
	h.refClusters = int64(be.Uint32(b[56:]))
	h.snapshots = be.Uint32(b[60:])
	if h.snapshots > 0 {
		if h.snapTable, err = qcow2Table(f, "snapshot table", be.Uint64(b[64:]), cluster); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// checkQcow2Extensions walks the header extensions, which end with type 0 or with the first cluster.
func checkQcow2Extensions(f span, off, cluster int64) error {
	for range 1024 {
		if off+8 > cluster || !f.has(off, 8) {
			return nil
		}
		e, err := f.read(off, 8)
		if err != nil {
			return err
		}
		kind, length := be.Uint32(e), int64(be.Uint32(e[4:]))
		off += 8
		switch kind {
		case 0:
			return nil
		case 0x44415441:
			return reject(CodeExternalData, hintFlatten, "The qcow2 image names an external data file.")
		case 0x0537be77:
			return reject(CodeEncrypted, "Decrypt it with qemu-img convert, then upload the result.", "The qcow2 image has an encryption header, so its contents cannot be checked.")
		}
		if length > cluster-off {
			return reject(CodeMalformed, hintAgain, "The qcow2 header extension %#08x of %d bytes is longer than the header cluster.", kind, length)
		}
		off += (length + 7) &^ 7
	}
	return reject(CodeMalformed, hintAgain, "The qcow2 image has more than 1,024 header extensions.")
}

// qcow2Table checks the offset of a table.
func qcow2Table(f span, name string, off uint64, cluster int64) (int64, error) {
	switch {
	case off == 0 || off%uint64(cluster) != 0:
		return 0, reject(CodeMalformed, hintAgain, "The %s of the qcow2 image is at byte %d, which is not the start of a cluster.", name, off)
	case off >= uint64(f.size):
		return 0, reject(CodeTruncated, hintWhole, "The %s of the qcow2 image is at byte %d, past the end of the file at byte %d.", name, off, f.size)
	}
	return int64(off), nil
}

// checkTables checks the L1 and refcount tables: that they are large enough, inside the file, and point inside the file.
func (h *qcow2Header) checkTables(f span) error {
	cluster := int64(1) << h.clusterBits
	perL2 := cluster / h.l2EntrySize() // clusters that one L2 table maps
	need := (h.size + cluster*perL2 - 1) / (cluster * perL2)
	switch {
	case h.l1Entries*8 > qcow2MaxL1:
		return reject(CodeMalformed, hintAgain, "The L1 table of the qcow2 image has %d entries, more than 32 MiB.", h.l1Entries)
	case h.l1Entries < need:
		return reject(CodeMalformed, hintAgain, "The L1 table of the qcow2 image has %d entries, but a disk of %d bytes needs %d.", h.l1Entries, h.size, need)
	case h.snapshots > qcow2MaxSnapshots:
		return reject(CodeMalformed, hintAgain, "The qcow2 image has %d snapshots; at most 65,536 are possible.", h.snapshots)
	case h.refClusters == 0 || h.refClusters*cluster > qcow2MaxRefTable:
		return reject(CodeMalformed, hintAgain, "The refcount table of the qcow2 image has %d clusters; 1 to %d are possible.", h.refClusters, qcow2MaxRefTable/cluster)
	}
	err := f.eachEntry(h.l1, h.l1Entries, 8, func(i int64, e []byte) error {
		return h.inside(f, "entry %d of the L1 table", i, int64(be.Uint64(e)&qcow2Offset))
	})
	if err != nil {
		return err
	}
	return h.checkRefcounts(f)
}

// inside checks a reference to a whole cluster; 0 stands for none. The last cluster of a file may be written in part.
// what is a format with the number i.
func (h *qcow2Header) inside(f span, what string, i, off int64) error {
	cluster := int64(1) << h.clusterBits
	switch {
	case off == 0 || off%cluster == 0 && off < f.size:
		return nil
	case off%cluster != 0:
		return reject(CodeCorrupt, "Repair it with qemu-img check -r all, or make the image again.", "In the qcow2 image, %s points at byte %d, which is not the start of a cluster.", fmt.Sprintf(what, i), off)
	}
	return reject(CodeTruncated, hintWhole, "In the qcow2 image, %s points at byte %d, past the end of the file at byte %d.", fmt.Sprintf(what, i), off, f.size)
}

// checkRefcounts finds the last cluster in use, which must be in the file. It shows a cut-off image in two reads, whatever its
// size, where walking all L2 tables would take 128 MiB for a full disk of 1 TiB.
func (h *qcow2Header) checkRefcounts(f span) error {
	cluster := int64(1) << h.clusterBits
	entries := h.refClusters * cluster / 8
	entries = min(entries, (f.size-h.refTable)/8) // the table may end with the file
	last, block := int64(-1), int64(0)
	err := f.eachEntry(h.refTable, entries, 8, func(i int64, e []byte) error {
		off := int64(be.Uint64(e) & qcow2Offset)
		if off != 0 {
			last, block = i, off
		}
		return h.inside(f, "entry %d of the refcount table", i, off)
	})
	if err != nil || last < 0 || h.dirty {
		return err // counts of an image that was not closed may be behind
	}
	b, err := f.readUpTo(block, int(cluster))
	if err != nil {
		return err
	}
	perBlock := cluster * 8 >> h.refOrder
	used := int64(len(b)) - 1
	for used >= 0 && b[used] == 0 {
		used--
	}
	if used < 0 {
		return nil
	}
	index := last * perBlock
	if width := int64(1) << h.refOrder; width >= 8 {
		index += used / (width / 8)
	} else {
		index += used*(8/width) + int64(bits.Len8(b[used])-1)/width
	}
	if index > f.size>>h.clusterBits || index<<h.clusterBits >= f.size {
		return reject(CodeTruncated, hintWhole, "The qcow2 image uses its cluster %d, which is past the end of the file at byte %d.", index, f.size)
	}
	return nil
}

func (h *qcow2Header) l2EntrySize() int64 {
	if h.extendedL2 {
		return 16
	}
	return 8
}
