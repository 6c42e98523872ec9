package corpus

import "fmt"

func rawCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all, Case{Name: "raw/good/" + g.name, Image: g.disk(), Disk: "raw", VirtualSize: guestSize, Qemu: "raw"}.with(g.facts))
	}
	good := func(name string, m *Image, f facts) {
		all = append(all, Case{Name: "raw/good/" + name, Image: m, Disk: "raw", VirtualSize: m.size}.with(f))
	}
	for _, n := range []int{0, 1, 511, 512, 513, 1024, 2048, 4096, 65536, 1 << 20} {
		good(fmt.Sprintf("random-%d", n), FromBytes(Random(n, uint64(n)+11)), facts{})
	}
	good("ext4-without-partitions", FromBytes(ext4Image(4<<20, debianRelease)), facts{os: "linux debian 12"})
	good("fat-without-partitions", FromBytes(fatImage(4<<20, map[string][]byte{"EFI/BOOT/BOOTAA64.EFI": peProgram(0xaa64)})), facts{arch: "aarch64", firmware: "uefi", boots: true})
	good("mbr-without-active-partition", biosGuest().Put(446, []byte{0}), facts{})
	good("mbr-without-code", biosGuest().Put(0, make([]byte, 440)), facts{})
	good("mbr-with-esp", NewImage(guestSize).mbr(0, false, 0xef, espAt, espEnd-espAt+1).Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664)})), facts{arch: "x86_64", firmware: "uefi", boots: true})
	logical := NewImage(guestSize).Put(0, bootCode).mbr(0, true, 0x05, 2048, 12000)
	logical.Put(2048*sector+446+4, []byte{0x83}).U32(le, 2048*sector+446+8, 2048).U32(le, 2048*sector+446+12, 4096).Put(2048*sector+510, []byte{0x55, 0xaa})
	good("mbr-with-logical-partition", logical, facts{})
	good("gpt-primary-damaged", debianGuest().Put(sector+20, []byte("xx")), guests[3].facts)
	good("gpt-backup-damaged", func() *Image { m := debianGuest(); return m.Put(m.size-sector, make([]byte, sector)) }(), guests[3].facts)
	good("gpt-on-a-larger-disk", debianGuest().Truncate(2*guestSize), guests[3].facts)
	good("gpt-active-protective-mbr", debianGuest().Put(446, []byte{0x80}), guests[3].facts)
	good("esp-with-two-architectures", func() *Image {
		m := uefiGuest()
		return m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664), "EFI/BOOT/BOOTAA64.EFI": peProgram(0xaa64)}))
	}(), facts{firmware: "uefi", boots: true})
	good("esp-with-32-bit-too", func() *Image {
		m := uefiGuest()
		return m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664), "EFI/BOOT/BOOTIA32.EFI": peProgram(0x14c)}))
	}(), facts{arch: "x86_64", firmware: "uefi", boots: true})
	good("esp-loader-for-another-machine", func() *Image {
		m := uefiGuest()
		return m.Put(espAt*sector, fatImage((espEnd-espAt+1)*sector, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x14c)}))
	}(), facts{})
	good("esp-with-FAT-loop", func() *Image {
		m := uefiGuest()
		for c := int64(2); c < 200; c++ {
			m.U16(le, (espAt+1)*sector+c*2, 2)
		}
		return m
	}(), facts{arch: "x86_64", firmware: "uefi", boots: true})
	good("opensuse", func() *Image {
		m := debianGuest()
		return m.Put(rootAt*sector, ext4Image((rootEnd-rootAt+1)*sector, "ID=\"opensuse-leap\"\nVERSION_ID=\"15.6\"\n"))
	}(), facts{arch: "x86_64", os: "linux opensuse 15.6", boots: true})
	good("os-release-with-odd-values", func() *Image {
		m := debianGuest()
		return m.Put(rootAt*sector, ext4Image((rootEnd-rootAt+1)*sector, "ID=$(reboot)\nVERSION_ID=\"<script>\"\n"))
	}(), facts{arch: "x86_64", boots: true})
	good("lvm", func() *Image {
		m := NewImage(guestSize).Put(0, bootCode).mbr(0, true, 0x8e, 2048, 8192)
		return m.Put(2049*sector, []byte("LABELONE"))
	}(), facts{firmware: "bios", boots: true})
	good("btrfs", func() *Image {
		m := NewImage(guestSize).Put(0, bootCode).mbr(0, true, 0x83, 2048, 8192)
		return m.Put(2048*sector+65600, []byte("_BHRfS_M"))
	}(), facts{firmware: "bios", boots: true})

	add := func(name, code string, m *Image) {
		all = append(all, Case{Name: "raw/bad/" + name, Image: m, Disk: "raw", Code: code})
	}
	add("gpt-cut", "truncated", debianGuest().Truncate(guestSize/2))
	add("mbr-cut", "truncated", biosGuest().Truncate(guestSize/2))
	add("gpt-both-headers-damaged", "partition_table", func() *Image {
		m := debianGuest()
		return m.Put(sector+20, []byte("xx")).Put(m.size-sector+20, []byte("xx"))
	}())
	add("gpt-entries-checksum", "partition_table", func() *Image {
		m := debianGuest()
		return m.Put(2*sector+60, []byte("xx")).Put(m.size-33*sector+60, []byte("xx"))
	}())
	add("protective-mbr-alone", "partition_table", NewImage(guestSize).mbr(0, false, 0xee, 1, guestSize/sector-1))
	add("protective-mbr-with-extra-entry", "partition_table", debianGuest().mbr(1, false, 0x83, espAt, 100))
	add("boot-flag", "partition_table", biosGuest().Put(446, []byte{0x42}))
	add("gpt-boot-flag", "partition_table", debianGuest().Put(446, []byte{0x42}))
	add("mbr-overlap", "partition_table", biosGuest().mbr(1, false, 0x83, 4096, 100))
	add("gpt-overlap", "partition_table", NewImage(guestSize).gpt(gptPart{espGUID, 2048, 4096}, gptPart{linuxGUID, 4096, 5000}))
	add("gpt-end-before-start", "partition_table", NewImage(guestSize).gpt(gptPart{espGUID, 4096, 2048}))
	add("gpt-partition-at-2^63", "partition_table", NewImage(guestSize).gpt(gptPart{espGUID, 4096, 1 << 63}))
	add("gpt-partition-past-end", "truncated", NewImage(guestSize).gpt(gptPart{espGUID, 4096, 1 << 40}))
	damageBackup := func(m *Image) *Image { return m.Put(m.size-sector, make([]byte, sector)) }
	for _, n := range []uint32{1025, 1 << 24, 0xffffffff} {
		add(fmt.Sprintf("gpt-of-%d-entries", n), "partition_table", damageBackup(debianGuest().resealGPT(func(h []byte) { le.PutUint32(h[80:], n) })))
	}
	for _, n := range []uint32{0, 64, 129, 1 << 30} {
		add(fmt.Sprintf("gpt-entries-of-%d-bytes", n), "partition_table", damageBackup(debianGuest().resealGPT(func(h []byte) { le.PutUint32(h[84:], n) })))
	}
	add("gpt-entries-past-end", "partition_table", damageBackup(debianGuest().resealGPT(func(h []byte) { le.PutUint64(h[72:], 1<<62) })))
	loop := NewImage(guestSize).Put(0, bootCode).mbr(0, true, 0x05, 2048, 12000)
	loop.Put(2048*sector+462+4, []byte{0x05}).U32(le, 2048*sector+462+8, 0).U32(le, 2048*sector+462+12, 100).Put(2048*sector+510, []byte{0x55, 0xaa})
	add("logical-partitions-in-a-loop", "partition_table", loop)
	for name, magic := range map[string]string{
		"gzip": "\x1f\x8b\x08\x00\x00\x00\x00\x00", "xz": "\xfd7zXZ\x00", "zstd": "\x28\xb5\x2f\xfd", "bzip2": "BZh91AY&SY", "lz4": "\x04\x22\x4d\x18", "zip": "PK\x03\x04", "7z": "7z\xbc\xaf\x27\x1c"} {
		add(name, "compressed", FromBytes(append([]byte(magic), Random(4096, 2)...)))
	}
	add("html", "not_a_disk", FromBytes([]byte("\n<!DOCTYPE html><html><body>404 Not Found</body></html>\n")))
	add("html-without-doctype", "not_a_disk", FromBytes([]byte("<HTML><body>Moved</body></html>\n")))
	add("xml", "not_a_disk", FromBytes([]byte("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>")))
	for _, d := range []string{"qcow2", "vmdk", "vhd", "vhdx", "vdi", "ploop", "iso"} {
		all = append(all, Case{Name: "raw/bad/declared-" + d, Image: debianGuest(), Disk: d, Code: "format_mismatch"})
		all = append(all, Case{Name: "raw/bad/random-declared-" + d, Image: FromBytes(Random(2048, 9)), Disk: d, Code: "format_mismatch"})
		all = append(all, Case{Name: "raw/bad/empty-declared-" + d, Image: NewImage(0), Disk: d, Code: "format_mismatch"})
	}
	return all
}
