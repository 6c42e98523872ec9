package diskimage

const (
	ploopMaxBAT = 256 << 20
	hintPloop   = "Make it again: qemu-img convert -O parallels SOURCE NEW."
)

// openPloop checks a Parallels or Virtuozzo image; see docs/interop/parallels.txt of QEMU.
func openPloop(f span, lim limits) (*volume, error) {
	b, err := f.read(0, 64)
	if err != nil {
		return nil, err
	}
	extended := string(b[:16]) == "WithouFreSpacExt"
	if version := le.Uint32(b[16:]); version != 2 {
		return nil, reject(CodeUnknownFeature, hintPloop, "The ploop image has version %d; 2 is known.", version)
	}
	sectors := le.Uint64(b[36:])
	if !extended {
		sectors = uint64(le.Uint32(b[36:]))
	}
	if sectors > 1<<54 {
		sectors = 1 << 54
	}
	size, err := lim.virtualSize(sectors * 512)
	if err != nil {
		return nil, err
	}
	v := &ploopReader{f: f, cluster: int64(le.Uint32(b[28:])) * 512, entries: int64(le.Uint32(b[32:])), unit: 512}
	if v.cluster == 0 || v.cluster > 1<<30 {
		return nil, reject(CodeMalformed, hintPloop, "The ploop image has clusters of %d bytes; 1 MiB is usual.", v.cluster)
	}
	if extended {
		v.unit = v.cluster
	}
	if need := (size + v.cluster - 1) / v.cluster; v.entries < need || v.entries*4 > ploopMaxBAT {
		return nil, reject(CodeMalformed, hintPloop, "The block table of the ploop image has %d entries; a disk of %d bytes needs %d.", v.entries, size, need)
	}
	err = f.eachEntry(64, v.entries, 4, func(i int64, e []byte) error {
		if at := int64(le.Uint32(e)) * v.unit; at != 0 && (at < 64+v.entries*4 || !f.has(at, min(v.cluster, max(size-i*v.cluster, 0)))) {
			return reject(CodeTruncated, hintWhole, "Cluster %d of the ploop image is at byte %d, outside the file's data, which ends at byte %d.", i, at, f.size)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	disk := newVirtual(v, size)
	return &volume{format: "ploop", size: size, disk: &disk}, nil
}

// ploopReader maps offsets of the virtual disk to clusters of the file.
type ploopReader struct {
	f       span
	cluster int64 // bytes
	entries int64
	unit    int64 // bytes that an entry of the block table counts in
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (v *ploopReader) ReadAt(p []byte, off int64) (int, error) {
	return readBlocks(p, off, v.cluster, func(i int64) (int64, error) {
		e, err := v.f.read(64+i*4, 4)
		if err != nil {
			return 0, err
		}
		return int64(le.Uint32(e)) * v.unit, nil
	}, v.f)
}
