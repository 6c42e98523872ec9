package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bullion/internal/images"
)

// A browser asks before it lets a page of another origin send a file with a token; only the origins that were named hear yes.
func TestPagesOfNamedOriginsMayUseTheAPI(t *testing.T) {
	const horizon = "https://horizon.example.org"
	h := New(Config{Images: &images.Service{}, Auth: anyone{}, Log: slog.New(slog.DiscardHandler), Origins: []string{horizon}})
	ask := func(method, origin string, headers ...string) *http.Response {
		r := httptest.NewRequest(method, "/v2/images/7d1a7a3c-6b7e-4a56-a3a3-5f3f5d0f2a11/file", nil)
		r.Header.Set("Origin", origin)
		for n := 0; n < len(headers); n += 2 {
			r.Header.Set(headers[n], headers[n+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	before := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type,x-auth-token"}

	res := ask(http.MethodOptions, horizon, before...)
	allowed := strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != horizon ||
		!strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "PUT") || !strings.Contains(allowed, "x-auth-token") || !strings.Contains(allowed, "content-type") {
		t.Errorf("the question of a named origin: got %s %v", res.Status, res.Header)
	}
	if res := ask(http.MethodPut, horizon); res.StatusCode != http.StatusUnauthorized || res.Header.Get("Access-Control-Allow-Origin") != horizon {
		t.Errorf("a refusal, which the page must be able to read: got %s %v", res.Status, res.Header)
	}
	for _, stranger := range []string{"https://horizon.example.org.attacker.example", "http://horizon.example.org", "null", ""} {
		for _, res := range []*http.Response{ask(http.MethodOptions, stranger, before...), ask(http.MethodPut, stranger)} {
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" || res.StatusCode < 400 {
				t.Errorf("origin %q: got %s and Access-Control-Allow-Origin %q, want a refusal and none", stranger, res.Status, got)
			}
			if got := res.Header.Get("Vary"); !strings.Contains(got, "Origin") {
				t.Errorf("origin %q: got Vary %q; a cache must tell origins apart", stranger, got)
			}
		}
	}
}
