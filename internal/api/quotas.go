package api

import (
	"net/http"

	"bullion/internal/images"
)

type quotaDocument struct {
	ProjectID string         `json:"project_id"`
	Quota     images.Usage   `json:"quota"` // -1 does not bound
	Usage     images.Usage   `json:"usage"`
	Egress    egressDocument `json:"egress"`
}

type egressDocument struct {
	Month string `json:"month"` // 2006-01
	Bytes int64  `json:"bytes"`
}

// showQuota shows, in bytes, what a project may use, uses, and took out this month, to administrators.
func (a *api) showQuota(w http.ResponseWriter, r *http.Request) error {
	d := quotaDocument{ProjectID: r.PathValue("project")}
	var err error
	if d.Egress.Month, d.Egress.Bytes, err = a.Images.Egress(r.Context(), callerOf(r), d.ProjectID); err != nil {
		return err
	}
	if d.Usage, d.Quota, err = a.Images.Usage(r.Context(), callerOf(r), d.ProjectID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, d)
	return nil
}

// setQuota wants all four figures, so that none is changed by leaving it out.
func (a *api) setQuota(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Images   *int64 `json:"images"`
		Bytes    *int64 `json:"bytes"`
		InFlight *int64 `json:"in_flight"`
		Uploads  *int64 `json:"uploads"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.Images == nil || body.Bytes == nil || body.InFlight == nil || body.Uploads == nil {
		return images.Errorf(images.Invalid, "A quota has images, bytes, in_flight and uploads; -1 does not bound.")
	}
	limit := images.Usage{Images: *body.Images, Bytes: *body.Bytes, InFlight: *body.InFlight, Uploads: *body.Uploads}
	if err := a.Images.SetQuota(r.Context(), callerOf(r), r.PathValue("project"), &limit); err != nil {
		return err
	}
	return a.showQuota(w, r)
}

func (a *api) unsetQuota(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.SetQuota(r.Context(), callerOf(r), r.PathValue("project"), nil))
}
