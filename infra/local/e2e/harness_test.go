// Package e2e drives the built programs as a user does: bulliond in its own process, bullion against it, real disk images, kill -9.
package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bullion/internal/proctest"
)

// programs are built once: bulliond and bullion.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "bullion-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = dir
		for _, p := range []struct{ dir, pkg string }{{"..", "./cmd/bulliond"}, {"../../..", "./cmd/bullion"}} {
			build := exec.Command("go", "build", "-o", dir+"/", p.pkg)
			build.Dir = p.dir
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s: %v\n%s", p.pkg, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// server is a bulliond in its own process with its own data.
type server struct {
	t         *testing.T
	data      string
	addr, s3  string
	flags     []string
	user      uint32 // as whom it runs; 0 for ourselves
	memory    int    // bytes that it gets; 0 for what there is
	cmd       *exec.Cmd
	out       *proctest.Output
	exited    chan struct{}
	firstSays string // what the first start printed
}

// newServer starts a bulliond on free ports and ends it with the test.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{t: t, data: t.TempDir(), addr: freeAddr(t), s3: freeAddr(t), flags: flags}
	s.start()
	s.firstSays = s.out.String()
	t.Cleanup(s.stop)
	return s
}

func (s *server) args() []string {
	return append([]string{"--data", s.data, "--listen", s.addr, "--s3-listen", s.s3}, s.flags...)
}

// process is bulliond, not started.
func (s *server) process() *exec.Cmd {
	cmd := exec.Command(filepath.Join(programs, "bulliond"), s.args()...)
	if s.memory > 0 {
		cmd = exec.Command("/bin/sh", append([]string{"-c", `ulimit -d "$0" && exec "$@"`, strconv.Itoa(s.memory >> 10)}, cmd.Args...)...)
	}
	if s.user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.user, Gid: s.user}}
	}
	return cmd
}

func (s *server) start() {
	s.t.Helper()
	s.launch()
	exited := s.exited
	s.eventually("bulliond answers", time.Minute, func() bool {
		select {
		case <-exited:
			s.t.Fatalf("bulliond ended:\n%s", s.out)
		default:
		}
		r, err := http.Get("http://" + s.addr + "/healthcheck")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK && strings.Contains(s.out.String(), "ready")
	})
}

// launch starts it and does not wait until it answers.
func (s *server) launch() {
	s.t.Helper()
	s.out = &proctest.Output{}
	s.cmd = s.process()
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() { _ = cmd.Wait(); close(exited) }()
}

// kill ends it as a power switch does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// stop ends it as Ctrl-C does.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.t.Errorf("bulliond did not stop:\n%s", s.out)
		s.kill()
	}
}

func (s *server) eventually(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not within %v: %s\nbulliond said:\n%s", within, what, s.out)
		}
	}
}

// result is what a command said and how it ended.
type result struct {
	stdout, stderr string
	status         int
}

func (s *server) command(cloud string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(programs, "bullion"), args...)
	cmd.Env = append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+filepath.Join(s.data, "clouds.yaml"), "OS_CLOUD="+cloud,
		"XDG_STATE_HOME="+filepath.Join(s.data, "state"))
	cmd.Dir = s.data
	return cmd
}

// run runs bullion as one of the clouds that the first start wrote.
func (s *server) run(cloud string, args ...string) result {
	s.t.Helper()
	cmd := s.command(cloud, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		s.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs bullion as the member and fails the test unless it succeeds.
func (s *server) must(args ...string) string {
	s.t.Helper()
	r := s.run("bullion", args...)
	if r.status != 0 {
		s.t.Fatalf("bullion %s: status %d\n%s%s\nbulliond said:\n%s", strings.Join(args, " "), r.status, r.stdout, r.stderr, s.out)
	}
	return r.stdout
}

// show is the image as JSON.
func (s *server) show(image string) map[string]any {
	s.t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(s.must("image", "show", "--format", "json", image)), &doc); err != nil {
		s.t.Fatal(err)
	}
	return doc
}

// objects lists the files that the S3 server keeps, of objects and of open uploads.
func (s *server) objects() []string {
	s.t.Helper()
	var files []string
	for _, dir := range []string{"objects/images/images", "uploads"} {
		_ = filepath.WalkDir(filepath.Join(s.data, "s3", dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
	}
	return files
}

// leftovers waits until the S3 server keeps nothing, and lists what it still keeps after a while.
func (s *server) leftovers() []string {
	s.t.Helper()
	for range 100 {
		if len(s.objects()) == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return s.objects()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := proctest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// sparse makes a file of size bytes that is a raw disk with a boot sector, some data at its end, and holes between.
func sparse(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{4096, size / 2, size - 8192} {
		if _, err := f.WriteAt(bytes.Repeat([]byte("not zero "), 100), off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// debian builds the bootable image once for each machine and state of its script: it depends on Debian's packages alone.
func debian(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("debian-image")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "bullion", fmt.Sprintf("debian-12-%x.qcow2", sha256.Sum256(script)))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "./debian-image", path)
	build.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	build.Cancel = func() error { return syscall.Kill(-build.Process.Pid, syscall.SIGKILL) }
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build a Debian image (make deps installs what it needs): %v\n%s", err, out)
	}
	return path
}

func sameBytes(t *testing.T, a, b string) {
	t.Helper()
	fa, err := os.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); ; {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if n != m || !bytes.Equal(bufA[:n], bufB[:m]) {
			t.Fatalf("%s and %s differ in the MiB at %d", a, b, off)
		}
		if errA != nil || errB != nil {
			return
		}
		off += int64(n)
	}
}
