package harness

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/identity"
	"bullion/internal/identity/keystone/keystonetest"
	"bullion/internal/identity/oidctest"
	"bullion/internal/identity/venvtest"
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

// TestATokenOfAProviderSignsInThroughTheBuiltFunctions has users at an OpenID Connect provider alone, as Users=oidc deploys it, and OpenStack's own client for one of them.
func TestATokenOfAProviderSignsInThroughTheBuiltFunctions(t *testing.T) {
	provider := oidctest.Start(t)
	c := deploy(t, "Users", "oidc", "Projects", "acme,lab", "Providers", `[{"id":"corp","issuer":"`+provider.URL+`","audiences":["`+oidctest.Audience+`"]}]`)
	federate := func(want int, claims map[string]any) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/v3/OS-FEDERATION/identity_providers/corp/protocols/openid/auth", nil)
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+provider.Token(t, time.Now(), claims))
		res, err := http.DefaultClient.Do(r)
		ok(t, err)
		defer res.Body.Close()
		if res.StatusCode != want {
			text, _ := io.ReadAll(res.Body) // for the message
			t.Errorf("with %v: got %s, want %d\n%s", claims, res.Status, want, text)
		}
		return res.Header.Get("X-Subject-Token")
	}
	federate(401, map[string]any{"aud": "other"})
	federate(401, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})
	federate(401, map[string]any{"groups": []string{"elsewhere:admin"}})
	unscoped := federate(201, nil)
	c.call(unscoped, "GET", "/v2/images", "", 403) // it is for no project
	in := func(project string, want int) string {
		t.Helper()
		body := `{"auth":{"identity":{"methods":["token"],"token":{"id":"` + unscoped + `"}},"scope":{"project":{"id":"` + identity.ProjectID(project) + `"}}}}`
		res, err := http.Post(c.URL+"/v3/auth/tokens", "application/json", strings.NewReader(body))
		ok(t, err)
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a token for %s: got %s, want %d", project, res.Status, want)
		}
		return res.Header.Get("X-Subject-Token")
	}
	member, reader := in("acme", 201), in("lab", 201)
	in("elsewhere", 401)
	const image = `{"name":"x","disk_format":"raw","container_format":"bare"}`
	id := c.call(member, "POST", "/v2/images", image, 201)["id"].(string)
	c.call(member, "POST", "/v2/images/"+id+"/uploads", `{"size":1048576}`, 201)
	c.call(reader, "POST", "/v2/images", image, 403)
	c.call(reader, "GET", "/v2/images/"+id, "", 404)

	client := exec.CommandContext(t.Context(), filepath.Join(venvtest.Bin(t, "BULLION_CLIENTS_VENV", "python-openstackclient==10.5.0"), "openstack"), "image", "list", "-f", "value", "-c", "ID")
	client.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "OS_IDENTITY_API_VERSION=3", "OS_AUTH_URL=" + c.URL + "/v3", "OS_AUTH_TYPE=v3oidcaccesstoken",
		"OS_IDENTITY_PROVIDER=corp", "OS_PROTOCOL=openid", "OS_ACCESS_TOKEN=" + provider.Token(t, time.Now(), nil), "OS_PROJECT_NAME=acme", "OS_PROJECT_DOMAIN_NAME=Default"}
	if out, err := client.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != id {
		t.Errorf("openstack image list: got %q and %v, want %s", out, err, id)
	}
	if c.calls.did("identity", "cognito-idp:AdminInitiateAuth") {
		t.Error("identity asked Cognito, whose users these are not")
	}
}
