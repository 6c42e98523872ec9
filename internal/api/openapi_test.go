package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

// The document says exactly what is routed (GET takes HEAD with it); identity's routes, under /v3, are served elsewhere and only described here.
func TestTheOpenAPIDocumentNamesEveryRouteAndNoOther(t *testing.T) {
	got := map[string]bool{}
	path := ""
	pathLine, methodLine := regexp.MustCompile(`^  (/\S*):$`), regexp.MustCompile(`^    (get|put|post|patch|delete):$`)
	for line := range strings.SplitSeq(string(openapi), "\n") {
		if m := pathLine.FindStringSubmatch(line); m != nil {
			path = m[1]
		}
		if m := methodLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(path, "/v3") {
			got[strings.ToUpper(m[1])+" "+path] = true
		}
	}
	want := map[string]bool{}
	a := &api{}
	for _, r := range a.routes() {
		want[strings.NewReplacer("{$}", "", "...}", "}").Replace(r.pattern)] = true
	}
	for _, r := range append(a.metadefRoutes(), a.computeRoutes()...) {
		want[strings.ReplaceAll(r.pattern, "{$}", "")] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("routes (-) and document (+) differ:\n%s", diff)
	}
}

func TestTheDocumentIsServedToEveryone(t *testing.T) {
	handler := New(Config{Images: &images.Service{}})
	ask := func(path, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for path, media := range map[string]string{"/openapi.yaml": "application/yaml", "/openapi.json": "application/openapi+json;version=3.1"} {
		res := ask(path, "")
		if got := res.Header().Get("Content-Type"); res.Code != http.StatusOK || got != media {
			t.Errorf("%s: got %d %s, want 200 %s", path, res.Code, got, media)
		}
		tag := res.Header().Get("ETag")
		if again := ask(path, `"x", W/`+tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s with its ETag: got %d and %d bytes, want 304 and none", path, again.Code, again.Body.Len())
		}
		if other := ask(path, `"x"`); other.Code != http.StatusOK {
			t.Errorf("%s with another ETag: got %d, want 200", path, other.Code)
		}
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(ask("/openapi.json", "").Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Paths["/v2/images"] == nil {
		t.Errorf("the JSON is not the document: %v, openapi %q, %d paths", err, doc.OpenAPI, len(doc.Paths))
	}
	for _, path := range []string{"/", "/versions"} {
		if got, want := ask(path, "").Header().Get("Link"), `</openapi.json>; rel="service-desc"; type="application/openapi+json"`; got != want {
			t.Errorf("%s: Link is %q, want %q", path, got, want)
		}
	}
}
