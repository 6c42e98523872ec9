package harness

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"bullion/internal/dynamostore"
	"bullion/internal/identity/dynamo"
	"bullion/web"
)

// resources of template.yaml, with tags dropped: a reference is its name.
func resources(t testing.TB) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	ok(t, err)
	var document yaml.Node
	ok(t, yaml.Unmarshal(text, &document))
	untag(&document)
	var doc struct {
		Resources map[string]map[string]any `yaml:"Resources"`
	}
	ok(t, document.Decode(&doc))
	return doc.Resources
}

func untag(n *yaml.Node) {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		n.Tag = ""
	}
	for _, child := range n.Content {
		untag(child)
	}
}

func properties(t testing.TB, resource string) map[string]any {
	t.Helper()
	p, isMap := resources(t)[resource]["Properties"].(map[string]any)
	if !isMap {
		t.Fatalf("template.yaml has no properties of %s", resource)
	}
	return p
}

func TestTheTablesAreThoseThatTheCodeExpects(t *testing.T) {
	for resource, in := range map[string]*dynamodb.CreateTableInput{"Table": dynamostore.TableInput("x"), "IdentityTable": dynamo.TableInput("x")} {
		p := properties(t, resource)
		attributes, indexes := []any{}, []any{}
		for _, a := range in.AttributeDefinitions {
			attributes = append(attributes, map[string]any{"AttributeName": *a.AttributeName, "AttributeType": string(a.AttributeType)})
		}
		schema := func(hash, sort string) []any {
			return []any{map[string]any{"AttributeName": hash, "KeyType": "HASH"}, map[string]any{"AttributeName": sort, "KeyType": "RANGE"}}
		}
		for _, i := range in.GlobalSecondaryIndexes {
			indexes = append(indexes, map[string]any{"IndexName": *i.IndexName, "KeySchema": schema(*i.KeySchema[0].AttributeName, *i.KeySchema[1].AttributeName),
				"Projection": map[string]any{"ProjectionType": string(i.Projection.ProjectionType)}})
		}
		want := map[string]any{"BillingMode": string(in.BillingMode), "AttributeDefinitions": attributes,
			"KeySchema":                        schema(*in.KeySchema[0].AttributeName, *in.KeySchema[1].AttributeName),
			"TimeToLiveSpecification":          map[string]any{"AttributeName": dynamostore.TTLAttribute, "Enabled": true},
			"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": true},
			"DeletionProtectionEnabled":        true}
		if len(indexes) > 0 {
			want["GlobalSecondaryIndexes"] = indexes
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s (-code +template):\n%s", resource, diff)
		}
	}
}

func TestWhatHoldsImagesUsersOrRecordsOutlivesTheStack(t *testing.T) {
	for _, name := range []string{"ImagesBucket", "ImagesBucketPolicy", "Table", "IdentityTable", "UserPool"} {
		r := resources(t)[name]
		if r["DeletionPolicy"] != "Retain" || r["UpdateReplacePolicy"] != "Retain" {
			t.Errorf("%s: DeletionPolicy %v, UpdateReplacePolicy %v, want Retain for both", name, r["DeletionPolicy"], r["UpdateReplacePolicy"])
		}
	}
}

func TestTheDashboardHasTheSameContentSecurityPolicyOnBothHosts(t *testing.T) {
	p := properties(t, "SiteHeaders")["ResponseHeadersPolicyConfig"].(map[string]any)["SecurityHeadersConfig"].(map[string]any)["ContentSecurityPolicy"].(map[string]any)
	if got, want := p["ContentSecurityPolicy"], web.Policy([]string{"https://${ImagesBucket.RegionalDomainName}"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEveryAlarmHasASectionInTheRunbook(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	ok(t, err)
	alarms := 0
	for name, r := range resources(t) {
		if r["Type"] != "AWS::CloudWatch::Alarm" {
			continue
		}
		alarms++
		if !regexp.MustCompile(`(?m)^### ` + name + `$`).Match(text) {
			t.Errorf("docs/operations.md has no section ### %s", name)
		}
		if d, _ := properties(t, name)["AlarmDescription"].(string); !strings.HasSuffix(d, "See docs/operations.md, "+name+".") {
			t.Errorf("the description of %s does not name its section: %q", name, d)
		}
	}
	if alarms > 10 {
		t.Errorf("%d alarms; an account has ten for nothing, and an idle service must cost nothing", alarms)
	}
}

// TestNoRoleLacksWhatTheCodeCalls drives the functions through their work with a recorder before every service, and compares what they called
// with what the role of each allows.
func TestNoRoleLacksWhatTheCodeCalls(t *testing.T) {
	c := deploy(t)
	token := c.signIn("bob", "default")
	for _, size := range []int{9 << 20, 70 << 20} {
		file, _ := c.disk(size)
		id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
		c.call(token, "POST", "/v2/images/"+id+"/members", `{"member":"22222222222222222222222222222222"}`, 200)
		c.call(token, "GET", "/v2/images?sort=size:asc", "", 200)
		c.bullion("image", "save", "--file", filepath.Join(t.TempDir(), "copy"), id)
		c.bullion("image", "delete", "--yes", id)
	}
	id := c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"qcow2","container_format":"bare"}`, 201)["id"].(string)
	upload := c.call(token, "POST", "/v2/images/"+id+"/uploads", `{"size":104857600}`, 201)["id"].(string)
	c.call(token, "DELETE", "/v2/images/"+id+"/uploads/"+upload, "", 204)
	ok(t, c.asynchronously("scrub", []byte(`{"adopt":true}`)))
	ok(t, c.asynchronously("scrub", []byte(`{}`)))
	c.call(token, "DELETE", "/v2/images/"+id, "", 204)
	c.pending.Wait()

	for function := range c.Functions {
		role := strings.ToUpper(function[:1]) + function[1:] + "Role"
		allowed := map[string]bool{}
		for _, policy := range properties(t, role)["Policies"].([]any) {
			for _, s := range policy.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"].([]any) {
				statement := s.(map[string]any)
				actions, isList := statement["Action"].([]any)
				if !isList {
					actions = []any{statement["Action"]}
				}
				for _, a := range actions {
					allowed[a.(string)] = true
					if strings.Contains(a.(string), "*") {
						t.Errorf("%s allows %s: name the actions", role, a)
					}
				}
				if statement["Resource"] == "*" {
					t.Errorf("%s allows %v on everything: name the resources", role, actions)
				}
			}
		}
		if len(c.calls.seen[function]) == 0 {
			t.Errorf("%s called nothing: it was not driven", function)
		}
		for _, action := range slices.Sorted(maps.Keys(c.calls.seen[function])) {
			if !allowed[action] {
				t.Errorf("%s calls %s, which %s does not allow", function, action, role)
			}
		}
		t.Logf("%s called %s", function, strings.Join(slices.Sorted(maps.Keys(c.calls.seen[function])), " "))
	}
	for _, action := range []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} {
		if c.calls.seen["images"][action] {
			t.Errorf("images, which must not touch bytes, calls %s", action)
		}
	}
}
