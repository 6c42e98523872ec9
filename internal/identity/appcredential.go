package identity

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"bullion/internal/images"
)

// key is for the rate limit.
func (a *appCredentialAuth) key() string {
	if a.ID != "" {
		return "app:" + a.ID
	}
	return "app:" + a.Name + "\x00" + UserRef{a.User.ID, a.User.Name}.key()
}

// appCredentialLogin finds the credential and checks its secret. Every refusal costs one argon2.
func (s *Service) appCredentialLogin(ctx context.Context, a *appCredentialAuth, now time.Time) (AppCredential, error) {
	c, err := s.findAppCredential(ctx, a)
	if err != nil && images.KindOf(err) != images.NotFound {
		return c, err
	}
	ok := false
	if err == nil {
		if ok, err = s.hash.check(ctx, c.SecretHash, a.Secret); err != nil {
			return c, err
		}
		if !ok && !strings.HasPrefix(c.SecretHash, "$sha256$") {
			return c, ErrRefused // argon2 was paid
		}
		ok = ok && (c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt))
	}
	if !ok {
		s.hash.waste(ctx, a.Secret)
		return c, ErrRefused
	}
	return c, nil
}

func (s *Service) findAppCredential(ctx context.Context, a *appCredentialAuth) (AppCredential, error) {
	if a.ID != "" {
		return s.Credentials.AppCredential(ctx, a.ID)
	}
	who := UserRef{ID: a.User.ID}
	if who.ID == "" {
		if !a.User.Domain.ours() {
			return AppCredential{}, images.Errorf(images.NotFound, "no such domain")
		}
		who.Name = a.User.Name
	}
	u, err := s.Directory.User(ctx, who)
	if err != nil {
		return AppCredential{}, err
	}
	all, err := s.Credentials.AppCredentialsOf(ctx, u.ID)
	if err != nil {
		return AppCredential{}, err
	}
	for _, c := range all {
		if c.Name == a.Name {
			return c, nil
		}
	}
	return AppCredential{}, images.Errorf(images.NotFound, "no such application credential")
}

// appCredentialClaims checks that the user still is and has what the credential promises.
func (s *Service) appCredentialClaims(ctx context.Context, c AppCredential, methods []string, now time.Time) (Claims, error) {
	u, err := s.Directory.User(ctx, UserRef{ID: c.UserID, Name: c.UserName})
	if images.KindOf(err) == images.NotFound || err == nil && (u.Disabled || u.ID != c.UserID) {
		return Claims{}, refused(errors.New("the user of the application credential is gone or disabled"))
	}
	if err != nil {
		return Claims{}, err
	}
	grants, err := s.Directory.Grants(ctx, u)
	if err != nil {
		return Claims{}, err
	}
	i := slices.IndexFunc(grants, func(g Grant) bool { return g.Project.ID == c.ProjectID })
	if i < 0 || !containsAll(withImplied(grants[i].Roles), c.Roles) {
		return Claims{UserID: u.ID}, refused(errors.New("the user lost a role of the application credential"))
	}
	end := now.Add(s.TokenLifetime)
	if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(end) {
		end = c.ExpiresAt
	}
	return Claims{
		UserID: u.ID, UserName: u.Name, ProjectID: c.ProjectID, ProjectName: grants[i].Project.Name, Roles: withImplied(c.Roles), Methods: methods,
		AppCredential: c.ID, AppCredentialName: c.Name, Unrestricted: c.Unrestricted, Expires: At(end),
	}, nil
}

// owner is the caller, who must be the user of the path.
func (s *Service) owner(r *http.Request, action string) (Claims, error) {
	c, err := s.caller(r)
	if err != nil {
		return c, err
	}
	if c.UserID != r.PathValue("user") && !(c.isAdmin() && action != "create_application_credential") {
		return c, forbidden(action)
	}
	return c, nil
}

// mayManage refuses the token of a restricted application credential: a leaked one must not
// be able to make itself successors.
func mayManage(c Claims, action string) error {
	if c.AppCredential != "" && !c.Unrestricted {
		return forbidden(action)
	}
	return nil
}

func (s *Service) appCredentialBody(r *http.Request, c AppCredential) object {
	roles := make([]object, 0, len(c.Roles))
	for _, role := range c.Roles {
		roles = append(roles, object{"id": role, "name": role, "domain_id": nil})
	}
	body := object{
		"id": c.ID, "name": c.Name, "description": c.Description, "user_id": c.UserID, "project_id": c.ProjectID, "roles": roles, "unrestricted": c.Unrestricted,
		"expires_at": nil, "system": nil, "links": object{"self": s.base(r) + "/v3/users/" + c.UserID + "/application_credentials/" + c.ID},
	}
	if !c.ExpiresAt.IsZero() {
		body["expires_at"] = c.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return body
}

func (s *Service) appCredentials(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.owner(r, "list_application_credentials"); err != nil {
		return err
	}
	all, err := s.Credentials.AppCredentialsOf(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	var items []object
	name := r.URL.Query().Get("name")
	for _, c := range all {
		if name == "" || c.Name == name {
			items = append(items, s.appCredentialBody(r, c))
		}
	}
	return s.list(w, r, "application_credentials", items)
}

func (s *Service) appCredential(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.owner(r, "get_application_credential"); err != nil {
		return err
	}
	c, err := s.Credentials.AppCredential(r.Context(), r.PathValue("id"))
	if err == nil && c.UserID != r.PathValue("user") {
		err = images.Errorf(images.NotFound, "another user's")
	}
	if err != nil {
		return missing(err, "application credential", r.PathValue("id"))
	}
	return writeJSON(w, http.StatusOK, object{"application_credential": s.appCredentialBody(r, c)})
}

// accessRules answers with none: see createAppCredential.
func (s *Service) accessRules(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.owner(r, "list_access_rules"); err != nil {
		return err
	}
	return s.list(w, r, "access_rules", nil)
}

type newAppCredential struct {
	Name         string            `json:"name"`
	Description  string            `json:"description"`
	Secret       string            `json:"secret"`
	ExpiresAt    *string           `json:"expires_at"`
	Roles        []named           `json:"roles"`
	Unrestricted bool              `json:"unrestricted"`
	AccessRules  []json.RawMessage `json:"access_rules"`
}

func (s *Service) createAppCredential(w http.ResponseWriter, r *http.Request) error {
	const action = "create_application_credential"
	owner, err := s.owner(r, action)
	if err != nil {
		return err
	}
	if err := mayManage(owner, action); err != nil {
		return err
	}
	if owner.Provider != "" {
		return images.Errorf(images.Forbidden, "Users of an identity provider cannot have application credentials, because their roles cannot be checked later: use a token of the provider, or a user of this service.")
	}
	if owner.ProjectID == "" {
		return images.Errorf(images.Invalid, "An application credential is for one project: sign in to a project first.")
	}
	var body struct {
		AppCredential *newAppCredential `json:"application_credential"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.AppCredential == nil {
		return images.Errorf(images.Invalid, "'application_credential' is a required property.")
	}
	c, err := body.AppCredential.check(owner, s.Now())
	if err != nil {
		return err
	}
	secret := body.AppCredential.Secret
	if secret == "" {
		secret, c.SecretHash = newSecret()
	} else if c.SecretHash, err = s.hash.hash(r.Context(), secret); err != nil {
		return err
	}
	if err := s.Credentials.AddAppCredential(r.Context(), c); err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "application credential created", "user", c.UserID, "project", c.ProjectID, "application_credential", c.ID, "roles", c.Roles)
	out := s.appCredentialBody(r, c)
	out["secret"] = secret // shown this once
	return writeJSON(w, http.StatusCreated, object{"application_credential": out})
}

// check turns the request into a record without a secret.
func (n *newAppCredential) check(owner Claims, now time.Time) (AppCredential, error) {
	c := AppCredential{ID: newID(), Name: n.Name, Description: n.Description, UserID: owner.UserID, UserName: owner.UserName, ProjectID: owner.ProjectID,
		Unrestricted: n.Unrestricted, CreatedAt: now.UTC()}
	if err := checkName("'name' of the application credential", n.Name); err != nil {
		return c, err
	}
	if len(n.Description) > 1024 {
		return c, images.Errorf(images.Invalid, "'description' is longer than 1024 bytes.")
	}
	if n.Secret != "" {
		if err := checkPassword(n.Secret); err != nil {
			return c, err
		}
	}
	if len(n.AccessRules) > 0 { // to ignore them would grant more than was asked for
		return c, images.Errorf(images.Invalid, "'access_rules' are not supported: leave them out, and narrow the credential by roles.")
	}
	if n.ExpiresAt != nil && *n.ExpiresAt != "" {
		t, err := parseExpiry(*n.ExpiresAt)
		if err != nil {
			return c, err
		}
		if !t.After(now) {
			return c, images.Errorf(images.Invalid, "'expires_at' is in the past.")
		}
		c.ExpiresAt = t
	}
	for _, want := range n.Roles {
		role := strings.ToLower(want.Name)
		if want.ID != "" {
			role = want.ID
		}
		if !slices.Contains(owner.Roles, role) {
			return c, images.Errorf(images.Invalid, "You do not have the role %q in this project.", role)
		}
		if !slices.Contains(c.Roles, role) {
			c.Roles = append(c.Roles, role)
		}
	}
	if len(c.Roles) == 0 {
		c.Roles = slices.Clone(owner.Roles)
	}
	return c, nil
}

// parseExpiry reads the times that clients send: ISO 8601 with or without fraction and zone. Without a zone it is UTC.
func parseExpiry(text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05-0700", "2006-01-02T15:04"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, images.Errorf(images.Invalid, "'expires_at' is not a time like 2030-12-31T23:59:59.")
}

func (s *Service) deleteAppCredential(w http.ResponseWriter, r *http.Request) error {
	const action = "delete_application_credential"
	owner, err := s.owner(r, action)
	if err != nil {
		return err
	}
	if err := mayManage(owner, action); err != nil {
		return err
	}
	user, id := r.PathValue("user"), r.PathValue("id")
	if err := s.Credentials.DeleteAppCredential(r.Context(), user, id); err != nil {
		return missing(err, "application credential", id)
	}
	now := s.Now()
	if err := s.Revocations.Revoke(r.Context(), Revocation{Subject: AppCredentialSubject(id), Before: now.Add(time.Minute), Until: now.Add(MaxTokenLifetime), User: user}); err != nil {
		return err
	}
	s.audit(w, r, slog.LevelInfo, "application credential deleted", "user", owner.UserID, "application_credential", id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
