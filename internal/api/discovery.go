package api

import (
	"net/http"

	"bullion/internal/images"
)

// versionIDs are the versions whose additions are served, the newest first. 2.14 and 2.16 are of Glance's cache, which there is none of, and 2.10 deletes
// from one of several stores. Glance without a cache leaves the same ones out.
var versionIDs = []string{"v2.17", "v2.15", "v2.13", "v2.12", "v2.9", "v2.8", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"}

func versionDocument(r *http.Request) any {
	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	type version struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Links  []link `json:"links"`
	}
	list := make([]version, len(versionIDs))
	for n, id := range versionIDs {
		status := "SUPPORTED"
		if n == 0 {
			status = "CURRENT"
		}
		list[n] = version{id, status, []link{{"self", baseURL(r) + "/v2/"}}}
	}
	return map[string]any{"versions": list}
}

// describe names the document of the API to those who discover it (RFC 8631).
func describe(w http.ResponseWriter) {
	w.Header().Set("Link", `</openapi.json>; rel="service-desc"; type="application/openapi+json"`)
}

// baseURL is where the client reached us.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (a *api) versionChoices(w http.ResponseWriter, r *http.Request) error {
	describe(w)
	writeJSON(w, http.StatusMultipleChoices, versionDocument(r))
	return nil
}

func (a *api) versions(w http.ResponseWriter, r *http.Request) error {
	describe(w)
	writeJSON(w, http.StatusOK, versionDocument(r))
	return nil
}

func (a *api) healthcheck(w http.ResponseWriter, r *http.Request) error {
	if a.Ready != nil {
		if err := a.Ready(r.Context()); err != nil {
			return images.Wrap(images.Unavailable, err, "The service cannot reach what it needs.")
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Write([]byte("OK"))
	return nil
}
