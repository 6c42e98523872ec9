package diskimage

import (
	"fmt"
	"slices"
	"strings"
)

// maxPartitions bounds the partitions that are looked into.
const maxPartitions = 16

// finder gathers evidence about what a disk can boot.
type finder struct {
	in     *inspection
	d      span
	bios   bool
	uefi   []string // architectures that a UEFI loader was found for
	roots  []string // architectures that the partition types or an init program say
	distro string
	ver    string
	linux  bool
	ntfs   bool
}

// facts looks for evidence on a disk and fills the report. What cannot be read becomes a warning: facts are never a reason to refuse, the boot rule is.
func (in *inspection) facts(d span, g *signs, format string) error {
	if in.opts.Boot == Off || in.opts.DiskFormat == "aki" || in.opts.DiskFormat == "ari" {
		return nil
	}
	f := &finder{in: in, d: d}
	var err error
	if g.iso {
		err = f.disc(g)
	} else {
		err = f.disk(g)
	}
	if rej := asRejection(err); rej != nil {
		in.rep.warn(rej.Code, rej.Hint, "Looking for an operating system stopped: %s", rej.Message)
		err = nil
	}
	f.conclude()
	return err
}

func (f *finder) evidence(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if r := f.in.rep; !slices.Contains(r.Evidence, s) {
		r.Evidence = append(r.Evidence, s)
	}
}

// tolerate turns a fault of the image into a warning, so that other evidence is still looked for.
func (f *finder) tolerate(err error) error {
	if rej := asRejection(err); rej != nil && rej.Code != CodeBudget {
		f.in.rep.add(Warning(*rej))
		return nil
	}
	return err
}

// disc looks at the boot catalogue, and at sector 0 for a disc that boots from a stick too.
func (f *finder) disc(g *signs) error {
	boots, err := readElTorito(f.d)
	if err != nil {
		return err
	}
	for _, b := range boots {
		switch b.platform {
		case 0:
			f.bios = true
			f.evidence("The El Torito catalogue has a boot image for BIOS.")
		case 0xef:
			err := f.esp(f.d.sub(b.at, f.d.size-b.at, "EFI boot image"), "the EFI boot image of the disc")
			if err := f.tolerate(err); err != nil {
				return err
			}
		}
	}
	active := false
	for e := range slices.Chunk(g.head[446:510], 16) {
		active = active || e[0] == 0x80
	}
	if g.bootSig && active && slices.ContainsFunc(g.head[:440], func(b byte) bool { return b != 0 }) {
		f.bios = true
		f.evidence("The disc has boot code and an active partition in sector 0, so it starts from a stick on BIOS too.")
	}
	return nil
}

// disk looks at the partitions, or at a file system without them.
func (f *finder) disk(g *signs) error {
	t, err := readPartitions(f.d, g)
	if rej := asRejection(err); rej != nil {
		f.in.rep.add(Warning(*rej))
		return nil
	}
	if err != nil {
		return err
	}
	for _, w := range t.warnings {
		f.in.rep.add(w)
	}
	if t.scheme == "" {
		switch g.fs {
		case "":
			return nil
		case "fat":
			return f.tolerate(f.esp(f.d, "the FAT file system"))
		}
		return f.tolerate(f.root(f.d, "", g.fs, "the disk"))
	}
	if len(t.parts) > maxPartitions {
		f.in.rep.warn(CodeNotInspected, "", "The disk has %d partitions; %d of them were looked into.", len(t.parts), maxPartitions)
		t.parts = t.parts[:maxPartitions]
	}
	for i, p := range t.parts {
		name := fmt.Sprintf("partition %d", i+1)
		if err := f.tolerate(f.partition(t, p, name)); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) partition(t *partitionTable, p partition, name string) error {
	d := f.d.sub(p.start, p.size, name)
	if p.active && t.code {
		f.bios = true
		f.evidence("There is boot code in sector 0 and %s is marked for BIOS boot.", name)
	}
	switch {
	case p.guid == guidBIOSBoot:
		b, err := d.readUpTo(0, 512)
		if err == nil && t.code && slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			f.bios = true
			f.evidence("There is boot code in sector 0 and in the BIOS boot partition (%s).", name)
		}
		return err
	case p.guid == guidESP, p.kind == mbrESP:
		return f.esp(d, "the EFI system partition ("+name+")")
	}
	g, err := sniffPartition(d)
	if err != nil || g == "" {
		return err
	}
	return f.root(d, p.guid, g, name)
}

// sniffPartition names what is in a partition by its first bytes.
func sniffPartition(d span) (string, error) {
	b, err := d.readUpTo(0, 2048)
	if err != nil || len(b) < 2048 {
		return "", err
	}
	switch {
	case string(b[:4]) == "XFSB":
		return "xfs", nil
	case string(b[1080:1082]) == "\x53\xef":
		return "ext4", nil
	case string(b[3:11]) == "NTFS    ":
		return "ntfs", nil
	case string(b[:6]) == "LUKS\xba\xbe":
		return "luks", nil
	}
	for sector := 0; sector < 4; sector++ {
		if string(b[sector*512:sector*512+8]) == "LABELONE" {
			return "lvm", nil
		}
	}
	if d.size < 65600+8 {
		return "", nil
	}
	b, err = d.read(65600, 8)
	if err == nil && string(b) == "_BHRfS_M" {
		return "btrfs", nil
	}
	return "", err
}

// loaders are the removable-media paths of the UEFI specification, with the PE machine and the architecture in Glance's words.
var loaders = []struct {
	file    string
	machine uint16
	arch    string
}{
	{"BOOTX64.EFI", 0x8664, "x86_64"},
	{"BOOTAA64.EFI", 0xaa64, "aarch64"},
	{"BOOTIA32.EFI", 0x014c, "i686"},
	{"BOOTARM.EFI", 0x01c4, "armv7l"},
	{"BOOTRISCV64.EFI", 0x5064, "riscv64"},
}

// esp looks for boot loaders in a FAT file system.
func (f *finder) esp(d span, name string) error {
	fs, err := openFAT(d)
	if err != nil {
		return err
	}
	efi, err := fs.findDir(0, "EFI")
	if err != nil || efi == 0 {
		return err
	}
	vendors, err := fs.list(efi)
	if err != nil {
		return err
	}
	for _, v := range vendors {
		switch {
		case !v.dir || v.cluster == 0:
		case v.name == "BOOT":
			entries, err := fs.list(v.cluster)
			if err != nil {
				return err
			}
			for _, l := range loaders {
				for _, e := range entries {
					if e.dir || e.name != l.file {
						continue
					}
					if err := f.loader(fs, e, l.machine, l.arch, name); err != nil {
						return err
					}
				}
			}
		case v.name == "MICROSOFT":
			boot, err := fs.findDir(v.cluster, "BOOT")
			if err != nil {
				return err
			}
			if boot == 0 {
				continue
			}
			entries, err := fs.list(boot)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(entries, func(e fatEntry) bool { return e.name == "BOOTMGFW.EFI" }) {
				f.ntfs = true
				f.evidence("There is a Windows boot manager in %s.", name)
			}
		}
	}
	return nil
}

// loader checks that a file is a program for the machine that its name says.
func (f *finder) loader(fs *fat, e fatEntry, machine uint16, arch, name string) error {
	b, err := fs.chain(e.cluster, min(e.size, 4096))
	if err != nil {
		return err
	}
	if got := peMachine(b); got != machine {
		f.in.rep.warn(CodeLoader, "Install the boot loader for the machine again.", "EFI/BOOT/%s in %s is not a program for %s.", e.name, name, arch)
		return nil
	}
	f.uefi = append(f.uefi, arch)
	f.evidence("There is a UEFI boot loader for %s in %s.", arch, name)
	return nil
}

// peMachine is the machine field of a PE program, 0 when b is none.
func peMachine(b []byte) uint16 {
	if len(b) < 64 || string(b[:2]) != "MZ" {
		return 0
	}
	at := le.Uint32(b[60:])
	if at > uint32(len(b)) || len(b)-int(at) < 6 || string(b[at:at+4]) != "PE\x00\x00" {
		return 0
	}
	return le.Uint16(b[at+4:])
}

// root looks into a file system that may hold an operating system.
func (f *finder) root(d span, guid, kind, name string) error {
	switch guid {
	case guidRootX64:
		f.roots = append(f.roots, "x86_64")
	case guidRootARM64:
		f.roots = append(f.roots, "aarch64")
	}
	var fs unixFS
	var err error
	switch kind {
	case "ntfs":
		f.ntfs = true
		f.evidence("There is an NTFS file system in %s.", name)
		return nil
	case "lvm", "luks", "btrfs":
		f.in.rep.warn(CodeNotInspected, "", "The contents of %s are %s, which is not read here.", name, map[string]string{"lvm": "an LVM volume", "luks": "encrypted", "btrfs": "a btrfs file system"}[kind])
		return nil
	case "ext4":
		fs, err = openExt4(d)
	case "xfs":
		fs, err = openXFS(d)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := readPath(fs, path, 16<<10)
		if err != nil {
			return err
		}
		id, version := parseOSRelease(text)
		if id == "" {
			continue
		}
		if f.distro == "" {
			f.distro, f.ver = id, version
		}
		f.linux = true
		f.evidence("%s of %s says %s.", path, name, strings.TrimSpace(id+" "+version))
		break
	}
	if !f.linux {
		return nil
	}
	return f.init(fs, name)
}

// init reads the architecture of the first program, when nothing else has told it.
func (f *finder) init(fs unixFS, name string) error {
	if len(f.uefi) > 0 || len(f.roots) > 0 {
		return nil
	}
	for _, path := range []string{"/sbin/init", "/bin/sh"} {
		b, err := readPath(fs, path, 64)
		if err != nil {
			return err
		}
		if len(b) < 20 || string(b[:4]) != "\x7fELF" {
			continue
		}
		machine := le.Uint16(b[18:])
		if b[5] == 2 {
			machine = be.Uint16(b[18:])
		}
		if arch := map[uint16]string{62: "x86_64", 183: "aarch64", 3: "i686", 40: "armv7l", 243: "riscv64", 22: "s390x", 21: "ppc64"}[machine]; arch != "" {
			if machine == 21 && b[5] == 1 {
				arch = "ppc64le"
			}
			f.roots = append(f.roots, arch)
			f.evidence("%s of %s is a program for %s.", path, name, arch)
			return nil
		}
	}
	return nil
}

// conclude fills the report with what is proven. Evidence that contradicts itself proves nothing.
func (f *finder) conclude() {
	r := f.in.rep
	r.Bootable = f.bios || len(f.uefi) > 0
	switch {
	case f.bios && len(f.uefi) == 0:
		r.FirmwareType = "bios"
	case !f.bios && len(f.uefi) > 0:
		r.FirmwareType = "uefi"
	}
	archs := f.uefi
	if len(archs) == 0 {
		archs = f.roots
	}
	if slices.Contains(archs, "x86_64") { // such discs often carry a loader for 32 bits as well
		archs = slices.DeleteFunc(slices.Clone(archs), func(a string) bool { return a == "i686" })
	}
	if archs = slices.Compact(archs); len(archs) == 1 {
		r.Architecture = archs[0]
	}
	switch {
	case f.linux:
		if f.distro != "freebsd" {
			r.OSType = "linux"
		}
		r.OSDistro, r.OSVersion = f.distro, f.ver
		if name := distros[f.distro]; name != "" {
			r.OSDistro = name
		}
	case f.ntfs:
		r.OSType, r.OSDistro = "windows", "windows"
	}
}

// judgeBoot applies the boot rule.
func (in *inspection) judgeBoot(v *volume) error {
	kind := in.opts.DiskFormat
	switch {
	case in.rep.Bootable || in.opts.Boot == Off:
	case v.format == "aki" || v.format == "ari" || kind == "aki" || kind == "ari" || kind == "ami":
		// parts of a machine that do not start by themselves
	case v.disk == nil:
		in.rep.warn(CodeNotInspected, "", "Whether the image can boot was not checked.")
	case in.opts.Boot == Require:
		return notBootable("the image")
	default:
		in.rep.warn(CodeNotBootable, "Start it with another disk or disc that boots, or make an image with a boot loader for BIOS or UEFI.", "Nothing in the image can start a machine.")
	}
	return nil
}
