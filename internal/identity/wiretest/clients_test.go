package wiretest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"bullion/internal/identity"
	"bullion/internal/identity/oidctest"
	"bullion/internal/identity/venvtest"
)

// cloud is a running identity service, and an image service that knows only its versions.
type cloud struct {
	*httptest.Server
	dir      *identity.FileDirectory
	service  *identity.Service
	provider *oidctest.Issuer
	made     identity.Credentials
	home     string
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	tmp := t.TempDir()
	c := &cloud{home: tmp}
	var err error
	c.dir, err = identity.OpenFile(filepath.Join(tmp, "users.json"))
	ok(t, err)
	c.made, _, err = identity.Bootstrap(t.Context(), c.dir)
	ok(t, err)
	_, err = c.dir.AddProject(t.Context(), "other", "")
	ok(t, err)
	ok(t, c.dir.Grant(t.Context(), "member", "other", "reader"))
	keys, err := identity.OpenKeyFile(filepath.Join(tmp, "keys.json"), time.Now)
	ok(t, err)
	c.provider = oidctest.Start(t)
	c.service, err = identity.NewService(identity.Config{Directory: c.dir, Keys: keys, Revocations: c.dir, Credentials: c.dir, Log: slog.New(slog.DiscardHandler),
		Providers: []identity.Provider{{ID: "corp", Issuer: c.provider.URL, Audiences: []string{oidctest.Audience}}}})
	ok(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v3", c.service.Handler())
	mux.Handle("/v3/", c.service.Handler())
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cli runs the openstack command with an environment of its own.
type cli struct {
	*testing.T
	program string
	env     []string
}

func (c *cloud) cli(t *testing.T, env ...string) *cli {
	t.Helper()
	bin := venvtest.Bin(t, "BULLION_CLIENTS_VENV", "python-openstackclient==10.5.0")
	base := []string{"HOME=" + c.home, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "OS_IDENTITY_API_VERSION=3", "OS_AUTH_URL=" + c.URL + "/v3", "OS_REGION_NAME=RegionOne"}
	return &cli{t, filepath.Join(bin, "openstack"), append(base, env...)}
}

func (c *cloud) as(t *testing.T, user, password, project string) *cli {
	return c.cli(t, "OS_USERNAME="+user, "OS_PASSWORD="+password, "OS_PROJECT_NAME="+project, "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default")
}

func (c *cli) try(args ...string) (stdout, stderr string, err error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = c.env
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// run runs a command that must succeed, and returns its output.
func (c *cli) run(args ...string) string {
	c.Helper()
	out, errs, err := c.try(args...)
	if err != nil {
		c.Fatalf("openstack %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return strings.TrimSpace(out)
}

// json runs a command and parses its output.
func (c *cli) json(args ...string) any {
	c.Helper()
	var v any
	ok(c, json.Unmarshal([]byte(c.run(append(args, "-f", "json")...)), &v))
	return v
}

func column(rows any, name string) []string {
	out := []string{}
	list, _ := rows.([]any)
	for _, r := range list {
		out = append(out, r.(map[string]any)[name].(string))
	}
	return out
}

func TestOpenStackCommand(t *testing.T) {
	c := newCloud(t)
	member := c.as(t, "member", c.made.MemberPassword, "main")
	admin := c.as(t, "admin", c.made.AdminPassword, "main")

	t.Run("token issue, and its revocation", func(t *testing.T) {
		member.T = t
		token := member.json("token", "issue").(map[string]any)
		if token["project_id"] != c.made.Project.ID {
			t.Errorf("got %v, want project %s", token, c.made.Project.ID)
		}
		_, err := c.service.Verifier().Verify(t.Context(), token["id"].(string))
		ok(t, err)
		member.run("token", "revoke", token["id"].(string))
		if _, err := c.service.Verifier().Verify(t.Context(), token["id"].(string)); err == nil {
			t.Error("the revoked token is still good")
		}
	})
	t.Run("a wrong password is refused in words", func(t *testing.T) {
		_, errs, err := c.as(t, "member", "wrong password", "main").try("token", "issue")
		if err == nil || !strings.Contains(errs, "The request you have made requires authentication. (HTTP 401)") {
			t.Errorf("got %v %s", err, errs)
		}
	})
	t.Run("catalog list", func(t *testing.T) {
		member.T = t
		if diff := cmp.Diff([]string{"keystone", "glance"}, column(member.json("catalog", "list"), "Name")); diff != "" {
			t.Errorf("catalog (-want +got):\n%s", diff)
		}
	})
	t.Run("project list shows a member their own and an administrator all", func(t *testing.T) {
		member.T, admin.T = t, t
		for _, who := range []*cli{member, admin} {
			if diff := cmp.Diff([]string{"main", "other"}, column(who.json("project", "list"), "Name")); diff != "" {
				t.Errorf("projects (-want +got):\n%s", diff)
			}
		}
		if got := member.json("project", "show", "main").(map[string]any)["id"]; got != c.made.Project.ID {
			t.Errorf("got %v", got)
		}
	})
	t.Run("what administrators look up", func(t *testing.T) {
		admin.T = t
		if diff := cmp.Diff([]string{"admin", "member"}, column(admin.json("user", "list"), "Name")); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"admin", "member", "reader", "service"}, column(admin.json("role", "list"), "Name")); diff != "" {
			t.Errorf("roles (-want +got):\n%s", diff)
		}
		admin.run("user", "show", "member")
		admin.run("domain", "show", "Default")
		if n := len(admin.json("role", "assignment", "list", "--names").([]any)); n != 3 {
			t.Errorf("got %d role assignments, want 3", n)
		}
	})
	t.Run("application credentials", func(t *testing.T) {
		member.T = t
		made := member.json("application", "credential", "create", "ci", "--role", "reader", "--expiration", time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05"), "--description", "nightly").(map[string]any)
		if diff := cmp.Diff([]string{"ci"}, column(member.json("application", "credential", "list"), "Name")); diff != "" {
			t.Errorf("list (-want +got):\n%s", diff)
		}
		id := made["ID"]
		if id == nil {
			id = made["id"]
		}
		secret := made["Secret"]
		if secret == nil {
			secret = made["secret"]
		}
		ci := c.cli(t, "OS_AUTH_TYPE=v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID="+id.(string), "OS_APPLICATION_CREDENTIAL_SECRET="+secret.(string))
		token := ci.json("token", "issue").(map[string]any)
		caller, err := c.service.Verifier().Verify(t.Context(), token["id"].(string))
		ok(t, err)
		if diff := cmp.Diff([]string{"reader"}, caller.Roles); diff != "" {
			t.Errorf("roles (-want +got):\n%s", diff)
		}
		member.run("application", "credential", "show", "ci")
		member.run("application", "credential", "delete", "ci")
		if _, _, err := ci.try("token", "issue"); err == nil {
			t.Error("a deleted application credential still signs in")
		}
	})
	t.Run("a token signs in", func(t *testing.T) {
		member.T = t
		token := member.json("token", "issue").(map[string]any)["id"].(string)
		other := c.cli(t, "OS_AUTH_TYPE=v3token", "OS_TOKEN="+token, "OS_PROJECT_NAME=other", "OS_PROJECT_DOMAIN_ID=default").json("token", "issue").(map[string]any)
		if other["project_id"] == c.made.Project.ID || other["user_id"] == nil {
			t.Errorf("got %v, want a token for the other project", other)
		}
	})
	t.Run("a token of an OpenID Connect provider signs in", func(t *testing.T) {
		erin := c.cli(t, "OS_AUTH_TYPE=v3oidcaccesstoken", "OS_IDENTITY_PROVIDER=corp", "OS_PROTOCOL=openid", "OS_ACCESS_TOKEN="+c.provider.Token(t, time.Now(), map[string]any{"email": "erin@example.org", "preferred_username": nil, "groups": []string{"main:member"}}),
			"OS_PROJECT_NAME=main", "OS_PROJECT_DOMAIN_NAME=Default")
		token := erin.json("token", "issue").(map[string]any)
		caller, err := c.service.Verifier().Verify(t.Context(), token["id"].(string))
		ok(t, err)
		if caller.UserName != "erin@example.org" || caller.ProjectName != "main" || !caller.Has("member") {
			t.Errorf("got %+v", caller)
		}
	})
	t.Run("a password is changed", func(t *testing.T) {
		member.T = t
		member.run("user", "password", "set", "--original-password", c.made.MemberPassword, "--password", "another password")
		c.as(t, "member", "another password", "main").run("token", "issue")
	})
}

func TestGophercloud(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()
	options := gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", Username: "member", Password: c.made.MemberPassword, DomainName: "Default", TenantName: "main", AllowReauth: true}

	t.Run("it signs in, finds the services and lists its projects", func(t *testing.T) {
		provider, err := openstack.AuthenticatedClient(ctx, options)
		ok(t, err)
		keystone, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
		ok(t, err)
		images, err := provider.EndpointLocator(gophercloud.EndpointOpts{Type: "image", Region: "RegionOne", Availability: gophercloud.AvailabilityPublic})
		if err != nil || images != c.URL+"/" {
			t.Errorf("image service: got %q %v, want %s/", images, err, c.URL)
		}
		pages, err := projects.ListAvailable(keystone).AllPages(ctx)
		ok(t, err)
		list, err := projects.ExtractProjects(pages)
		ok(t, err)
		if len(list) != 2 || list[0].Name != "main" || list[1].Name != "other" {
			t.Errorf("got %+v, want main and other", list)
		}
		found, err := tokens.Get(ctx, keystone, provider.Token()).ExtractProject()
		ok(t, err)
		if found.ID != c.made.Project.ID {
			t.Errorf("got project %s, want %s", found.ID, c.made.Project.ID)
		}
	})
	t.Run("it signs in again by itself when its token ended", func(t *testing.T) {
		provider, err := openstack.AuthenticatedClient(ctx, options)
		ok(t, err)
		keystone, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
		ok(t, err)
		first := provider.Token()
		ok(t, tokens.Revoke(ctx, keystone, first).Err)
		_, err = projects.ListAvailable(keystone).AllPages(ctx)
		ok(t, err)
		if provider.Token() == first {
			t.Error("it still has its first token")
		}
	})
	t.Run("an application credential, made and used", func(t *testing.T) {
		provider, err := openstack.AuthenticatedClient(ctx, options)
		ok(t, err)
		keystone, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
		ok(t, err)
		auth := provider.GetAuthResult().(tokens.CreateResult)
		user, err := auth.ExtractUser()
		ok(t, err)
		made, err := applicationcredentials.Create(ctx, keystone, user.ID, applicationcredentials.CreateOpts{Name: "terraform", Roles: []applicationcredentials.Role{{Name: "member"}}}).Extract()
		ok(t, err)
		_, err = openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", ApplicationCredentialID: made.ID, ApplicationCredentialSecret: made.Secret})
		ok(t, err)
		_, err = openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", ApplicationCredentialName: "terraform", Username: "member", DomainName: "Default", ApplicationCredentialSecret: made.Secret})
		ok(t, err)
		ok(t, applicationcredentials.Delete(ctx, keystone, user.ID, made.ID).ExtractErr())
	})
	t.Run("a wrong password is a 401", func(t *testing.T) {
		wrong := options
		wrong.Password = "wrong password"
		_, err := openstack.AuthenticatedClient(ctx, wrong)
		if !gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
			t.Errorf("got %v, want a 401", err)
		}
	})
}

func TestCloudsYAMLIsReadByTheClient(t *testing.T) {
	c := newCloud(t)
	doc := identity.CloudsYAML("bullion", c.URL, "member", c.made.MemberPassword, "main")
	ok(t, os.WriteFile(filepath.Join(c.home, "clouds.yaml"), []byte(doc), 0o600))
	o := c.cli(t, "OS_CLIENT_CONFIG_FILE="+filepath.Join(c.home, "clouds.yaml"), "OS_CLOUD=bullion")
	o.env = append(o.env[:3:3], o.env[6:]...) // without OS_AUTH_URL and the like
	if got := o.json("token", "issue").(map[string]any)["project_id"]; got != c.made.Project.ID {
		t.Errorf("got project %v, want %s", got, c.made.Project.ID)
	}
}
