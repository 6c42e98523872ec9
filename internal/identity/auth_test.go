package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestATokenSaysWhoWhereAndWhat(t *testing.T) {
	w := newWorld(t)
	a := w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", passwordOf("bob"), inProject("acme"))), 201)
	type endpoint = map[string]any
	got := a.json["token"].(map[string]any)
	services := got["catalog"].([]any)
	delete(got, "catalog")
	delete(got, "audit_ids")
	want := map[string]any{
		"methods": []any{"password"},
		"user": map[string]any{"id": w.users["bob"].ID, "name": "bob", "password_expires_at": nil,
			"domain": map[string]any{"id": "default", "name": "Default"}},
		"project":    map[string]any{"id": w.projects["acme"].ID, "name": "acme", "domain": map[string]any{"id": "default", "name": "Default"}},
		"is_domain":  false,
		"roles":      []any{map[string]any{"id": "member", "name": "member"}, map[string]any{"id": "reader", "name": "reader"}},
		"issued_at":  got["issued_at"],
		"expires_at": got["expires_at"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	issued, err1 := time.Parse("2006-01-02T15:04:05.000000Z", got["issued_at"].(string))
	expires, err2 := time.Parse("2006-01-02T15:04:05.000000Z", got["expires_at"].(string))
	if err1 != nil || err2 != nil || expires.Sub(issued) != time.Hour {
		t.Errorf("got issued %v (%v), expires %v (%v), want an hour between", issued, err1, expires, err2)
	}
	urls := map[string]string{}
	for _, s := range services {
		for _, e := range s.(map[string]any)["endpoints"].([]any) {
			e := e.(endpoint)
			urls[s.(map[string]any)["type"].(string)+" "+e["interface"].(string)+" "+e["region"].(string)] = e["url"].(string)
		}
	}
	if diff := cmp.Diff(map[string]string{
		"identity public RegionOne": "https://id.example.org/v3", "identity internal RegionOne": "https://id.example.org/v3", "identity admin RegionOne": "https://id.example.org/v3",
		"image public RegionOne": "https://images.example.org", "image internal RegionOne": "https://images.example.org", "image admin RegionOne": "https://images.example.org",
	}, urls); diff != "" {
		t.Errorf("catalog (-want +got):\n%s", diff)
	}
	if n := len(a.header.Get("X-Subject-Token")); n == 0 || n > 900 {
		t.Errorf("got a token of %d bytes, want 1 to 900", n)
	}
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		user    string
		scope   any
		status  int
		project string
		roles   string
	}{
		"none is unscoped":                             {"bob", nil, 201, "", ""},
		"the text unscoped is unscoped":                {"bob", "unscoped", 201, "", ""},
		"the object unscoped is unscoped":              {"bob", object{"unscoped": object{}}, 201, "", ""},
		"a project by name and domain id":              {"bob", inProject("lab"), 201, "lab", "reader"},
		"a project by name and domain name":            {"bob", object{"project": object{"name": "acme", "domain": object{"name": "default"}}}, 201, "acme", "member reader"},
		"a project by id":                              {"bob", object{"project": object{"id": w.projects["acme"].ID}}, 201, "acme", "member reader"},
		"an administrator has the lesser roles too":    {"alice", inProject("acme"), 201, "acme", "admin member reader"},
		"a service has its one role":                   {"nova", inProject("acme"), 201, "acme", "service"},
		"a project without a role is refused":          {"bob", inProject("empty"), 401, "", ""},
		"a project that is not there is refused alike": {"bob", inProject("nonesuch"), 401, "", ""},
		"a project of another domain is refused":       {"bob", object{"project": object{"name": "acme", "domain": object{"name": "other"}}}, 401, "", ""},
		"a project's name without its domain is wrong": {"bob", object{"project": object{"name": "acme"}}, 400, "", ""},
		"an empty project is wrong":                    {"bob", object{"project": object{}}, 400, "", ""},
		"a domain is refused":                          {"bob", object{"domain": object{"id": "default"}}, 401, "", ""},
		"the system is refused":                        {"alice", object{"system": object{"all": true}}, 401, "", ""},
		"any other text is wrong":                      {"bob", "everything", 400, "", ""},
		"a number is wrong":                            {"bob", 7, 400, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do("POST", "/v3/auth/tokens", byPassword(c.user, passwordOf(c.user), c.scope))
			if a.status != c.status {
				t.Fatalf("got %d %s, want %d", a.status, a.body, c.status)
			}
			if c.status != 201 {
				return
			}
			project, _ := a.at("token", "project", "name").(string)
			var roles []string
			list, _ := a.at("token", "roles").([]any)
			for _, r := range list {
				roles = append(roles, r.(map[string]any)["name"].(string))
			}
			if got := strings.Join(roles, " "); project != c.project || got != c.roles {
				t.Errorf("got project %q roles %q, want %q %q", project, got, c.project, c.roles)
			}
			if _, has := a.json["token"].(map[string]any)["catalog"]; has != (c.project != "") {
				t.Errorf("got a catalogue %v, want one only with a project", has)
			}
		})
	}
}

func TestEveryRefusedSignInLooksTheSame(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.FreeFailures, c.Limits.AddressFailures = 1000, 1000 })
	refuse := w.do("POST", "/v3/auth/tokens", byPassword("bob", "wrong password", nil))
	w.want(refuse, 401)
	if got := refuse.header.Get("WWW-Authenticate"); got != `Keystone uri="https://id.example.org/v3"` {
		t.Errorf("got WWW-Authenticate %q", got)
	}
	if diff := cmp.Diff(map[string]any{"error": map[string]any{"code": 401.0, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}, refuse.json); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	id := w.users["bob"].ID
	user := func(u object) string {
		return jsonText(object{"auth": object{"identity": object{"methods": []string{"password"}, "password": object{"user": u}}}})
	}
	for name, body := range map[string]string{
		"no such user":              byPassword("mallory", "wrong password", nil),
		"a disabled user":           byPassword("dave", passwordOf("dave"), nil),
		"an empty password":         byPassword("bob", "", nil),
		"an enormous password":      byPassword("bob", strings.Repeat("x", 10_000), nil),
		"another domain":            user(object{"name": "bob", "domain": object{"name": "Other"}, "password": passwordOf("bob")}),
		"no domain with the name":   user(object{"name": "bob", "password": passwordOf("bob")}),
		"a wrong password by id":    user(object{"id": id, "password": "wrong password"}),
		"an unknown id":             user(object{"id": strings.Repeat("0", 32), "password": "wrong password"}),
		"an unknown app credential": `{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"x","secret":"y"}}}}`,
		"a token that is none":      byToken("rubbish", nil),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do("POST", "/v3/auth/tokens", body)
			if a.status != 401 || a.body != refuse.body {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, refuse.status, refuse.body)
			}
			if a.header.Get("X-Subject-Token") != "" {
				t.Error("got a token")
			}
		})
	}
	if a := w.do("POST", "/v3/auth/tokens", user(object{"id": id, "password": passwordOf("bob")})); a.status != 201 {
		t.Errorf("the right password by id: got %d %s", a.status, a.body)
	}
}

func TestRequestsThatAreNotWellFormed(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"an empty body":               {"", 400, "JSON body"},
		"no JSON":                     {"{", 400, "Malformed JSON"},
		"two documents":               {"{}{}", 400, "Malformed JSON"},
		"a list":                      {"[]", 400, ""},
		"null":                        {"null", 400, "auth"},
		"no auth":                     {"{}", 400, "auth"},
		"no identity":                 {`{"auth":{}}`, 400, "auth.identity"},
		"no methods":                  {`{"auth":{"identity":{}}}`, 400, "auth.identity.methods"},
		"methods of the wrong type":   {`{"auth":{"identity":{"methods":"password"}}}`, 400, "methods"},
		"a method without its object": {`{"auth":{"identity":{"methods":["password"]}}}`, 400, "auth.identity.password.user"},
		"a user without a name":       {`{"auth":{"identity":{"methods":["password"],"password":{"user":{"password":"x"}}}}}`, 400, "name"},
		"a token without an id":       {`{"auth":{"identity":{"methods":["token"],"token":{}}}}`, 400, "token.id"},
		"an app credential by nothing": {`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"x"}}}}`, 400,
			"application_credential"},
		"a method that is not offered": {`{"auth":{"identity":{"methods":["totp"],"totp":{}}}}`, 401, "unsupported method"},
		"two methods":                  {`{"auth":{"identity":{"methods":["password","token"],"password":{"user":{"id":"a"}},"token":{"id":"b"}}}}`, 401, "several methods"},
		"a body over 64 KiB":           {`{"auth":"` + strings.Repeat("x", maxBody) + `"}`, 413, "longer than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do("POST", "/v3/auth/tokens", c.body)
			message, _ := a.at("error", "message").(string)
			if a.status != c.status || !strings.Contains(message, c.says) {
				t.Errorf("got %d %q, want %d with %q", a.status, message, c.status, c.says)
			}
		})
	}
}

func TestTokensFromTokens(t *testing.T) {
	w := newWorld(t)
	unscoped := w.token("bob", "")
	w.clock.Add(20 * time.Minute)
	a := w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("lab"))), 201)
	first, err := w.service.verifier.Claims(t.Context(), unscoped)
	w.ok(err)
	second, err := w.service.verifier.Claims(t.Context(), a.header.Get("X-Subject-Token"))
	w.ok(err)
	if !second.Expires.Equal(first.Expires.Time) {
		t.Errorf("got an end at %v, want that of the first token, %v", second.Expires, first.Expires)
	}
	if second.Root != first.ID || second.ProjectName != "lab" {
		t.Errorf("got root %q project %q, want %q lab", second.Root, second.ProjectName, first.ID)
	}
	if diff := cmp.Diff([]string{"password", "token"}, second.Methods); diff != "" {
		t.Errorf("methods (-want +got):\n%s", diff)
	}
	w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("empty"))), 401)

	w.ok(w.dir.SetDisabled(t.Context(), "bob", true))
	w.want(w.do("POST", "/v3/auth/tokens", byToken(unscoped, inProject("lab"))), 401)
}

func TestCheckAndRevoke(t *testing.T) {
	w := newWorld(t)
	bob, alice, carol, nova := w.token("bob", "acme"), w.token("alice", "acme"), w.token("carol", "acme"), w.token("nova", "acme")
	about := func(method, caller, subject string) answer {
		return w.do(method, "/v3/auth/tokens", "", "X-Auth-Token", caller, "X-Subject-Token", subject)
	}
	for name, c := range map[string]struct {
		method, caller, subject string
		status                  int
	}{
		"one's own token":                {"GET", bob, bob, 200},
		"one's own token by HEAD":        {"HEAD", bob, bob, 200},
		"another's is refused":           {"GET", carol, bob, 403},
		"an administrator may check any": {"GET", alice, bob, 200},
		"a service may check any":        {"GET", nova, bob, 200},
		"a bad token is not found":       {"GET", bob, "rubbish", 404},
		"no subject is wrong":            {"GET", bob, "", 400},
		"a bad caller is refused":        {"GET", "rubbish", bob, 401},
		"no caller is refused":           {"GET", "", bob, 401},
		"another's cannot be revoked":    {"DELETE", carol, bob, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if a := about(c.method, c.caller, c.subject); a.status != c.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, c.status)
			}
		})
	}
	a := about("GET", bob, bob)
	if a.header.Get("X-Subject-Token") != bob || a.at("token", "user", "name") != "bob" || a.at("token", "catalog", 0, "type") != "identity" {
		t.Errorf("got %v %s", a.header, a.body)
	}
	if a := w.do("GET", "/v3/auth/tokens?nocatalog", "", "X-Auth-Token", bob, "X-Subject-Token", bob); a.at("token", "catalog") != nil {
		t.Errorf("got a catalogue with ?nocatalog: %s", a.body)
	}

	w.want(about("DELETE", bob, bob), 204)
	w.want(about("GET", bob, bob), 401)
	w.want(about("GET", alice, bob), 404)
	if _, err := w.service.Verifier().Verify(t.Context(), bob); err == nil {
		t.Error("a revoked token was let in again")
	}
	if _, err := w.service.Verifier().Verify(t.Context(), w.token("bob", "acme")); err != nil {
		t.Errorf("a new token after a revocation: %v", err)
	}
}

func TestRevokingTheFirstTokenEndsThoseDerivedFromIt(t *testing.T) {
	w := newWorld(t)
	first := w.token("bob", "")
	second := w.want(w.do("POST", "/v3/auth/tokens", byToken(first, inProject("lab"))), 201).header.Get("X-Subject-Token")
	third := w.want(w.do("POST", "/v3/auth/tokens", byToken(second, inProject("acme"))), 201).header.Get("X-Subject-Token")
	other := w.token("bob", "lab")
	works := func(token string) bool {
		_, err := w.service.Verifier().Verify(t.Context(), token)
		return err == nil
	}
	w.want(w.do("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", first, "X-Subject-Token", second), 204)
	if got, want := [4]bool{works(first), works(second), works(third), works(other)}, [4]bool{true, false, true, true}; got != want {
		t.Errorf("after the second: got %v, want %v", got, want)
	}
	w.want(w.do("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", first, "X-Subject-Token", first), 204)
	if got, want := [4]bool{works(first), works(second), works(third), works(other)}, [4]bool{false, false, false, true}; got != want {
		t.Errorf("after the first: got %v, want %v", got, want)
	}
}

func TestPasswordChange(t *testing.T) {
	w := newWorld(t)
	path := "/v3/users/" + w.users["bob"].ID + "/password"
	change := func(old, new string) answer {
		return w.do("POST", path, jsonText(object{"user": object{"original_password": old, "password": new}}))
	}
	old := w.token("bob", "acme")
	w.want(change("wrong password", "a new password"), 401)
	w.want(change(passwordOf("bob"), "short"), 400)
	w.want(change(passwordOf("bob"), passwordOf("bob")), 400)
	w.want(w.do("POST", path, `{"user":{}}`), 400)
	if _, err := w.service.Verifier().Verify(t.Context(), old); err != nil {
		t.Fatalf("before the change: %v", err)
	}
	w.want(change(passwordOf("bob"), "a new password"), 204)
	if _, err := w.service.Verifier().Verify(t.Context(), old); err == nil {
		t.Error("a token from before the change is still good")
	}
	w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", passwordOf("bob"), nil)), 401)
	a := w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", "a new password", nil)), 201)
	if _, err := w.service.Verifier().Verify(t.Context(), a.header.Get("X-Subject-Token")); err != nil {
		t.Errorf("a token from right after the change: %v", err)
	}
}

func TestNoSecretIsEverLogged(t *testing.T) {
	w := newWorld(t)
	token := w.token("bob", "acme")
	w.do("POST", "/v3/auth/tokens", byPassword("typed-secret-as-name", "wrong-secret-word", nil))
	w.do("GET", "/v3/users", "", "X-Auth-Token", token)
	w.do("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token)
	log := w.log.String()
	for _, secret := range []string{token, token[len(token)-40:], passwordOf("bob"), "wrong-secret-word", "typed-secret-as-name"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log shows %q:\n%s", secret, log)
		}
	}
	for _, line := range []string{`"msg":"sign-in"`, `"msg":"sign-in refused"`, `"msg":"refused"`, `"msg":"token revoked"`, `"address":"127.0.0.1"`, w.users["bob"].ID} {
		if !strings.Contains(log, line) {
			t.Errorf("the audit log lacks %s:\n%s", line, log)
		}
	}
}

func TestDiscoveryAndUnknownRoutes(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		method, path string
		status       int
		says         string
	}{
		"the list of versions": {"GET", "/", 300, `"href":"https://id.example.org/v3/"`},
		"the version":          {"GET", "/v3", 200, `"id":"v3.14"`},
		"the version, slash":   {"GET", "/v3/", 200, `"status":"stable"`},
		"a route that is not":  {"GET", "/v3/nonesuch", 404, `"title":"Not Found"`},
		"a method that is not": {"PUT", "/v3/auth/tokens", 405, `"title":"Method Not Allowed"`},
		"another version":      {"POST", "/v2.0/tokens", 404, `"code":404`},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(c.method, c.path, "")
			if a.status != c.status || !strings.Contains(a.body, c.says) {
				t.Errorf("got %d %s, want %d with %s", a.status, a.body, c.status, c.says)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("got Content-Type %q", got)
			}
			if !strings.HasPrefix(a.header.Get("X-Openstack-Request-Id"), "req-") {
				t.Errorf("got request id %q", a.header.Get("X-Openstack-Request-Id"))
			}
		})
	}
	if got := w.do("PUT", "/v3/auth/tokens", "").header.Get("Allow"); got != "DELETE, GET, HEAD, POST" {
		t.Errorf("got Allow %q", got)
	}
}

func TestURLsFollowTheClientWhenNoneIsConfigured(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.PublicURL, c.ImageURL, c.ComputeURL = "", "", "http://nova.example.org/" })
	a := w.want(w.do("POST", "/v3/auth/tokens", byPassword("bob", passwordOf("bob"), inProject("acme"))), 201)
	for i, want := range []string{w.server.URL + "/v3", w.server.URL, "http://nova.example.org/v2.1"} {
		if got := a.at("token", "catalog", i, "endpoints", 0, "url"); got != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestConfigurationMistakesAreReportedTogether(t *testing.T) {
	_, err := NewService(Config{PublicURL: "id.example.org/v3", TokenLifetime: time.Second, Providers: []Provider{{ID: "x"}}})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{"must begin with https", "without /v3", "user directory", "signing keys", "revoked tokens", "application credentials", "lifetime", "issuer", "audience"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}
