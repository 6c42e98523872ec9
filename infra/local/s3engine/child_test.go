package s3engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"bullion/infra/local/s3engine"
	"bullion/internal/proctest"
)

// childEnv holds the configuration when the test binary is to be a server that a test can kill.
const childEnv = "BULLION_S3_CHILD"

// syncEnv makes that server flush to the disk.
const syncEnv = "BULLION_S3_SYNC"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve runs a server until a signal, and answers questions for digests on its standard streams.
func serve(text string) error {
	var cfg s3engine.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	cfg.Sync = os.Getenv(syncEnv) != ""
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := s3engine.Start(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		questions := bufio.NewScanner(os.Stdin)
		for questions.Scan() {
			key, etag, _ := strings.Cut(questions.Text(), "\t")
			m, h, ok, err := s.Digests(ctx, key, etag)
			fmt.Printf("%v\t%s\t%s\t%v\n", ok, m, h, err)
		}
	}()
	return s.Wait()
}

// child is a server in a process of its own.
type child struct {
	*s3.Client
	presign *s3.PresignClient
	cfg     s3engine.Config
	cmd     *exec.Cmd
	in      io.Writer
	out     *bufio.Reader
	logs    *proctest.Output
}

// startChild runs a server in another process until the test ends. prepare may change the command.
func startChild(t testing.TB, dir string, prepare ...func(*exec.Cmd)) *child {
	t.Helper()
	c := &child{cfg: config(t, dir), logs: &proctest.Output{}}
	text := must(json.Marshal(struct {
		Dir, Addr, AccessKey, SecretKey, Region, Bucket string
		AllowedOrigins                                  []string
	}{c.cfg.Dir, c.cfg.Addr, c.cfg.AccessKey, c.cfg.SecretKey, c.cfg.Region, c.cfg.Bucket, c.cfg.AllowedOrigins}))(t)
	c.cmd = exec.Command(must(os.Executable())(t))
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Dir = t.TempDir()
	c.cmd.Stderr = c.logs
	c.in = must(c.cmd.StdinPipe())(t)
	c.out = bufio.NewReader(must(c.cmd.StdoutPipe())(t))
	for _, p := range prepare {
		p(c.cmd)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the server did not start: it said %q, %v\n%s", line, err, c.logs)
	}
	c.Client, c.presign = clients("http://" + c.cfg.Addr)
	return c
}

// kill ends the process the hard way, as a power switch would for a process.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// digests asks the server for the hashes of an object.
func (c *child) digests(t testing.TB, key, etag string) (md5hex, sha512hex string) {
	t.Helper()
	fmt.Fprintf(c.in, "%s\t%s\n", key, etag)
	line := must(c.out.ReadString('\n'))(t)
	f := strings.Split(strings.TrimSpace(line), "\t")
	if len(f) != 4 || f[0] != "true" {
		t.Fatalf("digests of %s: %s\n%s", key, line, c.logs)
	}
	return f[1], f[2]
}
