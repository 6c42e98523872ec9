package harness

import (
	"os"
	"path/filepath"
	"regexp"
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

// parameter is what a person may set.
type parameter struct {
	Description, Default, AllowedPattern, ConstraintDescription string
	AllowedValues                                               []any
	MinValue                                                    any
}

func parameters(t testing.TB) map[string]parameter {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	ok(t, err)
	var document yaml.Node
	ok(t, yaml.Unmarshal(text, &document))
	untag(&document)
	var doc struct {
		Parameters map[string]struct {
			Description           string `yaml:"Description"`
			Default               string `yaml:"Default"`
			AllowedPattern        string `yaml:"AllowedPattern"`
			ConstraintDescription string `yaml:"ConstraintDescription"`
			AllowedValues         []any  `yaml:"AllowedValues"`
			MinValue              any    `yaml:"MinValue"`
		} `yaml:"Parameters"`
	}
	ok(t, document.Decode(&doc))
	all := map[string]parameter{}
	for name, p := range doc.Parameters {
		all[name] = parameter(p)
	}
	return all
}
