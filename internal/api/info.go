package api

import (
	"net/http"

	"bullion/internal/images"
	"bullion/internal/policy"
)

// storeID is the name of the one store, as /v2/info/stores and the stores attribute show it.
const storeID = "s3"

type storeDocument struct {
	ID          string         `json:"id"`
	Description string         `json:"description"`
	Default     string         `json:"default"` // a string in Glance too
	Type        string         `json:"type,omitempty"`
	Weight      *int           `json:"weight,omitempty"`
	Properties  map[string]any `json:"properties,omitempty"`
}

const storeDescription = "An S3 bucket; uploads and downloads go straight to it."

func (a *api) storesInfo(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"stores": []storeDocument{{ID: storeID, Description: storeDescription, Default: "true"}}})
	return nil
}

// storesDetail says what kind of store it is, to those who run the cloud. Where the bucket is stays unsaid: nobody can use it without the service.
func (a *api) storesDetail(w http.ResponseWriter, r *http.Request) error {
	if err := a.Images.Permit(r.Context(), callerOf(r), "stores_info_detail"); err != nil {
		return err
	}
	weight := 0
	writeJSON(w, http.StatusOK, map[string]any{"stores": []storeDocument{{
		ID: storeID, Description: storeDescription, Default: "true", Type: "s3", Weight: &weight, Properties: map[string]any{},
	}}})
	return nil
}

// pageRules are the rules that a page needs the answers of before it offers something.
var pageRules = []string{
	"context_is_admin", "add_image", "modify_image", "delete_image", "upload_image", "download_image", "publicize_image", "communitize_image",
	"deactivate", "reactivate", "add_member", "delete_member", "modify_member",
}

// policyInfo says what the caller may do with an image of the own project, with one that is shared with it, and with a public one of another; and shows the rules
// in force to administrators. A rule of the operator's that looks at more of an image may decide otherwise about a single one.
func (a *api) policyInfo(w http.ResponseWriter, r *http.Request) error {
	c := callerOf(r)
	allowed := func(i images.Image) []string {
		names := []string{}
		for _, name := range pageRules {
			if a.Images.Policy.Allows(name, c, &i) {
				names = append(names, name)
			}
		}
		return names
	}
	type rule struct {
		Name   string `json:"name"`
		Check  string `json:"check"`
		Source string `json:"source"`
		About  string `json:"about"`
	}
	var body struct {
		May struct {
			Own    []string `json:"own"`
			Shared []string `json:"shared"`
			Public []string `json:"public"`
		} `json:"may"`
		Rules []rule `json:"rules,omitempty"`
	}
	body.May.Own = allowed(images.Image{Owner: c.ProjectID, Visibility: images.Private, Status: images.StatusActive})
	body.May.Shared = allowed(images.Image{Owner: "another", Visibility: images.Shared, Status: images.StatusActive})
	body.May.Public = allowed(images.Image{Owner: "another", Visibility: images.Public, Status: images.StatusActive})
	if readable, ok := a.Images.Policy.(interface{ Rules() []policy.Rule }); ok && a.Images.Policy.SeesAll(c) {
		for _, p := range readable.Rules() {
			body.Rules = append(body.Rules, rule(p))
		}
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// usageInfo shows what a project uses of its quota, in Glance's four figures. Sizes are MiB, rounded up. project_id is our own: administrators
// name another project than the token's.
func (a *api) usageInfo(w http.ResponseWriter, r *http.Request) error {
	used, limit, err := a.Images.Usage(r.Context(), callerOf(r), r.URL.Query().Get("project_id"))
	if err != nil {
		return err
	}
	type figure struct {
		Limit int64 `json:"limit"`
		Usage int64 `json:"usage"`
	}
	mebibytes := func(n int64) int64 {
		if n == images.Unlimited {
			return n
		}
		return (n + 1<<20 - 1) >> 20
	}
	writeJSON(w, http.StatusOK, map[string]any{"usage": map[string]figure{
		"image_size_total":      {mebibytes(limit.Bytes), mebibytes(used.Bytes)},
		"image_stage_total":     {mebibytes(limit.InFlight), mebibytes(used.InFlight)},
		"image_count_total":     {limit.Images, used.Images},
		"image_count_uploading": {limit.Uploads, used.Uploads},
	}})
	return nil
}
