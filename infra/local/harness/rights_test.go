package harness

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bullion/internal/identity"
)

// status makes a request that may fail, and returns how it ended.
func (c *cloud) status(token, method, path, body string) int {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, strings.NewReader(body))
	ok(c.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Auth-Token", token)
	res, err := http.DefaultTransport.RoundTrip(r)
	ok(c.t, err)
	ok(c.t, res.Body.Close())
	return res.StatusCode
}

// TestAMissingRightIsNamedInOneSentence takes one right after another from the roles of the built functions, and reads in the log of each, or in what its run ended
// with, which one it needs and on what.
func TestAMissingRightIsNamedInOneSentence(t *testing.T) {
	c := deploy(t, "ImportRegions", "on")
	c.calm = true
	login := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"bob","domain":{"id":"default"},"password":%q}}},"scope":{"project":{"id":%q}}}}`, password, identity.ProjectID("default"))
	tried := map[string]bool{}
	// without has the function do something without a right. named are texts that the sentence has.
	without := func(function, action string, do func() error, named ...string) {
		t.Helper()
		tried[function+" "+action] = true
		c.pending.Wait()
		c.Functions[function].Kill() // it remembers what it has read
		said := len(c.Functions[function].Output())
		c.calls.setRefuse(func(f string, r *http.Request) bool {
			return f == function && slices.ContainsFunc(callsOf(r), func(one call) bool { return one.Action == action })
		})
		ended := do()
		c.pending.Wait()
		c.calls.setRefuse(nil)
		text := ""
		for range 50 { // what a process writes comes by another way than its answer
			text = c.Functions[function].Output()[said:]
			if ended != nil {
				text += ended.Error()
			}
			for line := range strings.Lines(text) {
				found := strings.Contains(line, "needs ") && strings.Contains(line, action)
				for _, name := range named {
					found = found && strings.Contains(line, name)
				}
				if found {
					return
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s without %s: nothing says so and names %v:\n%s", function, action, named, text)
	}
	asks := func(token, method, path, body string, want int) func() error {
		return func() error {
			t.Helper()
			if got := c.status(token, method, path, body); got != want {
				t.Errorf("%s %s: got %d, want %d", method, path, got, want)
			}
			return nil
		}
	}

	signIn := asks("", "POST", "/v3/auth/tokens", login, 503)
	without("identity", "ssm:PutParameter", signIn, "/bullion/keys/private")
	bob, root := c.signIn("bob", "default"), c.signIn("root", "default")
	without("identity", "ssm:GetParameter", signIn, "/bullion/keys/private")
	without("identity", "cognito-idp:AdminInitiateAuth", signIn, "sign in")
	without("identity", "cognito-idp:AdminListGroupsForUser", signIn, "list a user's groups")
	without("identity", "cognito-idp:ListUsers", asks(root, "GET", "/v3/users", "", 503), "list users")
	without("identity", "cognito-idp:ListGroups", asks(root, "GET", "/v3/projects", "", 503), "list groups")
	user := ""
	for _, u := range c.call(root, "GET", "/v3/users?name=bob", "", 200)["users"].([]any) {
		user = u.(map[string]any)["id"].(string)
	}
	without("identity", "cognito-idp:AdminGetUser", asks(root, "GET", "/v3/users?name=bob", "", 503), "look up a user")
	credentials := "/v3/users/" + user + "/application_credentials"
	one := credentials + "/" + c.call(bob, "POST", credentials, `{"application_credential":{"name":"robot"}}`, 201)["application_credential"].(map[string]any)["id"].(string)
	table := "identity table"
	without("identity", "dynamodb:BatchGetItem", asks(bob, "GET", "/v3/auth/projects", "", 503), table)
	without("identity", "dynamodb:Query", asks(bob, "GET", credentials, "", 503), table)
	without("identity", "dynamodb:GetItem", asks(bob, "GET", one, "", 503), table)
	without("identity", "dynamodb:PutItem", asks(bob, "POST", credentials, `{"application_credential":{"name":"another"}}`, 503), table)
	without("identity", "dynamodb:DeleteItem", asks(bob, "DELETE", one, "", 503), table)
	gone := c.signIn("bob", "default")
	without("identity", "dynamodb:UpdateItem", func() error {
		r, err := http.NewRequestWithContext(t.Context(), "DELETE", c.URL+"/v3/auth/tokens", nil)
		ok(t, err)
		r.Header.Set("X-Auth-Token", gone)
		r.Header.Set("X-Subject-Token", gone)
		res, err := http.DefaultTransport.RoundTrip(r)
		ok(t, err)
		ok(t, res.Body.Close())
		if res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a revocation: got %s, want 503", res.Status)
		}
		return nil
	}, table)

	records := c.Template.Functions["images"].Environment["BULLION_TABLE"]
	const create = `{"name":"x","disk_format":"raw","container_format":"bare"}`
	id := c.call(bob, "POST", "/v2/images", create, 201)["id"].(string)
	image := "/v2/images/" + id
	without("images", "ssm:GetParameter", asks(bob, "GET", image, "", 503), "/bullion/keys/public")
	without("images", "dynamodb:BatchGetItem", asks(bob, "GET", image, "", 503), table)
	without("images", "dynamodb:GetItem", asks(bob, "GET", image, "", 500), records)
	without("images", "dynamodb:Query", asks(bob, "GET", "/v2/images", "", 500), records)
	without("images", "dynamodb:PutItem", asks(bob, "POST", "/v2/images", create, 500), records)
	without("images", "dynamodb:UpdateItem", asks(bob, "POST", "/v2/images", create, 500), records)
	without("images", "events:PutEvents", asks(bob, "POST", "/v2/images", create, 201), "bus default")

	without("uploads", "dynamodb:GetItem", asks(bob, "POST", image+"/uploads", `{"size":1}`, 500), records)
	without("uploads", "s3:PutObject", asks(bob, "POST", image+"/uploads", `{"size":104857600}`, 500), "images/"+id)
	without("uploads", "ssm:GetParameter", asks(bob, "POST", image+"/uploads", `{"size":1}`, 503), "/bullion/keys/public")
	without("uploads", "dynamodb:BatchGetItem", asks(bob, "POST", image+"/uploads", `{"size":1}`, 503), table)
	fetch := `{"method":{"name":"web-download","uri":"` + c.source(make([]byte, 1<<20), true) + `"}}`
	fresh := func() string { return c.call(bob, "POST", "/v2/images", create, 201)["id"].(string) }
	lost := fresh()
	without("uploads", "lambda:InvokeFunction", asks(bob, "POST", "/v2/images/"+lost+"/import", fetch, 202), "the function bullion-importer")
	without("uploads", "events:PutEvents", asks(bob, "DELETE", "/v2/images/"+lost+"/import", "", 204), "bus default")

	scrub := func() error { return c.asynchronously("scrub", []byte(`{}`)) }
	without("scrub", "events:PutEvents", scrub, "bus default")
	without("scrub", "dynamodb:Query", scrub, records)
	without("scrub", "s3:ListBucket", func() error { return c.asynchronously("scrub", []byte(`{"adopt":true}`)) }, "images")
	c.mu.Lock()
	c.lose = map[string]bool{"importer": true}
	c.mu.Unlock()
	c.call(bob, "POST", "/v2/images/"+lost+"/import", fetch, 202)
	without("scrub", "lambda:InvokeFunction", scrub, "the function bullion-importer")
	importer := func(action string, named ...string) {
		t.Helper()
		id, fetch := fresh(), fetch
		if action == "ssm:GetParameter" {
			fetch = `{"method":{"name":"glance-download","glance_region":"RegionTwo","glance_image_id":"` + images0 + `"}}`
		}
		c.call(bob, "POST", "/v2/images/"+id+"/import", fetch, 202)
		without("importer", action, func() error { return c.asynchronously("importer", []byte(`{"image":"`+id+`"}`)) }, named...)
		c.call(bob, "DELETE", "/v2/images/"+id, "", 204)
	}
	importer("dynamodb:GetItem", records)
	importer("s3:PutObject", "images/")
	importer("events:PutEvents", "bus default")
	importer("ssm:GetParameter", "/bullion/regions")
	c.call(bob, "DELETE", "/v2/images/"+lost, "", 204)
	c.mu.Lock()
	c.lose = nil
	c.mu.Unlock()

	file, _ := c.disk(9 << 20)
	end := c.delivered()
	validate := func(action string, named ...string) {
		t.Helper()
		var verdict <-chan error
		without("validate", action, func() error {
			id, verdict = c.upload(file)
			return <-end
		}, named...)
		c.leaseEnds(id, 0)
		for c.record(id).Status != "active" {
			_ = scrub()
			time.Sleep(50 * time.Millisecond)
		}
		ok(t, <-verdict)
	}
	validate("dynamodb:GetItem", records)
	validate("dynamodb:PutItem", records)
	validate("s3:GetObject", "images/")
	validate("events:PutEvents", "bus default")
	c.Functions["validate"].Timeout = 20 * time.Second // as long as the margin before the end: every run stops after its first eight megabytes
	validate("lambda:InvokeFunction", "the function bullion-validate")

	tried["importer lambda:InvokeFunction"] = true // as validate's: it takes the end of an invocation
	for function := range c.Functions {
		for _, p := range permissions(t, c.Template, function) {
			service, _, _ := strings.Cut(p.Action, ":")
			if slices.Contains([]string{"ssm", "cognito-idp", "events", "lambda"}, service) && !tried[function+" "+p.Action] {
				t.Errorf("%s was not tried without %s", function, p.Action)
			}
		}
	}
}
