package identity

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"flag"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEveryRouteForEveryRole asks each route as each kind of caller, and compares status and answer with
// testdata/routes.txt. Ids are replaced by names; what a row shows is all that this caller learns.
func TestEveryRouteForEveryRole(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	secrets := map[string]string{}
	for _, name := range []string{"alice", "bob"} {
		_, hash := newSecret()
		c := AppCredential{ID: newID(), Name: "ci-" + name, UserID: w.users[name].ID, ProjectID: w.projects["acme"].ID, Roles: []string{"reader"}, SecretHash: hash}
		w.ok(w.dir.AddAppCredential(ctx, c))
		secrets["{cred-"+name+"}"] = c.ID
	}
	for name, u := range w.users {
		secrets["{"+name+"}"] = u.ID
	}
	for name, p := range w.projects {
		secrets["{"+name+"}"] = p.ID
	}
	secrets["{nobody}"] = strings.Repeat("0", 32)
	var fill, blank []string
	for name, id := range secrets {
		fill = append(fill, name, id)
		blank = append(blank, id, name)
	}
	toID, toName := strings.NewReplacer(fill...), strings.NewReplacer(blank...)

	callers := []struct{ name, token string }{
		{"admin", w.token("alice", "acme")},
		{"member", w.token("bob", "acme")},
		{"reader", w.token("bob", "lab")},
		{"service", w.token("nova", "acme")},
		{"unscoped", w.token("bob", "")},
		{"nobody", ""},
		{"forger", w.token("bob", "acme") + "A"},
	}
	routes := []string{
		"GET /v3/auth/projects", "GET /v3/OS-FEDERATION/projects", "GET /v3/auth/domains", "GET /v3/auth/system", "GET /v3/auth/catalog",
		"GET /v3/users", "GET /v3/users?name=bob", "GET /v3/users?name=carol", "GET /v3/users?name=nonesuch", "GET /v3/users?name=bob&domain_id=other",
		"GET /v3/users/{bob}", "GET /v3/users/{carol}", "GET /v3/users/{nobody}",
		"GET /v3/users/{bob}/projects", "GET /v3/users/{bob}/projects?name=lab", "GET /v3/users/{carol}/projects", "GET /v3/users/{nobody}/projects",
		"GET /v3/projects", "GET /v3/projects?name=acme", "GET /v3/projects?name=lab", "GET /v3/projects?name=empty", "GET /v3/projects?name=nonesuch",
		"GET /v3/projects?domain_id=other", "GET /v3/projects?enabled=False",
		"GET /v3/projects/{acme}", "GET /v3/projects/{lab}", "GET /v3/projects/{empty}", "GET /v3/projects/{nobody}", "GET /v3/projects/acme",
		"GET /v3/domains", "GET /v3/domains?name=default", "GET /v3/domains?name=other", "GET /v3/domains/default", "GET /v3/domains/other",
		"GET /v3/roles", "GET /v3/roles?name=member", "GET /v3/roles/member", "GET /v3/roles/owner",
		"GET /v3/role_assignments", "GET /v3/role_assignments?user.id={bob}&include_names", "GET /v3/role_assignments?scope.project.id={lab}", "GET /v3/role_assignments?user.id={nobody}",
		"GET /v3/users/{bob}/application_credentials", "GET /v3/users/{alice}/application_credentials", "GET /v3/users/{bob}/application_credentials?name=other",
		"GET /v3/users/{bob}/application_credentials/{cred-bob}", "GET /v3/users/{bob}/application_credentials/{cred-alice}", "GET /v3/users/{alice}/application_credentials/{cred-alice}",
		"GET /v3/users/{bob}/access_rules",
		"DELETE /v3/users/{alice}/application_credentials/{cred-alice}", "DELETE /v3/users/{bob}/application_credentials/{nobody}",
		"POST /v3/users/{alice}/application_credentials",
	}
	var b strings.Builder
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		fmt.Fprintf(&b, "%s\n", route)
		for i := len(callers) - 1; i >= 0; i-- { // the weakest first: a DELETE by an administrator succeeds
			c := callers[i]
			a := w.do(method, toID.Replace(path), `{"application_credential":{"name":""}}`, "X-Auth-Token", c.token)
			fmt.Fprintf(&b, "  %-9s %d %s\n", c.name, a.status, toName.Replace(brief(a)))
		}
	}
	path := filepath.Join("testdata", "routes.txt")
	if *update {
		w.ok(os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	w.ok(err)
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("routes (-want +got; -update writes them anew):\n%s", diff)
	}
}

// brief shortens an answer to what the caller learned: names and ids of things, or the error.
func brief(a answer) string {
	if m := a.at("error", "message"); m != nil {
		return fmt.Sprint(m)
	}
	var parts []string
	for key, v := range a.json {
		switch v := v.(type) {
		case []any:
			var names []string
			for i, item := range v {
				if m, ok := item.(map[string]any); ok && m["name"] != nil {
					names = append(names, fmt.Sprint(m["name"]))
				} else if ok {
					names = append(names, fmt.Sprint(a.at(key, i, "user", "id"), " ", a.at(key, i, "role", "id"), " ", a.at(key, i, "scope", "project", "id")))
				}
			}
			parts = append(parts, fmt.Sprintf("%s [%s]", key, strings.Join(names, ", ")))
		case map[string]any:
			if key != "links" {
				parts = append(parts, fmt.Sprintf("%s %v=%v", key, v["id"], v["name"]))
			}
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

func TestListsAreNeverNull(t *testing.T) {
	w := newWorld(t)
	a := w.want(w.do("GET", "/v3/projects?name=nonesuch", "", "X-Auth-Token", w.token("alice", "acme")), 200)
	if !strings.Contains(a.body, `"projects":[]`) {
		t.Errorf("got %s", a.body)
	}
}
