package corpus

// iso is a disc without files: descriptors, and a boot catalogue when there are boot images.
func iso(size int64, bios, uefi bool) *Image {
	m := NewImage(size)
	pvd := int64(16 * 2048)
	m.Put(pvd, []byte("\x01CD001\x01")).Put(pvd+40, []byte("CORPUS")).U32(le, pvd+80, uint32(size/2048)).U32(be, pvd+84, uint32(size/2048)).U16(le, pvd+128, 2048).U16(be, pvd+130, 2048)
	end := pvd + 2048
	if bios || uefi {
		m.Put(end, []byte("\x00CD001\x01EL TORITO SPECIFICATION")).U32(le, end+71, 20)
		end += 2048
		c := int64(20 * 2048)
		m.Put(c, []byte{1, 0}).Put(c+30, []byte{0x55, 0xaa})
		if bios {
			m.Put(c+32, []byte{0x88, 0}).U16(le, c+32+6, 4).U32(le, c+32+8, 24).Put(24*2048, bootCode)
		}
		if uefi {
			m.Put(c+64, []byte{0x91, 0xef, 1, 0}).Put(c+96, []byte{0x88, 0}).U16(le, c+96+6, 1).U32(le, c+96+8, 64)
			m.Put(64*2048, fatImage(2<<20, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": peProgram(0x8664)}))
		}
	}
	return m.Put(end, []byte("\xffCD001\x01"))
}

func isoCases() []Case {
	const size = 4 << 20
	biosFacts, uefiFacts := facts{firmware: "bios", boots: true}, facts{arch: "x86_64", firmware: "uefi", boots: true}
	bothFacts := facts{arch: "x86_64", boots: true}
	hybrid := func() *Image { return iso(size, true, true).Put(0, bootCode).mbr(0, true, 0x17, 0, size/sector) }
	all := []Case{
		Case{Name: "iso/good/without-boot", Image: iso(size, false, false), Disk: "iso", VirtualSize: size, Qemu: "raw"},
		Case{Name: "iso/good/bios", Image: iso(size, true, false), Disk: "iso", VirtualSize: size, Qemu: "raw"}.with(biosFacts),
		Case{Name: "iso/good/uefi", Image: iso(size, false, true), Disk: "iso", VirtualSize: size, Qemu: "raw"}.with(uefiFacts),
		Case{Name: "iso/good/both", Image: iso(size, true, true), Disk: "iso", VirtualSize: size, Qemu: "raw"}.with(bothFacts),
		Case{Name: "iso/good/hybrid", Image: hybrid(), Disk: "iso", VirtualSize: size, Qemu: "raw"}.with(bothFacts),
		Case{Name: "iso/good/hybrid-declared-raw", Image: hybrid(), Disk: "raw", VirtualSize: size}.with(bothFacts),
		Case{Name: "iso/good/file-longer-than-volume", Image: iso(size, true, false).Truncate(size + 300<<10), Disk: "iso", VirtualSize: size}.with(biosFacts),
		Case{Name: "iso/good/udf-bridge", Image: iso(size, true, false).Put(19*2048, []byte("\x00BEA01\x01")).Put(20*2048-2048+2048*2, nil).Put(21*2048, []byte("\x00NSR02\x01")), Disk: "iso", VirtualSize: size}.with(biosFacts),
		Case{Name: "iso/good/udf-alone", Image: NewImage(size).Put(16*2048, []byte("\x00BEA01\x01")).Put(17*2048, []byte("\x00NSR03\x01")), Disk: "iso", VirtualSize: size},
		Case{Name: "iso/odd/catalogue-checksum-wrong", Image: iso(size, true, false).Put(20*2048+28, []byte{0xde, 0xad}), Disk: "iso", VirtualSize: size}.with(biosFacts),
	}
	good := iso(size, true, true)
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("iso", name, code, good, change))
	}
	add("volume-longer-than-file", "truncated", func(m *Image) { m.U32(le, 16*2048+80, size/2048+1) })
	add("volume-of-4G-blocks", "truncated", func(m *Image) { m.U32(le, 16*2048+80, 0xffffffff) })
	add("volume-of-0-blocks", "malformed", func(m *Image) { m.U32(le, 16*2048+80, 0) })
	add("block-size-0", "malformed", func(m *Image) { m.U16(le, 16*2048+128, 0) })
	add("block-size-1000", "malformed", func(m *Image) { m.U16(le, 16*2048+128, 1000) })
	add("no-primary-descriptor", "malformed", func(m *Image) { m.Put(16*2048, []byte{2}) })
	add("cut-to-half", "truncated", func(m *Image) { m.Truncate(size / 2) })
	add("cut-in-the-descriptors", "truncated", func(m *Image) { m.Truncate(16*2048 + 100) })
	add("declared-qcow2", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "qcow2"
	for name, change := range map[string]func(m *Image){
		"catalogue-past-end":    func(m *Image) { m.U32(le, 17*2048+71, 0xffffffff) },
		"boot-image-past-end":   func(m *Image) { m.U32(le, 20*2048+32+8, 0xffffffff).U32(le, 20*2048+96+8, 0xffffffff) },
		"efi-image-not-FAT":     func(m *Image) { m.Put(64*2048, make([]byte, 512)).Put(20*2048+32, []byte{0}) },
		"catalogue-without-key": func(m *Image) { m.Put(20*2048+30, []byte{0}) },
	} {
		m := good.Clone()
		change(m)
		all = append(all, Case{Name: "iso/odd/" + name, Image: m, Disk: "iso", VirtualSize: size})
	}
	return all
}
