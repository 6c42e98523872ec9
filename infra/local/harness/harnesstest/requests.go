// Package harnesstest makes the requests of tests that drive a deployment.
package harnesstest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"bullion/internal/identity"
)

// SignIn gets a token of a user in a project of the service at url.
func SignIn(t testing.TB, url, user, password, project string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"name": user, "domain": map[string]string{"id": "default"}, "password": password}}},
		"scope":    map[string]any{"project": map[string]any{"id": identity.ProjectID(project)}}}})
	ok(t, err)
	res, err := http.Post(url+"/v3/auth/tokens", "application/json", bytes.NewReader(body))
	ok(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(res.Body) // for the message
		t.Fatalf("sign in: %s %s", res.Status, text)
	}
	return res.Header.Get("X-Subject-Token")
}

// Call makes a request, with a token unless that is empty, and returns the JSON of the answer, which must have the status.
func Call(t testing.TB, token, method, url, body string, want int) map[string]any {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	ok(t, err)
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(r)
	ok(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ok(t, err)
	if res.StatusCode != want {
		t.Fatalf("%s %s: got %s, want %d\n%s", method, r.URL.Path, res.Status, want, text)
	}
	var doc map[string]any
	_ = json.Unmarshal(text, &doc) // not every answer is JSON
	return doc
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
