package identity

import (
	"context"
	"slices"

	"bullion/internal/images"
)

// Outside is the directory of a service whose users are all at identity providers (Config.Providers): projects, by name, in which their groups give them roles, and
// nobody who could sign in with a password or an application credential.
type Outside []string

var _ Directory = Outside{}

// Authenticate implements Directory: it refuses everybody.
func (Outside) Authenticate(context.Context, UserRef, string) (User, error) {
	return User{}, RefusedBecause("This service has no passwords of its own: sign in with a token of its identity provider.")
}

// ChangePassword implements Directory: there are none.
func (Outside) ChangePassword(context.Context, UserRef, string, string) (User, error) {
	return User{}, RefusedBecause("This service has no passwords of its own: change yours at the identity provider.")
}

// User implements Directory: there are none.
func (Outside) User(context.Context, UserRef) (User, error) {
	return User{}, images.Errorf(images.NotFound, "no such user")
}

// Users implements Directory: there are none.
func (Outside) Users(context.Context) ([]User, error) { return []User{}, nil }

// Grants implements Directory: what a user has is in the token of the provider.
func (Outside) Grants(context.Context, User) ([]Grant, error) { return []Grant{}, nil }

// ProjectByID implements Directory.
func (o Outside) ProjectByID(ctx context.Context, id string) (Project, error) {
	return o.project(ctx, func(p Project) bool { return p.ID == id })
}

// ProjectByName implements Directory.
func (o Outside) ProjectByName(ctx context.Context, name string) (Project, error) {
	return o.project(ctx, func(p Project) bool { return p.Name == name })
}

func (o Outside) project(ctx context.Context, is func(Project) bool) (Project, error) {
	all, err := o.Projects(ctx)
	if err != nil {
		return Project{}, err
	}
	if at := slices.IndexFunc(all, is); at >= 0 {
		return all[at], nil
	}
	return Project{}, images.Errorf(images.NotFound, "no such project")
}

// Projects implements Directory. Their ids are made of their names, as in a user pool.
func (o Outside) Projects(context.Context) ([]Project, error) {
	all := []Project{}
	for _, name := range slices.Sorted(slices.Values(o)) {
		all = append(all, Project{ID: ProjectID(name), Name: name})
	}
	return all, nil
}
