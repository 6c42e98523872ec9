package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	"index.html":                  {Data: []byte("<!doctype html>")},
	"bullion.svg":                 {Data: []byte("<svg/>")},
	"assets/a-1234.js":            {Data: []byte("let a = 1;")},
	"assets/a-1234.js.br":         {Data: []byte("BR")},
	"assets/a-1234.js.gz":         {Data: []byte("GZ")},
	"assets/check.worker-1234.js": {Data: []byte("let w;")},
	"assets/b-1234.css":           {Data: []byte("a{}")},
	"assets/c-1234.wasm":          {Data: []byte("\x00asm")},
	"assets/d-1234.woff2":         {Data: []byte("wOF2")},
	"assets/b-1234.css.gz":        {Data: []byte("GZ")},
}

func get(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	handler(built, []string{"https://s3.example.org"}).ServeHTTP(w, r)
	return w.Result()
}

func TestFilesAreServedWithTheirTypeAndAge(t *testing.T) {
	const forEver, always = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct{ path, contentType, cache string }{
		{"/", "text/html; charset=utf-8", always},
		{"/index.html", "text/html; charset=utf-8", always},
		{"/bullion.svg", "image/svg+xml", always},
		{"/assets/a-1234.js", "text/javascript; charset=utf-8", forEver},
		{"/assets/b-1234.css", "text/css; charset=utf-8", forEver},
		{"/assets/c-1234.wasm", "application/wasm", forEver},
		{"/assets/d-1234.woff2", "font/woff2", forEver},
	} {
		t.Run(c.path, func(t *testing.T) {
			r := get(t, "GET", c.path)
			if got, want := r.StatusCode, 200; got != want {
				t.Fatalf("status %d, want %d", got, want)
			}
			if got := r.Header.Get("Content-Type"); got != c.contentType {
				t.Errorf("Content-Type %q, want %q", got, c.contentType)
			}
			if got := r.Header.Get("Cache-Control"); got != c.cache {
				t.Errorf("Cache-Control %q, want %q", got, c.cache)
			}
		})
	}
}

func TestWhatIsNotAFileIsNotFound(t *testing.T) {
	for _, path := range []string{"/nothing", "/assets", "/assets/", "/../handler.go", "/assets/a-1234.js.br", "/assets/../../go.mod"} {
		if got, want := get(t, "GET", path).StatusCode, 404; got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
}

func TestWhatGovernsAPageOrAWorkerCarriesThePolicy(t *testing.T) {
	for _, path := range []string{"/", "/bullion.svg", "/nothing", "/assets/check.worker-1234.js"} {
		h := get(t, "GET", path).Header
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "connect-src 'self' https://s3.example.org", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe-inline") || strings.Contains(policy, "'unsafe-eval'") {
			t.Errorf("%s: the policy %q allows what it must not", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestTheSmallestFormThatTheClientTakesIsSent(t *testing.T) {
	for _, c := range []struct{ name, path, accept, encoding, body string }{
		{"brotli before gzip", "/assets/a-1234.js", "gzip, deflate, br", "br", "BR"},
		{"gzip when brotli is refused", "/assets/a-1234.js", "br;q=0, gzip", "gzip", "GZ"},
		{"gzip when there is no brotli form", "/assets/b-1234.css", "gzip, br", "gzip", "GZ"},
		{"as it is when nothing is taken", "/assets/a-1234.js", "", "", "let a = 1;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(t, "GET", c.path, "Accept-Encoding", c.accept)
			if got := r.Header.Get("Content-Encoding"); got != c.encoding {
				t.Errorf("Content-Encoding %q, want %q", got, c.encoding)
			}
			body := make([]byte, 64)
			n, _ := r.Body.Read(body)
			if got := string(body[:n]); got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
			if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary %q, want Accept-Encoding", got)
			}
		})
	}
}

func TestAPageThatIsTheSameCostsA304(t *testing.T) {
	tag := get(t, "GET", "/").Header.Get("ETag")
	if got, want := get(t, "GET", "/", "If-None-Match", tag).StatusCode, 304; got != want {
		t.Errorf("status %d, want %d", got, want)
	}
	if got, want := get(t, "GET", "/", "If-None-Match", `"other"`).StatusCode, 200; got != want {
		t.Errorf("status %d, want %d", got, want)
	}
}

func TestTheDashboardIsOnlyRead(t *testing.T) {
	r := get(t, "POST", "/")
	if got, want := r.StatusCode, 405; got != want {
		t.Errorf("status %d, want %d", got, want)
	}
	if got, want := r.Header.Get("Allow"), "GET, HEAD"; got != want {
		t.Errorf("Allow %q, want %q", got, want)
	}
}

func TestAProgramWithoutTheFilesStillHasAPage(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "<!doctype html>") {
		t.Errorf("got %d with %d bytes, want a page", w.Code, w.Body.Len())
	}
}
