package wiretest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/policy"
)

func TestAnImagesHistoryTellsWhoDidWhatAndOutlivesIt(t *testing.T) {
	w := newWorld(t, policy.Default())
	res := w.ask(route{method: "POST", path: "/v2/images", body: `{"name":"x"}`, contentType: "application/json"}, "member", "")
	var made struct{ ID string }
	if err := json.Unmarshal(res.Body.Bytes(), &made); err != nil || res.Code != 201 {
		t.Fatalf("create: %d %s", res.Code, res.Body)
	}
	set := func(who, path, value string) {
		t.Helper()
		body := `[{"op":"replace","path":"` + path + `","value":"` + value + `"}]`
		if res := w.ask(route{method: "PATCH", path: "/v2/images/{id}", body: body, contentType: patchType}, who, made.ID); res.Code != 200 {
			t.Fatalf("set %s: %d %s", path, res.Code, res.Body)
		}
	}
	set("member", "/name", "y") // concerns nobody else
	set("member", "/visibility", "community")
	set("admin", "/owner", w.theirs)
	set("admin", "/owner", w.mine)
	if res := w.ask(route{method: "DELETE", path: "/v2/images/{id}"}, "member", made.ID); res.Code != 204 {
		t.Fatalf("delete: %d %s", res.Code, res.Body)
	}
	type change struct {
		From, To, Reason string
		Known            bool // who did it, and in which project
	}
	want := []change{
		{"", "queued", "", true},
		{"queued", "queued", "The visibility is community; it was shared.", true},
		{"queued", "queued", "The owner is project " + w.theirs + "; it was " + w.mine + ".", true},
		{"queued", "queued", "The owner is project " + w.mine + "; it was " + w.theirs + ".", true},
		{"queued", "pending_delete", "", true},
		{"pending_delete", "deleted", "", false},
	}
	for who, code := range map[string]int{"member": 200, "admin": 200, "reader": 403, "stranger": 404, "unscoped": 404, "nobody": 401} {
		res := w.ask(route{method: "GET", path: "/v2/images/{id}/history"}, who, made.ID)
		if res.Code != code {
			t.Errorf("%s: got %d %s, want %d", who, res.Code, res.Body, code)
		}
		if code != 200 {
			continue
		}
		var got struct{ Events []images.Event }
		ok(t, json.Unmarshal(res.Body.Bytes(), &got))
		var changes []change
		for _, e := range got.Events {
			changes = append(changes, change{string(e.From), string(e.To), e.Reason, e.Actor != "" && e.ActorProject == w.mine})
		}
		if diff := cmp.Diff(want, changes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", who, diff)
		}
	}
}
