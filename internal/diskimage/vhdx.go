package diskimage

import (
	"bytes"
	"hash/crc32"
	"slices"
	"strings"
)

// GUIDs of [MS-VHDX] as they are on disk, written as text.
const (
	vhdxBAT            = "2DC27766-F623-4200-9D64-115E9BFD4A08"
	vhdxMetadata       = "8B7CA206-4790-4B9A-B8FE-575F050F886E"
	vhdxFileParameters = "CAA16737-FA36-4D43-B3B6-33F0AA44E76B"
	vhdxDiskSize       = "2FA54224-CD1B-4876-B211-5DBED83BF4B8"
	vhdxPage83         = "BECA12AB-B2E6-4523-93EF-C309E000C746"
	vhdxLogicalSector  = "8141BF1D-A96F-4709-BA47-F233A8FAAB5F"
	vhdxPhysicalSector = "CDA348C7-445D-4471-9CC9-E9885251C556"
	vhdxParentLocator  = "A8D35F2D-B30B-454D-ABF7-D3D84834AB0C"

	vhdxMaxItems = 2047
	vhdxMaxBAT   = 64 << 20
	hintVHDX     = "Make it again: qemu-img convert -O vhdx SOURCE NEW.vhdx."
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// vhdxSealed checks the CRC-32C at byte 4 of a structure, computed with those four bytes as zeros.
func vhdxSealed(b []byte) bool {
	sum := crc32.Update(0, castagnoli, b[:4])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, b[8:]) == le.Uint32(b[4:])
}

// openVHDX checks a VHDX and returns the disk inside.
func openVHDX(f span, lim limits) (*volume, error) {
	if err := checkVHDXHeaders(f); err != nil {
		return nil, err
	}
	regions, err := vhdxRegions(f)
	if err != nil {
		return nil, err
	}
	v := &vhdxReader{f: f}
	size, err := v.readMetadata(regions[vhdxMetadata], lim)
	if err != nil {
		return nil, err
	}
	v.table, v.ratio = regions[vhdxBAT].off, (1<<23)*v.sector/v.block
	blocks := (size + v.block - 1) / v.block
	entries := blocks + (blocks-1)/v.ratio
	if entries*8 > regions[vhdxBAT].size {
		return nil, reject(CodeMalformed, hintVHDX, "The block table of the VHDX has room for %d entries; a disk of %d bytes needs %d.", regions[vhdxBAT].size/8, size, entries)
	}
	if err := f.eachEntry(v.table, entries, 8, v.checkEntry); err != nil {
		return nil, err
	}
	disk := newVirtual(v, size)
	return &volume{format: "vhdx", size: size, disk: &disk}, nil
}

// checkVHDXHeaders wants one valid header of the two; the one with the higher sequence number is current.
func checkVHDXHeaders(f span) error {
	var current []byte
	for _, at := range []int64{64 << 10, 128 << 10} {
		b, err := f.read(at, 4096)
		if err != nil {
			return err
		}
		if string(b[:4]) == "head" && vhdxSealed(b) && (current == nil || le.Uint64(b[8:]) > le.Uint64(current[8:])) {
			current = b
		}
	}
	switch {
	case current == nil:
		return reject(CodeChecksum, hintVHDX, "Neither header of the VHDX has a right checksum.")
	case le.Uint16(current[66:]) != 1:
		return reject(CodeUnknownFeature, hintVHDX, "The VHDX has version %d; 1 is known.", le.Uint16(current[66:]))
	case len(bytes.Trim(current[48:64], "\x00")) > 0:
		return reject(CodeUnclean, "Detach the disk from its virtual machine, or convert it with qemu-img convert, then upload it again.", "The VHDX has a log that was not replayed.")
	}
	return nil
}

type vhdxRegion struct{ off, size int64 }

// vhdxRegions reads the region table or, when that is damaged, its copy.
func vhdxRegions(f span) (map[string]vhdxRegion, error) {
	for _, at := range []int64{192 << 10, 256 << 10} {
		b, err := f.read(at, 64<<10)
		if err != nil {
			return nil, err
		}
		if string(b[:4]) != "regi" || !vhdxSealed(b) {
			continue
		}
		n := le.Uint32(b[8:])
		if n > vhdxMaxItems {
			return nil, reject(CodeMalformed, hintVHDX, "The VHDX has %d regions; at most 2,047 are possible.", n)
		}
		regions := map[string]vhdxRegion{}
		for e := range slices.Chunk(b[16:16+32*n], 32) {
			guid, off, size := guidString(e), le.Uint64(e[16:]), int64(le.Uint32(e[24:]))
			switch {
			case guid != vhdxBAT && guid != vhdxMetadata:
				if le.Uint32(e[28:])&1 != 0 {
					return nil, reject(CodeUnknownFeature, hintVHDX, "The VHDX needs the unknown region %s.", guid)
				}
				continue
			case off < 1<<20 || off > uint64(f.size) || !f.has(int64(off), size):
				return nil, reject(CodeTruncated, hintWhole, "A region of the VHDX is at byte %d, past the end of the file at byte %d.", off, f.size)
			case regions[guid].size != 0:
				return nil, reject(CodeMalformed, hintVHDX, "The VHDX has the region %s twice.", guid)
			}
			regions[guid] = vhdxRegion{int64(off), size}
		}
		if regions[vhdxBAT].size == 0 || regions[vhdxMetadata].size == 0 || regions[vhdxBAT].size > vhdxMaxBAT {
			return nil, reject(CodeMalformed, hintVHDX, "The VHDX has no metadata, or no block table of an acceptable size.")
		}
		return regions, nil
	}
	return nil, reject(CodeChecksum, hintVHDX, "Neither region table of the VHDX has a right checksum.")
}

// vhdxReader maps offsets of the virtual disk to blocks of the file.
type vhdxReader struct {
	f      span
	table  int64
	ratio  int64 // payload blocks for each entry of a sector bitmap
	block  int64 // bytes
	sector int64 // bytes
}

// readMetadata reads the block size, the sector size and the size of the disk, which it returns.
func (v *vhdxReader) readMetadata(region vhdxRegion, lim limits) (int64, error) {
	b, err := v.f.read(region.off, 64<<10)
	if err != nil {
		return 0, err
	}
	n := le.Uint16(b[10:])
	if string(b[:8]) != "metadata" || n > vhdxMaxItems {
		return 0, reject(CodeMalformed, hintVHDX, "The metadata of the VHDX has %d items or no signature.", n)
	}
	items := map[string][]byte{}
	for e := range slices.Chunk(b[32:32+32*int(n)], 32) {
		guid, off, size := guidString(e), int64(le.Uint32(e[16:])), int64(le.Uint32(e[20:]))
		if guid == vhdxParentLocator {
			return 0, reject(CodeParent, hintFlatten, "The VHDX says where a parent is: a part of its contents is in another file.")
		}
		want := map[string]int64{vhdxFileParameters: 8, vhdxDiskSize: 8, vhdxPage83: 16, vhdxLogicalSector: 4, vhdxPhysicalSector: 4}[guid]
		if want == 0 {
			if le.Uint32(e[24:])&4 != 0 {
				return 0, reject(CodeUnknownFeature, hintVHDX, "The VHDX needs the unknown metadata item %s.", guid)
			}
			continue
		}
		if off < 64<<10 || size < want || off+want > region.size || items[guid] != nil {
			return 0, reject(CodeMalformed, hintVHDX, "The metadata item %s of the VHDX has %d bytes at byte %d of its region.", guid, size, off)
		}
		if items[guid], err = v.f.read(region.off+off, int(want)); err != nil {
			return 0, err
		}
	}
	for _, guid := range strings.Fields(vhdxFileParameters + " " + vhdxDiskSize + " " + vhdxLogicalSector) {
		if items[guid] == nil {
			return 0, reject(CodeMalformed, hintVHDX, "The VHDX lacks the metadata item %s.", guid)
		}
	}
	if le.Uint32(items[vhdxFileParameters][4:])&2 != 0 {
		return 0, reject(CodeParent, hintFlatten, "The VHDX is a differencing disk: a part of its contents is in its parent.")
	}
	v.block, v.sector = int64(le.Uint32(items[vhdxFileParameters])), int64(le.Uint32(items[vhdxLogicalSector]))
	if v.block < 1<<20 || v.block > 256<<20 || v.block&(v.block-1) != 0 {
		return 0, reject(CodeMalformed, hintVHDX, "The VHDX has blocks of %d bytes; a power of two from 1 to 256 MiB is possible.", v.block)
	}
	if v.sector != 512 && v.sector != 4096 {
		return 0, reject(CodeMalformed, hintVHDX, "The VHDX has sectors of %d bytes; 512 and 4,096 are possible.", v.sector)
	}
	return lim.virtualSize(le.Uint64(items[vhdxDiskSize]))
}

// vhdxPlace is where the payload of a block is, 0 for a block that reads as zeros.
func vhdxPlace(e []byte) int64 {
	entry := le.Uint64(e)
	if state := entry & 7; state != 6 && state != 7 {
		return 0
	}
	return int64(entry >> 20 << 20)
}

// checkEntry checks an entry of the block table; every ratio+1st is of a sector bitmap, which only differencing disks use.
func (v *vhdxReader) checkEntry(i int64, e []byte) error {
	if (i+1)%(v.ratio+1) == 0 {
		return nil
	}
	if at := vhdxPlace(e); at != 0 && !v.f.has(at, v.block) {
		return reject(CodeTruncated, hintWhole, "Block %d of the VHDX is at byte %d, past the end of the file at byte %d.", i, uint64(at), v.f.size)
	}
	return nil
}

// ReadAt implements [io.ReaderAt] for the virtual disk; p must lie inside it.
func (v *vhdxReader) ReadAt(p []byte, off int64) (int, error) {
	return readBlocks(p, off, v.block, func(i int64) (int64, error) {
		e, err := v.f.read(v.table+(i+i/v.ratio)*8, 8)
		if err != nil {
			return 0, err
		}
		return vhdxPlace(e), nil
	}, v.f)
}
