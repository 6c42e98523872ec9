package diskimage

import "bytes"

const (
	vhdFixed        = 2
	vhdDynamic      = 3
	vhdDifferencing = 4
	vhdMaxBAT       = 16 << 20 // bytes; a disk of 2,040 GiB in blocks of 2 MiB needs 4 MiB
	hintVHD         = "Make it again: qemu-img convert -O vpc -o force_size=on SOURCE NEW.vhd."
)

// openVHD checks a fixed or dynamic VHD and returns the disk inside. A fixed one is the disk followed by a footer of 512 bytes; a dynamic one begins
// with a copy of the footer.
func openVHD(f span, lim limits) (*volume, error) {
	b, err := f.read(0, 512)
	if err != nil {
		return nil, err
	}
	tail, err := f.read(f.size-512, 512)
	if err != nil {
		return nil, err
	}
	atHead, atTail := bytes.HasPrefix(b, []byte("conectix")), bytes.HasPrefix(tail, []byte("conectix"))
	if !atHead {
		b = tail
	}
	kind := be.Uint32(b[60:])
	if kind == vhdDifferencing {
		return nil, reject(CodeParent, hintFlatten, "The VHD is a differencing disk: a part of its contents is in its parent.")
	}
	if kind != vhdFixed && kind != vhdDynamic {
		return nil, reject(CodeSubformat, hintVHD, "The VHD has type %d; 2 (fixed) and 3 (dynamic) are accepted.", kind)
	}
	if !vhdSealed(b, 64) {
		return nil, reject(CodeChecksum, hintVHD, "The checksum of the VHD footer is wrong.")
	}
	size, err := lim.virtualSize(be.Uint64(b[48:]))
	if err != nil {
		return nil, err
	}
	if size%512 != 0 {
		return nil, reject(CodeMalformed, hintVHD, "The VHD has a disk of %d bytes, which is not a number of sectors.", size)
	}
	if !atTail {
		return nil, reject(CodeTruncated, hintWhole, "The VHD has no footer at its end.")
	}
	if kind == vhdFixed {
		if atHead {
			return nil, reject(CodeMalformed, hintVHD, "The VHD says that it is fixed, but begins with a header.")
		}
		if size > f.size-512 {
			return nil, reject(CodeTruncated, hintWhole, "The disk of the VHD has %d bytes, but the file has only %d before the footer.", size, f.size-512)
		}
		disk := f.sub(0, size, "virtual disk")
		return &volume{format: "vhd", size: size, disk: &disk}, nil
	}
	if !atHead {
		return nil, reject(CodeMalformed, hintVHD, "The VHD says that it is dynamic, but does not begin with a header.")
	}
	return openDynamicVHD(f, b, size)
}

// vhdSealed checks the one's complement of the sum of all bytes, stored at off.
func vhdSealed(b []byte, off int) bool {
	sum := uint32(0)
	for i, c := range b {
		if i < off || i >= off+4 {
			sum += uint32(c)
		}
	}
	return ^sum == be.Uint32(b[off:])
}

func openDynamicVHD(f span, footer []byte, size int64) (*volume, error) {
	at := be.Uint64(footer[16:])
	if at > uint64(f.size) {
		return nil, reject(CodeTruncated, hintWhole, "The dynamic header of the VHD is at byte %d, past the end of the file at byte %d.", at, f.size)
	}
	b, err := f.read(int64(at), 1024)
	if err != nil {
		return nil, err
	}
	if string(b[:8]) != "cxsparse" {
		return nil, reject(CodeMalformed, hintVHD, "The VHD has no dynamic header at byte %d.", at)
	}
	if len(bytes.Trim(b[40:56], "\x00")) > 0 {
		return nil, reject(CodeParent, hintFlatten, "The VHD has a parent: a part of its contents is in another file.")
	}
	for i := 576; i < 576+8*24; i += 24 {
		if be.Uint32(b[i:]) != 0 {
			return nil, reject(CodeParent, hintFlatten, "The VHD says where a parent is: a part of its contents is in another file.")
		}
	}
	if !vhdSealed(b, 36) {
		return nil, reject(CodeChecksum, hintVHD, "The checksum of the dynamic header of the VHD is wrong.")
	}
	v := &vhdReader{f: f, block: int64(be.Uint32(b[32:])), entries: int64(be.Uint32(b[28:]))}
	if v.block < 4096 || v.block > 1<<28 || v.block&(v.block-1) != 0 {
		return nil, reject(CodeMalformed, hintVHD, "The VHD has blocks of %d bytes; 2 MiB are usual.", v.block)
	}
	if need := (size + v.block - 1) / v.block; v.entries < need || v.entries*4 > vhdMaxBAT {
		return nil, reject(CodeMalformed, hintVHD, "The block table of the VHD has %d entries; a disk of %d bytes needs %d.", v.entries, size, need)
	}
	table := be.Uint64(b[16:])
	if table > uint64(f.size) {
		return nil, reject(CodeTruncated, hintWhole, "The block table of the VHD is at byte %d, past the end of the file at byte %d.", table, f.size)
	}
	v.table = int64(table)
	v.bitmap = (v.block/512/8 + 511) &^ 511
	err = f.eachEntry(v.table, v.entries, 4, func(i int64, e []byte) error { return v.inside(i, be.Uint32(e), size) })
	if err != nil {
		return nil, err
	}
	disk := newVirtual(v, size)
	return &volume{format: "vhd", size: size, disk: &disk}, nil
}

// vhdReader maps offsets of the virtual disk to blocks of the file.
type vhdReader struct {
	f       span
	table   int64
	entries int64
	block   int64 // bytes
	bitmap  int64 // bytes before the data of a block
}

const vhdUnused = 1<<32 - 1

// inside checks entry i of the block table. The last block may be cut where the disk ends.
func (v *vhdReader) inside(i int64, sector uint32, size int64) error {
	need := v.bitmap + min(v.block, max(size-i*v.block, 0))
	if sector != vhdUnused && !v.f.has(int64(sector)*512, need) {
		return reject(CodeTruncated, hintWhole, "Block %d of the VHD is at sector %d, past the end of the file at byte %d.", i, sector, v.f.size)
	}
	return nil
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (v *vhdReader) ReadAt(p []byte, off int64) (int, error) {
	return readBlocks(p, off, v.block, func(i int64) (int64, error) {
		e, err := v.f.read(v.table+i*4, 4)
		if err != nil || be.Uint32(e) == vhdUnused {
			return 0, err
		}
		return int64(be.Uint32(e))*512 + v.bitmap, nil
	}, v.f)
}
