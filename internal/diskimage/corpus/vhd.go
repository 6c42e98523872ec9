package corpus

import (
	"bytes"
	"fmt"
)

const vhdBlock = 2 << 20

// vhdFooter is the footer of a VHD, sealed; kind 2 is fixed, 3 dynamic, 4 differencing.
func vhdFooter(size int64, kind uint32) []byte {
	f := NewImage(sector).Put(0, []byte("conectix")).U32(be, 8, 2).U32(be, 12, 0x10000).U64(be, 16, 1<<64-1)
	f.Put(28, []byte("win ")).U32(be, 32, 0xa0000).Put(36, []byte("Wi2k")).U64(be, 40, uint64(size)).U64(be, 48, uint64(size))
	sectors := size / sector
	f.U16(be, 56, uint16(min(sectors/(16*63), 65535))).Put(58, []byte{16, 63}).U32(be, 60, kind).Put(68, Random(16, 4))
	if kind != 2 {
		f.U64(be, 16, sector)
	}
	return seal(f.Bytes(), 64)
}

// seal writes the one's complement of the sum of all bytes at off.
func seal(b []byte, off int) []byte {
	be.PutUint32(b[off:], 0)
	sum := uint32(0)
	for _, c := range b {
		sum += uint32(c)
	}
	be.PutUint32(b[off:], ^sum)
	return b
}

func fixedVHD(disk *Image) *Image {
	return disk.Clone().Append(vhdFooter(disk.size, 2))
}

// dynamicVHD writes footer copy, dynamic header at 512, block table at 1,536, blocks, footer.
func dynamicVHD(disk *Image) *Image {
	entries := (disk.size + vhdBlock - 1) / vhdBlock
	m := NewImage(0).Put(0, vhdFooter(disk.size, 3))
	h := NewImage(1024).Put(0, []byte("cxsparse")).U64(be, 8, 1<<64-1).U64(be, 16, 1536).U32(be, 24, 0x10000).U32(be, 28, uint32(entries)).U32(be, 32, vhdBlock)
	m.Put(512, seal(h.Bytes(), 36))
	m.Put(1536, bytes.Repeat([]byte{0xff}, int(entries*4)))
	m.Truncate((1536 + entries*4 + 511) &^ 511)
	disk.blocks(vhdBlock, func(i int64, data []byte) {
		m.U32(be, 1536+i*4, uint32(m.size/sector))
		bitmap := make([]byte, 512)
		for i := range bitmap {
			bitmap[i] = 0xff
		}
		m.Append(bitmap)
		m.Append(data)
	})
	return m.Append(vhdFooter(disk.size, 3))
}

func vhdCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all,
			Case{Name: "vhd/good/fixed-" + g.name, Image: fixedVHD(g.disk()), Disk: "vhd", VirtualSize: guestSize, Qemu: "vpc"}.with(g.facts),
			Case{Name: "vhd/good/dynamic-" + g.name, Image: dynamicVHD(g.disk()), Disk: "vhd", VirtualSize: guestSize, Qemu: "vpc"}.with(g.facts))
	}
	dynamic, fixed := dynamicVHD(debianGuest()), fixedVHD(debianGuest())
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vhd", name, code, dynamic, change))
	}
	footer := func(m *Image, change func(f *Image)) {
		f := FromBytes(vhdFooter(guestSize, 3))
		change(f)
		b := seal(f.Bytes(), 64)
		m.Put(0, b).Put(m.size-sector, b)
	}
	header := func(m *Image, change func(h *Image)) {
		h := FromBytes(m.Bytes()[512:1536])
		change(h)
		m.Put(512, seal(h.Bytes(), 36))
	}
	add("differencing", "parent", func(m *Image) { footer(m, func(f *Image) { f.U32(be, 60, 4) }) })
	add("parent-uuid", "parent", func(m *Image) { header(m, func(h *Image) { h.Put(40, Random(16, 1)) }) })
	add("parent-locator", "parent", func(m *Image) { header(m, func(h *Image) { h.Put(576, []byte("W2ku")) }) })
	for _, kind := range []uint32{0, 1, 5, 6, 0xffffffff} {
		add(fmt.Sprintf("type-%d", kind), "unsupported_subtype", func(m *Image) { footer(m, func(f *Image) { f.U32(be, 60, kind) }) })
	}
	add("footer-checksum", "checksum", func(m *Image) { m.Put(30, []byte("x")) })
	add("header-checksum", "checksum", func(m *Image) { m.Put(512+60, []byte("x")) })
	add("size-0", "virtual_size", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 48, 0) }) })
	add("size-2^63", "virtual_size", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 48, 1<<63) }) })
	add("size-not-sectors", "malformed", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 48, guestSize+1) }) })
	add("size-larger-than-table", "malformed", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 48, 1<<40) }) })
	add("says-fixed", "malformed", func(m *Image) { footer(m, func(f *Image) { f.U32(be, 60, 2) }) })
	add("header-past-end", "truncated", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 16, 1<<50) }) })
	add("header-elsewhere", "malformed", func(m *Image) { footer(m, func(f *Image) { f.U64(be, 16, 4096) }) })
	for _, n := range []uint32{0, 1, 3000000, 0xffffffff} {
		add(fmt.Sprintf("block-size-%d", n), "malformed", func(m *Image) { header(m, func(h *Image) { h.U32(be, 32, n) }) })
	}
	add("entries-0", "malformed", func(m *Image) { header(m, func(h *Image) { h.U32(be, 28, 0) }) })
	add("entries-4G", "malformed", func(m *Image) { header(m, func(h *Image) { h.U32(be, 28, 0xffffffff) }) })
	add("entries-4M-in-a-small-file", "truncated", func(m *Image) { header(m, func(h *Image) { h.U32(be, 28, 4<<20) }) })
	add("table-past-end", "truncated", func(m *Image) { header(m, func(h *Image) { h.U64(be, 16, 1<<50) }) })
	add("block-past-end", "truncated", func(m *Image) { m.U32(be, 1536, 0xfffffff0) })
	add("no-footer", "truncated", func(m *Image) { m.Truncate(m.size - sector) })
	for _, n := range []int64{600, 1000, 1536, 4096, 1 << 20} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	addFixed := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vhd", "fixed-"+name, code, fixed, change))
	}
	addFixed("checksum", "checksum", func(m *Image) { m.Put(m.size-400, []byte("x")) })
	addFixed("larger-than-file", "truncated", func(m *Image) { m.Put(m.size-sector, vhdFooter(guestSize*2, 2)) })
	addFixed("says-dynamic", "malformed", func(m *Image) { m.Put(m.size-sector, vhdFooter(guestSize, 3)) })
	addFixed("cut", "format_mismatch", func(m *Image) { m.Truncate(m.size - 1000) })
	addFixed("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	all = append(all, Case{Name: "vhd/bad/nested-qcow2", Image: dynamicVHD(QCOW2{ClusterBits: 12}.Make(biosGuest())), Disk: "vhd", Code: "nested_format"})
	return all
}
