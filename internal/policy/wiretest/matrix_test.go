// Package wiretest asks the Images API, with the real service, store, tokens and policy behind it, what each kind of caller may do with
// each kind of image under each preset.
package wiretest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/api"
	"bullion/internal/identity"
	"bullion/internal/images"
	"bullion/internal/metadefs"
	"bullion/internal/policy"
	"bullion/internal/s3store"
	"bullion/internal/scrub"
	"bullion/internal/sqlitestore"
)

var update = flag.Bool("update", false, "write the golden files anew")

// world is the service of one preset. Projects mine and theirs have a user of each role.
type world struct {
	*testing.T
	handler http.Handler
	store   images.Store
	images  *images.Service
	tokens  map[string]string
	log     *bytes.Buffer // of the image service
	mine    string        // project ids
	theirs  string
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, rules *policy.Policy) *world {
	ctx, dir := t.Context(), t.TempDir()
	w := &world{T: t, log: &bytes.Buffer{}, tokens: map[string]string{"nobody": "", "forger": "eyJhbGciOiJub25lIn0.e30."}}
	users, err := identity.OpenFile(filepath.Join(dir, "users.json"))
	ok(t, err)
	keys := identity.StaticKeys{Ring: identity.NewKeyring(time.Now()), Now: time.Now}
	service, err := identity.NewService(identity.Config{Directory: users, Keys: keys, Revocations: users, Credentials: users, Log: slog.New(slog.DiscardHandler)})
	ok(t, err)
	projects := map[string]identity.Project{}
	for _, p := range []string{"mine", "theirs"} {
		projects[p], err = users.AddProject(ctx, p, "")
		ok(t, err)
	}
	w.mine, w.theirs = projects["mine"].ID, projects["theirs"].ID
	for _, who := range []string{"admin", "member", "reader", "service", "unscoped", "stranger"} {
		password := identity.NewPassword()
		_, err := users.AddUser(ctx, who, "", password)
		ok(t, err)
		scope := `,"scope":{"project":{"id":"` + w.mine + `"}}`
		role, project := who, "mine"
		switch who {
		case "unscoped":
			role, scope = "member", ""
		case "stranger":
			role, project, scope = "member", "theirs", `,"scope":{"project":{"id":"`+w.theirs+`"}}`
		}
		ok(t, users.Grant(ctx, who, project, role))
		res := httptest.NewRecorder()
		service.Handler().ServeHTTP(res, httptest.NewRequest("POST", "/v3/auth/tokens", strings.NewReader(
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"`+who+`","domain":{"id":"default"},"password":"`+password+`"}}}`+scope+`}}`)))
		if res.Code != 201 {
			t.Fatalf("sign-in of %s: %d %s", who, res.Code, res.Body)
		}
		w.tokens[who] = res.Header().Get("X-Subject-Token")
	}
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "records.db"))
	ok(t, err)
	t.Cleanup(func() { store.Close() })
	w.store = store
	// URLs are signed without a call; no route of the matrix makes one.
	client, err := s3store.NewClient(s3store.Config{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKey: "test", SecretKey: "test", PathStyle: true})
	ok(t, err)
	blobs, err := s3store.New(client, "images", s3store.Options{})
	ok(t, err)
	w.images = &images.Service{
		Store: store, Blobs: blobs, Policy: rules, Log: slog.New(slog.DiscardHandler), Now: time.Now, NewID: images.NewID, Limits: images.ServiceLimits{}.WithDefaults(),
		CheckSource: func(string) error { return nil }, FromRegions: true, // nobody fetches here
	}
	w.handler = api.New(api.Config{Compute: true, Auth: service.Verifier(), Log: slog.New(slog.NewTextHandler(w.log, nil)), AuthURL: "http://id.example.org/v3", Images: w.images,
		Metadefs: &metadefs.Service{Store: store, Policy: rules, Now: time.Now},
		Scrubber: &scrub.Scrubber{Images: w.images, Log: slog.New(slog.DiscardHandler), Now: time.Now}})
	return w
}

// The relations of an image to the project mine. In "missing" there is none with the id.
var relations = []string{"own", "shared", "pending", "community", "public", "private", "unshared", "missing"}

// image makes a record in the relation and returns its id.
func (w *world) image(relation string, active bool) string {
	w.Helper()
	ctx, now := w.Context(), time.Now().UTC().Truncate(time.Microsecond)
	i := &images.Image{ID: images.NewID(), Name: "image", Status: images.StatusQueued, Visibility: images.Shared, Owner: w.theirs, DiskFormat: "raw", ContainerFormat: "bare", CreatedAt: now, UpdatedAt: now, Tags: []string{"old"}, Properties: map[string]string{"a": "old"}}
	switch relation {
	case "missing":
		return i.ID
	case "own":
		i.Owner = w.mine
	case "community":
		i.Visibility = images.Community
	case "public":
		i.Visibility = images.Public
	case "private":
		i.Visibility = images.Private
	}
	if active {
		size := int64(10)
		i.Status, i.Size = images.StatusActive, &size
		i.Checksum, i.HashValue = strings.Repeat("0", 32), strings.Repeat("0", 128)
		i.Blob = &images.Blob{Key: "images/" + i.ID + "/" + images.NewID(), ETag: "e", Size: size}
	}
	ok(w, w.store.Apply(ctx, images.Write{Is: i}))
	share := func(project string, status images.MemberStatus) {
		ok(w, w.store.CreateMember(ctx, images.Member{ImageID: i.ID, ProjectID: project, Status: status, CreatedAt: now, UpdatedAt: now}))
	}
	switch relation {
	case "own":
		share(w.theirs, images.Accepted)
	case "shared":
		share(w.mine, images.Accepted)
	case "pending":
		share(w.mine, images.Pending)
	}
	return i.ID
}

type route struct {
	name, method, path, body, contentType string
	active                                bool // the image has bytes
}

const patchType = "application/openstack-images-v2.1-json-patch"

var routes = []route{
	{"show", "GET", "/v2/images/{id}", "", "", true},
	{"rename", "PATCH", "/v2/images/{id}", `[{"op":"replace","path":"/name","value":"new"}]`, patchType, true},
	{"publicize", "PATCH", "/v2/images/{id}", `[{"op":"replace","path":"/visibility","value":"public"}]`, patchType, true},
	{"communitize", "PATCH", "/v2/images/{id}", `[{"op":"replace","path":"/visibility","value":"community"}]`, patchType, true},
	{"delete", "DELETE", "/v2/images/{id}", "", "", false},
	{"deactivate", "POST", "/v2/images/{id}/actions/deactivate", "", "", true},
	{"reactivate", "POST", "/v2/images/{id}/actions/reactivate", "", "", true},
	{"history", "GET", "/v2/images/{id}/history", "", "", true},
	{"validation", "GET", "/v2/images/{id}/validation", "", "", true},
	{"tag", "PUT", "/v2/images/{id}/tags/new", "", "", true},
	{"untag", "DELETE", "/v2/images/{id}/tags/old", "", "", true},
	{"members", "GET", "/v2/images/{id}/members", "", "", true},
	{"add member", "POST", "/v2/images/{id}/members", `{"member":"0123456789abcdef0123456789abcdef"}`, "application/json", true},
	{"show member", "GET", "/v2/images/{id}/members/{mine}", "", "", true},
	{"show their member", "GET", "/v2/images/{id}/members/{theirs}", "", "", true},
	{"accept", "PUT", "/v2/images/{id}/members/{mine}", `{"status":"accepted"}`, "application/json", true},
	{"accept for them", "PUT", "/v2/images/{id}/members/{theirs}", `{"status":"rejected"}`, "application/json", true},
	{"remove member", "DELETE", "/v2/images/{id}/members/{theirs}", "", "", true},
	{"open upload", "POST", "/v2/images/{id}/uploads", `{"size":10}`, "application/json", false},
	{"show upload", "GET", "/v2/images/{id}/uploads/0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e", "", "", false},
	{"sign parts", "POST", "/v2/images/{id}/uploads/0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e/parts", `{"numbers":[1]}`, "application/json", false},
	{"complete", "POST", "/v2/images/{id}/uploads/0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e/complete", "", "", false},
	{"abort", "DELETE", "/v2/images/{id}/uploads/0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e", "", "", false},
	{"upload again", "PUT", "/v2/images/{id}/file", "x", "application/octet-stream", true},
	{"stage again", "PUT", "/v2/images/{id}/stage", "x", "application/octet-stream", true},
	{"download", "GET", "/v2/images/{id}/file", "", "", true},
	{"sign download", "GET", "/v2/images/{id}/download", "", "", true},
	{"web-download", "POST", "/v2/images/{id}/import", `{"method":{"name":"web-download","uri":"https://example.org/a.raw"}}`, "application/json", false},
	{"glance-download", "POST", "/v2/images/{id}/import", `{"method":{"name":"glance-download","glance_region":"RegionTwo","glance_image_id":"0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e"}}`, "application/json", false},
	{"cancel import", "DELETE", "/v2/images/{id}/import", "", "", false},
	{"import unstaged", "POST", "/v2/images/{id}/import", `{"method":{"name":"glance-direct"}}`, "application/json", false},
	{"tasks of image", "GET", "/v2/images/{id}/tasks", "", "", true},
	{"task", "GET", "/v2/tasks/{id}", "", "", true},
	{"compute show", "GET", "/v2.1/images/{id}", "", "", true},
	{"compute delete", "DELETE", "/v2.1/images/{id}", "", "", false},
	{"compute all keys", "GET", "/v2.1/images/{id}/metadata", "", "", true},
	{"compute set keys", "PUT", "/v2.1/images/{id}/metadata", `{"metadata":{"a":"b"}}`, "application/json", true},
	{"compute key", "GET", "/v2.1/images/{id}/metadata/a", "", "", true},
	{"compute set key", "PUT", "/v2.1/images/{id}/metadata/a", `{"meta":{"a":"b"}}`, "application/json", true},
	{"compute unset key", "DELETE", "/v2.1/images/{id}/metadata/a", "", "", true},
	{"compute metadata", "POST", "/v2.1/images/{id}/metadata", `{"metadata":{"a":"b"}}`, "application/json", true},
	{"add location", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a.raw"}`, "application/json", false},
	{"locations", "GET", "/v2/images/{id}/locations", "", "", true},
}

var callers = []string{"admin", "member", "reader", "service", "unscoped", "nobody", "forger"}

func (w *world) ask(r route, caller, id string) *httptest.ResponseRecorder {
	q := httptest.NewRequest(r.method, strings.NewReplacer("{id}", id, "{mine}", w.mine, "{theirs}", w.theirs).Replace(r.path), strings.NewReader(r.body))
	q.Header.Set("Accept", "application/json")
	if r.contentType != "" {
		q.Header.Set("Content-Type", r.contentType)
	}
	if t := w.tokens[caller]; t != "" {
		q.Header.Set("X-Auth-Token", t)
	}
	res := httptest.NewRecorder()
	w.handler.ServeHTTP(res, q)
	return res
}

// eachPreset runs a test with a world of each preset of the policy.
func eachPreset(t *testing.T, test func(t *testing.T, name string, w *world)) {
	for name, document := range map[string]string{"default": "", policy.AdminOnly: "preset: " + policy.AdminOnly} {
		t.Run(name, func(t *testing.T) {
			rules, err := policy.Parse([]byte(document))
			ok(t, err)
			test(t, name, newWorld(t, rules))
		})
	}
}

// TestEveryRouteForEveryRoleRelationAndPreset compares the statuses with testdata/<preset>.txt. It asserts by itself what no golden
// file may say otherwise: an image that a caller may not see answers exactly like one that does not exist, and no
// refusal shows anything of the image.
func TestEveryRouteForEveryRoleRelationAndPreset(t *testing.T) {
	eachPreset(t, func(t *testing.T, name string, w *world) {
		var b strings.Builder
		fmt.Fprintf(&b, "%-18s%-10s", "", "")
		for _, relation := range relations {
			fmt.Fprintf(&b, "%-10s", relation)
		}
		b.WriteString("\n")
		for _, r := range routes {
			for _, caller := range callers {
				fmt.Fprintf(&b, "%-18s%-10s", r.name, caller)
				answers := map[string]string{}
				for _, relation := range relations {
					id := w.image(relation, r.active)
					res := w.ask(r, caller, id)
					fmt.Fprintf(&b, "%-10d", res.Code)
					answers[relation] = fmt.Sprint(res.Code, " ", strings.ReplaceAll(res.Body.String(), id, "{id}"))
					w.checkRefusal(r, caller, relation, res)
				}
				b.WriteString("\n")
				if caller != "admin" {
					for _, hidden := range []string{"private", "unshared"} {
						if diff := cmp.Diff(answers["missing"], answers[hidden]); diff != "" {
							t.Errorf("%s by %s tells a %s image from none (-none +%s):\n%s", r.name, caller, hidden, hidden, diff)
						}
					}
				}
			}
		}
		golden(t, name+".txt", b.String())
	})
}

// checkRefusal holds that an error is JSON with its status, and shows nothing of the record.
func (w *world) checkRefusal(r route, caller, relation string, res *httptest.ResponseRecorder) {
	w.Helper()
	if res.Code < 400 {
		return
	}
	if res.Code >= 500 {
		w.Errorf("%s by %s of %s: got %d %s; log %s", r.name, caller, relation, res.Code, res.Body, w.log)
	}
	body, err := io.ReadAll(bytes.NewReader(res.Body.Bytes()))
	ok(w, err)
	var doc struct{ Message, Code, Title string }
	var nova map[string]struct {
		Code    int
		Message string
	}
	err = json.Unmarshal(body, &doc)
	wellFormed := err == nil && strings.HasPrefix(doc.Code, fmt.Sprint(res.Code)) && doc.Message != ""
	if strings.HasPrefix(r.path, "/v2.1/") {
		err = json.Unmarshal(body, &nova)
		wellFormed = err == nil && len(nova) == 1
		for _, fault := range nova {
			wellFormed = wellFormed && fault.Code == res.Code && fault.Message != ""
		}
	}
	if !wellFormed {
		w.Errorf("%s by %s of %s: got %d with %s, want an error in the form of its API", r.name, caller, relation, res.Code, body)
	}
	for _, secret := range []string{w.theirs, "images/", `"owner"`, "X-Amz", "eyJ"} {
		if strings.Contains(string(body), secret) && !strings.Contains(r.path, "{theirs}") {
			w.Errorf("%s by %s of %s: the refusal shows %q: %s", r.name, caller, relation, secret, body)
		}
	}
	if res.Code == http.StatusUnauthorized && res.Header().Get("WWW-Authenticate") == "" {
		w.Errorf("%s by %s: a 401 without WWW-Authenticate", r.name, caller)
	}
}

func TestAListShowsNothingThatMayNotBeSeen(t *testing.T) {
	w := newWorld(t, policy.Default())
	ids := map[string]string{}
	for _, relation := range relations {
		ids[relation] = w.image(relation, true)
	}
	for _, caller := range []string{"member", "reader"} {
		for _, query := range []string{"", "?visibility=all", "?visibility=private", "?visibility=shared", "?visibility=community", "?owner=" + w.theirs, "?visibility=shared&member_status=all", "?name=image&visibility=all"} {
			res := w.ask(route{method: "GET", path: "/v2/images" + query}, caller, "")
			if res.Code != 200 {
				t.Errorf("%s %s: got %d %s", caller, query, res.Code, res.Body)
			}
			for _, hidden := range []string{"private", "unshared", "missing"} {
				if strings.Contains(res.Body.String(), ids[hidden]) {
					t.Errorf("%s %s: the list shows the %s image", caller, query, hidden)
				}
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n")
	path := filepath.Join("testdata", name)
	if *update {
		ok(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	ok(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}
