package identity

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
)

// DefaultAudience is what tokens are for.
const DefaultAudience = "bullion"

// Config is what a Service is made of. Directory, Keys, Revocations and Credentials must be set.
type Config struct {
	Directory   Directory
	Keys        KeySource
	Revocations RevocationList
	Credentials AppCredentials

	// PublicURL is where clients find this service, without /v3 ("https://identity.example.org"). Empty: the
	// address that the client used, which suits one machine.
	PublicURL string
	// ImageURL is where clients find the image service, without /v2. Empty: the same as PublicURL.
	ImageURL string
	// ComputeURL is where the image proxy of the compute API is, without /v2.1. Empty: there is none.
	ComputeURL string
	Region     string // default RegionOne

	Issuer        string        // in tokens; default DefaultAudience
	Audience      string        // in tokens; default DefaultAudience
	TokenLifetime time.Duration // default 1 h, at least 1 min, at most MaxTokenLifetime

	Providers []Provider // OpenID Connect identity providers; may be empty
	Limits    Limits
	// ClientAddress finds who asks, for the rate limit and the audit log. Default PeerAddress.
	ClientAddress func(*http.Request) netip.Addr
	Log           *slog.Logger     // default slog.Default()
	Now           func() time.Time // default time.Now
}

// Service serves the part of Keystone's API v3 that clients need. It is safe for concurrent use.
type Service struct {
	Config
	verifier  *Verifier
	guard     *guard
	hash      *hasher
	providers map[string]*provider // by id and protocol, as in the path
	mux       *http.ServeMux
}

// NewService checks the configuration, and reports everything that is wrong with it together.
func NewService(c Config) (*Service, error) {
	var wrong []error
	need := func(ok bool, text string) {
		if !ok {
			wrong = append(wrong, errors.New("identity: "+text))
		}
	}
	if c.Region == "" {
		c.Region = "RegionOne"
	}
	if c.Issuer == "" {
		c.Issuer = DefaultAudience
	}
	if c.Audience == "" {
		c.Audience = DefaultAudience
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = time.Hour
	}
	if c.ClientAddress == nil {
		c.ClientAddress = PeerAddress
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for _, u := range []*string{&c.PublicURL, &c.ImageURL, &c.ComputeURL} {
		*u = strings.TrimRight(*u, "/")
		need(*u == "" || strings.HasPrefix(*u, "http://") || strings.HasPrefix(*u, "https://"), "the URL "+*u+" must begin with https:// or http://")
	}
	need(!strings.HasSuffix(c.PublicURL, "/v3"), "the public URL must be given without /v3")
	need(!strings.HasSuffix(c.ImageURL, "/v2"), "the image URL must be given without /v2")
	need(c.Directory != nil, "a user directory is needed")
	need(c.Keys != nil, "a source of signing keys is needed")
	need(c.Revocations != nil, "a list of revoked tokens is needed")
	need(c.Credentials != nil, "a store of application credentials is needed")
	need(c.TokenLifetime >= time.Minute && c.TokenLifetime <= MaxTokenLifetime, "the token lifetime must be from 1m to "+MaxTokenLifetime.String())
	s := &Service{Config: c, guard: newGuard(c.Limits, c.Now), hash: newHasher(c.Now), providers: map[string]*provider{}}
	for _, p := range c.Providers {
		made, err := newProvider(p, c.Now)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		s.providers[made.ID+"/"+made.Protocol] = made
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	s.verifier = NewVerifier(c.Keys, c.Issuer, c.Audience, c.Revocations, c.Now)
	s.mux = s.routes()
	return s, nil
}

// Verifier checks the tokens of this service, for other services of the same process.
func (s *Service) Verifier() *Verifier { return s.verifier }

// routes is the whole API.
func (s *Service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		// What there is.
		"GET /{$}":    s.versions,
		"GET /v3":     s.version,
		"GET /v3/{$}": s.version,

		// Tokens, and what one may get a token for.
		"POST /v3/auth/tokens":   s.signIn,
		"GET /v3/auth/tokens":    s.validate, // HEAD too
		"DELETE /v3/auth/tokens": s.revoke,
		"GET /v3/auth/catalog":   s.authCatalog,
		"GET /v3/auth/projects":  s.authProjects,
		"GET /v3/auth/domains":   s.authDomains,
		"GET /v3/auth/system":    s.authSystem,

		// Federation.
		"GET /v3/OS-FEDERATION/projects":                                            s.authProjects,
		"GET /v3/OS-FEDERATION/domains":                                             s.authDomains,
		"POST /v3/OS-FEDERATION/identity_providers/{idp}/protocols/{protocol}/auth": s.federated,
		"GET /v3/OS-FEDERATION/identity_providers/{idp}/protocols/{protocol}/auth":  s.federated,

		// Look-ups.
		"GET /v3/users":                  s.users,
		"GET /v3/users/{user}":           s.user,
		"GET /v3/users/{user}/projects":  s.userProjects,
		"POST /v3/users/{user}/password": s.changePassword,
		"GET /v3/projects":               s.projects,
		"GET /v3/projects/{project}":     s.project,
		"GET /v3/domains":                s.domains,
		"GET /v3/domains/{domain}":       s.domain,
		"GET /v3/roles":                  s.roles,
		"GET /v3/roles/{role}":           s.role,
		"GET /v3/role_assignments":       s.roleAssignments,

		// Application credentials.
		"GET /v3/users/{user}/application_credentials":         s.appCredentials,
		"POST /v3/users/{user}/application_credentials":        s.createAppCredential,
		"GET /v3/users/{user}/application_credentials/{id}":    s.appCredential,
		"DELETE /v3/users/{user}/application_credentials/{id}": s.deleteAppCredential,
		"GET /v3/users/{user}/access_rules":                    s.accessRules,
	} {
		mux.Handle(pattern, s.serve(h))
	}
	return mux
}

// Handler serves the routes. A host that has its own document at / mounts it at /v3 and /v3/ only.
func (s *Service) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if h.Get("X-Openstack-Request-Id") == "" {
			h.Set("X-Openstack-Request-Id", "req-"+newUUID())
		}
		h.Set("Vary", "X-Auth-Token")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if _, pattern := s.mux.Handler(r); pattern == "" {
			s.unrouted(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
}

// unrouted answers what the mux has no route for, in Keystone's shape.
func (s *Service) unrouted(w http.ResponseWriter, r *http.Request) {
	probe := &statusOnly{header: http.Header{}}
	s.mux.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		writeError(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
		return
	}
	writeError(w, http.StatusNotFound, "The resource could not be found.")
}

type statusOnly struct {
	header http.Header
	status int
}

func (p *statusOnly) Header() http.Header         { return p.header }
func (p *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusOnly) WriteHeader(status int)      { p.status = status }

// handler answers a request or returns why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// statuses maps the kinds of errors to HTTP. Kinds that identity never uses are left out and would be 500.
var statuses = map[images.Kind]int{
	images.Invalid:         http.StatusBadRequest,
	images.Unauthenticated: http.StatusUnauthorized,
	images.Forbidden:       http.StatusForbidden,
	images.NotFound:        http.StatusNotFound,
	images.Conflict:        http.StatusConflict,
	images.TooLarge:        http.StatusRequestEntityTooLarge,
	images.TooMany:         http.StatusTooManyRequests,
	images.Unavailable:     http.StatusServiceUnavailable,
}

func (s *Service) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		kind := images.KindOf(err)
		status, known := statuses[kind]
		if !known {
			s.Log.ErrorContext(r.Context(), "identity request failed", "error", err, "method", r.Method, "path", r.URL.Path, "request_id", requestID(w))
			writeError(w, http.StatusInternalServerError, "An unexpected error prevented the server from fulfilling your request.")
			return
		}
		text := unauthorizedText
		if e, ok := errors.AsType[*images.Error](err); ok {
			text = e.Message
		}
		switch status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Keystone uri="`+s.base(r)+`/v3"`)
		case http.StatusForbidden:
			s.audit(w, r, slog.LevelWarn, "refused", "reason", text)
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", "2")
			s.Log.ErrorContext(r.Context(), "identity unavailable", "error", err, "path", r.URL.Path, "request_id", requestID(w))
		}
		writeError(w, status, text)
	})
}

// audit writes one line about who did what from where. Nothing that is secret may be in args.
func (s *Service) audit(w http.ResponseWriter, r *http.Request, level slog.Level, what string, args ...any) {
	args = append(args, "audit", true, "address", s.ClientAddress(r).String(), "method", r.Method, "path", r.URL.Path, "request_id", requestID(w))
	s.Log.Log(r.Context(), level, what, args...)
}

func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Openstack-Request-Id") }

func writeJSON(w http.ResponseWriter, status int, body any) error {
	doc, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client went away; there is nobody to tell
	return nil
}

// object is a JSON object.
type object = map[string]any

func writeError(w http.ResponseWriter, status int, message string) {
	_ = writeJSON(w, status, object{"error": object{"code": status, "message": message, "title": http.StatusText(status)}})
}

// base is the public address of this service, without /v3.
func (s *Service) base(r *http.Request) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := r.Host
	if strings.ContainsAny(host, "\"'<>\\ ") { // never echo what is no host
		host = "localhost"
	}
	return scheme + "://" + host
}

// caller verifies the token that the request was made with.
func (s *Service) caller(r *http.Request) (Claims, error) {
	return s.verifier.Claims(r.Context(), r.Header.Get("X-Auth-Token"))
}

// forbidden is Keystone's text for what a policy refuses.
func forbidden(action string) error {
	return images.Errorf(images.Forbidden, "You are not authorized to perform the requested action: identity:%s.", action)
}

func notFound(what, id string) error {
	if len(id) > 64 {
		id = id[:64]
	}
	return images.Errorf(images.NotFound, "Could not find %s: %s.", what, id)
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// isAdmin is Keystone's rule:admin_required.
func (c Claims) isAdmin() bool { return c.Caller().Has(RoleAdmin) }

// grants lists where the holder of a token may go.
func (s *Service) grants(ctx context.Context, c Claims) ([]Grant, error) {
	if c.Provider != "" {
		out := []Grant{}
		for id, roles := range c.Grants {
			p, err := s.Directory.ProjectByID(ctx, id)
			switch {
			case images.KindOf(err) == images.NotFound || err == nil && p.Disabled:
				continue
			case err != nil:
				return nil, err
			}
			out = append(out, Grant{p, roles})
		}
		sortGrants(out)
		return out, nil
	}
	return s.Directory.Grants(ctx, User{ID: c.UserID, Name: c.UserName})
}
