// Package dynamotest starts DynamoDB engines for tests and for running without AWS, and puts faults and a meter between them and a client.
//
// Two engines that share no code: Dynoxide (crates.io, MIT or Apache-2.0: SQLite underneath, the closest to DynamoDB that there is and quick) and MiniStack
// (PyPI, MIT: plain Python). Both are installed once, with cargo and pip, into the user's cache directory: the first start compiles for some minutes.
// One process of each serves all tests of a test binary; it ends with that binary, however that ends.
//
// DynamoDB Local of AWS is not among them since it comes under terms of its own. Whoever accepts these starts it and sets
// BULLION_DYNAMODB_ENDPOINT to its URL: the same tests run against it, as against any other endpoint.
package dynamotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Versions of the engines.
const (
	dynoxideVersion  = "3.2.0"
	ministackVersion = "1.5.33"
)

// Engine is a running engine.
type Engine struct {
	Endpoint string // URL
	stdin    io.Closer
	ended    chan struct{}
}

// Stop ends the engine and returns when it is gone.
func (e *Engine) Stop() {
	e.stdin.Close()
	<-e.ended
}

var (
	dynoxide  = sync.OnceValues(func() (*Engine, error) { return StartDynoxide(context.Background()) })
	ministack = sync.OnceValues(func() (*Engine, error) { return StartMinistack(context.Background()) })
)

// Dynoxide is the endpoint of Dynoxide. The test fails when it cannot start.
func Dynoxide(t testing.TB) string { return endpoint(t, dynoxide) }

// Ministack is the endpoint of MiniStack. The test fails when it cannot start.
func Ministack(t testing.TB) string { return endpoint(t, ministack) }

func endpoint(t testing.TB, start func() (*Engine, error)) string {
	t.Helper()
	e, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return e.Endpoint
}

// StartDynoxide installs Dynoxide when it is not there and starts it, with its records in memory.
func StartDynoxide(ctx context.Context) (*Engine, error) {
	dir, err := install(ctx, "dynoxide-"+dynoxideVersion, func(dir string) [][]string {
		return [][]string{{"cargo", "install", "dynoxide-rs", "--version", dynoxideVersion, "--locked", "--no-default-features",
			"--features", "native-sqlite,http-server,cli", "--root", dir}}
	})
	if err != nil {
		return nil, fmt.Errorf("Dynoxide cannot be installed; it needs cargo (Rust 1.88 or later, https://rustup.rs): %w", err)
	}
	return start(ctx, "Dynoxide", func(port string) *exec.Cmd {
		return command(filepath.Join(dir, "bin", "dynoxide"), "serve", "--host", "127.0.0.1", "--port", port)
	})
}

// StartMinistack installs MiniStack when it is not there and starts it, with DynamoDB alone.
func StartMinistack(ctx context.Context) (*Engine, error) {
	dir, err := install(ctx, "ministack-"+ministackVersion, func(dir string) [][]string {
		return [][]string{{"python3", "-m", "venv", dir}, {filepath.Join(dir, "bin", "pip"), "install", "--quiet", "ministack==" + ministackVersion}}
	})
	if err != nil {
		return nil, fmt.Errorf("MiniStack cannot be installed; it needs python3 with venv and pip (apt-get install python3-venv): %w", err)
	}
	return start(ctx, "MiniStack", func(port string) *exec.Cmd {
		c := command(filepath.Join(dir, "bin", "ministack"))
		c.Env = append(os.Environ(), "GATEWAY_PORT="+port, "BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1", "SERVICES=dynamodb", "LOG_LEVEL=ERROR")
		return c
	})
}

// install runs the commands once that fill a folder of the cache; processes that come at the same time wait for the first.
func install(ctx context.Context, name string, commands func(dir string) [][]string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory (set HOME or XDG_CACHE_HOME): %w", err)
	}
	dir := filepath.Join(cache, "bullion-test", name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, args := range commands(dir) {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out[max(0, len(out)-2000):])
		}
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// command runs a program that ends when its standard input does, and so with this process.
func command(args ...string) *exec.Cmd {
	const watch = `"$@" </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid`
	return exec.Command("sh", append([]string{"-c", watch, "sh"}, args...)...)
}

// start starts an engine on a free port and waits until it answers. Another may take the port before it: then it is tried again.
func start(ctx context.Context, name string, command func(port string) *exec.Cmd) (*Engine, error) {
	var last error
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr := l.Addr().String()
		l.Close()
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		c := command(port)
		log, err := os.CreateTemp("", "dynamotest-")
		if err != nil {
			return nil, err
		}
		defer os.Remove(log.Name())
		defer log.Close()
		c.Stdout, c.Stderr = log, log
		stdin, err := c.StdinPipe()
		if err != nil {
			return nil, err
		}
		if err := c.Start(); err != nil {
			return nil, fmt.Errorf("%s does not start: %w", name, err)
		}
		e := &Engine{Endpoint: "http://" + addr, stdin: stdin, ended: make(chan struct{})}
		go func() {
			c.Wait()
			close(e.ended)
		}()
		if last = e.wait(ctx); last == nil {
			return e, nil
		}
		e.Stop()
		said, err := os.ReadFile(log.Name())
		last = fmt.Errorf("%s does not start: %w\n%s", name, errors.Join(last, err), said[max(0, len(said)-2000):])
	}
	return nil, last
}

// wait asks for the list of tables until it is answered.
func (e *Engine) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := Client(e.Endpoint, func(o *clientOptions) { o.RetryMaxAttempts = 1 }).ListTables(ctx, nil)
		if err == nil {
			return nil
		}
		select {
		case <-e.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer within a minute: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// transport keeps connections open: tests make many requests at once to one host.
var transport = &http.Transport{MaxIdleConnsPerHost: 64}
