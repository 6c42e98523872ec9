package corpus

import (
	"bytes"
	"compress/flate"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// blocks calls f with the blocks of a disk that are not all zeros, in order.
func (m *Image) blocks(size int, f func(i int64, data []byte)) {
	touched := map[int64]bool{}
	for _, p := range m.parts {
		for i := p.off / int64(size); i*int64(size) < min(p.off+int64(len(p.data)), m.size); i++ {
			touched[i] = true
		}
	}
	zero := make([]byte, size)
	for _, i := range slices.Sorted(maps.Keys(touched)) {
		b := make([]byte, size)
		n, _ := m.ReadAt(b, i*int64(size))
		if n > 0 && !bytes.Equal(b, zero) {
			f(i, b)
		}
	}
}

// QCOW2 says how to write a qcow2 image.
type QCOW2 struct {
	Version     uint32 // default 3
	ClusterBits uint32 // default 16
	Compress    string // "", "zlib" or "zstd"
	ExtendedL2  bool
	Extension   []byte // header extensions
}

// Make writes the disk as a qcow2 image: header, refcount table and block, L1 table, then L2 tables and clusters in order.
func (q QCOW2) Make(disk *Image) *Image {
	if q.Version == 0 {
		q.Version = 3
	}
	if q.ClusterBits == 0 {
		q.ClusterBits = 16
	}
	cluster := int64(1) << q.ClusterBits
	entry := int64(8)
	if q.ExtendedL2 {
		entry = 16
	}
	perL2 := cluster / entry
	l1Entries := (disk.size + cluster*perL2 - 1) / (cluster * perL2)
	l1Clusters := (l1Entries*8 + cluster - 1) / cluster
	blockEntries := cluster / 2 // refcounts of 16 bits

	m := NewImage(0).Put(0, []byte("QFI\xfb")).U32(be, 4, q.Version).U32(be, 20, q.ClusterBits).U64(be, 24, uint64(disk.size))
	m.U32(be, 36, uint32(l1Entries))
	next := int64(1) // cluster
	table := next    // one cluster of refcount table
	next++
	l1 := next
	next += l1Clusters
	m.U64(be, 40, uint64(l1*cluster)).U64(be, 48, uint64(table*cluster)).U32(be, 56, 1)
	end := int64(72)
	if q.Version == 3 {
		features := uint64(0)
		if q.Compress == "zstd" {
			features |= 8
		}
		if q.ExtendedL2 {
			features |= 16
		}
		m.U64(be, 72, features).U32(be, 96, 4).U32(be, 100, 112)
		if q.Compress == "zstd" {
			m.Put(104, []byte{1})
		}
		end = 112
	}
	m.Put(end, q.Extension)
	m.Truncate(next * cluster)

	l2s := map[int64]int64{}
	packedAt := int64(0)
	shared := map[int64]uint16{} // further uses of clusters that hold several compressed ones
	disk.blocks(int(cluster), func(i int64, data []byte) {
		l2, ok := l2s[i/perL2]
		if !ok {
			l2 = next
			next++
			l2s[i/perL2] = l2
			m.U64(be, l1*cluster+i/perL2*8, 1<<63|uint64(l2*cluster))
			m.Truncate(max(m.size, next*cluster))
		}
		at := l2*cluster + i%perL2*entry
		if q.Compress == "" {
			m.U64(be, at, 1<<63|uint64(next*cluster)).Put(next*cluster, data)
			if q.ExtendedL2 {
				m.U64(be, at+8, 0xffffffff)
			}
			next++
			return
		}
		packed := pack(data, q.Compress)
		if packedAt%cluster == 0 || packedAt/cluster != (packedAt+int64(len(packed)))/cluster || packedAt/cluster != next-1 {
			packedAt = next * cluster
			next += (int64(len(packed)) + cluster - 1) / cluster
		} else {
			shared[packedAt/cluster]++
		}
		shift := 62 - (q.ClusterBits - 8)
		sectors := (packedAt%512 + int64(len(packed)) + 511) / 512
		m.U64(be, at, 1<<62|uint64(sectors-1)<<shift|uint64(packedAt)).Put(packedAt, packed)
		packedAt += int64(len(packed))
	})
	// one refcount block for each blockEntries clusters, after everything else; the blocks count themselves
	blocks := int64(1)
	for (next+blocks+blockEntries-1)/blockEntries > blocks {
		blocks++
	}
	if blocks*8 > cluster {
		panic(fmt.Sprintf("qcow2 of %d clusters needs more refcount table", next))
	}
	for b := range blocks {
		m.U64(be, table*cluster+b*8, uint64((next+b)*cluster))
		counts := make([]byte, cluster)
		for i := range blockEntries {
			if b*blockEntries+i < next+blocks {
				be.PutUint16(counts[i*2:], 1+shared[b*blockEntries+i])
			}
		}
		m.Put((next+b)*cluster, counts)
	}
	return m
}

func pack(data []byte, method string) []byte {
	var buf bytes.Buffer
	if method == "zstd" {
		w, err := zstd.NewWriter(&buf)
		if err != nil {
			panic(err)
		}
		w.Write(data)
		w.Close()
		return buf.Bytes()
	}
	w, err := flate.NewWriter(&buf, flate.BestSpeed)
	if err != nil {
		panic(err)
	}
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

func extension(kind uint32, data string) []byte {
	b := make([]byte, 8+(len(data)+7)&^7)
	be.PutUint32(b, kind)
	be.PutUint32(b[4:], uint32(len(data)))
	copy(b[8:], data)
	return b
}

func qcow2Cases() []Case {
	var all []Case
	for _, kind := range []struct {
		name string
		q    QCOW2
	}{
		{"v2", QCOW2{Version: 2}}, {"v3", QCOW2{}}, {"zlib", QCOW2{Compress: "zlib"}}, {"v2-zlib", QCOW2{Version: 2, Compress: "zlib"}}, {"zstd", QCOW2{Compress: "zstd"}},
		{"extended-l2", QCOW2{ExtendedL2: true}}, {"extended-l2-16k", QCOW2{ExtendedL2: true, ClusterBits: 14}},
		{"4k-clusters", QCOW2{ClusterBits: 12}}, {"2m-clusters", QCOW2{ClusterBits: 21}}, {"2m-clusters-zlib", QCOW2{ClusterBits: 21, Compress: "zlib"}},
		{"backing-format-extension", QCOW2{Extension: extension(0xe2792aca, "raw")}}, {"feature-names", QCOW2{Extension: extension(0x6803f857, string(make([]byte, 96)))}},
		{"unknown-extension", QCOW2{Extension: extension(0x12345678, "harmless")}},
	} {
		for _, g := range guests {
			all = append(all, Case{Name: "qcow2/good/" + kind.name + "-" + g.name, Image: kind.q.Make(g.disk()), Disk: "qcow2", VirtualSize: guestSize, Qemu: "qcow2"}.with(g.facts))
		}
	}
	all = append(all, Case{Name: "qcow2/good/512-byte-clusters", Image: QCOW2{ClusterBits: 9}.Make(NewImage(64<<10).Put(0, Random(512, 1))), Disk: "qcow2", VirtualSize: 64 << 10, Qemu: "qcow2"})
	good := QCOW2{}.Make(debianGuest())
	dirty := good.Clone().U64(be, 72, 1)
	all = append(all, Case{Name: "qcow2/odd/dirty", Image: dirty, Disk: "qcow2", VirtualSize: guestSize}.with(guests[3].facts))
	all = append(all, Case{Name: "qcow2/odd/lazy-refcounts", Image: good.Clone().U64(be, 80, 1), Disk: "qcow2", VirtualSize: guestSize, Qemu: "qcow2"}.with(guests[3].facts))

	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("qcow2", name, code, good, change))
	}
	add("backing-file", "backing_file", func(m *Image) { m.U64(be, 8, 200).U32(be, 16, 11).Put(200, []byte("/etc/passwd")) })
	add("backing-file-of-length-0", "backing_file", func(m *Image) { m.U64(be, 8, 200) })
	add("backing-file-past-header", "backing_file", func(m *Image) { m.U64(be, 8, 1<<40).U32(be, 16, 5) })
	add("backing-file-json", "backing_file", func(m *Image) {
		m.U64(be, 8, 200).U32(be, 16, 40).Put(200, []byte(`json:{"file.filename":"/proc/self/environ"}`))
	})
	add("backing-length-without-offset", "backing_file", func(m *Image) { m.U32(be, 16, 1023) })
	add("data-file-bit", "external_data_file", func(m *Image) { m.U64(be, 72, 4) })
	add("data-file-name", "external_data_file", func(m *Image) { m.Put(112, extension(0x44415441, "/etc/shadow")) })
	add("corrupt-bit", "corrupt", func(m *Image) { m.U64(be, 72, 2) })
	for _, bit := range []int{5, 6, 17, 63} {
		add(fmt.Sprintf("unknown-feature-%d", bit), "unknown_feature", func(m *Image) { m.U64(be, 72, 1<<bit) })
	}
	add("encrypted-aes", "encrypted", func(m *Image) { m.U32(be, 32, 1) })
	add("encrypted-luks", "encrypted", func(m *Image) { m.U32(be, 32, 2) })
	add("encryption-header", "encrypted", func(m *Image) { m.Put(112, extension(0x0537be77, "0123456789abcdef")) })
	for _, bits := range []uint32{0, 8, 22, 30, 63, 1 << 31} {
		add(fmt.Sprintf("cluster-bits-%d", bits), "malformed", func(m *Image) { m.U32(be, 20, bits) })
	}
	for _, n := range []uint32{0, 72, 103, 105, 65544, 1 << 31} {
		add(fmt.Sprintf("header-length-%d", n), "malformed", func(m *Image) { m.U32(be, 100, n) })
	}
	add("compression-type-without-bit", "unknown_feature", func(m *Image) { m.Put(104, []byte{1}) })
	add("compression-bit-without-type", "unknown_feature", func(m *Image) { m.U64(be, 72, 8) })
	add("compression-type-9", "unknown_feature", func(m *Image) { m.U64(be, 72, 8).Put(104, []byte{9}) })
	add("refcount-order-7", "malformed", func(m *Image) { m.U32(be, 96, 7) })
	add("extension-too-long", "malformed", func(m *Image) { m.U32(be, 112, 0x12345678).U32(be, 116, 1<<20) })
	add("extension-of-4-GiB", "malformed", func(m *Image) { m.U32(be, 112, 0x12345678).U32(be, 116, 0xffffffff) })
	add("too-many-extensions", "malformed", func(m *Image) {
		for i := int64(0); i < 4000; i++ {
			m.U32(be, 112+i*8, 0x12345678)
		}
	})
	add("size-0", "virtual_size", func(m *Image) { m.U64(be, 24, 0) })
	add("size-2^63", "virtual_size", func(m *Image) { m.U64(be, 24, 1<<63) })
	add("size-2^64-1", "virtual_size", func(m *Image) { m.U64(be, 24, 1<<64-1) })
	add("size-2^47", "virtual_size", func(m *Image) { m.U64(be, 24, 1<<47) })
	add("size-larger-than-l1", "malformed", func(m *Image) { m.U64(be, 24, 1<<40) })
	add("l1-4G-entries", "malformed", func(m *Image) { m.U32(be, 36, 0xffffffff) })
	add("l1-0-entries", "malformed", func(m *Image) { m.U32(be, 36, 0) })
	add("l1-32-MiB-in-a-small-file", "truncated", func(m *Image) { m.U32(be, 36, 4<<20) })
	add("l1-unaligned", "malformed", func(m *Image) { m.U64(be, 40, 131072+8) })
	add("l1-at-0", "malformed", func(m *Image) { m.U64(be, 40, 0) })
	add("l1-past-end", "truncated", func(m *Image) { m.U64(be, 40, 1<<40) })
	add("l1-at-2^63", "truncated", func(m *Image) { m.U64(be, 40, 1<<63) })
	add("l1-entry-past-end", "truncated", func(m *Image) { m.U64(be, 131072, 1<<63|1<<40) })
	add("l1-entry-unaligned", "corrupt", func(m *Image) { m.U64(be, 131072, 1<<63|(131072+512)) })
	add("l2-entry-past-end", "truncated", func(m *Image) { m.U64(be, 196608, 1<<63|1<<40) })
	add("l2-entry-unaligned", "corrupt", func(m *Image) { m.U64(be, 196608, 1<<63|(262144+512)) })
	add("l2-compressed-past-end", "truncated", func(m *Image) { m.U64(be, 196608, 1<<62|1<<40) })
	add("l2-compressed-garbage", "corrupt", func(m *Image) { m.U64(be, 196608, 1<<62|327680).Put(327680, []byte{0xff, 0xff, 0xff, 0xff}) })
	add("refcount-table-past-end", "truncated", func(m *Image) { m.U64(be, 48, 1<<40) })
	add("refcount-table-at-0", "malformed", func(m *Image) { m.U64(be, 48, 0) })
	add("refcount-table-of-0-clusters", "malformed", func(m *Image) { m.U32(be, 56, 0) })
	add("refcount-table-of-4G-clusters", "malformed", func(m *Image) { m.U32(be, 56, 0xffffffff) })
	add("refcount-block-past-end", "truncated", func(m *Image) { m.U64(be, 65536, 1<<40) })
	add("refcount-block-unaligned", "corrupt", func(m *Image) { m.U64(be, 65536, 65536+512) })
	add("snapshots-65537", "malformed", func(m *Image) { m.U32(be, 60, 65537).U64(be, 64, 65536) })
	add("snapshot-table-past-end", "truncated", func(m *Image) { m.U32(be, 60, 1).U64(be, 64, 1<<40) })
	add("version-4", "unknown_feature", func(m *Image) { m.U32(be, 4, 4) })
	add("version-0", "unknown_feature", func(m *Image) { m.U32(be, 4, 0) })
	for _, n := range []int64{4, 71, 72, 104, 512, 65536, 131072, 131073, 196608, 262144, 524288} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("cut-in-the-last-quarter", "truncated", func(m *Image) { m.Truncate(m.size * 3 / 4 &^ 511) })
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	add("declared-vmdk", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "vmdk"
	for _, inner := range []struct {
		name string
		m    *Image
	}{{"qcow2", good}, {"vmdk", vmdkGood()}, {"vhdx", vhdxGood()}, {"vdi", vdiGood()}, {"text-vmdk", FromBytes([]byte("# Disk DescriptorFile\nversion=1\nRW 63 FLAT \"/etc/passwd\" 0\n")).Truncate(4096)}} {
		all = append(all, Case{Name: "qcow2/bad/nested-" + inner.name, Image: QCOW2{}.Make(inner.m), Disk: "qcow2", Code: "nested_format"})
	}
	all = append(all, Case{Name: "qcow2/bad/nested-luks", Image: QCOW2{}.Make(luksImage(1)), Disk: "qcow2", Code: "encrypted"})
	return all
}
