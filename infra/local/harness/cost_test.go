package harness

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"bullion/infra/local/harness/harnesstest"
	"bullion/internal/identity"
	"bullion/internal/identity/oidctest"
)

var update = flag.Bool("update", false, "write the table of requests in docs/cost.md anew, durations included: on a machine that does nothing else")

// tour asks every route of the API, some times over, and keeps what each request used up.
type tour struct {
	*cloud
	laps  int
	order []string
	cost  map[string][]spent // by the name of the row
	asked map[string]bool    // METHOD /path
}

// ask makes a request, which is one row of the table.
func (r *tour) ask(name, token, method, path, body string, want int, header ...string) (http.Header, map[string]any) {
	r.t.Helper()
	for {
		before := r.spent()
		request, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+path, strings.NewReader(body))
		ok(r.t, err)
		request.Header.Set("Content-Type", "application/json")
		if token != "" {
			request.Header.Set("X-Auth-Token", token)
		}
		for n := 0; n < len(header); n += 2 {
			request.Header.Set(header[n], header[n+1])
		}
		res, err := http.DefaultTransport.RoundTrip(request)
		ok(r.t, err)
		text, err := io.ReadAll(res.Body)
		ok(r.t, err)
		ok(r.t, res.Body.Close())
		if res.StatusCode == http.StatusTooManyRequests {
			time.Sleep(time.Second) // one user may ask so much and no more
			continue
		}
		if res.StatusCode != want {
			r.t.Fatalf("%s: %s %s: got %s, want %d\n%s", name, method, path, res.Status, want, text)
		}
		var sum spent
		after := r.spent()
		for _, function := range []string{"identity", "images", "uploads"} {
			sum = sum.plus(after[function], 1).plus(before[function], -1)
		}
		at, _, _ := strings.Cut(path, "?")
		r.asked[method+" "+at] = true
		r.row(name, sum)
		var doc map[string]any
		_ = json.Unmarshal(text, &doc) // not every answer is JSON
		return res.Header, doc
	}
}

func (r *tour) row(name string, s spent) {
	if r.cost[name] == nil {
		r.order = append(r.order, name)
	}
	r.cost[name] = append(r.cost[name], s)
}

// runs has a function run on events, which is one row of the table.
func (r *tour) runs(name, function string, do func()) {
	r.t.Helper()
	before := r.spent()[function]
	do()
	r.pending.Wait()
	r.row(name, r.spent()[function].plus(before, -1))
}

// typical is the row of a request: of each time that a lap has it the least of all laps, the first left out, in which functions start; and of these the most.
func (r *tour) typical(name string) (most spent) {
	all := r.cost[name]
	times := len(all) / r.laps // in a lap
	for n := range times {
		least := all[times+n]
		for lap := 2; lap < r.laps; lap++ {
			s := all[lap*times+n]
			least.Reads, least.Writes = min(least.Reads, s.Reads), min(least.Writes, s.Writes)
			least.Lists, least.Gets, least.Events = min(least.Lists, s.Lists), min(least.Gets, s.Gets), min(least.Events, s.Events) // more are a second try
			least.Billed, least.Processor = min(least.Billed, s.Billed), min(least.Processor, s.Processor)
		}
		most.Reads, most.Writes = max(most.Reads, least.Reads), max(most.Writes, least.Writes)
		most.Billed, most.Processor = max(most.Billed, least.Billed), max(most.Processor, least.Processor)
		most.Lists, most.Gets, most.Events = max(most.Lists, least.Lists), max(most.Gets, least.Gets), max(most.Events, least.Events)
	}
	return most
}

// withhold keeps back what the bucket tells of the next object. The function that it returns lets the last of it through, and all that comes after.
func (r *tour) withhold() (arrive func()) {
	var invoke func() error
	r.mu.Lock()
	r.deliver = func(event func() error) { invoke = event }
	r.mu.Unlock()
	return func() {
		ok(r.t, invoke())
		r.mu.Lock()
		r.deliver = nil
		r.mu.Unlock()
	}
}

// send sends the bytes of an upload to where they are signed for.
func (r *tour) send(upload map[string]any, content []byte) {
	r.t.Helper()
	for _, s := range upload["signed"].([]any) {
		part := s.(map[string]any)
		at, size := int64(part["number"].(float64)-1)*int64(upload["part_size"].(float64)), int64(part["size"].(float64))
		request, err := http.NewRequestWithContext(r.t.Context(), part["method"].(string), part["url"].(string), bytes.NewReader(content[at:at+size]))
		ok(r.t, err)
		for name, value := range part["headers"].(map[string]any) {
			request.Header.Set(name, value.(string))
		}
		res, err := http.DefaultTransport.RoundTrip(request)
		ok(r.t, err)
		ok(r.t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			r.t.Fatalf("a part: %s", res.Status)
		}
	}
}

// fresh makes an image that is not priced.
func (r *tour) fresh(token string) string {
	r.t.Helper()
	return r.call(token, "POST", "/v2/images", newImage, 201)["id"].(string)
}

const newImage = `{"name":"debian-13-generic-amd64","disk_format":"raw","container_format":"bare","tags":["lts"],"os_distro":"debian","os_version":"13","hw_disk_bus":"virtio","description":"A small image for machines in a cloud, as its distribution makes it every week."}`

const patch = "application/openstack-images-v2.1-json-patch"

// TestCostOfEveryRequest measures, on the built functions, what every route of the API uses up, and holds docs/cost.md to it. A lap asks each route once, in an order
// in which it succeeds; the durations are shown and not held, since they are of this machine.
func TestCostOfEveryRequest(t *testing.T) {
	provider := oidctest.Start(t)
	c := deploy(t, "ComputeProxy", "on", "Providers", `[{"id":"corp","issuer":"`+provider.URL+`","audiences":["`+oidctest.Audience+`"]}]`)
	c.calm = true
	r := &tour{cloud: c, cost: map[string][]spent{}, asked: map[string]bool{}}
	content := make([]byte, 70<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // it does not fail
	r.laps = 3
	if *update {
		r.laps = 8
	}
	old, new := password, "Another-horse-8"
	for range r.laps {
		r.lap(provider, content, old, new)
		old, new = new, old
	}
	r.everyRouteIsAsked()
	r.hold()
}

func (r *tour) lap(provider *oidctest.Issuer, content []byte, evesPassword, evesNext string) {
	project, other := identity.ProjectID("default"), identity.ProjectID("other")
	login := func(user, with, project string) string {
		return fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}},"scope":{"project":{"id":%q}}}}`, user, with, project)
	}
	signIn := func(user, with, project string) string {
		h, _ := r.ask("sign in with a password", "", "POST", "/v3/auth/tokens", login(user, with, project), 201)
		return h.Get("X-Subject-Token")
	}
	bob, root, cinder, eve := signIn("bob", password, project), signIn("root", password, project), signIn("cinder", password, project), signIn("eve", evesPassword, other)
	for _, token := range []string{bob, root, cinder, eve} {
		r.ask("the first request with a token, once in 30 seconds and process", token, "GET", "/v2/info/stores", "", 200)
		r.call(token, "GET", "/v2/images/"+images0+"/uploads/"+images0, "", 404) // the function uploads knows it now, too
		r.call(token, "GET", "/v3/auth/domains", "", 200)
	}

	// What touches no table.
	for _, path := range []string{"/", "/versions", "/healthcheck", "/openapi.yaml", "/openapi.json", "/v2/info/import", "/v2/info/policy", "/v2/schemas/image", "/v2.1", "/v2.1/"} {
		want := 200
		if path == "/" {
			want = 300
		}
		r.ask("versions, documents, schemas, policy", bob, "GET", path, "", want)
	}
	r.ask("versions, documents, schemas, policy", root, "GET", "/v2/info/stores/detail", "", 200)

	r.image(bob, root, cinder, eve, content[:1<<20])
	r.uploads(bob, root, content)
	r.imports(bob, root, cinder, content[:1<<20])
	r.operators(root, project)
	r.definitions(root)
	r.people(provider, bob, root, eve, evesPassword, evesNext, login, project, other)
}

const images0 = "00000000-0000-4000-8000-000000000000" // the id of no image

// image is the life of one that is sent in one piece.
func (r *tour) image(bob, root, cinder, eve string, content []byte) {
	_, made := r.ask("create", bob, "POST", "/v2/images", newImage, 201)
	image := "/v2/images/" + made["id"].(string)
	r.ask("show", bob, "GET", image, "", 200)
	r.ask("change a property", bob, "PATCH", image, `[{"op":"replace","path":"/os_version","value":"13.1"}]`, 200, "Content-Type", patch)
	r.ask("rename", bob, "PATCH", image, `[{"op":"replace","path":"/name","value":"debian-13.1-generic-amd64"}]`, 200, "Content-Type", patch)
	r.ask("add a tag", bob, "PUT", image+"/tags/signed", "", 204)
	r.ask("remove a tag", bob, "DELETE", image+"/tags/signed", "", 204)

	arrive := r.withhold()
	_, upload := r.ask("open an upload that is one PUT", bob, "POST", image+"/uploads", fmt.Sprintf(`{"size":%d}`, len(content)), 201)
	at := image + "/uploads/" + upload["id"].(string)
	r.send(upload, content)
	r.ask("complete an upload that is one PUT", bob, "POST", at+"/complete", "", 202)
	r.pending.Wait()
	r.runs("validate a file of 1 MiB, from the event to active", "validate", arrive)
	r.ask("read the verdict", bob, "GET", image+"/validation", "", 200)
	r.ask("history", bob, "GET", image+"/history", "", 200)
	r.ask("download, by a redirect", bob, "GET", image+"/file", "", 302)
	r.ask("ask for size and checksum (HEAD)", bob, "HEAD", image+"/file", "", 200)
	r.ask("sign a download", bob, "GET", image+"/download", "", 200)
	r.ask("where the bytes are, for a service", cinder, "GET", image+"/locations", "", 200)
	r.ask("deactivate", root, "POST", image+"/actions/deactivate", "", 204)
	r.ask("reactivate", root, "POST", image+"/actions/reactivate", "", 204)

	other := identity.ProjectID("other")
	r.ask("add a member", bob, "POST", image+"/members", `{"member":"`+other+`"}`, 200)
	r.ask("list members", bob, "GET", image+"/members", "", 200)
	r.ask("show a member", bob, "GET", image+"/members/"+other, "", 200)
	r.ask("accept a share", eve, "PUT", image+"/members/"+other, `{"status":"accepted"}`, 200)
	r.ask("remove a member", bob, "DELETE", image+"/members/"+other, "", 204)
	r.ask("publish", root, "PATCH", image, `[{"op":"replace","path":"/visibility","value":"public"}]`, 200, "Content-Type", patch)
	r.ask("unpublish", root, "PATCH", image, `[{"op":"replace","path":"/visibility","value":"shared"}]`, 200, "Content-Type", patch)
	r.ask("list one image, with the public ones in memory", bob, "GET", "/v2/images?name=debian-13.1-generic-amd64", "", 200)
	r.ask("usage", bob, "GET", "/v2/info/usage", "", 200)

	compute := "/v2.1/images/" + made["id"].(string)
	r.ask("list one image, with the public ones in memory, Compute API", bob, "GET", "/v2.1/images?name=debian-13.1-generic-amd64", "", 200)
	r.ask("list one image, with the public ones in memory, Compute API", bob, "GET", "/v2.1/images/detail?name=debian-13.1-generic-amd64", "", 200)
	r.ask("show, Compute API", bob, "GET", compute, "", 200)
	r.ask("show, Compute API", bob, "GET", compute+"/metadata", "", 200)
	r.ask("show, Compute API", bob, "GET", compute+"/metadata/os_version", "", 200)
	r.ask("change properties, Compute API", bob, "POST", compute+"/metadata", `{"metadata":{"os_version":"13.2"}}`, 200)
	r.ask("change properties, Compute API", bob, "PUT", compute+"/metadata", `{"metadata":{"os_version":"13.3","os_distro":"debian"}}`, 200)
	r.ask("change properties, Compute API", bob, "PUT", compute+"/metadata/os_version", `{"meta":{"os_version":"13.4"}}`, 200)
	r.ask("change properties, Compute API", bob, "DELETE", compute+"/metadata/os_version", "", 204)

	r.ask("delete", bob, "DELETE", image, "", 204)
	r.ask("delete a record without bytes, Compute API", bob, "DELETE", "/v2.1/images/"+r.fresh(bob), "", 204)
}

// uploads are the other ways in.
func (r *tour) uploads(bob, root string, content []byte) {
	image := "/v2/images/" + r.fresh(bob)
	size := fmt.Sprintf(`{"size":%d}`, len(content))
	_, upload := r.ask("open an upload in parts", bob, "POST", image+"/uploads", size, 201)
	at := image + "/uploads/" + upload["id"].(string)
	r.ask("show an upload in parts", bob, "GET", at, "", 200)
	r.ask("sign parts", bob, "POST", at+"/parts", `{"numbers":[1,2,3,4]}`, 200)
	r.ask("give an upload in parts up", bob, "DELETE", at, "", 204)
	_, upload = r.ask("open an upload in parts", bob, "POST", image+"/uploads", size, 201)
	at = image + "/uploads/" + upload["id"].(string)
	arrive := r.withhold()
	r.send(upload, content)
	r.ask("complete an upload in parts", bob, "POST", at+"/complete", "", 202)
	r.pending.Wait()
	r.runs("validate a file of 70 MiB, from the event to active", "validate", arrive)
	r.call(bob, "DELETE", image, "", 204)

	image = "/v2/images/" + r.fresh(bob)
	r.ask("send 1 MiB through the function, validated within the request", bob, "PUT", image+"/file", string(content[:1<<20]), 204, "Content-Type", "application/octet-stream")
	r.pending.Wait()
	r.call(bob, "DELETE", image, "", 204)

	image = "/v2/images/" + r.fresh(bob)
	r.ask("stage 1 MiB", bob, "PUT", image+"/stage", string(content[:1<<20]), 204, "Content-Type", "application/octet-stream")
	r.pending.Wait()
	r.ask("import 1 MiB that was staged, validated within the request", bob, "POST", image+"/import", `{"method":{"name":"glance-direct"}}`, 202)
	r.pending.Wait()
	r.call(bob, "DELETE", image, "", 204)
}

// imports are files that the service fetches.
func (r *tour) imports(bob, root, cinder string, content []byte) {
	uri := r.source(content, true)
	id := r.fresh(bob)
	image := "/v2/images/" + id
	fetch := `{"method":{"name":"web-download","uri":"` + uri + `"}}`
	r.mu.Lock()
	r.lose = map[string]bool{"importer": true}
	r.mu.Unlock()
	r.ask("start an import", bob, "POST", image+"/import", fetch, 202)
	r.ask("the task of an image", bob, "GET", image+"/tasks", "", 200)
	r.ask("show a task", root, "GET", "/v2/tasks/"+id, "", 200)
	r.ask("list tasks, of few images", root, "GET", "/v2/tasks?limit=5", "", 200)
	r.ask("give an import up", bob, "DELETE", image+"/import", "", 204)
	r.ask("add a location", bob, "POST", image+"/locations", `{"url":"`+uri+`"}`, 202)
	r.mu.Lock()
	r.lose = nil
	r.mu.Unlock()
	r.runs("fetch and validate 1 MiB from an address", "importer", func() { ok(r.t, r.asynchronously("importer", []byte(`{"image":"`+id+`"}`))) })
	if i := r.call(bob, "GET", image, "", 200); i["status"] != "active" {
		r.t.Fatalf("the import ended with %v", i)
	}
	r.call(bob, "DELETE", image, "", 204)
}

// operators look after the service.
func (r *tour) operators(root, project string) {
	r.ask("show a quota", root, "GET", "/v2/quotas/"+project, "", 200)
	r.ask("set a quota", root, "PUT", "/v2/quotas/"+project, `{"images":2000,"bytes":-1,"in_flight":-1,"uploads":100}`, 200)
	r.ask("unset a quota", root, "DELETE", "/v2/quotas/"+project, "", 204)
	r.ask("one page of a look at the books, nothing due", root, "POST", "/v2/scrub", `{}`, 200)
	r.runs("a round of scrub, nothing due", "scrub", func() { ok(r.t, r.asynchronously("scrub", []byte(`{}`))) })
}

// definitions are those of metadata.
func (r *tour) definitions(root string) {
	const all = "/v2/metadefs/namespaces"
	const ns = all + "/Custom"
	r.ask("resource types of definitions", root, "GET", "/v2/metadefs/resource_types", "", 200)
	r.ask("create a namespace", root, "POST", all, `{"namespace":"Custom","properties":{"a":{"title":"A","type":"string"}},"objects":[{"name":"a"}],"tags":[{"name":"a"}],"resource_type_associations":[{"name":"A"}]}`, 201)
	r.ask("list namespaces", root, "GET", all, "", 200)
	const read, write = "read a definition or some of a namespace", "change a definition or some of a namespace"
	r.ask(read, root, "GET", ns, "", 200)
	r.ask(write, root, "PUT", ns, `{"namespace":"Custom","description":"new"}`, 200)
	r.ask(read, root, "GET", ns+"/resource_types", "", 200)
	r.ask(write, root, "POST", ns+"/resource_types", `{"name":"B"}`, 201)
	r.ask(write, root, "DELETE", ns+"/resource_types/B", "", 204)
	for _, kind := range []struct{ path, more, set string }{
		{"/properties", `{"name":"b","title":"B","type":"string"}`, `{"name":"a","title":"new","type":"string"}`},
		{"/objects", `{"name":"b"}`, `{"name":"a","description":"new"}`},
	} {
		r.ask(read, root, "GET", ns+kind.path, "", 200)
		r.ask(write, root, "POST", ns+kind.path, kind.more, 201)
		r.ask(read, root, "GET", ns+kind.path+"/a", "", 200)
		r.ask(write, root, "PUT", ns+kind.path+"/a", kind.set, 200)
		r.ask(write, root, "DELETE", ns+kind.path+"/a", "", 204)
		r.ask(write, root, "DELETE", ns+kind.path, "", 204)
	}
	r.ask(read, root, "GET", ns+"/tags", "", 200)
	r.ask(write, root, "POST", ns+"/tags", `{"tags":[{"name":"b"}]}`, 201)
	r.ask(write, root, "POST", ns+"/tags/a", "", 201)
	r.ask(read, root, "GET", ns+"/tags/a", "", 200)
	r.ask(write, root, "PUT", ns+"/tags/a", `{"name":"c"}`, 200)
	r.ask(write, root, "DELETE", ns+"/tags/c", "", 204)
	r.ask(write, root, "DELETE", ns+"/tags", "", 204)
	r.ask("delete a namespace", root, "DELETE", ns, "", 204)
}

// people are what identity answers.
func (r *tour) people(provider *oidctest.Issuer, bob, root, eve, evesPassword, evesNext string, login func(user, with, project string) string, project, other string) {
	_, token := r.ask("check a token", bob, "GET", "/v3/auth/tokens", "", 200, "X-Subject-Token", bob)
	user := token["token"].(map[string]any)["user"].(map[string]any)["id"].(string)
	const mine = "catalogue, and what one may sign in to"
	for _, path := range []string{"/v3", "/v3/auth/projects", "/v3/auth/catalog", "/v3/auth/domains", "/v3/auth/system", "/v3/OS-FEDERATION/projects", "/v3/OS-FEDERATION/domains"} {
		r.ask(mine, bob, "GET", path, "", 200)
	}
	for _, method := range []string{"GET", "POST"} {
		r.ask("sign in with a provider's token", "", method, "/v3/OS-FEDERATION/identity_providers/corp/protocols/openid/auth", "", 201, "Authorization", "Bearer "+provider.Token(r.t, time.Now(), map[string]any{"groups": []string{"default:member"}}))
	}
	const who = "users, projects, roles"
	for _, path := range []string{"/v3/users", "/v3/users/" + user, "/v3/users/" + user + "/projects", "/v3/projects", "/v3/projects/" + project, "/v3/domains", "/v3/domains/default",
		"/v3/roles", "/v3/roles/member", "/v3/role_assignments"} {
		r.ask(who, root, "GET", path, "", 200)
	}
	credentials := "/v3/users/" + user + "/application_credentials"
	r.ask(who, bob, "GET", "/v3/users/"+user+"/access_rules", "", 200)
	_, made := r.ask("make an application credential", bob, "POST", credentials, `{"application_credential":{"name":"robot"}}`, 201)
	credential := made["application_credential"].(map[string]any)
	r.ask("list application credentials", bob, "GET", credentials, "", 200)
	one := credentials + "/" + credential["id"].(string)
	r.ask("show an application credential", bob, "GET", one, "", 200)
	r.ask("sign in with an application credential", "", "POST", "/v3/auth/tokens",
		fmt.Sprintf(`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}}}`, credential["id"], credential["secret"]), 201)
	r.ask("end an application credential", bob, "DELETE", one, "", 204)
	h, _ := r.ask("sign in with a password", "", "POST", "/v3/auth/tokens", login("bob", password, project), 201)
	r.ask("end a token", h.Get("X-Subject-Token"), "DELETE", "/v3/auth/tokens", "", 204, "X-Subject-Token", h.Get("X-Subject-Token"))
	_, token = r.ask("check a token", eve, "GET", "/v3/auth/tokens", "", 200, "X-Subject-Token", eve)
	user = token["token"].(map[string]any)["user"].(map[string]any)["id"].(string)
	r.ask("change a password", "", "POST", "/v3/users/"+user+"/password", fmt.Sprintf(`{"user":{"password":%q,"original_password":%q}}`, evesNext, evesPassword), 204)
}

// everyRouteIsAsked holds the laps against the document of the API, which another test holds against the routes.
func (r *tour) everyRouteIsAsked() {
	document := harnesstest.Call(r.t, "", "GET", r.URL+"/openapi.json", "", 200)["paths"].(map[string]any)
	parameter := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	routes := 0
	for path, methods := range document {
		pattern := regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method := range methods.(map[string]any) {
			method = strings.ToUpper(method)
			if !slices.Contains([]string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"}, method) {
				continue
			}
			routes++
			found := false
			for at := range r.asked {
				m, p, _ := strings.Cut(at, " ")
				found = found || m == method && pattern.MatchString(p)
			}
			if !found {
				r.t.Errorf("nothing says what %s %s costs: ask it in a lap", method, path)
			}
		}
	}
	if routes < 100 {
		r.t.Errorf("the document has %d routes only", routes)
	}
}

// Prices in dollars, as docs/cost.md has them.
const (
	readUnit   = 0.125e-6
	writeUnit  = 0.625e-6
	s3List     = 0.005e-3
	s3Get      = 0.0004e-3
	busEvent   = 1e-6
	gibSecond  = 0.0000133334 // of a function
	run        = 0.2e-6       // of a function
	apiRequest = 3.5e-6
)

// onLambda is the time of a run with that much memory, in GiB: 1769 MB have one processor (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
func onLambda(s spent, memory float64) time.Duration {
	share := min(1, memory*1024/1769)
	return s.Billed - s.Processor + time.Duration(float64(s.Processor)/share)
}

// line is the row of the table in docs/cost.md.
func (r *tour) line(name string) string {
	s := r.typical(name)
	function, api := r.functionOf(name)
	memory, err := strconv.ParseFloat(fmt.Sprint(r.Template.Resources[function].Properties["MemorySize"]), 64)
	ok(r.t, err)
	memory /= 1024
	took := onLambda(s, memory)
	dynamo, rest := s.Reads*readUnit+s.Writes*writeUnit, float64(s.Lists)*s3List+float64(s.Gets)*s3Get+float64(s.Events)*busEvent
	lambda := run + took.Seconds()*memory*gibSecond
	return fmt.Sprintf("| %s | %s | %s | %d + %d | %d | %.0f | %.1f | %.4f | %.4f | %.4f | **%.4f** |", name, units(s.Reads), units(s.Writes), s.Lists, s.Gets, s.Events,
		float64(s.Billed.Milliseconds()), s.Processor.Seconds()*1000, 1000*dynamo, 1000*rest, 1000*lambda, 1000*(dynamo+rest+lambda+api))
}

func units(u float64) string { return strconv.FormatFloat(u, 'f', -1, 64) }

// functionOf is the resource of the function that a row is about, and what the API takes.
func (r *tour) functionOf(name string) (resource string, api float64) {
	switch {
	case strings.HasPrefix(name, "validate "):
		return "ValidateFunction", 0
	case strings.HasPrefix(name, "fetch and validate "):
		return "ImporterFunction", 0
	case strings.HasPrefix(name, "a round of scrub"):
		return "ScrubFunction", 0
	}
	return "ImagesFunction", apiRequest // as uploads and identity
}

const header = "| request | read units | write units | S3: PUT and list + GET | events | ms | processor | DynamoDB | S3, events | Lambda | together |\n|---|---|---|---|---|---|---|---|---|---|---|\n"

// hold compares the table in docs/cost.md with what was measured, or writes it.
func (r *tour) hold() {
	file := filepath.Join(root, "docs", "cost.md")
	text, err := os.ReadFile(file)
	ok(r.t, err)
	before, after, found := strings.Cut(string(text), header)
	if !found {
		r.t.Fatalf("docs/cost.md has no table that begins with\n%s", header)
	}
	rows, after, _ := strings.Cut(after, "\n\n")
	var shown strings.Builder
	w := tabwriter.NewWriter(&shown, 0, 0, 1, ' ', 0)
	var lines []string
	for _, name := range r.order {
		lines = append(lines, r.line(name))
		fmt.Fprintln(w, strings.ReplaceAll(strings.Trim(r.line(name), "|"), " | ", "\t"))
	}
	ok(r.t, w.Flush())
	r.t.Logf("what requests use up, here:\n%s", shown.String())
	if *update {
		ok(r.t, os.WriteFile(file, []byte(before+header+strings.Join(lines, "\n")+"\n\n"+after), 0o644))
		return
	}
	published := map[string][]string{}
	for row := range strings.Lines(rows) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " | ")
		published[strings.TrimSpace(cells[0])] = cells
	}
	for _, name := range r.order {
		cells := published[name]
		delete(published, name)
		if len(cells) != strings.Count(header, "|")/2-1 {
			r.t.Errorf("docs/cost.md has no row %q", name)
			continue
		}
		s := r.typical(name)
		reads, errR := strconv.ParseFloat(cells[1], 64)
		writes, errW := strconv.ParseFloat(cells[2], 64)
		unsure := 1.0
		if strings.HasPrefix(name, "list ") {
			unsure = 4 // public ones are kept in memory for five seconds; and what is read ahead depends on which of the parallel reads answers first
		}
		if errR != nil || errW != nil || math.Abs(reads-s.Reads) > unsure || math.Abs(writes-s.Writes) > max(1, 0.05*s.Writes) {
			r.t.Errorf("%s used %v read and %v write units; docs/cost.md says %s and %s", name, s.Reads, s.Writes, cells[1], cells[2])
		}
		if want := fmt.Sprintf("%d + %d", s.Lists, s.Gets); cells[3] != want || cells[4] != strconv.Itoa(s.Events) {
			r.t.Errorf("%s made %s requests to S3 and put %d events; docs/cost.md says %s and %s", name, want, s.Events, cells[3], cells[4])
		}
	}
	for name := range published {
		r.t.Errorf("docs/cost.md has a row %q, which nothing measures", name)
	}
}
