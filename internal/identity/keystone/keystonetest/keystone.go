// Package keystonetest runs a real Keystone, Debian's package, for tests.
package keystonetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"bullion/internal/proctest"
)

// Password is that of the user admin, who has the role admin in the project admin.
const Password = "keystone-admin"

// Start makes a Keystone with an empty database and runs it until the test ends. It returns its URL, without /v3.
func Start(t testing.TB) string {
	t.Helper()
	url, stop, err := Run(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// Run is Start for programs that are no tests: with its database and keys in dir, until stop.
func Run(ctx context.Context, dir string) (url string, stop func(), err error) {
	for _, program := range []string{"keystone-manage", "keystone-wsgi-public"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", nil, fmt.Errorf("%s is not installed: run  apt-get install --no-install-recommends keystone", program)
		}
	}
	me, err := user.Current()
	if err != nil {
		return "", nil, err
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "keystone.conf")
	text := fmt.Sprintf(`[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///%[1]s/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = %[1]s/fernet
[fernet_receipts]
key_repository = %[1]s/receipts
[credential]
key_repository = %[1]s/credential
`, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	address, err := proctest.FreeAddr()
	if err != nil {
		return "", nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, err
	}
	url = "http://" + address
	as := []string{"--keystone-user", me.Username, "--keystone-group", group.Name}
	for _, args := range [][]string{
		{"db_sync"},
		append([]string{"fernet_setup"}, as...),
		append([]string{"credential_setup"}, as...),
		{"bootstrap", "--bootstrap-password", Password, "--bootstrap-public-url", url + "/v3", "--bootstrap-region-id", "RegionOne"},
	} {
		cmd := exec.CommandContext(ctx, "keystone-manage", append([]string{"--config-file", config}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("keystone-manage %s: %w\n%s", args[0], err, out)
		}
	}
	cmd := exec.Command("keystone-wsgi-public", "--host", host, "--port", port)
	cmd.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_FILES="+config)
	cmd.Dir = dir // Python wants a directory that is there, and the S3 engine of an earlier test took this process to one that is gone
	stop, err = proctest.Start(address, cmd)
	return url, stop, err
}
