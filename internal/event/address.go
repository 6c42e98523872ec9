package event

import (
	"net/http"
	"net/url"
)

// At is h as reached at the public URL: the gateway is behind a distribution and sees its own name as the host, but links must lead to where the
// client came from.
func At(publicURL string, h http.Handler) http.Handler {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = u.Host
		r.Header.Set("X-Forwarded-Proto", u.Scheme)
		h.ServeHTTP(w, r)
	})
}
