package e2e

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bullion/internal/proctest"
)

func TestANewUserKeepsARealImage(t *testing.T) {
	file := debian(t)
	s := newServer(t)
	for _, want := range []string{"Bullion is ready", "http://" + s.addr, "member", "admin", "clouds.yaml"} {
		if !strings.Contains(s.firstSays, want) {
			t.Errorf("the first start does not say %q:\n%s", want, s.firstSays)
		}
	}

	id := strings.TrimSpace(s.must("image", "create", "--quiet", "--file", file, "Debian 12"))
	doc := s.show(id)
	size, md5sum, sha := digest(t, file)
	for field, want := range map[string]any{
		"status": "active", "disk_format": "qcow2", "container_format": "bare", "size": float64(size), "checksum": md5sum,
		"os_hash_algo": "sha512", "os_hash_value": sha, "visibility": "shared", "name": "Debian 12",
	} {
		if got := doc[field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if virtual, _ := doc["virtual_size"].(float64); virtual <= float64(size) {
		t.Errorf("virtual_size is %v, want more than the size of the file, %d", doc["virtual_size"], size)
	}
	for name, want := range map[string]string{"os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64"} {
		if got := property(doc, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	if list := s.must("image", "list"); !strings.Contains(list, id) || !strings.Contains(list, "Debian 12") || !strings.Contains(list, "active") {
		t.Errorf("the list does not show the image:\n%s", list)
	}
	s.must("image", "set", "--description", "for web servers", "--tag", "golden", "--min-disk", "2", "Debian 12")
	doc = s.show("Debian 12")
	if property(doc, "description") != "for web servers" || doc["min_disk"] != float64(2) || fmt.Sprint(doc["tags"]) != "[golden]" {
		t.Errorf("set did not set: %v", doc)
	}
	s.must("image", "unset", "--tag", "golden", id)

	copied := filepath.Join(t.TempDir(), "copy.qcow2")
	s.must("image", "save", "--file", copied, "Debian 12")
	sameBytes(t, file, copied)

	s.must("image", "delete", "--yes", "Debian 12")
	if r := s.run("bullion", "image", "show", id); r.status != 1 || !strings.Contains(r.stderr, id) {
		t.Errorf("show of a deleted image: status %d, %q", r.status, r.stderr)
	}
	if left := s.objects(); len(left) != 0 {
		t.Errorf("the delete left bytes behind: %v", left)
	}
}

func TestAnUploadGoesOnAfterBothSidesWereKilled(t *testing.T) {
	const size = 9 << 29 // more than four GiB, which 32 bits do not count
	file := sparse(t, size)
	s := newServer(t)

	cmd := s.command("bullion", "image", "create", "--file", file, "--disk-format", "raw", "big disk")
	said := &proctest.Output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(s.data, "s3", "uploads", "*", "parts.log")
	s.eventually("a third of the parts have arrived", 2*time.Minute, func() bool { return lines(journal) > 90 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s.kill()
	before := lines(journal)
	if before == 0 || before >= 288 {
		t.Fatalf("%d parts had arrived when both were killed; the test wants some but not all\n%s", before, said)
	}

	s.start()
	r := s.run("bullion", "upload", "resume")
	if r.status != 0 {
		t.Fatalf("resume: status %d\n%s%s\nbulliond said:\n%s", r.status, r.stdout, r.stderr, s.out)
	}
	doc := s.show("big disk")
	if doc["status"] != "active" || doc["size"] != float64(size) {
		t.Errorf("status %v, size %v; want active, %d", doc["status"], doc["size"], int64(size))
	}
	_, md5sum, sha := digest(t, file)
	if doc["checksum"] != md5sum || doc["os_hash_value"] != sha {
		t.Error("the hashes are not those of the file")
	}
	// Nothing in this disk starts a machine: it is taken with a warning, which programs and people can read.
	verdict, _ := doc["bullion_validation"].(map[string]any)
	report, _ := verdict["report"].(map[string]any)
	codes := ""
	warnings, _ := report["warnings"].([]any)
	for _, w := range warnings {
		w, _ := w.(map[string]any)
		codes += fmt.Sprint(w["code"], " ")
	}
	if verdict["state"] != "accepted" || report["bootable"] != false || codes != "unknown_contents not_bootable " {
		t.Errorf("the verdict is %v", verdict)
	}
	if table := s.must("image", "show", "big disk"); !strings.Contains(table, "not_bootable: Nothing in the image can start a machine.") {
		t.Errorf("the table does not show the warning:\n%s", table)
	}
}

// lines counts the lines of the files that match: parts that arrived whole.
func lines(pattern string) int {
	n := 0
	files, _ := filepath.Glob(pattern)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			n += strings.Count(string(b), "\n")
		}
	}
	return n
}

func digest(t *testing.T, path string) (size int64, md5hex, sha512hex string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, s := md5.New(), sha512.New()
	if size, err = io.Copy(io.MultiWriter(m, s), f); err != nil {
		t.Fatal(err)
	}
	return size, hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(s.Sum(nil))
}

// property is a custom property of an image as bullion shows it.
func property(doc map[string]any, name string) string {
	if nested, ok := doc["properties"].(map[string]any); ok {
		doc = nested
	}
	text, _ := doc[name].(string)
	return text
}
