package api

import (
	"net/url"
	"strings"
	"testing"

	"bullion/internal/images"
)

// Whatever clients send is either refused as Invalid or a query within its bounds.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=5&marker=x", "sort=name:asc,size", "sort_key=name&sort_dir=desc", `name=in:a,"b,c"`, "created_at=gte:2026-01-31T00:00:00Z",
		"size_min=1&size_max=2", "tag=a&tag=b", "visibility=all&member_status=all", "os_hidden=True", "limit=-1", "sort=:", "x=%ff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, _, err := parseQuery(params)
		if err != nil {
			if got := images.KindOf(err); got != images.Invalid {
				t.Errorf("parseQuery(%q): %v of kind %d, want Invalid", raw, err, got)
			}
			return
		}
		if q.Limit < 0 || q.Limit > images.MaxPage {
			t.Errorf("parseQuery(%q): limit %d, want 0 to %d", raw, q.Limit, images.MaxPage)
		}
		q.Order()
	})
}

// A pointer that is taken names one attribute, and encoding that name gives the pointer back.
func FuzzPointer(f *testing.F) {
	for _, seed := range []string{"/name", "/a~1b", "/a~0b", "/", "name", "/a/b", "/~", "/~01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := pointer(path)
		if err != nil {
			return
		}
		if got := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name); got != path {
			t.Errorf("pointer(%q) = %q, which is written %q", path, name, got)
		}
	})
}
