package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"bullion/internal/images"
)

// sizeHeader is how openstacksdk and glanceclient announce the size of a body whose length HTTP does not tell.
const sizeHeader = "X-OpenStack-Image-Size"

// putFile takes the bytes of an image in the body. The image is active when it answers.
func (a *api) putFile(w http.ResponseWriter, r *http.Request) error {
	body, size, err := a.fileBody(w, r)
	if err != nil {
		return err
	}
	return a.done(w, tooLong(a.Images.WriteFile(r.Context(), callerOf(r), r.PathValue("id"), body, size), a.MaxFile))
}

// stageFile takes the bytes and keeps them until an import.
func (a *api) stageFile(w http.ResponseWriter, r *http.Request) error {
	body, size, err := a.fileBody(w, r)
	if err != nil {
		return err
	}
	return a.done(w, tooLong(a.Images.StageFile(r.Context(), callerOf(r), r.PathValue("id"), body, size), a.MaxFile))
}

// fileBody is the body of an upload with its size in bytes, -1 when nobody said.
func (a *api) fileBody(w http.ResponseWriter, r *http.Request) (io.Reader, int64, error) {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/octet-stream" {
		return nil, 0, images.Errorf(images.BadMediaType, "The bytes of an image have the Content-Type application/octet-stream, not %.80q.", r.Header.Get("Content-Type"))
	}
	if store := r.Header.Get("X-Image-Meta-Store"); store != "" && store != storeID {
		return nil, 0, images.Errorf(images.Invalid, "X-Image-Meta-Store: there is no store %.80q; the one store is %s.", store, storeID)
	}
	size := r.ContentLength
	if text := r.Header.Get(sizeHeader); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, 0, images.Errorf(images.Invalid, "%s must be the number of bytes in the body, not %.40q.", sizeHeader, text)
		}
		if size >= 0 && size != n {
			return nil, 0, images.Errorf(images.Invalid, "%s says %d bytes and Content-Length says %d; they must agree.", sizeHeader, n, size)
		}
		size = n
	}
	if a.MaxFile == 0 {
		return brokenBody{unhurried(w, r.Body)}, size, nil
	}
	if size > a.MaxFile {
		return nil, 0, errBodyLimit(a.MaxFile)
	}
	return brokenBody{unhurried(w, http.MaxBytesReader(w, r.Body, a.MaxFile))}, size, nil
}

// brokenBody says of a body whose connection broke that it is not the service's fault.
type brokenBody struct{ r io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = images.Wrap(images.Invalid, err, "The body broke off; send it again.")
	}
	return n, err
}

// tooLong gives a body that went on for longer than announced the same answer as one that was announced as too long.
func tooLong(err error, limit int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errBodyLimit(limit)
	}
	return err
}

func errBodyLimit(limit int64) error {
	return images.Errorf(images.TooLarge, "A body here has at most %d bytes. Two ways take an image of any size: `bullion image create --file FILE NAME`, which sends it "+
		"straight to the storage, and OpenStack's tools through a bulliond that runs as a gateway on your machine.", limit)
}

// downloadFile sends the client to the bytes. Every stock client follows, and takes its token along, which the storage ignores. A signed URL is good for
// one method, so HEAD is answered here, from the record.
func (a *api) downloadFile(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		return a.headFile(w, r)
	}
	_, signed, err := a.Images.Download(r.Context(), callerOf(r), r.PathValue("id"))
	if errors.Is(err, images.ErrNoData) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	} else if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", signed.URL)
	w.WriteHeader(http.StatusFound)
	return nil
}

func (a *api) headFile(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Readable(r.Context(), callerOf(r), r.PathValue("id"))
	if errors.Is(err, images.ErrNoData) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	} else if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(i.Blob.Size))
	w.Header().Set("Content-MD5", i.Checksum) // in hex, as Glance has it
	w.Header().Set("Accept-Ranges", "bytes")
	w.WriteHeader(http.StatusOK)
	return nil
}

// signDownload gives the signed request itself, for a browser, which cannot look at a redirect.
func (a *api) signDownload(w http.ResponseWriter, r *http.Request) error {
	_, signed, err := a.Images.Download(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, request(signed))
	return nil
}
