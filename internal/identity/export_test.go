package identity

import "testing"

// AddTestUsers adds users who have these ids, for the contract of stores.
func AddTestUsers(t *testing.T, d *FileDirectory, ids []string) {
	t.Helper()
	err := d.change(func(l *loadedDirectory) error {
		for _, id := range ids {
			l.Users = append(l.Users, fileUser{ID: id, Name: "user " + id, Password: dummyHash, Roles: map[string][]string{}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
