package onaws_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/event"
	"bullion/internal/identity"
	"bullion/internal/identity/dynamo"
	"bullion/internal/identity/mototest"
	"bullion/internal/identity/onaws"
	"bullion/internal/images"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	ok(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	ok(t, err)
	return res, string(b)
}

func TestASignInOnAWSOpensTheOtherFunctions(t *testing.T) {
	ctx := t.Context()
	c := mototest.Start(t)
	pools := cognitoidentityprovider.NewFromConfig(c)
	pool, err := pools.CreateUserPool(ctx, &cognitoidentityprovider.CreateUserPoolInput{PoolName: aws.String("bullion")})
	ok(t, err)
	app, err := pools.CreateUserPoolClient(ctx, &cognitoidentityprovider.CreateUserPoolClientInput{UserPoolId: pool.UserPool.Id, ClientName: aws.String("bullion"),
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}})
	ok(t, err)
	_, err = pools.CreateGroup(ctx, &cognitoidentityprovider.CreateGroupInput{UserPoolId: pool.UserPool.Id, GroupName: aws.String("acme:member")})
	ok(t, err)
	bob := aws.String("bob")
	_, err = pools.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{UserPoolId: pool.UserPool.Id, Username: bob, MessageAction: types.MessageActionTypeSuppress})
	ok(t, err)
	_, err = pools.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{UserPoolId: pool.UserPool.Id, Username: bob, Password: aws.String("Correct-horse-7"), Permanent: true})
	ok(t, err)
	_, err = pools.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{UserPoolId: pool.UserPool.Id, Username: bob, GroupName: aws.String("acme:member")})
	ok(t, err)
	_, err = dynamodb.NewFromConfig(c).CreateTable(ctx, dynamo.TableInput("identity"))
	ok(t, err)

	env := map[string]string{
		"BULLION_USER_POOL": *pool.UserPool.Id, "BULLION_USER_POOL_CLIENT": *app.UserPoolClient.ClientId, "BULLION_IDENTITY_TABLE": "identity",
		"BULLION_KEYS_PRIVATE": "/bullion/private", "BULLION_KEYS_PUBLIC": "/bullion/public", "BULLION_PUBLIC_URL": "https://bullion.example.org",
	}
	var log bytes.Buffer
	getenv := func(name string) string { return env[name] }
	service, err := onaws.NewService(getenv, c, slog.New(slog.NewJSONHandler(&log, nil)))
	ok(t, err)
	server := httptest.NewServer(service.Handler())
	defer server.Close()
	verifier, _, err := onaws.NewVerifier(getenv, c)
	ok(t, err)

	signIn := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"bob","domain":{"id":"default"},"password":"Correct-horse-7"}}},"scope":{"project":{"name":"acme","domain":{"id":"default"}}}}}`
	res, body := post(t, server.URL+"/v3/auth/tokens", signIn)
	if res.StatusCode != 201 || !strings.Contains(body, `"url":"https://bullion.example.org/v3"`) {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	token := res.Header.Get("X-Subject-Token")
	caller, err := verifier.Verify(ctx, token)
	ok(t, err)
	want := images.Caller{UserID: caller.UserID, UserName: "bob", ProjectID: identity.ProjectID("acme"), ProjectName: "acme", Roles: []string{"member", "reader"}}
	if diff := cmp.Diff(want, caller); diff != "" {
		t.Errorf("caller (-want +got):\n%s", diff)
	}

	// API Gateway brings the same in an event.
	payload, err := json.Marshal(map[string]any{"version": "2.0", "rawPath": "/v3/auth/tokens", "headers": map[string]string{"host": "bullion.example.org", "content-type": "application/json"}, "body": signIn,
		"requestContext": map[string]any{"http": map[string]string{"method": "POST", "path": "/v3/auth/tokens", "sourceIp": "2001:db8:1:2:3:4:5:6"}}})
	ok(t, err)
	answer, err := event.Gateway(service.Handler())(ctx, payload)
	ok(t, err)
	if got := answer.(events.APIGatewayV2HTTPResponse); got.StatusCode != 201 || !strings.Contains(got.Body, `"name":"acme"`) {
		t.Errorf("over API Gateway: got %d %s", got.StatusCode, got.Body)
	}
	if !strings.Contains(log.String(), `"address":"2001:db8:1:2:3:4:5:6"`) {
		t.Errorf("the audit log lacks the client's address: %s", &log)
	}

	request, err := http.NewRequest("DELETE", server.URL+"/v3/auth/tokens", nil)
	ok(t, err)
	request.Header.Set("X-Auth-Token", token)
	request.Header.Set("X-Subject-Token", token)
	res, err = http.DefaultClient.Do(request)
	ok(t, err)
	res.Body.Close()
	if res.StatusCode != 204 {
		t.Fatalf("revocation: got %d", res.StatusCode)
	}
	another, _, err := onaws.NewVerifier(getenv, c) // one that keeps no older answer
	ok(t, err)
	if _, err := another.Verify(ctx, token); images.KindOf(err) != images.Unauthenticated {
		t.Errorf("after the revocation: got %v, want Unauthenticated", err)
	}
}

func TestEverythingMissingIsReportedTogether(t *testing.T) {
	env := map[string]string{"BULLION_TOKEN_LIFETIME": "soon", "BULLION_TRUSTED_PROXIES": "10.0.0.0/8, proxy", "BULLION_PROVIDERS": `[{"issuer_url":"x"}]`}
	_, err := onaws.NewService(func(name string) string { return env[name] }, aws.Config{}, nil)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{"BULLION_USER_POOL is not set", "BULLION_USER_POOL_CLIENT is not set", "BULLION_IDENTITY_TABLE is not set", "BULLION_KEYS_PRIVATE is not set", "BULLION_KEYS_PUBLIC is not set",
		"BULLION_PUBLIC_URL is not set", "BULLION_TOKEN_LIFETIME: it is no duration", `BULLION_TRUSTED_PROXIES: "proxy"`, "BULLION_PROVIDERS: it is no JSON list"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q:\n%v", part, err)
		}
	}
	if _, _, err := onaws.NewVerifier(func(string) string { return "" }, aws.Config{}); err == nil || strings.Count(err.Error(), "is not set") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestAServiceWithoutAUserPoolNeedsProvidersAndProjects(t *testing.T) {
	env := map[string]string{"BULLION_IDENTITY_TABLE": "t", "BULLION_KEYS_PRIVATE": "/a", "BULLION_KEYS_PUBLIC": "/b", "BULLION_PUBLIC_URL": "https://bullion.example.org", "BULLION_PROJECTS": "acme, lab"}
	getenv := func(name string) string { return env[name] }
	if _, err := onaws.NewService(getenv, aws.Config{}, nil); err == nil || !strings.Contains(err.Error(), "BULLION_PROVIDERS is not set") {
		t.Errorf("got %v, want the missing variable", err)
	}
	env["BULLION_PROVIDERS"] = `[{"id":"corp","issuer":"https://login.example.org","audiences":["bullion"]}]`
	service, err := onaws.NewService(getenv, aws.Config{}, nil)
	ok(t, err)
	if diff := cmp.Diff(identity.Outside{"acme", "lab"}, service.Directory); diff != "" || len(service.Providers) != 1 {
		t.Errorf("got the directory %v and %d providers, want the projects alone and one", service.Directory, len(service.Providers))
	}
}

func TestTheAccountForKeystoneIsExplainedWhenItIsMissingOrWrong(t *testing.T) {
	value := ""
	parameters := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if value == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ParameterNotFound"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]string{"Name": "/bullion/keystone", "Value": value}})
	}))
	defer parameters.Close()
	env := map[string]string{"BULLION_KEYSTONE_URL": "http://127.0.0.1:1", "BULLION_SSM_ENDPOINT": parameters.URL}
	getenv := func(name string) string { return env[name] }
	if _, _, err := onaws.NewVerifier(getenv, aws.Config{}); err == nil || !strings.Contains(err.Error(), "BULLION_KEYSTONE_ACCOUNT is not set") {
		t.Errorf("got %v, want the missing variable", err)
	}
	env["BULLION_KEYSTONE_ACCOUNT"] = "/bullion/keystone"
	for content, want := range map[string]string{
		"":                      "aws ssm put-parameter --name /bullion/keystone",
		"secret":                "the parameter /bullion/keystone is not JSON",
		`{"user":"x"}`:          "the parameter /bullion/keystone is not JSON",
		`{"username":"glance"}`: "a user and a password are needed",
		`{"username":"glance","password":"secret","project":"service"}`: "sign in",
	} {
		value = content
		v, authURL, err := onaws.NewVerifier(getenv, aws.Config{Region: "eu-central-1", Credentials: aws.AnonymousCredentials{}})
		ok(t, err)
		if authURL != env["BULLION_KEYSTONE_URL"] {
			t.Errorf("tokens come from %s, want Keystone", authURL)
		}
		_, err = v.Verify(t.Context(), "gAAAAA")
		if images.KindOf(err) != images.Unavailable || !strings.Contains(err.Error(), want) && !strings.Contains(fmt.Sprint(errors.Unwrap(err)), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, cause %v, want Unavailable that says %q", content, err, errors.Unwrap(err), want)
		}
	}
}
