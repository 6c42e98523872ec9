package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bullion/internal/durable"
	"bullion/internal/images"
)

// FileDirectory keeps users, projects, roles and application credentials in one JSON file
// with mode 0600, for one machine. It is safe for concurrent use, in one process and in several:
// the command line may change it while the server runs, and the server sees that at once.
//
// It holds the list of revoked tokens too, in a second file beside the first, because a new password,
// a lost role and a removed user end tokens.
type FileDirectory struct {
	*FileRevocations
	path string
	now  func() time.Time
	hash *hasher
	last atomic.Pointer[loadedDirectory]
}

// FileOption changes how a file directory is opened.
type FileOption func(*FileDirectory)

// WithClock replaces the clock.
func WithClock(now func() time.Time) FileOption { return func(d *FileDirectory) { d.now = now } }

// MaxTokenLifetime is the longest that a token may be made to live. A revocation is kept this long.
const MaxTokenLifetime = 24 * time.Hour

type directoryFile struct {
	Version     int           `json:"version"` // 1
	Projects    []fileProject `json:"projects"`
	Users       []fileUser    `json:"users"`
	Credentials []fileAppCred `json:"application_credentials"`
}

type fileProject struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
}

type fileUser struct {
	ID       string              `json:"id"`
	Name     string              `json:"name"`
	Email    string              `json:"email,omitempty"`
	Disabled bool                `json:"disabled,omitempty"`
	Password string              `json:"password"` // argon2id, PHC string
	Roles    map[string][]string `json:"roles"`    // by project id
}

type fileAppCred struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Description  string    `json:"description,omitempty"`
	UserID       string    `json:"user"`
	ProjectID    string    `json:"project"`
	Roles        []string  `json:"roles"`
	Unrestricted bool      `json:"unrestricted,omitempty"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	Secret       string    `json:"secret"`
	CreatedAt    time.Time `json:"created_at"`
}

type loadedDirectory struct {
	directoryFile
	info      fs.FileInfo
	userByID  map[string]int
	userNamed map[string]int
	projByID  map[string]int
	projNamed map[string]int
	credByID  map[string]int
}

// OpenFile opens the directory, and makes an empty one when the file is not there. See Bootstrap.
func OpenFile(path string, options ...FileOption) (*FileDirectory, error) {
	d := &FileDirectory{path: path, now: time.Now}
	for _, o := range options {
		o(d)
	}
	d.hash = newHasher(d.now)
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open the user directory: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := d.write(&directoryFile{Version: 1}); err != nil {
			return nil, err
		}
	}
	if _, err := d.load(); err != nil {
		return nil, err
	}
	d.FileRevocations, err = OpenRevocations(path+".revoked", d.now)
	return d, err
}

func (d *FileDirectory) load() (*loadedDirectory, error) {
	info, err := os.Stat(d.path)
	if err != nil {
		return nil, fmt.Errorf("read the user directory: %w", err)
	}
	if last := d.last.Load(); last != nil && sameFile(last.info, info) {
		return last, nil
	}
	if err := checkMode(d.path, info); err != nil {
		return nil, err
	}
	doc, err := os.ReadFile(d.path)
	if err != nil {
		return nil, fmt.Errorf("read the user directory: %w", err)
	}
	l := &loadedDirectory{info: info}
	if err := json.Unmarshal(doc, &l.directoryFile); err != nil {
		return nil, fmt.Errorf("%s is not readable as JSON: %w", filepath.Base(d.path), err)
	}
	if l.Version != 1 {
		return nil, fmt.Errorf("%s has version %d, this program knows version 1", filepath.Base(d.path), l.Version)
	}
	l.index()
	d.last.Store(l)
	return l, nil
}

func (l *loadedDirectory) index() {
	l.userByID, l.userNamed = map[string]int{}, map[string]int{}
	l.projByID, l.projNamed = map[string]int{}, map[string]int{}
	l.credByID = map[string]int{}
	for i, u := range l.Users {
		l.userByID[u.ID], l.userNamed[u.Name] = i, i
	}
	for i, p := range l.Projects {
		l.projByID[p.ID], l.projNamed[p.Name] = i, i
	}
	for i, c := range l.Credentials {
		l.credByID[c.ID] = i
	}
}

// change reads, lets f alter a copy, and writes it, while no other process can. When f
// fails nothing is written.
func (d *FileDirectory) change(f func(*loadedDirectory) error) error {
	unlock, err := lockFile(d.path + ".lock")
	if err != nil {
		return fmt.Errorf("change the user directory: %w", err)
	}
	defer unlock()
	now, err := d.load()
	if err != nil {
		return err
	}
	next := &loadedDirectory{directoryFile: now.clone()}
	next.index()
	if err := f(next); err != nil {
		return err
	}
	return d.write(&next.directoryFile)
}

func (f directoryFile) clone() directoryFile {
	f.Projects = slices.Clone(f.Projects)
	f.Credentials = slices.Clone(f.Credentials)
	f.Users = slices.Clone(f.Users)
	for i := range f.Users {
		f.Users[i].Roles = maps.Clone(f.Users[i].Roles)
		if f.Users[i].Roles == nil {
			f.Users[i].Roles = map[string][]string{}
		}
	}
	return f
}

func (d *FileDirectory) write(f *directoryFile) error {
	doc, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write the user directory: %w", err)
	}
	return durable.WriteFile(d.path, append(doc, '\n'))
}

func (l *loadedDirectory) user(who UserRef) (int, bool) {
	if who.ID != "" {
		i, ok := l.userByID[who.ID]
		return i, ok
	}
	i, ok := l.userNamed[who.Name]
	return i, ok
}

// anyUser finds a user by name or else by id, as people write it on a command line.
func (l *loadedDirectory) anyUser(nameOrID string) (int, error) {
	if i, ok := l.userNamed[nameOrID]; ok {
		return i, nil
	}
	if i, ok := l.userByID[nameOrID]; ok {
		return i, nil
	}
	return 0, images.Errorf(images.NotFound, "no user is called %q", nameOrID)
}

func (l *loadedDirectory) anyProject(nameOrID string) (int, error) {
	if i, ok := l.projNamed[nameOrID]; ok {
		return i, nil
	}
	if i, ok := l.projByID[nameOrID]; ok {
		return i, nil
	}
	return 0, images.Errorf(images.NotFound, "no project is called %q", nameOrID)
}

func (u fileUser) user() User {
	return User{ID: u.ID, Name: u.Name, Email: u.Email, Disabled: u.Disabled}
}

func (p fileProject) project() Project {
	return Project(p)
}

// Authenticate implements Directory.
func (d *FileDirectory) Authenticate(ctx context.Context, who UserRef, password string) (User, error) {
	l, err := d.load()
	if err != nil {
		return User{}, err
	}
	i, found := l.user(who)
	stored := dummyHash
	if found && !l.Users[i].Disabled {
		stored = l.Users[i].Password
	}
	ok, err := d.hash.check(ctx, stored, password)
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, ErrRefused
	}
	return l.Users[i].user(), nil
}

// ChangePassword implements Directory.
func (d *FileDirectory) ChangePassword(ctx context.Context, who UserRef, old, new string) (User, error) {
	u, err := d.Authenticate(ctx, who, old)
	if err != nil {
		return User{}, err
	}
	return u, d.SetPassword(ctx, u.ID, new)
}

// User implements Directory.
func (d *FileDirectory) User(_ context.Context, who UserRef) (User, error) {
	l, err := d.load()
	if err != nil {
		return User{}, err
	}
	i, ok := l.user(who)
	if !ok {
		return User{}, images.Errorf(images.NotFound, "no such user")
	}
	return l.Users[i].user(), nil
}

// Users implements Directory.
func (d *FileDirectory) Users(context.Context) ([]User, error) {
	l, err := d.load()
	if err != nil {
		return nil, err
	}
	out := make([]User, 0, len(l.Users))
	for _, u := range l.Users {
		out = append(out, u.user())
	}
	slices.SortFunc(out, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// ProjectByID implements Directory.
func (d *FileDirectory) ProjectByID(_ context.Context, id string) (Project, error) {
	l, err := d.load()
	if err != nil {
		return Project{}, err
	}
	i, ok := l.projByID[id]
	if !ok {
		return Project{}, images.Errorf(images.NotFound, "no such project")
	}
	return l.Projects[i].project(), nil
}

// ProjectByName implements Directory.
func (d *FileDirectory) ProjectByName(_ context.Context, name string) (Project, error) {
	l, err := d.load()
	if err != nil {
		return Project{}, err
	}
	i, ok := l.projNamed[name]
	if !ok {
		return Project{}, images.Errorf(images.NotFound, "no such project")
	}
	return l.Projects[i].project(), nil
}

// Projects implements Directory.
func (d *FileDirectory) Projects(context.Context) ([]Project, error) {
	l, err := d.load()
	if err != nil {
		return nil, err
	}
	out := make([]Project, 0, len(l.Projects))
	for _, p := range l.Projects {
		out = append(out, p.project())
	}
	slices.SortFunc(out, func(a, b Project) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Grants implements Directory.
func (d *FileDirectory) Grants(_ context.Context, u User) ([]Grant, error) {
	l, err := d.load()
	if err != nil {
		return nil, err
	}
	out := []Grant{}
	i, ok := l.userByID[u.ID]
	if !ok || l.Users[i].Disabled {
		return out, nil
	}
	for id, roles := range l.Users[i].Roles {
		if p, ok := l.projByID[id]; ok && !l.Projects[p].Disabled && len(roles) > 0 {
			out = append(out, Grant{l.Projects[p].project(), slices.Clone(roles)})
		}
	}
	slices.SortFunc(out, func(a, b Grant) int { return cmp.Compare(a.Project.Name, b.Project.Name) })
	return out, nil
}

// AddUser makes a user without roles. The email may be empty.
func (d *FileDirectory) AddUser(ctx context.Context, name, email, password string) (User, error) {
	if err := checkName("the user's name", name); err != nil {
		return User{}, err
	}
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	stored, err := d.hash.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u := fileUser{ID: newID(), Name: name, Email: email, Password: stored, Roles: map[string][]string{}}
	return u.user(), d.change(func(l *loadedDirectory) error {
		if slices.ContainsFunc(l.Users, func(o fileUser) bool { return strings.EqualFold(o.Name, name) }) {
			return images.Errorf(images.Conflict, "there is a user %q already", name)
		}
		l.Users = append(l.Users, u)
		return nil
	})
}

// SetPassword replaces a user's password, and ends all their tokens.
func (d *FileDirectory) SetPassword(ctx context.Context, nameOrID, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	stored, err := d.hash.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.changeUser(ctx, nameOrID, func(_ *loadedDirectory, u *fileUser) error {
		u.Password = stored
		return nil
	})
}

// SetDisabled keeps a user from signing in, or lets them again.
func (d *FileDirectory) SetDisabled(ctx context.Context, nameOrID string, disabled bool) error {
	return d.changeUser(ctx, nameOrID, func(_ *loadedDirectory, u *fileUser) error {
		u.Disabled = disabled
		return nil
	})
}

// Grant gives a user a role in a project. Giving it again is no error.
func (d *FileDirectory) Grant(ctx context.Context, user, project, role string) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return d.change(func(l *loadedDirectory) error {
		i, err := l.anyUser(user)
		if err != nil {
			return err
		}
		p, err := l.anyProject(project)
		if err != nil {
			return err
		}
		id := l.Projects[p].ID
		if roles := l.Users[i].Roles[id]; !slices.Contains(roles, role) {
			l.Users[i].Roles[id] = append(slices.Clip(roles), role)
		}
		return nil
	})
}

// Ungrant takes a role in a project from a user, ends their tokens, and removes their application
// credentials that had the role there.
func (d *FileDirectory) Ungrant(ctx context.Context, user, project, role string) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return d.changeUser(ctx, user, func(l *loadedDirectory, u *fileUser) error {
		p, err := l.anyProject(project)
		if err != nil {
			return err
		}
		id := l.Projects[p].ID
		if !slices.Contains(u.Roles[id], role) {
			return images.Errorf(images.NotFound, "user %q does not have the role %q in project %q", user, role, project)
		}
		left := slices.DeleteFunc(slices.Clone(u.Roles[id]), func(r string) bool { return r == role })
		if u.Roles[id] = left; len(left) == 0 {
			delete(u.Roles, id)
		}
		has := withImplied(left)
		l.Credentials = slices.DeleteFunc(l.Credentials, func(c fileAppCred) bool {
			return c.UserID == u.ID && c.ProjectID == id && !containsAll(has, c.Roles)
		})
		return nil
	})
}

// RemoveUser removes a user with their application credentials, and ends their tokens. What
// they uploaded belongs to its project and stays.
func (d *FileDirectory) RemoveUser(ctx context.Context, nameOrID string) error {
	return d.changeUser(ctx, nameOrID, func(l *loadedDirectory, u *fileUser) error {
		id := u.ID
		l.Credentials = slices.DeleteFunc(l.Credentials, func(c fileAppCred) bool { return c.UserID == id })
		l.Users = slices.DeleteFunc(l.Users, func(o fileUser) bool { return o.ID == id })
		return nil
	})
}

// changeUser changes a user in a way that ends their tokens. The list of revoked tokens is
// written after the directory: a token issued in between is issued from the new record or is ended.
func (d *FileDirectory) changeUser(ctx context.Context, nameOrID string, f func(*loadedDirectory, *fileUser) error) error {
	var id string
	err := d.change(func(l *loadedDirectory) error {
		i, err := l.anyUser(nameOrID)
		if err != nil {
			return err
		}
		id = l.Users[i].ID
		return f(l, &l.Users[i])
	})
	if err != nil {
		return err
	}
	now := d.now()
	return d.Revoke(ctx, Revocation{Subject: UserSubject(id), Before: now, Until: now.Add(MaxTokenLifetime), User: id})
}

// AddProject makes a project without users.
func (d *FileDirectory) AddProject(_ context.Context, name, description string) (Project, error) {
	if err := checkName("the project's name", name); err != nil {
		return Project{}, err
	}
	p := fileProject{ID: newID(), Name: name, Description: description}
	return p.project(), d.change(func(l *loadedDirectory) error {
		if slices.ContainsFunc(l.Projects, func(o fileProject) bool { return strings.EqualFold(o.Name, name) }) {
			return images.Errorf(images.Conflict, "there is a project %q already", name)
		}
		l.Projects = append(l.Projects, p)
		return nil
	})
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(r string) bool { return !slices.Contains(have, r) })
}

func (c fileAppCred) credential(l *loadedDirectory) AppCredential {
	out := AppCredential{ID: c.ID, Name: c.Name, Description: c.Description, UserID: c.UserID, ProjectID: c.ProjectID, Roles: slices.Clone(c.Roles),
		Unrestricted: c.Unrestricted, ExpiresAt: c.ExpiresAt, SecretHash: c.Secret, CreatedAt: c.CreatedAt}
	if i, ok := l.userByID[c.UserID]; ok {
		out.UserName = l.Users[i].Name
	}
	return out
}

// AddAppCredential implements AppCredentials.
func (d *FileDirectory) AddAppCredential(_ context.Context, c AppCredential) error {
	return d.change(func(l *loadedDirectory) error {
		if _, ok := l.userByID[c.UserID]; !ok {
			return images.Errorf(images.NotFound, "no such user")
		}
		n := 0
		for _, o := range l.Credentials {
			if o.UserID != c.UserID {
				continue
			}
			if n++; o.Name == c.Name {
				return images.Errorf(images.Conflict, "you have an application credential with the name %q already", c.Name)
			}
		}
		if n >= MaxAppCredentials {
			return images.Errorf(images.Forbidden, "you have %d application credentials, the most that one user may have: delete one first", n)
		}
		l.Credentials = append(l.Credentials, fileAppCred{ID: c.ID, Name: c.Name, Description: c.Description, UserID: c.UserID, ProjectID: c.ProjectID,
			Roles: c.Roles, Unrestricted: c.Unrestricted, ExpiresAt: c.ExpiresAt, Secret: c.SecretHash, CreatedAt: c.CreatedAt})
		return nil
	})
}

// AppCredential implements AppCredentials.
func (d *FileDirectory) AppCredential(_ context.Context, id string) (AppCredential, error) {
	l, err := d.load()
	if err != nil {
		return AppCredential{}, err
	}
	i, ok := l.credByID[id]
	if !ok {
		return AppCredential{}, images.Errorf(images.NotFound, "no such application credential")
	}
	return l.Credentials[i].credential(l), nil
}

// AppCredentialsOf implements AppCredentials.
func (d *FileDirectory) AppCredentialsOf(_ context.Context, userID string) ([]AppCredential, error) {
	l, err := d.load()
	if err != nil {
		return nil, err
	}
	out := []AppCredential{}
	for _, c := range l.Credentials {
		if c.UserID == userID {
			out = append(out, c.credential(l))
		}
	}
	slices.SortFunc(out, func(a, b AppCredential) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// DeleteAppCredential implements AppCredentials.
func (d *FileDirectory) DeleteAppCredential(_ context.Context, userID, id string) error {
	return d.change(func(l *loadedDirectory) error {
		i, ok := l.credByID[id]
		if !ok || l.Credentials[i].UserID != userID {
			return images.Errorf(images.NotFound, "no such application credential")
		}
		l.Credentials = slices.Delete(l.Credentials, i, i+1)
		return nil
	})
}
