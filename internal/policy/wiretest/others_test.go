package wiretest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/policy"
)

const jsonType = "application/json"

// others are the routes that are about no image.
var others = []route{
	{name: "choices", method: "GET", path: "/"},
	{name: "versions", method: "GET", path: "/versions"},
	{name: "health", method: "GET", path: "/healthcheck"},
	{name: "document", method: "GET", path: "/openapi.yaml"},
	{name: "document as JSON", method: "GET", path: "/openapi.json"},
	{name: "create", method: "POST", path: "/v2/images", body: `{"name":"x"}`, contentType: jsonType},
	{name: "create public", method: "POST", path: "/v2/images", body: `{"name":"x","visibility":"public"}`, contentType: jsonType},
	{name: "create for them", method: "POST", path: "/v2/images", body: `{"name":"x","owner":"{theirs}"}`, contentType: jsonType},
	{name: "list", method: "GET", path: "/v2/images"},
	{name: "import methods", method: "GET", path: "/v2/info/import"},
	{name: "stores", method: "GET", path: "/v2/info/stores"},
	{name: "stores in detail", method: "GET", path: "/v2/info/stores/detail"},
	{name: "usage", method: "GET", path: "/v2/info/usage"},
	{name: "their usage", method: "GET", path: "/v2/info/usage?project_id={theirs}"},
	{name: "policy", method: "GET", path: "/v2/info/policy"},
	{name: "quota", method: "GET", path: "/v2/quotas/{mine}"},
	{name: "their quota", method: "GET", path: "/v2/quotas/{theirs}"},
	{name: "set quota", method: "PUT", path: "/v2/quotas/{mine}", body: `{"images":2000,"bytes":-1,"in_flight":-1,"uploads":1}`, contentType: jsonType},
	{name: "set their quota", method: "PUT", path: "/v2/quotas/{theirs}", body: `{"images":2000,"bytes":-1,"in_flight":-1,"uploads":1}`, contentType: jsonType},
	{name: "unset quota", method: "DELETE", path: "/v2/quotas/{mine}"},
	{name: "unset their quota", method: "DELETE", path: "/v2/quotas/{theirs}"},
	{name: "look at the books", method: "POST", path: "/v2/scrub", body: `{"dry_run":true}`, contentType: jsonType},
	{name: "scrub", method: "POST", path: "/v2/scrub", body: `{}`, contentType: jsonType},
	{name: "tasks", method: "GET", path: "/v2/tasks"},
	{name: "schema", method: "GET", path: "/v2/schemas/image"},
	{name: "resource types", method: "GET", path: "/v2/metadefs/resource_types"},
	{name: "namespaces", method: "GET", path: "/v2/metadefs/namespaces"},
	{name: "compute versions", method: "GET", path: "/v2.1"},
	{name: "compute versions /", method: "GET", path: "/v2.1/"},
	{name: "compute list", method: "GET", path: "/v2.1/images"},
	{name: "compute details", method: "GET", path: "/v2.1/images/detail"},
}

const namespacePath = "/v2/metadefs/namespaces/{ns}"

// definitions are the routes of one namespace {ns}, which has a property, an object and a tag, each called a, and goes with the resource type A.
var definitions = []route{
	{name: "create", method: "POST", path: "/v2/metadefs/namespaces", body: `{"namespace":"{ns} of mine"}`, contentType: jsonType},
	{name: "show", method: "GET", path: namespacePath},
	{name: "change", method: "PUT", path: namespacePath, body: `{"namespace":"{ns}","description":"new"}`, contentType: jsonType},
	{name: "delete", method: "DELETE", path: namespacePath},
	{name: "types", method: "GET", path: namespacePath + "/resource_types"},
	{name: "add type", method: "POST", path: namespacePath + "/resource_types", body: `{"name":"B"}`, contentType: jsonType},
	{name: "remove type", method: "DELETE", path: namespacePath + "/resource_types/A"},
	{name: "properties", method: "GET", path: namespacePath + "/properties"},
	{name: "add property", method: "POST", path: namespacePath + "/properties", body: `{"name":"b","title":"B","type":"string"}`, contentType: jsonType},
	{name: "no properties", method: "DELETE", path: namespacePath + "/properties"},
	{name: "property", method: "GET", path: namespacePath + "/properties/a"},
	{name: "set property", method: "PUT", path: namespacePath + "/properties/a", body: `{"name":"a","title":"new","type":"string"}`, contentType: jsonType},
	{name: "remove property", method: "DELETE", path: namespacePath + "/properties/a"},
	{name: "objects", method: "GET", path: namespacePath + "/objects"},
	{name: "add object", method: "POST", path: namespacePath + "/objects", body: `{"name":"b"}`, contentType: jsonType},
	{name: "no objects", method: "DELETE", path: namespacePath + "/objects"},
	{name: "object", method: "GET", path: namespacePath + "/objects/a"},
	{name: "set object", method: "PUT", path: namespacePath + "/objects/a", body: `{"name":"a","description":"new"}`, contentType: jsonType},
	{name: "remove object", method: "DELETE", path: namespacePath + "/objects/a"},
	{name: "tags", method: "GET", path: namespacePath + "/tags"},
	{name: "set tags", method: "POST", path: namespacePath + "/tags", body: `{"tags":[{"name":"b"}]}`, contentType: jsonType},
	{name: "no tags", method: "DELETE", path: namespacePath + "/tags"},
	{name: "tag", method: "GET", path: namespacePath + "/tags/a"},
	{name: "add tag", method: "POST", path: namespacePath + "/tags/b"},
	{name: "rename tag", method: "PUT", path: namespacePath + "/tags/a", body: `{"name":"c"}`, contentType: jsonType},
	{name: "remove tag", method: "DELETE", path: namespacePath + "/tags/a"},
}

// holders are how a namespace can be to the project mine.
var holders = []string{"mine", "private", "public", "missing"}

// namespace makes one, and returns its name. An administrator makes it, since only they may by default.
func (w *world) namespace(holder string) string {
	w.Helper()
	name := "ns-" + images.NewID()
	if holder == "missing" {
		return name
	}
	visibility, owner := "private", w.theirs
	switch holder {
	case "mine":
		owner = w.mine
	case "public":
		visibility = "public"
	}
	res := w.ask(route{method: "POST", path: "/v2/metadefs/namespaces", contentType: jsonType, body: fmt.Sprintf(`{"namespace":%q,"visibility":%q,"owner":%q,
		"properties":{"a":{"title":"A","type":"string"}},"objects":[{"name":"a"}],"tags":[{"name":"a"}],"resource_type_associations":[{"name":"A"}]}`, name, visibility, owner)}, "admin", "")
	if res.Code != http.StatusCreated {
		w.Fatalf("a namespace: %d %s", res.Code, res.Body)
	}
	return name
}

// about is the route of a namespace of that name.
func (r route) about(namespace string) route {
	r.path, r.body = strings.ReplaceAll(r.path, "{ns}", namespace), strings.ReplaceAll(r.body, "{ns}", namespace)
	return r
}

// TestEveryOtherRouteForEveryRoleAndPreset compares the statuses with testdata/<preset>-others.txt. It asserts by itself that a namespace that a caller may
// not see answers exactly like one that does not exist.
func TestEveryOtherRouteForEveryRoleAndPreset(t *testing.T) {
	eachPreset(t, func(t *testing.T, name string, w *world) {
		var b strings.Builder
		fmt.Fprintf(&b, "%-42s", "")
		for _, caller := range append(slices.Clone(callers), "stranger") {
			fmt.Fprintf(&b, "%-10s", caller)
		}
		b.WriteString("\n")
		for _, r := range others {
			fmt.Fprintf(&b, "%-42s", r.name)
			for _, caller := range append(slices.Clone(callers), "stranger") {
				res := w.ask(r, caller, "")
				fmt.Fprintf(&b, "%-10d", res.Code)
				w.checkRefusal(r, caller, "no image", res)
			}
			b.WriteString("\n")
		}
		answers := map[string]string{}
		for _, r := range definitions {
			for _, holder := range holders {
				fmt.Fprintf(&b, "%-42s", "definitions "+r.name+", "+holder)
				for _, caller := range append(slices.Clone(callers), "stranger") {
					namespace := w.namespace(holder)
					r := r.about(namespace)
					res := w.ask(r, caller, "")
					fmt.Fprintf(&b, "%-10d", res.Code)
					w.checkRefusal(r, caller, "a "+holder+" namespace", res)
					answers[caller+" "+holder] = fmt.Sprint(res.Code, " ", strings.ReplaceAll(res.Body.String(), namespace, "{ns}"))
				}
				b.WriteString("\n")
			}
			for _, caller := range []string{"member", "reader", "service", "unscoped", "nobody", "forger"} {
				if diff := cmp.Diff(answers[caller+" missing"], answers[caller+" private"]); diff != "" {
					t.Errorf("%s by %s tells a private namespace from none (-none +private):\n%s", r.name, caller, diff)
				}
			}
		}
		golden(t, name+"-others.txt", b.String())
	})
}

// TestTheMatrixHasEveryRoute holds the rows against the document of the API, which another test holds against the routes.
func TestTheMatrixHasEveryRoute(t *testing.T) {
	w := newWorld(t, policy.Default())
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	ok(t, json.Unmarshal(w.ask(route{method: "GET", path: "/openapi.json"}, "nobody", "").Body.Bytes(), &document))
	parameter := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	for path, methods := range document.Paths {
		if path == "/v3" || strings.HasPrefix(path, "/v3/") {
			continue // of identity, whose callers are other ones: internal/identity
		}
		pattern := regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method := range methods {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue // HEAD is answered as GET is; the rest are no methods
			}
			if !slices.ContainsFunc(slices.Concat(routes, others, definitions), func(r route) bool {
				at, _, _ := strings.Cut(r.path, "?")
				return strings.EqualFold(r.method, method) && pattern.MatchString(at)
			}) {
				t.Errorf("no row asks %s %s", strings.ToUpper(method), path)
			}
		}
	}
	if len(document.Paths) < 60 {
		t.Errorf("the document has %d paths only", len(document.Paths))
	}
}
