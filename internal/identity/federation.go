package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"bullion/internal/images"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Provider is an OpenID Connect identity provider whose users may come in with an access or an ID
// token of its own. Their groups give them roles: a group "project:role", or with GroupPrefix
// "bullion/" the group "bullion/project:role", gives the role in the project of that name. The
// project must exist in the directory; other groups mean nothing.
type Provider struct {
	ID        string   `json:"id"`        // in the path and in --os-identity-provider
	Protocol  string   `json:"protocol"`  // in the path and in --os-protocol; default "openid"
	Issuer    string   `json:"issuer"`    // its URL; discovery is at Issuer/.well-known/openid-configuration
	Audiences []string `json:"audiences"` // values of aud, or of client_id where a token has no aud (Cognito), that are for this service; at least one

	NameClaim   string `json:"name_claim"`   // the user's name; default "preferred_username", then "email", "username" and "sub"
	GroupsClaim string `json:"groups_claim"` // a list of groups; default "groups". Cognito's is "cognito:groups"
	GroupPrefix string `json:"group_prefix"` // may be empty
}

const (
	maxForeignToken = 16 << 10
	maxGrants       = 24 // projects that fit into a token
)

// provider verifies tokens of a Provider. Its keys are fetched when the first token comes, so that
// the service starts while the provider is down.
type provider struct {
	Provider
	now    func() time.Time
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	retry    time.Time // no discovery before, after one that failed
}

func newProvider(p Provider, now func() time.Time) (*provider, error) {
	if p.Protocol == "" {
		p.Protocol = "openid"
	}
	if p.GroupsClaim == "" {
		p.GroupsClaim = "groups"
	}
	var wrong []error
	if p.ID == "" || strings.ContainsAny(p.ID, "/ ") || strings.ContainsAny(p.Protocol, "/ ") {
		wrong = append(wrong, errors.New("identity provider: its id and protocol must be words without a slash"))
	}
	if !strings.HasPrefix(p.Issuer, "https://") && !isLoopback(p.Issuer) {
		wrong = append(wrong, fmt.Errorf("identity provider %s: the issuer must be an https:// URL", p.ID))
	}
	if len(p.Audiences) == 0 {
		wrong = append(wrong, fmt.Errorf("identity provider %s: name at least one audience, else tokens that the provider made for others would open this service", p.ID))
	}
	return &provider{Provider: p, now: now, client: &http.Client{Timeout: 5 * time.Second}}, errors.Join(wrong...)
}

func isLoopback(url string) bool {
	rest, ok := strings.CutPrefix(url, "http://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, ":")
	return ok && (host == "127.0.0.1" || host == "localhost")
}

// foreign is what a provider's token says about its user.
type foreign struct {
	subject, name string
	groups        []string
}

// ready returns the verifier, after discovery.
func (p *provider) ready() (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verifier != nil {
		return p.verifier, nil
	}
	const text = "the identity provider does not answer: try again"
	if p.now().Before(p.retry) {
		return nil, images.Errorf(images.Unavailable, text)
	}
	// The context outlives the request: the keys are fetched again with it when they change.
	ctx := oidc.ClientContext(context.Background(), p.client)
	found, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		p.retry = p.now().Add(5 * time.Second)
		return nil, images.Wrap(images.Unavailable, err, text)
	}
	// The audience is checked below: access tokens may have it in another place.
	p.verifier = found.VerifierContext(ctx, &oidc.Config{SkipClientIDCheck: true, Now: p.now})
	return p.verifier, nil
}

// verify checks a token's signature, issuer, audience and time.
func (p *provider) verify(ctx context.Context, raw string) (foreign, error) {
	if raw == "" || len(raw) > maxForeignToken {
		return foreign{}, refused(errors.New("no token of the provider, or one that is too long"))
	}
	v, err := p.ready()
	if err != nil {
		return foreign{}, err
	}
	token, err := v.Verify(ctx, raw)
	if err != nil {
		return foreign{}, refused(fmt.Errorf("token of the provider: %s", bland(err)))
	}
	var all map[string]json.RawMessage
	if err := token.Claims(&all); err != nil {
		return foreign{}, refused(errors.New("token of the provider: claims unreadable"))
	}
	audience := token.Audience
	if len(audience) == 0 {
		audience = []string{text(all["client_id"])}
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(p.Audiences, a) }) {
		return foreign{}, refused(errors.New("token of the provider: for another audience"))
	}
	if token.Subject == "" {
		return foreign{}, refused(errors.New("token of the provider: no subject"))
	}
	out := foreign{subject: token.Subject}
	for _, claim := range []string{p.NameClaim, "preferred_username", "email", "username"} {
		if out.name = text(all[claim]); claim != "" && out.name != "" {
			break
		}
	}
	if out.name == "" {
		out.name = token.Subject
	}
	if err := checkName("name", out.name); err != nil {
		out.name = stableID(out.name)
	}
	if json.Unmarshal(all[p.GroupsClaim], &out.groups) != nil {
		if one := text(all[p.GroupsClaim]); one != "" {
			out.groups = strings.Fields(one)
		}
	}
	return out, nil
}

// bland says what is wrong with a token without repeating any of it.
func bland(err error) string {
	if _, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return "expired"
	}
	for _, part := range []string{"issued by a different provider", "failed to verify signature", "malformed", "nbf"} {
		if strings.Contains(err.Error(), part) {
			return part
		}
	}
	return "not valid"
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// ParseGroup splits a group "project:role". The project's name may itself have colons.
func ParseGroup(group string) (project, role string, ok bool) {
	i := strings.LastIndexByte(group, ':')
	if i < 1 {
		return "", "", false
	}
	project, role = group[:i], strings.ToLower(group[i+1:])
	return project, role, slices.Contains(Roles, role)
}

// granted maps groups to roles by project id.
func (s *Service) granted(ctx context.Context, p *provider, groups []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, g := range groups {
		rest, ok := strings.CutPrefix(g, p.GroupPrefix)
		name, role, ok2 := ParseGroup(rest)
		if !ok || !ok2 {
			continue
		}
		project, err := s.Directory.ProjectByName(ctx, name)
		switch {
		case images.KindOf(err) == images.NotFound || err == nil && project.Disabled:
			continue
		case err != nil:
			return nil, err
		}
		if !slices.Contains(out[project.ID], role) {
			out[project.ID] = append(out[project.ID], role)
		}
		if len(out) > maxGrants {
			return nil, told(fmt.Sprintf("Your groups give you roles in more than %d projects, which do not fit into a token: ask the administrator to narrow the groups that the provider sends.", maxGrants))
		}
	}
	for id, roles := range out {
		out[id] = withoutImplied(roles)
	}
	return out, nil
}

// federated answers the sign-in with a provider's token: an unscoped token, to be exchanged for
// a scoped one by the method "token".
func (s *Service) federated(w http.ResponseWriter, r *http.Request) error {
	now := s.Now()
	idp, protocol := r.PathValue("idp"), r.PathValue("protocol")
	p := s.providers[idp+"/"+protocol]
	if p == nil {
		return notFound("federated protocol", protocol)
	}
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refused(errors.New("no bearer token"))
	}
	var who foreign
	err := s.guarded(w, r, "provider:"+p.ID, func() (err error) {
		who, err = p.verify(r.Context(), strings.TrimSpace(raw))
		return err
	})
	var grants map[string][]string
	if err == nil {
		grants, err = s.granted(r.Context(), p, who.groups)
	}
	if err == nil && len(grants) == 0 {
		err = told("None of your groups gives you a role in a project here.")
	}
	if err != nil {
		if images.KindOf(err) == images.Unauthenticated {
			s.audit(w, r, slog.LevelWarn, "sign-in refused", "by", "openid", "provider", p.ID, "reason", cause(err))
		}
		return err
	}
	claims := Claims{UserID: stableID("federated", p.ID, p.Issuer, who.subject), UserName: who.name, Methods: []string{"openid"}, Provider: p.ID, Grants: grants, Expires: At(now.Add(s.TokenLifetime))}
	token, err := s.issue(r.Context(), &claims, now)
	if err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "sign-in", "by", claims.Methods, "user", claims.UserID, "user_name", claims.UserName, "provider", p.ID, "token_id", claims.ID)
	w.Header().Set("X-Subject-Token", token)
	return writeJSON(w, http.StatusCreated, object{"token": s.tokenBody(r, claims)})
}
