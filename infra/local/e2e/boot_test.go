package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bullion/internal/diskimage"
	"bullion/internal/proctest"
)

const ovmf = "/usr/share/OVMF/OVMF_" // of Debian's package ovmf

// realDisk is a disk or disc that machines start from.
type realDisk struct {
	format, file string  // as bullion and qemu both call it
	says         string  // on the serial console once it runs
	volume       float64 // bytes of a disc, which Glance counts where qemu counts those of its file
	system       map[string]string
}

// greeting is what the init of the root file system says first, by its os-release.
const greeting = "Debian GNU/Linux 12"

// realDisks are a real Debian in every form, and a real disc.
func realDisks(t *testing.T) []realDisk {
	t.Helper()
	source, dir := debian(t), t.TempDir()
	system := map[string]string{"os_type": "linux", "os_distro": "debian", "os_version": "12"}
	disks := []realDisk{{"qcow2", source, greeting, 0, system}, {"iso", "/usr/lib/ipxe/ipxe.iso", "iPXE 1.", 1_730_560, nil}}
	for _, format := range []string{"raw", "vmdk", "vhdx"} {
		file := filepath.Join(dir, "disk."+format)
		if out, err := exec.Command("qemu-img", "convert", "-O", format, source, file).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img convert: %v\n%s", err, out)
		}
		disks = append(disks, realDisk{format, file, greeting, 0, system})
	}
	return disks
}

func TestEveryFormOfARealSystemStartsUnderQemuWithBothFirmwares(t *testing.T) {
	disks := realDisks(t)
	for _, firmware := range []string{"UEFI", "BIOS"} {
		for _, d := range disks {
			t.Run(firmware+" "+d.format, func(t *testing.T) {
				t.Parallel()
				if err := starts(t.Context(), d.format, d.file, firmware, d.says); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// On a server that requires proof, each is active with the facts that its starts above prove.
func TestEveryFormOfARealSystemIsActiveWithTheRightFacts(t *testing.T) {
	s := newServer(t, "--boot", "require")
	disks := realDisks(t)
	for _, d := range disks {
		id := strings.TrimSpace(s.must("image", "create", "--quiet", "--file", d.file, "a "+d.format))
		doc := s.show(id)
		size, md5sum, sha := digest(t, d.file)
		for field, want := range map[string]any{"status": "active", "disk_format": d.format, "container_format": "bare", "size": float64(size),
			"checksum": md5sum, "os_hash_value": sha, "virtual_size": cmp.Or(d.volume, virtualSize(t, d.file))} {
			if got := doc[field]; got != want {
				t.Errorf("%s: %s is %v, want %v", d.format, field, got, want)
			}
		}
		// hw_firmware_type is for what starts with one of the two alone.
		for name, want := range map[string]string{"architecture": "x86_64", "hw_firmware_type": "", "os_type": d.system["os_type"],
			"os_distro": d.system["os_distro"], "os_version": d.system["os_version"]} {
			if got := property(doc, name); got != want {
				t.Errorf("%s: %s is %q, want %q", d.format, name, got, want)
			}
		}
		verdict, _ := doc["bullion_validation"].(map[string]any)
		report, _ := verdict["report"].(map[string]any)
		evidence, _ := report["evidence"].([]any)
		warnings, _ := report["warnings"].([]any)
		if report["bootable"] != true || len(evidence) < 2 || len(warnings) != 0 {
			t.Errorf("%s: the verdict is %v, want bootable with evidence for both firmwares and no warning", d.format, verdict)
		}
		cost := inspectionOf(t, d.file, d.format)
		t.Logf("%s of %d bytes: %d ranged reads of %d bytes", d.format, size, cost.Requests, cost.Bytes)
		if d.format == "qcow2" && (cost.Requests > 12 || cost.Bytes > 4<<20) {
			t.Errorf("the inspection of the qcow2 took %+v, want at most 12 reads and 4 MiB", cost)
		}
	}
}

// inspectionOf is what the service reads of a file to judge it: each read is one ranged GET.
func inspectionOf(t *testing.T, path, format string) diskimage.Stats {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c := diskimage.NewCache(f, st.Size(), diskimage.Budget{})
	if _, err := diskimage.Inspect(t.Context(), c, st.Size(), diskimage.Options{DiskFormat: format, ContainerFormat: "bare", Boot: diskimage.Require}); err != nil {
		t.Error(err)
	}
	return c.Stats()
}

// virtualSize is what qemu-img says, as a number in JSON.
func virtualSize(t *testing.T, path string) float64 {
	t.Helper()
	out, err := exec.Command("qemu-img", "info", "--output=json", path).Output()
	if err != nil {
		t.Fatalf("qemu-img info: %v", err)
	}
	var info struct {
		VirtualSize float64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	return info.VirtualSize
}

// starts runs a machine from a disk, without KVM, until its serial console says something. Nothing is written to the disk.
func starts(ctx context.Context, format, file, firmware, says string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "bullion-boot-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	console := &proctest.Output{}
	args := []string{"-accel", "tcg,thread=multi", "-m", "512", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"}
	if firmware == "UEFI" {
		vars := filepath.Join(dir, "vars.fd")
		b, err := os.ReadFile(ovmf + "VARS_4M.fd")
		if err != nil {
			return err
		}
		if err := os.WriteFile(vars, b, 0o600); err != nil {
			return err
		}
		args = append(args, "-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+ovmf+"CODE_4M.fd", "-drive", "if=pflash,format=raw,unit=1,file="+vars)
	} else {
		args = append(args, "-machine", "pc,graphics=off") // a BIOS then writes to the serial console
	}
	if format == "iso" {
		args = append(args, "-cdrom", file)
	} else {
		args = append(args, "-drive", "if=virtio,snapshot=on,format="+format+",file="+file)
	}
	machine := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	machine.Stdout, machine.Stderr = console, console
	machine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := machine.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- machine.Wait() }()
	defer func() { cancel(); <-ended }()
	for !strings.Contains(console.String(), says) {
		if strings.Contains(console.String(), "Kernel panic") {
			return errors.New("the kernel gave up:\n" + console.String())
		}
		select {
		case err := <-ended:
			ended <- err
			return errors.Join(errors.New("the machine ended without saying "+says+":\n"+console.String()), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
