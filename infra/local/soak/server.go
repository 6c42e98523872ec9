package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"bullion/infra/local/host"
	"bullion/internal/proctest"
)

// asServer is set for the process that is bulliond.
const asServer = "BULLION_SOAK_SERVER"

func isServer() bool { return os.Getenv(asServer) != "" }

// serve is bulliond, and answers each line of its input with the number of its goroutines.
func serve(ctx context.Context) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop() // whoever started us is gone
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			fmt.Println("goroutines", runtime.NumGoroutine())
		}
	}()
	return host.Main(ctx, os.Args[1:], os.Getenv, strings.NewReader(""), os.Stderr, os.Stderr)
}

// server is a bulliond that this program started.
type server struct {
	dir, base string
	cmd       *exec.Cmd
	ask       io.WriteCloser
	tells     *bufio.Scanner
	said      proctest.Output
	ended     chan struct{}
	admin     *client
	stopped   atomic.Bool
}

func start(ctx context.Context) (*server, error) {
	api, err := proctest.FreeAddr()
	s3, err2 := proctest.FreeAddr()
	dir, err3 := os.MkdirTemp("", "bullion-soak-")
	program, err4 := os.Executable()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, err
	}
	s := &server{dir: dir, base: "http://" + api, ended: make(chan struct{})}
	s.cmd = exec.Command(program, "--data", filepath.Join(dir, "data"), "--listen", api, "--s3-listen", s3)
	s.cmd.Env = append(os.Environ(), asServer+"=1")
	s.cmd.Stderr = &s.said
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.ask, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	s.tells = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	for range 1200 {
		if strings.Contains(s.said.String(), "Bullion is ready") {
			if s.admin, err = s.signIn("bullion-admin", 1); err != nil {
				s.stop()
			}
			return s, err
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("bulliond ended:\n%s", &s.said)
		case <-ctx.Done():
			s.stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.stop()
	return nil, fmt.Errorf("bulliond is not ready:\n%s", &s.said)
}

func (s *server) stop() {
	if s.stopped.Swap(true) {
		return
	}
	s.ask.Close()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	os.RemoveAll(s.dir)
}

// measure is what bulliond takes.
type measure struct {
	at         time.Duration
	memory     float64 // MiB, resident
	goroutines int
	files      int
}

func (m measure) String() string {
	return fmt.Sprintf("%.0f MiB resident, %d goroutines, %d open files", m.memory, m.goroutines, m.files)
}

func (s *server) measure() (m measure, err error) {
	if _, err := fmt.Fprintln(s.ask); err != nil {
		return m, fmt.Errorf("bulliond is gone: %w:\n%s", err, &s.said)
	}
	if !s.tells.Scan() {
		return m, fmt.Errorf("bulliond is gone:\n%s", &s.said)
	}
	if _, err := fmt.Sscanf(s.tells.Text(), "goroutines %d", &m.goroutines); err != nil {
		return m, fmt.Errorf("bulliond says %q", s.tells.Text())
	}
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return m, err
	}
	m.files = len(files)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return m, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	_, err = fmt.Sscan(rest, &kib)
	m.memory = kib / 1024
	return m, err
}

// slack is how many goroutines and files more than before may be there at rest: connections of the service to its own storage, and of its database.
const slack = 40

// rests waits until bulliond has what it had before, and for a first time until nothing changes.
func (s *server) rests(ctx context.Context, before measure) (m measure, err error) {
	last := measure{}
	for range 120 {
		if m, err = s.measure(); err != nil {
			return m, err
		}
		settled := m.goroutines == last.goroutines && m.files == last.files
		if settled && (before == measure{} || m.goroutines <= before.goroutines+slack && m.files <= before.files+slack) {
			return m, nil
		}
		last = m
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return m, fmt.Errorf("bulliond does not come to rest: before %v, now %v", before, m)
}

// signIn makes a client of a cloud of the file that the first start wrote.
func (s *server) signIn(cloud string, connections int) (*client, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "data", "clouds.yaml"))
	if err != nil {
		return nil, err
	}
	_, part, _ := strings.Cut(string(text), "\n  "+cloud+":\n")
	field := func(name string) string {
		_, rest, _ := strings.Cut(part, name+": ")
		line, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(line, `"`)
	}
	// Idle connections end at the client first, as with the usual ones: a request that meets the end of its connection at the server's hands would break.
	transport := &http.Transport{MaxIdleConnsPerHost: connections, IdleConnTimeout: 90 * time.Second}
	c := &client{base: s.base, http: &http.Client{Timeout: 2 * time.Minute, Transport: transport}}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
			"name": field("username"), "domain": map[string]string{"id": "default"}, "password": field("password")}}},
		"scope": map[string]any{"project": map[string]any{"name": field("project_name"), "domain": map[string]string{"id": "default"}}}}})
	if err != nil {
		return nil, err
	}
	r, err := c.http.Post(s.base+"/v3/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if c.token = r.Header.Get("X-Subject-Token"); c.token == "" {
		return nil, fmt.Errorf("sign in as %s: %s", cloud, r.Status)
	}
	return c, nil
}

// books asks whether they balance, and holds that nothing is left.
func (s *server) books() (string, error) {
	var sum struct {
		Images, Objects int
		Stored          int64
		InFlight        int64 `json:"in_flight"`
		Findings        []json.RawMessage
	}
	for after, begun := "", false; !begun || after != ""; begun = true {
		a := s.admin.do("scrub", "POST", s.base+"/v2/scrub", "application/json", fmt.Appendf(nil, `{"dry_run":true,"after":%q}`, after), nil)
		page := sum
		page.Findings = nil
		var next struct{ Next string }
		if a.status != http.StatusOK {
			return "", fmt.Errorf("the books cannot be read: %d %s", a.status, a.body)
		}
		if err := errors.Join(json.Unmarshal(a.body, &page), json.Unmarshal(a.body, &next)); err != nil {
			return "", err
		}
		sum.Images, sum.Objects, sum.Stored, sum.InFlight = sum.Images+page.Images, sum.Objects+page.Objects, sum.Stored+page.Stored, sum.InFlight+page.InFlight
		sum.Findings = append(sum.Findings, page.Findings...)
		after = next.Next
	}
	text := fmt.Sprintf("books: images %d, objects %d, stored %d B, in flight %d B, findings %d", sum.Images, sum.Objects, sum.Stored, sum.InFlight, len(sum.Findings))
	if sum.Images+sum.Objects+len(sum.Findings) > 0 || sum.Stored+sum.InFlight > 0 {
		return text, fmt.Errorf("every image was deleted, and the %s: %s", text, sum.Findings)
	}
	return text, nil
}
