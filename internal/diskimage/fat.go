package diskimage

import (
	"strings"
	"unicode/utf16"
)

// fat looks up files in a FAT12, FAT16 or FAT32 file system; see Microsoft's FAT specification.
type fat struct {
	d        span
	bits     int
	table    int64 // offset of the first FAT
	cluster  int64 // bytes
	data     int64 // offset of cluster 2
	clusters uint32
	rootOff  int64 // FAT12 and FAT16
	rootSize int64
	rootAt   uint32 // FAT32
}

const maxChain = 4096 // clusters of a directory or of the part of a file that is read

// openFAT checks the boot sector.
func openFAT(d span) (*fat, error) {
	b, err := d.read(0, 512)
	if err != nil {
		return nil, err
	}
	sector, perCluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, fats, rootEntries := int64(le.Uint16(b[14:])), int64(b[16]), int64(le.Uint16(b[17:]))
	total, perFAT := int64(le.Uint16(b[19:])), int64(le.Uint16(b[22:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	if perFAT == 0 {
		perFAT = int64(le.Uint32(b[36:]))
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 || reserved == 0 || fats == 0 || fats > 4 || perFAT == 0 {
		return nil, damagedFS("FAT", "the boot sector has sectors of %d bytes, clusters of %d sectors and %d tables", sector, perCluster, fats)
	}
	f := &fat{d: d, table: reserved * sector, cluster: perCluster * sector}
	f.rootOff = (reserved + fats*perFAT) * sector
	f.rootSize = rootEntries * 32
	f.data = (f.rootOff + f.rootSize + sector - 1) / sector * sector
	n := (total - f.data/sector) / perCluster
	if n <= 0 || n > 1<<28 || f.data > d.size {
		return nil, damagedFS("FAT", "it has %d sectors, of which the data begins at %d", total, f.data/sector)
	}
	f.clusters = uint32(n)
	switch {
	case n < 4085:
		f.bits = 12
	case n < 65525:
		f.bits = 16
	default:
		f.bits, f.rootAt = 32, le.Uint32(b[44:])
	}
	if rootEntries == 0 && f.bits != 32 { // small disks formatted as FAT32 all the same
		f.bits, f.rootAt = 32, le.Uint32(b[44:])
	}
	return f, nil
}

// next returns the cluster after c, 0 at the end of the chain.
func (f *fat) next(c uint32) (uint32, error) {
	off, width := int64(c)*int64(f.bits)/8, 4
	if f.bits != 32 {
		width = 2
	}
	b, err := f.d.read(f.table+off, width)
	if err != nil {
		return 0, err
	}
	switch f.bits {
	case 12:
		c = uint32(le.Uint16(b)) >> (4 * (c & 1)) & 0xfff
	case 16:
		c = uint32(le.Uint16(b))
	default:
		c = le.Uint32(b) & 0x0fffffff
	}
	if c < 2 || c-2 >= f.clusters {
		return 0, nil
	}
	return c, nil
}

// chain returns at most limit bytes of the clusters that begin with c. A chain that returns to itself ends at the limit.
func (f *fat) chain(c uint32, limit int64) ([]byte, error) {
	var out []byte
	for i := 0; c >= 2 && c-2 < f.clusters && int64(len(out)) < limit && i < maxChain; i++ {
		b, err := f.d.read(f.data+int64(c-2)*f.cluster, int(min(f.cluster, limit-int64(len(out)))))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
		if c, err = f.next(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fatEntry is a name in a directory.
type fatEntry struct {
	name    string // in upper case; the long name when there is one
	dir     bool
	cluster uint32
	size    int64
}

// list returns the entries of a directory; the root is cluster 0.
func (f *fat) list(c uint32) ([]fatEntry, error) {
	var b []byte
	var err error
	switch {
	case c == 0 && f.bits != 32:
		b, err = f.d.read(f.rootOff, int(f.rootSize))
	case c == 0:
		b, err = f.chain(f.rootAt, maxDirectory/4)
	default:
		b, err = f.chain(c, maxDirectory/4)
	}
	if err != nil {
		return nil, err
	}
	var entries []fatEntry
	long := ""
	for ; len(b) >= 32 && b[0] != 0; b = b[32:] {
		switch {
		case b[0] == 0xe5:
			long = ""
		case b[11]&0x3f == 0x0f: // a piece of a long name; the last piece comes first
			long = longNamePiece(b) + long
			if len(long) > 1024 {
				long = ""
			}
		case b[11]&0x08 != 0: // the label
			long = ""
		default:
			name := strings.TrimRight(string(b[:8]), " ")
			if ext := strings.TrimRight(string(b[8:11]), " "); ext != "" {
				name += "." + ext
			}
			if long != "" {
				name = long
			}
			long = ""
			entries = append(entries, fatEntry{strings.ToUpper(name), b[11]&0x10 != 0, uint32(le.Uint16(b[20:]))<<16 | uint32(le.Uint16(b[26:])), int64(le.Uint32(b[28:]))})
		}
	}
	return entries, nil
}

func longNamePiece(b []byte) string {
	var units []uint16
	for _, part := range [][]byte{b[1:11], b[14:26], b[28:32]} {
		for ; len(part) >= 2; part = part[2:] {
			u := le.Uint16(part)
			if u == 0 || u == 0xffff {
				return string(utf16.Decode(units))
			}
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}

// findDir returns the cluster of a directory below another, 0 when it is not there.
func (f *fat) findDir(c uint32, name string) (uint32, error) {
	entries, err := f.list(c)
	for _, e := range entries {
		if e.dir && e.name == name {
			return e.cluster, err
		}
	}
	return 0, err
}
