package api

import (
	"net/http"

	"bullion/internal/scrub"
)

type scrubDocument struct {
	DryRun bool `json:"dry_run"`
	*scrub.Page
}

// scrubPage has one page of the books looked at, for administrators.
func (a *api) scrubPage(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		DryRun bool   `json:"dry_run"`
		After  string `json:"after"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if err := a.Images.Permit(r.Context(), callerOf(r), "context_is_admin"); err != nil {
		return err
	}
	page, err := a.Scrubber.Page(r.Context(), body.After, body.DryRun)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, scrubDocument{body.DryRun, page})
	return nil
}
