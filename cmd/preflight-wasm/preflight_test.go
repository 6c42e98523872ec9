package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/diskimage"
	"bullion/internal/diskimage/corpus"
)

// answer is what the promise of bullionPreflight resolves to.
type answer struct {
	diskimage.Report
	Rejection *diskimage.Rejection `json:"rejection"`
	Requests  int                  `json:"requests"`
	Bytes     int64                `json:"bytes"`
	Error     string               `json:"error"`
}

type nodeCase struct {
	File      string `json:"file"`
	Size      int64  `json:"size"`
	Disk      string `json:"disk"`
	Container string `json:"container"`
	Fail      string `json:"fail,omitempty"`
}

// build compiles the command as the dashboard ships it.
func build(t *testing.T) (wasm, exe string) {
	t.Helper()
	wasm = filepath.Join(t.TempDir(), "preflight.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", wasm, ".")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return wasm, filepath.Join(strings.TrimSpace(string(root)), "lib/wasm/wasm_exec.js")
}

// ask runs the cases under Node.
func ask(t *testing.T, wasm, exe string, cases []nodeCase) []answer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is not installed; run: apt-get install nodejs")
	}
	list := filepath.Join(t.TempDir(), "cases.json")
	b, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, b, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/run.mjs", exe, wasm, list)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var answers []answer
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var a answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(cases) {
		t.Fatalf("got %d answers, want %d", len(answers), len(cases))
	}
	return answers
}

func TestTheBrowserSaysWhatTheServiceSays(t *testing.T) {
	wasm, exe := build(t)
	dir := t.TempDir()
	var cases []nodeCase
	var want []answer
	for i, c := range corpus.Synthetic() {
		if c.KeyID != "" {
			continue // the browser does not know the record's encryption key
		}
		for _, declared := range []bool{true, false} {
			if !declared && i%5 != 0 {
				continue
			}
			n := nodeCase{File: filepath.Join(dir, strconv.Itoa(i)), Size: c.Image.Size()}
			if declared {
				n.Disk, n.Container = c.Disk, c.Container
				if err := c.Image.WriteFile(n.File); err != nil {
					t.Fatal(err)
				}
			}
			cases = append(cases, n)
			cache := diskimage.NewCache(c.Image, n.Size, diskimage.Budget{})
			report, err := diskimage.Inspect(t.Context(), cache, n.Size, diskimage.Options{DiskFormat: n.Disk, ContainerFormat: n.Container})
			var a answer
			if !errors.As(err, &a.Rejection) {
				if err != nil {
					t.Fatal(err)
				}
				a.Report, a.Requests, a.Bytes = *report, cache.Stats().Requests, cache.Stats().Bytes
			}
			want = append(want, a)
		}
	}
	for i, got := range ask(t, wasm, exe, cases) {
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("%+v (-service +browser):\n%s", cases[i], diff)
		}
	}
}

func TestAFailingReadRejectsThePromise(t *testing.T) {
	wasm, exe := build(t)
	file := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(file, make([]byte, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	got := ask(t, wasm, exe, []nodeCase{
		{File: file, Size: 100, Fail: "the disk is on fire"},
		{File: file, Size: 1 << 20},
		{File: file, Size: 100, Disk: "raw", Container: "bare"},
	})
	for i, want := range []string{"the disk is on fire", "the file has changed", ""} {
		if (want == "") != (got[i].Error == "") || !strings.Contains(got[i].Error, want) {
			t.Errorf("answer %d: got the error %q, want one that says %q", i, got[i].Error, want)
		}
	}
}
