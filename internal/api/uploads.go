package api

import (
	"net/http"

	"bullion/internal/images"
)

func (a *api) openUpload(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Size   *int64 `json:"size"`
		SHA512 string `json:"sha512"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.Size == nil {
		return images.Errorf(images.Invalid, "size is missing: the number of bytes in the file.")
	}
	v, err := a.Images.OpenUpload(r.Context(), callerOf(r), r.PathValue("id"), images.UploadRequest{Size: *body.Size, SHA512: body.SHA512})
	return writeUpload(w, http.StatusCreated, v, err)
}

func (a *api) showUpload(w http.ResponseWriter, r *http.Request) error {
	v, err := a.Images.UploadStatus(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("upload"))
	return writeUpload(w, http.StatusOK, v, err)
}

func (a *api) signParts(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Numbers []int `json:"numbers"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	v, err := a.Images.SignParts(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("upload"), body.Numbers)
	return writeUpload(w, http.StatusOK, v, err)
}

func (a *api) completeUpload(w http.ResponseWriter, r *http.Request) error {
	v, err := a.Images.CompleteUpload(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("upload"))
	return writeUpload(w, http.StatusAccepted, v, err)
}

func (a *api) abortUpload(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.AbortUpload(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("upload")))
}

func writeUpload(w http.ResponseWriter, status int, v *images.UploadView, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store") // it holds secrets
	writeJSON(w, status, upload(v))
	return nil
}
