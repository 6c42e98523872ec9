package diskimage

// xfs reads files of an XFS file system, versions 4 and 5; see "XFS Algorithms & Data Structures".
type xfs struct {
	d         span
	rootIno   uint64
	block     int64
	agBlocks  int64
	agCount   int64
	agBits    uint // bits of a block number inside an allocation group
	inoBits   uint // bits of an inode number inside a block
	inodeSize int64
	dirBlock  int64
	v5        bool
	fileType  bool // directory entries carry the type
}

const xfsMaxExtents = 256

// openXFS checks the superblock.
func openXFS(d span) (*xfs, error) {
	b, err := d.read(0, 264)
	if err != nil {
		return nil, err
	}
	f := &xfs{
		d: d, rootIno: be.Uint64(b[56:]), block: int64(be.Uint32(b[4:])), agBlocks: int64(be.Uint32(b[84:])), agCount: int64(be.Uint32(b[88:])),
		agBits: uint(b[124]), inoBits: uint(b[123]), inodeSize: int64(be.Uint16(b[104:])),
	}
	version := be.Uint16(b[100:]) & 15
	f.v5 = version == 5
	f.fileType = (f.v5 && be.Uint32(b[216:])&1 != 0) || (!f.v5 && be.Uint32(b[200:])&0x200 != 0)
	blocks := be.Uint64(b[8:])
	switch {
	case string(b[:4]) != "XFSB" || (version != 4 && version != 5):
		return nil, damagedFS("xfs", "the superblock has version %d", version)
	case f.block < 512 || f.block > 64<<10 || f.block&(f.block-1) != 0:
		return nil, damagedFS("xfs", "it has blocks of %d bytes", f.block)
	case blocks == 0 || blocks > uint64(d.size/f.block):
		return nil, damagedFS("xfs", "it has %d blocks of %d bytes, more than its partition of %d bytes", blocks, f.block, d.size)
	case f.agBlocks == 0 || f.agCount == 0 || f.agBits > 32 || f.inoBits > 8 || f.agBlocks > 1<<f.agBits:
		return nil, damagedFS("xfs", "it has %d allocation groups of %d blocks", f.agCount, f.agBlocks)
	case f.inodeSize < 256 || f.inodeSize > 2048 || f.inodeSize<<f.inoBits != f.block:
		return nil, damagedFS("xfs", "it has inodes of %d bytes in blocks of %d", f.inodeSize, f.block)
	case b[192] > 7:
		return nil, damagedFS("xfs", "it has directory blocks of 2^%d blocks", b[192])
	}
	f.dirBlock = f.block << b[192]
	return f, nil
}

func (f *xfs) root() uint64 { return f.rootIno }

// at turns a block number, of which the upper bits are the allocation group, into an offset.
func (f *xfs) at(block uint64) (int64, error) {
	group, inside := int64(block>>f.agBits), int64(block&(1<<f.agBits-1))
	if group >= f.agCount || inside >= f.agBlocks {
		return 0, damagedFS("xfs", "it refers to block %d of group %d", inside, group)
	}
	return (group*f.agBlocks + inside) * f.block, nil
}

func (f *xfs) inode(n uint64) (*inode, error) {
	if n>>(f.agBits+f.inoBits) > 1<<32 {
		return nil, damagedFS("xfs", "a name refers to inode %d", n)
	}
	at, err := f.at(n >> f.inoBits)
	if err != nil {
		return nil, err
	}
	b, err := f.d.read(at+int64(n&(1<<f.inoBits-1))*f.inodeSize, int(f.inodeSize))
	if err != nil {
		return nil, err
	}
	if string(b[:2]) != "IN" {
		return nil, damagedFS("xfs", "inode %d has no signature", n)
	}
	return &inode{mode: be.Uint16(b[2:]), size: int64(be.Uint64(b[56:])), raw: b}, nil
}

// fork is the part of an inode that holds its contents or where they are.
func (f *xfs) fork(i *inode) []byte {
	start := 100
	if i.raw[4] == 3 {
		start = 176
	}
	end := len(i.raw)
	if off := int(i.raw[82]); off != 0 && start+off*8 < end {
		end = start + off*8
	}
	return i.raw[start:end]
}

type xfsExtent struct {
	off, block uint64
	count      int64
}

func (f *xfs) extents(i *inode) ([]xfsExtent, error) {
	n := uint64(be.Uint32(i.raw[76:]))
	if i.raw[4] == 3 && be.Uint64(i.raw[120:])&(1<<4) != 0 { // 64-bit extent counters
		n = be.Uint64(i.raw[24:])
	}
	fork := f.fork(i)
	if i.raw[5] != 2 || n > xfsMaxExtents || n*16 > uint64(len(fork)) {
		return nil, damagedFS("xfs", "a file has %d extents in format %d, which is not read here", n, i.raw[5])
	}
	var list []xfsExtent
	for ; n > 0; n, fork = n-1, fork[16:] {
		hi, lo := be.Uint64(fork), be.Uint64(fork[8:])
		list = append(list, xfsExtent{off: hi << 1 >> 10, block: hi&0x1ff<<43 | lo>>21, count: int64(lo & (1<<21 - 1))})
	}
	return list, nil
}

func (f *xfs) contents(i *inode, limit int) ([]byte, error) {
	n := int(min(max(i.size, 0), int64(limit)))
	if i.raw[5] == 1 {
		fork := f.fork(i)
		return fork[:min(n, len(fork))], nil
	}
	list, err := f.extents(i)
	if err != nil {
		return nil, err
	}
	out := make([]byte, n)
	for _, e := range list {
		if e.off > uint64(n) {
			continue
		}
		from := int64(e.off) * f.block
		if from >= int64(n) {
			continue
		}
		at, err := f.at(e.block)
		if err != nil {
			return nil, err
		}
		b, err := f.d.read(at, int(min(e.count*f.block, int64(n)-from)))
		if err != nil {
			return nil, err
		}
		copy(out[from:], b)
	}
	if i.isSymlink() && f.v5 && len(out) > 56 && string(out[:4]) == "XSLM" {
		out = out[56:]
	}
	return out, nil
}

func (f *xfs) find(dir *inode, name string) (uint64, error) {
	if dir.raw[5] == 1 {
		return f.findShort(f.fork(dir), name)
	}
	b, err := f.contents(dir, maxDirectory)
	if err != nil {
		return 0, err
	}
	for int64(len(b)) >= f.dirBlock {
		if n := f.findInBlock(b[:f.dirBlock], name); n != 0 {
			return n, nil
		}
		b = b[f.dirBlock:]
	}
	return 0, nil
}

// findShort searches a directory that is small enough to be inside its inode.
func (f *xfs) findShort(b []byte, name string) (uint64, error) {
	if len(b) < 6 {
		return 0, nil
	}
	width, count := 4, int(b[0])
	if b[1] != 0 {
		width = 8
	}
	b = b[min(2+width, len(b)):]
	for ; count > 0 && len(b) >= 3; count-- {
		length := int(b[0])
		at := 3 + length
		if f.fileType {
			at++
		}
		if at+width > len(b) {
			return 0, nil
		}
		if string(b[3:3+length]) == name {
			if width == 8 {
				return be.Uint64(b[at:]), nil
			}
			return uint64(be.Uint32(b[at:])), nil
		}
		b = b[at+width:]
	}
	return 0, nil
}

// findInBlock searches one data block of a directory.
func (f *xfs) findInBlock(b []byte, name string) uint64 {
	at, end := 16, len(b)
	if f.v5 {
		at = 64
	}
	switch magic := string(b[:4]); magic {
	case "XD2B", "XDB3": // the only block: hashes and a count come at its end
		hashes := int64(be.Uint32(b[len(b)-8:]))
		if end -= int(8 + hashes*8); hashes > int64(len(b)/8) {
			return 0
		}
	case "XD2D", "XDD3":
	default:
		return 0
	}
	for at+11 <= end {
		if be.Uint16(b[at:]) == 0xffff { // free space
			length := int(be.Uint16(b[at+2:]))
			if length < 8 {
				return 0
			}
			at += length
			continue
		}
		length := int(b[at+8])
		size := 8 + 1 + length + 2
		if f.fileType {
			size++
		}
		if at+9+length > end {
			return 0
		}
		if string(b[at+9:at+9+length]) == name {
			return be.Uint64(b[at:])
		}
		at += (size + 7) &^ 7
	}
	return 0
}
