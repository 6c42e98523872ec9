package importertest

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/importer"
)

const remoteID = "4f0c6f3b-5a5e-4c6f-8a5d-1f2e3b4c5d6e"

// region is the Keystone and the Images API of another region with one image, whose bytes are where it redirects to.
type region struct {
	record map[string]any // what the Images API says of the image
	status int            // of its answers; 0 is as it should be
	asked  []string       // paths that were asked for with the token
}

func (g *region) ServeHTTP(w http.ResponseWriter, r *http.Request, bytesAt string) {
	if g.status != 0 {
		w.WriteHeader(g.status)
		return
	}
	if r.URL.Path == "/v3/auth/tokens" {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || !strings.Contains(string(body), `"secret":"let me in"`) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Subject-Token", "the token")
		w.WriteHeader(http.StatusCreated)
		return
	}
	if r.Header.Get("X-Auth-Token") != "the token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.asked = append(g.asked, r.URL.Path)
	switch r.URL.Path {
	case "/v2/images/" + remoteID:
		json.NewEncoder(w).Encode(g.record)
	case "/v2/images/" + remoteID + "/file":
		http.Redirect(w, r, bytesAt, http.StatusTemporaryRedirect)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestAnImageOfAnotherRegionComesWithWhatBelongsToItsBytes(t *testing.T) {
	data := noise(17 << 20) // two parts
	hash := sha512.Sum512(data)
	good := func() map[string]any {
		return map[string]any{"id": remoteID, "status": "active", "disk_format": "raw", "container_format": "bare", "os_hash_algo": "sha512", "os_hash_value": hex.EncodeToString(hash[:]),
			"min_disk": 7, "hw_disk_bus": "scsi", "os_distro": "debian", "trait:CPU": "required", "speed": "88mph", "os_glance_importing_to_stores": "x", "tags": []string{"t"}}
	}
	for _, c := range []struct {
		name, want string // "" for an active image
		secret     string
		region     string
		image      string
		change     func(*region)
	}{
		{name: "a good image"},
		{name: "an image that is not active there", want: "is queued; only an active one", change: func(g *region) { g.record["status"] = "queued" }},
		{name: "other bytes than the region says", want: "SHA-512", change: func(g *region) { g.record["os_hash_value"] = strings.Repeat("0", 128) }},
		{name: "a format that is not taken here", want: "not taken here", change: func(g *region) { g.record["disk_format"] = "floppy" }},
		{name: "an image that is not there", want: "has no image", image: "00000000-5a5e-4c6f-8a5d-1f2e3b4c5d6e"},
		{name: "a region that is not configured", want: "not imported from a region", region: "RegionThree"},
		{name: "a secret that is wrong", want: "does not let this service in", secret: "please"},
		{name: "a region that is out of order", want: "does not let this service in", change: func(g *region) { g.status = http.StatusForbidden }},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The source of the world is the region's storage; it must never see the token.
			w := newWorld(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				if token := r.Header.Get("X-Auth-Token"); token != "" {
					t.Errorf("the storage was told the token %q", token)
				}
				file(w, r, data)
			})
			g := &region{record: good()}
			if c.change != nil {
				c.change(g)
			}
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { g.ServeHTTP(rw, r, w.source) }))
			t.Cleanup(server.Close)
			w.reaches(server.URL, w.source)
			w.service.FromRegions = true
			secret := "let me in"
			if c.secret != "" {
				secret = c.secret
			}
			w.m.Regions = func(context.Context) ([]importer.Region, error) {
				return []importer.Region{{Name: "RegionTwo", ImageURL: server.URL + "/", AuthURL: server.URL + "/v3", ApplicationCredentialID: "id", ApplicationCredentialSecret: secret}}, nil
			}

			i, err := w.service.Create(t.Context(), alice, "", []images.PatchOp{{Op: "add", Name: "os_distro", Value: "windows"}, {Op: "add", Name: "own", Value: "kept"}})
			if err != nil {
				t.Fatal(err)
			}
			request := images.ImportRequest{Method: images.GlanceDownload, Region: "RegionTwo", RemoteImage: remoteID, Body: "{}"}
			if c.region != "" {
				request.Region = c.region
			}
			if c.image != "" {
				request.RemoteImage = c.image
			}
			if _, err := w.service.StartRemoteImport(t.Context(), alice, i.ID, request); err != nil {
				t.Fatal(err)
			}
			w.run(i.ID)
			if c.want != "" {
				w.isFailed(i.ID, c.want)
				return
			}
			w.isActive(i.ID, data)
			i = w.image(i.ID)
			for name, want := range map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian", "trait:CPU": "required", "own": "kept", "speed": "", "os_glance_importing_to_stores": ""} {
				if got := i.Properties[name]; got != want {
					t.Errorf("property %s: got %q, want %q", name, got, want)
				}
			}
			if i.DiskFormat != "raw" || i.ContainerFormat != "bare" || i.MinDisk != 0 {
				t.Errorf("got %s, %s and min_disk %d; want raw, bare and its own min_disk, 0", i.DiskFormat, i.ContainerFormat, i.MinDisk)
			}
		})
	}
}

// reaches lets the importer reach servers of this machine.
func (w *world) reaches(addresses ...string) {
	w.Helper()
	var rules fetch.Rules
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			w.Fatal(err)
		}
		e, err := fetch.ParseException(u.Host)
		if err != nil {
			w.Fatal(err)
		}
		rules.Except = append(rules.Except, e)
	}
	w.m.Client = fetch.New(rules, w.options)
}

func TestAnImportFromAnotherRegionIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t, func(int, http.ResponseWriter, *http.Request) {})
	i, err := w.service.Create(t.Context(), alice, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(c images.Caller, region, id string) error {
		_, err := w.service.StartRemoteImport(t.Context(), c, i.ID, images.ImportRequest{Method: images.GlanceDownload, Region: region, RemoteImage: id})
		return err
	}
	if err := ask(alice, "RegionTwo", remoteID); images.KindOf(err) != images.Invalid {
		t.Errorf("where no region is configured: %v, want Invalid", err)
	}
	w.service.FromRegions = true
	for _, id := range []string{"", "foo", "../../v3/auth/tokens", remoteID + "/file"} {
		if err := ask(alice, "RegionTwo", id); images.KindOf(err) != images.Invalid || !strings.Contains(err.Error(), "UUID") {
			t.Errorf("image %q: %v, want Invalid", id, err)
		}
	}
	if err := ask(alice, "", remoteID); images.KindOf(err) != images.Invalid {
		t.Errorf("no region: %v, want Invalid", err)
	}
	if err := ask(images.Caller{UserID: "mallory", ProjectID: "q", Roles: []string{"member"}}, "RegionTwo", remoteID); images.KindOf(err) != images.NotFound {
		t.Errorf("another project: %v, want NotFound", err)
	}
}

func TestMistakesInTheListOfRegionsAreReportedTogether(t *testing.T) {
	_, err := importer.ParseRegions([]byte(`[{"region":"a","image_url":"https://a.example.org/v2","auth_url":"https://a.example.org","username":"u"},
		{"region":"a","image_url":"https://a.example.org","auth_url":"https://a.example.org/v3","application_credential_id":"i","application_credential_secret":"s"}]`))
	for _, want := range []string{"image_url", "auth_url", "application_credential_id", "twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want it to name %s", err, want)
		}
	}
	if _, err := importer.ParseRegions([]byte(`[{"region":"a","pasword":"x"}]`)); err == nil || !strings.Contains(err.Error(), "pasword") {
		t.Errorf("a name that is not known: got %v", err)
	}
}
