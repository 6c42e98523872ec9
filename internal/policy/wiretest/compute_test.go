package wiretest

import (
	"testing"

	"bullion/internal/policy"
)

func TestOldToolsFindImagesInTheComputeAPI(t *testing.T) {
	w := newWorld(t, policy.Default())
	id, theirs := w.image("own", true), w.image("public", true)
	hidden := w.image("private", true)
	self := `"links":[{"rel":"self","href":"http://example.com/v2.1/images/{id}"},{"rel":"bookmark","href":"http://example.com/images/{id}"},{"rel":"alternate","href":"http://example.com/v2/images/{id}","type":"application/vnd.openstack.image"}]`
	w.play(t, id, []call{
		{"the version", "GET", "/v2.1/", "", "", 200, `{"version":{"id":"v2.1","status":"CURRENT","min_version":"2.1","version":"2.38"}}`},
		{"the version without a slash", "GET", "/v2.1", "", "", 200, ""},
		{"one", "GET", "/v2.1/images/{id}", "", "", 200, `{"image":{"id":"{id}","name":"image","status":"ACTIVE","progress":100,"minRam":0,"minDisk":0,"OS-EXT-IMG-SIZE:size":10,"metadata":{},` + self + `}}`},
		{"one, with the project in the path", "GET", "/v2.1/{mine}/images/{id}", "", "", 200, `{"image":{"id":"{id}","links":[{"rel":"self","href":"http://example.com/v2.1/{mine}/images/{id}"},{"rel":"bookmark","href":"http://example.com/{mine}/images/{id}"},{"rel":"alternate"}]}}`},
		{"another's project in the path", "GET", "/v2.1/{theirs}/images/{id}", "", "", 400, `{"badRequest":{"code":400}}`},
		{"one that is not to be seen", "GET", "/v2.1/images/" + hidden, "", "", 404, `{"itemNotFound":{"code":404}}`},
		{"a name for an id", "GET", "/v2.1/images/image", "", "", 404, `{"itemNotFound":{"code":404}}`},
		{"the last microversion", "GET", "/v2.1/images/{id}", "", "2.35", 200, ""},
		{"a microversion without images", "GET", "/v2.1/images/{id}", "", "2.36", 404, `{"itemNotFound":{"code":404}}`},
		{"a list in a microversion without images", "GET", "/v2.1/images", "", "latest", 404, `{"itemNotFound":{"code":404}}`},
		{"metadata outlives images", "GET", "/v2.1/images/{id}/metadata", "", "2.38", 200, `{"metadata":{}}`},
		{"a microversion without metadata", "GET", "/v2.1/images/{id}/metadata", "", "2.39", 404, `{"itemNotFound":{"code":404}}`},
		{"a microversion that is none", "GET", "/v2.1/images", "", "two", 400, `{"badRequest":{"code":400}}`},
		{"a brief list has no status", "GET", "/v2.1/images?limit=1&server=none", "", "", 200, `{"images":[]}`},
		{"a list by name and status", "GET", "/v2.1/images/detail?name=image&status=ACTIVE&limit=1", "", "", 200,
			`{"images":[{"id":"` + theirs + `","status":"ACTIVE"}],"images_links":[{"rel":"next","href":"http://example.com/v2.1/images/detail?limit=1&marker=` + theirs + `&name=image&status=ACTIVE"}]}`},
		{"its next page", "GET", "/v2.1/images/detail?limit=1&marker=" + theirs, "", "", 200, `{"images":[{"id":"{id}"}]}`},
		{"a status that nothing has", "GET", "/v2.1/images/detail?status=ERROR", "", "", 200, `{"images":[]}`},
		{"a marker that is none", "GET", "/v2.1/images?marker=x", "", "", 400, `{"badRequest":{"code":400}}`},
		{"a limit that is none", "GET", "/v2.1/images?limit=-1", "", "", 400, `{"badRequest":{"code":400}}`},

		{"metadata set", "POST", "/v2.1/images/{id}/metadata", `{"metadata":{"a":"1","b/c":"2","instance_uuid":"s1","auto_disk_config":"True"}}`, "", 200, `{"metadata":{"a":"1","b/c":"2","instance_uuid":"s1","auto_disk_config":"True"}}`},
		{"what it shows then", "GET", "/v2.1/images/{id}", "", "", 200, `{"image":{"OS-DCF:diskConfig":"AUTO","server":{"id":"s1","links":[{"rel":"self","href":"http://example.com/v2.1/servers/s1"},{"rel":"bookmark","href":"http://example.com/servers/s1"}]}}}`},
		{"found by its server", "GET", "/v2.1/images?server=http://example.com/servers/s1", "", "", 200, `{"images":[{"id":"{id}"}]}`},
		{"found by a property", "GET", "/v2.1/images?property-a=1", "", "", 200, `{"images":[{"id":"{id}"}]}`},
		{"one key", "GET", "/v2.1/{mine}/images/{id}/metadata/b%2Fc", "", "", 200, `{"meta":{"b/c":"2"}}`},
		{"a key that is not there", "GET", "/v2.1/images/{id}/metadata/z", "", "", 404, `{"itemNotFound":{"code":404}}`},
		{"a key set", "PUT", "/v2.1/images/{id}/metadata/a", `{"meta":{"a":"3"}}`, "", 200, `{"meta":{"a":"3"}}`},
		{"a key set under another name", "PUT", "/v2.1/images/{id}/metadata/a", `{"meta":{"b":"3"}}`, "", 400, `{"badRequest":{"code":400}}`},
		{"an attribute as metadata", "PUT", "/v2.1/images/{id}/metadata/visibility", `{"meta":{"visibility":"public"}}`, "", 400, `{"badRequest":{"code":400}}`},
		{"a reserved name", "PUT", "/v2.1/images/{id}/metadata/os_glance_x", `{"meta":{"os_glance_x":"1"}}`, "", 403, `{"forbidden":{"code":403}}`},
		{"a number", "POST", "/v2.1/images/{id}/metadata", `{"metadata":{"a":1}}`, "", 400, `{"badRequest":{"code":400}}`},
		{"no metadata", "POST", "/v2.1/images/{id}/metadata", `{}`, "", 400, `{"badRequest":{"code":400}}`},
		{"metadata replaced", "PUT", "/v2.1/images/{id}/metadata", `{"metadata":{"x":"y"}}`, "", 200, `{"metadata":{"x":"y"}}`},
		{"and the rest is gone", "GET", "/v2.1/images/{id}/metadata", "", "", 200, `{"metadata":{"x":"y"}}`},
		{"a key removed", "DELETE", "/v2.1/images/{id}/metadata/x", "", "", 204, ""},
		{"and again", "DELETE", "/v2.1/images/{id}/metadata/x", "", "", 404, `{"itemNotFound":{"code":404}}`},
		{"metadata of another's image", "POST", "/v2.1/images/" + theirs + "/metadata", `{"metadata":{"a":"1"}}`, "", 403, `{"forbidden":{"code":403}}`},
		{"another's image deleted", "DELETE", "/v2.1/images/" + theirs, "", "", 403, `{"forbidden":{"code":403}}`},
		{"one deleted that is not to be seen", "DELETE", "/v2.1/images/" + hidden, "", "", 404, `{"itemNotFound":{"code":404}}`},
		{"another method", "PUT", "/v2.1/images/{id}", "{}", "", 405, ""},
		{"nothing else is served", "GET", "/v2.1/servers", "", "", 404, ""},
	})
	fresh := w.image("own", false)
	w.play(t, fresh, []call{
		{"an image without bytes", "GET", "/v2.1/images/{id}", "", "", 200, `{"image":{"status":"SAVING","progress":25,"OS-EXT-IMG-SIZE:size":0}}`},
		{"deleted", "DELETE", "/v2.1/images/{id}", "", "", 204, ""},
		{"gone", "GET", "/v2.1/images/{id}", "", "", 404, `{"itemNotFound":{"code":404}}`},
	})
}
