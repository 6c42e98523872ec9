package api

import (
	_ "embed"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:embed openapi.yaml
var openapi string

// The document says exactly what is routed (GET takes HEAD with it); identity's routes, under /v3, are served elsewhere and only described here.
func TestTheOpenAPIDocumentNamesEveryRouteAndNoOther(t *testing.T) {
	got := map[string]bool{}
	path := ""
	pathLine, methodLine := regexp.MustCompile(`^  (/\S*):$`), regexp.MustCompile(`^    (get|put|post|patch|delete):$`)
	for line := range strings.SplitSeq(openapi, "\n") {
		if m := pathLine.FindStringSubmatch(line); m != nil {
			path = m[1]
		}
		if m := methodLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(path, "/v3/") {
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
