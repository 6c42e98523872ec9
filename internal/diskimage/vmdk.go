package diskimage

import (
	"bytes"
	"strings"
)

// vmdkHeader is the header of a sparse extent; see VMware's "Virtual Disk Format 5.0".
type vmdkHeader struct {
	capacity   int64 // sectors
	grain      int64 // sectors
	descOffset uint64
	descSize   uint64
	perTable   int64 // entries of a grain table
	directory  uint64
	overhead   uint64 // sectors before the first grain
	deflate    bool   // grains are compressed
}

const (
	vmdkAtEnd         = 1<<64 - 1 // the grain directory's place is in the footer
	vmdkMaxDescriptor = 1 << 20
	vmdkMaxGrain      = 4096 // sectors: 2 MiB; 128 is usual
	vmdkMaxDirectory  = 32 << 20
	vmdkTables        = 8 // grain tables at each end of the disk whose entries are checked
	hintVMDK          = "Make it again: qemu-img convert -O vmdk -o subformat=streamOptimized SOURCE NEW.vmdk."
)

// openVMDK checks a VMDK of one file, monolithicSparse or streamOptimized, and returns the disk inside.
func openVMDK(f span, lim limits) (*volume, error) {
	b, err := f.read(0, 512)
	if err != nil {
		return nil, err
	}
	h := parseVMDKHeader(b)
	if err := checkVMDKDescriptor(f, h); err != nil {
		return nil, err
	}
	if h.directory == vmdkAtEnd {
		if h, err = vmdkFooter(f, h); err != nil {
			return nil, err
		}
	}
	size, err := h.check(f, lim)
	if err != nil {
		return nil, err
	}
	r := &vmdkReader{f: f, h: h, unpackedAt: -1}
	if err := r.checkTables(); err != nil {
		return nil, err
	}
	disk := newVirtual(r, size)
	return &volume{format: "vmdk", size: size, disk: &disk}, nil
}

func parseVMDKHeader(b []byte) *vmdkHeader {
	return &vmdkHeader{
		capacity:   int64(le.Uint64(b[12:])),
		grain:      int64(le.Uint64(b[20:])),
		descOffset: le.Uint64(b[28:]),
		descSize:   le.Uint64(b[36:]),
		perTable:   int64(le.Uint32(b[44:])),
		directory:  le.Uint64(b[56:]),
		overhead:   le.Uint64(b[64:]),
		deflate:    le.Uint32(b[8:])&(1<<16) != 0 || le.Uint16(b[77:]) == 1,
	}
}

// checkVMDKDescriptor reads the text inside the file. What it looks for it looks for anywhere, because qemu finds a key
// inside a comment too.
func checkVMDKDescriptor(f span, h *vmdkHeader) error {
	switch {
	case h.descOffset != 1:
		return reject(CodeSubformat, hintVMDK, "The VMDK has its descriptor at sector %d instead of 1; only images of one file are accepted.", h.descOffset)
	case h.descSize == 0 || h.descSize > vmdkMaxDescriptor/512:
		return reject(CodeMalformed, hintVMDK, "The VMDK has a descriptor of %d sectors; 1 to %d are accepted.", h.descSize, vmdkMaxDescriptor/512)
	}
	b, err := f.read(512, int(h.descSize)*512)
	if err != nil {
		return err
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		if len(bytes.Trim(b[i:], "\x00")) > 0 {
			return reject(CodeMalformed, hintVMDK, "The VMDK has bytes after the end of its descriptor.")
		}
		b = b[:i]
	}
	text := strings.ToLower(string(b))
	types := 0
	for value := range vmdkValues(text, "createtype") {
		types++
		if value != "monolithicsparse" && value != "streamoptimized" {
			return reject(CodeSubformat, hintVMDK, "The VMDK has createType %q; monolithicSparse and streamOptimized are accepted.", value)
		}
	}
	for value := range vmdkValues(text, "parentcid") {
		if value != "ffffffff" {
			return reject(CodeParent, hintFlatten, "The VMDK has a parent (parentCID %q): a part of its contents is in another file.", value)
		}
	}
	if strings.Contains(text, "parentfilenamehint") {
		return reject(CodeParent, hintFlatten, "The VMDK names a parent file: a part of its contents is in another file.")
	}
	if types == 0 {
		return reject(CodeSubformat, hintVMDK, "The VMDK does not say its createType; monolithicSparse and streamOptimized are accepted.")
	}
	return checkVMDKExtents(text)
}

// vmdkValues yields every value of a key in the text, with or without quotes.
func vmdkValues(text, key string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, rest, found := strings.Cut(text, key)
			if !found {
				return
			}
			text = rest
			line, _, _ := strings.Cut(rest, "\n")
			value, isKey := strings.CutPrefix(strings.TrimSpace(line), "=")
			if isKey && !yield(strings.Trim(strings.TrimSpace(value), `"`)) {
				return
			}
		}
	}
}

// checkVMDKExtents wants exactly one extent line, of type SPARSE, whose name is not a path: the file itself.
func checkVMDKExtents(text string) error {
	extents := 0
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r", "\n"), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || (fields[0] != "rw" && fields[0] != "rdonly" && fields[0] != "noaccess") {
			continue
		}
		extents++
		_, name, _ := strings.Cut(line, `"`)
		switch {
		case len(fields) < 4 || fields[2] != "sparse":
			return reject(CodeExtent, hintVMDK, "The VMDK has the extent %q; only one of type SPARSE, inside the file, is accepted.", strings.TrimSpace(line))
		case strings.ContainsAny(name, `/\:`) || strings.Contains(name, ".."):
			return reject(CodeExtent, hintVMDK, "The VMDK names an extent with a path: %q.", strings.TrimSpace(line))
		}
	}
	if extents != 1 {
		return reject(CodeExtent, hintVMDK, "The VMDK has %d extents; exactly one, inside the file, is accepted.", extents)
	}
	return nil
}

// vmdkFooter reads the copy of the header before the end of a stream, which knows where the grain directory is.
func vmdkFooter(f span, h *vmdkHeader) (*vmdkHeader, error) {
	cut := reject(CodeTruncated, hintWhole, "The VMDK says that its footer is at the end of the file, but it is not there.")
	if f.size < 512+1536 {
		return nil, cut
	}
	b, err := f.read(f.size-1536, 1536)
	if err != nil {
		return nil, err
	}
	marker, copied, end := b[:512], b[512:1024], b[1024:]
	if le.Uint32(marker[8:]) != 0 || le.Uint32(marker[12:]) != 3 || string(copied[:4]) != "KDMV" || len(bytes.Trim(end, "\x00")) > 0 {
		return nil, cut
	}
	foot := parseVMDKHeader(copied)
	same := *foot
	same.directory = h.directory
	if same != *h || foot.directory == vmdkAtEnd {
		return nil, reject(CodeCorrupt, hintVMDK, "The footer of the VMDK contradicts its header.")
	}
	return foot, nil
}

// check checks the numbers of the header and returns the size of the disk.
func (h *vmdkHeader) check(f span, lim limits) (int64, error) {
	if h.capacity <= 0 || h.capacity > 1<<54 {
		return 0, reject(CodeTooLarge, hintVMDK, "The VMDK has a capacity of %d sectors.", uint64(h.capacity))
	}
	size, err := lim.virtualSize(uint64(h.capacity) * 512)
	if err != nil {
		return 0, err
	}
	if h.grain < 1 || h.grain > vmdkMaxGrain || h.grain&(h.grain-1) != 0 {
		return 0, reject(CodeMalformed, hintVMDK, "The VMDK has grains of %d sectors; a power of two up to %d is accepted.", uint64(h.grain), vmdkMaxGrain)
	}
	if h.perTable != 512 {
		return 0, reject(CodeMalformed, hintVMDK, "The VMDK has grain tables of %d entries; 512 are usual.", h.perTable)
	}
	if h.overhead > uint64(f.size)/512 {
		return 0, reject(CodeTruncated, hintWhole, "The metadata of the VMDK ends at sector %d, past the end of the file at byte %d.", h.overhead, f.size)
	}
	if h.directory == 0 || h.directory > uint64(f.size)/512 {
		return 0, reject(CodeTruncated, hintWhole, "The grain directory of the VMDK is at sector %d, past the end of the file at byte %d.", h.directory, f.size)
	}
	if h.tables()*4 > vmdkMaxDirectory {
		return 0, reject(CodeMalformed, hintVMDK, "The grain directory of the VMDK has %d entries, more than 32 MiB.", h.tables())
	}
	return size, nil
}

// tables is the number of grain tables.
func (h *vmdkHeader) tables() int64 {
	perTable := h.grain * h.perTable
	return (h.capacity + perTable - 1) / perTable
}

// vmdkReader maps offsets of the virtual disk to grains of the file.
type vmdkReader struct {
	f span
	h *vmdkHeader

	unpackedAt int64 // sector of the grain in unpacked
	unpacked   []byte
	work       unpackWork
}

// checkTables checks that the grain directory, and the first and last grain tables, point inside the file.
func (v *vmdkReader) checkTables() error {
	var tables []int64
	last := int64(0) // the sector of the last grain
	err := v.f.eachEntry(int64(v.h.directory)*512, v.h.tables(), 4, func(i int64, e []byte) error {
		at := int64(le.Uint32(e))
		if at == 0 {
			return nil
		}
		if !v.f.has(at*512, v.h.perTable*4) {
			return reject(CodeTruncated, hintWhole, "Grain table %d of the VMDK is at sector %d, past the end of the file at byte %d.", i, at, v.f.size)
		}
		if len(tables) < 2*vmdkTables {
			tables = append(tables, at)
		} else {
			copy(tables[vmdkTables:], tables[vmdkTables+1:])
			tables[2*vmdkTables-1] = at
		}
		return nil
	})
	for _, at := range tables {
		if err != nil {
			return err
		}
		err = v.f.eachEntry(at*512, v.h.perTable, 4, func(i int64, e []byte) error {
			last = max(last, int64(le.Uint32(e)))
			return v.inside(int64(le.Uint32(e)))
		})
	}
	if err != nil || !v.h.deflate || last <= 1 {
		return err
	}
	marker, err := v.f.read(last*512, 12)
	if err != nil {
		return err
	}
	if size := int64(le.Uint32(marker[8:])); !v.f.has(last*512+12, size) {
		return v.f.ends(last*512+12, size)
	}
	return nil
}

// inside checks the sector of a grain; 0 stands for none and 1 for zeros.
func (v *vmdkReader) inside(sector int64) error {
	need := v.h.grain * 512
	if v.h.deflate {
		need = 12
	}
	if sector > 1 && !v.f.has(sector*512, need) && (v.h.deflate || sector*512 >= v.f.size) {
		return reject(CodeTruncated, hintWhole, "The VMDK keeps a grain at sector %d, past the end of the file at byte %d.", sector, v.f.size)
	}
	return nil
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (v *vmdkReader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := v.readGrain(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (v *vmdkReader) readGrain(p []byte, off int64) (int, error) {
	grain := v.h.grain * 512
	index, within := off/grain, off%grain
	n := int(min(int64(len(p)), grain-within))
	e, err := v.f.read(int64(v.h.directory)*512+index/v.h.perTable*4, 4)
	if err != nil {
		return 0, err
	}
	sector := int64(le.Uint32(e))
	if sector != 0 {
		if e, err = v.f.read(sector*512+index%v.h.perTable*4, 4); err != nil {
			return 0, err
		}
		sector = int64(le.Uint32(e))
	}
	if sector <= 1 {
		clear(p[:n])
		return n, nil
	}
	if err := v.inside(sector); err != nil {
		return 0, err
	}
	if v.h.deflate {
		return n, v.compressed(p[:n], sector, within)
	}
	b, err := v.f.readUpTo(sector*512+within, n)
	if err != nil {
		return 0, err
	}
	clear(p[copy(p[:n], b):n])
	return n, nil
}

// compressed fills p from within of a compressed grain: its number, the length of the data, and a zlib stream.
func (v *vmdkReader) compressed(p []byte, sector, within int64) error {
	if v.unpackedAt != sector {
		b, err := v.f.read(sector*512, 12)
		if err != nil {
			return err
		}
		size, limit := int64(le.Uint32(b[8:])), v.h.grain*512*2+4096
		if size > limit {
			return reject(CodeCorrupt, hintWhole, "The compressed grain at sector %d of the VMDK has %d bytes.", sector, size)
		}
		packed, err := v.f.read(sector*512+12, int(size))
		if err != nil {
			return err
		}
		if err := v.work.add(v.h.grain * 512); err != nil {
			return err
		}
		v.unpackedAt = -1
		if v.unpacked, err = inflateZlib(packed, int(v.h.grain*512)); err != nil {
			return reject(CodeCorrupt, hintWhole, "The compressed grain at sector %d of the VMDK cannot be decompressed: %v.", sector, err)
		}
		v.unpackedAt = sector
	}
	copy(p, v.unpacked[within:])
	return nil
}
