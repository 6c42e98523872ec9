package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"bullion/internal/images"
)

// outside runs calls in a goroutine outside the bubble: the connections and goroutines of a store do not belong to a run.
type outside struct {
	calls chan func()
	done  chan struct{}
}

func newOutside() *outside {
	o := &outside{calls: make(chan func()), done: make(chan struct{})}
	go func() {
		for f := range o.calls {
			f()
			o.done <- struct{}{}
		}
	}()
	return o
}

func (o *outside) do(f func()) {
	o.calls <- f
	<-o.done
}

// records is a Store whose every call is an effect, and whose writes the truth is told of.
type records struct {
	w     *world
	store images.Store
}

var _ images.Store = (*records)(nil)

func call[T any](r *records, ctx context.Context, what string, f func(context.Context) (T, error), then func()) (v T, err error) {
	may := []fate{refused}
	if then != nil {
		may = append(may, lose)
	}
	_, err = r.w.effect(ctx, "record "+what, may, func() (err error) {
		r.w.outside.do(func() { v, err = f(context.Background()) })
		if err == nil && then != nil {
			then()
		}
		return err
	})
	if errors.Is(err, errRefused) || errors.Is(err, errLost) {
		err = images.Wrap(images.Unavailable, err, "The database does not answer; try again.")
	}
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

func (r *records) Apply(ctx context.Context, w images.Write) error {
	to := "new"
	if w.Was != nil {
		to = string(w.Was.Status)
	}
	to += " → " + string(w.Is.Status)
	if u := w.Is.Upload; u != nil {
		to += ", upload " + string(u.State)
	}
	_, err := call(r, ctx, "Apply "+short(w.Is.ID)+" "+to, func(ctx context.Context) (int, error) { return 0, r.store.Apply(ctx, w) }, func() { r.w.truth.applied(w) })
	return err
}

func (r *records) Image(ctx context.Context, id string) (*images.Image, error) {
	return call(r, ctx, "Image "+short(id), func(ctx context.Context) (*images.Image, error) { return r.store.Image(ctx, id) }, nil)
}

func (r *records) Position(ctx context.Context, id string) (*images.Image, error) {
	return call(r, ctx, "Position "+short(id), func(ctx context.Context) (*images.Image, error) { return r.store.Position(ctx, id) }, nil)
}

func (r *records) List(ctx context.Context, q *images.Query) (images.Page, error) {
	return call(r, ctx, "List", func(ctx context.Context) (images.Page, error) { return r.store.List(ctx, q) }, nil)
}

func (r *records) Due(ctx context.Context, at time.Time, limit int) ([]*images.Image, error) {
	return call(r, ctx, "Due", func(ctx context.Context) ([]*images.Image, error) { return r.store.Due(ctx, at, limit) }, nil)
}

func (r *records) Members(ctx context.Context, imageID string) ([]images.Member, error) {
	return call(r, ctx, "Members "+short(imageID), func(ctx context.Context) ([]images.Member, error) { return r.store.Members(ctx, imageID) }, nil)
}

func (r *records) Member(ctx context.Context, imageID, projectID string) (*images.Member, error) {
	return call(r, ctx, "Member "+short(imageID), func(ctx context.Context) (*images.Member, error) { return r.store.Member(ctx, imageID, projectID) }, nil)
}

func (r *records) CreateMember(ctx context.Context, m images.Member) error {
	_, err := call(r, ctx, "CreateMember "+short(m.ImageID), func(ctx context.Context) (int, error) { return 0, r.store.CreateMember(ctx, m) },
		func() { r.w.truth.shared(m.ImageID, m.ProjectID, true) })
	return err
}

func (r *records) UpdateMember(ctx context.Context, m images.Member) error {
	_, err := call(r, ctx, "UpdateMember "+short(m.ImageID), func(ctx context.Context) (int, error) { return 0, r.store.UpdateMember(ctx, m) }, func() {})
	return err
}

func (r *records) DeleteMember(ctx context.Context, imageID, projectID string) error {
	_, err := call(r, ctx, "DeleteMember "+short(imageID), func(ctx context.Context) (int, error) { return 0, r.store.DeleteMember(ctx, imageID, projectID) },
		func() { r.w.truth.shared(imageID, projectID, false) })
	return err
}

func (r *records) Usage(ctx context.Context, projectID string) (images.Usage, error) {
	return call(r, ctx, "Usage", func(ctx context.Context) (images.Usage, error) { return r.store.Usage(ctx, projectID) }, nil)
}

func (r *records) Quota(ctx context.Context, projectID string) (*images.Usage, error) {
	return call(r, ctx, "Quota", func(ctx context.Context) (*images.Usage, error) { return r.store.Quota(ctx, projectID) }, nil)
}

func (r *records) SetQuota(ctx context.Context, projectID string, limit *images.Usage) error {
	_, err := call(r, ctx, "SetQuota", func(ctx context.Context) (int, error) { return 0, r.store.SetQuota(ctx, projectID, limit) }, func() {})
	return err
}

func (r *records) AddEgress(ctx context.Context, projectID, month string, bytes int64) error {
	_, err := call(r, ctx, "AddEgress", func(ctx context.Context) (int, error) { return 0, r.store.AddEgress(ctx, projectID, month, bytes) }, func() {})
	return err
}

func (r *records) Egress(ctx context.Context, projectID, month string) (int64, error) {
	return call(r, ctx, "Egress", func(ctx context.Context) (int64, error) { return r.store.Egress(ctx, projectID, month) }, nil)
}

func (r *records) Events(ctx context.Context, imageID string, after int64, limit int) ([]images.Event, error) {
	return call(r, ctx, "Events "+short(imageID), func(ctx context.Context) ([]images.Event, error) { return r.store.Events(ctx, imageID, after, limit) }, nil)
}

func (r *records) Undelivered(ctx context.Context, limit int) ([]images.Event, error) {
	return call(r, ctx, "Undelivered", func(ctx context.Context) ([]images.Event, error) { return r.store.Undelivered(ctx, limit) }, nil)
}

func (r *records) Delivered(ctx context.Context, events []images.Event) error {
	_, err := call(r, ctx, "Delivered", func(ctx context.Context) (int, error) { return 0, r.store.Delivered(ctx, events) }, func() {})
	return err
}

func (r *records) Close() error { return nil }

func short(id string) string { return id[max(0, len(id)-4):] }

// wire carries requests to the storage, each as an effect.
type wire struct{ w *world }

// Do is for the SDK.
func (t *wire) Do(r *http.Request) (*http.Response, error) { return t.RoundTrip(r) }

// RoundTrip is for clients with signed requests.
func (t *wire) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	ctx := r.Context()
	what := "storage " + r.Method + " " + t.path(r)
	var body []byte
	if r.Body != nil {
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	f, err := t.w.effect(ctx, what, []fate{refused, lose, cut}, func() error {
		served := r.Clone(context.Background())
		served.Body, served.Host = io.NopCloser(bytes.NewReader(body)), r.URL.Host
		rec := httptest.NewRecorder()
		t.w.storage.ServeHTTP(rec, served)
		answer = rec.Result()
		answer.Request = r
		return nil
	})
	switch {
	case f == refused && len(what)%2 == 0: // an overloaded S3 says so, or the connection breaks
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader("<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"))}, nil
	case err != nil:
		return nil, err
	case f == cut && r.Method == http.MethodGet && answer.ContentLength != 0:
		whole, err := io.ReadAll(answer.Body)
		if err != nil {
			return nil, err
		}
		answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), broken{}))
	}
	return answer, nil
}

// path is a request's target without what is secret or long.
func (t *wire) path(r *http.Request) string {
	parts := strings.Split(r.URL.Path, "/")
	name := ""
	if len(parts) == 5 {
		name = short(parts[3]) + "/" + short(parts[4])
	}
	q := r.URL.Query()
	for _, k := range []string{"uploads", "uploadId", "partNumber", "versions", "list-type"} {
		if q.Has(k) {
			name += fmt.Sprintf(" %s=%s", k, q.Get(k))
		}
	}
	return name + r.Header.Get("Range")
}

// broken is the rest of a body whose connection broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
