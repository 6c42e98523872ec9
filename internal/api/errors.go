package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"bullion/internal/images"
)

// methodNotAllowed and notAcceptable are kinds that only this package meets.
const methodNotAllowed images.Kind = 200

// statuses is the one table from kinds of error to status codes.
var statuses = map[images.Kind]int{
	images.Internal:           http.StatusInternalServerError,
	images.Invalid:            http.StatusBadRequest,
	images.Unauthenticated:    http.StatusUnauthorized,
	images.Forbidden:          http.StatusForbidden,
	images.NotFound:           http.StatusNotFound,
	images.Conflict:           http.StatusConflict,
	images.PreconditionFailed: http.StatusPreconditionFailed,
	images.TooLarge:           http.StatusRequestEntityTooLarge,
	images.OverQuota:          http.StatusRequestEntityTooLarge,
	images.BadMediaType:       http.StatusUnsupportedMediaType,
	images.BadRange:           http.StatusRequestedRangeNotSatisfiable,
	images.TooMany:            http.StatusTooManyRequests,
	images.Unavailable:        http.StatusServiceUnavailable,
	methodNotAllowed:          http.StatusMethodNotAllowed,
}

// retryAfter is when a client may ask again what could not be answered now, in seconds.
const retryAfter = "5"

// errors turns a handler's error into an answer.
func (a *api) errors(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

// fail answers with an error. A known one says what it has to say; an unknown one is logged whole and answered blandly.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statuses[images.KindOf(err)]
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		status = 499 // the client went away; nobody reads this
	case status == http.StatusInternalServerError, status == http.StatusServiceUnavailable:
		a.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.String("request_id", RequestID(r.Context())), slog.String("error", err.Error()))
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", a.AuthURL))
	}
	writeError(w, r, status, messageOf(err))
}

// messageOf is what the caller may learn of an error.
func messageOf(err error) string {
	if known, ok := errors.AsType[*images.Error](err); ok && known.Kind != images.Internal {
		return known.Message
	}
	return "The service failed; the request id finds the reason in its log."
}

// writeError gives JSON to those who ask for it and text to the others, as Glance's clients expect: glanceclient asks for anything and cannot
// read Glance's own JSON errors.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string) {
	title := http.StatusText(status)
	code := fmt.Sprintf("%d %s", status, title)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "json") {
		writeJSON(w, status, struct {
			Message string `json:"message"`
			Code    string `json:"code"`
			Title   string `json:"title"`
		}{message, code, title})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s\n\n%s\n\n", code, message)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values of this package get here
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
