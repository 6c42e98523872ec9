package diskimage

import "bytes"

const (
	vdiBlock = 1 << 20
	vdiFree  = 0xffffffff
	vdiZero  = 0xfffffffe
	hintVDI  = "Make it again: qemu-img convert -O vdi SOURCE NEW.vdi."
)

// openVDI checks a VirtualBox disk, dynamic or fixed, and returns the disk inside.
func openVDI(f span, lim limits) (*volume, error) {
	b, err := f.read(0, 512)
	if err != nil {
		return nil, err
	}
	if version := le.Uint32(b[0x44:]); version != 0x00010001 {
		return nil, reject(CodeUnknownFeature, hintVDI, "The VDI has version %d.%d; 1.1 is known.", version>>16, version&0xffff)
	}
	if kind := le.Uint32(b[0x4c:]); kind != 1 && kind != 2 {
		return nil, reject(CodeParent, hintFlatten, "The VDI has image type %d; 1 (dynamic) and 2 (fixed) stand alone, others differ from a parent.", kind)
	}
	if len(bytes.Trim(b[0x1a8:0x1c8], "\x00")) > 0 {
		return nil, reject(CodeParent, hintFlatten, "The VDI is linked to a parent: a part of its contents is in another file.")
	}
	size, err := lim.virtualSize(le.Uint64(b[0x170:]))
	if err != nil {
		return nil, err
	}
	blocks, used := int64(le.Uint32(b[0x180:])), int64(le.Uint32(b[0x184:]))
	table, data := int64(le.Uint32(b[0x154:])), int64(le.Uint32(b[0x158:]))
	switch {
	case le.Uint32(b[0x178:]) != vdiBlock || le.Uint32(b[0x168:]) != 512:
		return nil, reject(CodeMalformed, hintVDI, "The VDI has blocks of %d bytes and sectors of %d; 1 MiB and 512 are usual.", le.Uint32(b[0x178:]), le.Uint32(b[0x168:]))
	case blocks*vdiBlock < size:
		return nil, reject(CodeMalformed, hintVDI, "The VDI has %d blocks of 1 MiB, fewer than its disk of %d bytes needs.", blocks, size)
	case used > blocks:
		return nil, reject(CodeMalformed, hintVDI, "The VDI uses %d blocks, but has only %d.", used, blocks)
	case table < 512 || table%512 != 0 || data%512 != 0 || data < table+blocks*4:
		return nil, reject(CodeMalformed, hintVDI, "The block map of the VDI, at byte %d, and its data, at byte %d, overlap or are not at the start of a sector.", table, data)
	case !f.has(data, used*vdiBlock) && used > 0:
		return nil, reject(CodeTruncated, hintWhole, "The VDI uses %d blocks of 1 MiB from byte %d, but the file ends at byte %d.", used, data, f.size)
	}
	v := &vdiReader{f, table, data}
	err = f.eachEntry(table, blocks, 4, func(i int64, e []byte) error {
		if at := v.place(e); at != 0 && !f.has(at, vdiBlock) {
			return reject(CodeTruncated, hintWhole, "Block %d of the VDI is at byte %d, past the end of the file at byte %d.", i, at, f.size)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	disk := newVirtual(v, size)
	return &volume{format: "vdi", size: size, disk: &disk}, nil
}

// vdiReader maps offsets of the virtual disk to blocks of the file.
type vdiReader struct {
	f           span
	table, data int64
}

// place is where a block is, 0 for one of zeros.
func (v *vdiReader) place(e []byte) int64 {
	index := le.Uint32(e)
	if index == vdiFree || index == vdiZero {
		return 0
	}
	return v.data + int64(index)*vdiBlock
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (v *vdiReader) ReadAt(p []byte, off int64) (int, error) {
	return readBlocks(p, off, vdiBlock, func(i int64) (int64, error) {
		e, err := v.f.read(v.table+i*4, 4)
		if err != nil {
			return 0, err
		}
		return v.place(e), nil
	}, v.f)
}
