package harness

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bullion/internal/identity"
	"bullion/internal/images"
	"bullion/internal/metrics"
)

// permission is one action on one pattern of resources that a role allows.
type permission struct {
	Action, Resource string
	Keys             string // pattern of partition keys, of a condition; "" for all
}

// allows says whether the permission is enough for a call.
func (p permission) allows(c call) bool {
	return p.Action == c.Action && wild(p.Resource, c.Resource) && (p.Keys == "" || wild(p.Keys, c.Key))
}

// wild matches IAM's patterns, of which the template uses stars alone.
func wild(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) || !strings.HasSuffix(text, parts[len(parts)-1]) {
		return false
	}
	rest := text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return len(rest) >= len(parts[len(parts)-1])
}

// permissions are what the role of a function allows.
func permissions(t testing.TB, template *Template, function string) []permission {
	t.Helper()
	role := strings.ToUpper(function[:1]) + function[1:] + "Role"
	list := func(v any) []string {
		if items, isList := v.([]any); isList {
			out := []string{}
			for _, item := range items {
				out = append(out, fmt.Sprint(item))
			}
			return out
		}
		return []string{fmt.Sprint(v)}
	}
	var all []permission
	for _, policy := range template.Resources[role].Properties["Policies"].([]any) {
		for _, s := range policy.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			statement := s.(map[string]any)
			keys := ""
			if condition, has := statement["Condition"].(map[string]any); has {
				keys, has = condition["ForAllValues:StringLike"].(map[string]any)["dynamodb:LeadingKeys"].(string)
				if !has || len(condition) != 1 {
					t.Errorf("%s has a condition that this test does not understand: %v", role, condition)
				}
			}
			for _, action := range list(statement["Action"]) {
				for _, resource := range list(statement["Resource"]) {
					if strings.Contains(action, "*") {
						t.Errorf("%s allows %s: name the actions", role, action)
					}
					if strings.HasPrefix(resource, "*") {
						t.Errorf("%s allows %s on everything: name the resources", role, action)
					}
					all = append(all, permission{action, resource, keys})
				}
			}
		}
	}
	return all
}

// unseen are the permissions that no run here needs, each with its reason: who else does, or the package of the function and the call in it. A key is an action, or a
// function and an action.
var unseen = map[string]string{
	"logs:CreateLogStream":                 "Lambda's own",
	"logs:PutLogEvents":                    "Lambda's own",
	"sqs:SendMessage":                      "Lambda's own, for the destination of failures",
	"dynamodb:BatchWriteItem":              "bullion/internal/dynamostore: .BatchWriteItem(", // for an image with more than some ninety members
	"s3:GetObjectVersion":                  "bullion/internal/s3store: VersionId",            // the bucket keeps versions, the engine here does not
	"s3:DeleteObjectVersion":               "bullion/internal/s3store: VersionId",            // as above
	"s3:ListBucketVersions":                "bullion/internal/s3store: VersionId",            // of a version that is not there, S3 tells only those who may list them
	"scrub dynamodb:DeleteItem":            "bullion/internal/dynamostore: endMembers(",      // a delete that a crash interrupted, of an image with members
	"scrub s3:DeleteObject":                "bullion/internal/scrub: .FinishDelete(",         // as above
	"scrub s3:AbortMultipartUpload":        "bullion/internal/scrub: .AbortMultipart(",       // an upload that nobody goes on with
	"importer s3:DeleteObject":             "bullion/internal/images: .Blobs.Delete(",        // of a file that was refused
	"uploads s3:DeleteObject":              "bullion/internal/images: .Blobs.Delete(",        // the bucket keeps versions
	"s3:ListBucket":                        "bullion/internal/s3store: .HeadObject(",         // without it S3 says 403 of what is not there
	"lambda:InvokeFunction":                "bullion/internal/cloud: .invokeAgain(",          // what does not end in time; other tests see it
	"scrub dynamodb:PutItem":               "bullion/internal/scrub: .FinishDelete(",         // what a crash interrupted
	"scrub dynamodb:UpdateItem":            "bullion/internal/scrub: .FinishDelete(",         // as above
	"uploads dynamodb:BatchGetItem":        "bullion/internal/dynamostore: .BatchGetItem(",   // lists of old tools
	"validate s3:DeleteObject":             "bullion/internal/images: .Blobs.Delete(",        // of a rejected upload
	"validate s3:AbortMultipartUpload":     "bullion/internal/images: .AbortMultipart(",      // a rejected upload that another process completed
	"scrub s3:ListMultipartUploadParts":    "bullion/internal/images: .Parts(",               // whether an abort left parts
	"validate s3:ListMultipartUploadParts": "bullion/internal/images: .Parts(",               // as above
}

// TestEachRoleIsWhatTheCodeCallsAndNoMore drives the functions through their work with a recorder before every service, and compares what they called, on which
// resource, with what the role of each allows.
func TestEachRoleIsWhatTheCodeCallsAndNoMore(t *testing.T) {
	c := deploy(t, "ComputeProxy", "on", "ImportRegions", "on")
	c.itself()
	c.work()
	for _, function := range slices.Sorted(maps.Keys(c.Functions)) {
		allowed := permissions(t, c.Template, function)
		used := make([]bool, len(allowed))
		c.calls.mu.Lock()
		calls := slices.Collect(maps.Keys(c.calls.calls[function]))
		c.calls.mu.Unlock()
		if len(calls) == 0 {
			t.Errorf("%s called nothing: it was not driven", function)
		}
		actions := map[string]bool{}
		for _, one := range calls {
			actions[one.Action] = true
			enough := false
			for n, p := range allowed {
				if p.allows(one) {
					enough, used[n] = true, true
				}
			}
			if !enough {
				t.Errorf("%s calls %s on %s (key %q), which its role does not allow", function, one.Action, one.Resource, one.Key)
			}
		}
		for n, p := range allowed {
			if used[n] {
				continue
			}
			reason := cmp.Or(unseen[function+" "+p.Action], unseen[p.Action])
			if reason == "" {
				t.Errorf("the role of %s allows %s on %s, which nothing calls: take it away, or drive what does", function, p.Action, p.Resource)
			} else if where, text, inCode := strings.Cut(reason, ": "); inCode && !ships(t, function, where, text) {
				t.Errorf("the role of %s allows %s on %s, but no code that it ships has %q", function, p.Action, p.Resource, text)
			}
		}
		t.Logf("%s called %s", function, strings.Join(slices.Sorted(maps.Keys(actions)), " "))
	}
	logs := ""
	for _, f := range c.Functions {
		logs += f.Output()
	}
	got := measured(t, logs)
	for _, m := range metrics.All {
		dimensions := "Stack"
		if m.Dimension != "" {
			dimensions += "," + m.Dimension
		}
		if !got[named(m.Name, dimensions)] {
			t.Errorf("nothing of all that wrote the metric %s", m.Name)
		}
	}
	for _, p := range permissions(t, c.Template, "images") {
		if strings.HasPrefix(p.Action, "s3:") {
			t.Errorf("images, which must not touch bytes, may %s", p.Action)
		}
	}
}

// ships says whether a function has a package whose sources have the text.
func ships(t testing.TB, function, pkg, text string) bool {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Dir}}", "./functions/"+function)
	list.Dir = root
	out, err := list.Output()
	ok(t, err)
	for line := range strings.Lines(string(out)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == pkg {
			files, err := filepath.Glob(filepath.Join(dir, "*.go"))
			ok(t, err)
			return exec.CommandContext(t.Context(), "grep", append([]string{"-qF", "--", text}, files...)...).Run() == nil
		}
	}
	return false
}

// work is everything that users and schedules do, once.
func (c *cloud) work() {
	c.t.Helper()
	token := c.signIn("bob", "default")
	files := c.t.TempDir()
	for _, size := range []int{9 << 20, 70 << 20} {
		file, _ := c.disk(size)
		id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
		c.call(token, "POST", "/v2/images/"+id+"/members", `{"member":"22222222222222222222222222222222"}`, 200)
		c.call(token, "GET", "/v2/images/"+id+"/members", "", 200)
		c.call(token, "GET", "/v2/images?sort=size:asc", "", 200)
		c.call(token, "GET", "/v2/images/"+id+"/history", "", 200)
		c.bullion("image", "set", "--name", "other", id)
		c.bullion("image", "save", "--file", filepath.Join(files, path.Base(file)), id)
		c.call(token, "DELETE", "/v2/images/"+id+"/members/22222222222222222222222222222222", "", 204)
		c.bullion("image", "delete", "--yes", id)
	}
	c.call(token, "GET", "/v2.1/images/detail", "", 200)
	c.call(token, "GET", "/v2/images/"+identity.ProjectID("none"), "", 404)
	create := func() string {
		return c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"qcow2","container_format":"bare"}`, 201)["id"].(string)
	}
	// An upload that is given up, one that is rejected after it came through the function, and imports.
	id := create()
	upload := c.call(token, "POST", "/v2/images/"+id+"/uploads", `{"size":104857600}`, 201)["id"].(string)
	c.call(token, "DELETE", "/v2/images/"+id+"/uploads/"+upload, "", 204)
	r, err := http.NewRequest("PUT", c.URL+"/v2/images/"+id+"/file", strings.NewReader("this is no disk"))
	ok(c.t, err)
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultTransport.RoundTrip(r)
	ok(c.t, err)
	ok(c.t, res.Body.Close())
	c.becomes(token, id, "queued")
	_, content := c.disk(9 << 20)
	whole := c.imports(token, "raw", c.source(content, true), "active")
	c.importsFrom(token, "RegionTwo", whole["id"].(string), "active")
	c.imports(token, "raw", c.source(content, false), "active")
	c.imports(token, "qcow2", c.source([]byte("this is no disk"), true), "queued")
	c.imports(token, "raw", c.mirror.URL+"/missing", "queued")

	// An import whose start is lost: scrub finds it due.
	c.mu.Lock()
	c.lose = map[string]bool{"importer": true}
	c.mu.Unlock()
	lost := create()
	c.call(token, "POST", "/v2/images/"+lost+"/import", `{"method":{"name":"web-download","uri":"`+c.source(content, true)+`"}}`, 202)
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()
	c.scrub(c.sample("scrub.round.json"))
	c.becomes(token, lost, "queued") // as a raw disk is no qcow2

	// A file whose news is lost on every way: scrub examines it.
	c.mu.Lock()
	c.lose, c.deliver = map[string]bool{"validate": true}, func(func() error) {}
	c.mu.Unlock()
	file, _ := c.disk(9 << 20)
	unheard, verdict := c.upload(file)
	for c.record(unheard).Status != images.StatusImporting {
		time.Sleep(50 * time.Millisecond)
	}
	c.mu.Lock()
	c.lose, c.deliver = nil, nil
	c.mu.Unlock()
	c.leaseEnds(unheard, 0)
	c.becomes(token, unheard, "active")
	ok(c.t, <-verdict)

	// Delete, with the last step left to scrub by time: it finds nothing due and looks at the bucket all the same.
	c.call(token, "DELETE", "/v2/images/"+id, "", 204)
	c.scrub(c.sample("scrub.adopt.json"))
	c.scrub(c.sample("scrub.round.json"))
	ok(c.t, c.asynchronously("importer", c.sample("importer.image.json"))) // there is no such image

	// Users: what each asks for, and administrators of all.
	bob := c.call(token, "GET", "/v3/auth/projects", "", 200)
	if len(bob["projects"].([]any)) != 1 {
		c.t.Errorf("got the projects %v, want one", bob)
	}
	admin := c.signIn("root", "default")
	for after, begun := "", false; !begun || after != ""; begun = true {
		page := c.call(admin, "POST", "/v2/scrub", fmt.Sprintf(`{"after":%q}`, after), 200)
		after, _ = page["next"].(string)
	}
	user := ""
	for _, u := range c.call(admin, "GET", "/v3/users", "", 200)["users"].([]any) {
		if u := u.(map[string]any); u["name"] == "bob" {
			user = u["id"].(string)
		}
	}
	c.call(admin, "GET", "/v3/users?name=bob", "", 200)
	c.call(admin, "GET", "/v3/users/"+user, "", 200)
	c.call(admin, "GET", "/v3/projects?name=default", "", 200)
	c.call(admin, "GET", "/v3/role_assignments?include_names", "", 200)
	credentials := "/v3/users/" + user + "/application_credentials"
	made := c.call(token, "POST", credentials, `{"application_credential":{"name":"robot"}}`, 201)["application_credential"].(map[string]any)
	c.call(token, "GET", credentials, "", 200)
	c.call("", "POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}}}`, made["id"], made["secret"]), 201)
	c.call(token, "DELETE", credentials+"/"+made["id"].(string), "", 204)
	c.call("", "POST", "/v3/users/"+user+"/password", `{"user":{"password":"Another-horse-8","original_password":"`+password+`"}}`, 204)
	c.pending.Wait()
}

// sample is an event of events/, which sam local invoke -e reads as well.
func (c *cloud) sample(file string) []byte {
	c.t.Helper()
	payload, err := os.ReadFile(filepath.Join(root, "events", file))
	ok(c.t, err)
	return payload
}
