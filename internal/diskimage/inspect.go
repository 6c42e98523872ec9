package diskimage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// BootRule says what is done about an image that no machine could boot.
type BootRule uint8

const (
	Warn    BootRule = iota // look for evidence, and warn when there is none
	Require                 // refuse an image without evidence
	Off                     // do not look; the facts about the operating system stay unknown too
)

// ParseBootRule reads "warn", "require" or "off"; "" is Warn.
func ParseBootRule(s string) (BootRule, error) {
	switch strings.ToLower(s) {
	case "", "warn":
		return Warn, nil
	case "require":
		return Require, nil
	case "off":
		return Off, nil
	}
	return Warn, fmt.Errorf("boot rule %q: use warn, require or off", s)
}

// Mode says how a fault is answered.
type Mode uint8

const (
	// Strict refuses every fault.
	Strict Mode = iota
	// Lenient does as Glance 25.1 does: contents that are not what was declared, or damaged, are recorded as warnings. Images that reach outside
	// themselves (backing files, parents, external extents, polyglots) are refused all the same.
	Lenient
)

// ParseMode reads "strict" or "lenient"; "" is Strict.
func ParseMode(s string) (Mode, error) {
	switch strings.ToLower(s) {
	case "", "strict":
		return Strict, nil
	case "lenient":
		return Lenient, nil
	}
	return Strict, fmt.Errorf("inspection mode %q: use strict or lenient", s)
}

// Options is what is known about an image before it is read. The zero value lets Inspect find out everything.
type Options struct {
	DiskFormat      string // declared in the record; "" lets Inspect find out
	ContainerFormat string // declared in the record; "" lets Inspect find out
	Boot            BootRule
	Mode            Mode

	// EncryptionKeyID is the property cinder_encryption_key_id of the record. When it is set, LUKS contents are accepted
	// although they cannot be checked; Cinder uploads encrypted volumes so, declared raw.
	EncryptionKeyID string

	MaxVirtualSize int64  // bytes; 0 means 64 TiB
	Budget         Budget // used when the reader is not a *Cache already
}

// Report says what an image is. The facts have the names and values of Glance's properties and are "" when they were not proven.
type Report struct {
	DiskFormat      string `json:"disk_format"`
	ContainerFormat string `json:"container_format"`
	VirtualSize     int64  `json:"virtual_size"` // bytes; 0 when unknown or empty

	Architecture string `json:"architecture,omitempty"`     // x86_64, aarch64, i686, armv7l, riscv64
	FirmwareType string `json:"hw_firmware_type,omitempty"` // bios or uefi; "" also when both work
	OSType       string `json:"os_type,omitempty"`          // linux or windows
	OSDistro     string `json:"os_distro,omitempty"`
	OSVersion    string `json:"os_version,omitempty"`

	Bootable bool      `json:"bootable"`
	Evidence []string  `json:"evidence"` // sentences
	Warnings []Warning `json:"warnings"`
}

func (r *Report) warn(code, hint, format string, args ...any) {
	r.add(Warning{code, fmt.Sprintf(format, args...), hint})
}

func (r *Report) add(w Warning) {
	if !slices.Contains(r.Warnings, w) {
		r.Warnings = append(r.Warnings, w)
	}
}

// limits are the numbers that policy, not a format, sets.
type limits struct{ maxVirtual int64 }

const defaultMaxVirtual = 64 << 40

// virtualSize checks the size of a disk.
func (l limits) virtualSize(n uint64) (int64, error) {
	if n == 0 {
		return 0, reject(CodeTooLarge, hintAgain, "The disk inside the image has no size.")
	}
	if n > uint64(l.maxVirtual) {
		return 0, reject(CodeTooLarge, "Make a smaller disk, or ask the operator to raise the limit.", "The disk inside the image has %d bytes; at most %d are allowed.", n, l.maxVirtual)
	}
	return int64(n), nil
}

// Inspect says what the size bytes behind r are. It returns a *Rejection when the image itself is at fault; any other error is of
// the reader or of ctx, and trying again may help. r is read through a [Cache] with the budget of the options, unless it is one.
func Inspect(ctx context.Context, r io.ReaderAt, size int64, opts Options) (report *Report, err error) {
	if size < 0 {
		return nil, fmt.Errorf("inspect an image of %d bytes: the size must not be negative", size)
	}
	defer func() {
		if p := recover(); p != nil {
			report, err = nil, reject(CodeUnreadable, "Convert the image with qemu-img convert and upload the result; please report this image to the operator.", "The image made the inspection fail: %v.", p)
		}
	}()
	if _, ok := r.(*Cache); !ok {
		r = NewCache(r, size, opts.Budget)
	}
	in := &inspection{
		opts: opts,
		file: span{cancellable{ctx, r}, 0, size, "file"},
		lim:  limits{opts.MaxVirtualSize},
		rep:  &Report{DiskFormat: opts.DiskFormat, ContainerFormat: opts.ContainerFormat, Evidence: []string{}, Warnings: []Warning{}},
	}
	if in.lim.maxVirtual <= 0 {
		in.lim.maxVirtual = defaultMaxVirtual
	}
	err = in.run()
	if rej := asRejection(err); rej != nil {
		if err = in.object(rej); err != nil {
			return nil, rej
		}
	}
	if err != nil {
		return nil, err
	}
	if in.rep.DiskFormat == "" {
		in.rep.DiskFormat = "raw"
	}
	if in.rep.ContainerFormat == "" {
		in.rep.ContainerFormat = "bare"
	}
	return in.rep, nil
}

// inspection is one call of Inspect.
type inspection struct {
	opts Options
	file span
	lim  limits
	rep  *Report
}

// object refuses the image, or records the fault as a warning when the mode allows that.
func (in *inspection) object(r *Rejection) error {
	if in.opts.Mode != Lenient || reachesOutside(r.Code) || r.Code == CodeNotBootable {
		return r
	}
	in.rep.add(Warning(*r))
	return nil
}

func (in *inspection) run() error {
	if in.file.size == 0 {
		return in.empty()
	}
	g, err := sniff(in.file)
	if err != nil {
		return err
	}
	if err := checkPolyglot(g); err != nil {
		return err
	}
	switch in.opts.ContainerFormat {
	case "":
		return in.anyContainer(g)
	case "bare", "ami", "ari", "aki":
		return in.bare(g)
	case "ova":
		return in.ova(g)
	case "ovf":
		return in.ovf(g)
	case "compressed":
		return in.compressed(g)
	}
	in.rep.warn(CodeNotInspected, "", "The contents of an image with container_format %s are not inspected.", in.opts.ContainerFormat)
	return nil
}

// anyContainer finds out the container_format too.
func (in *inspection) anyContainer(g *signs) error {
	if is, err := isOVA(in.file, g); err != nil {
		return err
	} else if is {
		in.rep.ContainerFormat = "ova"
		return in.ova(g)
	}
	if err := in.bare(g); err != nil {
		return err
	}
	in.rep.ContainerFormat = "bare"
	if f := in.rep.DiskFormat; f == "aki" || f == "ari" {
		in.rep.ContainerFormat = f
	}
	return nil
}

// empty judges a file of no bytes. Glance clients upload one and expect it to become active.
func (in *inspection) empty() error {
	if d := in.opts.DiskFormat; d != "" && d != "raw" {
		return in.object(reject(CodeFormatMismatch, "Upload the file again; it may have been empty when it was sent.", "The file is empty, so it is not %s.", d))
	}
	in.rep.warn(CodeEmpty, "Upload a file if the image is to be used.", "The file is empty.")
	if in.opts.Boot == Require {
		return notBootable("an empty file")
	}
	return nil
}

// bare inspects a file that is the image itself.
func (in *inspection) bare(g *signs) error {
	if is, err := isOVA(in.file, g); err != nil {
		return err
	} else if is && in.opts.ContainerFormat != "ova" {
		if err := in.object(reject(CodeContainerMismatch, "Set container_format to ova, or upload the disk that is inside.", "container_format says bare, but the file is an OVA: an archive with an OVF description.")); err != nil {
			return err
		}
		return in.ova(g)
	}
	found, err := in.detect(in.file, g)
	if err != nil {
		return err
	}
	if in.opts.DiskFormat == "" {
		in.rep.DiskFormat = found
	}
	if err := in.match(in.opts.DiskFormat, found, g); err != nil {
		if err := in.object(err); err != nil {
			return err
		}
	}
	v, err := in.open(in.file, found, g)
	if err != nil {
		return err
	}
	return in.accept(v)
}

// accept takes over what was found out about a volume, and looks inside it.
func (in *inspection) accept(v *volume) error {
	in.rep.VirtualSize = v.size
	for _, w := range v.warnings {
		in.rep.add(w)
	}
	if v.disk == nil {
		return in.judgeBoot(v)
	}
	inner := v.signs
	if inner == nil {
		var err error
		if inner, err = sniffHead(*v.disk); err != nil {
			return err
		}
		if err := in.checkNested(v, inner); err != nil {
			return err
		}
	}
	if err := in.facts(*v.disk, inner, v.format); err != nil {
		return err
	}
	return in.judgeBoot(v)
}

// checkNested refuses a disk whose contents are again a disk image: a program that guesses formats would open that one.
func (in *inspection) checkNested(v *volume, inner *signs) error {
	if len(inner.disks) == 0 {
		return nil
	}
	if inner.disks[0] == "luks" && len(inner.disks) == 1 {
		if in.opts.EncryptionKeyID != "" {
			in.rep.add(warnLUKS)
			return nil
		}
		return in.object(reject(CodeEncrypted, "Upload the decrypted disk, or set cinder_encryption_key_id if this is an encrypted volume of Cinder.", "The disk inside is encrypted with LUKS, so it cannot be checked."))
	}
	return reject(CodeNested, "Unpack it: qemu-img convert the inner image, then upload that.", "The disk inside the %s image is itself a %s image.", v.format, inner.disks[0])
}

// checkPolyglot refuses bytes that are more than one disk format. A disc image with a partition table is none: it boots from a stick too.
func checkPolyglot(g *signs) error {
	names := slices.Clone(g.disks)
	if g.iso || g.udf {
		names = append(names, "iso")
	}
	if len(names) > 1 {
		return reject(CodePolyglot, "Make the image again in one format.", "The file is valid in more than one format (%s), so programs disagree about what it holds.", strings.Join(names, " and "))
	}
	return nil
}

// detect names the format that the bytes have. Kernels and RAM disks are told apart only when nothing was declared:
// their marks are weak, and a disk that happens to carry one is still a disk.
func (in *inspection) detect(f span, g *signs) (string, error) {
	switch {
	case len(g.disks) > 0:
		return g.disks[0], nil
	case g.iso, g.udf:
		return "iso", nil
	case in.opts.DiskFormat != "":
		return "raw", nil
	case g.kernel != "":
		return "aki", nil
	case g.cpio:
		return "ari", nil
	case g.packing != "":
		if b, err := unpackPrefix(f, g.packing, 512); err != nil {
			return "", err
		} else if bytes.HasPrefix(b, []byte("070701")) {
			return "ari", nil
		}
	}
	return "raw", nil
}

// known are the disk formats that are checked here.
var known = []string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "ploop", "iso", "gpt", "luks", "aki", "ari", "ami"}

// match compares the format found with the one declared, "" for none.
func (in *inspection) match(declared, found string, g *signs) *Rejection {
	switch {
	case foreign[found] != "":
		return nil // refused by open, with a better message
	case found == "raw":
		return in.matchRaw(declared, g)
	case declared == "", found == declared:
		return nil
	case found == "luks" && in.opts.EncryptionKeyID != "" && declared == "raw":
		return nil
	case found == "iso" && declared == "raw":
		in.rep.warn(CodeFormatMismatch, "Set disk_format to iso if it is to be used as a disc.", "The file is an ISO image.")
		return nil
	}
	hint := "Set disk_format to " + found + "."
	if to := qemuName(declared); slices.Contains(known[:7], declared) {
		hint = "Set disk_format to " + found + ", or convert the file: qemu-img convert -f " + qemuName(found) + " -O " + to + " FILE NEW."
	}
	return reject(CodeFormatMismatch, hint, "disk_format says %s, but the file is %s.", declared, found)
}

// matchRaw judges bytes without the header of a disk format.
func (in *inspection) matchRaw(declared string, g *signs) *Rejection {
	packed := g.packing != "" || g.tar
	wrong := "Set disk_format to the real format of the file, or upload the right file."
	switch {
	case declared == "aki":
		if g.kernel == "" {
			return reject(CodeFormatMismatch, wrong, "disk_format says aki, but the file is not a kernel.")
		}
	case declared == "ari":
		if !g.cpio && (g.packing == "" || g.packing == "zip" || g.packing == "7z") {
			return reject(CodeFormatMismatch, wrong, "disk_format says ari, but the file is not an initial RAM disk.")
		}
	case declared == "", declared == "raw", declared == "ami", declared == "gpt":
		what := g.packing
		if g.tar {
			what = "tar"
		}
		switch {
		case packed:
			return reject(CodeCompressed, "Decompress it first, then upload the disk that is inside.", "The file is a %s archive, not a disk.", what)
		case g.text != "":
			return reject(CodeNotADisk, "Download the image again; the server may have answered with an error page.", "The file is %s, not a disk.", g.text)
		case declared == "gpt" && !g.bootSig && !g.gpt:
			return reject(CodeFormatMismatch, wrong, "disk_format says gpt, but the file has no partition table.")
		case declared == "ami" && g.fs == "":
			in.rep.warn(CodeUnknown, "", "disk_format says ami, but the file has no file system that is known here.")
		}
	case !slices.Contains(known, declared):
		in.rep.warn(CodeNotInspected, "", "disk_format %s is not known here, so only the absence of other formats was checked.", declared)
	default:
		return reject(CodeFormatMismatch, wrong, "disk_format says %s, but the file has no %s header.", declared, declared)
	}
	return nil
}

// qemuName is what qemu calls a disk format.
func qemuName(format string) string {
	switch format {
	case "vhd":
		return "vpc"
	case "ploop":
		return "parallels"
	case "iso":
		return "raw"
	}
	return format
}

// open checks the image in the format found.
func (in *inspection) open(f span, found string, g *signs) (*volume, error) {
	if name := foreign[found]; name != "" {
		return nil, reject(CodeUnsupported, "Convert it: qemu-img convert -O qcow2 FILE NEW.qcow2, then upload NEW.qcow2.", "The file is %s, which is not a supported disk_format.", name)
	}
	switch found {
	case "qcow2":
		return openQcow2(f, in.lim)
	case "vmdk":
		return openVMDK(f, in.lim)
	case "vhd":
		return openVHD(f, in.lim)
	case "vhdx":
		return openVHDX(f, in.lim)
	case "vdi":
		return openVDI(f, in.lim)
	case "ploop":
		return openPloop(f, in.lim)
	case "luks":
		return openLUKS(f, in.lim, in.opts.EncryptionKeyID)
	case "iso":
		if !g.iso {
			return openUDF(f, g), nil
		}
		return openISO(f, g)
	case "aki", "ari":
		return &volume{format: found, size: f.size}, nil
	}
	if d := in.opts.DiskFormat; d == "aki" || d == "ari" {
		return &volume{format: d, size: f.size}, nil
	}
	return openRaw(f, g)
}

func notBootable(what string) *Rejection {
	return reject(CodeNotBootable, "Install an operating system with a boot loader into the image, or ask the operator to relax the boot rule.", "Nothing in %s can start a machine.", what)
}
