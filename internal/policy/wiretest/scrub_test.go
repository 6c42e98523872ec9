package wiretest

import (
	"strings"
	"testing"

	"bullion/internal/policy"
)

func TestOnlyAdministratorsLookAtTheBooks(t *testing.T) {
	w := newWorld(t, policy.Default())
	look := func(caller, body string) (int, string) {
		res := w.ask(route{method: "POST", path: "/v2/scrub", body: body, contentType: "application/json"}, caller, "")
		return res.Code, res.Body.String()
	}
	for _, caller := range callers {
		want := map[string]int{"admin": 200, "nobody": 401, "forger": 401}[caller]
		if want == 0 {
			want = 403
		}
		for _, body := range []string{`{"dry_run":true}`, `{}`} {
			if got, said := look(caller, body); got != want {
				t.Errorf("%s %s: got %d %s, want %d", caller, body, got, said, want)
			}
		}
	}
	for _, bad := range []string{`{"after":"nowhere/"}`, `{"after":"due/-1"}`, `{"after":"records/0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e"}`, `{"dry_run":"yes"}`, `null`} {
		if got, said := look("admin", bad); got != 400 {
			t.Errorf("%s: got %d %s, want 400", bad, got, said)
		}
	}
	// The first page is what is due; the others need the storage, which is not there.
	if _, said := look("admin", `{"dry_run":true}`); !strings.Contains(said, `"dry_run":true`) || !strings.Contains(said, `"findings":[]`) || !strings.Contains(said, `"next":"objects/"`) {
		t.Errorf("got %s", said)
	}
}
