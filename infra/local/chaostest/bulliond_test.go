package chaostest

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bullion/infra/local/harness"
	"bullion/infra/local/harness/harnesstest"
	"bullion/infra/local/host"
	"bullion/internal/proctest"
)

// gateway runs bulliond in front of the deployment's table and bucket, and returns its URL.
func (c *cloud) gateway(flags ...string) string {
	c.t.Helper()
	addr, err := proctest.FreeAddr()
	ok(c.t, err)
	variables := c.bulliondVariables()
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		c.t.Setenv(name, variables[name])
	}
	args := append([]string{"--data", c.t.TempDir(), "--listen", addr, "--store", "dynamodb", "--table", c.engines.Table, "--bucket", harness.Bucket}, flags...)
	var out proctest.Output
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- host.Main(ctx, args, func(name string) string { return variables[name] }, strings.NewReader(""), &out, &out)
	}()
	c.t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			c.t.Errorf("bulliond ended with status %d:\n%s", status, &out)
		}
	})
	for range 600 {
		if strings.Contains(out.String(), "Bullion is ready") {
			return "http://" + addr
		}
		select {
		case status := <-ended:
			ended <- status
			c.t.Fatalf("bulliond ended with status %d:\n%s", status, &out)
		case <-time.After(100 * time.Millisecond):
		}
	}
	c.t.Fatalf("bulliond is not ready:\n%s", &out)
	return ""
}

// bulliondVariables are what an operator takes from the deployment: the variables of its function identity, and where the engines are.
func (c *cloud) bulliondVariables() map[string]string {
	variables := map[string]string{"AWS_REGION": harness.Region, "AWS_ACCESS_KEY_ID": harness.AccessKey, "AWS_SECRET_ACCESS_KEY": harness.SecretKey,
		"BULLION_S3_ENDPOINT": c.S3.Endpoint(), "BULLION_DYNAMODB_ENDPOINT": c.engines.DynamoDB,
		"BULLION_COGNITO_ENDPOINT": *c.engines.AWS.BaseEndpoint, "BULLION_SSM_ENDPOINT": *c.engines.AWS.BaseEndpoint}
	for name, value := range c.Template.Functions["identity"].Environment {
		if _, isSet := variables[name]; !isSet && value != "" {
			variables[name] = value
		}
	}
	maps.DeleteFunc(variables, func(name, _ string) bool { return name == "BULLION_PUBLIC_URL" || name == "BULLION_LAMBDA_ENDPOINT" })
	return variables
}

// hidden is a body whose length the request does not announce.
type hidden struct{ io.Reader }

func TestBulliondInFrontOfADeploymentTakesABodyOfAnySize(t *testing.T) {
	c := deploy(t, func(*harness.Config) {})
	gateway := &cloud{Deployment: &harness.Deployment{URL: c.gateway("--identity", "deployment")}, t: t}
	if got := gateway.call("", "GET", "/", "", 300)["versions"].([]any)[0].(map[string]any)["links"].([]any)[0].(map[string]any)["href"]; got != gateway.URL+"/v2/" {
		t.Errorf("the gateway names %v as its address, want %s/v2/", got, gateway.URL)
	}
	token := gateway.signIn("bob", "default")

	// The same body is too large for the functions.
	const size = 40<<20 + 512
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content) // it does not fail
	create := func() string {
		return c.call(token, "POST", "/v2/images", `{"name":"large","disk_format":"raw","container_format":"bare"}`, 201)["id"].(string)
	}
	id := create()
	put := func(url string, body io.Reader) (int, string) {
		r, err := http.NewRequest("PUT", url+"/v2/images/"+id+"/file", body)
		ok(t, err)
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("Content-Type", "application/octet-stream")
		res, err := http.DefaultClient.Do(r)
		ok(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		ok(t, err)
		return res.StatusCode, string(text)
	}
	status, text := put(c.URL, bytes.NewReader(content[:4<<20+1]))
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(text, "bullion image create") || !strings.Contains(text, "bulliond") {
		t.Errorf("behind API Gateway: got %d %q, want 413 that names both ways that work", status, text)
	}
	for name, body := range map[string]func() io.Reader{
		"chunked":       func() io.Reader { return hidden{bytes.NewReader(content)} },
		"with a length": func() io.Reader { return bytes.NewReader(content) },
	} {
		t.Run(name, func(t *testing.T) {
			id = create()
			if status, text := put(gateway.URL, body()); status != http.StatusNoContent {
				t.Fatalf("got %d %s", status, text)
			}
			// The deployment knows at once what the gateway did.
			got := c.call(token, "GET", "/v2/images/"+id, "", 200)
			sum := sha512.Sum512(content)
			if got["status"] != "active" || got["os_hash_value"] != hex.EncodeToString(sum[:]) || got["size"] != float64(size) {
				t.Errorf("the image is %v with size %v and hash %v, want active with %d bytes and %x", got["status"], got["size"], got["os_hash_value"], size, sum)
			}
			for _, url := range []string{c.URL, gateway.URL} {
				r, err := http.NewRequest("GET", url+"/v2/images/"+id+"/file", nil)
				ok(t, err)
				r.Header.Set("X-Auth-Token", token)
				res, err := http.DefaultClient.Do(r)
				ok(t, err)
				back, err := io.ReadAll(res.Body)
				ok(t, err)
				res.Body.Close()
				if !bytes.Equal(back, content) {
					t.Errorf("%s gives back %s with %d bytes that are not those of the upload", url, res.Status, len(back))
				}
			}
			c.Wait()
			c.call(token, "DELETE", "/v2/images/"+id, "", 204)
			l, err := c.read(t.Context())
			ok(t, err)
			if len(l.stored)+len(l.parts) != 0 {
				t.Errorf("the delete left bytes: %v %v", l.stored, l.parts)
			}
		})
	}
	gateway.call(gateway.signIn("eve", "other"), "GET", "/v2/images/"+create(), "", 404)
}

func TestBulliondWithUsersOfItsOwnInFrontOfATable(t *testing.T) {
	c := deploy(t, func(*harness.Config) {})
	gateway := &cloud{Deployment: &harness.Deployment{URL: c.gateway("--identity", "own")}, t: t}
	gateway.call("", "GET", "/v2/images", "", 401)
	gateway.call(c.signIn("bob", "default"), "GET", "/v2/images", "", 401) // a token of the deployment is none of the gateway
}

func TestBulliondNamesWhatIsWrongWithAGateway(t *testing.T) {
	c := deploy(t, func(*harness.Config) {})
	variables := c.bulliondVariables()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, variables[name])
	}
	for _, test := range []struct {
		name, region string
		flags        []string
		want         []string
	}{
		{"neither table nor bucket", harness.Region, nil, []string{"--table is not set", "--bucket is not set", "TableName"}},
		{"no region", "", []string{"--table", c.engines.Table, "--bucket", harness.Bucket}, []string{"AWS_REGION is not set"}},
		{"no such table", harness.Region, []string{"--table", "nowhere", "--bucket", harness.Bucket}, []string{"the table nowhere cannot be read"}},
		{"no such bucket", harness.Region, []string{"--table", c.engines.Table, "--bucket", "nowhere"}, []string{"the bucket nowhere cannot be reached"}},
		{"no such store", harness.Region, []string{"--store", "files"}, []string{`--store "files" is not sqlite or dynamodb`}},
		{"no such identity", harness.Region, []string{"--table", c.engines.Table, "--bucket", harness.Bucket, "--identity", "ldap"}, []string{`--identity "ldap" is not own or deployment`}},
		{"the deployment's identity without a deployment", harness.Region, []string{"--store", "sqlite", "--identity", "deployment"}, []string{"--identity deployment needs --store dynamodb"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("AWS_REGION", test.region)
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
			addr, err := proctest.FreeAddr()
			ok(t, err)
			var out proctest.Output
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			status := host.Main(ctx, append([]string{"--data", t.TempDir(), "--listen", addr, "--store", "dynamodb"}, test.flags...), func(name string) string { return variables[name] },
				strings.NewReader(""), &out, &out)
			if status != 1 {
				t.Errorf("got status %d, want 1", status)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, &out)
				}
			}
		})
	}
}

func (c *cloud) call(token, method, path, body string, want int) map[string]any {
	c.t.Helper()
	return harnesstest.Call(c.t, token, method, c.URL+path, body, want)
}
