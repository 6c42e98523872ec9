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

// policyInfo shows the rules in force, to administrators.
func (a *api) policyInfo(w http.ResponseWriter, r *http.Request) error {
	if err := a.Images.Permit(r.Context(), callerOf(r), "context_is_admin"); err != nil {
		return err
	}
	readable, ok := a.Images.Policy.(interface{ Rules() []policy.Rule })
	if !ok {
		return images.Errorf(images.NotFound, "The policy of this service cannot be read.")
	}
	type rule struct {
		Name   string `json:"name"`
		Check  string `json:"check"`
		Source string `json:"source"`
		About  string `json:"about"`
	}
	rules := []rule{}
	for _, p := range readable.Rules() {
		rules = append(rules, rule(p))
	}
	writeJSON(w, http.StatusOK, map[string]any{"rules": rules})
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
