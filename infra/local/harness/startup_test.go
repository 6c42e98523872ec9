package harness

import (
	"maps"
	"os/exec"
	"path/filepath"
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

// start starts a built function where there is no Runtime API, and returns how it ended and what it said.
func start(t testing.TB, function string, environment map[string]string) (error, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(built, function, "bootstrap"))
	cmd.Env = []string{"AWS_REGION=" + region, "AWS_LAMBDA_FUNCTION_NAME=bullion-" + function, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return err, strings.TrimSpace(string(out))
}

// TestAFunctionThatLacksAVariableSaysWhichInOneSentence starts the built functions without, and with wrong values of, what template.yaml sets.
func TestAFunctionThatLacksAVariableSaysWhichInOneSentence(t *testing.T) {
	template, err := ReadTemplate(filepath.Join(root, "template.yaml"), map[string]string{"AWS::StackName": "bullion", "AWS::Region": region, "Table": "t", "IdentityTable": "i",
		"ImagesBucket": "b", "UserPool": region + "_p", "UserPoolClient": "c", "Distribution.DomainName": "d111111abcdef8.cloudfront.net"})
	ok(t, err)
	data := []string{"BULLION_TABLE=", "BULLION_BUCKET=", "BULLION_PUBLIC_URL=", "BULLION_INSPECTION=odd", "BULLION_BOOT=never", "BULLION_MAX_SIZE=1GB", "BULLION_POLICY={", "BULLION_IMPORT_ALLOW=10.0.0.0/99"}
	api := append([]string{"BULLION_IDENTITY_TABLE=", "BULLION_KEYS_PUBLIC="}, data...)
	for function, wrong := range map[string][]string{
		"images": api, "uploads": api, "validate": data[:7], "importer": data, "scrub": data,
		"identity": {"BULLION_USER_POOL=", "BULLION_USER_POOL_CLIENT=", "BULLION_IDENTITY_TABLE=", "BULLION_KEYS_PRIVATE=", "BULLION_KEYS_PUBLIC=", "BULLION_PUBLIC_URL=", "BULLION_TOKEN_LIFETIME=soon",
			"BULLION_TRUSTED_PROXIES=proxy", "BULLION_PROVIDERS={}"},
	} {
		for _, change := range wrong {
			name, value, _ := strings.Cut(change, "=")
			if _, known := template.Functions[function].Environment[name]; !known {
				t.Errorf("template.yaml does not set %s for %s", name, function)
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(built, function, "bootstrap"))
			cmd.Env = []string{"AWS_REGION=" + region, "AWS_LAMBDA_FUNCTION_NAME=bullion-" + function, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}
			for variable, usual := range template.Functions[function].Environment {
				if variable == name {
					usual = value
				}
				cmd.Env = append(cmd.Env, variable+"="+usual)
			}
			out, err := cmd.CombinedOutput()
			text := strings.TrimSpace(string(out))
			if err == nil || !strings.Contains(text, name) || strings.Contains(text, "\n") || strings.Contains(text, "panic") {
				t.Errorf("%s with %s: got %v and %q, want an end with one sentence that names it", function, change, err, text)
			}
		}
	}
}

// TestAWrongParameterIsRefusedWithASentence holds that whatever a person may set is bounded before anything is made.
func TestAWrongParameterIsRefusedWithASentence(t *testing.T) {
	for name, p := range parameters(t) {
		if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s has no description that is a sentence: %q", name, p.Description)
		}
		bounded := p.AllowedPattern != "" || len(p.AllowedValues) > 0 || p.MinValue != nil
		if free := map[string]bool{"Policy": true, "BrowserOrigins": true}; !bounded && !free[name] {
			t.Errorf("%s takes anything: give it AllowedPattern, AllowedValues or MinValue", name)
		}
		if p.AllowedPattern != "" && p.ConstraintDescription == "" {
			t.Errorf("%s has a pattern and no ConstraintDescription that says what is wanted", name)
		}
	}
}
