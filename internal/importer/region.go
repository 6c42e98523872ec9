package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bullion/internal/fetch"
	"bullion/internal/images"
)

// Region is another Images API from which images may be imported (glance-download), and who asks it. Whoever may import here gets every image that this account may
// download there.
type Region struct {
	Name     string `json:"region"`
	ImageURL string `json:"image_url"` // without /v2
	AuthURL  string `json:"auth_url"`  // of its Keystone, with /v3

	ApplicationCredentialID     string `json:"application_credential_id"`
	ApplicationCredentialSecret string `json:"application_credential_secret"`
	// In place of an application credential, a user of the domain default.
	Username string `json:"username"`
	Password string `json:"password"`
	Project  string `json:"project"`
}

// ParseRegions reads a JSON list of regions, and says everything that is wrong with it together.
func ParseRegions(text []byte) ([]Region, error) {
	var list []Region
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("it is not a JSON list of regions: %w", err)
	}
	var wrong []error
	for n, g := range list {
		need := func(ok bool, what string) {
			if !ok {
				wrong = append(wrong, fmt.Errorf("region %d (%q) %s", n+1, g.Name, what))
			}
		}
		need(g.Name != "", "has no region, which is its name")
		need(!slices.ContainsFunc(list[:n], func(other Region) bool { return other.Name == g.Name }), "is there twice")
		need(isHTTP(g.ImageURL) && !strings.HasSuffix(strings.TrimRight(g.ImageURL, "/"), "/v2"), "needs image_url: where its Images API is, without /v2")
		need(isHTTP(g.AuthURL) && strings.HasSuffix(strings.TrimRight(g.AuthURL, "/"), "/v3"), "needs auth_url: where its Keystone is, with /v3")
		credential := g.ApplicationCredentialID != "" && g.ApplicationCredentialSecret != ""
		user := g.Username != "" && g.Password != "" && g.Project != ""
		need(credential != user, "needs either application_credential_id and application_credential_secret, or username, password and project")
	}
	return list, errors.Join(wrong...)
}

func isHTTP(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
}

// open opens the source of an import: the file at its address, or the bytes of an image of another Images API, whose formats the image then has.
func (r *run) open(ctx context.Context, i *images.Image) (*fetch.Source, *images.Image, error) {
	if i.Import.Method != images.GlanceDownload {
		source, err := r.Client.Open(ctx, i.Import.URI)
		return source, i, err
	}
	var regions []Region
	if r.Regions != nil {
		var err error
		if regions, err = r.Regions(ctx); err != nil {
			return nil, i, err
		}
	}
	n := slices.IndexFunc(regions, func(g Region) bool { return g.Name == i.Import.Region })
	if n < 0 {
		return nil, i, images.Errorf(images.Invalid, "Images are not imported from a region %.80q here.", i.Import.Region)
	}
	g := regions[n]
	var token string
	var remote images.RemoteImage
	err := r.Client.Retry(ctx, func() (_ bool, err error) {
		if token, err = g.token(ctx, r.Client); err != nil {
			return false, err
		}
		remote, err = g.image(ctx, r.Client, token, i.Import.RemoteImage)
		return false, err
	})
	if err != nil {
		return nil, i, err
	}
	if i, err = r.Images.AdoptRemote(ctx, r.imageID, r.holder, remote); err != nil {
		return nil, i, err
	}
	source, err := r.Client.OpenAs(ctx, g.address(i.Import.RemoteImage)+"/file", token)
	return source, i, err
}

func (g *Region) address(imageID string) string {
	return strings.TrimRight(g.ImageURL, "/") + "/v2/images/" + imageID
}

// maxDocument bounds what a service of another region says, in bytes.
const maxDocument = 1 << 20

// token signs in at the region's Keystone.
func (g *Region) token(ctx context.Context, client *fetch.Client) (string, error) {
	type object map[string]any
	auth := object{"identity": object{"methods": []string{"application_credential"},
		"application_credential": object{"id": g.ApplicationCredentialID, "secret": g.ApplicationCredentialSecret}}}
	if g.Username != "" {
		domain := object{"id": "default"}
		auth = object{
			"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": g.Username, "domain": domain, "password": g.Password}}},
			"scope":    object{"project": object{"name": g.Project, "domain": domain}},
		}
	}
	document, err := json.Marshal(object{"auth": auth})
	if err != nil {
		return "", err
	}
	status, header, _, err := client.Ask(ctx, http.MethodPost, strings.TrimRight(g.AuthURL, "/")+"/auth/tokens?nocatalog", "", document, maxDocument)
	if err != nil {
		return "", err
	}
	token := header.Get("X-Subject-Token")
	if status != http.StatusCreated || token == "" {
		return "", g.refused(status, "does not let this service in")
	}
	return token, nil
}

// image asks what the region says of an image.
func (g *Region) image(ctx context.Context, client *fetch.Client, token, id string) (images.RemoteImage, error) {
	status, _, body, err := client.Ask(ctx, http.MethodGet, g.address(id), token, nil, maxDocument)
	switch {
	case err != nil:
		return images.RemoteImage{}, err
	case status == http.StatusNotFound:
		return images.RemoteImage{}, images.Errorf(images.Invalid, "Region %s has no image %s that this service may see.", g.Name, id)
	case status != http.StatusOK:
		return images.RemoteImage{}, g.refused(status, "does not show the image")
	}
	var record map[string]any
	if err := json.Unmarshal(body, &record); err != nil {
		return images.RemoteImage{}, &fetch.Error{Message: fmt.Sprintf("Region %s answered with something else than an image.", g.Name), Cause: err}
	}
	text := func(name string) string {
		s, _ := record[name].(string)
		return s
	}
	if text("status") != "active" {
		return images.RemoteImage{}, images.Errorf(images.Invalid, "Image %s of region %s is %.40s; only an active one can be imported.", id, g.Name, text("status"))
	}
	remote := images.RemoteImage{DiskFormat: text("disk_format"), ContainerFormat: text("container_format"), Properties: map[string]string{}}
	if text("os_hash_algo") == "sha512" {
		remote.SHA512 = strings.ToLower(text("os_hash_value"))
	}
	for name := range record {
		if s := text(name); s != "" && !images.Base(name) {
			remote.Properties[name] = s
		}
	}
	return remote, nil
}

// refused is the error of a service that answered with a status that ends the import, or may pass.
func (g *Region) refused(status int, what string) error {
	return &fetch.Error{Message: fmt.Sprintf("Region %s %s; its operator, or that of this service, can help.", g.Name, what),
		Temporary: status >= 500 || status == http.StatusTooManyRequests, Cause: fmt.Errorf("status %d", status)}
}
