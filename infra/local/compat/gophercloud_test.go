// Package compat drives OpenStack's own clients, unmodified, through bulliond and the built functions. The tests here are gophercloud's, through a bulliond of their
// own; clients.py runs them through its own, beside the clients that are programs, and takes the names of the subtests for the table of docs/compatibility.md.
package compat

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imageimport"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/tasks"

	"bullion/infra/local/host"
	"bullion/internal/proctest"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cloud is a running Bullion. Its field names are those of what clients.py says of the one that it runs.
type cloud struct {
	URL       string             `json:"url"`
	Password  string             `json:"password"`  // of every user
	Accounts  map[string]account `json:"accounts"`  // first and second, each in a project that nobody else uses, and root, who administers
	Source    string             `json:"source"`    // URL of a server from which the service may import
	Directory string             `json:"directory"` // has what the source serves
}

type account struct {
	User    string `json:"user"`
	Project string `json:"project"`
}

// newCloud is the Bullion that clients.py describes in BULLION_COMPAT, or else a bulliond of the test's own.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{}
	if described := os.Getenv("BULLION_COMPAT"); described != "" {
		t.Parallel() // which what follows cannot: a process has one S3 server
		ok(t, json.Unmarshal([]byte(described), c))
		return c
	}
	c.Directory = t.TempDir()
	source := httptest.NewServer(http.FileServer(http.Dir(c.Directory)))
	t.Cleanup(source.Close)
	address, err := proctest.FreeAddr()
	ok(t, err)
	s3, err := proctest.FreeAddr()
	ok(t, err)
	c.URL, c.Source, c.Password, c.Accounts = "http://"+address, source.URL, "correct horse battery", map[string]account{}
	data := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	var out proctest.Output
	run := func(stdin string, args ...string) int {
		return host.Main(ctx, append([]string{"--data", data}, args...), func(string) string { return "" }, strings.NewReader(stdin), &out, &out)
	}
	for name, role := range map[string]string{"first": "member", "second": "member", "root": "admin"} {
		c.Accounts[name] = account{name, name}
		for _, args := range [][]string{{"project", "add", name}, {"user", "add", name, "--project", name, "--role", role}} {
			if run(c.Password+"\n", args...) != 0 {
				t.Fatalf("bulliond %s:\n%s", strings.Join(args, " "), &out)
			}
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run("", "--listen", address, "--s3-listen", s3, "--inspection", "lenient", "--import-allow", strings.TrimPrefix(c.Source, "http://"))
	}()
	t.Cleanup(func() { stop(); <-ended })
	eventually(t, "bulliond listens", func() bool {
		r, err := http.Get(c.URL + "/healthcheck")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return c
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// as is how the holder of an account signs in.
func (c *cloud) as(name string) gophercloud.AuthOptions {
	a := c.Accounts[name]
	return gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", Username: a.User, Password: c.Password, DomainName: "Default", TenantName: a.Project, AllowReauth: true}
}

func imageService(t *testing.T, options gophercloud.AuthOptions) *gophercloud.ServiceClient {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), options)
	ok(t, err)
	client, err := openstack.NewImageV2(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	ok(t, err)
	return client
}

// count is how many images the client sees.
func count(t *testing.T, client *gophercloud.ServiceClient, o images.ListOpts) int {
	t.Helper()
	pages, err := images.List(client, o).AllPages(t.Context())
	ok(t, err)
	list, err := images.ExtractImages(pages)
	ok(t, err)
	return len(list)
}

func TestGophercloudSignsIn(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()

	t.Run("password", func(t *testing.T) { count(t, imageService(t, c.as("first")), images.ListOpts{}) })
	t.Run("token", func(t *testing.T) {
		first := imageService(t, c.as("first"))
		again := imageService(t, gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", TokenID: first.Token(), TenantName: c.Accounts["first"].Project, DomainName: "Default"})
		count(t, again, images.ListOpts{})
	})
	t.Run("application_credential", func(t *testing.T) {
		first := imageService(t, c.as("first"))
		keystone, err := openstack.NewIdentityV3(first.ProviderClient, gophercloud.EndpointOpts{})
		ok(t, err)
		user, err := first.GetAuthResult().(tokens.CreateResult).ExtractUser()
		ok(t, err)
		made, err := applicationcredentials.Create(ctx, keystone, user.ID, applicationcredentials.CreateOpts{Name: "ci", Roles: []applicationcredentials.Role{{Name: "reader"}}}).Extract()
		ok(t, err)
		credential := gophercloud.AuthOptions{IdentityEndpoint: c.URL + "/v3", ApplicationCredentialID: made.ID, ApplicationCredentialSecret: made.Secret, AllowReauth: true}
		reader := imageService(t, credential)
		count(t, reader, images.ListOpts{})
		if _, err := images.Create(ctx, reader, images.CreateOpts{Name: "no"}).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
			t.Errorf("got %v, want 403: the credential only reads", err)
		}
		ok(t, applicationcredentials.Delete(ctx, keystone, user.ID, made.ID).ExtractErr())
		if _, err := openstack.AuthenticatedClient(ctx, credential); !gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
			t.Errorf("a deleted credential signs in: got %v, want 401", err)
		}
		eventually(t, "its tokens end, on AWS within half a minute", func() bool {
			_, err := images.List(reader, images.ListOpts{}).AllPages(ctx)
			return err != nil
		})
	})
	t.Run("reauthentication", func(t *testing.T) {
		client := imageService(t, c.as("second")) // the images of first are counted
		keystone, err := openstack.NewIdentityV3(client.ProviderClient, gophercloud.EndpointOpts{})
		ok(t, err)
		token := client.Token()
		ok(t, tokens.Revoke(ctx, keystone, token).Err)
		// The image API refuses the token, and the client signs in again by itself, with a body too. The body is small enough to be read before any of
		// it is sent, since gophercloud 2.15 rewinds a larger one while net/http may still read it.
		made, err := images.Create(ctx, client, images.CreateOpts{Name: "after", DiskFormat: "raw", ContainerFormat: "bare"}).Extract()
		ok(t, err)
		if client.Token() == token {
			t.Error("it still has the revoked token")
		}
		keystone, err = openstack.NewIdentityV3(client.ProviderClient, gophercloud.EndpointOpts{})
		ok(t, err)
		ok(t, tokens.Revoke(ctx, keystone, client.Token()).Err)
		ok(t, imagedata.Upload(ctx, client, made.ID, bytes.NewReader(content(2<<10))).ExtractErr())
		active(t, client, made.ID)
	})
}

// content is a disk of random bytes, without a boot sector by chance.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b[512:])
	return b
}

func active(t *testing.T, client *gophercloud.ServiceClient, id string) *images.Image {
	t.Helper()
	var got *images.Image
	eventually(t, "the image is active", func() bool {
		var err error
		got, err = images.Get(t.Context(), client, id).Extract()
		ok(t, err)
		return got.Status == images.ImageStatusActive
	})
	return got
}

func download(t *testing.T, client *gophercloud.ServiceClient, id string) []byte {
	t.Helper()
	body, err := imagedata.Download(t.Context(), client, id).Extract()
	ok(t, err)
	defer body.Close()
	b, err := io.ReadAll(body)
	ok(t, err)
	return b
}

func TestGophercloudImages(t *testing.T) {
	disk := content(3 << 20)
	sum := md5.Sum(disk)
	c := newCloud(t)
	ok(t, os.WriteFile(filepath.Join(c.Directory, "gophercloud.raw"), disk, 0o600))
	ctx := t.Context()
	first, second, root := imageService(t, c.as("first")), imageService(t, c.as("second")), imageService(t, c.as("root"))
	project, err := second.GetAuthResult().(tokens.CreateResult).ExtractProject()
	ok(t, err)
	create := func(t *testing.T, o images.CreateOpts) *images.Image {
		t.Helper()
		o.DiskFormat, o.ContainerFormat = "raw", "bare"
		made, err := images.Create(ctx, first, o).Extract()
		ok(t, err)
		return made
	}

	private := images.ImageVisibilityPrivate
	made := create(t, images.CreateOpts{Name: "disk", ID: "7e1f5d6e-7a0b-4b5e-8c55-0a9e2d9a4c11", Visibility: &private, Tags: []string{"blue"}, MinDisk: 1, MinRAM: 64, Properties: map[string]string{"os_distro": "debian"}})
	t.Run("images.Create", func(t *testing.T) {
		if made.ID != "7e1f5d6e-7a0b-4b5e-8c55-0a9e2d9a4c11" || made.Status != images.ImageStatusQueued || made.MinDiskGigabytes != 1 || made.MinRAMMegabytes != 64 || made.Properties["os_distro"] != "debian" {
			t.Errorf("got %+v", made)
		}
		if methods := strings.Join(made.OpenStackImageImportMethods, ","); !strings.Contains(methods, "glance-direct") || !strings.Contains(methods, "web-download") {
			t.Errorf("import methods: %q", methods)
		}
	})
	t.Run("imagedata.Upload", func(t *testing.T) {
		ok(t, imagedata.Upload(ctx, first, made.ID, bytes.NewReader(disk)).ExtractErr())
		active(t, first, made.ID)
	})
	t.Run("images.Get", func(t *testing.T) {
		got, err := images.Get(ctx, first, made.ID).Extract()
		ok(t, err)
		if got.Checksum != hex.EncodeToString(sum[:]) || got.SizeBytes != int64(len(disk)) || got.CreatedAt.IsZero() || got.UpdatedAt.Before(got.CreatedAt) || got.File == "" || got.Schema == "" {
			t.Errorf("got %+v", got)
		}
		if _, err := images.Get(ctx, second, made.ID).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			t.Errorf("another project gets %v, want 404", err)
		}
	})
	t.Run("imagedata.Download", func(t *testing.T) {
		if !bytes.Equal(download(t, first, made.ID), disk) {
			t.Error("the bytes are not those that were uploaded")
		}
	})
	t.Run("images.List", func(t *testing.T) {
		for range 4 {
			create(t, images.CreateOpts{Name: "empty", Tags: []string{"red"}})
		}
		for _, test := range []struct {
			name string
			o    images.ListOpts
			want int
		}{
			{"page by page", images.ListOpts{Limit: 2, Sort: "name:asc,created_at:desc"}, 5},
			{"by name", images.ListOpts{Name: "disk"}, 1},
			{"by status", images.ListOpts{Status: images.ImageStatusQueued}, 4},
			{"by tags", images.ListOpts{Tags: []string{"blue"}}, 1},
			{"by visibility", images.ListOpts{Visibility: images.ImageVisibilityPrivate, SortKey: "size", SortDir: "desc"}, 1},
			{"by time", images.ListOpts{CreatedAtQuery: &images.ImageDateQuery{Date: time.Now().Add(-time.Hour), Filter: images.FilterGT}}, 5},
			{"by format", images.ListOpts{ContainerFormat: "bare", DiskFormat: "raw"}, 5},
		} {
			if got := count(t, first, test.o); got != test.want {
				t.Errorf("%s: got %d images, want %d", test.name, got, test.want)
			}
		}
	})
	t.Run("images.Update", func(t *testing.T) {
		got, err := images.Update(ctx, first, made.ID, images.UpdateOpts{
			images.ReplaceImageName{NewName: "renamed"},
			images.ReplaceImageTags{NewTags: []string{"green"}},
			images.ReplaceImageMinDisk{NewMinDisk: 2},
			images.ReplaceImageMinRam{NewMinRam: 128},
			images.ReplaceImageProtected{NewProtected: true},
			images.ReplaceImageHidden{NewHidden: true},
			images.UpdateVisibility{Visibility: images.ImageVisibilityShared},
			images.UpdateImageProperty{Op: images.AddOp, Name: "hw_disk_bus", Value: "virtio"},
			images.UpdateImageProperty{Op: images.RemoveOp, Name: "os_distro"},
		}).Extract()
		ok(t, err)
		if got.Name != "renamed" || got.MinDiskGigabytes != 2 || got.MinRAMMegabytes != 128 || !got.Protected || !got.Hidden || got.Visibility != images.ImageVisibilityShared ||
			got.Properties["hw_disk_bus"] != "virtio" || got.Properties["os_distro"] != nil || cmp.Diff([]string{"green"}, got.Tags) != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("members.Create", func(t *testing.T) {
		got, err := members.Create(ctx, first, made.ID, project.ID).Extract()
		ok(t, err)
		if got.Status != "pending" || got.MemberID != project.ID || got.ImageID != made.ID || got.CreatedAt.IsZero() {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("members.Update", func(t *testing.T) {
		got, err := members.Update(ctx, second, made.ID, project.ID, members.UpdateOpts{Status: "accepted"}).Extract()
		ok(t, err)
		if got.Status != "accepted" {
			t.Errorf("got %+v", got)
		}
		if !bytes.Equal(download(t, second, made.ID), disk) {
			t.Error("the member's bytes are not those that were uploaded")
		}
	})
	t.Run("members.List", func(t *testing.T) {
		pages, err := members.List(first, made.ID).AllPages(ctx)
		ok(t, err)
		list, err := members.ExtractMembers(pages)
		ok(t, err)
		if len(list) != 1 || list[0].MemberID != project.ID {
			t.Errorf("got %+v", list)
		}
	})
	t.Run("members.Get", func(t *testing.T) {
		got, err := members.Get(ctx, first, made.ID, project.ID).Extract()
		ok(t, err)
		if got.Status != "accepted" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("members.Delete", func(t *testing.T) {
		ok(t, members.Delete(ctx, first, made.ID, project.ID).ExtractErr())
		if _, err := images.Get(ctx, second, made.ID).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			t.Errorf("who was a member gets %v, want 404", err)
		}
	})
	t.Run("images.Delete", func(t *testing.T) {
		if err := images.Delete(ctx, first, made.ID).ExtractErr(); !gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
			t.Errorf("a protected image: got %v, want 403", err)
		}
		_, err := images.Update(ctx, first, made.ID, images.UpdateOpts{images.ReplaceImageProtected{NewProtected: false}}).Extract()
		ok(t, err)
		ok(t, images.Delete(ctx, first, made.ID).ExtractErr())
		if _, err := images.Get(ctx, first, made.ID).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			t.Errorf("got %v, want 404", err)
		}
	})

	t.Run("imageimport.Get", func(t *testing.T) {
		got, err := imageimport.Get(ctx, first).Extract()
		ok(t, err)
		if methods := strings.Join(got.ImportMethods.Value, ","); !strings.Contains(methods, "glance-direct") || !strings.Contains(methods, "web-download") {
			t.Errorf("got %+v", got)
		}
	})
	staged := create(t, images.CreateOpts{Name: "staged"})
	t.Run("imagedata.Stage", func(t *testing.T) {
		ok(t, imagedata.Stage(ctx, first, staged.ID, bytes.NewReader(disk)).ExtractErr())
		got, err := images.Get(ctx, first, staged.ID).Extract()
		ok(t, err)
		if got.Status != images.ImageStatusUploading {
			t.Errorf("got status %s, want uploading", got.Status)
		}
	})
	t.Run("imageimport.Create", func(t *testing.T) {
		ok(t, imageimport.Create(ctx, first, staged.ID, imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod}).ExtractErr())
		fetched := create(t, images.CreateOpts{Name: "fetched"})
		ok(t, imageimport.Create(ctx, first, fetched.ID, imageimport.CreateOpts{Name: imageimport.WebDownloadMethod, URI: c.Source + "/gophercloud.raw"}).ExtractErr())
		for _, id := range []string{staged.ID, fetched.ID} {
			if got := active(t, first, id); got.Checksum != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: got checksum %s", got.Name, got.Checksum)
			}
		}
	})
	t.Run("tasks.List", func(t *testing.T) {
		pages, err := tasks.List(root, tasks.ListOpts{}).AllPages(ctx)
		ok(t, err)
		list, err := tasks.ExtractTasks(pages)
		ok(t, err)
		if !slices.ContainsFunc(list, func(k tasks.Task) bool { return k.ID == staged.ID && k.Status == string(tasks.TaskStatusSuccess) }) {
			t.Errorf("the import of the staged image is not among %+v", list)
		}
	})
	t.Run("tasks.Get", func(t *testing.T) {
		got, err := tasks.Get(ctx, root, staged.ID).Extract()
		ok(t, err)
		if got.Status != string(tasks.TaskStatusSuccess) || got.Owner == "" || got.CreatedAt.IsZero() {
			t.Errorf("got %+v", got)
		}
	})
}
