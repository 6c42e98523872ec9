package keystone_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"bullion/internal/identity/keystone"
	"bullion/internal/identity/keystone/keystonetest"
	"bullion/internal/images"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// front counts the validations that reach Keystone, and can cut them off.
type front struct {
	*httptest.Server
	asked atomic.Int32
	down  atomic.Bool
}

func newFront(t *testing.T, target string) *front {
	t.Helper()
	u, err := url.Parse(target)
	ok(t, err)
	f := &front{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		if r.Header.Get("X-Subject-Token") != "" && r.Method == http.MethodGet {
			f.asked.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func TestRealKeystoneVouches(t *testing.T) {
	ctx := t.Context()
	real := keystonetest.Start(t)
	f := newFront(t, real)
	now := time.Now()
	v, err := keystone.New(keystone.Config{URL: f.URL, Username: "admin", Password: keystonetest.Password, Project: "admin", Now: func() time.Time { return now }})
	ok(t, err)

	signIn := func(t *testing.T, user, password, project string) *gophercloud.ProviderClient {
		t.Helper()
		o := gophercloud.AuthOptions{IdentityEndpoint: real + "/v3", Username: user, Password: password, DomainName: "Default"}
		if project != "" {
			o.Scope = &gophercloud.AuthScope{ProjectName: project, DomainName: "Default"}
		}
		c, err := openstack.AuthenticatedClient(ctx, o)
		ok(t, err)
		return c
	}
	admin := signIn(t, "admin", keystonetest.Password, "admin")
	api, err := openstack.NewIdentityV3(admin, gophercloud.EndpointOpts{})
	ok(t, err)
	project, err := projects.Create(ctx, api, projects.CreateOpts{Name: "acme", DomainID: "default"}).Extract()
	ok(t, err)
	bob, err := users.Create(ctx, api, users.CreateOpts{Name: "bob", Password: "bobs password", DomainID: "default"}).Extract()
	ok(t, err)
	pages, err := roles.List(api, roles.ListOpts{Name: "member"}).AllPages(ctx)
	ok(t, err)
	list, err := roles.ExtractRoles(pages)
	ok(t, err)
	ok(t, roles.Assign(ctx, api, list[0].ID, roles.AssignOpts{UserID: bob.ID, ProjectID: project.ID}).ExtractErr())

	t.Run("a token of a project opens Bullion, and is asked about once", func(t *testing.T) {
		token := signIn(t, "bob", "bobs password", "acme").Token()
		before := f.asked.Load()
		want := images.Caller{UserID: bob.ID, UserName: "bob", ProjectID: project.ID, ProjectName: "acme", Roles: []string{"member", "reader"}}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				got, err := v.Verify(ctx, token)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%v, caller (-want +got):\n%s", err, diff)
				}
			})
		}
		wg.Wait()
		if n := f.asked.Load() - before; n != 1 {
			t.Errorf("keystone was asked %d times, want 1", n)
		}
	})
	t.Run("a token without a project has no roles", func(t *testing.T) {
		got, err := v.Verify(ctx, signIn(t, "bob", "bobs password", "").Token())
		ok(t, err)
		if diff := cmp.Diff(images.Caller{UserID: bob.ID, UserName: "bob"}, got); diff != "" {
			t.Errorf("caller (-want +got):\n%s", diff)
		}
	})
	t.Run("nor has one for the system", func(t *testing.T) {
		c, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{IdentityEndpoint: real + "/v3", Username: "admin", Password: keystonetest.Password, DomainName: "Default", Scope: &gophercloud.AuthScope{System: true}})
		ok(t, err)
		got, err := v.Verify(ctx, c.Token())
		ok(t, err)
		if got.UserName != "admin" || got.ProjectID != "" || len(got.Roles) != 0 {
			t.Errorf("got %+v, want no project and no roles", got)
		}
	})
	t.Run("a revoked token is refused within the time that answers are kept", func(t *testing.T) {
		c := signIn(t, "bob", "bobs password", "acme")
		token := c.Token()
		_, err := v.Verify(ctx, token)
		ok(t, err)
		ok(t, tokens.Revoke(ctx, api, token).Err)
		now = now.Add(31 * time.Second)
		if _, err := v.Verify(ctx, token); images.KindOf(err) != images.Unauthenticated {
			t.Errorf("got %v, want Unauthenticated", err)
		}
	})
	t.Run("tokens that are none are refused, and do not reach Keystone when they cannot be any", func(t *testing.T) {
		before := f.asked.Load()
		for _, token := range []string{"", "two words", "line\nbreak", strings.Repeat("x", 9000), "ünicode"} {
			if _, err := v.Verify(ctx, token); images.KindOf(err) != images.Unauthenticated {
				t.Errorf("%.20q: got %v, want Unauthenticated", token, err)
			}
		}
		if n := f.asked.Load() - before; n != 0 {
			t.Errorf("keystone was asked %d times", n)
		}
		for range 3 {
			if _, err := v.Verify(ctx, "gAAAAABnonsense"); images.KindOf(err) != images.Unauthenticated {
				t.Errorf("got %v, want Unauthenticated", err)
			}
		}
		if n := f.asked.Load() - before; n != 1 {
			t.Errorf("keystone was asked %d times about a token that it does not know, want 1", n)
		}
	})
	t.Run("when Keystone is down that is what is said, and kept answers count", func(t *testing.T) {
		known, unknown := signIn(t, "bob", "bobs password", "acme").Token(), signIn(t, "bob", "bobs password", "").Token()
		_, err := v.Verify(ctx, known)
		ok(t, err)
		f.down.Store(true)
		_, err = v.Verify(ctx, known)
		ok(t, err)
		_, err = v.Verify(ctx, unknown)
		if images.KindOf(err) != images.Unavailable || strings.Contains(err.Error(), unknown) {
			t.Errorf("got %v, want Unavailable without the token", err)
		}
		f.down.Store(false)
		_, err = v.Verify(ctx, unknown)
		ok(t, err)
	})
	t.Run("it signs in again when its own token ends", func(t *testing.T) {
		w, err := keystone.New(keystone.Config{URL: f.URL + "/v3/", Username: "admin", Password: keystonetest.Password, Project: "admin"})
		ok(t, err)
		first := signIn(t, "bob", "bobs password", "acme").Token()
		_, err = w.Verify(ctx, first)
		ok(t, err)
		// Every token of the administrator ends with a new password; the old one is put back.
		adminUser, err := tokens.Get(ctx, api, admin.Token()).ExtractUser()
		ok(t, err)
		_, err = users.Update(ctx, api, adminUser.ID, users.UpdateOpts{Password: keystonetest.Password}).Extract()
		ok(t, err)
		_, err = w.Verify(ctx, signIn(t, "bob", "bobs password", "acme").Token())
		ok(t, err)
	})
	t.Run("a wrong password of its own is Unavailable, not the caller's fault", func(t *testing.T) {
		w, err := keystone.New(keystone.Config{URL: f.URL, Username: "admin", Password: "wrong", Project: "admin"})
		ok(t, err)
		if _, err := w.Verify(ctx, signIn(t, "bob", "bobs password", "acme").Token()); images.KindOf(err) != images.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	})
	t.Run("a caller who gives up does not take others along", func(t *testing.T) {
		token := signIn(t, "bob", "bobs password", "acme").Token()
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := v.Verify(gone, token); images.KindOf(err) != images.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		_, err := v.Verify(ctx, token)
		ok(t, err)
	})
}

func TestConfigurationMistakesAreReportedTogether(t *testing.T) {
	_, err := keystone.New(keystone.Config{URL: "keystone.example.org", Keep: time.Hour})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{"https://", "password", "project", "5m"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
	if _, err := keystone.New(keystone.Config{URL: "https://k", AppCredentialID: "x"}); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkRealKeystoneValidates is what validation costs in Keystone itself, to compare with identity's BenchmarkVerify.
func BenchmarkRealKeystoneValidates(b *testing.B) {
	real := keystonetest.Start(b)
	c, err := openstack.AuthenticatedClient(b.Context(), gophercloud.AuthOptions{IdentityEndpoint: real + "/v3", Username: "admin", Password: keystonetest.Password, DomainName: "Default",
		Scope: &gophercloud.AuthScope{ProjectName: "admin", DomainName: "Default"}})
	ok(b, err)
	api, err := openstack.NewIdentityV3(c, gophercloud.EndpointOpts{})
	ok(b, err)
	b.Run("validate", func(b *testing.B) {
		for b.Loop() {
			ok(b, tokens.Get(b.Context(), api, c.Token()).Err)
		}
	})
	b.Run("sign in", func(b *testing.B) {
		for b.Loop() {
			_, err := openstack.AuthenticatedClient(b.Context(), gophercloud.AuthOptions{IdentityEndpoint: real + "/v3", Username: "admin", Password: keystonetest.Password, DomainName: "Default",
				Scope: &gophercloud.AuthScope{ProjectName: "admin", DomainName: "Default"}})
			ok(b, err)
		}
	})
}
