package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bullion/internal/proctest"
)

// Whatever a user gets wrong is answered with one sentence that names the cause and the fix, and leaves nothing behind.
func TestWrongInputGetsASentenceAndLeavesNothing(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.qcow2")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("Dear reader, this is no disk. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	unknown := "00000000-0000-4000-8000-000000000000"
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   []string
	}{
		{"a file that is not there", []string{"image", "create", "--file", filepath.Join(dir, "absent.qcow2"), "x"}, 1, []string{"absent.qcow2"}},
		{"an empty file", []string{"image", "create", "--file", empty, "x"}, 1, []string{"empty"}},
		{"a directory", []string{"image", "create", "--file", dir, "x"}, 1, []string{"directory"}},
		{"a format that is not the file's", []string{"image", "create", "--file", text, "--disk-format", "qcow2", "x"}, 3, []string{"qcow2"}},
		{"a format that the service finds not to be the file's", []string{"image", "create", "--file", text, "--disk-format", "qcow2", "--no-preflight", "x"}, 3, []string{"qcow2"}},
		{"a format that does not exist", []string{"image", "create", "--file", text, "--disk-format", "floppy", "x"}, 2, []string{"floppy", "qcow2"}},
		{"an id that is not there", []string{"image", "show", unknown}, 1, []string{unknown}},
		{"a name that is not there", []string{"image", "delete", "--yes", "nobody"}, 1, []string{"nobody"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.run("bullion", c.args...)
			if r.status != c.status {
				t.Errorf("status %d, want %d", r.status, c.status)
			}
			for _, want := range c.says {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, r.stderr)
				}
			}
			if strings.Contains(r.stderr, "goroutine ") || strings.Count(strings.TrimSpace(r.stderr), "\n") > 6 {
				t.Errorf("more than a sentence:\n%s", r.stderr)
			}
		})
	}
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("bytes were left behind: %v", left)
	}
}

func TestAnotherProjectsImageIsNotFound(t *testing.T) {
	s := newServer(t)
	for _, args := range [][]string{{"project", "add", "other"}, {"user", "add", "eve", "--project", "other"}} {
		cmd := exec.Command(filepath.Join(programs, "bulliond"), append(args, "--data", s.data)...)
		cmd.Stdin = strings.NewReader("a password of eve\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("bulliond %v: %v\n%s", args, err, out)
		}
	}
	id := strings.TrimSpace(s.must("image", "create", "--quiet", "--private", "mine"))
	clouds := filepath.Join(s.data, "eve.yaml")
	yaml := "clouds:\n  eve:\n    auth: {auth_url: http://" + s.addr + "/v3, username: eve, password: a password of eve, project_name: other, " +
		"user_domain_name: Default, project_domain_name: Default}\n"
	if err := os.WriteFile(clouds, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"image", "show", id}, {"image", "save", "--file", filepath.Join(t.TempDir(), "x"), id}, {"image", "delete", "--yes", id}, {"image", "set", "--name", "stolen", id},
	} {
		cmd := s.command("eve", args...)
		cmd.Env = append(cmd.Env, "OS_CLIENT_CONFIG_FILE="+clouds)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), id) || strings.Contains(string(out), "another project") {
			t.Errorf("bullion %v as a stranger: %v\n%s", args, err, out)
		}
	}
	if doc := s.show(id); doc["name"] != "mine" {
		t.Errorf("the image was changed: %v", doc)
	}
}

func TestAFileThatChangesDuringItsUploadDoesNotBecomeAnImage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*os.File) error
	}{
		{"shrinks", func(f *os.File) error { return f.Truncate(1 << 29) }},
		{"grows", func(f *os.File) error { return f.Truncate(3 << 29) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			file := sparse(t, 1<<30)
			cmd := s.command("bullion", "image", "create", "--file", file, "--disk-format", "raw", "moving")
			said := &proctest.Output{}
			cmd.Stdout, cmd.Stderr = said, said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.eventually("some parts have arrived", time.Minute, func() bool { return lines(filepath.Join(s.data, "s3", "uploads", "*", "parts.log")) > 4 })
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.change(f); err != nil {
				t.Fatal(err)
			}
			f.Close()
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code == 0 {
				t.Errorf("status 0:\n%s", said)
			}
			if !strings.Contains(said.String(), "changed") && !strings.Contains(said.String(), "bytes") {
				t.Errorf("it does not say that the file changed:\n%s", said)
			}
			if left := s.leftovers(); len(left) > 0 {
				t.Errorf("bytes were left behind: %v\nbullion said:\n%s", left, said)
			}
		})
	}
}

func TestStartingWhereSomethingIsInTheWay(t *testing.T) {
	s := newServer(t)
	start := func(args ...string) (string, error) {
		out, err := exec.Command(filepath.Join(programs, "bulliond"), args...).CombinedOutput()
		return string(out), err
	}
	t.Run("a second bulliond on the same data", func(t *testing.T) {
		out, err := start("--data", s.data, "--listen", freeAddr(t), "--s3-listen", freeAddr(t))
		if err == nil || !strings.Contains(out, "another process already serves") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the port of the API is taken", func(t *testing.T) {
		out, err := start("--data", t.TempDir(), "--listen", s.addr, "--s3-listen", freeAddr(t))
		if err == nil || !strings.Contains(out, s.addr+" is taken") || !strings.Contains(out, "--listen") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the port of the S3 server is taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out, err := start("--data", t.TempDir(), "--listen", freeAddr(t), "--s3-listen", l.Addr().String())
		if err == nil || !strings.Contains(out, l.Addr().String()+" is taken") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("the first one is not disturbed", func(t *testing.T) { s.must("image", "list") })
}

// What was written is private to the user.
func TestDataIsPrivate(t *testing.T) {
	s := newServer(t)
	s.must("image", "create", "--file", sparse(t, 1<<20), "--disk-format", "raw", "secret")
	err := filepath.WalkDir(s.data, func(path string, d os.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, filepath.Join(s.data, "state")) {
			return err
		}
		info, err := d.Info()
		if err == nil && path != s.data && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAQuotaNamesTheLimitTheUseAndTheRequest(t *testing.T) {
	s := newServer(t, "--quota-images", "1", "--quota-bytes", "10000000")
	s.must("image", "create", "--disk-format", "raw", "--container-format", "bare", "one")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"image", "upload", "one", "--file", sparse(t, 11<<20), "--no-preflight"}, []string{"quota of bytes is 10000000", "11534336 more"}},
		{[]string{"image", "create", "two"}, []string{"quota of images is 1", "it uses 1"}},
	} {
		r := s.run("bullion", c.args...)
		for _, want := range c.says {
			if r.status != 1 || !strings.Contains(r.stderr, want) {
				t.Errorf("bullion %v: status %d, and it does not say %q: %s", c.args, r.status, want, r.stderr)
			}
		}
	}
}
