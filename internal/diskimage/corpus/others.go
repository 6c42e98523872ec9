package corpus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

func luksImage(version uint16) *Image {
	m := NewImage(4<<20).Put(0, []byte("LUKS\xba\xbe")).U16(be, 6, version).Put(4096, Random(4096, 12))
	if version == 1 {
		m.Put(8, []byte("aes")).U32(be, 104, 4096)
	} else {
		m.U64(be, 8, 16384)
	}
	return m
}

func luksCases() []Case {
	const key = "8f2c2f5a-0000-4000-8000-000000000001"
	return []Case{
		{Name: "luks/good/v1-with-key-declared-raw", Image: luksImage(1), Disk: "raw", KeyID: key, VirtualSize: 4<<20 - 4096*sector},
		{Name: "luks/good/v1-with-key", Image: luksImage(1), Disk: "luks", KeyID: key, VirtualSize: 4<<20 - 4096*sector},
		{Name: "luks/good/v2-with-key-declared-raw", Image: luksImage(2), Disk: "raw", KeyID: key, VirtualSize: 4 << 20},
		{Name: "luks/bad/v1-declared-raw", Image: luksImage(1), Disk: "raw", Code: "format_mismatch"},
		{Name: "luks/bad/v1", Image: luksImage(1), Disk: "luks", Code: "encrypted"},
		{Name: "luks/bad/v2", Image: luksImage(2), Disk: "luks", Code: "encrypted"},
		{Name: "luks/bad/v3", Image: luksImage(3), Disk: "luks", KeyID: key, Code: "unknown_feature"},
		{Name: "luks/bad/payload-past-end", Image: luksImage(1).U32(be, 104, 0xffffffff), Disk: "luks", KeyID: key, Code: "truncated"},
		{Name: "luks/bad/cut", Image: luksImage(1).Truncate(100), Disk: "luks", KeyID: key, Code: "truncated"},
	}
}

// machineCases are the parts of an Amazon machine image: kernel, RAM disk, file system.
func machineCases() []Case {
	bzImage := NewImage(64<<10).Put(0, bootCode).Put(510, []byte{0x55, 0xaa}).Put(0x202, []byte("HdrS")).Put(446, Random(64, 3))
	arm := NewImage(64<<10).Put(0, []byte("MZ")).Put(0x38, []byte("ARM\x64"))
	elf := NewImage(64<<10).Put(0, []byte("\x7fELF\x02\x01\x01"))
	cpio := FromBytes([]byte("07070100000001")).Truncate(4096)
	return []Case{
		{Name: "aki/good/bzImage", Image: bzImage, Disk: "aki", Container: "aki", VirtualSize: 64 << 10},
		{Name: "aki/good/arm64", Image: arm, Disk: "aki", Container: "aki"},
		{Name: "aki/good/elf", Image: elf, Disk: "aki", Container: "aki"},
		{Name: "aki/odd/bzImage-declared-raw", Image: bzImage, Disk: "raw"},
		{Name: "aki/bad/random", Image: FromBytes(Random(4096, 1)), Disk: "aki", Container: "aki", Code: "format_mismatch"},
		{Name: "aki/bad/qcow2", Image: QCOW2{}.Make(biosGuest()), Disk: "aki", Container: "aki", Code: "format_mismatch"},
		{Name: "ari/good/cpio", Image: cpio, Disk: "ari", Container: "ari"},
		{Name: "ari/good/gzip", Image: FromBytes(gzipped(cpio.Bytes())), Disk: "ari", Container: "ari"},
		{Name: "ari/good/xz", Image: FromBytes(append([]byte("\xfd7zXZ\x00"), Random(100, 1)...)), Disk: "ari", Container: "ari"},
		{Name: "ari/good/zstd", Image: FromBytes(zstandard(cpio.Bytes())), Disk: "ari", Container: "ari"},
		{Name: "ari/good/lz4", Image: FromBytes(append([]byte("\x02\x21\x4c\x18"), Random(100, 1)...)), Disk: "ari", Container: "ari"},
		{Name: "ari/bad/random", Image: FromBytes(Random(4096, 1)), Disk: "ari", Container: "ari", Code: "format_mismatch"},
		{Name: "ari/bad/zip", Image: FromBytes(append([]byte("PK\x03\x04"), Random(4096, 1)...)), Disk: "ari", Container: "ari", Code: "format_mismatch"},
		{Name: "ari/bad/vmdk", Image: vmdkGood(), Disk: "ari", Container: "ari", Code: "format_mismatch"},
		{Name: "ami/good/ext4", Image: FromBytes(ext4Image(4<<20, debianRelease)), Disk: "ami", Container: "ami", OS: "linux debian 12"},
		{Name: "ami/good/xfs-magic", Image: NewImage(1<<20).Put(0, []byte("XFSB")), Disk: "ami", Container: "ami"},
		{Name: "ami/good/btrfs-magic", Image: NewImage(1<<20).Put(65600, []byte("_BHRfS_M")), Disk: "ami", Container: "ami"},
		{Name: "ami/odd/random", Image: FromBytes(Random(4096, 1)), Disk: "ami", Container: "ami"},
		{Name: "ami/bad/qcow2", Image: QCOW2{}.Make(biosGuest()), Disk: "ami", Container: "ami", Code: "format_mismatch"},
		{Name: "ami/bad/gzip", Image: FromBytes(gzipped(Random(1000, 1))), Disk: "ami", Container: "ami", Code: "compressed"},
		{Name: "gpt/good/debian", Image: debianGuest(), Disk: "gpt", VirtualSize: guestSize, Arch: "x86_64", OS: "linux debian 12", Boots: true},
		{Name: "gpt/bad/random", Image: FromBytes(Random(4096, 1)), Disk: "gpt", Code: "format_mismatch"},
		{Name: "other/odd/unknown-disk-format", Image: FromBytes(Random(4096, 1)), Disk: "squashfs"},
		{Name: "other/bad/qcow2-as-unknown-disk-format", Image: QCOW2{}.Make(biosGuest()), Disk: "squashfs", Code: "format_mismatch"},
	}
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func zstandard(b []byte) []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		panic(err)
	}
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

const ovf = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f1" ovf:href="disk.vmdk" ovf:size="1"/></References>
<DiskSection><Info>disks</Info><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="8388608" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>vm</Info></VirtualSystem></Envelope>`

type archived struct {
	name string
	kind byte
	data []byte
}

func archive(members ...archived) *Image {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Format: tar.FormatUSTAR, Typeflag: m.kind}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		} else {
			h.Size, h.Linkname = 0, "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if m.kind == 0 {
			w.Write(m.data)
		}
	}
	w.Close()
	return FromBytes(buf.Bytes())
}

func archiveCases() []Case {
	stream := VMDK{Stream: true}.Make(debianGuest()).Bytes()
	good := archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", 0, stream})
	digest := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	manifest := func(sum string) []byte {
		return []byte("SHA256(vm.ovf)= " + sum + "\nSHA256(disk.vmdk)= " + digest(stream) + "\n")
	}
	all := []Case{
		Case{Name: "ova/good/debian", Image: good, Disk: "vmdk", Container: "ova", VirtualSize: guestSize}.with(guests[3].facts),
		Case{Name: "ova/good/as-ovf", Image: good, Disk: "vmdk", Container: "ovf", VirtualSize: guestSize}.with(guests[3].facts),
		Case{Name: "ova/good/manifest", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"vm.mf", 0, manifest(digest([]byte(ovf)))}, archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", VirtualSize: guestSize}.with(guests[3].facts),
		{Name: "ova/bad/declared-bare", Image: good, Disk: "vmdk", Code: "container_mismatch"},
		{Name: "ova/bad/declared-raw-bare", Image: good, Disk: "raw", Code: "container_mismatch"},
		{Name: "ova/bad/vmdk-declared-ova", Image: FromBytes(stream), Disk: "vmdk", Container: "ova", Code: "container_mismatch"},
		{Name: "ova/bad/random", Image: FromBytes(Random(4096, 1)), Disk: "vmdk", Container: "ova", Code: "container_mismatch"},
		{Name: "ova/bad/declared-qcow2", Image: good, Disk: "qcow2", Container: "ova", Code: "format_mismatch"},
		{Name: "ova/bad/manifest", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"vm.mf", 0, manifest(digest([]byte("other")))}, archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: "checksum"},
		{Name: "ova/bad/cut", Image: good.Clone().Truncate(20 << 10), Disk: "vmdk", Container: "ova", Code: "truncated"},
		{Name: "ova/bad/inner-vmdk-with-parent", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", 0, VMDK{Descriptor: "# Disk DescriptorFile\nversion=1\nparentCID=1\ncreateType=\"monolithicSparse\"\nRW %d SPARSE \"disk.vmdk\"\n"}.Make(biosGuest()).Bytes()}), Disk: "vmdk", Container: "ova", Code: "parent"},
		{Name: "ova/bad/inner-not-a-vmdk", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", 0, Random(4096, 1)}), Disk: "vmdk", Container: "ova", Code: "format_mismatch"},
		{Name: "ova/bad/link", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", tar.TypeSymlink, nil}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/hard-link", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", tar.TypeLink, nil}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/device", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", tar.TypeBlock, nil}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/twice", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"disk.vmdk", 0, stream[:1024]}, archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/member-with-path", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}, archived{"../disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/disk-missing", Image: archive(archived{"vm.ovf", 0, []byte(ovf)}), Disk: "vmdk", Container: "ova", Code: "outside_archive"},
		{Name: "ova/bad/huge-ovf", Image: archive(archived{"vm.ovf", 0, bytes.Repeat([]byte(" "), 2<<20)}, archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: "ovf"},
		{Name: "ova/bad/without-ovf", Image: archive(archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: "container_mismatch"},
		{Name: "ova/bad/tar-declared-raw", Image: archive(archived{"disk.raw", 0, Random(100, 1)}), Disk: "raw", Code: "compressed"},
		{Name: "ovf/bad/description-alone", Image: FromBytes([]byte(ovf)), Disk: "vmdk", Container: "ovf", Code: "outside_archive"},
		Case{Name: "ovf/odd/bare-disk", Image: FromBytes(stream), Disk: "vmdk", Container: "ovf", VirtualSize: guestSize}.with(guests[3].facts),
		{Name: "ovf/odd/packed", Image: FromBytes(gzipped(Random(100, 1))), Disk: "vhd", Container: "ovf"},
		{Name: "docker/odd/anything", Image: FromBytes(Random(4096, 1)), Disk: "raw", Container: "docker"},
	}
	for name, c := range map[string]struct{ old, new, code string }{
		"href-absolute":     {`"disk.vmdk"`, `"/etc/passwd"`, "outside_archive"},
		"href-dots":         {`"disk.vmdk"`, `"../disk.vmdk"`, "outside_archive"},
		"href-url":          {`"disk.vmdk"`, `"http://127.0.0.1/disk.vmdk"`, "outside_archive"},
		"href-elsewhere":    {`"disk.vmdk"`, `"other.vmdk"`, "outside_archive"},
		"two-disks":         {`</DiskSection>`, `<Disk fileRef="f1" capacity="1"/></DiskSection>`, "ovf"},
		"no-disk":           {`<Disk `, `<NoDisk `, "ovf"},
		"disk-without-file": {`fileRef="f1"`, `fileRef="f2"`, "ovf"},
		"parent":            {`ovf:diskId="d1"`, `ovf:diskId="d1" ovf:parentRef="d0"`, "parent"},
		"chunks":            {`ovf:size="1"`, `ovf:chunkSize="100"`, "ovf"},
		"compressed":        {`ovf:size="1"`, `ovf:compression="gzip"`, "ovf"},
		"doctype":           {`<Envelope`, `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Envelope`, "ovf"},
		"entity":            {`disks<`, `&e;<`, "ovf"},
		"not-xml":           {`</Envelope>`, `</Envelop`, "ovf"},
	} {
		text := string(bytes.Replace([]byte(ovf), []byte(c.old), []byte(c.new), 1))
		if text == ovf {
			panic(name)
		}
		all = append(all, Case{Name: "ova/bad/" + name, Image: archive(archived{"vm.ovf", 0, []byte(text)}, archived{"disk.vmdk", 0, stream}), Disk: "vmdk", Container: "ova", Code: c.code})
	}
	qcow2 := QCOW2{}.Make(biosGuest())
	all = append(all,
		Case{Name: "compressed/good/gzip-qcow2", Image: FromBytes(gzipped(qcow2.Bytes())), Disk: "qcow2", Container: "compressed"},
		Case{Name: "compressed/good/zstd-raw", Image: FromBytes(zstandard(biosGuest().Bytes())), Disk: "raw", Container: "compressed"},
		Case{Name: "compressed/bad/not-compressed", Image: qcow2, Disk: "qcow2", Container: "compressed", Code: "container_mismatch"},
		Case{Name: "compressed/bad/qcow2-declared-raw", Image: FromBytes(gzipped(qcow2.Bytes())), Disk: "raw", Container: "compressed", Code: "format_mismatch"},
		Case{Name: "compressed/bad/backing-file", Image: FromBytes(gzipped(qcow2.Clone().U64(be, 8, 200).U32(be, 16, 11).Bytes())), Disk: "qcow2", Container: "compressed", Code: "backing_file"},
		Case{Name: "compressed/bad/garbage", Image: FromBytes(append([]byte("\x1f\x8b\x08"), Random(1000, 3)...)), Disk: "raw", Container: "compressed", Code: "corrupt"},
	)
	return all
}

// polyglotCases are valid in two formats.
func polyglotCases() []Case {
	var all []Case
	add := func(name, disk string, m *Image) {
		all = append(all, Case{Name: "polyglot/bad/" + name, Image: m, Disk: disk, Code: "polyglot"})
	}
	for _, disk := range []string{"iso", "qcow2", "raw"} {
		add("qcow2-and-iso-declared-"+disk, disk, QCOW2{ClusterBits: 16}.Make(biosGuest()).Put(16*2048, []byte("\x01CD001\x01")))
	}
	for _, disk := range []string{"iso", "vmdk", "raw"} {
		add("iso-and-vmdk-text-declared-"+disk, disk, iso(1<<20, false, false).Put(0, []byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 10 FLAT \"/etc/passwd\" 0\n")))
	}
	add("iso-and-vmdk-text-with-other-comment", "iso", iso(1<<20, false, false).Put(0, []byte("#\n \n#!x\nversion=1\nRW 10 FLAT \"/etc/passwd\" 0\n")))
	add("iso-and-fixed-vhd", "iso", fixedVHD(iso(1<<20, true, false)))
	add("qcow2-and-fixed-vhd", "qcow2", fixedVHD(QCOW2{}.Make(biosGuest())))
	add("qcow2-and-vdi", "qcow2", QCOW2{}.Make(biosGuest()).U32(le, 0x40, 0xbeda107f))
	add("vmdk-and-vdi", "vmdk", vmdkGood().U32(le, 0x40, 0xbeda107f))
	add("vhdx-and-iso", "vhdx", vhdxGood().Put(16*2048, []byte("\x01CD001\x01")))
	add("luks-and-fixed-vhd", "vhd", fixedVHD(luksImage(1)))
	return all
}

// foreignCases are formats that qemu opens and that no disk_format names.
func foreignCases() []Case {
	var all []Case
	for name, m := range map[string]*Image{
		"qcow1":                          NewImage(1<<20).Put(0, []byte("QFI\xfb\x00\x00\x00\x01")),
		"qed":                            NewImage(1<<20).Put(0, []byte("QED\x00")),
		"cowd":                           NewImage(1<<20).Put(0, []byte("COWD\x01\x00\x00\x00")),
		"vmdk-text":                      FromBytes([]byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 63 FLAT \"/etc/passwd\" 0\n")),
		"vmdk-text-with-another-comment": FromBytes([]byte("#\n\n# x\nversion=3\nRW 63 FLAT \"/etc/passwd\" 0\n")),
		"bochs":                          NewImage(1<<20).Put(0, []byte("Bochs Virtual HD Image\x00")),
		"cloop":                          NewImage(1<<20).Put(0, []byte("#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0\n")),
		"dmg":                            NewImage(1 << 20).Append(FromBytes([]byte("koly\x00\x00\x00\x04")).Truncate(512).Bytes()),
	} {
		for _, disk := range []string{"raw", "qcow2", "vmdk"} {
			all = append(all, Case{Name: "foreign/bad/" + name + "-declared-" + disk, Image: m, Disk: disk, Code: "unsupported_format"})
		}
	}
	return all
}
