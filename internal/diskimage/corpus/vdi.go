package corpus

import (
	"bytes"
	"fmt"
)

const vdiBlock = 1 << 20

func vdi(disk *Image, kind uint32) *Image {
	blocks := (disk.size + vdiBlock - 1) / vdiBlock
	data := (512 + blocks*4 + 511) &^ 511
	m := NewImage(data).Put(0, []byte("<<< QEMU VM Virtual Disk Image >>>\n")).U32(le, 0x40, 0xbeda107f).U32(le, 0x44, 0x10001).U32(le, 0x48, 0x180).U32(le, 0x4c, kind)
	m.U32(le, 0x154, 512).U32(le, 0x158, uint32(data)).U32(le, 0x168, 512).U64(le, 0x170, uint64(disk.size)).U32(le, 0x178, vdiBlock)
	m.U32(le, 0x180, uint32(blocks)).Put(0x188, Random(32, 6))
	m.Put(512, bytes.Repeat([]byte{0xff}, int(blocks*4)))
	used := uint32(0)
	disk.blocks(vdiBlock, func(i int64, b []byte) {
		m.U32(le, 512+i*4, used).Append(b)
		used++
	})
	return m.U32(le, 0x184, used)
}

func vdiGood() *Image { return vdi(debianGuest(), 1) }

func vdiCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all, Case{Name: "vdi/good/" + g.name, Image: vdi(g.disk(), 1), Disk: "vdi", VirtualSize: guestSize, Qemu: "vdi"}.with(g.facts))
	}
	good := vdiGood()
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vdi", name, code, good, change))
	}
	for _, kind := range []uint32{0, 3, 4, 0xffffffff} {
		add(fmt.Sprintf("type-%d", kind), "parent", func(m *Image) { m.U32(le, 0x4c, kind) })
	}
	add("link-uuid", "parent", func(m *Image) { m.Put(0x1a8, Random(16, 1)) })
	add("parent-uuid", "parent", func(m *Image) { m.Put(0x1b8, Random(16, 1)) })
	add("version-2", "unknown_feature", func(m *Image) { m.U32(le, 0x44, 0x20000) })
	for _, n := range []uint32{0, 4096, 2 << 20, 1 << 31} {
		add(fmt.Sprintf("block-size-%d", n), "malformed", func(m *Image) { m.U32(le, 0x178, n) })
	}
	add("sector-size-4096", "malformed", func(m *Image) { m.U32(le, 0x168, 4096) })
	add("size-0", "virtual_size", func(m *Image) { m.U64(le, 0x170, 0) })
	add("size-2^63", "virtual_size", func(m *Image) { m.U64(le, 0x170, 1<<63) })
	add("size-larger-than-map", "malformed", func(m *Image) { m.U64(le, 0x170, 1<<40) })
	add("used-more-than-blocks", "malformed", func(m *Image) { m.U32(le, 0x184, 100) })
	add("map-at-0", "malformed", func(m *Image) { m.U32(le, 0x154, 0) })
	add("map-past-end", "malformed", func(m *Image) { m.U32(le, 0x154, 1<<31) })
	add("data-in-map", "malformed", func(m *Image) { m.U32(le, 0x158, 512) })
	add("data-past-end", "truncated", func(m *Image) { m.U32(le, 0x158, 1<<31) })
	add("block-past-end", "truncated", func(m *Image) { m.U32(le, 512, 1000) })
	add("block-4G", "truncated", func(m *Image) { m.U32(le, 512, 0xfffffff0) })
	add("blocks-4G", "malformed", func(m *Image) { m.U32(le, 0x180, 0xffffffff) })
	for _, n := range []int64{100, 400, 512, 1024, 1 << 20} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	all = append(all, Case{Name: "vdi/bad/nested-qcow2", Image: vdi(QCOW2{ClusterBits: 12}.Make(biosGuest()), 1), Disk: "vdi", Code: "nested_format"})
	return all
}
