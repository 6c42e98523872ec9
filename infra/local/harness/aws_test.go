package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bullion/infra/local/s3engine"
	"bullion/internal/dynamostore"
	"bullion/internal/dynamostore/dynamotest"
	"bullion/internal/identity"
	"bullion/internal/identity/dynamo"
	"bullion/internal/identity/mototest"
	"bullion/internal/notify"
	"bullion/internal/proctest"
)

// built has the functions, and bullion, as they would be deployed but for this machine's processor. Absolute: the S3 engine changes the directory.
var (
	built string
	root  string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if root, err = filepath.Abs("../../.."); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if built, err = os.MkdirTemp("", "bullion-functions-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		for _, command := range [][]string{
			{"make", "--silent", "functions", "ARCH=" + runtime.GOARCH, "OUT=" + built},
			{"go", "build", "-o", built + "/bullion", "./cmd/bullion"},
		} {
			build := exec.Command(command[0], command[1:]...)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", command, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

const region = "eu-central-1" // in which mototest is

// cloud is the deployed service.
type cloud struct {
	t         *testing.T
	URL       string
	Template  *Template
	Functions map[string]*Lambda
	calls     *recorder
	store     *dynamostore.Store // the records, for tests that look at them
	moto      aws.Config         // Cognito and Parameter Store
	mirror    *mirror
	dir       string

	mu      sync.Mutex
	put     []notify.Message             // on the event bus
	failed  map[string][]json.RawMessage // queue, events that a function failed on to the end
	deliver func(invoke func() error)    // what becomes of an event of the bucket; nil: it is handled at once
	lose    map[string]bool              // functions whose asynchronous events do not come
	calm    bool                         // the bus takes every event
	pending sync.WaitGroup
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deploy brings up everything that template.yaml describes. parameters are names and values, in turn.
func deploy(t *testing.T, parameters ...string) *cloud {
	t.Helper()
	ctx := t.Context()
	c := &cloud{t: t, Functions: map[string]*Lambda{}, calls: &recorder{calls: map[string]map[call]bool{}, spent: map[string]spent{}}, failed: map[string][]json.RawMessage{}, dir: t.TempDir(), mirror: newMirror(t)}

	moto := mototest.Start(t)
	c.moto = moto
	pools := cognitoidentityprovider.NewFromConfig(moto)
	pool, err := pools.CreateUserPool(ctx, &cognitoidentityprovider.CreateUserPoolInput{PoolName: aws.String("bullion")})
	ok(t, err)
	app, err := pools.CreateUserPoolClient(ctx, &cognitoidentityprovider.CreateUserPoolClientInput{UserPoolId: pool.UserPool.Id, ClientName: aws.String("identity"),
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}})
	ok(t, err)
	for user, group := range map[string]string{"bob": "default:member", "eve": "other:member", "root": "default:admin", "cinder": "default:service"} {
		_, err = pools.CreateGroup(ctx, &cognitoidentityprovider.CreateGroupInput{UserPoolId: pool.UserPool.Id, GroupName: &group})
		ok(t, err)
		_, err = pools.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{UserPoolId: pool.UserPool.Id, Username: &user, MessageAction: types.MessageActionTypeSuppress})
		ok(t, err)
		_, err = pools.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{UserPoolId: pool.UserPool.Id, Username: &user, Password: aws.String(password), Permanent: true})
		ok(t, err)
		_, err = pools.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{UserPoolId: pool.UserPool.Id, Username: &user, GroupName: &group})
		ok(t, err)
	}
	warm(t, *moto.BaseEndpoint)
	tables := dynamotest.Dynoxide(t)
	db := dynamotest.Client(tables)
	table := dynamotest.Table(t, db, func(name string) *dynamodb.CreateTableInput { return dynamostore.TableInput(name) })
	c.store = dynamostore.New(db, table, dynamostore.Options{})
	identityTable := dynamotest.Table(t, db, func(name string) *dynamodb.CreateTableInput { return dynamo.TableInput(name) })

	engine, err := s3engine.Start(ctx, s3engine.Config{
		Dir: filepath.Join(c.dir, "s3"), Addr: freeAddress(t), AccessKey: "test", SecretKey: "test-secret", Region: region, Bucket: "images",
		Log: slog.New(slog.DiscardHandler), Created: c.created,
	})
	ok(t, err)

	gateway := &Gateway{Functions: c.Functions}
	front := httptest.NewServer(gateway)
	t.Cleanup(front.Close)
	c.URL = front.URL
	signed := c.calls.proxy(t, "uploads", engine.Endpoint())
	sources := strings.ReplaceAll(strings.Join([]string{c.mirror.URL, c.URL, signed}, ","), "http://", "")
	values := map[string]string{
		"AWS::StackName": "bullion", "AWS::Region": region, "Distribution.DomainName": "d111111abcdef8.cloudfront.net",
		"Table": table, "IdentityTable": identityTable, "ImagesBucket": "images", "UserPool": *pool.UserPool.Id, "UserPoolClient": *app.UserPoolClient.ClientId,
		"ImportAllow": sources, "AWS::Partition": "aws", "AWS::AccountId": account,
		"Table.Arn": arn("dynamodb", "table/"+table), "IdentityTable.Arn": arn("dynamodb", "table/"+identityTable), "ImagesBucket.Arn": arn("s3", "images"), "UserPool.Arn": arn("cognito-idp", "userpool/"+*pool.UserPool.Id),
	}
	for n := 0; n < len(parameters); n += 2 {
		values[parameters[n]] = parameters[n+1]
	}
	c.Template, err = ReadTemplate(filepath.Join(root, "template.yaml"), values)
	ok(t, err)
	gateway.Routes, gateway.Responses = c.Template.Routes, c.Template.Responses
	again := httptest.NewServer(http.HandlerFunc(c.invokeAsynchronously))
	t.Cleanup(again.Close)
	bus := httptest.NewServer(http.HandlerFunc(c.putEvents))
	t.Cleanup(bus.Close)

	for name, f := range c.Template.Functions {
		proxy := func(to string) string { return c.calls.proxy(t, name, to) }
		s3 := signed
		if name != "uploads" {
			s3 = proxy(engine.Endpoint())
		}
		environment := map[string]string{
			"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret",
			"BULLION_S3_ENDPOINT": s3, "BULLION_DYNAMODB_ENDPOINT": proxy(tables),
			"BULLION_SSM_ENDPOINT": proxy(*moto.BaseEndpoint), "BULLION_COGNITO_ENDPOINT": proxy(*moto.BaseEndpoint),
			"BULLION_LAMBDA_ENDPOINT": proxy(again.URL), "BULLION_EVENTS_ENDPOINT": proxy(bus.URL),
		}
		var all []string
		for name, value := range f.Environment {
			if name == "BULLION_PUBLIC_URL" {
				value = c.URL
			}
			all = append(all, name+"="+value)
		}
		for name, value := range environment {
			all = append(all, name+"="+value)
		}
		c.Functions[name] = &Lambda{Name: name, Bootstrap: filepath.Join(built, name, "bootstrap"), Environment: all, Timeout: time.Duration(f.Timeout) * time.Second}
	}
	t.Cleanup(func() {
		c.pending.Wait()
		for name, f := range c.Functions {
			if t.Failed() {
				t.Logf("%s said:\n%s", name, f.Output())
			}
			f.Close()
		}
	})
	clouds := identity.CloudsYAML("bob", c.URL, "bob", password, "default")
	ok(t, os.WriteFile(filepath.Join(c.dir, "clouds.yaml"), []byte(clouds), 0o600))
	return c
}

// warm has moto load its Parameter Store, which takes a busy machine longer than a function may.
func warm(t *testing.T, endpoint string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(`{"Name":"nothing"}`))
	ok(t, err)
	r.Header.Set("X-Amz-Target", "AmazonSSM.GetParameter")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+region+"/ssm/aws4_request, SignedHeaders=host, Signature=none")
	res, err := http.DefaultClient.Do(r)
	ok(t, err)
	ok(t, res.Body.Close())
}

const password = "Correct-horse-7"

// created is what EventBridge makes of S3's news (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
func (c *cloud) created(_ context.Context, o s3engine.Object) error {
	payload, err := json.Marshal(map[string]any{
		"version": "0", "source": "aws.s3", "detail-type": "Object Created", "region": region, "time": o.At.UTC().Format(time.RFC3339),
		"detail": map[string]any{"version": "0", "bucket": map[string]string{"name": o.Bucket}, "reason": strings.TrimPrefix(o.EventName, "ObjectCreated:"),
			"object": map[string]any{"key": strings.Clone(o.Key), "size": o.Size, "etag": strings.Trim(o.ETag, `"`)}},
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	deliver := c.deliver
	c.mu.Unlock()
	if deliver == nil {
		deliver = func(invoke func() error) {
			if err := invoke(); err != nil {
				c.t.Errorf("an event was not handled: %v", err)
			}
		}
	}
	c.pending.Go(func() { deliver(func() error { return c.asynchronously("validate", payload) }) })
	return nil
}

// asynchronously invokes a function as Lambda does for events: again after a failure, and in the end the event goes to the queue of the function.
func (c *cloud) asynchronously(name string, payload []byte) (err error) {
	f := c.Template.Functions[name]
	for try := range 1 + f.Retries {
		if _, err = c.Functions[name].Invoke(context.Background(), payload); err == nil {
			return nil
		}
		time.Sleep(time.Duration(try) * 100 * time.Millisecond) // a minute on AWS
	}
	if f.OnFailure != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed[f.OnFailure] = append(c.failed[f.OnFailure], payload)
	}
	return err
}

// invokeAsynchronously is Lambda's Invoke with the type Event.
func (c *cloud) invokeAsynchronously(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/bullion-"), "/invocations")
	payload, err := io.ReadAll(r.Body)
	if err != nil || c.Functions[name] == nil || r.Header.Get("X-Amz-Invocation-Type") != "Event" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		http.Error(w, "no such function, or not signed, or not asynchronous", http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	c.mu.Lock()
	lost := c.lose[name]
	c.mu.Unlock()
	if lost {
		return
	}
	c.pending.Go(func() {
		if err := c.asynchronously(name, payload); err != nil {
			c.t.Errorf("%s, started by itself: %v", name, err)
		}
	})
}

// putEvents is EventBridge's PutEvents. Unless it is calm it refuses one entry of ten.
func (c *cloud) putEvents(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Entries []struct{ Source, DetailType, Detail, EventBusName string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		http.Error(w, "not PutEvents, or not signed", http.StatusForbidden)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answers := make([]map[string]string, len(in.Entries))
	for n, e := range in.Entries {
		var m notify.Message
		if err := json.Unmarshal([]byte(e.Detail), &m); err != nil || e.Source != "bullion" || e.DetailType != notify.Type || e.EventBusName != "default" || m.Source != c.URL {
			c.t.Errorf("an event has an odd form: %+v (%v)", e, err)
		}
		if !c.calm && len(c.put)%10 == 3 {
			c.put = append(c.put, notify.Message{}) // so that it is taken the next time
			answers[n] = map[string]string{"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
			continue
		}
		c.put = append(c.put, m)
		answers[n] = map[string]string{"EventId": "e"}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": 0, "Entries": answers})
}

// heard is what the event bus was told of an image: statuses by seq.
func (c *cloud) heard(id string) (statuses []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[int64]string{}
	for _, m := range c.put {
		if m.Subject == id {
			seen[m.Data.Seq] = string(m.Data.To)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(seen)) {
		statuses = append(statuses, seen[seq])
	}
	return statuses
}

// bullion runs the command line as bob and returns what it wrote.
func (c *cloud) bullion(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// try is bullion for what may fail.
func (c *cloud) try(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(built, "bullion"), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+filepath.Join(c.dir, "clouds.yaml"), "OS_CLOUD=bob", "XDG_STATE_HOME="+filepath.Join(c.dir, "state"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("bullion %s: %w\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := proctest.FreeAddr()
	ok(t, err)
	return addr
}
