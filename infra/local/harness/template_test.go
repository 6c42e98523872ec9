package harness

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	Type                  string   `yaml:"Type"`
	Description           string   `yaml:"Description"`
	Default               *string  `yaml:"Default"`
	AllowedPattern        string   `yaml:"AllowedPattern"`
	ConstraintDescription string   `yaml:"ConstraintDescription"`
	AllowedValues         []string `yaml:"AllowedValues"`
	MinValue              *float64 `yaml:"MinValue"`
	MaxValue              *float64 `yaml:"MaxValue"`
}

// accepts says whether CloudFormation takes a value: a pattern must match the whole of it, and of each in a list
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html).
func (p parameter) accepts(t testing.TB, value string) bool {
	t.Helper()
	if p.AllowedPattern != "" {
		pattern, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
		ok(t, err)
		values := []string{value}
		if p.Type == "CommaDelimitedList" {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if !pattern.MatchString(v) {
				return false
			}
		}
	}
	if p.Type == "Number" {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
			return false
		}
	}
	return len(p.AllowedValues) == 0 || slices.Contains(p.AllowedValues, value)
}

func parameters(t testing.TB) map[string]parameter {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	ok(t, err)
	var document yaml.Node
	ok(t, yaml.Unmarshal(text, &document))
	untag(&document)
	var doc struct {
		Parameters map[string]parameter `yaml:"Parameters"`
	}
	ok(t, document.Decode(&doc))
	return doc.Parameters
}

// parameterValues are, of each parameter, values that people need and values that CloudFormation must refuse before it makes anything.
var parameterValues = map[string]struct{ right, wrong []string }{
	"DomainName":     {[]string{"images.example.org", "a.b-c.example"}, []string{"https://images.example.org", "Images.example.org", "images", "images.example.org.", "-a.example.org", "a_b.example.org"}},
	"CertificateArn": {[]string{"arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"}, []string{"arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012", "12345678", "arn:aws:iam::123456789012:server-certificate/x"}},
	"HostedZoneId":   {[]string{"Z0123456789ABCDEFGHIJ"}, []string{"/hostedzone/Z0123456789ABCDEFGHIJ", "example.org", "z012"}},
	"BrowserOrigins": {[]string{"https://images.example.org", "https://*.example.org", "http://localhost:5173", "https://a.example.org,https://b.example.org:8443"},
		[]string{"", "images.example.org", "https://images.example.org/", "https://images.example.org/ui", "https://a.example.org, https://b.example.org", "https://a.*.org", "ftp://a.example.org", "https://a.example.org:0"}},
	"TrustedProxies": {[]string{"192.0.2.0/24", "192.0.2.0/24,2001:db8::/32"}, []string{"192.0.2.1", "192.0.2.0/24, 198.51.100.0/24", "proxy.example.org", "10.0.0.0/1000"}},
	"Policy": {[]string{"preset: admin-only", `{"preset":"admin-only"}`, `download_image: "role:reader"`, "# ours\npreset: admin-only\n\nadd_image: \"rule:builders\"\r\nbuilders: 'role:admin or role:member'\n", "{\n \"add_image\": \"role:admin\"\n}"},
		[]string{"admin-only", "preset", "preset:admin-only", "{", `["preset"]`, "policy.yaml", "preset: admin-only\nadd_image", "https://example.org/policy.yaml"}},
	"MaxImageBytes":     {[]string{"1", "9999999999999"}, []string{"", "0", "1GB", "-1", "10000000000000", "1e9"}},
	"Inspection":        {[]string{"strict", "lenient"}, []string{"", "Strict", "off"}},
	"Boot":              {[]string{"warn", "require", "off"}, []string{"", "on", "false"}},
	"Imports":           {[]string{"on", "off"}, []string{"", "true", "On"}},
	"ImportRegions":     {[]string{"on", "off"}, []string{"", "yes", `[{"region":"RegionTwo"}]`}},
	"ImportAllow":       {[]string{"10.0.0.0/8", "mirror.example.org", "10.0.0.0/8,mirror.example.org:8080,[2001:db8::1]:80"}, []string{"10.0.0.0/8, mirror.example.org", "*", "10.0.0.0/8;mirror.example.org", ","}},
	"Users":             {[]string{"cognito", "oidc", "keystone"}, []string{"", "ldap", "Cognito"}},
	"KeystoneUrl":       {[]string{"https://keystone.example.org/v3", "http://10.0.0.5:5000/v3"}, []string{"keystone.example.org", "ftp://keystone.example.org", "https://key stone.example.org"}},
	"Projects":          {[]string{"acme", "acme,lab_2"}, []string{"acme, lab", "acme:member", "-acme", "ac me"}},
	"Project":           {[]string{"acme", "a", "A.b-c_d"}, []string{"", "acme:admin", "a b", "-a", strings.Repeat("a", 65)}},
	"Providers":         {[]string{`[{"id":"corp","issuer":"https://login.example.org","audiences":["bullion"]}]`}, []string{`{"id":"corp"}`, "https://login.example.org", "["}},
	"RegionName":        {[]string{"RegionOne", "eu-1"}, []string{"", "Region One", "-a"}},
	"TokenLifetime":     {[]string{"1m", "30m", "1440m", "24h"}, []string{"", "0h", "25h", "1441m", "9999m", "1d", "3600", "1h30m", "30s"}},
	"ComputeUrl":        {[]string{"https://compute.example.org/v2.1"}, []string{"compute.example.org", "file:///etc/passwd"}},
	"ComputeProxy":      {[]string{"on", "off"}, []string{"", "yes"}},
	"Architecture":      {[]string{"arm64", "x86_64"}, []string{"", "amd64"}},
	"ApiMemory":         {[]string{"128", "3008"}, []string{"", "127", "10240", "512MB"}},
	"RequestsPerSecond": {[]string{"1", "10000"}, []string{"", "0", "-1", "10001", "many"}},
	"ScrubEvery":        {[]string{"rate(1 minute)", "rate(2 minutes)", "rate(59 minutes)"}, []string{"", "rate(1 minutes)", "rate(0 minutes)", "rate(60 minutes)", "rate(2 minute)", "cron(0 * * * ? *)", "5 minutes"}},
	"Quota": {[]string{"{}", `{"images":100}`, `{"images":100,"bytes":1099511627776,"in_flight":-1,"uploads":20}`, `{ "images" : 1 , "bytes" : 2 }`},
		[]string{"100", "{", `{"image":100}`, `{"images":"100"}`, `{"images":1e3}`, `{"images":100,}`, `{"images":-2}`, `{"images":100 "bytes":1}`, `[100]`}},
	"EventBus":   {[]string{"default", "", "my.bus-1"}, []string{"arn:aws:events:eu-central-1:123456789012:event-bus/default", "my bus"}},
	"LogDays":    {[]string{"1", "30", "1827"}, []string{"", "2", "0", "forever"}},
	"Alarms":     {[]string{"on", "off"}, []string{"", "none"}},
	"AlarmEmail": {[]string{"ops@example.org"}, []string{"ops", "ops@", "ops@example.org, dev@example.org"}},
	"Tracing":    {[]string{"on", "off"}, []string{"", "Active"}},
}

// TestAWrongParameterIsRefusedBeforeAnythingIsMade holds that whatever a person may set is told of, bounded and has a default that stands by itself, and that the
// functions start with what is let through.
func TestAWrongParameterIsRefusedBeforeAnythingIsMade(t *testing.T) {
	all := parameters(t)
	for name, p := range all {
		if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s has no description that is a sentence: %q", name, p.Description)
		}
		if p.AllowedPattern == "" && len(p.AllowedValues) == 0 && (p.MinValue == nil || p.MaxValue == nil) {
			t.Errorf("%s takes anything: give it AllowedPattern, AllowedValues, or MinValue and MaxValue", name)
		}
		if p.AllowedPattern != "" && p.ConstraintDescription == "" {
			t.Errorf("%s has a pattern and no ConstraintDescription that says what is wanted", name)
		}
		if p.Default == nil || !p.accepts(t, *p.Default) {
			t.Errorf("%s has no default, or one that it refuses: a stack must come up with none given", name)
		}
		values := parameterValues[name]
		if len(values.right) == 0 || len(values.wrong) == 0 {
			t.Errorf("the table has no right, or no wrong, value of %s", name)
		}
		for _, v := range values.right {
			if !p.accepts(t, v) {
				t.Errorf("%s refuses %q", name, v)
			}
		}
		for _, v := range values.wrong {
			if p.accepts(t, v) {
				t.Errorf("%s takes %q", name, v)
			}
		}
	}
	for name := range parameterValues {
		if _, known := all[name]; !known {
			t.Errorf("template.yaml has no parameter %s", name)
		}
	}
}

// TestTheFunctionsStartWithEveryParameterThatIsLetThrough starts those whose environment a right value changes.
func TestTheFunctionsStartWithEveryParameterThatIsLetThrough(t *testing.T) {
	usual, started := environments(t, nil), 0
	for name, values := range parameterValues {
		for _, value := range values.right {
			changed := map[string]string{name: value}
			switch { // as the rules of the template want
			case name == "Users" && value == "oidc", name == "Providers", name == "Projects":
				changed["Users"] = "oidc"
				for _, other := range []string{"Providers", "Projects"} {
					if changed[other] == "" {
						changed[other] = parameterValues[other].right[0]
					}
				}
			case name == "Users" && value == "keystone", name == "KeystoneUrl":
				changed["Users"], changed["KeystoneUrl"] = "keystone", "https://keystone.example.org/v3"
			}
			for function, environment := range environments(t, changed) {
				if maps.Equal(environment, usual[function]) {
					continue
				}
				started++
				// There is no Runtime API, at which every start ends here.
				if text, _ := start(t, function, environment); strings.Contains(text, "BULLION_") || strings.Contains(text, "panic") || !strings.Contains(text, "127.0.0.1:1") {
					t.Errorf("%s=%q: %s does not start: %q", name, value, function, text)
				}
			}
		}
	}
	if started < 50 {
		t.Errorf("%d starts only", started)
	}
}
