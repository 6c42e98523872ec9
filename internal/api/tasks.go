package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"bullion/internal/images"
)

// taskDocument is an import as a task of Glance's.
type taskDocument struct {
	ID        string           `json:"id"`
	Type      string           `json:"type"`
	Status    images.TaskState `json:"status"`
	Owner     string           `json:"owner"`
	UserID    string           `json:"user_id"`
	RequestID string           `json:"request_id"`
	ImageID   string           `json:"image_id"`
	Input     *taskInput       `json:"input,omitempty"`
	Result    map[string]any   `json:"result"`
	Message   string           `json:"message"`
	Progress  *taskProgress    `json:"bullion_progress,omitempty"`
	ExpiresAt *string          `json:"expires_at"`
	CreatedAt string           `json:"created_at"`
	UpdatedAt string           `json:"updated_at"`
	Deleted   bool             `json:"deleted"`
	DeletedAt *string          `json:"deleted_at"`
	Self      string           `json:"self"`
	Schema    string           `json:"schema"`
}

// taskInput is what was asked for, in the words of the task's type.
type taskInput struct {
	ImageID        string          `json:"image_id"`
	ImportReq      json.RawMessage `json:"import_req,omitempty"`
	LocURL         string          `json:"loc_url,omitempty"`
	ValidationData json.RawMessage `json:"validation_data,omitempty"`
}

// taskProgress is how far a task is that runs. It is our own; Glance's tasks do not tell.
type taskProgress struct {
	Phase string `json:"phase"` // wait, fetch, inspect or hash
	Done  int64  `json:"done"`  // bytes
	Total int64  `json:"total"` // bytes; 0 when not known
}

// progressOf is nil when the import does not run.
func progressOf(i *images.Image) *taskProgress {
	m, u := i.Import, i.Upload
	switch {
	case m.State == images.TaskPending:
		return &taskProgress{Phase: "wait"}
	case m.State != images.TaskProcessing:
		return nil
	case i.Fetching():
		return &taskProgress{"fetch", m.Fetched, m.Total}
	case u != nil && u.Validation != nil && u.Object != nil:
		return &taskProgress{string(u.Validation.Phase), u.Validation.Hashed, u.Object.Size}
	}
	return nil
}

// The types of task.
const (
	typeImport   = "api_image_import"
	typeLocation = "location_import"
)

func task(i *images.Image) taskDocument {
	m := i.Import
	d := taskDocument{ID: m.TaskID, Type: typeImport, Status: m.State, Owner: i.Owner, UserID: m.UserID, RequestID: m.RequestID, ImageID: i.ID,
		Message: m.Message, Progress: progressOf(i), CreatedAt: timestamp(m.CreatedAt), UpdatedAt: timestamp(m.UpdatedAt), Self: "/v2/tasks/" + m.TaskID, Schema: "/v2/schemas/task"}
	request := json.RawMessage("{}")
	if m.Request != "" {
		request = json.RawMessage(m.Request)
	}
	d.Input = &taskInput{ImageID: i.ID, ImportReq: request}
	if m.Method == images.LocationImport {
		var body locationBody
		if json.Unmarshal(request, &body) == nil { // it was read once, before it was kept
			d.Type, d.Input = typeLocation, &taskInput{ImageID: i.ID, LocURL: body.URL, ValidationData: body.ValidationData}
		}
	}
	if m.State == images.TaskSuccess {
		d.Result = map[string]any{"image_id": i.ID}
	}
	return d
}

func (a *api) imageTasks(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.ImportOf(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	list := []taskDocument{}
	if i.Import != nil {
		list = append(list, task(i))
	}
	writeJSON(w, http.StatusOK, map[string]any{"tasks": list})
	return nil
}

func (a *api) showTask(w http.ResponseWriter, r *http.Request) error {
	i, err := a.Images.Task(r.Context(), callerOf(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, task(i))
	return nil
}

// listTasks lists the imports, those whose image changed last first. It reads as many images as the page may have tasks, so a page may be short, or empty, and still
// have a next. sort_key and sort_dir are taken, since glanceclient always sends them, and have no effect.
func (a *api) listTasks(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	limit := images.DefaultPage
	if text := params.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return images.Errorf(images.Invalid, "limit must be a whole number from 0, not %.40q.", text)
		}
		limit = min(n, images.MaxPage)
	}
	page, err := a.Images.Tasks(r.Context(), callerOf(r), params.Get("marker"), limit)
	if err != nil {
		return err
	}
	list := []taskDocument{}
	for _, i := range page.Images {
		if i.Import == nil {
			continue
		}
		d := task(i)
		d.Input, d.Result = nil, nil // as in Glance, a list is short
		if status := params.Get("status"); status != "" && status != string(d.Status) {
			continue
		}
		if kind := params.Get("type"); kind != "" && kind != d.Type {
			continue
		}
		list = append(list, d)
	}
	link := func(marker string) string {
		params.Del("marker")
		if marker != "" {
			params.Set("marker", marker)
		}
		return (&url.URL{Path: "/v2/tasks", RawQuery: params.Encode()}).String()
	}
	body := map[string]any{"tasks": list, "first": link(""), "schema": "/v2/schemas/tasks"}
	if page.Next != nil {
		body["next"] = link(page.Next.ID)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
