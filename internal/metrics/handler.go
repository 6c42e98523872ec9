package metrics

import (
	"net/http"
	"time"
)

// kinds are the values of the dimension Kind, by status code.
var kinds = map[int]string{
	http.StatusBadRequest:                   "invalid",
	http.StatusUnauthorized:                 "unauthenticated",
	http.StatusForbidden:                    "forbidden",
	http.StatusNotFound:                     "not_found",
	http.StatusMethodNotAllowed:             "method_not_allowed",
	http.StatusConflict:                     "conflict",
	http.StatusPreconditionFailed:           "precondition_failed",
	http.StatusRequestEntityTooLarge:        "too_large",
	http.StatusUnsupportedMediaType:         "bad_media_type",
	http.StatusRequestedRangeNotSatisfiable: "bad_range",
	http.StatusTooManyRequests:              "too_many",
	499:                                     "cancelled", // the client went away
	http.StatusServiceUnavailable:           "unavailable",
}

// KindOf is the kind of an answer, "" when it is none of an error.
func KindOf(status int) string {
	switch kind := kinds[status]; {
	case status < 400:
		return ""
	case kind != "":
		return kind
	case status < 500:
		return "other"
	}
	return "internal"
}

// Handler measures the requests that h serves.
func (w *Writer) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		began := time.Now()
		seen := &statusWriter{ResponseWriter: out, status: http.StatusOK}
		h.ServeHTTP(seen, r)
		route := r.Pattern // set by the mux
		if route == "" {
			route = "none"
		}
		fields := map[string]any{"Route": route, "Status": seen.status, "request_id": seen.Header().Get("X-Openstack-Request-Id")}
		w.Put(Latency, float64(time.Since(began).Microseconds())/1000, "", fields)
		if kind := KindOf(seen.status); kind != "" {
			w.Put(Errors, 1, kind, fields)
		}
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.written && status >= 200 {
		w.status, w.written = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what is underneath.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
