package api

import (
	"net/http"
	"slices"
)

// shared lets pages of the origins that the operator names use this API from the browser, as those of Horizon do, which sends the bytes of an image straight
// to the image service where HORIZON_IMAGES_UPLOAD_MODE is direct. A token is in a header that only the page knows, never in a cookie, so no page of another
// origin gains by what is allowed here.
func shared(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
			h.Set("Access-Control-Allow-Headers", "X-Auth-Token, Content-Type, X-OpenStack-Image-Size, X-Image-Meta-Store, Range, If-Match, If-None-Match")
			h.Set("Access-Control-Max-Age", "3600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "ETag, Location, X-Openstack-Request-Id, Content-MD5, Content-Range, Retry-After")
		next.ServeHTTP(w, r)
	})
}
