package diskimage

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/diskimage/corpus"
)

// verdict is what a case asserts, as text that reads well in a failure.
type verdict struct {
	Code        string
	Disk        string
	VirtualSize int64
	Arch        string
	Firmware    string
	OS          string
	Boots       bool
}

func caseOptions(c corpus.Case) Options {
	return Options{DiskFormat: c.Disk, ContainerFormat: c.Container, EncryptionKeyID: c.KeyID}
}

func wantOf(c corpus.Case) verdict {
	if c.Code != "" {
		return verdict{Code: c.Code}
	}
	return verdict{"", c.Disk, c.VirtualSize, c.Arch, c.Firmware, c.OS, c.Boots}
}

func verdictOf(t *testing.T, rep *Report, err error, withSize bool) verdict {
	t.Helper()
	if r := asRejection(err); r != nil {
		if r.Message == "" || r.Hint == "" || !strings.HasSuffix(r.Message, ".") || !strings.HasSuffix(r.Hint, ".") {
			t.Errorf("the rejection %q with the hint %q is not two sentences", r.Message, r.Hint)
		}
		return verdict{Code: r.Code}
	}
	if err != nil {
		t.Fatalf("an error of the reader: %v", err)
	}
	v := verdict{"", rep.DiskFormat, rep.VirtualSize, rep.Architecture, rep.FirmwareType, strings.TrimSpace(rep.OSType + " " + rep.OSDistro + " " + rep.OSVersion), rep.Bootable}
	if !withSize {
		v.VirtualSize = 0
	}
	return v
}

func TestEveryVerdictOnTheCorpusIsRight(t *testing.T) {
	cases := corpus.Synthetic()
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.Name] {
			t.Errorf("two cases have the name %s", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			cache := NewCache(c.Image, c.Image.Size(), Budget{})
			rep, err := Inspect(t.Context(), cache, c.Image.Size(), caseOptions(c))
			if diff := cmp.Diff(wantOf(c), verdictOf(t, rep, err, c.VirtualSize != 0)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s%v %+v", diff, err, rep)
			}
			if s := cache.Stats(); s.Bytes > 64<<20 {
				t.Errorf("read %d bytes, want at most 64 MiB", s.Bytes)
			}
		})
	}
	if len(cases) < 300 {
		t.Errorf("the corpus has %d cases, want a few hundred", len(cases))
	}
	t.Logf("%d cases", len(cases))
}

func TestWhatIsDeclaredRightIsFoundOutWithoutADeclaration(t *testing.T) {
	for _, c := range corpus.Synthetic() {
		if c.Code != "" || strings.Contains(c.Name, "/odd/") || strings.Contains(c.Name, "declared") || c.KeyID != "" || c.Container == "compressed" || c.Container == "ovf" || c.Disk == "ami" || c.Disk == "gpt" ||
			c.Name == "ari/good/xz" || c.Name == "ari/good/lz4" {
			continue
		}
		rep, err := Inspect(t.Context(), c.Image, c.Image.Size(), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got, want := rep.DiskFormat+" in "+rep.ContainerFormat, c.Disk+" in "+c.Container; got != want {
			t.Errorf("%s: got %s, want %s", c.Name, got, want)
		}
	}
}

func TestLenientModeRefusesOnlyWhatReachesOutside(t *testing.T) {
	for _, c := range corpus.Synthetic() {
		o := caseOptions(c)
		o.Mode = Lenient
		rep, err := Inspect(t.Context(), c.Image, c.Image.Size(), o)
		if r := asRejection(err); r != nil {
			if !reachesOutside(r.Code) {
				t.Errorf("%s: refused with %s", c.Name, r.Code)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if reachesOutside(c.Code) {
			t.Errorf("%s: accepted, want %s", c.Name, c.Code)
		}
		if c.Code != "" && len(rep.Warnings) == 0 {
			t.Errorf("%s: accepted without a warning", c.Name)
		}
	}
}

// Tempest uploads one to four KiB of random bytes as each of these and waits for the image to become active
// (tempest.api.image.v2.test_images.ListUserImagesTest).
func TestLenientModeTakesRandomBytesAsEveryFormat(t *testing.T) {
	for _, container := range []string{"bare", "ami", "ari", "aki", "ovf", "ova", "compressed", "docker"} {
		for _, disk := range []string{"qcow2", "raw", "ami", "ari", "aki", "vhd", "vmdk", "vdi", "iso", "vhdx", "ploop"} {
			m := corpus.FromBytes(corpus.Random(1500, 77))
			rep, err := Inspect(t.Context(), m, m.Size(), Options{DiskFormat: disk, ContainerFormat: container, Mode: Lenient})
			if err != nil || rep.DiskFormat != disk || rep.ContainerFormat != container || len(rep.Warnings) == 0 {
				t.Errorf("%s in %s: got %+v, %v, want accepted as declared, with warnings", disk, container, rep, err)
			}
		}
	}
}

func TestTheBootRuleDecidesAboutImagesWithoutEvidence(t *testing.T) {
	for _, c := range corpus.Synthetic() {
		if c.Code != "" || c.Container != "bare" || c.Disk == "aki" || c.Disk == "ari" || c.Disk == "ami" || c.KeyID != "" {
			continue
		}
		o := caseOptions(c)
		o.Boot = Require
		_, err := Inspect(t.Context(), c.Image, c.Image.Size(), o)
		want := CodeNotBootable
		if c.Boots {
			want = ""
		}
		got := ""
		if r := asRejection(err); r != nil {
			got = r.Code
		}
		if got != want {
			t.Errorf("%s under require: got %q, want %q", c.Name, got, want)
		}
		o.Boot = Off
		rep, err := Inspect(t.Context(), c.Image, c.Image.Size(), o)
		if err != nil || rep.Bootable || rep.Architecture != "" || len(rep.Evidence) > 0 {
			t.Errorf("%s under off: got %+v, %v, want no facts", c.Name, rep, err)
		}
	}
}

func TestInspectionAllocatesLittleWhateverTheImageSays(t *testing.T) {
	for _, c := range corpus.Synthetic() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Inspect(t.Context(), c.Image, c.Image.Size(), caseOptions(c))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 {
			t.Errorf("%s: allocated %d MiB in all, want at most 128", c.Name, n>>20)
		}
	}
}
