package diskimage

// ext4 reads files of an ext2, ext3 or ext4 file system; see Documentation/filesystems/ext4 of the Linux kernel.
type ext4 struct {
	d          span
	block      int64
	blocks     int64
	perGroup   uint64 // inodes of a group
	inodes     uint64
	inodeSize  int64
	descSize   int64
	firstBlock int64
}

const (
	ext4MetaBG  = 0x10
	ext464Bit   = 0x80
	ext4Extents = 0x80000    // inode flag
	ext4Inline  = 0x10000000 // inode flag
)

func damagedFS(name, format string, args ...any) error {
	return reject(CodeCorrupt, "Check the file system of the image.", "The "+name+" file system is not readable: "+format+".", args...)
}

// openExt4 checks the superblock.
func openExt4(d span) (*ext4, error) {
	b, err := d.read(1024, 1024)
	if err != nil {
		return nil, err
	}
	incompat, logBlock := le.Uint32(b[96:]), le.Uint32(b[24:])
	if le.Uint16(b[56:]) != 0xef53 || logBlock > 6 {
		return nil, damagedFS("ext4", "the superblock has the magic number %04x and log block size %d", le.Uint16(b[56:]), logBlock)
	}
	f := &ext4{
		d: d, block: 1024 << logBlock, blocks: int64(le.Uint32(b[4:])), perGroup: uint64(le.Uint32(b[40:])),
		inodes: uint64(le.Uint32(b[0:])), inodeSize: 128, descSize: 32, firstBlock: int64(le.Uint32(b[20:])),
	}
	if le.Uint32(b[76:]) > 0 {
		f.inodeSize = int64(le.Uint16(b[88:]))
	}
	if incompat&ext464Bit != 0 {
		f.descSize = int64(le.Uint16(b[254:]))
		f.blocks |= int64(le.Uint32(b[336:])) << 32
	}
	groupBlocks := int64(le.Uint32(b[32:]))
	switch {
	case incompat&ext4MetaBG != 0:
		return nil, damagedFS("ext4", "it has meta block groups, which are not read here")
	case groupBlocks == 0 || groupBlocks > 8*f.block || f.perGroup == 0 || f.perGroup > uint64(8*f.block):
		return nil, damagedFS("ext4", "it has %d blocks and %d inodes in a group", groupBlocks, f.perGroup)
	case f.blocks <= 0 || f.blocks > d.size/f.block:
		return nil, damagedFS("ext4", "it has %d blocks of %d bytes, more than its partition of %d bytes", f.blocks, f.block, d.size)
	case f.descSize != 32 && f.descSize != 64:
		return nil, damagedFS("ext4", "it has group descriptors of %d bytes", f.descSize)
	case f.inodeSize < 128 || f.inodeSize > f.block || f.inodeSize&(f.inodeSize-1) != 0:
		return nil, damagedFS("ext4", "it has inodes of %d bytes", f.inodeSize)
	case f.firstBlock > 1:
		return nil, damagedFS("ext4", "its first block is %d", f.firstBlock)
	}
	return f, nil
}

func (f *ext4) root() uint64 { return 2 }

func (f *ext4) inode(n uint64) (*inode, error) {
	if n == 0 || n > f.inodes {
		return nil, damagedFS("ext4", "a name refers to inode %d of %d", n, f.inodes)
	}
	group := int64((n - 1) / f.perGroup)
	desc, err := f.d.read((f.firstBlock+1)*f.block+group*f.descSize, int(f.descSize))
	if err != nil {
		return nil, err
	}
	table := int64(le.Uint32(desc[8:]))
	if f.descSize == 64 {
		table |= int64(le.Uint32(desc[40:])) << 32
	}
	if table <= 0 || table >= f.blocks {
		return nil, damagedFS("ext4", "an inode table is at block %d of %d", table, f.blocks)
	}
	b, err := f.d.read(table*f.block+int64((n-1)%f.perGroup)*f.inodeSize, 128)
	if err != nil {
		return nil, err
	}
	return &inode{mode: le.Uint16(b), size: int64(le.Uint32(b[4:])) | int64(le.Uint32(b[108:]))<<32, raw: b}, nil
}

func (f *ext4) contents(i *inode, limit int) ([]byte, error) {
	n := int(min(max(i.size, 0), int64(limit)))
	flags, inline := le.Uint32(i.raw[32:]), i.raw[40:100]
	switch {
	case flags&ext4Inline != 0, i.isSymlink() && i.size < 60 && flags&ext4Extents == 0:
		return inline[:min(n, 60)], nil
	}
	out := make([]byte, n)
	for at := int64(0); at < int64(n); at += f.block {
		place, err := f.place(i, uint32(at/f.block))
		if err != nil {
			return nil, err
		}
		if place == 0 {
			continue
		}
		if place < 0 || place >= f.blocks {
			return nil, damagedFS("ext4", "a file refers to block %d of %d", place, f.blocks)
		}
		b, err := f.d.read(place*f.block, int(min(f.block, int64(n)-at)))
		if err != nil {
			return nil, err
		}
		copy(out[at:], b)
	}
	return out, nil
}

// place says in which block of the file system a block of a file is, 0 for a hole.
func (f *ext4) place(i *inode, block uint32) (int64, error) {
	if le.Uint32(i.raw[32:])&ext4Extents == 0 {
		return f.placeIndirect(i, block)
	}
	node := i.raw[40:100]
	for range 6 { // the depth of a tree is at most 5
		count, depth := int(le.Uint16(node[2:])), le.Uint16(node[6:])
		if le.Uint16(node) != 0xf30a || 12+count*12 > len(node) {
			return 0, damagedFS("ext4", "an extent tree is damaged")
		}
		var next int64
		for e := node[12:]; count > 0; count, e = count-1, e[12:] {
			first := le.Uint32(e)
			if first > block {
				break
			}
			if depth == 0 {
				length := uint32(le.Uint16(e[4:]))
				if length > 32768 { // allocated and not written: zeros
					length = 0
				}
				if block-first < length {
					return int64(le.Uint16(e[6:]))<<32 + int64(le.Uint32(e[8:])) + int64(block-first), nil
				}
				continue
			}
			next = int64(le.Uint16(e[8:]))<<32 + int64(le.Uint32(e[4:]))
		}
		if depth == 0 || next == 0 {
			return 0, nil
		}
		if next >= f.blocks {
			return 0, damagedFS("ext4", "an extent tree refers to block %d of %d", next, f.blocks)
		}
		var err error
		if node, err = f.d.read(next*f.block, int(f.block)); err != nil {
			return 0, err
		}
	}
	return 0, damagedFS("ext4", "an extent tree is too deep")
}

// placeIndirect follows the block map of ext2 and ext3, as far as the single indirect block.
func (f *ext4) placeIndirect(i *inode, block uint32) (int64, error) {
	if block < 12 {
		return int64(le.Uint32(i.raw[40+4*block:])), nil
	}
	indirect := int64(le.Uint32(i.raw[88:]))
	if block -= 12; int64(block) >= f.block/4 || indirect == 0 || indirect >= f.blocks {
		return 0, nil
	}
	b, err := f.d.read(indirect*f.block+int64(block)*4, 4)
	if err != nil {
		return 0, err
	}
	return int64(le.Uint32(b)), nil
}

func (f *ext4) find(dir *inode, name string) (uint64, error) {
	b, err := f.contents(dir, maxDirectory)
	if err != nil {
		return 0, err
	}
	if le.Uint32(dir.raw[32:])&ext4Inline != 0 && len(b) > 4 {
		b = b[4:] // the inode of the parent
	}
	for len(b) >= 8 {
		length, nameLength := int(le.Uint16(b[4:])), int(b[6])
		if length < 8+nameLength || length > len(b) {
			return 0, nil // the rest is padding, or damaged
		}
		if n := le.Uint32(b); n != 0 && string(b[8:8+nameLength]) == name {
			return uint64(n), nil
		}
		b = b[length:]
	}
	return 0, nil
}
