package diskimage

import (
	"bytes"
	"encoding/binary"
	"slices"
)

var (
	be = binary.BigEndian
	le = binary.LittleEndian
)

// signs is what the magic numbers of a file say it is. One file can carry several.
type signs struct {
	disks   []string // virtual-disk formats with a header of their own, in the order of the table
	iso     bool     // ISO 9660 (CD001)
	udf     bool     // UDF (NSR02, NSR03)
	packing string   // gzip, xz, zstd, bzip2, lz4, zip, 7z; "" when not compressed
	tar     bool
	text    string // "a web page", "an XML document"
	kernel  string // "x86 Linux kernel", "arm64 Linux kernel", "ELF program"
	cpio    bool   // an initial RAM disk that is not compressed
	fs      string // file system without partition table: ext4, xfs, btrfs, fat, ntfs
	bootSig bool   // 55 AA at the end of sector 0: a boot sector or a partition table
	gpt     bool   // EFI PART at sector 1, of 512 or 4,096 bytes
	head    []byte // the first 36 KiB
}

// headSize reaches past the ISO volume descriptors at sector 16, of 2,048 bytes each.
const headSize = 36 << 10

// foreign are formats that qemu recognises by itself and that no disk_format names.
var foreign = map[string]string{
	"qcow":      "qcow version 1",
	"qed":       "QED",
	"bochs":     "Bochs",
	"cloop":     "cloop",
	"dmg":       "Apple DMG",
	"vmdk-cowd": "VMDK version 3 (COWD)",
	"vmdk-text": "a VMDK text descriptor",
}

// sniff reads the start and the end of s and names every format whose magic number is there.
func sniff(s span) (*signs, error) {
	g, err := sniffHead(s)
	if err != nil || s.size < 512 {
		return g, err
	}
	tail, err := s.read(s.size-512, 512)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(tail, []byte("conectix")) && !slices.Contains(g.disks, "vhd") {
		g.disks = append(g.disks, "vhd")
	}
	if bytes.HasPrefix(tail, []byte("koly\x00\x00\x00\x04")) {
		g.disks = append(g.disks, "dmg")
	}
	return g, nil
}

// sniffHead is sniff without the end of s.
func sniffHead(s span) (*signs, error) {
	head, err := s.readUpTo(0, headSize)
	if err != nil {
		return nil, err
	}
	g := &signs{head: head}
	at := func(off int, magic string) bool {
		return len(head) >= off+len(magic) && string(head[off:off+len(magic)]) == magic
	}
	disk := func(name string) { g.disks = append(g.disks, name) }

	if at(0, "QFI\xfb") {
		if at(4, "\x00\x00\x00\x01") {
			disk("qcow")
		} else {
			disk("qcow2")
		}
	}
	if at(0, "QED\x00") {
		disk("qed")
	}
	if at(0, "KDMV") {
		disk("vmdk")
	}
	if at(0, "COWD") {
		disk("vmdk-cowd")
	}
	if isVMDKText(head[:min(len(head), 4096)]) {
		disk("vmdk-text")
	}
	if at(0, "vhdxfile") {
		disk("vhdx")
	}
	if at(0x40, "\x7f\x10\xda\xbe") {
		disk("vdi")
	}
	if at(0, "WithoutFreeSpace") || at(0, "WithouFreSpacExt") {
		disk("ploop")
	}
	if at(0, "LUKS\xba\xbe") {
		disk("luks")
	}
	if at(0, "Bochs Virtual HD Image") {
		disk("bochs")
	}
	if at(0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop") {
		disk("cloop")
	}
	if at(0, "conectix") {
		disk("vhd")
	}
	for sector := 16; sector <= 17; sector++ { // the descriptor sequence begins at sector 16; UDF bridges may begin with BEA01
		g.iso = g.iso || at(sector*2048+1, "CD001")
	}
	for off := 16 * 2048; off+6 <= len(head); off += 2048 {
		g.udf = g.udf || at(off+1, "NSR02") || at(off+1, "NSR03")
	}

	switch {
	case at(0, "\x1f\x8b\x08"):
		g.packing = "gzip"
	case at(0, "\xfd7zXZ\x00"):
		g.packing = "xz"
	case at(0, "\x28\xb5\x2f\xfd"):
		g.packing = "zstd"
	case at(0, "BZh") && at(4, "1AY&SY"):
		g.packing = "bzip2"
	case at(0, "\x04\x22\x4d\x18"), at(0, "\x02\x21\x4c\x18"):
		g.packing = "lz4"
	case at(0, "PK\x03\x04"):
		g.packing = "zip"
	case at(0, "7z\xbc\xaf\x27\x1c"):
		g.packing = "7z"
	}
	g.tar = at(257, "ustar")
	g.text = textKind(head)
	switch {
	case at(0x202, "HdrS"):
		g.kernel = "x86 Linux kernel"
	case at(0x38, "ARM\x64"):
		g.kernel = "arm64 Linux kernel"
	case at(0x30, "RISCV\x00\x00\x00"), at(0x38, "RSC\x05"):
		g.kernel = "riscv64 Linux kernel"
	case at(0, "\x7fELF"):
		g.kernel = "ELF program"
	}
	g.cpio = at(0, "070701") || at(0, "070702")
	g.bootSig = at(510, "\x55\xaa")
	g.gpt = at(512, "EFI PART") || at(4096, "EFI PART")
	switch {
	case at(1080, "\x53\xef"):
		g.fs = "ext4"
	case at(0, "XFSB"):
		g.fs = "xfs"
	case at(3, "NTFS    "):
		g.fs = "ntfs"
	case g.bootSig && (at(54, "FAT1") || at(82, "FAT32")):
		g.fs = "fat"
	}
	if g.fs == "" && s.size >= 65600+8 {
		magic, err := s.read(65600, 8)
		if err != nil {
			return nil, err
		}
		if string(magic) == "_BHRfS_M" {
			g.fs = "btrfs"
		}
	}
	return g, nil
}

// isVMDKText says whether qemu or VMware would take the bytes for a VMDK descriptor: qemu accepts any comment lines and
// blank lines before "version=1", "2" or "3", and does not look for the usual first line.
func isVMDKText(head []byte) bool {
	if bytes.HasPrefix(bytes.ToLower(head[:min(len(head), 64)]), []byte("# disk descriptorfile")) {
		return true
	}
	for range 256 {
		head = bytes.TrimLeft(head, " \t\r\n")
		if len(head) == 0 {
			return false
		}
		if head[0] != '#' {
			return bytes.HasPrefix(head, []byte("version=1")) || bytes.HasPrefix(head, []byte("version=2")) || bytes.HasPrefix(head, []byte("version=3"))
		}
		end := bytes.IndexByte(head, '\n')
		if end < 0 {
			return false
		}
		head = head[end+1:]
	}
	return false
}

// textKind recognises what a failed download leaves behind.
func textKind(head []byte) string {
	t := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head[:min(len(head), 512)], []byte("\xef\xbb\xbf")), " \t\r\n"))
	switch {
	case bytes.HasPrefix(t, []byte("<!doctype html")), bytes.HasPrefix(t, []byte("<html")):
		return "a web page"
	case bytes.HasPrefix(t, []byte("<?xml")), bytes.HasPrefix(t, []byte("<envelope")):
		return "an XML document"
	}
	return ""
}
