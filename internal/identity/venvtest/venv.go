// Package venvtest gives tests the Python programs that they need as peers, at fixed versions, in a virtual
// environment that is made once and kept in the user's cache directory.
package venvtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bullion/internal/proctest"
)

// Bin returns the directory of the programs that the requirements install. When the environment variable is set, it names a virtual
// environment that has them already. It fails the test with the command that helps when it cannot be made.
func Bin(t testing.TB, variable string, requirements ...string) string {
	t.Helper()
	dir, err := Install(t.Context(), variable, requirements...)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Install is Bin outside of tests.
func Install(ctx context.Context, variable string, requirements ...string) (bin string, err error) {
	if dir := os.Getenv(variable); dir != "" {
		return filepath.Join(dir, "bin"), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory for Python programs: %w; set %s to a virtual environment with %s", err, variable, strings.Join(requirements, " "))
	}
	sum := sha256.Sum256([]byte(strings.Join(requirements, "\n")))
	dir := filepath.Join(cache, "bullion", "venv-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(dir, "bin"), nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "python3", "-m", "venv", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("python3 -m venv: %w\n%s\nInstall it with: apt-get install python3-venv", err, out)
	}
	install := append([]string{"install", "--quiet", "--disable-pip-version-check"}, requirements...)
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"), install...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip install %s: %w\n%s\nIt needs the package index; or set %s to a virtual environment that has them", strings.Join(requirements, " "), err, out, variable)
	}
	return filepath.Join(dir, "bin"), os.WriteFile(done, nil, 0o644)
}

// FreeAddress is an address on the loopback interface at which nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start runs a server until the test ends, and waits until it accepts connections at the address. Its output is shown if it
// does not.
func Start(t testing.TB, address string, cmd *exec.Cmd) {
	t.Helper()
	stop, err := proctest.Start(address, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}
