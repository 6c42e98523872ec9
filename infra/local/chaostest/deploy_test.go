// Package chaostest has the built functions fail in every way that AWS can make them fail, and compares table and bucket afterwards; and tries bulliond in front
// of their deployment.
package chaostest

import (
	"crypto/rand"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"bullion/infra/local/harness"
	"bullion/infra/local/harness/harnesstest"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity/mototest"
)

// already saves the building when tests run again and again.
var already = flag.String("built", "", "folder with the functions that were built before; they are built when it is empty")

// built has the functions. Absolute: the S3 engine changes the directory.
var built, root string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if root, err = filepath.Abs("../../.."); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if built = *already; built != "" {
			return m.Run()
		}
		if built, err = os.MkdirTemp("", "bullion-functions-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		build := exec.Command("make", "--silent", "functions", "ARCH="+runtime.GOARCH, "OUT="+built)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the functions: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// cloud is the deployed service. bob is a member of the project default, root its administrator, eve a member of other.
type cloud struct {
	*harness.Deployment
	t       *testing.T
	engines *harness.Engines
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deploy brings up everything that template.yaml describes, with a configuration that the test changes.
func deploy(t *testing.T, change func(*harness.Config)) *cloud {
	t.Helper()
	c := &cloud{t: t}
	c.engines = &harness.Engines{DynamoDB: dynamotest.Dynoxide(t), AWS: mototest.Start(t), Table: "records-" + rand.Text(), IdentityTable: "identity-" + rand.Text()}
	ok(t, c.engines.Prepare(t.Context(), []harness.User{{Name: "bob", Groups: []string{"default:member"}}, {Name: "root", Groups: []string{"default:admin"}}, {Name: "eve", Groups: []string{"other:member"}}}))
	config := harness.Config{Root: root, Built: built, Dir: t.TempDir(), Engines: c.engines, Log: slog.New(slog.DiscardHandler),
		GivenUp: func(function string, err error) { t.Errorf("%s gave up an event: %v", function, err) }}
	change(&config)
	var err error
	c.Deployment, err = harness.Start(t.Context(), config)
	ok(t, err)
	t.Cleanup(func() {
		c.Wait()
		for name, f := range c.Functions {
			if t.Failed() {
				t.Logf("%s said:\n%s", name, f.Output())
			}
		}
		c.Close()
	})
	return c
}

func (c *cloud) signIn(user, project string) string {
	c.t.Helper()
	return harnesstest.SignIn(c.t, c.URL, user, harness.Password, project)
}
