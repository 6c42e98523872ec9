package wiretest

import (
	"encoding/json"
	"strings"
	"testing"

	"bullion/internal/policy"
)

func TestOperatorsSetQuotasAndNobodyElse(t *testing.T) {
	w := newWorld(t, policy.Default())
	quota := func(method, body string) route {
		return route{method: method, path: "/v2/quotas/{mine}", body: body, contentType: "application/json"}
	}
	const two = `{"images":2,"bytes":100,"in_flight":-1,"uploads":1}`
	for _, caller := range callers {
		for _, r := range []route{quota("GET", ""), quota("PUT", two), quota("DELETE", "")} {
			want := map[string]int{"admin": 200, "nobody": 401, "forger": 401}[caller]
			if want == 0 {
				want = 403
			} else if want == 200 && r.method == "DELETE" {
				want = 204
			}
			if res := w.ask(r, caller, ""); res.Code != want {
				t.Errorf("%s %s: got %d %s, want %d", caller, r.method, res.Code, res.Body, want)
			}
		}
	}
	for _, bad := range []string{`{}`, `{"images":2}`, `{"images":-2,"bytes":1,"in_flight":1,"uploads":1}`, `{"images":"2","bytes":1,"in_flight":1,"uploads":1}`} {
		if res := w.ask(quota("PUT", bad), "admin", ""); res.Code != 400 {
			t.Errorf("%s: got %d %s, want 400", bad, res.Code, res.Body)
		}
	}
	if res := w.ask(quota("PUT", two), "admin", ""); res.Code != 200 {
		t.Fatalf("set: %d %s", res.Code, res.Body)
	}
	create := route{method: "POST", path: "/v2/images", body: `{"name":"x","disk_format":"raw","container_format":"bare"}`, contentType: "application/json"}
	var made struct{ ID string }
	ok(t, json.Unmarshal(w.ask(create, "member", "").Body.Bytes(), &made))
	w.ask(create, "member", "")
	if res := w.ask(create, "member", ""); res.Code != 413 || !strings.Contains(res.Body.String(), "quota of images is 2; it uses 2 and this request needs 1 more") {
		t.Errorf("a third image: got %d %s", res.Code, res.Body)
	}
	upload := func(size string) route {
		return route{method: "POST", path: "/v2/images/{id}/uploads", body: `{"size":` + size + `}`, contentType: "application/json"}
	}
	if res := w.ask(upload("101"), "member", made.ID); res.Code != 413 || !strings.Contains(res.Body.String(), "quota of bytes is 100; it uses 0 and this request needs 101 more") {
		t.Errorf("101 bytes: got %d %s", res.Code, res.Body)
	}
	if res := w.ask(upload("100"), "member", made.ID); res.Code != 201 {
		t.Errorf("100 bytes: got %d %s", res.Code, res.Body)
	}
	if res := w.ask(route{method: "GET", path: "/v2/info/usage"}, "member", ""); res.Code != 200 || !strings.Contains(res.Body.String(), `"image_count_total":{"limit":2,"usage":2}`) {
		t.Errorf("usage: got %d %s", res.Code, res.Body)
	}
	// What was downloaded counts for the project that did it.
	public := w.image("public", true)
	for range 3 {
		if res := w.ask(route{method: "GET", path: "/v2/images/{id}/file"}, "member", public); res.Code != 302 && res.Code != 307 {
			t.Fatalf("download: got %d %s", res.Code, res.Body)
		}
	}
	if res := w.ask(quota("GET", ""), "admin", ""); !strings.Contains(res.Body.String(), `"bytes":30}`) || !strings.Contains(res.Body.String(), `"usage":{"images":2,"bytes":0,"in_flight":100,"uploads":1}`) {
		t.Errorf("quota: got %d %s", res.Code, res.Body)
	}
	w.ask(quota("DELETE", ""), "admin", "")
	if res := w.ask(create, "member", ""); res.Code != 201 {
		t.Errorf("without a quota: got %d %s", res.Code, res.Body)
	}
}
