package harness

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// environments are those of the functions, by name, as the template sets them with the parameters.
func environments(t testing.TB, parameters map[string]string) map[string]map[string]string {
	t.Helper()
	values := map[string]string{"AWS::StackName": "bullion", "AWS::Region": region, "Table": "t", "IdentityTable": "i",
		"ImagesBucket": "b", "UserPool": region + "_p", "UserPoolClient": "c", "Distribution.DomainName": "d111111abcdef8.cloudfront.net"}
	maps.Copy(values, parameters)
	template, err := ReadTemplate(filepath.Join(root, "template.yaml"), values)
	ok(t, err)
	all := map[string]map[string]string{}
	for name, f := range template.Functions {
		all[name] = f.Environment
	}
	return all
}

// start starts a built function where there is no Runtime API, and returns what it said and how it ended.
func start(t testing.TB, function string, environment map[string]string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(built, function, "bootstrap"))
	cmd.Env = []string{"AWS_REGION=" + region, "AWS_LAMBDA_FUNCTION_NAME=bullion-" + function, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Functions that read a variable.
const (
	ofRecords = "images uploads validate importer scrub"
	ofAPI     = "images uploads"
	ofAll     = ofRecords + " identity"
)

// variables are all that template.yaml sets: which functions read it, which of these do not start without, and what they do not start with. Names of tables and the
// like are met at the first call, which another test reads the errors of.
var variables = map[string]struct {
	readBy, neededBy string
	wrong            []string
}{
	"BULLION_TABLE":             {readBy: ofRecords, neededBy: ofRecords},
	"BULLION_BUCKET":            {readBy: ofRecords, neededBy: ofRecords},
	"BULLION_PUBLIC_URL":        {readBy: ofAll, neededBy: ofAll, wrong: []string{"images.example.org", "ftp://images.example.org", "https://"}},
	"BULLION_INSPECTION":        {readBy: ofRecords, wrong: []string{"odd"}},
	"BULLION_BOOT":              {readBy: ofRecords, wrong: []string{"never"}},
	"BULLION_MAX_SIZE":          {readBy: ofRecords, wrong: []string{"1GB", "0", "-1"}},
	"BULLION_POLICY":            {readBy: ofRecords, wrong: []string{"{", "preset: curated", "add_image: [1]"}},
	"BULLION_QUOTA":             {readBy: ofRecords, wrong: []string{"{", `{"image":1}`, `{"images":"1"}`, `{"images":1} {}`}},
	"BULLION_IMPORTER":          {readBy: ofRecords},
	"BULLION_IMPORT_ALLOW":      {readBy: ofRecords, wrong: []string{"10.0.0.0/99"}},
	"BULLION_IMPORT_REGIONS":    {readBy: ofAPI + " importer"},
	"BULLION_EVENT_BUS":         {readBy: ofRecords},
	"BULLION_COMPUTE_PROXY":     {readBy: ofAPI, wrong: []string{"yes", "On"}},
	"BULLION_IDENTITY_TABLE":    {readBy: ofAPI + " identity", neededBy: ofAPI + " identity"},
	"BULLION_KEYS_PUBLIC":       {readBy: ofAPI + " identity", neededBy: ofAPI + " identity"},
	"BULLION_KEYS_PRIVATE":      {readBy: "identity", neededBy: "identity"},
	"BULLION_KEYSTONE_URL":      {readBy: ofAPI, wrong: []string{"keystone.example.org"}},
	"BULLION_KEYSTONE_ACCOUNT":  {readBy: ofAPI}, // needed with a Keystone, below
	"BULLION_USER_POOL":         {readBy: "identity", neededBy: "identity"},
	"BULLION_USER_POOL_CLIENT":  {readBy: "identity", neededBy: "identity"},
	"BULLION_PROJECTS":          {readBy: "identity"},
	"BULLION_PROVIDERS":         {readBy: "identity", wrong: []string{"{}", "[", `[{"id":"corp","issuer":"https://login.example.org"}]`, `[{"id":"corp","issuer":"http://login.example.org","audiences":["bullion"]}]`, `[{"id":"corp","colour":"red"}]`}},
	"BULLION_REGION":            {readBy: "identity"},
	"BULLION_TOKEN_LIFETIME":    {readBy: "identity", wrong: []string{"soon", "1s", "25h"}},
	"BULLION_TRUSTED_PROXIES":   {readBy: "identity", wrong: []string{"proxy", "192.0.2.1", "192.0.2.0/33"}},
	"BULLION_COMPUTE_URL":       {readBy: "identity", wrong: []string{"compute.example.org"}},
	"BULLION_S3_ENDPOINT":       {readBy: ofRecords, wrong: []string{"localhost:9000"}},
	"BULLION_DYNAMODB_ENDPOINT": {readBy: ofAll, wrong: []string{"localhost:8000"}},
	"BULLION_SSM_ENDPOINT":      {readBy: ofAll, wrong: []string{"localhost"}},
	"BULLION_COGNITO_ENDPOINT":  {readBy: "identity", wrong: []string{"/"}},
	"BULLION_LAMBDA_ENDPOINT":   {readBy: ofRecords, wrong: []string{"lambda"}},
	"BULLION_EVENTS_ENDPOINT":   {readBy: ofRecords, wrong: []string{"127.0.0.1:1"}},
}

// TestAFunctionThatLacksAVariableSaysWhichInOneSentence starts the built functions without each variable that template.yaml sets, and with wrong values of it.
func TestAFunctionThatLacksAVariableSaysWhichInOneSentence(t *testing.T) {
	ends := func(function string, environment map[string]string, name, value string) {
		t.Helper()
		environment = maps.Clone(environment)
		environment[name] = value
		if text, err := start(t, function, environment); err == nil || !strings.Contains(text, name) || strings.Contains(text, "\n") || strings.Contains(text, "panic") {
			t.Errorf("%s with %s=%s: got %v and %q, want an end with one sentence that names it", function, name, value, err, text)
		}
	}
	met := map[string]bool{}
	for function, environment := range environments(t, nil) {
		for name := range environment {
			v, known := variables[name]
			if !known {
				t.Errorf("template.yaml sets %s for %s, which the table does not know", name, function)
			}
			met[name] = true
			if !slices.Contains(strings.Fields(v.readBy), function) {
				continue
			}
			for _, value := range v.wrong {
				ends(function, environment, name, value)
			}
			if slices.Contains(strings.Fields(v.neededBy), function) {
				ends(function, environment, name, "")
				continue
			}
			without := maps.Clone(environment)
			without[name] = ""
			if text, _ := start(t, function, without); strings.Contains(text, "BULLION_") || !strings.Contains(text, "127.0.0.1:1") {
				t.Errorf("%s does not start without %s, which it may lack: %q", function, name, text)
			}
		}
	}
	for name := range variables {
		if !met[name] {
			t.Errorf("template.yaml does not set %s", name)
		}
	}
	elsewhere := environments(t, map[string]string{"Users": "keystone", "KeystoneUrl": "https://keystone.example.org/v3"})
	for _, function := range strings.Fields(ofAPI) {
		ends(function, elsewhere[function], "BULLION_KEYSTONE_ACCOUNT", "")
	}
	outside := environments(t, map[string]string{"Users": "oidc", "Projects": "acme", "Providers": `[{"id":"corp","issuer":"https://login.example.org","audiences":["bullion"]}]`})
	ends("identity", outside["identity"], "BULLION_PROVIDERS", "")
}
