package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"bullion/internal/images"
)

type contextKey int

const (
	requestIDKey contextKey = iota
	callerKey
	projectKey // in the path of a request to the Compute API
)

// RequestID is the id of the request that the context belongs to: what X-Openstack-Request-Id says and what the log says.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

func (a *api) requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := "req-" + images.NewID()
		w.Header().Set("X-Openstack-Request-Id", id)
		inner := r.WithContext(context.WithValue(r.Context(), requestIDKey, id))
		next.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern // for who measures routes outside
	})
}

// recovered turns a panic of a handler into an internal error; the server lives on.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				a.Log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.Any("value", p), slog.String("stack", string(debug.Stack())))
				a.fail(w, r, fmt.Errorf("panic: %v", p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// authenticated lets only requests with a valid token through.
func (a *api) authenticated(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		token := r.Header.Get("X-Auth-Token")
		if token == "" {
			return images.Errorf(images.Unauthenticated, "This needs a token in the header X-Auth-Token; get one from %s.", a.AuthURL)
		}
		caller, err := a.Auth.Verify(r.Context(), token)
		if err != nil {
			return err
		}
		if err := a.admit(w, caller); err != nil {
			return err
		}
		return next(w, r.WithContext(context.WithValue(r.Context(), callerKey, caller)))
	}
}

// callerOf is who asks. Only handlers behind authenticated may call it.
func callerOf(r *http.Request) images.Caller { return r.Context().Value(callerKey).(images.Caller) }
