package harness

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/identity/keystone/keystonetest"
)

func TestCognitoIsMadeForUsersOfItsOwnAlone(t *testing.T) {
	base := map[string]string{"AWS::StackName": "bullion", "AWS::Region": region, "Table": "t", "IdentityTable": "i", "ImagesBucket": "b", "UserPool": "p", "UserPoolClient": "c",
		"Distribution.DomainName": "d", "KeystoneUrl": "https://keystone.example.org", "Providers": `[{"id":"corp"}]`, "Projects": "acme"}
	for users, want := range map[string]struct {
		cognito, identity bool
		environment       map[string]string // of a function, by function.NAME
	}{
		"cognito":  {true, true, map[string]string{"identity.BULLION_USER_POOL": "p", "identity.BULLION_PROJECTS": "", "images.BULLION_KEYSTONE_URL": "", "images.BULLION_IDENTITY_TABLE": "i"}},
		"oidc":     {false, true, map[string]string{"identity.BULLION_USER_POOL": "", "identity.BULLION_PROJECTS": "acme", "images.BULLION_KEYSTONE_URL": "", "images.BULLION_IDENTITY_TABLE": "i"}},
		"keystone": {false, false, map[string]string{"images.BULLION_KEYSTONE_URL": "https://keystone.example.org", "uploads.BULLION_KEYSTONE_ACCOUNT": "/bullion/keystone", "images.BULLION_IDENTITY_TABLE": ""}},
	} {
		base["Users"] = users
		template, err := ReadTemplate(root+"/template.yaml", base)
		ok(t, err)
		cognito := 0
		for id, r := range template.Resources {
			if strings.HasPrefix(r.Type, "AWS::Cognito::") {
				cognito++
			}
			if r.Type == "AWS::IAM::Role" && !want.cognito && strings.Contains(strings.Join(actions(t, template, id), " "), "cognito-idp") {
				t.Errorf("%s: %s has rights on a user pool that is not there", users, id)
			}
		}
		if (cognito > 0) != want.cognito {
			t.Errorf("%s: %d resources of Cognito", users, cognito)
		}
		_, function := template.Functions["identity"]
		_, table := template.Resources["IdentityTable"]
		route := slices.ContainsFunc(template.Routes, func(r Route) bool { return strings.HasPrefix(r.Path, "/v3") })
		if function != want.identity || table != want.identity || route != want.identity {
			t.Errorf("%s: the function identity %v, its table %v, its routes %v; want %v for all", users, function, table, route, want.identity)
		}
		for name, value := range want.environment {
			function, variable, _ := strings.Cut(name, ".")
			if got := template.Functions[function].Environment[variable]; got != value {
				t.Errorf("%s: %s is %q, want %q", users, name, got, value)
			}
		}
	}
}

// actions are what a role allows.
func actions(t testing.TB, template *Template, role string) []string {
	var all []string
	for _, p := range permissions(t, template, strings.ToLower(strings.TrimSuffix(role, "Role"))) {
		all = append(all, p.Action)
	}
	return all
}

func TestAKeystoneElsewhereVouchesForCallers(t *testing.T) {
	keystone := keystonetest.Start(t)
	c := deploy(t, "Users", "keystone", "KeystoneUrl", keystone)
	token := keystoneToken(t, keystone)
	c.call(token, "GET", "/v2/images", "", 503)
	if said := c.Functions["images"].Output(); !strings.Contains(said, "aws ssm put-parameter --name /bullion/keystone") {
		t.Errorf("nothing says how the account for Keystone is given:\n%s", said)
	}
	_, err := ssm.NewFromConfig(c.moto).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/bullion/keystone"), Type: types.ParameterTypeSecureString,
		Value: aws.String(`{"username":"admin","password":"` + keystonetest.Password + `","project":"admin"}`)})
	ok(t, err)
	c.Functions["images"].Kill() // it reads the parameter once in ten seconds
	id := c.call(token, "POST", "/v2/images", `{"name":"x","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	c.call(token, "POST", "/v2/images/"+id+"/uploads", `{"size":1048576}`, 201)
	c.call("gAAAAAnothing", "GET", "/v2/images", "", 401)
	c.call(token, "GET", "/v3", "", 404)
	c.call(token, "DELETE", "/v2/images/"+id, "", 204)
}

func keystoneToken(t *testing.T, keystone string) string {
	t.Helper()
	body := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","domain":{"id":"default"},"password":"` + keystonetest.Password + `"}}},"scope":{"project":{"name":"admin","domain":{"id":"default"}}}}}`
	res, err := http.Post(keystone+"/v3/auth/tokens", "application/json", bytes.NewReader([]byte(body)))
	ok(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("Keystone answered %s", res.Status)
	}
	return res.Header.Get("X-Subject-Token")
}
