package cognito_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/identity"
	"bullion/internal/identity/cognito"
	"bullion/internal/identity/mototest"
	"bullion/internal/images"
)

// pool is a user pool in moto: bob is in acme:member and lab:reader, dave is disabled, fay must choose a new password.
type pool struct {
	*cognito.Directory
	api *client.Client
	ids map[string]string
	now time.Time
}

const password = "Correct-horse-7"

func newPool(t *testing.T) *pool {
	t.Helper()
	ctx := t.Context()
	p := &pool{api: client.NewFromConfig(mototest.Start(t)), ids: map[string]string{}, now: time.Now()}
	made, err := p.api.CreateUserPool(ctx, &client.CreateUserPoolInput{PoolName: aws.String("bullion")})
	ok(t, err)
	app, err := p.api.CreateUserPoolClient(ctx, &client.CreateUserPoolClientInput{UserPoolId: made.UserPool.Id, ClientName: aws.String("bullion"), GenerateSecret: true,
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}})
	ok(t, err)
	p.Directory = &cognito.Directory{Client: p.api, UserPoolID: *made.UserPool.Id, ClientID: *app.UserPoolClient.ClientId, ClientSecret: aws.ToString(app.UserPoolClient.ClientSecret),
		Now: func() time.Time { return p.now }}
	for _, g := range []string{"acme:member", "acme:admin", "lab:reader", "notes", "lab:owner", "a:b:reader"} {
		p.group(t, g)
	}
	for _, name := range []string{"bob", "dave", "fay"} {
		u, err := p.api.AdminCreateUser(ctx, &client.AdminCreateUserInput{UserPoolId: &p.UserPoolID, Username: &name, TemporaryPassword: aws.String("Temporary-1"), MessageAction: types.MessageActionTypeSuppress,
			UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: aws.String(name + "@example.org")}}})
		ok(t, err)
		for _, a := range u.User.Attributes {
			if *a.Name == "sub" {
				p.ids[name] = *a.Value
			}
		}
		if name != "fay" {
			_, err = p.api.AdminSetUserPassword(ctx, &client.AdminSetUserPasswordInput{UserPoolId: &p.UserPoolID, Username: &name, Password: aws.String(password), Permanent: true})
			ok(t, err)
		}
	}
	for _, g := range []string{"acme:member", "lab:reader", "notes", "lab:owner"} {
		_, err := p.api.AdminAddUserToGroup(ctx, &client.AdminAddUserToGroupInput{UserPoolId: &p.UserPoolID, Username: aws.String("bob"), GroupName: &g})
		ok(t, err)
	}
	_, err = p.api.AdminDisableUser(ctx, &client.AdminDisableUserInput{UserPoolId: &p.UserPoolID, Username: aws.String("dave")})
	ok(t, err)
	return p
}

func (p *pool) group(t *testing.T, name string) {
	t.Helper()
	_, err := p.api.CreateGroup(t.Context(), &client.CreateGroupInput{UserPoolId: &p.UserPoolID, GroupName: &name, Description: aws.String("The group " + name)})
	ok(t, err)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	p := newPool(t)
	ctx := t.Context()
	bob := identity.User{ID: p.ids["bob"], Name: "bob", Email: "bob@example.org"}

	t.Run("the right password gives the user, by name and by id", func(t *testing.T) {
		for _, who := range []identity.UserRef{{Name: "bob"}, {ID: bob.ID}} {
			got, err := p.Authenticate(ctx, who, password)
			ok(t, err)
			if diff := cmp.Diff(bob, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", who, diff)
			}
		}
	})
	t.Run("every refusal is the same", func(t *testing.T) {
		for name, c := range map[string]struct {
			who      identity.UserRef
			password string
		}{
			"a wrong password":             {identity.UserRef{Name: "bob"}, "Wrong-horse-7"},
			"no such user":                 {identity.UserRef{Name: "mallory"}, password},
			"no such id":                   {identity.UserRef{ID: "00000000-0000-0000-0000-000000000000"}, password},
			"an id that is a filter":       {identity.UserRef{ID: `x" or sub ^= "`}, password},
			"an empty password":            {identity.UserRef{Name: "bob"}, ""},
			"a disabled user":              {identity.UserRef{Name: "dave"}, password},
			"an enormous name":             {identity.UserRef{Name: strings.Repeat("x", 1000)}, password},
			"a wrong temporary password":   {identity.UserRef{Name: "fay"}, "Temporary-2"},
			"an enormous password is long": {identity.UserRef{Name: "bob"}, strings.Repeat("x", 1000)},
		} {
			if _, err := p.Authenticate(ctx, c.who, c.password); !errors.Is(err, identity.ErrRefused) {
				t.Errorf("%s: got %v, want ErrRefused", name, err)
			}
		}
	})
	t.Run("who must choose a new password is told so", func(t *testing.T) {
		_, err := p.Authenticate(ctx, identity.UserRef{Name: "fay"}, "Temporary-1")
		if images.KindOf(err) != images.Unauthenticated || !strings.Contains(err.Error(), "new password") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("users are found by name and by id, and not when the name is another's", func(t *testing.T) {
		for _, who := range []identity.UserRef{{Name: "bob"}, {ID: bob.ID}, {ID: bob.ID, Name: "bob"}} {
			got, err := p.User(ctx, who)
			ok(t, err)
			if diff := cmp.Diff(bob, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", who, diff)
			}
		}
		for _, who := range []identity.UserRef{{Name: "mallory"}, {ID: "none"}, {ID: `"`}, {ID: p.ids["dave"], Name: "bob"}} {
			if _, err := p.User(ctx, who); images.KindOf(err) != images.NotFound {
				t.Errorf("%+v: got %v, want NotFound", who, err)
			}
		}
		all, err := p.Users(ctx)
		ok(t, err)
		var names []string
		for _, u := range all {
			names = append(names, u.Name)
		}
		if diff := cmp.Diff([]string{"bob", "dave", "fay"}, names); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		if !all[1].Disabled {
			t.Error("dave is not disabled")
		}
	})
	t.Run("groups are projects and roles", func(t *testing.T) {
		grants, err := p.Grants(ctx, bob)
		ok(t, err)
		want := []identity.Grant{
			{Project: identity.Project{ID: identity.ProjectID("acme"), Name: "acme"}, Roles: []string{"member"}},
			{Project: identity.Project{ID: identity.ProjectID("lab"), Name: "lab"}, Roles: []string{"reader"}},
		}
		if diff := cmp.Diff(want, grants); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
		none, err := p.Grants(ctx, identity.User{ID: "x", Name: "mallory"})
		if err != nil || none == nil || len(none) != 0 {
			t.Errorf("nobody's grants: got %v %v", none, err)
		}
		projects, err := p.Projects(ctx)
		ok(t, err)
		wantProjects := []identity.Project{
			{ID: identity.ProjectID("a:b"), Name: "a:b", Description: "The group a:b:reader"},
			{ID: identity.ProjectID("acme"), Name: "acme", Description: projects[1].Description},
			{ID: identity.ProjectID("lab"), Name: "lab", Description: "The group lab:reader"},
		}
		if diff := cmp.Diff(wantProjects, projects); diff != "" {
			t.Errorf("projects (-want +got):\n%s", diff)
		}
	})
	t.Run("a new project is seen within half a minute", func(t *testing.T) {
		_, err := p.ProjectByName(ctx, "new")
		if images.KindOf(err) != images.NotFound {
			t.Fatalf("got %v, want NotFound", err)
		}
		p.group(t, "new:admin")
		p.now = p.now.Add(31 * time.Second)
		byName, err := p.ProjectByName(ctx, "new")
		ok(t, err)
		byID, err := p.ProjectByID(ctx, byName.ID)
		ok(t, err)
		if byID.Name != "new" {
			t.Errorf("got %+v", byID)
		}
	})
	t.Run("a password is changed by who knows it", func(t *testing.T) {
		if _, err := p.ChangePassword(ctx, identity.UserRef{ID: bob.ID}, "Wrong-horse-7", "Another-horse-8"); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("a wrong old one: got %v, want ErrRefused", err)
		}
		_, err := p.ChangePassword(ctx, identity.UserRef{ID: bob.ID}, password, "Another-horse-8")
		ok(t, err)
		_, err = p.Authenticate(ctx, identity.UserRef{Name: "bob"}, "Another-horse-8")
		ok(t, err)
		if _, err := p.Authenticate(ctx, identity.UserRef{Name: "bob"}, password); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("the old one: got %v, want ErrRefused", err)
		}
	})
	t.Run("the service signs in over it", func(t *testing.T) {
		ring := identity.StaticKeys{Ring: identity.NewKeyring(time.Now()), Now: time.Now}
		store, err := identity.OpenFile(filepath.Join(t.TempDir(), "users.json"))
		ok(t, err)
		s, err := identity.NewService(identity.Config{Directory: p, Keys: ring, Revocations: store, Credentials: store, Log: slog.New(slog.DiscardHandler)})
		ok(t, err)
		server := httptest.NewServer(s.Handler())
		defer server.Close()
		res, err := http.Post(server.URL+"/v3/auth/tokens", "application/json", strings.NewReader(
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"bob","domain":{"id":"default"},"password":"Another-horse-8"}}},"scope":{"project":{"name":"acme","domain":{"id":"default"}}}}}`))
		ok(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		ok(t, err)
		if res.StatusCode != 201 {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		c, err := s.Verifier().Verify(ctx, res.Header.Get("X-Subject-Token"))
		ok(t, err)
		want := images.Caller{UserID: bob.ID, UserName: "bob", ProjectID: identity.ProjectID("acme"), ProjectName: "acme", Roles: []string{"member", "reader"}}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("caller (-want +got):\n%s", diff)
		}
	})
	t.Run("a pool that does not answer is Unavailable, not a refusal", func(t *testing.T) {
		broken := &cognito.Directory{Client: p.api, UserPoolID: "eu-central-1_nonesuch", ClientID: p.ClientID}
		if _, err := broken.Authenticate(ctx, identity.UserRef{Name: "bob"}, password); images.KindOf(err) != images.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := p.Directory.Users(gone); images.KindOf(err) != images.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	})
}
