package corpus

import "fmt"

const ploopCluster = 1 << 20

func ploop(disk *Image, extended bool) *Image {
	entries := (disk.size + ploopCluster - 1) / ploopCluster
	m := NewImage((64+entries*4+ploopCluster-1)/ploopCluster*ploopCluster).Put(0, []byte("WithoutFreeSpace"))
	unit := int64(sector)
	if extended {
		m.Put(0, []byte("WithouFreSpacExt"))
		unit = ploopCluster
	}
	m.U32(le, 16, 2).U32(le, 20, 16).U32(le, 24, uint32(disk.size/sector/16/32)).U32(le, 28, ploopCluster/sector).U32(le, 32, uint32(entries)).U64(le, 36, uint64(disk.size/sector))
	m.U32(le, 48, ploopCluster/sector)
	disk.blocks(ploopCluster, func(i int64, data []byte) {
		m.U32(le, 64+i*4, uint32(m.size/unit)).Append(data)
	})
	return m
}

func ploopCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all,
			Case{Name: "ploop/good/" + g.name, Image: ploop(g.disk(), true), Disk: "ploop", VirtualSize: guestSize, Qemu: "parallels"}.with(g.facts),
			Case{Name: "ploop/good/old-" + g.name, Image: ploop(g.disk(), false), Disk: "ploop", VirtualSize: guestSize, Qemu: "parallels"}.with(g.facts))
	}
	good := ploop(debianGuest(), true)
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("ploop", name, code, good, change))
	}
	add("version-3", "unknown_feature", func(m *Image) { m.U32(le, 16, 3) })
	add("size-0", "virtual_size", func(m *Image) { m.U64(le, 36, 0) })
	add("size-2^63", "virtual_size", func(m *Image) { m.U64(le, 36, 1<<63) })
	add("size-2^56-sectors", "virtual_size", func(m *Image) { m.U64(le, 36, 1<<56) })
	add("size-larger-than-table", "malformed", func(m *Image) { m.U64(le, 36, 1<<32) })
	add("cluster-0", "malformed", func(m *Image) { m.U32(le, 28, 0) })
	add("cluster-4G", "malformed", func(m *Image) { m.U32(le, 28, 0xffffffff) })
	add("entries-0", "malformed", func(m *Image) { m.U32(le, 32, 0) })
	add("entries-4G", "malformed", func(m *Image) { m.U32(le, 32, 0xffffffff) })
	add("entries-64M-in-a-small-file", "truncated", func(m *Image) { m.U32(le, 32, 64<<20) })
	add("entry-past-end", "truncated", func(m *Image) { m.U32(le, 64, 1000) })
	add("entry-4G", "truncated", func(m *Image) { m.U32(le, 64, 0xffffffff) })
	for _, n := range []int64{16, 63, 80, 1 << 20, 2 << 20} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	all = append(all, Case{Name: "ploop/bad/nested-qcow2", Image: ploop(QCOW2{ClusterBits: 12}.Make(biosGuest()), true), Disk: "ploop", Code: "nested_format"})
	return all
}
