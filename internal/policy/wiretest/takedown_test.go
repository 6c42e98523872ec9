package wiretest

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/policy"
)

// What was signed before the takedown ends within images.DefaultURLLife; docs/security.md promises a quarter of an hour.
func TestATakedownEndsDownloadsAtOnceAndSignedURLsSoon(t *testing.T) {
	w := newWorld(t, policy.Default())
	id := w.image("public", true)
	download, sign := route{method: "GET", path: "/v2/images/{id}/file"}, route{method: "GET", path: "/v2/images/{id}/download"}
	res := w.ask(download, "member", id)
	target, err := url.Parse(res.Header().Get("Location"))
	ok(t, err)
	if target.Host != "127.0.0.1:1" {
		t.Errorf("a download leads to %q, want the S3 endpoint", target.Host)
	}
	life, err := strconv.Atoi(target.Query().Get("X-Amz-Expires"))
	ok(t, err)
	if most := 15 * time.Minute; images.DefaultURLLife > most || time.Duration(life)*time.Second > most || life < 60 {
		t.Errorf("a signed URL lives %d s, want up to %v", life, most)
	}
	if res := w.ask(route{method: "POST", path: "/v2/images/{id}/actions/deactivate"}, "admin", id); res.Code != 204 {
		t.Fatalf("deactivate: %d %s", res.Code, res.Body)
	}
	for _, r := range []route{download, sign} {
		if res := w.ask(r, "member", id); res.Code != 403 || res.Header().Get("Location") != "" {
			t.Errorf("%s after the takedown: got %d %s", r.path, res.Code, res.Body)
		}
		if res := w.ask(r, "admin", id); res.Code/100 == 4 {
			t.Errorf("%s of an administrator: got %d %s", r.path, res.Code, res.Body)
		}
	}
}
