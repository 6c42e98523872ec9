package diskimage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bullion/internal/diskimage/corpus"
)

var diskSizes = []int64{1 << 20, 1 << 30, 64 << 30, 1 << 40}

func sizeName(n int64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB"} {
		if u := int64(1) << (40 - 10*i); n >= u {
			return fmt.Sprintf("%d%s", n/u, unit)
		}
	}
	return fmt.Sprint(n)
}

// A disk of 1 TiB costs what one of 1 MiB costs, but for its table of blocks, which is read in one request.
func TestTheCostDoesNotGrowWithTheDisk(t *testing.T) {
	for _, form := range corpus.Forms {
		for _, size := range diskSizes {
			m, format := corpus.As(form, corpus.DebianGuest(size))
			c := NewCache(m, m.Size(), Budget{})
			rep, err := Inspect(t.Context(), c, m.Size(), Options{DiskFormat: format, ContainerFormat: "bare", Boot: Require})
			if err != nil {
				t.Errorf("%s of %s: %v", form, sizeName(size), err)
				continue
			}
			if rep.VirtualSize != size || rep.OSDistro != "debian" {
				t.Errorf("%s of %s: got %+v", form, sizeName(size), rep)
			}
			if s := c.Stats(); s.Requests > 22 || s.Bytes > 12<<20 {
				t.Errorf("%s of %s took %d reads and %d bytes, want at most 22 and 12 MiB", form, sizeName(size), s.Requests, s.Bytes)
			}
		}
	}
}

// The root is made by mkfs.ext4 with enough in it that directories and inodes lie apart, as in a real system.
func TestAQcow2OfARealSystemTakesAtMostTwelveReadsAndFourMebibytes(t *testing.T) {
	dir := t.TempDir()
	tree, file := filepath.Join(dir, "tree"), filepath.Join(dir, "root")
	for _, d := range strings.Fields("boot dev home mnt opt proc root run srv sys tmp var etc usr/bin usr/sbin usr/share usr/lib") {
		for i := range 40 {
			full := filepath.Join(tree, d, fmt.Sprintf("d%02d", i))
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(full, "f"), corpus.Random(64<<10, uint64(i)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "usr/lib/os-release"), []byte("ID=debian\nVERSION_ID=\"12\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../usr/lib/os-release", filepath.Join(tree, "etc/os-release")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), needTool(t, "mkfs.ext4", "e2fsprogs"), "-q", "-d", tree, file).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	root, err := corpus.ReadSparse(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(dir, "raw")
	if err := corpus.DebianDisk(1<<30+8<<20, root).WriteFile(raw); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-O", "qcow2"}, {"-O", "qcow2", "-c"}, {"-O", "qcow2", "-c", "-o", "compression_type=zstd"}} {
		image := filepath.Join(dir, "image")
		if out, err := run(t, needTool(t, "qemu-img", "qemu-utils"), append(append([]string{"convert", "-f", "raw"}, args...), raw, image)...); err != nil {
			t.Fatalf("qemu-img convert: %v\n%s", err, out)
		}
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		c := NewCache(f, st.Size(), Budget{})
		rep, err := Inspect(t.Context(), c, st.Size(), Options{DiskFormat: "qcow2", ContainerFormat: "bare", Boot: Require})
		if err != nil {
			t.Fatal(err)
		}
		if rep.OSDistro != "debian" || rep.OSVersion != "12" || rep.Architecture != "x86_64" {
			t.Errorf("%v: got %+v, want debian 12 on x86_64", args, rep)
		}
		s := c.Stats()
		if s.Requests > 12 || s.Bytes > 4<<20 {
			t.Errorf("%v: %d reads of %d bytes, want at most 12 and 4 MiB", args, s.Requests, s.Bytes)
		}
		t.Logf("%v: a file of %d bytes took %d reads of %d bytes", args, st.Size(), s.Requests, s.Bytes)
	}
}

// BenchmarkInspect shows time, allocation, reads and bytes read by format and size of the disk.
func BenchmarkInspect(b *testing.B) {
	for _, form := range corpus.Forms {
		for _, size := range diskSizes {
			m, format := corpus.As(form, corpus.DebianGuest(size))
			b.Run(form+"/"+sizeName(size), func(b *testing.B) {
				b.ReportAllocs()
				var s Stats
				for b.Loop() {
					c := NewCache(m, m.Size(), Budget{})
					if _, err := Inspect(b.Context(), c, m.Size(), Options{DiskFormat: format, ContainerFormat: "bare"}); err != nil {
						b.Fatal(err)
					}
					s = c.Stats()
				}
				b.ReportMetric(float64(s.Requests), "reads/op")
				b.ReportMetric(float64(s.Bytes)/(1<<20), "MiB-read/op")
			})
		}
	}
}
