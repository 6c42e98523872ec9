package wiretest

import (
	"encoding/json"
	"strings"
	"testing"

	"bullion/internal/images"
	"bullion/internal/policy"
)

// An import is told of on the image and as its task, from its beginning to its end.
func TestHowFarAnImportIsAndWhyItFailed(t *testing.T) {
	w := newWorld(t, policy.Default())
	id, theirs, hidden := w.image("own", false), w.image("public", false), w.image("private", false)
	w.play(t, id, []call{
		{"nothing to cancel", "DELETE", "/v2/images/{id}/import", "", "", 409, ""},
		{"an import", "POST", "/v2/images/{id}/import", `{"method":{"name":"web-download","uri":"https://example.org/a.raw"}}`, "", 202, ""},
		{"the image waits", "GET", "/v2/images/{id}", "", "", 200,
			`{"status":"importing","os_glance_import_task":"{id}","os_glance_importing_to_stores":"s3","os_glance_failed_import":"","bullion_progress":"fetch 0/0"}`},
		{"so does the task", "GET", "/v2/images/{id}/tasks", "", "", 200, `{"tasks":[{"id":"{id}","type":"api_image_import","status":"pending",
			"input":{"image_id":"{id}","import_req":{"method":{"name":"web-download","uri":"https://example.org/a.raw"}}},"bullion_progress":{"phase":"wait","done":0,"total":0}}]}`},
		{"another import", "POST", "/v2/images/{id}/import", `{"method":{"name":"web-download","uri":"https://example.org/a.raw"}}`, "", 409, ""},
	})
	ctx := t.Context()
	holder := "test"
	_, err := w.images.ClaimImport(ctx, id, holder, 1<<40)
	ok(t, err)
	ok(t, w.images.ProgressImport(ctx, id, holder, 1<<40, 5, 20))
	w.play(t, id, []call{
		{"the image is fetched", "GET", "/v2/images/{id}", "", "", 200, `{"bullion_progress":"fetch 5/20"}`},
		{"and the task says how far", "GET", "/v2/images/{id}/tasks", "", "", 200, `{"tasks":[{"status":"processing","bullion_progress":{"phase":"fetch","done":5,"total":20}}]}`},
		{"cancelled by another project", "DELETE", "/v2/images/" + theirs + "/import", "", "", 403, ""},
		{"cancelled where nothing is to be seen", "DELETE", "/v2/images/" + hidden + "/import", "", "", 404, ""},
		{"cancelled", "DELETE", "/v2/images/{id}/import", "", "", 204, ""},
		{"the image tells", "GET", "/v2/images/{id}", "", "", 200,
			`{"status":"queued","os_glance_importing_to_stores":"","os_glance_failed_import":"s3","bullion_import_failure":"The import was cancelled."}`},
		{"so does the task", "GET", "/v2/images/{id}/tasks", "", "", 200, `{"tasks":[{"status":"failure","message":"The import was cancelled."}]}`},
		{"nothing more to cancel", "DELETE", "/v2/images/{id}/import", "", "", 409, ""},
	})
	if _, err := w.images.ClaimImport(ctx, id, holder, 1<<40); images.KindOf(err) != images.NotFound {
		t.Errorf("an import that was cancelled is taken up: %v", err)
	}
}

func TestLocationsOnTheWire(t *testing.T) {
	w := newWorld(t, policy.Default())
	id, active := w.image("own", false), w.image("own", true)
	sum := strings.Repeat("0", 64)
	w.play(t, id, []call{
		{"a patch that adds one", "PATCH", "/v2/images/{id}", `[{"op":"add","path":"/locations/-","value":{"url":"https://example.org/a","metadata":{}}}]`, "", 403, ""},
		{"a patch that replaces all", "PATCH", "/v2/images/{id}", `[{"op":"replace","path":"/locations","value":[]}]`, "", 403, ""},
		{"a patch that removes one", "PATCH", "/v2/images/{id}", `[{"op":"remove","path":"/locations/0"}]`, "", 403, ""},
		{"a patch of what is not there", "PATCH", "/v2/images/" + images.NewID(), `[{"op":"remove","path":"/locations/0"}]`, "", 404, ""},
		{"no url", "POST", "/v2/images/{id}/locations", `{}`, "", 400, ""},
		{"a list", "POST", "/v2/images/{id}/locations", `[]`, "", 400, ""},
		{"another scheme", "POST", "/v2/images/{id}/locations", `{"url":"file:///etc/passwd"}`, "", 403, ""},
		{"validation_data that is a string", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":"x"}`, "", 400, ""},
		{"a hash without its kind", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"os_hash_value":"` + sum + `"}}`, "", 400, ""},
		{"a kind without its hash", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"os_hash_algo":"sha256"}}`, "", 400, ""},
		{"a kind that is none", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"os_hash_algo":"crc32","os_hash_value":"00"}}`, "", 400, ""},
		{"a hash of another length", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"os_hash_algo":"sha512","os_hash_value":"` + sum + `"}}`, "", 400, ""},
		{"another member", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"checksum":"x"}}`, "", 400, ""},
		{"an image that is active", "POST", "/v2/images/" + active + "/locations", `{"url":"https://example.org/a"}`, "", 409, ""},
		{"a location", "POST", "/v2/images/{id}/locations", `{"url":"https://example.org/a","validation_data":{"os_hash_algo":"sha256","os_hash_value":"` + sum + `"}}`, "", 202, ""},
		{"its task", "GET", "/v2/images/{id}/tasks", "", "", 200, `{"tasks":[{"type":"location_import","status":"pending",
			"input":{"image_id":"{id}","loc_url":"https://example.org/a","validation_data":{"os_hash_algo":"sha256","os_hash_value":"` + sum + `"}}}]}`},
		{"where the bytes are is not for members", "GET", "/v2/images/{id}/locations", "", "", 403, ""},
	})
	service := func(id string) string {
		return w.ask(route{method: "GET", path: "/v2/images/{id}/locations"}, "service", id).Body.String()
	}
	if got := service(id); got != "[]" {
		t.Errorf("before there are bytes a service is told %s, want []", got)
	}
	var list []struct {
		URL      string
		Metadata map[string]string
	}
	ok(t, json.Unmarshal([]byte(service(active)), &list))
	if len(list) != 1 || !strings.Contains(list[0].URL, "/images/"+active+"/") || list[0].Metadata["store"] != "s3" || list[0].Metadata["expires_at"] == "" {
		t.Errorf("a service is told %+v, want one address of the object", list)
	}
}

// A time that is shown is in whole seconds, and filters take it as such.
func TestATimeIsComparedAsItIsShown(t *testing.T) {
	w := newWorld(t, policy.Default())
	id := w.image("own", true)
	var image struct {
		Created string `json:"created_at"`
	}
	ok(t, json.Unmarshal(w.ask(route{method: "GET", path: "/v2/images/{id}"}, "member", id).Body.Bytes(), &image))
	for op, want := range map[string]bool{"": true, "eq:": true, "neq:": false, "gte:": true, "lte:": true, "gt:": false, "lt:": false} {
		got := strings.Contains(w.ask(route{method: "GET", path: "/v2/images?created_at=" + op + image.Created}, "member", "").Body.String(), id)
		if got != want {
			t.Errorf("created_at=%s%s finds the image that shows this time: %v, want %v", op, image.Created, got, want)
		}
	}
}
