// Package cognito is a directory of users in an Amazon Cognito user pool.
//
// Users are the pool's. A group "project:role" is a role in a project; a project exists while there is a group of
// it, and its id follows from its name (identity.ProjectID). Passwords go to Cognito and are neither kept nor logged.
//
// The pool's app client must allow ADMIN_USER_PASSWORD_AUTH, which only callers with AWS credentials can use, and have
// PreventUserExistenceErrors enabled, so that an unknown user takes as long as a wrong password. A user of whom Cognito wants
// more (a new password, a second factor) is told to sign in at the pool's own page and is not let in here.
//
// The function needs, on the user pool alone: cognito-idp:AdminInitiateAuth, AdminGetUser, AdminListGroupsForUser,
// ListUsers and ListGroups. Groups are read again after half a minute.
package cognito

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"bullion/internal/identity"
	"bullion/internal/images"
)

// Directory implements identity.Directory. It is safe for concurrent use.
type Directory struct {
	Client       *cognito.Client
	UserPoolID   string
	ClientID     string
	ClientSecret string           // of the app client; empty when it has none
	Now          func() time.Time // nil: time.Now

	mu      sync.Mutex
	groups  []types.GroupType
	expires time.Time
}

var _ identity.Directory = (*Directory)(nil)

const keepGroups = 30 * time.Second

func (d *Directory) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

// Authenticate implements identity.Directory.
func (d *Directory) Authenticate(ctx context.Context, who identity.UserRef, password string) (identity.User, error) {
	u, _, err := d.signIn(ctx, who, password)
	return u, err
}

// signIn also returns the access token of Cognito's own, with which a user may change their password.
func (d *Directory) signIn(ctx context.Context, who identity.UserRef, password string) (identity.User, string, error) {
	name := who.Name
	if who.ID != "" {
		u, err := d.User(ctx, who)
		switch {
		case images.KindOf(err) == images.NotFound:
			name = "no-such-user" // as slow as a user who is there
		case err != nil:
			return identity.User{}, "", err
		default:
			name = u.Name
		}
	}
	if name == "" || len(name) > 128 || password == "" || len(password) > 256 { // Cognito's limits
		return identity.User{}, "", identity.ErrRefused
	}
	params := map[string]string{"USERNAME": name, "PASSWORD": password}
	if d.ClientSecret != "" {
		mac := hmac.New(sha256.New, []byte(d.ClientSecret))
		mac.Write([]byte(name + d.ClientID))
		params["SECRET_HASH"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	out, err := d.Client.AdminInitiateAuth(ctx, &cognito.AdminInitiateAuthInput{
		UserPoolId: &d.UserPoolID, ClientId: &d.ClientID, AuthFlow: types.AuthFlowTypeAdminUserPasswordAuth, AuthParameters: params,
	})
	if err != nil {
		return identity.User{}, "", fault(err, "sign in")
	}
	if out.AuthenticationResult == nil {
		return identity.User{}, "", identity.RefusedBecause(challenge(out.ChallengeName))
	}
	u, err := d.User(ctx, identity.UserRef{Name: name})
	if err != nil {
		return identity.User{}, "", err
	}
	if u.Disabled {
		return identity.User{}, "", identity.ErrRefused
	}
	return u, aws.ToString(out.AuthenticationResult.AccessToken), nil
}

// challenge says what Cognito wants. It is only reached with the right password.
func challenge(c types.ChallengeNameType) string {
	if c == types.ChallengeNameTypeNewPasswordRequired {
		return "You must choose a new password first: sign in once at the dashboard."
	}
	return "Your account asks for more than a password: use an application credential here, or a token of the sign-in page."
}

// ChangePassword implements identity.Directory.
func (d *Directory) ChangePassword(ctx context.Context, who identity.UserRef, old, new string) (identity.User, error) {
	u, access, err := d.signIn(ctx, who, old)
	if err != nil {
		return identity.User{}, err
	}
	_, err = d.Client.ChangePassword(ctx, &cognito.ChangePasswordInput{AccessToken: &access, PreviousPassword: &old, ProposedPassword: &new})
	if err != nil {
		return identity.User{}, fault(err, "change the password")
	}
	return u, nil
}

// subject is what a user's id looks like. It is written into a filter, so nothing else may be.
var subject = regexp.MustCompile(`^[0-9a-zA-Z-]{1,64}$`)

// User implements identity.Directory. A name is looked up consistently; an id by itself in a list that may lag by a moment.
func (d *Directory) User(ctx context.Context, who identity.UserRef) (identity.User, error) {
	none := images.Errorf(images.NotFound, "no such user")
	if who.Name == "" {
		if !subject.MatchString(who.ID) {
			return identity.User{}, none
		}
		out, err := d.Client.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: &d.UserPoolID, Filter: aws.String(`sub = "` + who.ID + `"`), Limit: aws.Int32(1)})
		if err != nil {
			return identity.User{}, fault(err, "look up a user")
		}
		if len(out.Users) == 0 {
			return identity.User{}, none
		}
		u := out.Users[0]
		return user(u.Username, u.Attributes, u.Enabled), nil
	}
	if len(who.Name) > 128 {
		return identity.User{}, none
	}
	out, err := d.Client.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: &d.UserPoolID, Username: &who.Name})
	if _, gone := errors.AsType[*types.UserNotFoundException](err); gone {
		return identity.User{}, none
	}
	if err != nil {
		return identity.User{}, fault(err, "look up a user")
	}
	u := user(out.Username, out.UserAttributes, out.Enabled)
	if who.ID != "" && who.ID != u.ID { // the name was given to another
		return identity.User{}, none
	}
	return u, nil
}

func user(name *string, attributes []types.AttributeType, enabled bool) identity.User {
	u := identity.User{Name: aws.ToString(name), Disabled: !enabled}
	for _, a := range attributes {
		switch aws.ToString(a.Name) {
		case "sub":
			u.ID = aws.ToString(a.Value)
		case "email":
			u.Email = aws.ToString(a.Value)
		}
	}
	return u
}

// Users implements identity.Directory.
func (d *Directory) Users(ctx context.Context) ([]identity.User, error) {
	out := []identity.User{}
	pages := cognito.NewListUsersPaginator(d.Client, &cognito.ListUsersInput{UserPoolId: &d.UserPoolID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(err, "list users")
		}
		for _, u := range page.Users {
			out = append(out, user(u.Username, u.Attributes, u.Enabled))
		}
	}
	slices.SortFunc(out, func(a, b identity.User) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// allGroups lists the pool's groups, from memory for half a minute.
func (d *Directory) allGroups(ctx context.Context) ([]types.GroupType, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now().Before(d.expires) {
		return d.groups, nil
	}
	var all []types.GroupType
	pages := cognito.NewListGroupsPaginator(d.Client, &cognito.ListGroupsInput{UserPoolId: &d.UserPoolID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(err, "list groups")
		}
		all = append(all, page.Groups...)
	}
	d.groups, d.expires = all, d.now().Add(keepGroups)
	return all, nil
}

// Projects implements identity.Directory.
func (d *Directory) Projects(ctx context.Context) ([]identity.Project, error) {
	groups, err := d.allGroups(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	out := []identity.Project{}
	for _, g := range groups {
		name, _, ok := identity.ParseGroup(aws.ToString(g.GroupName))
		if !ok {
			continue
		}
		i, known := seen[name]
		if !known {
			i = len(out)
			seen[name] = i
			out = append(out, identity.Project{ID: identity.ProjectID(name), Name: name})
		}
		if out[i].Description == "" {
			out[i].Description = aws.ToString(g.Description)
		}
	}
	slices.SortFunc(out, func(a, b identity.Project) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// ProjectByID implements identity.Directory.
func (d *Directory) ProjectByID(ctx context.Context, id string) (identity.Project, error) {
	return d.project(ctx, func(p identity.Project) bool { return p.ID == id })
}

// ProjectByName implements identity.Directory.
func (d *Directory) ProjectByName(ctx context.Context, name string) (identity.Project, error) {
	return d.project(ctx, func(p identity.Project) bool { return p.Name == name })
}

func (d *Directory) project(ctx context.Context, is func(identity.Project) bool) (identity.Project, error) {
	all, err := d.Projects(ctx)
	if err != nil {
		return identity.Project{}, err
	}
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return identity.Project{}, images.Errorf(images.NotFound, "no such project")
}

// Grants implements identity.Directory. It asks Cognito each time: a role that was taken is gone with the next token.
func (d *Directory) Grants(ctx context.Context, u identity.User) ([]identity.Grant, error) {
	roles := map[string][]string{}
	pages := cognito.NewAdminListGroupsForUserPaginator(d.Client, &cognito.AdminListGroupsForUserInput{UserPoolId: &d.UserPoolID, Username: &u.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if _, gone := errors.AsType[*types.UserNotFoundException](err); gone {
			return []identity.Grant{}, nil
		}
		if err != nil {
			return nil, fault(err, "list a user's groups")
		}
		for _, g := range page.Groups {
			if name, role, ok := identity.ParseGroup(aws.ToString(g.GroupName)); ok {
				roles[name] = append(roles[name], role)
			}
		}
	}
	out := make([]identity.Grant, 0, len(roles))
	for name, r := range roles {
		slices.Sort(r)
		out = append(out, identity.Grant{Project: identity.Project{ID: identity.ProjectID(name), Name: name}, Roles: slices.Compact(r)})
	}
	slices.SortFunc(out, func(a, b identity.Grant) int { return cmp.Compare(a.Project.Name, b.Project.Name) })
	return out, nil
}

// fault sorts Cognito's errors. None of its texts reaches a client, except what it says about a new password.
func fault(err error, doing string) error {
	refusals := []func(error) bool{is[*types.NotAuthorizedException], is[*types.UserNotFoundException], is[*types.UserNotConfirmedException], is[*types.PasswordResetRequiredException]}
	if slices.ContainsFunc(refusals, func(f func(error) bool) bool { return f(err) }) {
		return identity.ErrRefused
	}
	if bad, ok := errors.AsType[*types.InvalidPasswordException](err); ok {
		return images.Errorf(images.Invalid, "The new password is not accepted: %s.", strings.TrimRight(bad.ErrorMessage(), "."))
	}
	if is[*types.TooManyRequestsException](err) || is[*types.LimitExceededException](err) {
		return images.Wrap(images.TooMany, err, "Too many sign-ins at the moment. Try again in a few seconds.")
	}
	return images.Wrap(images.Unavailable, fmt.Errorf("cognito: %s: %w", doing, err), "the user directory does not answer: try again")
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
