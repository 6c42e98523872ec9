package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"bullion/internal/identity/oidctest"
)

const federatedPath = "/v3/OS-FEDERATION/identity_providers/corp/protocols/openid/auth"

func newFederatedWorld(t *testing.T, change ...func(*Provider)) (*world, *oidctest.Issuer) {
	i := oidctest.Start(t)
	p := Provider{ID: "corp", Issuer: i.URL, Audiences: []string{"bullion-cli"}}
	for _, f := range change {
		f(&p)
	}
	return newWorld(t, func(c *Config) { c.Providers = []Provider{p} }), i
}

func (w *world) federate(token string) answer {
	w.Helper()
	return w.do("POST", federatedPath, "", "Authorization", "Bearer "+token)
}

func TestATokenOfAProviderOpensItsProjects(t *testing.T) {
	w, i := newFederatedWorld(t)
	a := w.want(w.federate(i.Token(t, w.clock.Now(), nil)), 201)
	if a.at("token", "user", "name") != "erin" || a.at("token", "user", "OS-FEDERATION", "identity_provider", "id") != "corp" || a.at("token", "project") != nil {
		t.Errorf("got %s", a.body)
	}
	unscoped := a.header.Get("X-Subject-Token")
	for _, path := range []string{"/v3/OS-FEDERATION/projects", "/v3/auth/projects", "/v3/users/" + a.at("token", "user", "id").(string) + "/projects"} {
		list := w.want(w.do("GET", path, "", "X-Auth-Token", unscoped), 200)
		if list.at("projects", 0, "name") != "acme" || list.at("projects", 1, "name") != "lab" || list.at("projects", 2) != nil {
			t.Errorf("%s: got %s", path, list.body)
		}
	}
	w.want(w.do("GET", "/v3/users/"+a.at("token", "user", "id").(string), "", "X-Auth-Token", unscoped), 200)
	scoped := w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("acme"))), 201)
	if scoped.at("token", "roles", 0, "name") != "member" || scoped.at("token", "project", "name") != "acme" {
		t.Errorf("got %s", scoped.body)
	}
	other := w.want(w.do("POST", "/v3/auth/tokens", byToken(scoped.header.Get("X-Subject-Token"), inProject("lab"))), 201)
	if other.at("token", "roles", 0, "name") != "reader" {
		t.Errorf("from project to project: got %s", other.body)
	}
	w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("empty"))), 401)

	user := scoped.at("token", "user", "id").(string)
	w.want(w.do("POST", "/v3/users/"+user+"/application_credentials", `{"application_credential":{"name":"x"}}`, "X-Auth-Token", scoped.header.Get("X-Subject-Token")), 403)
}

func TestUsersWhoAreAllOutsideComeInByTheirProviderAlone(t *testing.T) {
	i := oidctest.Start(t)
	w := newWorld(t, func(c *Config) {
		c.Directory, c.Providers = Outside{"acme", "lab"}, []Provider{{ID: "corp", Issuer: i.URL, Audiences: []string{"bullion-cli"}}}
	})
	a := w.want(w.federate(i.Token(t, w.clock.Now(), object{"groups": []string{"acme:admin", "nonesuch:admin"}})), 201)
	unscoped := a.header.Get("X-Subject-Token")
	scoped := w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("acme"))), 201)
	if scoped.at("token", "roles", 0, "name") != "admin" || scoped.at("token", "project", "id") != ProjectID("acme") {
		t.Errorf("got %s", scoped.body)
	}
	token := scoped.header.Get("X-Subject-Token")
	for _, name := range []string{"lab", "nonesuch"} {
		w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject(name))), 401)
	}
	all := w.want(w.do("GET", "/v3/projects", "", "X-Auth-Token", token), 200)
	if all.at("projects", 0, "name") != "acme" || all.at("projects", 1, "name") != "lab" || all.at("projects", 2) != nil {
		t.Errorf("got the projects %s", all.body)
	}
	w.want(w.do("GET", "/v3/users", "", "X-Auth-Token", token), 200)
	w.want(w.do("GET", "/v3/role_assignments", "", "X-Auth-Token", token), 200)
	refused := w.want(w.do("POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"erin","domain":{"id":"default"},"password":"Correct-horse-7"}}}}}`), 401)
	if !strings.Contains(refused.body, "identity provider") {
		t.Errorf("a password: got %s, want a hint at the provider", refused.body)
	}
}

func TestTokensOfAProviderThatAreRefused(t *testing.T) {
	w, i := newFederatedWorld(t)
	w.guard(1000)
	now := w.clock.Now()
	stranger := oidctest.Start(t)
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"for another audience":      {i.Token(t, now, object{"aud": "other"}), 401},
		"for no audience":           {i.Token(t, now, object{"aud": nil}), 401},
		"expired":                   {i.Token(t, now, object{"exp": now.Add(-time.Minute).Unix()}), 401},
		"without an end":            {i.Token(t, now, object{"exp": nil}), 401},
		"not valid yet":             {i.Token(t, now, object{"nbf": now.Add(time.Hour).Unix()}), 401},
		"of another issuer":         {i.Token(t, now, object{"iss": "https://example.org"}), 401},
		"signed by another":         {stranger.Token(t, now, object{"iss": i.URL}), 401},
		"signed with a secret":      {oidctest.Sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, object{"iss": i.URL, "sub": "x", "aud": "bullion-cli", "exp": now.Add(time.Hour).Unix()}), 401},
		"without a subject":         {i.Token(t, now, object{"sub": ""}), 401},
		"rubbish":                   {"rubbish", 401},
		"empty":                     {"", 401},
		"enormous":                  {strings.Repeat("x", maxForeignToken+1), 401},
		"without a group of ours":   {i.Token(t, now, object{"groups": []string{"nonesuch:admin", "acme:owner", "acme"}}), 401},
		"without groups":            {i.Token(t, now, object{"groups": nil}), 401},
		"good, with one group text": {i.Token(t, now, object{"groups": "acme:reader"}), 201},
		"good, as client_id":        {i.Token(t, now, object{"aud": nil, "client_id": "bullion-cli"}), 201},
		"good, one of two":          {i.Token(t, now, object{"aud": []string{"x", "bullion-cli"}}), 201},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.federate(c.token)
			if a.status != c.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, c.status)
			}
			if len(c.token) > 20 && strings.Contains(w.log.String(), c.token) {
				t.Error("the token is in the log")
			}
		})
	}
	w.want(w.do("POST", federatedPath, ""), 401)
	w.want(w.do("POST", strings.Replace(federatedPath, "corp", "other", 1), ""), 404)
}

// guard raises the limit of failures, for tests that fail on purpose.
func (w *world) guard(n int) {
	w.service.guard.limits.FreeFailures, w.service.guard.limits.AddressFailures = n, n
}

func TestGroupsWithAPrefixAndOtherClaims(t *testing.T) {
	w, i := newFederatedWorld(t, func(p *Provider) {
		p.GroupsClaim, p.GroupPrefix, p.NameClaim = "cognito:groups", "bullion/", "nickname"
	})
	a := w.want(w.federate(i.Token(t, w.clock.Now(), object{"cognito:groups": []string{"acme:admin", "bullion/acme:member"}, "nickname": "E"})), 201)
	list := w.want(w.do("GET", "/v3/auth/projects", "", "X-Auth-Token", a.header.Get("X-Subject-Token")), 200)
	if a.at("token", "user", "name") != "E" || list.at("projects", 0, "name") != "acme" {
		t.Errorf("got %s %s", a.body, list.body)
	}
	scoped := w.want(w.do("POST", "/v3/auth/tokens", byToken(a.header.Get("X-Subject-Token"), inProject("acme"))), 201)
	if scoped.at("token", "roles", 0, "name") != "member" {
		t.Errorf("a group without the prefix counts: %s", scoped.body)
	}
}

func TestTooManyGroupsAreRefusedAndAsManyAsFitWork(t *testing.T) {
	w, i := newFederatedWorld(t)
	var groups []string
	for n := range maxGrants + 1 {
		name := fmt.Sprintf("project-%02d", n)
		if _, err := w.dir.AddProject(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, name+":admin", name+":member", name+":reader", name+":service")
	}
	w.want(w.federate(i.Token(t, w.clock.Now(), object{"groups": groups})), 401)
	a := w.want(w.federate(i.Token(t, w.clock.Now(), object{"groups": groups[4:], "preferred_username": strings.Repeat("é", 64)})), 201)
	scoped := w.want(w.do("POST", "/v3/auth/tokens", byToken(a.header.Get("X-Subject-Token"), inProject("project-01"))), 201)
	if n := len(scoped.header.Get("X-Subject-Token")); n > MaxToken {
		t.Errorf("got a token of %d bytes", n)
	}
}

func TestAProviderThatIsDownIsAskedAgainLater(t *testing.T) {
	w, i := newFederatedWorld(t)
	i.Down.Store(true)
	token := i.Token(t, w.clock.Now(), nil)
	for range 5 {
		w.want(w.federate(token), 503)
	}
	if n := i.Asks.Load(); n != 1 {
		t.Errorf("got %d questions while it is down, want 1", n)
	}
	i.Down.Store(false)
	w.clock.Add(6 * time.Second)
	w.want(w.federate(token), 201)
}

func TestGroupNames(t *testing.T) {
	for group, want := range map[string]string{"acme:member": "acme|member", "a:b:Reader": "a:b|reader", "acme": "", ":member": "", "acme:": "", "acme:owner": ""} {
		project, role, ok := ParseGroup(group)
		got := ""
		if ok {
			got = project + "|" + role
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", group, got, want)
		}
	}
}
