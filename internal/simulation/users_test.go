package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"bullion/internal/images"
)

// session is a user at work.
type session struct {
	*world
	user
	ctx context.Context
	p   *process
}

// reply is an answer of the API; status 0 is a connection that broke.
type reply struct {
	status int
	header http.Header
	body   []byte
	since  int // the step of the request
}

func (r reply) decode(v any) bool { return json.Unmarshal(r.body, v) == nil }

const patchType = "application/openstack-images-v2.1-json-patch"

// ask makes a request and judges what its answer gives away.
func (s *session) ask(method, path, contentType string, body io.Reader) reply {
	r := reply{}
	answered := make(chan *httptest.ResponseRecorder, 1)
	_, err := s.effect(s.ctx, "asks "+method+" "+path, nil, func() error {
		r.since = s.step
		s.serve(method, func(ctx context.Context, p *process) {
			defer close(answered)
			request := httptest.NewRequest(method, path, body).WithContext(ctx)
			request.Header.Set("X-Auth-Token", s.UserID)
			if contentType != "" {
				request.Header.Set("Content-Type", contentType)
			}
			rec := httptest.NewRecorder()
			s.handler.ServeHTTP(rec, request)
			if !p.on.dead.Load() {
				answered <- rec
			}
		})
		return nil
	})
	if err != nil {
		return r
	}
	rec, ok := <-answered
	if !ok || s.p.rnd.IntN(1000) < s.faults.lose {
		return r // the answer is lost, whatever was done
	}
	r.status, r.header, r.body = rec.Code, rec.Header(), rec.Body.Bytes()
	s.note("%s: %d", s.p.name, r.status)
	s.judge(method, path, r)
	return r
}

func (s *session) json(method, path, body string) reply {
	return s.ask(method, path, "application/json", strings.NewReader(body))
}

// judge says whether the answer tells somebody of an image that is not for them.
func (s *session) judge(method, path string, r reply) {
	if r.status == http.StatusInternalServerError {
		s.truth.violate("%s %s is answered with 500: %s", method, path, r.body)
	}
	if s.Has("admin") {
		return
	}
	if path == "/v2/images" && method == http.MethodGet {
		var list struct{ Images []struct{ ID string } }
		r.decode(&list)
		for _, i := range list.Images {
			if !s.truth.visible(i.ID, s.ProjectID, r.since) {
				s.truth.violate("a list of %s has image %s, which it could not see", s.UserID, i.ID)
			}
		}
		return
	}
	rest, ok := strings.CutPrefix(path, "/v2/images/")
	if !ok || len(rest) < 36 || s.truth.visible(rest[:36], s.ProjectID, r.since) {
		return
	}
	if f := s.truth.images[rest[:36]]; f != nil && f.is.Owner == s.ProjectID && strings.HasSuffix(path, "/history") {
		return // outlives the image
	}
	switch r.status {
	case http.StatusNotFound, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 499:
	default:
		s.truth.violate("%s %s of %s is answered with %d, and %s could not see that image: %s", method, path, s.UserID, r.status, s.ProjectID, r.body)
	}
}

// work does a few things, one after the other.
func (s *session) work() {
	for range 3 + s.p.rnd.IntN(6) {
		id := s.someone()
		at := "/v2/images/" + id
		if id == "" || s.p.rnd.IntN(5) == 0 {
			s.create()
			continue
		}
		switch s.p.rnd.IntN(24) {
		case 0, 1, 2, 3:
			s.upload(id)
		case 4, 5:
			s.putFile(id)
		case 6, 7:
			s.stage(id)
		case 8, 9, 10:
			s.fetch(id)
		case 11, 12:
			s.delete(id)
		case 13:
			visibility := []string{"private", "shared", "community", "public"}[s.p.rnd.IntN(4)]
			s.ask("PATCH", at, patchType, strings.NewReader(fmt.Sprintf(`[{"op":"replace","path":"/visibility","value":%q}]`, visibility)))
		case 14:
			s.ask("PATCH", at, patchType, strings.NewReader(fmt.Sprintf(`[{"op":"replace","path":"/protected","value":%v}]`, s.p.rnd.IntN(3) == 0)))
		case 15:
			other := s.users[s.p.rnd.IntN(len(s.users))]
			if !other.stranger {
				s.json("POST", at+"/members", fmt.Sprintf(`{"member":%q}`, other.ProjectID))
			}
		case 16:
			s.json("PUT", at+"/members/"+s.ProjectID, `{"status":"accepted"}`)
		case 17:
			s.ask("DELETE", at+"/members/"+s.users[s.p.rnd.IntN(len(s.users))].ProjectID, "", nil)
		case 18:
			s.ask("POST", at+"/actions/"+[]string{"deactivate", "reactivate"}[s.p.rnd.IntN(2)], "", nil)
		case 19, 20:
			s.download(id)
		case 21:
			s.ask("GET", "/v2/images", "", nil)
		case 22:
			s.ask("GET", at+[]string{"", "/history", "/members", "/tasks"}[s.p.rnd.IntN(4)], "", nil)
		case 23:
			s.abort(id)
		}
	}
}

// someone is an image that the user may have heard of.
func (s *session) someone() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == 0 {
		return ""
	}
	return s.known[len(s.known)-1-s.p.rnd.IntN(min(len(s.known), 4))]
}

func (s *session) create() {
	body := `{"name":"x","disk_format":"raw","container_format":"bare"`
	if id := s.someone(); id != "" && s.p.rnd.IntN(5) == 0 {
		body += fmt.Sprintf(`,"id":%q`, id)
	}
	r := s.json("POST", "/v2/images", body+"}")
	var made struct{ ID string }
	if r.status != http.StatusCreated || !r.decode(&made) {
		return
	}
	s.mu.Lock()
	s.known = append(s.known, made.ID)
	s.mu.Unlock()
	if s.truth.images[made.ID] == nil {
		s.truth.violate("image %s was acknowledged and is not there", made.ID)
	}
}

func (s *session) file() file { return s.files[s.p.rnd.IntN(len(s.files))] }

// upload goes the way of a careful client: it opens, sends and completes; or that of one that forgets.
func (s *session) upload(id string) {
	f := s.file()
	declared := ""
	if s.p.rnd.IntN(3) == 0 {
		declared = s.file().hash // may be that of other bytes
	}
	at := "/v2/images/" + id + "/uploads"
	r := s.json("POST", at, fmt.Sprintf(`{"size":%d,"sha512":%q}`, len(f.body), declared))
	type signed struct {
		Number, Size int
		Request      struct {
			Method, URL string
			Headers     map[string]string
		}
	}
	var up struct {
		ID       string
		PartSize int `json:"part_size"`
		Signed   []json.RawMessage
	}
	if r.status != http.StatusCreated || !r.decode(&up) {
		return
	}
	if s.p.rnd.IntN(12) == 0 {
		return // and is never heard of again
	}
	for _, text := range up.Signed {
		var part signed
		var flat struct {
			Method, URL string
			Headers     map[string]string
		}
		if json.Unmarshal(text, &part) != nil || json.Unmarshal(text, &flat) != nil {
			s.truth.violate("a signed part cannot be read: %s", text)
			return
		}
		if part.Request.URL == "" {
			part.Request = flat
		}
		body := f.body[(part.Number-1)*up.PartSize:]
		body = body[:part.Size]
		for range 1 + s.p.rnd.IntN(2) { // some send everything twice
			request, err := http.NewRequestWithContext(s.ctx, part.Request.Method, part.Request.URL, bytes.NewReader(body))
			if err != nil {
				s.truth.violate("a signed request is none: %v", err)
				return
			}
			for name, value := range part.Request.Headers {
				request.Header.Set(name, value)
			}
			answer, err := (&wire{s.world}).RoundTrip(request)
			if err == nil && answer.StatusCode == http.StatusOK && s.p.rnd.IntN(3) > 0 {
				break
			}
		}
	}
	if s.p.rnd.IntN(8) == 0 {
		s.abandon(id, up.ID)
		return
	}
	if s.p.rnd.IntN(10) == 0 {
		return // the event alone has to do
	}
	for range 3 {
		r = s.ask("POST", at+"/"+up.ID+"/complete", "", nil)
		if r.status == http.StatusAccepted {
			s.truth.promised[up.ID] = f.hash
			if declared != "" && declared != f.hash {
				s.truth.promised[up.ID] = "" // is going to be rejected
			}
		}
		if r.status != 0 && r.status < 500 {
			break
		}
	}
}

// abort gives up the upload that the image has.
func (s *session) abort(id string) {
	if f := s.truth.images[id]; f != nil && f.is.Upload != nil {
		s.abandon(id, f.is.Upload.ID)
	}
}

func (s *session) abandon(id, upload string) {
	s.truth.gaveUp[upload] = true
	s.ask("DELETE", "/v2/images/"+id+"/uploads/"+upload, "", nil)
}

// body is what a user sends as a stream: whole, or broken off.
func (s *session) body(f file) io.Reader {
	var r io.Reader = bytes.NewReader(f.body)
	switch s.p.rnd.IntN(6) {
	case 0:
		return io.MultiReader(bytes.NewReader(f.body[:len(f.body)/2]), broken{})
	case 1, 2:
		return io.MultiReader(r) // of unknown length
	}
	return r
}

func (s *session) putFile(id string) {
	f := s.file()
	r := s.ask("PUT", "/v2/images/"+id+"/file", "application/octet-stream", s.body(f))
	if r.status == http.StatusNoContent && s.service.Examine != nil && !s.truth.images[id].active[f.hash] {
		s.truth.violate("PUT …/file of image %s is answered with 204, and it was never active with these bytes", id)
	}
}

func (s *session) stage(id string) {
	r := s.ask("PUT", "/v2/images/"+id+"/stage", "application/octet-stream", s.body(s.file()))
	if r.status == http.StatusNoContent && s.p.rnd.IntN(5) > 0 {
		s.json("POST", "/v2/images/"+id+"/import", `{"method":{"name":"glance-direct"}}`)
	}
}

func (s *session) fetch(id string) {
	names := []string{"good-small", "good-medium", "plain-good-small", "cutting-good-medium", "changing-medium", "packed-good", "wrong", "missing"}
	if slices.ContainsFunc(s.files, func(f file) bool { return f.name == "large" }) {
		names = append(names, "good-large", "good-large", "good-large")
	}
	name := names[s.p.rnd.IntN(len(names))]
	r := s.json("POST", "/v2/images/"+id+"/import", fmt.Sprintf(`{"method":{"name":"web-download","uri":"http://127.0.0.1:8080/%s"}}`, name))
	if r.status != http.StatusAccepted || s.p.rnd.IntN(4) > 0 {
		return
	}
	done := make(chan error, 1)
	_, err := s.effect(s.ctx, "cancels the import of "+short(id), nil, func() error {
		s.serve("cancel", func(ctx context.Context, _ *process) { done <- s.service.CancelImport(ctx, s.Caller, id) })
		return nil
	})
	if err == nil {
		<-done
	}
}

func (s *session) delete(id string) {
	r := s.ask("DELETE", "/v2/images/"+id, "", nil)
	if r.status != http.StatusNoContent {
		return
	}
	if is := s.truth.images[id].is; is.Status != images.StatusPendingDelete && is.Status != images.StatusDeleted {
		s.truth.violate("the delete of image %s is acknowledged, and it is %s", id, is.Status)
	}
}

// download follows the redirect, and reads what is there.
func (s *session) download(id string) {
	r := s.ask("GET", "/v2/images/"+id+"/file", "", nil)
	if r.status != http.StatusFound {
		return
	}
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, r.header.Get("Location"), nil)
	if err != nil {
		s.truth.violate("the address of a download is none: %v", err)
		return
	}
	answer, err := (&wire{s.world}).RoundTrip(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		return // refused by the simulation, expired, or deleted meanwhile
	}
	got, err := io.ReadAll(answer.Body)
	if err == nil && !s.truth.images[id].active[hashOf(got)] {
		s.truth.violate("a download of image %s gives bytes with which it was never active", id)
	}
}

// enter lets the users begin.
func (w *world) enter() {
	for _, u := range w.users {
		m := newMachine()
		m.user = true
		w.start(m, u.UserID, func(ctx context.Context, p *process) {
			(&session{w, u, ctx, p}).work()
		})
	}
	w.settle()
}

// pause is for how long the time may go on at once while users work.
func (w *world) pause() time.Duration {
	switch n := w.rnd.IntN(100); {
	case n < 55:
		return time.Duration(1+w.rnd.IntN(5)) * time.Second
	case n < 80:
		return time.Duration(30+w.rnd.IntN(120)) * time.Second
	case n < 92:
		return time.Duration(5+w.rnd.IntN(30)) * time.Minute
	case n < 98:
		return time.Duration(1+w.rnd.IntN(3)) * time.Hour
	}
	return 8 * 24 * time.Hour
}
