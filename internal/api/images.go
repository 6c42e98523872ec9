package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
)

// maxBody bounds the JSON bodies of requests, in bytes. A record holds less.
const maxBody = 1 << 20

// decode reads one JSON value, numbers as json.Number.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // see timed
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return images.Errorf(images.TooLarge, "The body has more than %d bytes.", tooLong.Limit)
	} else if err != nil {
		return images.Wrap(images.Invalid, err, "The body could not be read to its end.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return images.Wrap(images.Invalid, err, "The body is not the JSON that is expected here: %s.", jsonError(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return images.Errorf(images.Invalid, "The body has more than one JSON value.")
	}
	if string(bytes.TrimSpace(body)) == "null" {
		return images.Errorf(images.Invalid, "The body is null, which says nothing; leave it away or send what is expected here.")
	}
	return nil
}

// jsonError tells the place and the expectation, not Go's types.
func jsonError(err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("syntax error at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return "it must not be a " + e.Value
		}
		return fmt.Sprintf("%s must not be a %s", e.Field, e.Value)
	}
	if errors.Is(err, io.EOF) {
		return "it is empty"
	}
	return "it ends too early"
}

func (a *api) createImage(w http.ResponseWriter, r *http.Request) error {
	var body map[string]any
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return images.Errorf(images.Invalid, "The body must be a JSON object with the attributes of the image.")
	}
	id := ""
	if v, ok := body["id"]; ok {
		if id, ok = v.(string); !ok || id == "" {
			return images.Errorf(images.Invalid, "id must be a UUID as a string.")
		}
		delete(body, "id")
	}
	ops := make([]images.PatchOp, 0, len(body))
	for name, value := range body {
		ops = append(ops, images.PatchOp{Op: "add", Name: name, Value: value})
	}
	i, err := a.Images.Create(r.Context(), callerOf(r), id, ops)
	if err != nil {
		return err
	}
	w.Header().Set("Location", baseURL(r)+"/v2/images/"+i.ID)
	w.Header().Set("OpenStack-image-import-methods", strings.Join(a.importMethods(), ","))
	w.Header().Set("OpenStack-image-store-ids", storeID)
	writeImage(w, http.StatusCreated, i)
	return nil
}

// writeImage writes one image with its version as an entity tag, which PATCH takes as If-Match.
func writeImage(w http.ResponseWriter, status int, i *images.Image) {
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, i.Version))
	writeBody(w, status, document(i))
}

func (a *api) showImage(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeImage(w, http.StatusOK, i)
	return nil
}

func (a *api) listImages(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	q, marker, err := parseQuery(params)
	if err != nil {
		return err
	}
	page, err := a.Images.List(r.Context(), callerOf(r), q, marker)
	if err != nil {
		return err
	}
	body := append(make([]byte, 0, 256+len(page.Images)*1024), `{"images":[`...)
	for n, i := range page.Images {
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, document(i)...)
	}
	body = append(body, ']')
	link := func(name, marker string) {
		params.Del("marker")
		if marker != "" {
			params.Set("marker", marker)
		}
		u := url.URL{Path: "/v2/images", RawQuery: params.Encode()}
		body = append(append(append(append(body, `,"`...), name...), `":`...), encode(u.String())...)
	}
	link("first", "")
	if page.Next != nil {
		link("next", page.Next.ID)
	}
	body = append(body, `,"schema":"/v2/schemas/images"}`...)
	writeBody(w, http.StatusOK, body)
	return nil
}

// The media types of a patch. The first form is RFC 6902's; the older one writes {"replace": "/name", "value": …}.
const (
	patchV21 = "application/openstack-images-v2.1-json-patch"
	patchV20 = "application/openstack-images-v2.0-json-patch"
)

func (a *api) patchImage(w http.ResponseWriter, r *http.Request) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != patchV21 && media != patchV20 {
		w.Header().Set("Accept-Patch", patchV20+", "+patchV21)
		return images.Errorf(images.BadMediaType, "A patch has the Content-Type %s or %s.", patchV21, patchV20)
	}
	var raw []map[string]any
	if err := decode(w, r, &raw); err != nil {
		return err
	}
	ops, err := parsePatch(raw, media == patchV20)
	if err != nil {
		return err
	}
	ifVersion, err := ifMatch(r)
	if err != nil {
		return err
	}
	i, err := a.Images.Patch(r.Context(), callerOf(r), r.PathValue("id"), ifVersion, ops)
	if err != nil {
		return err
	}
	writeImage(w, http.StatusOK, i)
	return nil
}

// ifMatch is the version that If-Match names, 0 for none.
func ifMatch(r *http.Request) (int64, error) {
	tag := r.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	if err != nil || version < 1 {
		return 0, images.Errorf(images.PreconditionFailed, "If-Match %.40q is not an ETag of an image.", tag)
	}
	return version, nil
}

// parsePatch reads the operations of either form.
func parsePatch(raw []map[string]any, old bool) ([]images.PatchOp, error) {
	ops := make([]images.PatchOp, 0, len(raw))
	for n, item := range raw {
		var op images.PatchOp
		var path string
		if old {
			for _, name := range []string{"add", "replace", "remove"} {
				if p, ok := item[name]; ok {
					if op.Op != "" {
						return nil, images.Errorf(images.Invalid, "Operation %d of the patch is both %s and %s.", n, op.Op, name)
					}
					op.Op = name
					path, _ = p.(string)
				}
			}
		} else {
			op.Op, _ = item["op"].(string)
			path, _ = item["path"].(string)
		}
		if op.Op == "" {
			return nil, images.Errorf(images.Invalid, "Operation %d of the patch has no op; use add, replace or remove.", n)
		}
		if strings.HasPrefix(path, "/locations/") {
			path = "/locations" // one of a list, which is refused as a whole
		}
		var err error
		if op.Name, err = pointer(path); err != nil {
			return nil, err
		}
		value, ok := item["value"]
		if !ok && (op.Op == "add" || op.Op == "replace") {
			return nil, images.Errorf(images.Invalid, "Operation %d of the patch (%s %s) has no value.", n, op.Op, path)
		}
		op.Value = value
		ops = append(ops, op)
	}
	return ops, nil
}

// pointer decodes a JSON pointer (RFC 6901) to one attribute.
func pointer(path string) (string, error) {
	name, ok := strings.CutPrefix(path, "/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", images.Errorf(images.Invalid, "path %.80q must be a slash and the name of one attribute; ~1 stands for a slash in it.", path)
	}
	for n := range len(name) {
		if name[n] == '~' && (n+1 == len(name) || name[n+1] != '0' && name[n+1] != '1') {
			return "", images.Errorf(images.Invalid, "path %.80q has a ~ that is not followed by 0 or 1.", path)
		}
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name), nil
}

func (a *api) deleteImage(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.Delete(r.Context(), callerOf(r), r.PathValue("id")))
}

func (a *api) deactivateImage(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.Deactivate(r.Context(), callerOf(r), r.PathValue("id")))
}

func (a *api) reactivateImage(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.Reactivate(r.Context(), callerOf(r), r.PathValue("id")))
}

// done answers 204 when there was no error.
func (a *api) done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (a *api) imageHistory(w http.ResponseWriter, r *http.Request) error {
	after, limit := int64(0), 100
	var err error
	if v := r.URL.Query().Get("after"); v != "" {
		if after, err = strconv.ParseInt(v, 10, 64); err != nil || after < 0 {
			return images.Errorf(images.Invalid, "after must be the seq of an event.")
		}
	}
	events, err := a.Images.History(r.Context(), callerOf(r), r.PathValue("id"), after, limit)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"events": nonNil(events)})
	return nil
}

func (a *api) imageValidation(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, verdict(i))
	return nil
}

func (a *api) addTag(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.AddTag(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("tag")))
}

func (a *api) removeTag(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.RemoveTag(r.Context(), callerOf(r), r.PathValue("id"), r.PathValue("tag")))
}
