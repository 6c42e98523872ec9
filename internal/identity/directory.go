package identity

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bullion/internal/images"
)

// The one domain that Bullion has. OpenStack clients send it with every name.
const (
	DomainID   = "default"
	DomainName = "Default"
)

// The roles. Each of the first three includes those after it, as in Keystone; a service
// (a cloud's compute service, for example) has the fourth, which includes nothing.
const (
	RoleAdmin   = "admin"
	RoleMember  = "member"
	RoleReader  = "reader"
	RoleService = "service"
)

// Roles lists every role that can be granted.
var Roles = []string{RoleAdmin, RoleMember, RoleReader, RoleService}

// User is a person or a machine that can sign in.
type User struct {
	ID       string // 32 hexadecimal digits in the file directory, the subject in Cognito
	Name     string
	Email    string // may be empty
	Disabled bool
}

// Project owns images.
type Project struct {
	ID          string
	Name        string
	Description string
	Disabled    bool
}

// Grant is what a user may be in one project.
type Grant struct {
	Project Project
	Roles   []string // as granted, without the implied ones; never empty
}

// ProjectID is the id of a project that only has a name, in directories that are made of groups. It depends on
// the name alone, so images keep their owner when the users move to another directory of that kind.
func ProjectID(name string) string { return stableID("project", name) }

// UserRef names a user as a client does: by id, or by name. Exactly one is set when it
// comes from a request; code that knows both sets both.
type UserRef struct{ ID, Name string }

// key is the reference as one string, for the rate limit.
func (u UserRef) key() string {
	if u.ID != "" {
		return "id:" + u.ID
	}
	return "name:" + u.Name
}

// Directory knows the users, the projects, and who has which role where. The file
// directory of this package and package cognito implement it.
//
// Errors have the kinds of package images. What is not there is images.NotFound; a store
// that does not answer is images.Unavailable.
type Directory interface {
	// Authenticate returns the user if the password is right. Every refusal (no such user, wrong
	// password, disabled user) is ErrRefused and takes as long as any other.
	Authenticate(ctx context.Context, who UserRef, password string) (User, error)
	// User finds a user by id or by name.
	User(ctx context.Context, who UserRef) (User, error)
	// Users lists all users by name.
	Users(ctx context.Context) ([]User, error)
	// ProjectByID and ProjectByName find a project.
	ProjectByID(ctx context.Context, id string) (Project, error)
	ProjectByName(ctx context.Context, name string) (Project, error)
	// Projects lists all projects by name.
	Projects(ctx context.Context) ([]Project, error)
	// Grants lists the projects in which the user has a role, by project name.
	// Disabled projects are left out.
	Grants(ctx context.Context, u User) ([]Grant, error)
	// ChangePassword replaces the password of a user who proves that they know the old one;
	// a refusal is ErrRefused. The caller ends the user's tokens.
	ChangePassword(ctx context.Context, who UserRef, old, new string) (User, error)
}

// ErrRefused is the one answer to a failed sign-in. It does not say what was wrong.
var ErrRefused = images.Errorf(images.Unauthenticated, "%s", unauthorizedText)

const unauthorizedText = "The request you have made requires authentication."

// AppCredential lets a program sign in as a user in one project, with some of the user's
// roles, without the user's password.
type AppCredential struct {
	ID           string
	Name         string // unique per user
	Description  string
	UserID       string
	UserName     string
	ProjectID    string
	Roles        []string
	Unrestricted bool      // may manage application credentials itself
	ExpiresAt    time.Time // zero: never
	SecretHash   string    // see hashSecret
	CreatedAt    time.Time
}

// AppCredentials keeps application credentials. The file directory implements it on one
// machine, package dynamo on AWS. Errors are as in Directory.
type AppCredentials interface {
	// AddAppCredential stores one. Its name must be new for the user, else images.Conflict.
	AddAppCredential(ctx context.Context, c AppCredential) error
	// AppCredential finds one by id.
	AppCredential(ctx context.Context, id string) (AppCredential, error)
	// AppCredentialsOf lists those of a user, by name.
	AppCredentialsOf(ctx context.Context, userID string) ([]AppCredential, error)
	// DeleteAppCredential removes one. The caller ends its tokens.
	DeleteAppCredential(ctx context.Context, userID, id string) error
}

// MaxAppCredentials is how many application credentials one user may have.
const MaxAppCredentials = 100

// withImplied adds the roles that the given ones include, in the order of Roles.
func withImplied(roles []string) []string {
	out := make([]string, 0, len(Roles))
	for _, r := range Roles {
		has := slices.Contains(roles, r)
		switch r {
		case RoleMember:
			has = has || slices.Contains(roles, RoleAdmin)
		case RoleReader:
			has = has || slices.Contains(roles, RoleAdmin) || slices.Contains(roles, RoleMember)
		}
		if has {
			out = append(out, r)
		}
	}
	return out
}

// withoutImplied drops the roles that others of the list include, as they take place in a token.
func withoutImplied(roles []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(r string) bool {
		rest := slices.DeleteFunc(slices.Clone(roles), func(o string) bool { return o == r })
		return slices.Contains(withImplied(rest), r)
	})
}

// checkName refuses names that no client could send or no log line should show.
func checkName(field, name string) error {
	switch {
	case name == "":
		return images.Errorf(images.Invalid, "%s is empty: give a name of 1 to 64 characters", field)
	case utf8.RuneCountInString(name) > 64:
		return images.Errorf(images.Invalid, "%s has more than 64 characters: shorten it", field)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return images.Errorf(images.Invalid, "%s has a character that cannot be printed: remove it", field)
	case looksLikeID(name):
		return images.Errorf(images.Invalid, "%s looks like an id (32 hexadecimal digits): choose one that cannot be mistaken", field)
	case strings.TrimSpace(name) != name:
		return images.Errorf(images.Invalid, "%s begins or ends with a space: remove it", field)
	}
	return nil
}

// looksLikeID keeps names and ids apart, as commands take either.
func looksLikeID(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdefABCDEF") == ""
}

// checkPassword holds new passwords to a length. The upper bound keeps hashing cheap to refuse.
func checkPassword(p string) error {
	switch {
	case utf8.RuneCountInString(p) < 8:
		return images.Errorf(images.Invalid, "the password is too short: use at least 8 characters")
	case len(p) > maxPassword:
		return images.Errorf(images.Invalid, "the password is too long: use at most %d bytes", maxPassword)
	}
	return nil
}

// checkRole refuses a role that does not exist.
func checkRole(role string) error {
	if slices.Contains(Roles, role) {
		return nil
	}
	return images.Errorf(images.Invalid, "role %q does not exist: use one of %s", role, strings.Join(Roles, ", "))
}
