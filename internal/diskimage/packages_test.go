package diskimage

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRealDiscsAndKernelsOfDebian reads files of Debian packages; they were booted under qemu, with BIOS and UEFI as the facts say.
func TestRealDiscsAndKernelsOfDebian(t *testing.T) {
	for _, c := range []struct {
		file, pkg, disk string
		arch, firmware  string
		boots           bool
		virtual         int64 // 0: not asserted
	}{
		{"/usr/lib/ipxe/ipxe.iso", "ipxe", "iso", "x86_64", "", true, 0},
		{"/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "grub-rescue-pc", "iso", "", "bios", true, 0},
		{"/usr/lib/grub-rescue/grub-rescue-floppy.img", "grub-rescue-pc", "iso", "", "bios", true, 0},
		{"/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+", "iso", "x86_64", "", true, 0},
		{"/usr/lib/memtest86+/memtest86+ia32.iso", "memtest86+", "iso", "i686", "", true, 0},
		{"/boot/ipxe.lkrn", "ipxe", "aki", "", "", false, 306521},
		{"/boot/memtest86+x64.bin", "memtest86+", "aki", "", "", false, 144312},
	} {
		f, err := os.Open(c.file)
		if err != nil {
			t.Errorf("%v; run: apt-get install %s", err, c.pkg)
			continue
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		cache := NewCache(f, st.Size(), Budget{})
		rep, err := Inspect(t.Context(), cache, st.Size(), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if rep.DiskFormat != c.disk || rep.Architecture != c.arch || rep.FirmwareType != c.firmware || rep.Bootable != c.boots || len(rep.Warnings) > 0 {
			t.Errorf("%s: got %+v, want %+v", c.file, rep, c)
		}
		if s := cache.Stats(); s.Requests > 6 {
			t.Errorf("%s took %d reads, want at most 6", c.file, s.Requests)
		}
		if c.disk == "iso" { // the same bytes as a disk, and as something they are not
			if rep, err := Inspect(t.Context(), f, st.Size(), Options{DiskFormat: "raw", ContainerFormat: "bare", Boot: Require}); err != nil || !rep.Bootable {
				t.Errorf("%s declared raw: got %+v, %v, want a bootable image", c.file, rep, err)
			}
			_, err := Inspect(t.Context(), f, st.Size(), Options{DiskFormat: "qcow2", ContainerFormat: "bare"})
			if r := asRejection(err); r == nil || r.Code != CodeFormatMismatch {
				t.Errorf("%s declared qcow2: got %v, want %s", c.file, err, CodeFormatMismatch)
			}
		}
	}
}

// TestFileSystemsMadeByTheirOwnTools reads os-release from real ext4 and XFS file systems in many shapes.
func TestFileSystemsMadeByTheirOwnTools(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	for path, text := range map[string]string{"usr/lib/os-release": "ID=rocky\nVERSION_ID=\"9.4\"\n", "etc/hostname": "corpus\n"} {
		full := filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 { // so that /etc outgrows its inode and its first block
		if err := os.WriteFile(filepath.Join(tree, "etc", "a-file-with-a-long-name-"+string(rune('a'+i%26))+string(rune('a'+i/26))), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../usr/lib/os-release", filepath.Join(tree, "etc/os-release")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/sbin", filepath.Join(tree, "sbin")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(tree, "usr/sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 200)...)
	elf[18] = 183
	if err := os.WriteFile(filepath.Join(tree, "usr/sbin/init"), elf, 0o755); err != nil {
		t.Fatal(err)
	}
	proto := filepath.Join(dir, "proto")
	writeProto(t, tree, proto)
	for name, command := range map[string][]string{
		"ext4":                     {"mkfs.ext4", "-q", "-d", tree},
		"ext4 with 1 KiB blocks":   {"mkfs.ext4", "-q", "-b", "1024", "-d", tree},
		"ext4 without 64bit":       {"mkfs.ext4", "-q", "-O", "^64bit", "-d", tree},
		"ext4 with 128-byte inode": {"mkfs.ext4", "-q", "-I", "128", "-d", tree},
		"ext4 with inline data":    {"mkfs.ext4", "-q", "-O", "inline_data", "-d", tree},
		"ext3":                     {"mkfs.ext3", "-q", "-d", tree},
		"ext2":                     {"mkfs.ext2", "-q", "-d", tree},
		"xfs":                      {"mkfs.xfs", "-q", "-p", proto},
		"xfs with 1 KiB blocks":    {"mkfs.xfs", "-q", "-b", "size=1024", "-p", proto},
		"xfs version 4":            {"mkfs.xfs", "-q", "-m", "crc=0", "-p", proto},
		"xfs with 64 KiB dirs":     {"mkfs.xfs", "-q", "-n", "size=65536", "-p", proto},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "fs")
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, 320<<20); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(file)
			pkg := map[byte]string{'e': "e2fsprogs", 'x': "xfsprogs"}[name[0]]
			if out, err := exec.CommandContext(t.Context(), needTool(t, command[0], pkg), append(command[1:], file)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rep, err := Inspect(t.Context(), f, 320<<20, Options{DiskFormat: "raw", ContainerFormat: "bare"})
			if err != nil {
				t.Fatal(err)
			}
			if rep.OSDistro != "rocky" || rep.OSVersion != "9.4" || rep.OSType != "linux" || rep.Architecture != "aarch64" {
				t.Errorf("got %+v, want rocky 9.4 on aarch64", rep)
			}
		})
	}
}

// writeProto describes a folder for mkfs.xfs -p.
func writeProto(t testing.TB, tree, file string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	put := func(s string) {
		if _, err := out.WriteString(s + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	put("/\n0 0\nd--755 0 0")
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			switch {
			case e.IsDir():
				put(e.Name() + " d--755 0 0")
				walk(path)
			case e.Type()&os.ModeSymlink != 0:
				target, err := os.Readlink(path)
				if err != nil {
					t.Fatal(err)
				}
				put(e.Name() + " l--777 0 0 " + target)
			default:
				put(e.Name() + " ---644 0 0 " + path)
			}
		}
		put("$")
	}
	walk(tree)
}
