package host

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"bullion/internal/durable"
)

// Files of the data directory by which a start learns how the run before it ended.
const (
	crashFile     = "crash.txt"      // what Go says when this run ends by its own doing, as of lack of memory
	lastCrashFile = "last-crash.txt" // what it said of the last run that did
	runFile       = "run.json"       // a machine, when this run began
)

// machine is what the kernel says of the machine.
type machine struct {
	Boot     string `json:"boot"`      // names the time since its start
	OOMKills int64  `json:"oom_kills"` // processes that the kernel killed since then for lack of memory
}

// thisMachine asks the kernel. A kernel that does not say leaves zeros: none of it is needed to serve.
func thisMachine() (m machine) {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	m.Boot = strings.TrimSpace(string(boot))
	counters, _ := os.ReadFile("/proc/vmstat")
	for line := range strings.Lines(string(counters)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			m.OOMKills, _ = strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		}
	}
	return m
}

// lastRunCrashed says whether the run before this one ended by its own doing, or while the kernel killed something for lack of memory, and begins to keep the same of this run.
// Whoever is killed by an operator, a supervisor or a power cut did not crash. The answer is good beside an error too: it is then of the next start that less is known.
func lastRunCrashed(dir string, now machine) (crashed bool, err error) {
	var last machine
	text, err := os.ReadFile(filepath.Join(dir, runFile))
	if err == nil {
		err = json.Unmarshal(text, &last)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	crashed = last.Boot != "" && last.Boot == now.Boot && last.OOMKills < now.OOMKills

	crash := filepath.Join(dir, crashFile)
	if about, statErr := os.Stat(crash); statErr == nil && about.Size() > 0 {
		crashed = true
		err = errors.Join(err, os.Rename(crash, filepath.Join(dir, lastCrashFile)))
	}
	text, _ = json.Marshal(now)
	err = errors.Join(err, durable.WriteFile(filepath.Join(dir, runFile), text))
	f, openErr := os.OpenFile(crash, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if openErr != nil {
		return crashed, errors.Join(err, openErr)
	}
	return crashed, errors.Join(err, debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close()) // the runtime keeps a copy of the file
}
