package corpus

import (
	"hash/crc32"
	"strings"
	"unicode/utf16"
)

const sector = 512

// guestSize is the size of every guest disk: large enough for a GPT, a FAT and an ext4 file system.
const guestSize = 8 << 20

// The guests: disks that go inside images of every format.
var guests = []struct {
	name  string
	disk  func() *Image
	facts facts
}{
	{"empty", func() *Image { return NewImage(guestSize) }, facts{}},
	{"bios", biosGuest, facts{firmware: "bios", boots: true}},
	{"uefi", uefiGuest, facts{arch: "x86_64", firmware: "uefi", boots: true}},
	{"debian", debianGuest, facts{arch: "x86_64", os: "linux debian 12", boots: true}},
	{"windows", windowsGuest, facts{arch: "x86_64", firmware: "uefi", os: "windows windows", boots: true}},
}

// bootCode is a jump to itself, which is code enough.
var bootCode = []byte{0xeb, 0xfe, 0x90}

// biosGuest has an MBR with boot code and one active Linux partition.
func biosGuest() *Image {
	m := NewImage(guestSize).Put(0, bootCode)
	return m.mbr(0, true, 0x83, 2048, guestSize/sector-2048).Put(2048*sector, Random(4096, 7))
}

// mbr writes entry n of the partition table, in sectors.
func (m *Image) mbr(n int64, active bool, kind byte, start, count uint32) *Image {
	at := 446 + 16*n
	flag := byte(0)
	if active {
		flag = 0x80
	}
	return m.Put(at, []byte{flag, 0, 2, 0, kind, 0xff, 0xff, 0xff}).U32(le, at+8, start).U32(le, at+12, count).Put(510, []byte{0x55, 0xaa})
}

// gptPart is a partition of a GPT, in sectors, both ends included.
type gptPart struct {
	guid        string
	first, last uint64
}

const (
	espGUID      = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	biosBootGUID = "21686148-6449-6E6F-744E-656564454649"
	rootX64GUID  = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	linuxGUID    = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
	msDataGUID   = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
)

// guid turns the text of a GUID into its bytes on disk.
func guid(s string) []byte {
	hex := strings.ReplaceAll(s, "-", "")
	b := make([]byte, 16)
	for i := range b {
		b[i] = unhex(hex[2*i])<<4 | unhex(hex[2*i+1])
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5], b[6], b[7] = b[5], b[4], b[7], b[6]
	return b
}

func unhex(c byte) byte {
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}

// gpt writes a protective MBR and both copies of a GPT.
func (m *Image) gpt(parts ...gptPart) *Image {
	last := uint64(m.size/sector - 1)
	entries := make([]byte, 128*128)
	for i, p := range parts {
		e := entries[i*128:]
		copy(e, guid(p.guid))
		copy(e[16:], Random(16, uint64(i)+99))
		le.PutUint64(e[32:], p.first)
		le.PutUint64(e[40:], p.last)
	}
	m.mbr(0, false, 0xee, 1, uint32(min(last, 0xffffffff)))
	m.gptCopy(1, last, 2, entries)
	return m.gptCopy(last, 1, last-32, entries)
}

func (m *Image) gptCopy(lba, other, table uint64, entries []byte) *Image {
	h := make([]byte, sector)
	copy(h, "EFI PART\x00\x00\x01\x00")
	le.PutUint32(h[12:], 92)
	le.PutUint64(h[24:], lba)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], 34)
	le.PutUint64(h[48:], uint64(m.size/sector)-34)
	copy(h[56:], Random(16, 5))
	le.PutUint64(h[72:], table)
	le.PutUint32(h[80:], uint32(len(entries)/128))
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	return m.Put(int64(table)*sector, entries).Put(int64(lba)*sector, h)
}

// resealGPT writes a field of the primary header and its checksum.
func (m *Image) resealGPT(change func(h []byte)) *Image {
	h := m.Bytes()[sector : 2*sector]
	change(h)
	le.PutUint32(h[16:], 0)
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	return m.Put(sector, h)
}

// The layout of the GPT guests, in sectors.
const (
	biosBootAt, biosBootEnd = 2048, 2079
	espAt, espEnd           = 4096, 8191
	rootAt, rootEnd         = 8192, 14335
)

func uefiGuest() *Image {
	m := NewImage(guestSize).gpt(gptPart{espGUID, espAt, espEnd})
	return m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664)}))
}

// debianGuest boots with BIOS and UEFI and has an ext4 root with os-release.
func debianGuest() *Image {
	return DebianDisk(guestSize, FromBytes(ext4Image((rootEnd-rootAt+1)*sector, debianRelease)))
}

// DebianDisk is a disk of size bytes with a GPT, a BIOS boot partition, an EFI system partition with a loader for x86_64, and a root partition
// that holds root. It is at least 4.5 MiB larger than root.
func DebianDisk(size int64, root *Image) *Image {
	m := NewImage(size).Put(0, bootCode)
	m.gpt(gptPart{biosBootGUID, biosBootAt, biosBootEnd}, gptPart{espGUID, espAt, espEnd}, gptPart{rootX64GUID, rootAt, uint64(rootAt + root.size/sector - 1)})
	m.Put(biosBootAt*sector, Random(8192, 3))
	m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664)}))
	for _, p := range root.parts {
		m.Put(rootAt*sector+p.off, p.data)
	}
	return m
}

func windowsGuest() *Image {
	m := NewImage(guestSize).gpt(gptPart{espGUID, espAt, espEnd}, gptPart{msDataGUID, rootAt, rootEnd})
	m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{
		"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664), "EFI/Microsoft/Boot/bootmgfw.efi": peProgram(0x8664)}))
	return m.Put(rootAt*sector, []byte("\xeb\x52\x90NTFS    \x00\x02\x08"))
}

const debianRelease = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"

// peProgram is the start of an EFI program for a machine.
func peProgram(machine uint16) []byte {
	b := make([]byte, 1024)
	copy(b, "MZ")
	le.PutUint32(b[60:], 128)
	copy(b[128:], "PE\x00\x00")
	le.PutUint16(b[132:], machine)
	return b
}

// fatImage makes a FAT16 file system of size bytes (2 MiB and more) with clusters of one sector. Paths have up to three components; names that are not
// 8.3 in upper case get a long-name entry.
func fatImage(size int, files map[string][]byte) []byte {
	const reserved, perFAT, rootEntries = 1, 17, 512
	b := make([]byte, size)
	copy(b, "\xeb\x3c\x90CORPUS  ")
	le.PutUint16(b[11:], sector)
	b[13], b[16] = 1, 2
	le.PutUint16(b[14:], reserved)
	le.PutUint16(b[17:], rootEntries)
	le.PutUint32(b[32:], uint32(size/sector))
	b[21] = 0xf8
	le.PutUint16(b[22:], perFAT)
	b[38] = 0x29
	copy(b[43:], "CORPUS     FAT16   ")
	copy(b[510:], "\x55\xaa")
	fatAt := reserved * sector
	rootOff := fatAt + 2*perFAT*sector
	data := rootOff + rootEntries*32
	le.PutUint16(b[fatAt:], 0xfff8)
	le.PutUint16(b[fatAt+2:], 0xffff)
	next := 2
	alloc := func(n int) (cluster, off int) {
		count := max((n+sector-1)/sector, 1)
		cluster, off = next, data+(next-2)*sector
		for i := range count {
			v := uint16(next + i + 1)
			if i == count-1 {
				v = 0xffff
			}
			le.PutUint16(b[fatAt+2*(next+i):], v)
		}
		next += count
		return cluster, off
	}
	add := func(dir []byte, name string, attr byte, cluster, size int) {
		for dir[0] != 0 {
			dir = dir[32:]
		}
		short := strings.ToUpper(name)
		base, ext, _ := strings.Cut(short, ".")
		if len(base) > 8 || short != name {
			units := append(utf16.Encode([]rune(name)), 0)
			for pieces := (len(units) + 12) / 13; pieces > 0; pieces-- {
				e := dir[:32]
				e[0], e[11] = byte(pieces), 0x0f
				piece := units[(pieces-1)*13:]
				for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
					u := uint16(0xffff)
					if i < len(piece) {
						u = piece[i]
					}
					le.PutUint16(e[at:], u)
				}
				dir = dir[32:]
			}
			base = base[:min(len(base), 6)] + "~1"
		}
		copy(dir, "           ")
		copy(dir, base)
		copy(dir[8:], ext)
		dir[11] = attr
		le.PutUint16(dir[26:], uint16(cluster))
		le.PutUint32(dir[28:], uint32(size))
	}
	dirs := map[string][]byte{"": b[rootOff:data]}
	var folder func(path string) []byte
	folder = func(path string) []byte {
		if d := dirs[path]; d != nil {
			return d
		}
		parent, name := "", path
		if i := strings.LastIndex(path, "/"); i >= 0 {
			parent, name = path[:i], path[i+1:]
		}
		up := folder(parent)
		cluster, off := alloc(sector)
		add(up, name, 0x10, cluster, 0)
		dirs[path] = b[off : off+sector]
		return dirs[path]
	}
	for path, content := range files {
		i := strings.LastIndex(path, "/")
		dir := folder(path[:i])
		cluster, off := alloc(len(content))
		copy(b[off:], content)
		add(dir, path[i+1:], 0x20, cluster, len(content))
	}
	return b
}

// ext4Image makes an ext4 file system of one group with blocks of 1 KiB, in which /etc/os-release links to /usr/lib/os-release.
func ext4Image(size int, release string) []byte {
	const block, inodes, table = 1024, 64, 5
	b := make([]byte, size)
	s := b[1024:]
	le.PutUint32(s[0:], inodes)
	le.PutUint32(s[4:], uint32(size/block))
	le.PutUint32(s[20:], 1) // first data block
	le.PutUint32(s[32:], 8192)
	le.PutUint32(s[40:], inodes)
	le.PutUint16(s[56:], 0xef53)
	le.PutUint32(s[76:], 1)
	le.PutUint16(s[88:], 128)
	le.PutUint32(s[96:], 0x42) // extents, file types
	le.PutUint32(b[2*block+8:], table)
	inode := func(n int, mode uint16, size int) []byte {
		i := b[table*block+(n-1)*128:]
		le.PutUint16(i, mode)
		le.PutUint32(i[4:], uint32(size))
		return i
	}
	extent := func(i []byte, at uint32) {
		le.PutUint32(i[32:], 0x80000)
		copy(i[40:], "\x0a\xf3\x01\x00\x04\x00\x00\x00")
		le.PutUint16(i[56:], 1)
		le.PutUint32(i[60:], at)
	}
	dir := func(n int, at uint32, names map[string]uint32) {
		extent(inode(n, 0x41ed, block), at)
		e := b[at*block : (at+1)*block]
		put := func(name string, n uint32, length int) {
			le.PutUint32(e, n)
			le.PutUint16(e[4:], uint16(length))
			e[6] = byte(len(name))
			copy(e[8:], name)
			e = e[length:]
		}
		put(".", uint32(n), 12)
		left := block - 12
		for name, n := range names {
			put(name, n, 24)
			left -= 24
		}
		put("lost", 11, left)
	}
	dir(2, 20, map[string]uint32{"etc": 12, "usr": 13})
	dir(12, 21, map[string]uint32{"os-release": 14, "hostname": 11})
	dir(13, 22, map[string]uint32{"lib": 15})
	dir(15, 23, map[string]uint32{"os-release": 16})
	link := "../usr/lib/os-release"
	copy(inode(14, 0xa1ff, len(link))[40:], link)
	extent(inode(16, 0x81a4, len(release)), 24)
	copy(b[24*block:], release)
	return b
}

// DebianGuest is a [DebianDisk] with a small ext4 root whose os-release says Debian 12. Below 8 MiB there is no room for an EFI system partition: the
// disk, of 1 MiB at least, boots with BIOS alone.
func DebianGuest(size int64) *Image {
	if size < guestSize {
		const bootAt, bootEnd, rootAt = 40, 71, 128
		rootEnd := size/sector - 41
		m := NewImage(size).Put(0, bootCode).gpt(gptPart{biosBootGUID, bootAt, bootEnd}, gptPart{rootX64GUID, rootAt, uint64(rootEnd)})
		return m.Put(bootAt*sector, Random(8192, 3)).Put(rootAt*sector, ext4Image(int(rootEnd-rootAt+1)*sector, debianRelease))
	}
	return DebianDisk(size, FromBytes(ext4Image((rootEnd-rootAt+1)*sector, debianRelease)))
}

// Forms are the ways in which [As] writes a disk: a disk_format, and the kind of it.
var Forms = []string{"raw", "qcow2", "qcow2-zlib", "qcow2-zstd", "vmdk-sparse", "vmdk-stream", "vhd-fixed", "vhd-dynamic", "vhdx", "vdi", "ploop"}

// As writes a disk in one of the forms, and says which disk_format that is.
func As(form string, disk *Image) (m *Image, diskFormat string) {
	diskFormat, _, _ = strings.Cut(form, "-")
	switch form {
	case "raw":
		return disk, diskFormat
	case "qcow2":
		return QCOW2{}.Make(disk), diskFormat
	case "qcow2-zlib":
		return QCOW2{Compress: "zlib"}.Make(disk), diskFormat
	case "qcow2-zstd":
		return QCOW2{Compress: "zstd"}.Make(disk), diskFormat
	case "vmdk-sparse":
		return VMDK{}.Make(disk), diskFormat
	case "vmdk-stream":
		return VMDK{Stream: true}.Make(disk), diskFormat
	case "vhd-fixed":
		return fixedVHD(disk), diskFormat
	case "vhd-dynamic":
		return dynamicVHD(disk), diskFormat
	case "vhdx":
		return vhdx(disk), diskFormat
	case "vdi":
		return vdi(disk, 1), diskFormat
	case "ploop":
		return ploop(disk, true), diskFormat
	}
	panic("no such form: " + form)
}
