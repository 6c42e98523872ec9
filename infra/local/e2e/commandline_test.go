package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bullion/internal/proctest"
)

// uploading is an upload that runs.
type uploading struct {
	*exec.Cmd
	said *proctest.Output
}

// upload starts an upload and returns when some of its parts have arrived.
func (s *server) upload(file, name string) *uploading {
	s.t.Helper()
	u := &uploading{s.command("bullion", "image", "create", "--file", file, "--disk-format", "raw", name), &proctest.Output{}}
	u.Stdout, u.Stderr = u.said, u.said
	if err := u.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = u.Process.Kill() })
	s.eventually("some parts have arrived", time.Minute, func() bool { return lines(filepath.Join(s.data, "s3", "uploads", "*", "parts.log")) > 8 })
	return u
}

func (u *uploading) wait() int {
	_ = u.Wait()
	return u.ProcessState.ExitCode()
}

// interrupted starts an upload, stops it with Ctrl-C and returns the command that it says resumes it.
func (s *server) interrupted(file, name string) (resume []string) {
	s.t.Helper()
	u := s.upload(file, name)
	if err := u.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if got, want := u.wait(), 130; got != want {
		s.t.Fatalf("status %d, want %d:\n%s", got, want, u.said)
	}
	found := regexp.MustCompile(`(?m)^Go on with: bullion (upload resume [0-9a-f-]{36})$`).FindStringSubmatch(u.said.String())
	if found == nil {
		s.t.Fatalf("it does not say how to go on:\n%s", u.said)
	}
	return strings.Fields(found[1])
}

func (s *server) mustBeActive(name string, size int64) {
	s.t.Helper()
	if doc := s.show(name); doc["status"] != "active" || doc["size"] != float64(size) {
		s.t.Errorf("%s is %v with %v bytes, want active with %d", name, doc["status"], doc["size"], size)
	}
}

func TestCtrlCSaysHowToGoOn(t *testing.T) {
	const size = 1 << 30
	s := newServer(t)
	file := sparse(t, size)
	resume := s.interrupted(file, "paused")
	if list := s.must("upload", "list"); !strings.Contains(list, file) {
		t.Errorf("the upload is not listed:\n%s", list)
	}
	if out := s.must(resume...); !strings.Contains(out, "active") {
		t.Errorf("resume says:\n%s", out)
	}
	s.mustBeActive("paused", size)
	if list := s.must("upload", "list", "--quiet"); list != "" {
		t.Errorf("the upload is still remembered: %s", list)
	}
}

func TestAnUploadIsFinishedFromAnotherMachine(t *testing.T) {
	const size = 1 << 30
	s := newServer(t)
	file := sparse(t, size)
	s.interrupted(file, "moved")
	elsewhere := func(args ...string) (string, error) {
		cmd := s.command("bullion", args...)
		cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := elsewhere("upload", "resume", "moved"); err == nil || !strings.Contains(out, "--file") {
		t.Errorf("without its file: %v\n%s", err, out)
	}
	if out, err := elsewhere("upload", "resume", "moved", "--file", sparse(t, size-1)); err == nil || !strings.Contains(out, "not the file") {
		t.Errorf("with another file: %v\n%s", err, out)
	}
	if out, err := elsewhere("upload", "resume", "moved", "--file", file); err != nil {
		t.Errorf("with its file: %v\n%s", err, out)
	}
	s.mustBeActive("moved", size)
}

func TestAFileThatWasWrittenToIsNotGoneOnWith(t *testing.T) {
	s := newServer(t)
	file := sparse(t, 1<<30)
	resume := s.interrupted(file, "edited")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := s.run("bullion", resume...); r.status != 1 || !strings.Contains(r.stderr, "was written to") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	s.must("upload", "abort")
	if doc := s.show("edited"); doc["status"] != "queued" {
		t.Errorf("after the abort the image is %v, want queued", doc["status"])
	}
	s.eventually("no bytes are left behind", 20*time.Second, func() bool { return len(s.objects()) == 0 })
	s.must("image", "upload", "edited", "--file", sparse(t, 1<<20))
	s.mustBeActive("edited", 1<<20)
}

func TestAnUploadOutlivesTheServer(t *testing.T) {
	const size = 1 << 30
	s := newServer(t)
	file := sparse(t, size)
	u := s.upload(file, "outlived")
	s.kill()
	s.start()
	if got := u.wait(); got != 0 {
		t.Fatalf("status %d:\n%s", got, u.said)
	}
	s.mustBeActive("outlived", size)
}

func TestADeclaredHashMustMatch(t *testing.T) {
	s := newServer(t)
	file := sparse(t, 3<<20)
	s.must("image", "create", "--file", file, "--verify", "verified")
	s.mustBeActive("verified", 3<<20)
	r := s.run("bullion", "image", "create", "--file", file, "--sha512", strings.Repeat("0", 128), "wrong")
	if r.status != 3 || !strings.Contains(r.stderr, "rejected") {
		t.Errorf("status %d, want 3: %s", r.status, r.stderr)
	}
	if doc := s.show("wrong"); doc["status"] != "queued" {
		t.Errorf("the image is %v, want queued", doc["status"])
	}
}

func TestAnImageIsSharedWithAnotherProject(t *testing.T) {
	s := newServer(t)
	for _, args := range [][]string{{"project", "add", "other"}, {"user", "add", "eve", "--project", "other"}} {
		cmd := exec.Command(filepath.Join(programs, "bulliond"), append(args, "--data", s.data)...)
		cmd.Stdin = strings.NewReader("a password of eve\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("bulliond %v: %v\n%s", args, err, out)
		}
	}
	eve := func(args ...string) string {
		t.Helper()
		cmd := s.command("", args...)
		cmd.Env = append(cmd.Env, "OS_AUTH_URL=http://"+s.addr+"/v3", "OS_USERNAME=eve", "OS_PASSWORD=a password of eve", "OS_PROJECT_NAME=other")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bullion %v as eve: %v\n%s", args, err, out)
		}
		return string(out)
	}
	var me struct {
		ProjectID string `json:"project_id"`
	}
	if err := json.Unmarshal([]byte(eve("whoami", "--format", "json")), &me); err != nil || me.ProjectID == "" {
		t.Fatalf("whoami: %+v, %v", me, err)
	}
	id := strings.TrimSpace(s.must("image", "create", "--quiet", "--file", sparse(t, 1<<20), "ours"))
	s.must("image", "share", "ours", me.ProjectID)
	if list := eve("image", "list", "--quiet"); list != "" {
		t.Errorf("before it is accepted the list is %q, want nothing", list)
	}
	if list := eve("image", "list", "--quiet", "--visibility", "shared", "--member-status", "pending"); strings.TrimSpace(list) != id {
		t.Errorf("what was offered is %q, want %s", list, id)
	}
	eve("image", "accept", "ours")
	if list := eve("image", "list", "--quiet"); strings.TrimSpace(list) != id {
		t.Errorf("after it is accepted the list is %q, want %s", list, id)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	eve("image", "save", "ours", "--file", copied)
	if info, err := os.Stat(copied); err != nil || info.Size() != 1<<20 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if out := s.must("image", "members", "ours", "-f", "value", "-c", "status"); out != "accepted\n" {
		t.Errorf("the member is %q, want accepted", out)
	}
	s.must("image", "unshare", "ours", me.ProjectID)
	if list := eve("image", "list", "--quiet"); list != "" {
		t.Errorf("after it is taken away the list is %q, want nothing", list)
	}
}

func TestTheBooksOfARunningServer(t *testing.T) {
	s := newServer(t)
	id := strings.TrimSpace(s.must("image", "create", "--quiet", "--file", sparse(t, 1<<20), "kept"))
	if r := s.run("bullion-admin", "scrub", "--dry-run"); r.status != 0 || r.stdout != "" || !strings.Contains(r.stderr, "The books balance: images 1, objects 1, stored 1 MiB, in flight 0 B.") {
		t.Errorf("status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	if r := s.run("bullion", "scrub", "--dry-run"); r.status != 1 || !strings.Contains(r.stderr, "context_is_admin") {
		t.Errorf("as a member: status %d: %s", r.status, r.stderr)
	}
	for _, file := range s.objects() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"scrub", "--dry-run"}, {"scrub"}} {
		if r := s.run("bullion-admin", args...); r.status != 1 || !strings.Contains(r.stdout, "bytes_missing") || !strings.Contains(r.stdout, id) || !strings.Contains(r.stderr, "do not balance, findings 1:") {
			t.Errorf("bullion %v without the bytes: status %d: %s%s", args, r.status, r.stdout, r.stderr)
		}
	}
	var books struct{ Findings []struct{ Kind string } }
	if err := json.Unmarshal([]byte(s.run("bullion-admin", "scrub", "--dry-run", "-f", "json").stdout), &books); err != nil || len(books.Findings) != 1 {
		t.Errorf("as JSON: %+v, %v", books, err)
	}
	if r := s.run("bullion-admin", "scrub", "--after", "nowhere/"); r.status != 1 || !strings.Contains(r.stderr, "is not where a scrub stopped") {
		t.Errorf("from nowhere on: status %d: %s", r.status, r.stderr)
	}
}
