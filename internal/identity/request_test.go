package identity

import (
	"testing"

	"bullion/internal/images"
)

func FuzzParseLogin(f *testing.F) {
	for _, seed := range []string{
		byPassword("bob", "secret", nil), byPassword("bob", "secret", "unscoped"), byPassword("bob", "secret", inProject("acme")), byToken("abc", object{"project": object{"id": "x"}}),
		byAppCredential("id", "secret", ""), `{"auth":{"scope":{"domain":{}}}}`, `{"auth":{"identity":{"methods":["password","password"]}}}`, "null", "[]", `{"auth":{"scope":[]}}`, "{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseLogin(body)
		if err != nil {
			if k := images.KindOf(err); k != images.Invalid && k != images.Unauthenticated {
				t.Errorf("got kind %d: %v", k, err)
			}
			return
		}
		ways := 0
		for _, has := range []bool{l.password != nil, l.token != "", l.app != nil} {
			if has {
				ways++
			}
		}
		if ways != 1 || len(l.methods) != 1 {
			t.Errorf("got %d ways to sign in and the methods %v", ways, l.methods)
		}
		// What follows the parser must not panic either.
		switch {
		case l.password != nil:
			who, _ := l.password.ref()
			_ = who.key()
		case l.app != nil:
			_ = l.app.key()
		}
		if l.scope != nil && l.scope.Project != nil {
			_ = l.scope.Project.is(Project{ID: "x", Name: "y"})
		}
	})
}
