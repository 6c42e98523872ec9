package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// call is a right that a request needs: an action of IAM on a resource.
type call struct {
	Action, Resource string
	Key              string // partition key of the item, of calls on single items
}

const account = "111122223333"

func arn(service, resource string) string {
	if service == "s3" {
		return "arn:aws:s3:::" + resource
	}
	return "arn:aws:" + service + ":" + region + ":" + account + ":" + resource
}

// recorder notes which rights each function would have needed, from the requests that pass it, signed URLs included.
type recorder struct {
	mu     sync.Mutex
	calls  map[string]map[call]bool // by function
	spent  map[string]spent         // by function
	refuse func(function string, r *http.Request) bool
}

// proxy stands in front of an endpoint for one function. The host stays as it was signed.
func (c *recorder) proxy(t testing.TB, function, to string) string {
	t.Helper()
	u, err := url.Parse(to)
	ok(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		host := r.In.Host
		r.SetURL(u)
		r.Out.Host = host
		asksForUnits(r.Out)
	}, ModifyResponse: func(r *http.Response) error {
		// S3 tells of what is not there only to those who may list it (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html#API_HeadObject_RequestBody).
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.Request.URL.Path, "/"), "/")
		if r.StatusCode == http.StatusNotFound && key != "" && (r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead) && r.Request.Header.Get("X-Amz-Target") == "" {
			c.note(function, call{Action: "s3:ListBucket", Resource: arn("s3", bucket)})
		}
		return c.used(function, r)
	}, FlushInterval: -1}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.seen(function, r) {
			deny(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// deny refuses a request as its service does where the role lacks a right. The text does not say which, as AWS's does not always.
func deny(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		const body = `{"__type":"AccessDeniedException","Message":"as the test wants"}`
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE([]byte(body)))) // DynamoDB's clients check it
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, body)
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/"):
		w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"Message":"as the test wants"}`)
	default:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>as the test wants</Message></Error>")
	}
}

// seen notes a request, and says whether it is to be refused.
func (c *recorder) seen(function string, r *http.Request) (refused bool) {
	c.note(function, callsOf(r)...)
	c.mu.Lock()
	refuse := c.refuse
	c.mu.Unlock()
	return refuse != nil && refuse(function, r)
}

func (c *recorder) note(function string, calls ...call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[function] == nil {
		c.calls[function] = map[call]bool{}
	}
	for _, one := range calls {
		c.calls[function][one] = true
	}
}

// setRefuse decides from now on which requests are answered with a refusal; nil refuses none.
func (c *recorder) setRefuse(refuse func(function string, r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = refuse
}

// did says whether the function called the action.
func (c *recorder) did(function, action string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.calls[function] {
		if one.Action == action {
			return true
		}
	}
	return false
}

// services are the prefixes of X-Amz-Target by that of IAM.
var services = map[string]string{"DynamoDB_20120810": "dynamodb", "AmazonSSM": "ssm", "AWSCognitoIdentityProviderService": "cognito-idp", "AWSEvents": "events"}

// callsOf are the rights that a request needs (https://docs.aws.amazon.com/service-authorization/latest/reference/).
func callsOf(r *http.Request) []call {
	if rest, isInvoke := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/"); isInvoke {
		return []call{{Action: "lambda:InvokeFunction", Resource: arn("lambda", "function:"+strings.TrimSuffix(rest, "/invocations"))}}
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		if r.Header.Get("Authorization") == "" {
			return nil // the calls of Cognito that need a user's token and no role
		}
		body, _ := io.ReadAll(r.Body) // what is missing is missed by the engine as well
		r.Body = io.NopCloser(bytes.NewReader(body))
		prefix, operation, _ := strings.Cut(target, ".")
		service := services[prefix]
		if service == "dynamodb" {
			return tableCalls(operation, body)
		}
		var in struct {
			Name, UserPoolId string
			Entries          []struct{ EventBusName string }
		}
		_ = json.Unmarshal(body, &in)
		resource := "userpool/" + in.UserPoolId
		switch {
		case service == "ssm":
			resource = "parameter" + in.Name
		case service == "events" && len(in.Entries) > 0:
			resource = "event-bus/" + in.Entries[0].EventBusName
		}
		return []call{{Action: service + ":" + operation, Resource: arn(service, resource)}}
	}
	return []call{objectCall(r)}
}

// tableCalls are the rights of one request to DynamoDB.
func tableCalls(operation string, body []byte) []call {
	type key struct {
		PK struct{ S string } `json:"pk"`
	}
	type one struct {
		TableName, IndexName string
		Key, Item            key
	}
	var in struct {
		one
		TransactItems []map[string]one
		RequestItems  map[string]json.RawMessage
	}
	_ = json.Unmarshal(body, &in)
	made := func(action string, o one) call {
		resource := "table/" + o.TableName
		if o.IndexName != "" {
			resource += "/index/" + o.IndexName
		}
		return call{"dynamodb:" + action, arn("dynamodb", resource), o.Key.PK.S + o.Item.PK.S}
	}
	var calls []call
	switch operation {
	case "TransactWriteItems":
		actions := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
		for _, item := range in.TransactItems {
			for kind, o := range item {
				calls = append(calls, made(actions[kind], o))
			}
		}
	case "BatchGetItem":
		for table, raw := range in.RequestItems {
			var keys struct{ Keys []key }
			_ = json.Unmarshal(raw, &keys)
			for _, k := range keys.Keys {
				calls = append(calls, made(operation, one{TableName: table, Key: k}))
			}
		}
	case "BatchWriteItem":
		for table := range in.RequestItems {
			calls = append(calls, made(operation, one{TableName: table}))
		}
	default:
		calls = append(calls, made(operation, in.one))
	}
	return calls
}

// objectCall is the right of one request to S3, signed URLs included.
func objectCall(r *http.Request) call {
	q := r.URL.Query()
	bucket, key, object := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	action := "s3:GetObject"
	switch {
	case !object && q.Has("versions"):
		action = "s3:ListBucketVersions"
	case !object && q.Has("uploads"):
		action = "s3:ListBucketMultipartUploads"
	case !object:
		action = "s3:ListBucket"
	case r.Method == http.MethodGet && q.Has("uploadId"):
		action = "s3:ListMultipartUploadParts"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		action = "s3:AbortMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("versionId"):
		action = "s3:DeleteObjectVersion"
	case r.Method == http.MethodDelete:
		action = "s3:DeleteObject"
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		action = "s3:PutObject"
	case q.Has("versionId"):
		action = "s3:GetObjectVersion"
	}
	if !object {
		return call{Action: action, Resource: arn("s3", bucket)}
	}
	return call{Action: action, Resource: arn("s3", bucket+"/"+key)}
}
