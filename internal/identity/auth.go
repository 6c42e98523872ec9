package identity

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bullion/internal/images"
)

// signIn answers POST /v3/auth/tokens.
func (s *Service) signIn(w http.ResponseWriter, r *http.Request) error {
	// Tokens count as issued when the request came: a password that is changed while an old one is
	// being checked ends the token that comes of it.
	now := s.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return images.Errorf(images.TooLarge, "The request body is longer than %d bytes.", maxBody)
		}
		return images.Wrap(images.Invalid, err, "The request body did not arrive whole.")
	}
	l, err := parseLogin(body)
	if err != nil {
		return err
	}
	claims, err := s.authenticate(w, r, l, now)
	if err == nil {
		claims, err = s.scopeTo(r.Context(), claims, l.scope)
	}
	if err != nil {
		if images.KindOf(err) == images.Unauthenticated {
			s.audit(w, r, slog.LevelWarn, "sign-in refused", "by", l.methods, "user", claims.UserID, "reason", cause(err))
			if !errors.Is(err, errTold) {
				return refused(err)
			}
		}
		return err
	}
	token, err := s.issue(r.Context(), &claims, now)
	if err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "sign-in", "by", l.methods, "user", claims.UserID, "user_name", claims.UserName, "project", claims.ProjectID, "token_id", claims.ID)
	w.Header().Set("X-Subject-Token", token)
	return writeJSON(w, http.StatusCreated, object{"token": s.tokenBody(r, claims)})
}

// errTold marks refusals whose text helps, and is only shown to those who proved who they are.
var errTold = errors.New("the caller is known")

// told is an Unauthenticated error with a text of its own.
func told(text string) error { return images.Wrap(images.Unauthenticated, errTold, "%s", text) }

// RefusedBecause is for a Directory that refuses somebody who has given the right password: the text, which says
// what they must do, reaches them.
func RefusedBecause(text string) error { return told(text) }

// cause is the text for the audit log.
func cause(err error) string {
	if e, ok := errors.AsType[*images.Error](err); ok {
		if e.Cause != nil && e.Cause != errTold {
			return e.Cause.Error()
		}
		return e.Message
	}
	return err.Error()
}

// authenticate finds out who asks. The claims that it returns have no scope yet, except those of an
// application credential.
func (s *Service) authenticate(w http.ResponseWriter, r *http.Request, l login, now time.Time) (Claims, error) {
	ctx := r.Context()
	switch {
	case l.password != nil:
		who, ok := l.password.ref()
		var u User
		err := s.guarded(w, r, who.key(), func() (err error) {
			if !ok { // a domain that does not exist: as slow as a user who does not
				s.hash.waste(ctx, l.password.Password)
				return ErrRefused
			}
			u, err = s.Directory.Authenticate(ctx, who, l.password.Password)
			return err
		})
		return Claims{UserID: u.ID, UserName: u.Name, Methods: l.methods, Expires: At(now.Add(s.TokenLifetime))}, err
	case l.app != nil:
		var c AppCredential
		err := s.guarded(w, r, l.app.key(), func() (err error) {
			c, err = s.appCredentialLogin(ctx, l.app, now)
			return err
		})
		if err != nil {
			return Claims{}, err
		}
		return s.appCredentialClaims(ctx, c, l.methods, now)
	default:
		return s.parent(ctx, l.token)
	}
}

// ref names the user. It is not ok when a name comes with a domain that does not exist.
func (p *passwordUser) ref() (UserRef, bool) {
	if p.ID != "" {
		return UserRef{ID: p.ID}, true
	}
	return UserRef{Name: p.Name}, p.Domain.ours()
}

// guarded runs an attempt under the rate limit.
func (s *Service) guarded(w http.ResponseWriter, r *http.Request, user string, attempt func() error) error {
	from := s.ClientAddress(r)
	if wait, err := s.guard.admit(user, from); err != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		s.audit(w, r, slog.LevelWarn, "sign-in held back", "wait", wait.Round(time.Second).String())
		return err
	}
	err := attempt()
	switch {
	case err == nil:
		s.guard.succeeded(user, from)
	case images.KindOf(err) == images.Unauthenticated:
		s.guard.failed(user, from)
	}
	return err
}

// parent makes the claims of a token that is derived from another: same person, same end.
func (s *Service) parent(ctx context.Context, token string) (Claims, error) {
	p, err := s.verifier.Claims(ctx, token)
	if err != nil {
		return Claims{}, err
	}
	if p.Provider == "" {
		u, err := s.Directory.User(ctx, UserRef{ID: p.UserID, Name: p.UserName})
		if images.KindOf(err) == images.NotFound || err == nil && u.Disabled {
			return Claims{}, refused(errors.New("the user of the token is gone or disabled"))
		}
		if err != nil {
			return Claims{}, err
		}
	}
	if p.Root == "" {
		p.Root = p.ID
	}
	if !slices.Contains(p.Methods, "token") {
		p.Methods = append(slices.Clone(p.Methods), "token")
	}
	if p.AppCredential == "" {
		p.ProjectID, p.ProjectName, p.Roles = "", "", nil
	}
	return p, nil
}

// scopeTo gives the claims the scope that was asked for.
func (s *Service) scopeTo(ctx context.Context, c Claims, want *scope) (Claims, error) {
	if c.AppCredential != "" {
		if want != nil && (want.Project == nil || !want.Project.is(Project{ID: c.ProjectID, Name: c.ProjectName})) {
			return c, told("Application credentials cannot request a scope.")
		}
		return c, nil
	}
	if want == nil || want.Unscoped {
		return c, nil
	}
	if want.Project == nil {
		return c, told("You have no role in that scope: ask for a project.")
	}
	if want.Project.ID == "" && want.Project.Domain == nil {
		return c, images.Errorf(images.Invalid, "Expecting to find domain in scope.project: a project's name needs its domain.")
	}
	grants, err := s.grants(ctx, c)
	if err != nil {
		return c, err
	}
	for _, g := range grants {
		if want.Project.is(g.Project) {
			c.ProjectID, c.ProjectName, c.Roles = g.Project.ID, g.Project.Name, withImplied(g.Roles)
			c.Grants = nil
			if c.Provider != "" {
				c.Grants = map[string][]string{}
				for _, o := range grants {
					c.Grants[o.Project.ID] = o.Roles
				}
			}
			return c, nil
		}
	}
	// The same words whether there is no such project or no role in it.
	return c, told("You have no role in that project, or it does not exist.")
}

// is says whether a request means this project.
func (n *named) is(p Project) bool {
	if n.ID != "" {
		return n.ID == p.ID
	}
	return n.Name == p.Name && n.Domain.ours()
}

// issue signs the claims, and fills in what every token has.
func (s *Service) issue(ctx context.Context, c *Claims, now time.Time) (string, error) {
	id, key, err := s.Keys.Signer(ctx)
	if err != nil {
		return "", err
	}
	c.Issuer, c.Audience, c.ID, c.IssuedAt = s.Issuer, s.Audience, newID(), At(now)
	return sign(*c, id, key)
}

// validate answers GET and HEAD /v3/auth/tokens: what the token in X-Subject-Token says. A holder
// may ask about their own tokens; administrators and services about all.
func (s *Service) validate(w http.ResponseWriter, r *http.Request) error {
	_, subject, err := s.subject(r, "validate_token")
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", r.Header.Get("X-Subject-Token"))
	return writeJSON(w, http.StatusOK, object{"token": s.tokenBody(r, subject)})
}

// revoke answers DELETE /v3/auth/tokens.
func (s *Service) revoke(w http.ResponseWriter, r *http.Request) error {
	caller, subject, err := s.subject(r, "revoke_token")
	if err != nil {
		return err
	}
	err = s.Revocations.Revoke(r.Context(), Revocation{Subject: TokenSubject(subject.ID), Before: s.Now().Add(time.Minute), Until: s.chainEnd(subject), User: subject.UserID})
	if err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "token revoked", "user", caller.UserID, "token_id", subject.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// chainEnd is when the last token derived from this one expires: with it, as they inherit its end.
func (s *Service) chainEnd(c Claims) time.Time { return c.Expires.Time }

// subject verifies both tokens of a request about a token.
func (s *Service) subject(r *http.Request, action string) (caller, subject Claims, err error) {
	if caller, err = s.caller(r); err != nil {
		return
	}
	token := r.Header.Get("X-Subject-Token")
	if token == "" {
		return caller, subject, images.Errorf(images.Invalid, "The header X-Subject-Token is missing: it holds the token that the request is about.")
	}
	subject, err = s.verifier.Claims(r.Context(), token)
	switch {
	case images.KindOf(err) == images.Unauthenticated:
		return caller, subject, images.Wrap(images.NotFound, err, "Could not find token.")
	case err != nil:
		return
	case caller.UserID != subject.UserID && !caller.isAdmin() && !caller.Caller().Has(RoleService):
		return caller, subject, forbidden(action)
	}
	return
}

// tokenBody is the document that describes a token.
func (s *Service) tokenBody(r *http.Request, c Claims) object {
	user := object{"id": c.UserID, "name": c.UserName, "domain": theDomain, "password_expires_at": nil}
	if c.Provider != "" {
		user["OS-FEDERATION"] = object{"identity_provider": object{"id": c.Provider}, "protocol": object{"id": "openid"}, "groups": []object{}}
	}
	audit := []string{auditID(c.ID)}
	if c.Root != "" {
		audit = append(audit, auditID(c.Root))
	}
	body := object{"methods": c.Methods, "user": user, "audit_ids": audit, "issued_at": wireTime(c.IssuedAt.Time), "expires_at": wireTime(c.Expires.Time)}
	if c.ProjectID != "" {
		roles := make([]object, 0, len(c.Roles))
		for _, role := range c.Roles {
			roles = append(roles, object{"id": role, "name": role})
		}
		body["project"] = object{"id": c.ProjectID, "name": c.ProjectName, "domain": theDomain}
		body["is_domain"] = false
		body["roles"] = roles
		if !r.URL.Query().Has("nocatalog") {
			body["catalog"] = s.catalog(r)
		}
	}
	if c.AppCredential != "" {
		body["application_credential"] = object{"id": c.AppCredential, "name": c.AppCredentialName, "restricted": !c.Unrestricted}
	}
	return body
}

var theDomain = object{"id": DomainID, "name": DomainName}

// auditID shortens an id to the 22 characters that Keystone's audit ids have. It cannot be used as a token.
func auditID(id string) string { return id[:min(22, len(id))] }

// wireTime is how Keystone writes times.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
