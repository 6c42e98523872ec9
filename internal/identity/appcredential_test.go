package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (w *world) appCredentialsPath(user string) string {
	return "/v3/users/" + w.users[user].ID + "/application_credentials"
}

// newCredential makes one over the API; fields is the inside of the object.
func (w *world) newCredential(user, token, fields string) answer {
	w.Helper()
	return w.do("POST", w.appCredentialsPath(user), `{"application_credential":{`+fields+`}}`, "X-Auth-Token", token)
}

func byAppCredential(id, secret, scope string) string {
	return fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}%s}}`, id, secret, scope)
}

func TestTheLifeOfAnApplicationCredential(t *testing.T) {
	w := newWorld(t)
	bob := w.token("bob", "acme")
	made := w.want(w.newCredential("bob", bob, `"name":"ci","description":"nightly","roles":[{"name":"reader"}],"expires_at":"2030-05-02T00:00:00"`), 201)
	id, secret := made.at("application_credential", "id").(string), made.at("application_credential", "secret").(string)
	if len(secret) != 43 {
		t.Errorf("got a secret of %d characters, want 43", len(secret))
	}
	shown := w.want(w.do("GET", w.appCredentialsPath("bob")+"/"+id, "", "X-Auth-Token", bob), 200)
	got := shown.json["application_credential"].(map[string]any)
	want := map[string]any{
		"id": id, "name": "ci", "description": "nightly", "user_id": w.users["bob"].ID, "project_id": w.projects["acme"].ID, "unrestricted": false, "system": nil,
		"expires_at": "2030-05-02T00:00:00.000000", "roles": []any{map[string]any{"id": "reader", "name": "reader", "domain_id": nil}},
		"links": map[string]any{"self": "https://id.example.org" + w.appCredentialsPath("bob") + "/" + id},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shown again (-want +got):\n%s", diff)
	}

	login := w.want(w.do("POST", "/v3/auth/tokens", byAppCredential(id, secret, "")), 201)
	if login.at("token", "project", "name") != "acme" || login.at("token", "roles", 0, "name") != "reader" || login.at("token", "roles", 1) != nil ||
		login.at("token", "application_credential", "name") != "ci" || login.at("token", "application_credential", "restricted") != true {
		t.Errorf("got %s", login.body)
	}
	byName := fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"ci","user":{"name":"bob","domain":{"id":"default"}},"secret":%q}}}}`, secret)
	w.want(w.do("POST", "/v3/auth/tokens", byName), 201)
	byUserID := fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"ci","user":{"id":%q},"secret":%q}}}}`, w.users["bob"].ID, secret)
	w.want(w.do("POST", "/v3/auth/tokens", byUserID), 201)

	token := login.header.Get("X-Subject-Token")
	w.want(w.do("GET", "/v3/auth/projects", "", "X-Auth-Token", token), 200)
	w.want(w.do("DELETE", w.appCredentialsPath("bob")+"/"+id, "", "X-Auth-Token", bob), 204)
	w.want(w.do("GET", "/v3/auth/projects", "", "X-Auth-Token", token), 401)
	w.want(w.do("POST", "/v3/auth/tokens", byAppCredential(id, secret, "")), 401)
	w.want(w.do("GET", w.appCredentialsPath("bob")+"/"+id, "", "X-Auth-Token", bob), 404)
	if strings.Contains(w.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestWhatAnApplicationCredentialMayNotBe(t *testing.T) {
	w := newWorld(t)
	bob, unscoped := w.token("bob", "acme"), w.token("bob", "")
	w.want(w.newCredential("bob", bob, `"name":"taken"`), 201)
	for name, c := range map[string]struct {
		token, fields string
		status        int
		says          string
	}{
		"without a name":                {bob, ``, 400, "'name'"},
		"with a name that is taken":     {bob, `"name":"taken"`, 409, "taken"},
		"with a role that is not held":  {bob, `"name":"x","roles":[{"name":"admin"}]`, 400, `"admin"`},
		"with a role by an unknown id":  {bob, `"name":"x","roles":[{"id":"owner"}]`, 400, `"owner"`},
		"with an end in the past":       {bob, `"name":"x","expires_at":"2020-01-01T00:00:00Z"`, 400, "past"},
		"with an end that is no time":   {bob, `"name":"x","expires_at":"soon"`, 400, "not a time"},
		"with access rules":             {bob, `"name":"x","access_rules":[{"path":"/"}]`, 400, "access_rules"},
		"with a secret that is short":   {bob, `"name":"x","secret":"abc"`, 400, "short"},
		"with a long description":       {bob, `"name":"x","description":"` + strings.Repeat("d", 1025) + `"`, 400, "description"},
		"with a field of another type":  {bob, `"name":7`, 400, "name"},
		"of a token without a project":  {unscoped, `"name":"x"`, 400, "project"},
		"of another user":               {w.token("carol", "acme"), `"name":"x"`, 403, ""},
		"of another user, by the admin": {w.token("alice", "acme"), `"name":"x"`, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.newCredential("bob", c.token, c.fields)
			message, _ := a.at("error", "message").(string)
			if a.status != c.status || !strings.Contains(message, c.says) {
				t.Errorf("got %d %q, want %d with %q", a.status, message, c.status, c.says)
			}
		})
	}
	w.want(w.do("POST", w.appCredentialsPath("bob"), `{}`, "X-Auth-Token", bob), 400)
}

func TestApplicationCredentialsEnd(t *testing.T) {
	for name, c := range map[string]func(w *world){
		"at their time":             func(w *world) { w.clock.Add(25 * time.Hour) },
		"when their role is taken":  func(w *world) { w.ok(w.dir.Ungrant(w.Context(), "bob", "acme", "member")) },
		"when the user is disabled": func(w *world) { w.ok(w.dir.SetDisabled(w.Context(), "bob", true)) },
		"when the user is removed":  func(w *world) { w.ok(w.dir.RemoveUser(w.Context(), "bob")) },
		"when the project is not granted": func(w *world) {
			w.ok(w.dir.changeUser(w.Context(), "bob", func(_ *loadedDirectory, u *fileUser) error { clear(u.Roles); return nil }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			made := w.want(w.newCredential("bob", w.token("bob", "acme"), `"name":"ci","secret":"a secret of my own","expires_at":"2030-05-02T12:30:00Z"`), 201)
			login := byAppCredential(made.at("application_credential", "id").(string), "a secret of my own", "")
			w.want(w.do("POST", "/v3/auth/tokens", login), 201)
			c(w)
			a := w.want(w.do("POST", "/v3/auth/tokens", login), 401)
			if got := a.at("error", "message"); got != unauthorizedText {
				t.Errorf("got %q, want the text that says nothing", got)
			}
		})
	}
}

func TestATokenNeverOutlivesItsApplicationCredential(t *testing.T) {
	w := newWorld(t)
	made := w.want(w.newCredential("bob", w.token("bob", "acme"), `"name":"ci","expires_at":"2030-05-01T12:10:00Z"`), 201)
	login := w.want(w.do("POST", "/v3/auth/tokens", byAppCredential(made.at("application_credential", "id").(string), made.at("application_credential", "secret").(string), "")), 201)
	if got := login.at("token", "expires_at"); got != "2030-05-01T12:10:00.000000Z" {
		t.Errorf("got %v", got)
	}
}

func TestARestrictedCredentialMakesNoSuccessors(t *testing.T) {
	w := newWorld(t)
	bob := w.token("bob", "acme")
	in := func(fields string) (token, id string) {
		made := w.want(w.newCredential("bob", bob, fields), 201)
		id = made.at("application_credential", "id").(string)
		return w.want(w.do("POST", "/v3/auth/tokens", byAppCredential(id, made.at("application_credential", "secret").(string), "")), 201).header.Get("X-Subject-Token"), id
	}
	restricted, id := in(`"name":"restricted"`)
	free, _ := in(`"name":"free","unrestricted":true`)
	w.want(w.newCredential("bob", restricted, `"name":"next"`), 403)
	w.want(w.do("DELETE", w.appCredentialsPath("bob")+"/"+id, "", "X-Auth-Token", restricted), 403)
	w.want(w.newCredential("bob", free, `"name":"next"`), 201)

	// Nor another project, nor the user's other roles.
	w.want(w.do("POST", "/v3/auth/tokens", byToken(restricted, inProject("lab"))), 401)
	w.want(w.do("POST", "/v3/auth/tokens", byToken(restricted, "unscoped")), 401)
	same := w.want(w.do("POST", "/v3/auth/tokens", byToken(restricted, inProject("acme"))), 201)
	w.want(w.newCredential("bob", same.header.Get("X-Subject-Token"), `"name":"again"`), 403)
	list := w.want(w.do("GET", "/v3/auth/projects", "", "X-Auth-Token", restricted), 200)
	if list.at("projects", 0, "name") != "acme" || list.at("projects", 1) != nil {
		t.Errorf("got %s, want acme alone", list.body)
	}
}

func TestCredentialsPerUserAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range MaxAppCredentials {
		w.ok(w.dir.AddAppCredential(t.Context(), AppCredential{ID: newID(), Name: fmt.Sprint(i), UserID: w.users["bob"].ID, ProjectID: w.projects["acme"].ID, Roles: []string{"reader"}}))
	}
	w.want(w.newCredential("bob", w.token("bob", "acme"), `"name":"one more"`), 403)
	w.want(w.newCredential("carol", w.token("carol", "acme"), `"name":"another user's"`), 201)
}
