package identity_test

import (
	"path/filepath"
	"testing"
	"time"

	"bullion/internal/identity"
	"bullion/internal/identity/identitytest"
)

func TestFileDirectoryKeepsApplicationCredentials(t *testing.T) {
	identitytest.AppCredentials(t, func(t *testing.T) identity.AppCredentials {
		d, err := identity.OpenFile(filepath.Join(t.TempDir(), "users.json"))
		if err != nil {
			t.Fatal(err)
		}
		identity.AddTestUsers(t, d, identitytest.Users[:])
		return d
	})
}

func TestFileRevocations(t *testing.T) {
	identitytest.Revocations(t, 0, func(t *testing.T, now func() time.Time) (here, there identity.RevocationList) {
		path := filepath.Join(t.TempDir(), "revoked")
		var lists [2]*identity.FileRevocations
		for i := range lists {
			var err error
			if lists[i], err = identity.OpenRevocations(path, now); err != nil {
				t.Fatal(err)
			}
		}
		return lists[0], lists[1]
	})
}
