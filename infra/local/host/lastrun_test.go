package host

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestAStartKnowsHowTheRunBeforeEnded(t *testing.T) {
	t.Cleanup(func() {
		if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
			t.Error(err)
		}
	})
	began := machine{Boot: "a", OOMKills: 3}
	for _, test := range []struct {
		name     string
		crash    string // what Go said
		run      string // what the run before kept in place of began; "" for that
		now      machine
		crashed  bool
		isUnsure bool
	}{
		{"it was killed from outside", "", "", began, false, false},
		{"it crashed", "fatal error: runtime: out of memory", "", began, true, false},
		{"it crashed, and the machine was started again", "panic: x", "", machine{Boot: "b"}, true, false},
		{"the kernel killed something for lack of memory", "", "", machine{"a", 4}, true, false},
		{"the kernel did, and the machine was started again before and after", "", "", machine{"b", 4}, false, false},
		{"the machine was started again", "", "", machine{"b", 0}, false, false},
		{"nobody says which machine it was", "", "{}", machine{"", 1}, false, false},
		{"what it kept is damaged", "", `{"boot`, began, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if crashed, err := lastRunCrashed(dir, began); crashed || err != nil {
				t.Fatalf("the first start: got %v, %v", crashed, err)
			}
			if test.crash != "" {
				write(t, filepath.Join(dir, crashFile), test.crash)
			}
			if test.run != "" {
				write(t, filepath.Join(dir, runFile), test.run)
			}
			crashed, err := lastRunCrashed(dir, test.now)
			if crashed != test.crashed || (err != nil) != test.isUnsure {
				t.Errorf("got %v, %v; want %v, an error: %v", crashed, err, test.crashed, test.isUnsure)
			}
			if test.crash != "" {
				if said, err := os.ReadFile(filepath.Join(dir, lastCrashFile)); err != nil || string(said) != test.crash {
					t.Errorf("what it said is not kept: %q, %v", said, err)
				}
			}
			if crashed, err := lastRunCrashed(dir, test.now); crashed || err != nil {
				t.Errorf("the start after: got %v, %v", crashed, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
