package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bullion/internal/images"
)

// webDownload is the import from an address.
const webDownload = "web-download"

// importMethods are what POST …/import takes: what is staged, what is at an address, and what another Images API has, where the service fetches.
func (a *api) importMethods() []string {
	methods := []string{"glance-direct"}
	if a.Images.CheckSource != nil {
		methods = append(methods, webDownload)
	}
	if a.Images.FromRegions {
		methods = append(methods, images.GlanceDownload)
	}
	return methods
}

// importImage has bytes that were staged validated, or bytes at an address or of another Images API fetched.
func (a *api) importImage(w http.ResponseWriter, r *http.Request) error {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	var body struct {
		Method struct {
			Name     string `json:"name"`
			URI      string `json:"uri"`
			Checksum string `json:"checksum"` // our own: of the file at the URI, as sha256:HEX
			Region   string `json:"glance_region"`
			ImageID  string `json:"glance_image_id"`
		} `json:"method"`
		Stores []string `json:"stores"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return images.Wrap(images.Invalid, err, `The body must be like {"method": {"name": "glance-direct"}}: %s.`, jsonError(err))
	}
	if !slices.Contains(a.importMethods(), body.Method.Name) {
		return images.Errorf(images.Invalid, "Import method %.80q is not known; use one of %s.", body.Method.Name, strings.Join(a.importMethods(), ", "))
	}
	for _, store := range body.Stores {
		if store != storeID {
			return images.Errorf(images.Conflict, "There is no store %.80q; the one store is %s.", store, storeID)
		}
	}
	if store := r.Header.Get("X-Image-Meta-Store"); store != "" && store != storeID {
		return images.Errorf(images.Conflict, "X-Image-Meta-Store: there is no store %.80q; the one store is %s.", store, storeID)
	}
	kept, err := keptRequest(raw)
	if err != nil {
		return err
	}
	take := a.Images.ImportStaged
	request := images.ImportRequest{Method: body.Method.Name, RequestID: RequestID(r.Context()), Body: kept}
	switch body.Method.Name {
	case webDownload:
		take, request.URI, request.Checksum = a.Images.StartImport, body.Method.URI, body.Method.Checksum
	case images.GlanceDownload:
		take, request.Region, request.RemoteImage = a.Images.StartRemoteImport, body.Method.Region, body.Method.ImageID
	}
	if _, err := take(r.Context(), callerOf(r), r.PathValue("id"), request); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// maxImportRequest bounds what is kept of an import call, in bytes: it is part of the record.
const maxImportRequest = 4 << 10

// keptRequest is the body of an import call as the record keeps it.
func keptRequest(raw json.RawMessage) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return "", images.Wrap(images.Invalid, err, "The body is not JSON.")
	}
	if compact.Len() > maxImportRequest {
		return "", images.Errorf(images.TooLarge, "The body of an import has at most %d bytes.", maxImportRequest)
	}
	return compact.String(), nil
}

// cancelImport gives up a fetch that runs. Glance has nothing like it: there one deletes the image.
func (a *api) cancelImport(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.CancelImport(r.Context(), callerOf(r), r.PathValue("id")))
}

// importStatus adds what Glance shows of an import that runs or has failed, and, in properties of our own, how far it is and why it failed. It ends with the
// image's being active, as Glance's is empty then.
func importStatus(b *object, i *images.Image) {
	m := i.Import
	if m == nil {
		return
	}
	switch m.State {
	case images.TaskPending, images.TaskProcessing:
		b.text("os_glance_import_task", m.TaskID)
		b.text("os_glance_importing_to_stores", storeID)
		b.text("os_glance_failed_import", "")
		if i.Fetching() {
			b.text("bullion_progress", fmt.Sprintf("fetch %d/%d", m.Fetched, m.Total))
		}
	case images.TaskFailure:
		b.text("os_glance_importing_to_stores", "")
		b.text("os_glance_failed_import", storeID)
		b.text("bullion_import_failure", m.Message)
	}
}

func (a *api) importInfo(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": a.importMethods(),
	}})
	return nil
}
