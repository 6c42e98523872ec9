package diskimage

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bullion/internal/diskimage/corpus"
)

// needTool returns the path of a program and fails when it is not installed.
func needTool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run: apt-get install %s", name, debianPackage)
	}
	return path
}

// run runs a program for at most a minute: qemu-img does not end on some of the files that this package refuses.
func run(t testing.TB, name string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, name, args...).Output()
}

type qemuInfo struct {
	Format      string `json:"format"`
	VirtualSize int64  `json:"virtual-size"`
	Backing     string `json:"backing-filename"`
}

func qemuInfoOf(t testing.TB, format, file string) (qemuInfo, error) {
	t.Helper()
	args := []string{"info", "--output=json"}
	if format != "" {
		args = append(args, "-f", format)
	}
	out, err := run(t, needTool(t, "qemu-img", "qemu-utils"), append(args, file)...)
	var info qemuInfo
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(out, &info)
}

func TestQemuAgreesAboutFormatAndSizeOfTheGoodImages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	asked := 0
	for _, c := range corpus.Synthetic() {
		if c.Qemu == "" || c.Code != "" {
			continue
		}
		asked++
		if err := c.Image.WriteFile(file); err != nil {
			t.Fatal(err)
		}
		info, err := qemuInfoOf(t, c.Qemu, file)
		if err != nil {
			t.Errorf("%s: qemu-img info: %v", c.Name, err)
			continue
		}
		if info.VirtualSize != c.VirtualSize {
			t.Errorf("%s: qemu sees %d bytes, want %d", c.Name, info.VirtualSize, c.VirtualSize)
		}
		if out, err := run(t, "qemu-img", "check", "-f", c.Qemu, file); err != nil && c.Qemu != "raw" && c.Qemu != "vpc" && c.Qemu != "vmdk" {
			t.Errorf("%s: qemu-img check: %v\n%s", c.Name, err, out)
		}
	}
	if asked < 80 {
		t.Errorf("qemu was asked about %d images, want at least 80", asked)
	}
}

func TestTheDiskInsideReadsAsQemuReadsIt(t *testing.T) {
	dir := t.TempDir()
	file, raw := filepath.Join(dir, "image"), filepath.Join(dir, "raw")
	for _, c := range corpus.Synthetic() {
		if c.Qemu == "" || c.Qemu == "raw" || c.Code != "" {
			continue
		}
		if err := c.Image.WriteFile(file); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, needTool(t, "qemu-img", "qemu-utils"), "convert", "-f", c.Qemu, "-O", "raw", file, raw); err != nil {
			t.Errorf("%s: qemu-img convert: %v", c.Name, err)
			continue
		}
		want, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		compareDisk(t, c.Name, c.Image, c.Image.Size(), c.Disk, want)
	}
}

// qemuForms are the ways in which qemu-img writes a disk.
var qemuForms = []struct {
	name, format string // format is Glance's word
	args         []string
}{
	{"qcow2", "qcow2", []string{"-O", "qcow2"}},
	{"qcow2-v2", "qcow2", []string{"-O", "qcow2", "-o", "compat=0.10"}},
	{"qcow2-zlib", "qcow2", []string{"-O", "qcow2", "-c"}},
	{"qcow2-zstd", "qcow2", []string{"-O", "qcow2", "-c", "-o", "compression_type=zstd"}},
	{"qcow2-extended-l2", "qcow2", []string{"-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"}},
	{"qcow2-512", "qcow2", []string{"-O", "qcow2", "-o", "cluster_size=512"}},
	{"qcow2-2M", "qcow2", []string{"-O", "qcow2", "-o", "cluster_size=2M"}},
	{"qcow2-preallocated", "qcow2", []string{"-O", "qcow2", "-o", "preallocation=metadata"}},
	{"qcow2-lazy-refcounts", "qcow2", []string{"-O", "qcow2", "-o", "lazy_refcounts=on"}},
	{"qcow2-1-bit-refcounts", "qcow2", []string{"-O", "qcow2", "-o", "refcount_bits=1"}},
	{"qcow2-64-bit-refcounts", "qcow2", []string{"-O", "qcow2", "-o", "refcount_bits=64"}},
	{"vmdk-sparse", "vmdk", []string{"-O", "vmdk"}},
	{"vmdk-stream", "vmdk", []string{"-O", "vmdk", "-o", "subformat=streamOptimized"}},
	{"vhd-dynamic", "vhd", []string{"-O", "vpc", "-o", "force_size=on"}},
	{"vhd-fixed", "vhd", []string{"-O", "vpc", "-o", "subformat=fixed,force_size=on"}},
	{"vhdx", "vhdx", []string{"-O", "vhdx"}},
	{"vhdx-fixed", "vhdx", []string{"-O", "vhdx", "-o", "subformat=fixed"}},
	{"vhdx-8M-blocks", "vhdx", []string{"-O", "vhdx", "-o", "block_size=8M"}},
	{"vdi", "vdi", []string{"-O", "vdi"}},
	{"vdi-static", "vdi", []string{"-O", "vdi", "-o", "static=on"}},
	{"ploop", "ploop", []string{"-O", "parallels"}},
	{"raw", "raw", []string{"-O", "raw"}},
}

// TestWhatQemuWritesIsRight converts a guest to every form, reads it back whole, looks at the facts, and then cuts it off, which must not pass.
func TestWhatQemuWritesIsRight(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source.raw")
	guest := corpus.DebianGuest(8 << 20)
	if err := guest.WriteFile(source); err != nil {
		t.Fatal(err)
	}
	for _, form := range qemuForms {
		t.Run(form.name, func(t *testing.T) {
			file := filepath.Join(dir, form.name)
			args := append(append([]string{"convert", "-f", "raw"}, form.args...), source, file)
			if out, err := run(t, needTool(t, "qemu-img", "qemu-utils"), args...); err != nil {
				t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := corpus.FromBytes(b)
			rep, err := Inspect(t.Context(), m, m.Size(), Options{DiskFormat: form.format, ContainerFormat: "bare"})
			if err != nil {
				t.Fatal(err)
			}
			if !rep.Bootable || rep.Architecture != "x86_64" || rep.OSDistro != "debian" || rep.OSVersion != "12" || rep.VirtualSize != guest.Size() {
				t.Errorf("got %+v, want a bootable debian 12 on x86_64 of %d bytes", rep, guest.Size())
			}
			compareDisk(t, form.name, m, m.Size(), form.format, guest.Bytes())
			// A cut is not seen inside the last cluster, behind the last partition, or in the padding that qemu leaves at the end of a streamOptimized file.
			for _, part := range []int64{10, 25, 50} {
				cut := m.Clone().Truncate(m.Size() * part / 100)
				_, err := Inspect(t.Context(), cut, cut.Size(), Options{DiskFormat: form.format, ContainerFormat: "bare"})
				if r := asRejection(err); r == nil || (r.Code != CodeTruncated && r.Code != CodeFormatMismatch) {
					t.Errorf("cut to %d%% of %d bytes: got %v, want truncated", part, m.Size(), err)
				}
			}
		})
	}
}

func TestImagesThatQemuMakesWithABackingFileAreRefused(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.raw")
	if err := corpus.DebianGuest(8 << 20).WriteFile(base); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, format, code string
		args               []string
	}{
		{"qcow2 overlay", "qcow2", CodeBackingFile, []string{"create", "-f", "qcow2", "-F", "raw", "-b", base}},
		{"qcow2 with a data file", "qcow2", CodeExternalData, []string{"create", "-f", "qcow2", "-o", "data_file=" + filepath.Join(dir, "data"), "FILE", "8M"}},
		{"encrypted qcow2", "qcow2", CodeEncrypted, []string{"create", "--object", "secret,id=s,data=secret", "-f", "qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=s", "FILE", "8M"}},
		{"flat vmdk", "vmdk", CodeUnsupported, []string{"create", "-f", "vmdk", "-o", "subformat=monolithicFlat", "FILE", "8M"}},
		{"split vmdk", "vmdk", CodeUnsupported, []string{"create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "FILE", "8M"}},
		{"qed", "qcow2", CodeUnsupported, []string{"create", "-f", "qed", "FILE", "8M"}},
		{"qcow version 1", "qcow2", CodeUnsupported, []string{"create", "-f", "qcow", "FILE", "8M"}},
	} {
		file := filepath.Join(dir, "image")
		args := append([]string{}, c.args...)
		if i := slices.Index(args, "FILE"); i >= 0 {
			args[i] = file
		} else {
			args = append(args, file)
		}
		if out, err := run(t, needTool(t, "qemu-img", "qemu-utils"), args...); err != nil {
			t.Errorf("%s: qemu-img: %v\n%s", c.name, err, out)
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Inspect(t.Context(), corpus.FromBytes(b), int64(len(b)), Options{DiskFormat: c.format, ContainerFormat: "bare"})
		if r := asRejection(err); r == nil || r.Code != c.code {
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
		}
		os.Remove(file)
	}
}
