package glance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
)

func client(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	provider := &gophercloud.ProviderClient{HTTPClient: http.Client{CheckRedirect: neverRedirect}}
	provider.SetToken("secret")
	// As behind a proxy that puts every path below another.
	return New(&gophercloud.ServiceClient{ProviderClient: provider, Endpoint: server.URL + "/image/", ResourceBase: server.URL + "/image/v2/"}, &http.Client{CheckRedirect: neverRedirect})
}

const id = "11111111-2222-4333-8444-555555555555"

func document(id, name string) string {
	return fmt.Sprintf(`{"id":%q,"name":%q,"status":"active","size":5,"tags":["a"],"os_distro":"debian","owner":null,"created_at":"2026-01-02T03:04:05Z"}`, id, name)
}

func TestImageDocumentsKeepWhatTheyAre(t *testing.T) {
	var i Image
	doc := `{"zeta":"1","id":"x","name":"n","size":null,"min_disk":3,"bullion_upload":"u","self":"/v2/images/x","odd":null,"tags":[]}`
	if err := json.Unmarshal([]byte(doc), &i); err != nil {
		t.Fatal(err)
	}
	if i.Size != nil || i.MinDisk != 3 || i.UploadID() != "u" {
		t.Errorf("size %v, min_disk %d, upload %q; want none, 3, u", i.Size, i.MinDisk, i.UploadID())
	}
	if diff := cmp.Diff(map[string]string{"zeta": "1", "bullion_upload": "u"}, i.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if got, err := json.Marshal(&i); string(got) != doc || err != nil {
		t.Errorf("it marshals as %s, %v; want what was read", got, err)
	}
}

func TestListsFollowTheirPages(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.Path, "/image/v2/images"; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
		switch r.URL.Query().Get("marker") {
		case "":
			fmt.Fprintf(w, `{"images":[%s,%s],"next":"/v2/images?limit=2&marker=b&name=x"}`, document("a", "x"), document("b", "x"))
		case "b":
			fmt.Fprintf(w, `{"images":[%s]}`, document("c", "x"))
		}
	})
	var ids []string
	for i, err := range c.List(t.Context(), url.Values{"limit": {"2"}, "name": {"x"}}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, i.ID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestAListWhoseNextPageIsItselfEnds(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"images":[],"next":"/v2/images?limit=1"}`)
	})
	for _, err := range c.List(t.Context(), url.Values{"limit": {"1"}}) {
		if err == nil || !strings.Contains(err.Error(), "leads nowhere") {
			t.Errorf("error %v, want that the page leads nowhere", err)
		}
	}
}

func TestFind(t *testing.T) {
	other := "99999999-2222-4333-8444-555555555555"
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		list := []string{}
		switch {
		case r.URL.Path == "/image/v2/images/"+id:
			fmt.Fprint(w, document(id, "debian"))
			return
		case r.URL.Path != "/image/v2/images":
			w.WriteHeader(404)
			fmt.Fprint(w, `{"message":"No image found"}`)
			return
		case q.Get("name") == "debian" && q.Get("os_hidden") == "" && q.Get("visibility") == "":
			list = append(list, document(id, "debian"))
		case q.Get("name") == "twice" && q.Get("os_hidden") == "":
			list = append(list, document(id, "twice"), document(other, "twice"))
		case q.Get("name") == "hidden" && q.Get("os_hidden") == "true":
			list = append(list, document(id, "hidden"))
		case q.Get("name") == "offered" && q.Get("member_status") == "all":
			list = append(list, document(id, "offered"))
		case q.Get("name") == other:
			list = append(list, document(id, other))
		}
		fmt.Fprintf(w, `{"images":[%s]}`, strings.Join(list, ","))
	})
	tests := []struct{ name, ref, want string }{
		{"by id", id, id},
		{"by id in capitals", strings.ToUpper(id), id},
		{"by name", "debian", id},
		{"by the name of a hidden image", "hidden", id},
		{"by the name of an image that is offered", "offered", id},
		{"by a name that looks like an id", other, id},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i, err := c.Find(t.Context(), test.ref)
			if err != nil || i.ID != test.want {
				t.Errorf("found %v, %v; want %s", i, err, test.want)
			}
		})
	}
	t.Run("a name of two images is an error with both ids", func(t *testing.T) {
		_, err := c.Find(t.Context(), "twice")
		if err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), other) {
			t.Errorf("error %v, want one that names both", err)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		if _, err := c.Find(t.Context(), "nobody"); StatusOf(err) != 404 || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("error %v, want 404", err)
		}
	})
}

func TestMessagesAreFoundInEveryKindOfError(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"Glance's JSON, with its markup", `{"message": "No image &lt;x&gt; found.<br /><br />\n\n\n", "code": "404 Not Found"}`, "No image <x> found."},
		{"Keystone's JSON", `{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`, "The request you have made requires authentication."},
		{"API Gateway's JSON", `{"message":"Forbidden"}`, "Forbidden"},
		{"a page", "<html><head><title>502</title></head><body><h1>Bad  Gateway</h1></body></html>", "Bad Gateway"},
		{"text", "404 Not Found\n\nNo such thing.\n", "404 Not Found No such thing."},
		{"nothing", "", ""},
		{"JSON without a message", `{"x":1}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := messageIn([]byte(test.body)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzMessageIn(f *testing.F) {
	f.Add([]byte(`{"message":"x"}`))
	f.Add([]byte(`{"error":{"message":"x"}}`))
	f.Add([]byte(`<Error><Code>A</Code></Error>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := messageIn(body); strings.ContainsAny(got, "\n\r\t") || len(got) > 1100 {
			t.Errorf("message %q is not one short line", got)
		}
		StorageError(body)
	})
}

func TestWhatCanBeRetried(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"no answer", &Unreachable{Err: io.EOF}, true},
		{"an error of the server", &Error{Status: 500}, true},
		{"a service that is not ready", &Error{Status: 503}, true},
		{"too many requests", &Error{Status: 429}, true},
		{"what is not implemented", &Error{Status: 501}, false},
		{"a wrong request", &Error{Status: 400}, false},
		{"a conflict", &Error{Status: 409}, false},
		{"an interruption", context.Canceled, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Retryable(fmt.Errorf("wrapped: %w", test.err)); got != test.want {
				t.Errorf("retryable %v, want %v", got, test.want)
			}
		})
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Thu, 01 Jan 2025 00:00:09 GMT": 0} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}

func TestErrorsOfTheNetworkHideTheAddress(t *testing.T) {
	_, err := http.Get("http://127.0.0.1:1/bucket/key?X-Amz-Signature=secret")
	got := HideURL(err, "127.0.0.1:1").Error()
	if want := "127.0.0.1:1 does not answer: connection refused."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestContentFromAServiceThatSendsTheBytesItself(t *testing.T) {
	const bytes = "0123456789"
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "secret" {
			t.Error("the service was not sent the token")
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(bytes))
	})
	for _, span := range [][2]int64{{0, 10}, {3, 4}} {
		body, err := c.Content(id, 10).Range(t.Context(), span[0], span[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if want := bytes[span[0] : span[0]+span[1]]; string(got) != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestRangesOutsideTheImageAreNotAskedFor(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("the service was asked") })
	for _, span := range [][2]int64{{-1, 2}, {0, 0}, {5, 6}} {
		if _, err := c.Content(id, 10).Range(t.Context(), span[0], span[1]); err == nil {
			t.Errorf("bytes %v were opened", span)
		}
	}
}

// keystone is the least of an identity service: it records what it is asked and answers with a catalogue.
func keystone(t *testing.T, asked *map[string]any) *httptest.Server {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v3/auth/tokens":
			if err := json.NewDecoder(r.Body).Decode(asked); err != nil {
				t.Errorf("the login is not JSON: %v", err)
			}
			w.Header().Set("X-Subject-Token", "token")
			w.WriteHeader(201)
			fmt.Fprintf(w, `{"token":{"expires_at":"2026-01-02T03:04:05.000000Z","user":{"id":"u1","name":"ada","domain":{"id":"default"}},
				"project":{"id":"p1","name":"main","domain":{"id":"default"}},"roles":[{"id":"r","name":"member"}],
				"catalog":[{"type":"image","name":"glance","endpoints":[{"interface":"public","region":"R","region_id":"R","url":"%s"}]}]}}`, server.URL)
		case "/":
			w.WriteHeader(300)
			fmt.Fprintf(w, `{"versions":[{"id":"v2.16","status":"CURRENT","links":[{"rel":"self","href":"%s/v2/"}]}]}`, server.URL)
		default:
			w.WriteHeader(404)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestLoginsMeanTheSameFromTheEnvironmentAndFromAFile(t *testing.T) {
	want := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []any{"password"}, "password": map[string]any{"user": map[string]any{
			"name": "ada", "password": "lovelace", "domain": map[string]any{"name": "Users"}}}},
		"scope": map[string]any{"project": map[string]any{"name": "main", "domain": map[string]any{"name": "Projects"}}},
	}}
	var asked map[string]any
	server := keystone(t, &asked)
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	yaml := fmt.Sprintf("clouds:\n  mine:\n    auth: {auth_url: %s/v3, username: ada, password: lovelace, project_name: main, user_domain_name: Users, project_domain_name: Projects}\n", server.URL)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", file)
	environment := map[string]string{"OS_AUTH_URL": server.URL + "/v3", "OS_USERNAME": "ada", "OS_PASSWORD": "lovelace", "OS_PROJECT_NAME": "main",
		"OS_USER_DOMAIN_NAME": "Users", "OS_PROJECT_DOMAIN_NAME": "Projects"}
	noVersion := map[string]string{}
	for k, v := range environment {
		noVersion[k] = v
	}
	noVersion["OS_AUTH_URL"] = server.URL
	for name, env := range map[string]map[string]string{"the environment": environment, "clouds.yaml": {"OS_CLOUD": "mine"}, "an address without a version": noVersion} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			c, err := Login{Getenv: func(k string) string { return env[k] }}.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("login (-want +got):\n%s", diff)
			}
			me, err := c.WhoAmI()
			if err != nil || me.User != "ada" || me.ProjectID != "p1" || len(me.Roles) != 1 {
				t.Errorf("logged in as %+v, %v", me, err)
			}
		})
	}
}

func TestLoginsThatCannotBeMadeSayWhatIsMissing(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		says string
	}{
		{"nothing", nil, "set OS_CLOUD"},
		{"no user", map[string]string{"OS_AUTH_URL": "http://x/v3"}, "set OS_USERNAME"},
		{"no password", map[string]string{"OS_AUTH_URL": "http://x/v3", "OS_USERNAME": "ada"}, "no password for user ada; set OS_PASSWORD"},
		{"no address", map[string]string{"OS_AUTH_URL": "x", "OS_USERNAME": "ada", "OS_PASSWORD": "p"}, "must be like http://"},
		{"a server that is not there", map[string]string{"OS_AUTH_URL": "http://127.0.0.1:1/v3", "OS_USERNAME": "ada", "OS_PASSWORD": "p"}, "connection refused. Is the service running"},
		{"a flag that is no flag", map[string]string{"OS_AUTH_URL": "http://x/v3", "OS_INSECURE": "perhaps"}, "OS_INSECURE must be true or false"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Login{Getenv: func(k string) string { return test.env[k] }}.Open(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestAnErrorAfterALoginIsTheServices(t *testing.T) {
	inner := gophercloud.ErrUnexpectedResponseCode{Actual: 403, Body: []byte(`{"message":"No."}`)}
	after := &gophercloud.ErrErrorAfterReauthentication{ErrOriginal: inner}
	if got := translate(after, ""); StatusOf(got) != 403 || got.Error() != "No." {
		t.Errorf("got %v, want the 403", got)
	}
	again := &gophercloud.ErrUnableToReauthenticate{ErrOriginal: inner, ErrReauth: &url.Error{Op: "Post", URL: "http://k/v3", Err: errors.New("refused")}}
	if got, ok := errors.AsType[*Unreachable](translate(again, "")); !ok || got.Host != "k" {
		t.Errorf("got %v, want that k does not answer", got)
	}
}
