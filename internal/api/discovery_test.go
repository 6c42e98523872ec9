package api

import (
	"slices"
	"testing"
)

// additions are the routes that came with a version of Glance's API (its api-ref, "Image service API versions").
var additions = map[string][]string{
	"v2.1":  {"GET /v2/images/{id}/members", "POST /v2/images/{id}/members", "PUT /v2/images/{id}/members/{member}"},
	"v2.2":  {"GET /v2/tasks", "GET /v2/metadefs/namespaces"},
	"v2.3":  {"POST /v2/images/{id}/actions/deactivate", "POST /v2/images/{id}/actions/reactivate"},
	"v2.6":  {"GET /v2/info/import", "PUT /v2/images/{id}/stage", "POST /v2/images/{id}/import"},
	"v2.8":  {"GET /v2/info/stores"},
	"v2.10": {"DELETE /v2/stores/{store}/{id}"},
	"v2.12": {"GET /v2/images/{id}/tasks"},
	"v2.13": {"GET /v2/info/usage"},
	"v2.14": {"GET /v2/cache", "PUT /v2/cache/{id}", "DELETE /v2/cache/{id}"},
	"v2.15": {"GET /v2/info/stores/detail"},
	"v2.16": {"PUT /v2/cache/{id}"},
	"v2.17": {"GET /v2/images/{id}/locations", "POST /v2/images/{id}/locations"},
	"v2.18": {"POST /v2/cache/clean", "POST /v2/cache/prune"},
}

func TestAVersionIsAdvertisedExactlyWhenItsRoutesAreServed(t *testing.T) {
	a := &api{}
	served := map[string]bool{}
	for _, r := range append(a.routes(), a.metadefRoutes()...) {
		served[r.pattern] = true
	}
	for version, patterns := range additions {
		advertised := slices.Contains(versionIDs, version)
		for _, p := range patterns {
			if served[p] != advertised {
				t.Errorf("%s: advertised %v, and %s is served: %v", version, advertised, p, served[p])
			}
		}
	}
	if got, want := versionIDs[0], "v2.17"; got != want {
		t.Errorf("the current version is %s, want %s", got, want)
	}
}
