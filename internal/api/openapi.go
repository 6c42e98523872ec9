package api

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// openapi is the document of this API. It is read by people as it stands; programs mostly want it as JSON.
//
//go:embed openapi.yaml
var openapi []byte

// openapiJSON is the document as JSON, made when it is first asked for.
var openapiJSON = sync.OnceValues(func() ([]byte, error) {
	var doc any
	if err := yaml.Unmarshal(openapi, &doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	return json.Marshal(doc)
})

func (a *api) openapiYAML(w http.ResponseWriter, r *http.Request) error {
	writeDocument(w, r, "application/yaml", openapi)
	return nil
}

func (a *api) openapiJSON(w http.ResponseWriter, r *http.Request) error {
	body, err := openapiJSON()
	if err != nil {
		return err
	}
	writeDocument(w, r, "application/openapi+json;version=3.1", body)
	return nil
}

// writeDocument answers with what changes with the program alone. Pages of any origin may read it: it is public.
func writeDocument(w http.ResponseWriter, r *http.Request, media string, body []byte) {
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache") // may be kept, and is asked about
	w.Header().Set("Access-Control-Allow-Origin", "*")
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body)
}
