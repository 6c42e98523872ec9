package corpus

import (
	"fmt"
	"hash/crc32"
)

const (
	vhdxTable = 2 << 20 // the block table
	vhdxMeta  = 3 << 20 // the metadata
	vhdxData  = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal32 writes the CRC-32C of size bytes from off at byte 4 of them.
func (m *Image) seal32(off, size int64) *Image {
	m.U32(le, off+4, 0)
	b := make([]byte, size)
	m.ReadAt(b, off)
	return m.U32(le, off+4, crc32.Checksum(b, castagnoli))
}

func vhdx(disk *Image) *Image {
	m := NewImage(vhdxData).Put(0, []byte("vhdxfile")).Put(8, []byte("C\x00o\x00r\x00p\x00u\x00s\x00"))
	for i, at := range []int64{64 << 10, 128 << 10} {
		m.Put(at, []byte("head")).U64(le, at+8, uint64(7+i)).Put(at+16, Random(32, uint64(i))).U16(le, at+66, 1).U32(le, at+68, 1<<20).U64(le, at+72, 1<<20)
		m.seal32(at, 4096)
	}
	block := int64(1 << 20)
	if disk.size > 64<<30 {
		block = 32 << 20 // so that the block table stays below 1 MiB
	}
	blocks := (disk.size + block - 1) / block
	for _, at := range []int64{192 << 10, 256 << 10} {
		m.Put(at, []byte("regi")).U32(le, at+8, 2)
		m.Put(at+16, guid("2DC27766-F623-4200-9D64-115E9BFD4A08")).U64(le, at+32, vhdxTable).U32(le, at+40, 1<<20).U32(le, at+44, 1)
		m.Put(at+48, guid("8B7CA206-4790-4B9A-B8FE-575F050F886E")).U64(le, at+64, vhdxMeta).U32(le, at+72, 1<<20).U32(le, at+76, 1)
		m.seal32(at, 64<<10)
	}
	m.Put(vhdxMeta, []byte("metadata")).U16(le, vhdxMeta+10, 5)
	for i, item := range []struct {
		guid  string
		flags uint32
		data  []byte
	}{
		{"CAA16737-FA36-4D43-B3B6-33F0AA44E76B", 4, FromBytes(make([]byte, 8)).U32(le, 0, uint32(block)).Bytes()},
		{"2FA54224-CD1B-4876-B211-5DBED83BF4B8", 6, FromBytes(make([]byte, 8)).U64(le, 0, uint64(disk.size)).Bytes()},
		{"BECA12AB-B2E6-4523-93EF-C309E000C746", 6, Random(16, 8)},
		{"8141BF1D-A96F-4709-BA47-F233A8FAAB5F", 6, []byte{0, 2, 0, 0}},
		{"CDA348C7-445D-4471-9CC9-E9885251C556", 6, []byte{0, 2, 0, 0}},
	} {
		at, data := int64(vhdxMeta+32+32*i), int64(64<<10+32*i)
		m.Put(at, guid(item.guid)).U32(le, at+16, uint32(data)).U32(le, at+20, uint32(len(item.data))).U32(le, at+24, item.flags).Put(vhdxMeta+data, item.data)
	}
	ratio := int64(1<<23) * 512 / block
	m.Put(vhdxTable+(blocks+(blocks-1)/ratio)*8, []byte{0})
	disk.blocks(int(block), func(i int64, data []byte) {
		m.U64(le, vhdxTable+(i+i/ratio)*8, uint64(m.size)|6)
		m.Append(data)
	})
	return m
}

func vhdxGood() *Image { return vhdx(debianGuest()) }

func vhdxCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all, Case{Name: "vhdx/good/" + g.name, Image: vhdx(g.disk()), Disk: "vhdx", VirtualSize: guestSize, Qemu: "vhdx"}.with(g.facts))
	}
	good := vhdxGood()
	all = append(all,
		Case{Name: "vhdx/odd/first-header-damaged", Image: good.Clone().Put(64<<10+20, []byte("x")), Disk: "vhdx", VirtualSize: guestSize}.with(guests[3].facts),
		Case{Name: "vhdx/odd/first-region-table-damaged", Image: good.Clone().Put(192<<10+20, []byte("x")), Disk: "vhdx", VirtualSize: guestSize}.with(guests[3].facts))
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vhdx", name, code, good, change))
	}
	both := func(m *Image, first int64, size int64, change func(at int64)) {
		for _, at := range []int64{first, first + 64<<10} {
			change(at)
			m.seal32(at, size)
		}
	}
	headers := func(m *Image, change func(at int64)) { both(m, 64<<10, 4096, change) }
	regions := func(m *Image, change func(at int64)) { both(m, 192<<10, 64<<10, change) }
	add("header-checksums", "checksum", func(m *Image) { m.Put(64<<10+20, []byte("x")).Put(128<<10+20, []byte("x")) })
	add("header-signatures", "checksum", func(m *Image) { m.Put(64<<10, []byte("x")).Put(128<<10, []byte("x")) })
	add("log-not-replayed", "unclean", func(m *Image) { headers(m, func(at int64) { m.Put(at+48, Random(16, 2)) }) })
	add("version-2", "unknown_feature", func(m *Image) { headers(m, func(at int64) { m.U16(le, at+66, 2) }) })
	add("region-checksums", "checksum", func(m *Image) { m.Put(192<<10+20, []byte("x")).Put(256<<10+20, []byte("x")) })
	add("regions-2048", "malformed", func(m *Image) { regions(m, func(at int64) { m.U32(le, at+8, 2048) }) })
	add("regions-4G", "malformed", func(m *Image) { regions(m, func(at int64) { m.U32(le, at+8, 0xffffffff) }) })
	add("no-regions", "malformed", func(m *Image) { regions(m, func(at int64) { m.U32(le, at+8, 0) }) })
	add("only-one-region", "malformed", func(m *Image) { regions(m, func(at int64) { m.U32(le, at+8, 1) }) })
	add("region-past-end", "truncated", func(m *Image) { regions(m, func(at int64) { m.U64(le, at+32, 1<<40) }) })
	add("region-at-2^63", "truncated", func(m *Image) { regions(m, func(at int64) { m.U64(le, at+64, 1<<63) }) })
	add("region-in-the-header", "truncated", func(m *Image) { regions(m, func(at int64) { m.U64(le, at+64, 0) }) })
	add("unknown-required-region", "unknown_feature", func(m *Image) {
		regions(m, func(at int64) {
			m.U32(le, at+8, 3).Put(at+80, Random(16, 3)).U64(le, at+96, vhdxData).U32(le, at+104, 1<<20).U32(le, at+108, 1)
		})
	})
	add("differencing", "parent", func(m *Image) { m.U32(le, vhdxMeta+64<<10+4, 2) })
	add("parent-locator", "parent", func(m *Image) { m.Put(vhdxMeta+32+64, guid("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C")) })
	add("unknown-required-item", "unknown_feature", func(m *Image) { m.Put(vhdxMeta+32+64, Random(16, 3)) })
	add("items-2048", "malformed", func(m *Image) { m.U16(le, vhdxMeta+10, 2048) })
	add("items-65535", "malformed", func(m *Image) { m.U16(le, vhdxMeta+10, 65535) })
	add("no-items", "malformed", func(m *Image) { m.U16(le, vhdxMeta+10, 0) })
	add("no-metadata-signature", "malformed", func(m *Image) { m.Put(vhdxMeta, []byte("x")) })
	add("item-past-region", "malformed", func(m *Image) { m.U32(le, vhdxMeta+32+32+16, 2<<20) })
	add("item-too-short", "malformed", func(m *Image) { m.U32(le, vhdxMeta+32+32+20, 4) })
	for _, n := range []uint32{0, 512, 3 << 20, 512 << 20} {
		add(fmt.Sprintf("block-size-%d", n), "malformed", func(m *Image) { m.U32(le, vhdxMeta+64<<10, n) })
	}
	add("sector-size-0", "malformed", func(m *Image) { m.U32(le, vhdxMeta+64<<10+96, 0) })
	add("size-0", "virtual_size", func(m *Image) { m.U64(le, vhdxMeta+64<<10+32, 0) })
	add("size-2^63", "virtual_size", func(m *Image) { m.U64(le, vhdxMeta+64<<10+32, 1<<63) })
	add("size-larger-than-table", "malformed", func(m *Image) { m.U64(le, vhdxMeta+64<<10+32, 1<<40) })
	add("block-past-end", "truncated", func(m *Image) { m.U64(le, vhdxTable, 1<<40|6) })
	add("block-at-2^63", "truncated", func(m *Image) { m.U64(le, vhdxTable, 1<<63|6) })
	for _, n := range []int64{8, 64 << 10, 200 << 10, 1 << 20, vhdxTable, vhdxMeta, vhdxMeta + 66<<10, vhdxData + 100} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	add("declared-vhd", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "vhd"
	all = append(all, Case{Name: "vhdx/bad/nested-qcow2", Image: vhdx(QCOW2{ClusterBits: 12}.Make(biosGuest())), Disk: "vhdx", Code: "nested_format"})
	return all
}
