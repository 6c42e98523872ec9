package metrics_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/metrics"
)

// lines are what was written, parsed.
func lines(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out.String()) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("%q is not one line of JSON: %v", line, err)
		}
		all = append(all, doc)
	}
	return all
}

func TestALineHasTheFormThatCloudWatchReads(t *testing.T) {
	var out bytes.Buffer
	w := metrics.New(&out, "bullion-images", func() time.Time { return time.UnixMilli(1773342238000) })
	w.Put(metrics.Uploads, 1, "accepted", map[string]any{"image": "i1"})
	want := []map[string]any{{
		"_aws": map[string]any{"Timestamp": 1773342238000.0, "CloudWatchMetrics": []any{map[string]any{
			"Namespace": "Bullion", "Dimensions": []any{[]any{"Stack", "State"}}, "Metrics": []any{map[string]any{"Name": "Uploads", "Unit": "Count"}},
		}}},
		"Stack": "bullion", "State": "accepted", "Uploads": 1.0, "image": "i1", "Function": "images",
	}}
	if diff := cmp.Diff(want, lines(t, &out)); diff != "" {
		t.Error(diff)
	}
}

func TestARequestIsMeasuredWithItsRouteAndTheKindOfItsError(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/images/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "gone" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	for _, test := range []struct {
		path, route, kind string
		status            float64
	}{
		{"/v2/images/1", "GET /v2/images/{id}", "", 200},
		{"/v2/images/gone", "GET /v2/images/{id}", "not_found", 404},
		{"/nowhere", "none", "not_found", 404},
	} {
		var out bytes.Buffer
		w := metrics.New(&out, "bullion-images", time.Now)
		w.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", test.path, nil))
		got := lines(t, &out)
		if got[0]["Route"] != test.route || got[0]["Status"] != test.status || got[0]["Latency"] == nil || got[0]["Function"] != "images" {
			t.Errorf("%s: got %v", test.path, got[0])
		}
		if test.kind == "" && len(got) != 1 || test.kind != "" && (len(got) != 2 || got[1]["Kind"] != test.kind) {
			t.Errorf("%s: got %v, want the kind %q", test.path, got[1:], test.kind)
		}
	}
}

func TestEveryStatusOfAnErrorHasAKind(t *testing.T) {
	for status, want := range map[int]string{200: "", 302: "", 400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 409: "conflict", 418: "other", 499: "cancelled", 500: "internal", 502: "internal", 503: "unavailable"} {
		if got := metrics.KindOf(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}
