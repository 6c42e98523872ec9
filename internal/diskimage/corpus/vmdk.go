package corpus

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
)

// VMDK says how to write a VMDK.
type VMDK struct {
	Stream     bool   // streamOptimized: compressed grains, and the directory in a footer
	Descriptor string // in place of the right one; %d is the number of sectors
}

const vmdkDescriptor = `# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="%TYPE%"

# Extent description
RW %d SPARSE "disk.vmdk"

# The Disk Data Base
#DDB
ddb.virtualHWVersion = "4"
ddb.adapterType = "ide"
`

const grain = 64 << 10

// Make writes the disk. Sectors: 0 header, 1 to 20 descriptor, then grain directory, tables, and grains.
func (v VMDK) Make(disk *Image) *Image {
	kind := "monolithicSparse"
	if v.Stream {
		kind = "streamOptimized"
	}
	text := v.Descriptor
	if text == "" {
		text = strings.Replace(vmdkDescriptor, "%TYPE%", kind, 1)
	}
	if strings.Contains(text, "%d") {
		text = fmt.Sprintf(text, disk.size/sector)
	}
	tables := (disk.size + grain*512 - 1) / (grain * 512)
	header := vmdkHeader(disk.size/sector, v.Stream)
	m := NewImage(0)
	if v.Stream {
		m.Put(0, header).U64(le, 56, 1<<64-1).Put(512, []byte(text)).Truncate(vmdkOverhead(disk.size/sector) * sector)
		entries := make([][]byte, tables)
		disk.blocks(grain, func(i int64, data []byte) {
			t := i / 512
			if entries[t] == nil {
				entries[t] = make([]byte, 2048)
			}
			le.PutUint32(entries[t][i%512*4:], uint32(m.size/sector))
			var buf bytes.Buffer
			w := zlib.NewWriter(&buf)
			w.Write(data)
			w.Close()
			marker := make([]byte, 12)
			le.PutUint64(marker, uint64(i*128))
			le.PutUint32(marker[8:], uint32(buf.Len()))
			m.Append(append(marker, buf.Bytes()...))
			m.Truncate((m.size + 511) &^ 511)
		})
		directory := make([]byte, (tables*4+511)&^511)
		for t, e := range entries {
			if e == nil {
				continue
			}
			m.marker(4, 1)
			le.PutUint32(directory[t*4:], uint32(m.size/sector))
			m.Append(e)
		}
		m.marker(uint64(len(directory)/sector), 2)
		at := m.size / sector
		m.Append(directory)
		m.marker(1, 3)
		m.Append(FromBytes(header).U64(le, 56, uint64(at)).Bytes())
		return m.Append(make([]byte, sector))
	}
	m.Put(0, header).U64(le, 56, 21).Put(512, []byte(text))
	at := int64(21) + (tables*4+511)/512
	directory := make([]byte, tables*4)
	for t := range tables {
		le.PutUint32(directory[t*4:], uint32(at+t*4))
	}
	m.Put(21*sector, directory)
	m.Truncate(vmdkOverhead(disk.size/sector) * sector)
	disk.blocks(grain, func(i int64, data []byte) {
		m.U32(le, (at+i/512*4)*sector+i%512*4, uint32(m.size/sector))
		m.Append(data)
	})
	return m
}

func vmdkHeader(sectors int64, stream bool) []byte {
	h := NewImage(sector).Put(0, []byte("KDMV")).U32(le, 4, 1).U32(le, 8, 1).U64(le, 12, uint64(sectors)).U64(le, 20, grain/sector)
	h.U64(le, 28, 1).U64(le, 36, 20).U32(le, 44, 512).U64(le, 64, uint64(vmdkOverhead(sectors))).Put(73, []byte("\n \r\n"))
	if stream {
		h.U32(le, 4, 3).U32(le, 8, 0x30001).U16(le, 77, 1)
	}
	return h.Bytes()
}

// vmdkOverhead is the sector where grains begin: behind the descriptor, the grain directory and the grain tables.
func vmdkOverhead(sectors int64) int64 {
	tables := (sectors + 512*grain/sector - 1) / (512 * grain / sector)
	return (21 + (tables*4+511)/512 + tables*4 + 127) &^ 127
}

// marker writes a metadata marker of a stream.
func (m *Image) marker(sectors uint64, kind uint32) {
	at := m.size
	m.Append(make([]byte, sector)).U64(le, at, sectors).U32(le, at+12, kind)
}

func vmdkGood() *Image { return VMDK{}.Make(debianGuest()) }

func vmdkCases() []Case {
	var all []Case
	for _, g := range guests {
		all = append(all,
			Case{Name: "vmdk/good/sparse-" + g.name, Image: VMDK{}.Make(g.disk()), Disk: "vmdk", VirtualSize: guestSize, Qemu: "vmdk"}.with(g.facts),
			Case{Name: "vmdk/good/stream-" + g.name, Image: VMDK{Stream: true}.Make(g.disk()), Disk: "vmdk", VirtualSize: guestSize, Qemu: "vmdk"}.with(g.facts))
	}
	crlf := strings.ReplaceAll(strings.Replace(vmdkDescriptor, "%TYPE%", "monolithicSparse", 1), "\n", "\r\n")
	all = append(all, Case{Name: "vmdk/odd/descriptor-with-CRLF", Image: VMDK{Descriptor: crlf}.Make(debianGuest()), Disk: "vmdk", VirtualSize: guestSize}.with(guests[3].facts))

	descriptor := func(name, code, old, new string) {
		text := strings.Replace(vmdkDescriptor, "%TYPE%", "monolithicSparse", 1)
		if !strings.Contains(text, old) {
			panic(old)
		}
		all = append(all, Case{Name: "vmdk/bad/" + name, Image: VMDK{Descriptor: strings.Replace(text, old, new, 1)}.Make(biosGuest()), Disk: "vmdk", Code: code})
	}
	for _, kind := range []string{"monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "vmfsSparse", "fullDevice", "partitionedDevice", "custom", ""} {
		descriptor("createType-"+kind, "unsupported_subtype", `"monolithicSparse"`, `"`+kind+`"`)
	}
	descriptor("no-createType", "unsupported_subtype", "createType", "otherType")
	descriptor("second-createType-in-a-comment", "unsupported_subtype", "# Extent", "# createType=\"monolithicFlat\"\n# Extent")
	descriptor("parentCID", "parent", "ffffffff", "deadbeef")
	descriptor("second-parentCID", "parent", "# Extent", "parentCID=12345678\n# Extent")
	descriptor("parentFileNameHint", "parent", "# Extent", "parentFileNameHint=\"/etc/passwd\"\n# Extent")
	descriptor("parentfilenamehint-in-small-letters", "parent", "# Extent", "PARENTfilenamehint=\"/etc/passwd\"\n# Extent")
	descriptor("flat-extent", "external_extent", `SPARSE "disk.vmdk"`, `FLAT "/etc/passwd" 0`)
	descriptor("flat-extent-without-path", "external_extent", `SPARSE "disk.vmdk"`, `FLAT "disk-flat.vmdk" 0`)
	descriptor("extent-with-path", "external_extent", `"disk.vmdk"`, `"/var/lib/other.vmdk"`)
	descriptor("extent-with-dots", "external_extent", `"disk.vmdk"`, `"../other.vmdk"`)
	descriptor("extent-with-backslash", "external_extent", `"disk.vmdk"`, `"C:\\other.vmdk"`)
	descriptor("extent-with-protocol", "external_extent", `"disk.vmdk"`, `"nbd:localhost:1"`)
	descriptor("two-extents", "external_extent", "# The Disk", "RW 100 SPARSE \"other.vmdk\"\n# The Disk")
	descriptor("second-extent-read-only", "external_extent", "# The Disk", "RDONLY 100 FLAT \"other\" 0\n# The Disk")
	descriptor("no-extent", "external_extent", "RW ", "#RW ")
	descriptor("vmfs-extent", "external_extent", "SPARSE", "VMFS")
	descriptor("zero-extent", "external_extent", "SPARSE", "ZERO")
	descriptor("bytes-after-the-end", "malformed", "#DDB", "#DDB\x00createType=\"monolithicFlat\"")

	good, stream := vmdkGood(), VMDK{Stream: true}.Make(debianGuest())
	add := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vmdk", name, code, good, change))
	}
	add("capacity-0", "virtual_size", func(m *Image) { m.U64(le, 12, 0) })
	add("capacity-2^63", "virtual_size", func(m *Image) { m.U64(le, 12, 1<<63) })
	add("capacity-overflow", "virtual_size", func(m *Image) { m.U64(le, 12, 1<<55+8) })
	add("capacity-2^40-sectors", "virtual_size", func(m *Image) { m.U64(le, 12, 1<<40) })
	for _, n := range []uint64{0, 3, 127, 8192, 1 << 63} {
		add(fmt.Sprintf("grain-%d", n), "malformed", func(m *Image) { m.U64(le, 20, n) })
	}
	add("grain-tables-of-0", "malformed", func(m *Image) { m.U32(le, 44, 0) })
	add("grain-tables-of-4G", "malformed", func(m *Image) { m.U32(le, 44, 0xffffffff) })
	add("descriptor-at-0", "unsupported_subtype", func(m *Image) { m.U64(le, 28, 0) })
	add("descriptor-at-2", "unsupported_subtype", func(m *Image) { m.U64(le, 28, 2) })
	add("descriptor-past-end", "unsupported_subtype", func(m *Image) { m.U64(le, 28, 1<<50) })
	add("descriptor-of-0-sectors", "malformed", func(m *Image) { m.U64(le, 36, 0) })
	add("descriptor-of-1-GiB", "malformed", func(m *Image) { m.U64(le, 36, 2<<20) })
	add("descriptor-longer-than-file", "truncated", func(m *Image) { m.U64(le, 36, 2048).Truncate(100 << 10) })
	add("directory-at-0", "truncated", func(m *Image) { m.U64(le, 56, 0) })
	add("directory-past-end", "truncated", func(m *Image) { m.U64(le, 56, 1<<30) })
	add("directory-at-2^63", "truncated", func(m *Image) { m.U64(le, 56, 1<<63) })
	add("overhead-past-end", "truncated", func(m *Image) { m.U64(le, 64, 1<<30) })
	add("grain-table-past-end", "truncated", func(m *Image) { m.U32(le, 21*sector, 0xfffffff0) })
	add("grain-past-end", "truncated", func(m *Image) { m.U32(le, 22*sector, 0xfffffff0) })
	add("directory-at-end-without-footer", "truncated", func(m *Image) { m.U64(le, 56, 1<<64-1) })
	for _, n := range []int64{4, 511, 512, 8192, 11264, 65536} {
		add(fmt.Sprintf("cut-to-%d", n), "truncated", func(m *Image) { m.Truncate(n) })
	}
	add("cut-in-the-last-quarter", "truncated", func(m *Image) { m.Truncate(m.size * 3 / 4) })
	add("declared-raw", "format_mismatch", func(m *Image) {})
	all[len(all)-1].Disk = "raw"
	addStream := func(name, code string, change func(m *Image)) {
		all = append(all, bad("vmdk", "stream-"+name, code, stream, change))
	}
	addStream("cut", "truncated", func(m *Image) { m.Truncate(m.size / 2 &^ 511) })
	addStream("without-end", "truncated", func(m *Image) { m.Truncate(m.size - sector) })
	addStream("footer-type", "truncated", func(m *Image) { m.U32(le, m.size-1536+12, 7) })
	addStream("footer-other-capacity", "corrupt", func(m *Image) { m.U64(le, m.size-1024+12, 1<<20) })
	addStream("footer-directory-at-end", "corrupt", func(m *Image) { m.U64(le, m.size-1024+56, 1<<64-1) })
	addStream("footer-directory-past-end", "truncated", func(m *Image) { m.U64(le, m.size-1024+56, 1<<40) })
	addStream("grain-of-4G", "corrupt", func(m *Image) { m.U32(le, 128*sector+8, 0xffffffff) })
	addStream("grain-of-300-KiB", "corrupt", func(m *Image) {
		{
			end := m.Bytes()[m.size-1536:]
			m.U32(le, 128*sector+8, 300<<10).Truncate(m.size + 400<<10).Append(end)
		}
	})
	addStream("grain-garbage", "corrupt", func(m *Image) { m.Put(128*sector+12, []byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	all = append(all, Case{Name: "vmdk/bad/nested-qcow2", Image: VMDK{}.Make(QCOW2{ClusterBits: 12}.Make(biosGuest())), Disk: "vmdk", Code: "nested_format"})
	return all
}
