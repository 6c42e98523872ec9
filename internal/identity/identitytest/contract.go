// Package identitytest is the contract of identity's stores: every implementation passes it.
package identitytest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/identity"
	"bullion/internal/images"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Users are the ids that an implementation must know, where it knows users at all.
var Users = [2]string{"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"}

// AppCredentials checks a store of application credentials. open gives an empty one.
func AppCredentials(t *testing.T, open func(t *testing.T) identity.AppCredentials) {
	sample := func(id, name, user string) identity.AppCredential {
		return identity.AppCredential{ID: id, Name: name, Description: "of a test", UserID: user, UserName: "bob", ProjectID: "p1", Roles: []string{"member", "reader"},
			Unrestricted: true, SecretHash: "$sha256$00", CreatedAt: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC), ExpiresAt: time.Date(2031, 1, 2, 3, 4, 5, 6000, time.UTC)}
	}
	t.Run("what is stored is found whole, by id and in the list", func(t *testing.T) {
		s := open(t)
		want := sample("c1", "ci", Users[0])
		plain := sample("c2", "a name/with:signs é", Users[0])
		plain.ExpiresAt, plain.Unrestricted, plain.Description = time.Time{}, false, ""
		ok(t, s.AddAppCredential(t.Context(), want))
		ok(t, s.AddAppCredential(t.Context(), plain))
		for _, w := range []identity.AppCredential{want, plain} {
			got, err := s.AppCredential(t.Context(), w.ID)
			ok(t, err)
			w.UserName, got.UserName = "", "" // an implementation that knows users may look it up
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("by id (-want +got):\n%s", diff)
			}
		}
		list, err := s.AppCredentialsOf(t.Context(), Users[0])
		ok(t, err)
		if len(list) != 2 || list[0].ID != "c2" || list[1].ID != "c1" {
			t.Errorf("got %+v, want c2 and c1, by name", list)
		}
	})
	t.Run("a name is one user's once", func(t *testing.T) {
		s := open(t)
		ok(t, s.AddAppCredential(t.Context(), sample("c1", "ci", Users[0])))
		ok(t, s.AddAppCredential(t.Context(), sample("c2", "ci", Users[1])))
		if err := s.AddAppCredential(t.Context(), sample("c3", "ci", Users[0])); images.KindOf(err) != images.Conflict {
			t.Errorf("got %v, want Conflict", err)
		}
		if _, err := s.AppCredential(t.Context(), "c3"); images.KindOf(err) != images.NotFound {
			t.Errorf("the one that was refused: got %v, want NotFound", err)
		}
	})
	t.Run("it is deleted by its user alone, and its name is free again", func(t *testing.T) {
		s := open(t)
		ok(t, s.AddAppCredential(t.Context(), sample("c1", "ci", Users[0])))
		for user, id := range map[string]string{Users[1]: "c1", Users[0]: "c9"} {
			if err := s.DeleteAppCredential(t.Context(), user, id); images.KindOf(err) != images.NotFound {
				t.Errorf("%s of %s: got %v, want NotFound", id, user, err)
			}
		}
		ok(t, s.DeleteAppCredential(t.Context(), Users[0], "c1"))
		if _, err := s.AppCredential(t.Context(), "c1"); images.KindOf(err) != images.NotFound {
			t.Errorf("got %v, want NotFound", err)
		}
		if list, err := s.AppCredentialsOf(t.Context(), Users[0]); err != nil || list == nil || len(list) != 0 {
			t.Errorf("got %v %v, want an empty list", list, err)
		}
		ok(t, s.AddAppCredential(t.Context(), sample("c2", "ci", Users[0])))
	})
	t.Run("ids that nobody made are not found", func(t *testing.T) {
		s := open(t)
		for _, id := range []string{"", "nonesuch", string(make([]byte, 5000))} {
			if _, err := s.AppCredential(t.Context(), id); images.KindOf(err) != images.NotFound {
				t.Errorf("%.10q: got %v, want NotFound", id, err)
			}
		}
		if list, err := s.AppCredentialsOf(t.Context(), ""); err != nil || len(list) != 0 {
			t.Errorf("got %v %v", list, err)
		}
	})
}

// Revocations checks a list of revoked tokens. open gives two that share one store: a revocation made here must count here at once,
// and there within the time.
func Revocations(t *testing.T, within time.Duration, open func(t *testing.T, now func() time.Time) (here, there identity.RevocationList)) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	token := identity.Claims{ID: "t", Root: "r", UserID: "u", AppCredential: "a", IssuedAt: identity.At(start), Expires: identity.At(start.Add(time.Hour))}
	for name, c := range map[string]struct {
		subject string
		before  time.Time
		want    bool
	}{
		"itself":                              {identity.TokenSubject("t"), start.Add(time.Second), true},
		"the token that it was derived from":  {identity.TokenSubject("r"), start.Add(time.Second), true},
		"its user":                            {identity.UserSubject("u"), start.Add(time.Second), true},
		"its user in the same microsecond":    {identity.UserSubject("u"), start, true},
		"its user a microsecond earlier":      {identity.UserSubject("u"), start.Add(-time.Microsecond), false},
		"its application credential":          {identity.AppCredentialSubject("a"), start.Add(time.Second), true},
		"another token":                       {identity.TokenSubject("t2"), start.Add(time.Second), false},
		"another user with the id of a token": {identity.UserSubject("t"), start.Add(time.Second), false},
	} {
		t.Run("a revocation of "+name, func(t *testing.T) {
			now := start
			here, there := open(t, func() time.Time { return now })
			for _, l := range []identity.RevocationList{here, there} { // asked before, so that an answer may be kept
				if revoked, err := l.Revoked(t.Context(), token); err != nil || revoked {
					t.Fatalf("before: got %v %v", revoked, err)
				}
			}
			r := identity.Revocation{Subject: c.subject, Before: c.before, Until: start.Add(time.Hour), User: "u"}
			ok(t, here.Revoke(t.Context(), r))
			ok(t, here.Revoke(t.Context(), r))
			if got, err := here.Revoked(t.Context(), token); err != nil || got != c.want {
				t.Errorf("here: got %v %v, want %v", got, err, c.want)
			}
			now = now.Add(within)
			if got, err := there.Revoked(t.Context(), token); err != nil || got != c.want {
				t.Errorf("there: got %v %v, want %v", got, err, c.want)
			}
		})
	}
	t.Run("an older revocation does not undo a newer one", func(t *testing.T) {
		here, _ := open(t, func() time.Time { return start })
		ok(t, here.Revoke(t.Context(), identity.Revocation{Subject: identity.UserSubject("u"), Before: start.Add(time.Minute), Until: start.Add(2 * time.Hour), User: "u"}))
		ok(t, here.Revoke(t.Context(), identity.Revocation{Subject: identity.UserSubject("u"), Before: start.Add(-time.Minute), Until: start.Add(time.Hour), User: "u"}))
		ok(t, here.Revoke(t.Context(), identity.Revocation{Subject: identity.UserSubject("u"), Before: start.Add(-time.Minute), Until: start.Add(3 * time.Hour), User: "u"}))
		if got, err := here.Revoked(t.Context(), token); err != nil || !got {
			t.Errorf("got %v %v, want it revoked", got, err)
		}
	})
}
