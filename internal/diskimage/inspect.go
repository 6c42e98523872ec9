package diskimage

import (
	"context"
	"errors"
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

func (b BootRule) String() string { return [...]string{"warn", "require", "off"}[min(b, 2)] }

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

func (m Mode) String() string { return [...]string{"strict", "lenient"}[min(m, 1)] }

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

	Bootable bool     `json:"bootable"`
	Evidence []string `json:"evidence"` // sentences
	Warnings []string `json:"warnings"` // sentences
}

func (r *Report) warn(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !slices.Contains(r.Warnings, s) {
		r.Warnings = append(r.Warnings, s)
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
		rep:  &Report{DiskFormat: opts.DiskFormat, ContainerFormat: opts.ContainerFormat, Evidence: []string{}, Warnings: []string{}},
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
	in.rep.warn("%s", r.Message)
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
	switch in.opts.ContainerFormat {
	case "", "bare", "ami", "ari", "aki":
		return in.bare(g)
	default:
		in.rep.warn("The contents of a container_format of %s are not inspected.", in.opts.ContainerFormat)
		return nil
	}
}

// empty judges a file of no bytes. Glance clients upload one and expect it to become active.
func (in *inspection) empty() error {
	if d := in.opts.DiskFormat; d != "" && d != "raw" {
		return in.object(reject(CodeFormatMismatch, "Upload the file again; it may have been empty when it was sent.", "The file is empty, so it is not %s.", d))
	}
	in.rep.warn("The file is empty.")
	if in.opts.Boot == Require {
		return notBootable("an empty file")
	}
	return nil
}

// bare inspects a file that is the image itself.
func (in *inspection) bare(g *signs) error {
	declared := in.opts.DiskFormat
	if err := checkPolyglot(g); err != nil {
		return err
	}
	found := in.detect(g)
	if declared == "" {
		in.rep.DiskFormat = found
	} else if err := in.match(declared, found, g); err != nil {
		if err := in.object(asRejection(err)); err != nil {
			return err
		}
	}
	v, err := in.open(found, g)
	if err != nil {
		return err
	}
	return in.accept(v)
}

// accept takes over what was found out about a volume.
func (in *inspection) accept(v *volume) error {
	in.rep.VirtualSize = v.size
	for _, w := range v.warnings {
		in.rep.warn("%s", w)
	}
	return nil
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

// detect names the format that the bytes have.
func (in *inspection) detect(g *signs) string {
	switch {
	case len(g.disks) > 0:
		return g.disks[0]
	case g.iso, g.udf:
		return "iso"
	}
	return "raw"
}

// match compares the format found with the one declared.
func (in *inspection) match(declared, found string, g *signs) error {
	switch {
	case found == declared:
		return nil
	case found == "luks" && in.opts.EncryptionKeyID != "" && declared == "raw":
		return nil
	case foreign[found] != "":
		return nil // refused by open, with a better message
	case declared == "raw" && found == "iso":
		in.rep.warn("The file is an ISO image; set disk_format to iso if it is to be used as a disc.")
		return nil
	case found == "raw":
		return reject(CodeFormatMismatch, "Set disk_format to the real format of the file, or upload the right file.", "disk_format says %s, but the file has no %s header.", declared, declared)
	default:
		return reject(CodeFormatMismatch, "Set disk_format to "+found+", or convert the file: qemu-img convert -f "+qemuName(found)+" -O "+qemuName(declared)+" FILE NEW.",
			"disk_format says %s, but the file is %s.", declared, found)
	}
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
func (in *inspection) open(found string, g *signs) (*volume, error) {
	if name := foreign[found]; name != "" {
		return nil, reject(CodeUnsupported, "Convert it: qemu-img convert -O qcow2 FILE NEW.qcow2, then upload NEW.qcow2.", "The file is %s, which is not a supported disk_format.", name)
	}
	switch found {
	case "qcow2":
		return openQcow2(in.file, in.lim)
	case "iso":
		if !g.iso {
			return openUDF(in.file), nil
		}
		return openISO(in.file)
	case "raw":
		return openRaw(in.file, g)
	}
	return nil, errors.New("no parser for " + found)
}

func notBootable(what string) *Rejection {
	return reject(CodeNotBootable, "Install an operating system with a boot loader into the image, or ask the operator to relax the boot rule.", "Nothing in %s can start a machine.", what)
}
