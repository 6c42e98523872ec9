package wiretest

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// call is one request by a member, with what its answer must be: a status, and JSON that must be in it, "" for none. {id} is the image, {mine} the project.
type call struct {
	name, method, path, body string
	version                  string // of the Compute API
	status                   int
	want                     string
}

// play makes the calls in order and compares. What the golden answer does not name is not compared.
func (w *world) play(t *testing.T, id string, calls []call) {
	t.Helper()
	fill := strings.NewReplacer("{id}", id, "{mine}", w.mine, "{theirs}", w.theirs)
	for _, c := range calls {
		q := httptest.NewRequest(c.method, fill.Replace(c.path), strings.NewReader(c.body))
		q.Header.Set("X-Auth-Token", w.tokens["member"])
		q.Header.Set("Accept", "application/json")
		switch {
		case c.method == "PATCH":
			q.Header.Set("Content-Type", patchType)
		case c.body != "":
			q.Header.Set("Content-Type", "application/json")
		}
		if c.version != "" {
			q.Header.Set("X-OpenStack-Nova-API-Version", c.version)
		}
		res := httptest.NewRecorder()
		w.handler.ServeHTTP(res, q)
		if res.Code != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, res.Code, res.Body, c.status)
			continue
		}
		if c.want == "" {
			continue
		}
		var got, want any
		if err := json.Unmarshal(res.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v in %s", c.name, err, res.Body)
			continue
		}
		ok(t, json.Unmarshal([]byte(fill.Replace(c.want)), &want))
		if diff := cmp.Diff(want, narrowed(got, want)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// narrowed is got with only those members that want has.
func narrowed(got, want any) any {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return got
		}
		out := map[string]any{}
		for k, v := range g {
			if w, ok := want[k]; ok {
				out[k] = narrowed(v, w)
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return got
		}
		out := make([]any, len(g))
		for n := range g {
			out[n] = narrowed(g[n], want[n])
		}
		return out
	}
	return got
}
