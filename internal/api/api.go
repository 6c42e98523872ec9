// Package api serves the OpenStack Images API v2 and Bullion's upload extension over net/http. The same handler answers behind a socket and behind
// API Gateway.
//
// Handlers decode, call the service, and encode; they decide nothing. A new route is one line in routes.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"bullion/internal/images"
	"bullion/internal/metadefs"
	"bullion/internal/scrub"
)

// Authenticator turns a token into its holder. The error's kind is images.Unauthenticated when the token is not valid now.
type Authenticator interface {
	Verify(ctx context.Context, token string) (images.Caller, error)
}

// Config is what the API needs.
type Config struct {
	Images *images.Service
	// Metadefs are the definitions of metadata; nil offers the catalogue alone.
	Metadefs *metadefs.Service
	Auth     Authenticator
	Log      *slog.Logger
	// AuthURL is named in the answer to a request without a valid token: where tokens come from.
	AuthURL string
	// MaxFile bounds the body of PUT …/file and …/stage in bytes, where the way to this handler does not carry more; 0 does not bound it.
	MaxFile int64
	// Compute serves the image proxy of the Compute API too, for old tools.
	Compute bool
	// Origins are those whose pages may use the API from the browser, as https://horizon.example.org; a page of our own origin always may.
	Origins []string
	// Rate bounds the requests of one user to this process; nil does not.
	Rate *Rate
	// Scrubber looks at the books when an administrator asks.
	Scrubber *scrub.Scrubber
	// Ready says whether what the service needs answers; nil is always ready.
	Ready func(context.Context) error
}

type api struct {
	Config
	mux     *http.ServeMux
	limiter *limiter // nil when there is no rate
}

// New makes the handler.
func New(c Config) http.Handler {
	a := &api{Config: c, mux: http.NewServeMux()}
	if c.Rate != nil {
		a.limiter = &limiter{Rate: *c.Rate, now: time.Now, buckets: map[images.Actor]bucket{}}
	}
	if a.Metadefs == nil {
		a.Metadefs = &metadefs.Service{Policy: c.Images.Policy, Now: time.Now}
	}
	routes := append(a.routes(), a.metadefRoutes()...)
	if a.Compute {
		routes = append(routes, a.computeRoutes()...)
	}
	for _, r := range routes {
		h := a.errors(r.handle)
		if !r.open {
			h = a.errors(a.authenticated(r.handle))
		}
		a.mux.Handle(r.pattern, h)
	}
	return a.requestID(a.recovered(shared(c.Origins, timed(http.HandlerFunc(a.dispatch)))))
}

// handler is an http.HandlerFunc that may fail; its error becomes the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

type route struct {
	pattern string
	handle  handler
	open    bool // needs no token
}

// routes is the whole API but for the definitions of metadata and the proxy of the Compute API.
func (a *api) routes() []route {
	return []route{
		{pattern: "GET /{$}", handle: a.versionChoices, open: true},
		{pattern: "GET /versions", handle: a.versions, open: true},
		{pattern: "GET /healthcheck", handle: a.healthcheck, open: true},
		{pattern: "GET /openapi.yaml", handle: a.openapiYAML, open: true},
		{pattern: "GET /openapi.json", handle: a.openapiJSON, open: true},

		{pattern: "GET /v2/images", handle: a.listImages},
		{pattern: "POST /v2/images", handle: a.createImage},
		{pattern: "GET /v2/images/{id}", handle: a.showImage},
		{pattern: "PATCH /v2/images/{id}", handle: a.patchImage},
		{pattern: "DELETE /v2/images/{id}", handle: a.deleteImage},
		{pattern: "POST /v2/images/{id}/actions/deactivate", handle: a.deactivateImage},
		{pattern: "POST /v2/images/{id}/actions/reactivate", handle: a.reactivateImage},
		{pattern: "GET /v2/images/{id}/history", handle: a.imageHistory},
		{pattern: "GET /v2/images/{id}/validation", handle: a.imageValidation},

		{pattern: "PUT /v2/images/{id}/tags/{tag}", handle: a.addTag},
		{pattern: "DELETE /v2/images/{id}/tags/{tag}", handle: a.removeTag},

		{pattern: "GET /v2/images/{id}/members", handle: a.listMembers},
		{pattern: "POST /v2/images/{id}/members", handle: a.addMember},
		{pattern: "GET /v2/images/{id}/members/{member}", handle: a.showMember},
		{pattern: "PUT /v2/images/{id}/members/{member}", handle: a.setMember},
		{pattern: "DELETE /v2/images/{id}/members/{member}", handle: a.removeMember},

		{pattern: "POST /v2/images/{id}/uploads", handle: a.openUpload},
		{pattern: "GET /v2/images/{id}/uploads/{upload}", handle: a.showUpload},
		{pattern: "DELETE /v2/images/{id}/uploads/{upload}", handle: a.abortUpload},
		{pattern: "POST /v2/images/{id}/uploads/{upload}/parts", handle: a.signParts},
		{pattern: "POST /v2/images/{id}/uploads/{upload}/complete", handle: a.completeUpload},

		{pattern: "PUT /v2/images/{id}/file", handle: a.putFile},
		{pattern: "PUT /v2/images/{id}/stage", handle: a.stageFile},
		{pattern: "POST /v2/images/{id}/import", handle: a.importImage},
		{pattern: "DELETE /v2/images/{id}/import", handle: a.cancelImport},
		{pattern: "GET /v2/images/{id}/tasks", handle: a.imageTasks},
		{pattern: "GET /v2/images/{id}/locations", handle: a.listLocations},
		{pattern: "POST /v2/images/{id}/locations", handle: a.addLocation},
		{pattern: "GET /v2/images/{id}/file", handle: a.downloadFile},
		{pattern: "GET /v2/images/{id}/download", handle: a.signDownload},

		{pattern: "GET /v2/info/import", handle: a.importInfo},
		{pattern: "GET /v2/info/stores", handle: a.storesInfo},
		{pattern: "GET /v2/info/stores/detail", handle: a.storesDetail},
		{pattern: "GET /v2/info/usage", handle: a.usageInfo},
		{pattern: "GET /v2/info/policy", handle: a.policyInfo},

		{pattern: "GET /v2/quotas/{project}", handle: a.showQuota},
		{pattern: "PUT /v2/quotas/{project}", handle: a.setQuota},
		{pattern: "DELETE /v2/quotas/{project}", handle: a.unsetQuota},

		{pattern: "POST /v2/scrub", handle: a.scrubPage},

		{pattern: "GET /v2/tasks", handle: a.listTasks},
		{pattern: "GET /v2/tasks/{id}", handle: a.showTask},

		{pattern: "GET /v2/schemas/{name...}", handle: a.showSchema},
	}
}

// dispatch answers in our own words where the mux would use its own: no such path, and no such method on it.
func (a *api) dispatch(w http.ResponseWriter, r *http.Request) {
	if a.Compute {
		r = withoutProject(r)
	}
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	seen := &headerOnly{header: http.Header{}}
	h.ServeHTTP(seen, r)
	switch {
	case seen.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", seen.header.Get("Allow"))
		a.fail(w, r, images.Errorf(methodNotAllowed, "%s does not take %s; it takes %s.", r.URL.Path, r.Method, seen.header.Get("Allow")))
	case seen.status/100 == 3:
		h.ServeHTTP(w, r) // the mux's own redirect to a clean path
	default:
		a.fail(w, r, images.Errorf(images.NotFound, "There is nothing at %.200q.", r.URL.Path))
	}
}

// headerOnly records what a handler would answer.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }
