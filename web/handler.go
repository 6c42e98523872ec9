package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Handler serves the dashboard at any prefix that the caller strips. connectSrc are the origins beside the page's own to which it sends
// requests: where the signed URLs of uploads lead, such as https://s3.eu-central-1.amazonaws.com.
//
// Names with a hash never change, so browsers keep them for a year; the page itself is asked for every time and costs a 304 when it is the same.
func Handler(connectSrc []string) http.Handler { return handler(FS(), connectSrc) }

func handler(files fs.FS, connectSrc []string) http.Handler {
	policy := Policy(connectSrc)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if name := fileName(r); governs(name) {
			h.Set("Content-Security-Policy", policy)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
			h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "The dashboard is only read.", http.StatusMethodNotAllowed)
			return
		}
		serve(w, r, files)
	})
}

// Policy is the Content-Security-Policy of the page. Cloudscape sets styles through the object model, which needs no 'unsafe-inline'; the check
// before an upload is WebAssembly, which needs the narrow 'wasm-unsafe-eval'.
func Policy(connectSrc []string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self' 'wasm-unsafe-eval'",
		"style-src 'self'",
		"font-src 'self'",
		"img-src 'self' data:",
		"connect-src " + strings.Join(append([]string{"'self'"}, connectSrc...), " "),
		"worker-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

func fileName(r *http.Request) string {
	if name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/"); name != "" {
		return name
	}
	return "index.html"
}

// governs says whether the headers of a file bind what runs: those of a page and of a worker do, those of what they load do not, and would be a
// kilobyte with each of dozens of files. A page that is not found has them too.
func governs(name string) bool {
	return !strings.HasPrefix(name, "assets/") || strings.Contains(name, ".worker-")
}

func serve(w http.ResponseWriter, r *http.Request, files fs.FS) {
	name := fileName(r)
	if strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz") {
		http.NotFound(w, r) // forms of a file, not files
		return
	}
	whole, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		http.NotFound(w, r)
		return
	} else if err != nil {
		http.NotFound(w, r) // a folder
		return
	}
	body, encoding := encoded(files, name, whole, r.Header.Get("Accept-Encoding"))

	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	h.Set("Content-Type", contentType(name))
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	sum := sha256.Sum256(whole)
	tag := `"` + hex.EncodeToString(sum[:12]) + encoding + `"`
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

// encoded picks the smallest form of a file that the client takes.
func encoded(files fs.FS, name string, whole []byte, accepts string) (body []byte, encoding string) {
	for _, form := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !takes(accepts, form.coding) {
			continue
		}
		if small, err := fs.ReadFile(files, name+form.suffix); err == nil {
			return small, form.coding
		}
	}
	return whole, ""
}

// takes says whether an Accept-Encoding header names the coding with a weight above 0.
func takes(header, coding string) bool {
	for item := range strings.SplitSeq(header, ",") {
		token, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		if !strings.EqualFold(strings.TrimSpace(token), coding) {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}

// contentType does not ask the operating system, whose table may lack what browsers insist on.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".wasm":
		return "application/wasm"
	case ".woff2":
		return "font/woff2"
	case ".json":
		return "application/json"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
