package diskimage

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bullion/internal/diskimage/corpus"
)

// maxAllocated is what one inspection may allocate in all, whatever the image says.
const maxAllocated = 160 << 20

// mustEndWell inspects an image and fails unless that ends with a report or a rejection that is not of our own making.
func mustEndWell(t *testing.T, m interface {
	ReadAt([]byte, int64) (int, error)
	Size() int64
}, o Options) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := NewCache(m, m.Size(), Budget{})
	_, err := Inspect(t.Context(), c, m.Size(), o)
	runtime.ReadMemStats(&after)
	if r := asRejection(err); r == nil && err != nil {
		t.Errorf("an error that is not a rejection: %v", err)
	} else if r != nil && r.Code == CodeUnreadable {
		t.Errorf("a panic: %v", r)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > maxAllocated {
		t.Errorf("allocated %d MiB", n>>20)
	}
	if s := c.Stats(); s.Bytes > 64<<20 || s.Requests > 400 {
		t.Errorf("read %+v", s)
	}
}

// fuzzFormat changes good images of a format field by field. The script is what corpus.Mutate takes; seed says which image.
func fuzzFormat(f *testing.F, prefix string) {
	type seed struct {
		c   corpus.Case
		hot []int64
	}
	var seeds []seed
	for _, c := range corpus.Synthetic() {
		if c.Code == "" && strings.HasPrefix(c.Name, prefix) && c.Image.Size() > 0 {
			seeds = append(seeds, seed{c, c.Image.Sectors(1024)})
		}
	}
	if len(seeds) == 0 {
		f.Fatalf("the corpus has no good image whose name begins with %s", prefix)
	}
	for i := range seeds {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{0x15, byte(i), 0, 12, 21, 0, 0, 0})
		f.Add(uint8(i), []byte{0x1d, byte(i * 3), 0, 8, 20, 0, 0, 0, 0x0c, 1, 0, 6, 0xff, 0xff, 0, 0})
		f.Add(uint8(i), []byte{7, byte(i * 7), 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, which uint8, script []byte) {
		if len(script) > 512 {
			return
		}
		s := seeds[int(which)%len(seeds)]
		m := s.c.Image.Mutate(s.hot, script)
		mustEndWell(t, m, caseOptions(s.c))
	})
}

func FuzzQcow2(f *testing.F)      { fuzzFormat(f, "qcow2/good/") }
func FuzzVMDK(f *testing.F)       { fuzzFormat(f, "vmdk/good/") }
func FuzzVHD(f *testing.F)        { fuzzFormat(f, "vhd/good/") }
func FuzzVHDX(f *testing.F)       { fuzzFormat(f, "vhdx/good/") }
func FuzzVDI(f *testing.F)        { fuzzFormat(f, "vdi/good/") }
func FuzzPloop(f *testing.F)      { fuzzFormat(f, "ploop/good/") }
func FuzzISO(f *testing.F)        { fuzzFormat(f, "iso/good/") }
func FuzzPartitions(f *testing.F) { fuzzFormat(f, "raw/good/") } // with the FAT and ext4 file systems in them
func FuzzOVA(f *testing.F)        { fuzzFormat(f, "ova/good/") }
func FuzzCompressed(f *testing.F) { fuzzFormat(f, "compressed/good/") }
func FuzzLUKS(f *testing.F)       { fuzzFormat(f, "luks/good/") }

// FuzzFAT and FuzzExt4 change only the file system, without a partition table around it.
func FuzzFAT(f *testing.F)  { fuzzFormat(f, "raw/good/fat-without-partitions") }
func FuzzExt4(f *testing.F) { fuzzFormat(f, "raw/good/ext4-without-partitions") }

// FuzzXFS changes a file system that mkfs.xfs made.
func FuzzXFS(f *testing.F) {
	dir := f.TempDir()
	tree, proto, file := filepath.Join(dir, "tree"), filepath.Join(dir, "proto"), filepath.Join(dir, "fs")
	if err := os.MkdirAll(filepath.Join(tree, "etc"), 0o755); err != nil {
		f.Fatal(err)
	}
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(tree, "etc", strings.Repeat("x", i+1)), nil, 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/os-release"), []byte("ID=fedora\n"), 0o644); err != nil {
		f.Fatal(err)
	}
	writeProto(f, tree, proto)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		f.Fatal(err)
	}
	if err := os.Truncate(file, 320<<20); err != nil {
		f.Fatal(err)
	}
	if out, err := exec.Command(needTool(f, "mkfs.xfs", "xfsprogs"), "-q", "-p", proto, file).CombinedOutput(); err != nil {
		f.Fatalf("mkfs.xfs: %v\n%s", err, out)
	}
	m, err := corpus.ReadSparse(file)
	if err != nil {
		f.Fatal(err)
	}
	hot := m.Sectors(512)
	f.Add([]byte{})
	f.Add([]byte{0x15, 0, 0, 28, 20, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) <= 512 {
			mustEndWell(t, m.Mutate(hot, script), Options{DiskFormat: "raw", ContainerFormat: "bare"})
		}
	})
}

// FuzzOVF gives arbitrary text to the parser of OVF descriptions.
func FuzzOVF(f *testing.F) {
	f.Add([]byte(`<Envelope><References><File id="f" href="d.vmdk"/></References><DiskSection><Disk fileRef="f"/></DiskSection></Envelope>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><Envelope>&b;</Envelope>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > maxOVF {
			return
		}
		if _, err := parseOVF(text); err != nil && asRejection(err) == nil {
			t.Errorf("an error that is not a rejection: %v", err)
		}
	})
}

// FuzzAnything gives arbitrary bytes to Inspect, as every format.
func FuzzAnything(f *testing.F) {
	formats := append([]string{""}, known...)
	containers := []string{"", "bare", "ova", "ovf", "compressed", "docker", "aki"}
	for _, c := range corpus.Synthetic() {
		head := make([]byte, min(c.Image.Size(), 2048))
		if _, err := c.Image.ReadAt(head, 0); err != nil && len(head) > 0 && c.Image.Size() > 2048 {
			f.Fatal(err)
		}
		f.Add(head, uint8(len(c.Disk)), uint8(len(c.Container)), len(c.Name)%2 == 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, format, container uint8, lenient bool) {
		o := Options{DiskFormat: formats[int(format)%len(formats)], ContainerFormat: containers[int(container)%len(containers)]}
		if lenient {
			o.Mode = Lenient
		}
		mustEndWell(t, bytes.NewReader(b), o)
	})
}
