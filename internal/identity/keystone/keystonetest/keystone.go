// Package keystonetest runs a real Keystone, Debian's package, for tests.
package keystonetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"bullion/internal/identity/venvtest"
)

// Password is that of the user admin, who has the role admin in the project admin.
const Password = "keystone-admin"

// Start makes a Keystone with an empty database and runs it until the test ends. It returns its URL, without /v3.
func Start(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"keystone-manage", "keystone-wsgi-public"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed: run  apt-get install --no-install-recommends keystone", program)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "keystone.conf")
	text := fmt.Sprintf(`[DEFAULT]
log_dir = %[1]s
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
		t.Fatal(err)
	}
	address := venvtest.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + address
	as := []string{"--keystone-user", me.Username, "--keystone-group", group.Name}
	for _, args := range [][]string{
		{"db_sync"},
		append([]string{"fernet_setup"}, as...),
		append([]string{"credential_setup"}, as...),
		{"bootstrap", "--bootstrap-password", Password, "--bootstrap-public-url", url + "/v3", "--bootstrap-region-id", "RegionOne"},
	} {
		cmd := exec.CommandContext(t.Context(), "keystone-manage", append([]string{"--config-file", config}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("keystone-manage %s: %v\n%s", args[0], err, out)
		}
	}
	cmd := exec.Command("keystone-wsgi-public", "--host", host, "--port", port)
	cmd.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_FILES="+config)
	venvtest.Start(t, address, cmd)
	return url
}
