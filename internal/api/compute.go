package api

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bullion/internal/images"
)

// The Compute API once had images of its own, and Nova still passes such calls on to Glance. Tools of that time find us as the compute service in the catalogue.
// Nova's api-ref/source/images.inc and nova/api/openstack/compute/{images,image_metadata}.py are what this follows.

// The last microversions that have these routes; a request for a later one is answered as if they were not there.
const (
	lastImagesVersion   = 35
	lastMetadataVersion = 38
)

// computeRoutes is what is served when Config.Compute is set. Each is served with the project's id before /images too.
func (a *api) computeRoutes() []route {
	list := []route{
		{pattern: "GET /v2.1/images", handle: until(lastImagesVersion, a.computeList)},
		{pattern: "GET /v2.1/images/detail", handle: until(lastImagesVersion, a.computeDetail)},
		{pattern: "GET /v2.1/images/{id}", handle: until(lastImagesVersion, a.computeShow)},
		{pattern: "DELETE /v2.1/images/{id}", handle: until(lastImagesVersion, a.computeDelete)},
		{pattern: "GET /v2.1/images/{id}/metadata", handle: until(lastMetadataVersion, a.computeMetadata)},
		{pattern: "POST /v2.1/images/{id}/metadata", handle: until(lastMetadataVersion, a.computeAddMetadata)},
		{pattern: "PUT /v2.1/images/{id}/metadata", handle: until(lastMetadataVersion, a.computeSetMetadata)},
		{pattern: "GET /v2.1/images/{id}/metadata/{key}", handle: until(lastMetadataVersion, a.computeShowKey)},
		{pattern: "PUT /v2.1/images/{id}/metadata/{key}", handle: until(lastMetadataVersion, a.computeSetKey)},
		{pattern: "DELETE /v2.1/images/{id}/metadata/{key}", handle: until(lastMetadataVersion, a.computeRemoveKey)},
	}
	for n := range list {
		list[n].handle = a.computeErrors(a.authenticated(ownProject(list[n].handle)))
		list[n].open = true // the token is checked within, so that its refusal has the form of the others
	}
	return append(list, route{pattern: "GET /v2.1/{$}", handle: a.computeVersion, open: true}, route{pattern: "GET /v2.1", handle: a.computeVersion, open: true})
}

// withoutProject takes the project's id out of the path of old tools, /v2.1/{project}/images…, and keeps it in the context.
func withoutProject(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2.1/")
	project, tail, more := strings.Cut(rest, "/")
	if !ok || !more || project == "images" || tail != "images" && !strings.HasPrefix(tail, "images/") {
		return r
	}
	r = r.Clone(context.WithValue(r.Context(), projectKey, project))
	r.URL.Path = "/v2.1/" + tail
	if raw := r.URL.RawPath; raw != "" {
		_, tail, _ := strings.Cut(strings.TrimPrefix(raw, "/v2.1/"), "/")
		r.URL.RawPath = "/v2.1/" + tail
	}
	return r
}

// ownProject refuses a path that names another project than the token.
func ownProject(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if project, ok := r.Context().Value(projectKey).(string); ok && project != callerOf(r).ProjectID {
			return images.Errorf(images.Invalid, "The address names the project %.64q; the token is for another.", project)
		}
		return next(w, r)
	}
}

// until serves a route to requests of microversions up to 2.last.
func until(last int, next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		version := r.Header.Get("X-OpenStack-Nova-API-Version")
		if v, ok := strings.CutPrefix(r.Header.Get("OpenStack-API-Version"), "compute "); ok {
			version = v
		}
		minor := 1
		if version == "latest" {
			minor = last + 1
		} else if version != "" {
			major, text, _ := strings.Cut(version, ".")
			n, err := strconv.ParseUint(text, 10, 16)
			if major != "2" || err != nil || n == 0 {
				return images.Errorf(images.Invalid, "The microversion %.20q is not one such as 2.1.", version)
			}
			minor = int(n)
		}
		if minor > last {
			return images.Errorf(images.NotFound, "The Compute API has this up to microversion 2.%d; use the Images API.", last)
		}
		w.Header().Set("X-OpenStack-Nova-API-Version", fmt.Sprintf("2.%d", minor))
		w.Header().Set("OpenStack-API-Version", fmt.Sprintf("compute 2.%d", minor))
		w.Header().Add("Vary", "X-OpenStack-Nova-API-Version, OpenStack-API-Version")
		return next(w, r)
	}
}

// faults are Nova's names of errors.
var faults = map[int]string{
	http.StatusBadRequest: "badRequest", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden", http.StatusNotFound: "itemNotFound",
	http.StatusConflict: "conflictingRequest", http.StatusRequestEntityTooLarge: "overLimit", http.StatusTooManyRequests: "overLimit", http.StatusServiceUnavailable: "serviceUnavailable",
}

// computeErrors answers with errors in Nova's form. Unknown ones are left to the caller, which logs them.
func (a *api) computeErrors(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := next(w, r)
		status := statuses[images.KindOf(err)]
		name, known := faults[status]
		if err == nil || !known {
			return err
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", a.AuthURL))
		}
		if status == http.StatusServiceUnavailable {
			a.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("request_id", RequestID(r.Context())), slog.String("error", err.Error()))
		}
		type fault struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, status, map[string]fault{name: {status, messageOf(err)}})
		return nil
	}
}

func (a *api) computeVersion(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"version": map[string]any{
		"id": "v2.1", "status": "CURRENT", "version": fmt.Sprintf("2.%d", lastMetadataVersion), "min_version": "2.1", "updated": "2013-07-23T11:33:21Z",
		"links":       []computeLink{{Rel: "self", Href: baseURL(r) + "/v2.1/"}},
		"media-types": []map[string]string{{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}},
	}})
	return nil
}

type computeLink struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
	Type string `json:"type,omitempty"`
}

type computeServer struct {
	ID    string        `json:"id"`
	Links []computeLink `json:"links"`
}

// computeBrief is an image in a list.
type computeBrief struct {
	ID    string        `json:"id"`
	Name  string        `json:"name"`
	Links []computeLink `json:"links"`
}

// computeImage is an image as the Compute API shows it.
type computeImage struct {
	computeBrief
	MinRAM     int64             `json:"minRam"`
	MinDisk    int64             `json:"minDisk"`
	Metadata   map[string]string `json:"metadata"`
	Created    string            `json:"created"`
	Updated    string            `json:"updated"`
	Status     string            `json:"status"`
	Progress   int               `json:"progress"`
	Size       int64             `json:"OS-EXT-IMG-SIZE:size"`
	DiskConfig string            `json:"OS-DCF:diskConfig,omitempty"`
	Server     *computeServer    `json:"server,omitempty"`
}

// computeLinks are those of one thing: with the project where the request had it.
func computeLinks(r *http.Request, kind, id string) []computeLink {
	project := ""
	if p, ok := r.Context().Value(projectKey).(string); ok {
		project = "/" + p
	}
	path := project + "/" + kind + "/" + url.PathEscape(id)
	return []computeLink{{Rel: "self", Href: baseURL(r) + "/v2.1" + path}, {Rel: "bookmark", Href: baseURL(r) + path}}
}

func computeBriefOf(r *http.Request, i *images.Image) computeBrief {
	links := append(computeLinks(r, "images", i.ID), computeLink{Rel: "alternate", Href: baseURL(r) + "/v2/images/" + i.ID, Type: "application/vnd.openstack.image"})
	return computeBrief{ID: i.ID, Name: i.Name, Links: links}
}

// computeStatuses are Nova's words. It knows neither importing nor uploading; they are what it calls saving.
var computeStatuses = map[images.Status]string{
	images.StatusActive: "ACTIVE", images.StatusQueued: "SAVING", images.StatusSaving: "SAVING", images.StatusUploading: "SAVING", images.StatusImporting: "SAVING",
	images.StatusDeactivated: "UNKNOWN",
}

var computeProgress = map[images.Status]int{images.StatusQueued: 25, images.StatusSaving: 50, images.StatusUploading: 50, images.StatusImporting: 50, images.StatusActive: 100}

func computeImageOf(r *http.Request, i *images.Image) computeImage {
	d := computeImage{computeBrief: computeBriefOf(r, i), MinRAM: i.MinRAM, MinDisk: i.MinDisk, Metadata: metadataOf(i), Created: timestamp(i.CreatedAt),
		Updated: timestamp(i.UpdatedAt), Status: computeStatuses[i.Status], Progress: computeProgress[i.Status]}
	if i.Size != nil {
		d.Size = *i.Size
	}
	if id := d.Metadata["instance_uuid"]; id != "" {
		d.Server = &computeServer{id, computeLinks(r, "servers", id)}
	}
	if v, ok := d.Metadata["auto_disk_config"]; ok {
		d.DiskConfig = "MANUAL"
		if slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(v)) {
			d.DiskConfig = "AUTO"
		}
	}
	return d
}

// metadataOf are the custom properties.
func metadataOf(i *images.Image) map[string]string {
	m := map[string]string{}
	for k, v := range i.Properties {
		if !images.Base(k) {
			m[k] = v
		}
	}
	return m
}

func (a *api) computeShow(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"image": computeImageOf(r, i)})
	return nil
}

func (a *api) computeDelete(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Images.Delete(r.Context(), callerOf(r), r.PathValue("id")))
}

func (a *api) computeList(w http.ResponseWriter, r *http.Request) error {
	return a.computePage(w, r, func(i *images.Image) any { return computeBriefOf(r, i) })
}

func (a *api) computeDetail(w http.ResponseWriter, r *http.Request) error {
	return a.computePage(w, r, func(i *images.Image) any { return computeImageOf(r, i) })
}

func (a *api) computePage(w http.ResponseWriter, r *http.Request, show func(*images.Image) any) error {
	params := r.URL.Query()
	q, marker, err := computeQuery(params)
	if err != nil {
		return err
	}
	page, err := a.Images.List(r.Context(), callerOf(r), q, marker)
	if err != nil {
		return err
	}
	list := []any{}
	for _, i := range page.Images {
		list = append(list, show(i))
	}
	body := map[string]any{"images": list}
	if page.Next != nil {
		params.Set("marker", page.Next.ID)
		path := r.URL.Path
		if p, ok := r.Context().Value(projectKey).(string); ok {
			path = "/v2.1/" + url.PathEscape(p) + strings.TrimPrefix(path, "/v2.1")
		}
		body["images_links"] = []computeLink{{Rel: "next", Href: baseURL(r) + path + "?" + params.Encode()}}
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// computeQuery reads Nova's filters; parameters that it does not know it ignores.
func computeQuery(params url.Values) (q images.Query, marker string, err error) {
	ours := url.Values{}
	q.Limit = images.MaxPage
	for name, values := range params {
		value := values[len(values)-1]
		switch name {
		case "limit", "page_size":
			n, err := count(name, value)
			if err != nil {
				return q, "", err
			}
			if n > 0 { // as in Nova, 0 is no limit
				q.Limit = min(n, q.Limit)
			}
		case "name", "marker":
			ours.Set(name, value)
		case "minRam":
			ours.Set("min_ram", value)
		case "minDisk":
			ours.Set("min_disk", value)
		case "changes-since":
			ours.Set("updated_at", "gte:"+value)
		case "server":
			ours.Set("instance_uuid", value[strings.LastIndex(value, "/")+1:])
		case "type":
			ours.Set("image_type", value)
		default:
			if p, ok := strings.CutPrefix(name, "property-"); ok && !images.Base(p) {
				ours.Set(p, value)
			}
		}
	}
	limit := q.Limit
	if q, marker, err = parseQuery(ours); err != nil {
		return q, "", err
	}
	q.Limit = limit
	if want := params.Get("status"); want != "" {
		q.Statuses = []string{"none"} // what no image is
		for _, status := range slices.Sorted(maps.Keys(computeStatuses)) {
			if computeStatuses[status] == strings.ToUpper(want) {
				q.Statuses = append(q.Statuses, string(status))
			}
		}
	}
	return q, marker, nil
}

func (a *api) computeMetadata(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"metadata": metadataOf(i)})
	return nil
}

func (a *api) computeShowKey(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := metadataOf(i)[key]
	if !ok {
		return images.Errorf(images.NotFound, "Image %s has no metadata %.64q.", i.ID, key)
	}
	writeJSON(w, http.StatusOK, map[string]any{"meta": map[string]string{key: value}})
	return nil
}

// changeMetadata makes the metadata of an image what edit makes of it.
func (a *api) changeMetadata(r *http.Request, edit func(map[string]string) error) (map[string]string, error) {
	for try := 0; ; try++ {
		i, err := a.Images.Get(r.Context(), callerOf(r), r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		was := metadataOf(i)
		is := maps.Clone(was)
		if err := edit(is); err != nil {
			return nil, err
		}
		var ops []images.PatchOp
		for k, v := range is {
			if images.Base(k) {
				return nil, images.Errorf(images.Invalid, "%q is an attribute of every image and cannot be metadata.", k)
			}
			if old, ok := was[k]; !ok || old != v {
				ops = append(ops, images.PatchOp{Op: "add", Name: k, Value: v})
			}
		}
		for k := range was {
			if _, ok := is[k]; !ok {
				ops = append(ops, images.PatchOp{Op: "remove", Name: k})
			}
		}
		i, err = a.Images.Patch(r.Context(), callerOf(r), i.ID, i.Version, ops)
		switch {
		case err == nil:
			return metadataOf(i), nil
		case images.KindOf(err) != images.PreconditionFailed:
			return nil, err
		case try == 8:
			return nil, images.Wrap(images.Conflict, err, "The image is being changed by others; try again.")
		}
	}
}

// metadataBody reads {"metadata": {…}} or {"meta": {…}}.
func metadataBody(w http.ResponseWriter, r *http.Request, name string) (map[string]string, error) {
	var body map[string]map[string]*string
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if len(body) != 1 || body[name] == nil {
		return nil, images.Errorf(images.Invalid, `The body must be like {%q: {"key": "value"}}.`, name)
	}
	items := map[string]string{}
	for key, value := range body[name] {
		if value == nil {
			return nil, images.Errorf(images.Invalid, "The value of %.100q is null; it must be a text.", key)
		}
		items[key] = *value
	}
	return items, nil
}

func (a *api) computeAddMetadata(w http.ResponseWriter, r *http.Request) error {
	add, err := metadataBody(w, r, "metadata")
	if err != nil {
		return err
	}
	is, err := a.changeMetadata(r, func(m map[string]string) error { maps.Copy(m, add); return nil })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"metadata": is})
	return nil
}

func (a *api) computeSetMetadata(w http.ResponseWriter, r *http.Request) error {
	set, err := metadataBody(w, r, "metadata")
	if err != nil {
		return err
	}
	is, err := a.changeMetadata(r, func(m map[string]string) error { clear(m); maps.Copy(m, set); return nil })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"metadata": is})
	return nil
}

func (a *api) computeSetKey(w http.ResponseWriter, r *http.Request) error {
	meta, err := metadataBody(w, r, "meta")
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := meta[key]
	if !ok || len(meta) != 1 {
		return images.Errorf(images.Invalid, "The body must have the one key %.64q, as the address does.", key)
	}
	if _, err := a.changeMetadata(r, func(m map[string]string) error { m[key] = value; return nil }); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"meta": meta})
	return nil
}

func (a *api) computeRemoveKey(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("key")
	_, err := a.changeMetadata(r, func(m map[string]string) error {
		if _, ok := m[key]; !ok {
			return images.Errorf(images.NotFound, "The image has no metadata %.64q.", key)
		}
		delete(m, key)
		return nil
	})
	return a.done(w, err)
}
