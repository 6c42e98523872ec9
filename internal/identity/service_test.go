package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Microsecond) // no two readings are the same, as on a real machine
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a running service over a file directory:
//
//	users     alice: admin in acme; bob: member in acme, reader in lab; carol: reader in acme; nova: service in acme; dave: disabled
//	projects  acme, lab, empty (nobody)
type world struct {
	*testing.T
	clock    *clock
	dir      *FileDirectory
	keys     *KeyFile
	service  *Service
	server   *httptest.Server
	log      *bytes.Buffer
	users    map[string]User
	projects map[string]Project
}

// passwordOf is a test user's password.
func passwordOf(user string) string { return "correct horse " + user }

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{T: t, clock: newClock(), log: &bytes.Buffer{}, users: map[string]User{}, projects: map[string]Project{}}
	ctx, tmp := t.Context(), t.TempDir()
	var err error
	w.dir, err = OpenFile(filepath.Join(tmp, "users.json"), WithClock(w.clock.Now))
	w.ok(err)
	w.keys, err = OpenKeyFile(filepath.Join(tmp, "keys.json"), w.clock.Now)
	w.ok(err)
	for _, name := range []string{"acme", "lab", "empty"} {
		w.projects[name], err = w.dir.AddProject(ctx, name, "")
		w.ok(err)
	}
	for _, name := range []string{"alice", "bob", "carol", "nova", "dave"} {
		w.addUser(name)
	}
	for _, g := range [][3]string{{"alice", "acme", "admin"}, {"bob", "acme", "member"}, {"bob", "lab", "reader"}, {"carol", "acme", "reader"}, {"nova", "acme", "service"}, {"dave", "acme", "member"}} {
		w.ok(w.dir.Grant(ctx, g[0], g[1], g[2]))
	}
	w.ok(w.dir.SetDisabled(ctx, "dave", true))
	c := Config{Directory: w.dir, Keys: w.keys, Revocations: w.dir, Credentials: w.dir, Now: w.clock.Now, PublicURL: "https://id.example.org", ImageURL: "https://images.example.org",
		Log: slog.New(slog.NewJSONHandler(w.log, nil))}
	for _, f := range change {
		f(&c)
	}
	w.service, err = NewService(c)
	w.ok(err)
	w.server = httptest.NewServer(w.service.Handler())
	t.Cleanup(w.server.Close)
	return w
}

// hashes are those of the test users' passwords, made once for all tests.
var hashes sync.Map

func (w *world) addUser(name string) {
	w.Helper()
	stored, known := hashes.Load(name)
	if !known {
		var err error
		stored, err = w.dir.hash.hash(w.Context(), passwordOf(name))
		w.ok(err)
		hashes.Store(name, stored)
	}
	u := fileUser{ID: newID(), Name: name, Email: name + "@example.org", Password: stored.(string), Roles: map[string][]string{}}
	w.ok(w.dir.change(func(l *loadedDirectory) error {
		l.Users = append(l.Users, u)
		return nil
	}))
	w.users[name] = u.user()
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// do sends a request. Header values follow in pairs.
func (w *world) do(method, path, body string, header ...string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, w.server.URL+path, strings.NewReader(body))
	w.ok(err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	w.ok(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	w.ok(err)
	a := answer{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

// at digs in a JSON answer: at("token", "user", "name").
func (a answer) at(path ...any) any {
	var v any = a.json
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// byPassword is a body of POST /v3/auth/tokens; scope may be nil.
func byPassword(user, password string, scope any) string {
	auth := object{"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": user, "domain": object{"name": "Default"}, "password": password}}}}
	if scope != nil {
		auth["scope"] = scope
	}
	return jsonText(object{"auth": auth})
}

func byToken(token string, scope any) string {
	auth := object{"identity": object{"methods": []string{"token"}, "token": object{"id": token}}}
	if scope != nil {
		auth["scope"] = scope
	}
	return jsonText(object{"auth": auth})
}

func inProject(name string) any {
	return object{"project": object{"name": name, "domain": object{"id": "default"}}}
}

// token signs a test user in; project "" is unscoped.
func (w *world) token(user, project string) string {
	w.Helper()
	var scope any
	if project != "" {
		scope = inProject(project)
	}
	a := w.do("POST", "/v3/auth/tokens", byPassword(user, passwordOf(user), scope))
	if a.status != 201 {
		w.Fatalf("sign-in of %s to %q: %d %s", user, project, a.status, a.body)
	}
	return a.header.Get("X-Subject-Token")
}

// want checks a status.
func (w *world) want(a answer, status int) answer {
	w.Helper()
	if a.status != status {
		w.Fatalf("got status %d, want %d; body %s", a.status, status, a.body)
	}
	return a
}
