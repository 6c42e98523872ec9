package wiretest

import (
	"encoding/json"
	"slices"
	"testing"

	"bullion/internal/policy"
)

// TestAPageIsToldWhatTheServiceThenDoes holds the answer of /v2/info/policy against what the routes do when they are asked.
func TestAPageIsToldWhatTheServiceThenDoes(t *testing.T) {
	named := map[string]route{}
	for _, r := range routes {
		named[r.name] = r
	}
	byRule := map[string]route{
		"add_image":         {name: "create", method: "POST", path: "/v2/images", body: `{"name":"x"}`, contentType: "application/json"},
		"modify_image":      named["rename"],
		"delete_image":      named["delete"],
		"upload_image":      named["open upload"],
		"download_image":    named["sign download"],
		"publicize_image":   named["publicize"],
		"communitize_image": named["communitize"],
		"deactivate":        named["deactivate"],
		"reactivate":        named["reactivate"],
		"add_member":        named["add member"],
		"modify_member":     named["accept"],
	}
	for _, document := range []string{"", "preset: " + policy.AdminOnly, `{"delete_image": "role:reader", "modify_member": "!"}`} {
		t.Run(document, func(t *testing.T) {
			rules, err := policy.Parse([]byte(document))
			ok(t, err)
			w := newWorld(t, rules)
			for _, caller := range []string{"admin", "member", "reader", "service"} {
				var told struct {
					May   map[string][]string
					Rules []struct{ Name string }
				}
				res := w.ask(route{method: "GET", path: "/v2/info/policy"}, caller, "")
				ok(t, json.Unmarshal(res.Body.Bytes(), &told))
				if res.Code != 200 || (len(told.Rules) > 0) != (caller == "admin") {
					t.Errorf("%s: got %d with %d rules", caller, res.Code, len(told.Rules))
				}
				for _, relation := range []string{"own", "shared", "public"} {
					for rule, r := range byRule {
						if rule == "add_image" && relation != "own" || rule == "modify_member" && relation != "shared" || rule == "add_member" && relation == "public" {
							continue // there is no such request, or what refuses it is not the policy
						}
						got := w.ask(r, caller, w.image(relation, r.active)).Code
						if told := slices.Contains(told.May[relation], rule); told != (got < 300) {
							t.Errorf("%s, %s image: %s was told as %v, and %s answers %d", caller, relation, rule, told, r.name, got)
						}
					}
				}
			}
			for _, caller := range []string{"nobody", "forger"} {
				if res := w.ask(route{method: "GET", path: "/v2/info/policy"}, caller, ""); res.Code != 401 {
					t.Errorf("%s: got %d, want 401", caller, res.Code)
				}
			}
		})
	}
}
