package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bullion/internal/images"
)

// Whatever clients send is either refused as Invalid or a query within its bounds.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=5&marker=x", "sort=name:asc,size", "sort_key=name&sort_dir=desc", `name=in:a,"b,c"`, "created_at=gte:2026-01-31T00:00:00Z",
		"size_min=1&size_max=2", "tag=a&tag=b", "visibility=all&member_status=all", "os_hidden=True", "limit=-1", "sort=:", "x=%ff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, _, err := parseQuery(params)
		if err != nil {
			if got := images.KindOf(err); got != images.Invalid {
				t.Errorf("parseQuery(%q): %v of kind %d, want Invalid", raw, err, got)
			}
			return
		}
		if q.Limit < 0 || q.Limit > images.MaxPage {
			t.Errorf("parseQuery(%q): limit %d, want 0 to %d", raw, q.Limit, images.MaxPage)
		}
		q.Order()
	})
}

// A pointer that is taken names one attribute, and encoding that name gives the pointer back.
func FuzzPointer(f *testing.F) {
	for _, seed := range []string{"/name", "/a~1b", "/a~0b", "/", "name", "/a/b", "/~", "/~01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := pointer(path)
		if err != nil {
			return
		}
		if got := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name); got != path {
			t.Errorf("pointer(%q) = %q, which is written %q", path, name, got)
		}
	})
}

// A patch of either form is refused as Invalid, or names attributes and says what to do with them.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"op":"add","path":"/name","value":"x"}]`, `[{"op":"remove","path":"/a~1b"}]`, `[{"op":"add","path":"/locations/-","value":{}}]`,
		`[{"replace":"/name","value":null}]`, `[{"add":"/a","remove":"/b","value":1}]`, `[{"op":1,"path":[]}]`, `[null]`, `[{"op":"move","path":"/a","from":"/b"}]`} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, old bool) {
		var raw []map[string]any
		if json.Unmarshal([]byte(text), &raw) != nil {
			return
		}
		ops, err := parsePatch(raw, old)
		if err != nil {
			if got := images.KindOf(err); got != images.Invalid {
				t.Errorf("parsePatch(%q, %v): %v of kind %d, want Invalid", text, old, err, got)
			}
			return
		}
		for _, op := range ops {
			if op.Op == "" || op.Name == "" {
				t.Errorf("parsePatch(%q, %v) gives %+v, want an op and a name", text, old, op)
			}
		}
	})
}

// Whatever is in a header, a request is answered by something other than 500, and a version that is taken is one.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{"2.1", "2.35", "2.36", "latest", "compute 2.1", "2.", "3.1", "2.99999", "2.-1", `"1"`, "*", `W/"1"`, "0", "-1", "1e9", "application/json; q"} {
		f.Add(seed)
	}
	handler := New(Config{Compute: true, Images: &images.Service{}})
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/v2.1/images", nil)
		for _, name := range []string{"If-Match", "If-None-Match", "Accept", "X-OpenStack-Nova-API-Version", "OpenStack-API-Version", sizeHeader, "Content-Type", "X-Image-Meta-Store"} {
			r.Header.Set(name, value)
		}
		if version, err := ifMatch(r); err == nil && version < 0 || err != nil && images.KindOf(err) != images.PreconditionFailed {
			t.Errorf("ifMatch of %q: %d, %v", value, version, err)
		}
		w := httptest.NewRecorder()
		if err := until(lastImagesVersion, func(http.ResponseWriter, *http.Request) error { return nil })(w, r); err != nil {
			if kind := images.KindOf(err); kind != images.Invalid && kind != images.NotFound {
				t.Errorf("the microversion %q: %v of kind %d", value, err, kind)
			}
		} else if got := w.Header().Get("X-OpenStack-Nova-API-Version"); !strings.HasPrefix(got, "2.") {
			t.Errorf("the microversion %q is answered with %q", value, got)
		}
		if _, size, err := (&api{}).fileBody(w, r); err == nil && size < -1 {
			t.Errorf("the size %q is taken as %d", value, size)
		}
		for _, path := range []string{"/", "/openapi.json", "/v2/images", "/v2.1/images"} {
			r.URL.Path = path
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, r)
			if answer.Code >= 500 {
				t.Errorf("%s with %q in every header: %d", path, value, answer.Code)
			}
		}
	})
}

// The filters of the Compute API become a query within its bounds too, and what a location must have is a kind and digits.
func FuzzCompute(f *testing.F) {
	for _, seed := range []string{"limit=0", "limit=5&marker=x", "status=saving", "changes-since=2026-01-31T00:00:00Z", "server=http://h/servers/1", "property-a=b",
		"property-name=b", "minRam=x", "page_size=-1", `{"os_hash_algo":"sha256","os_hash_value":"00"}`, `{}`, `null`, `[1]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if sum, err := locationChecksum([]byte(raw)); err == nil && sum != "" && !strings.Contains(sum, ":") || err != nil && images.KindOf(err) != images.Invalid {
			t.Errorf("locationChecksum(%q) = %q, %v", raw, sum, err)
		}
		params, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, _, err := computeQuery(params)
		switch {
		case err != nil && images.KindOf(err) != images.Invalid:
			t.Errorf("computeQuery(%q): %v of kind %d, want Invalid", raw, err, images.KindOf(err))
		case err == nil && (q.Limit < 1 || q.Limit > images.MaxPage):
			t.Errorf("computeQuery(%q): limit %d, want 1 to %d", raw, q.Limit, images.MaxPage)
		}
	})
}
