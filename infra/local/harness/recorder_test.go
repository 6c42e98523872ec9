package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// recorder notes which rights each function would have needed, from the requests that pass it, signed URLs included.
type recorder struct {
	mu     sync.Mutex
	seen   map[string]map[string]bool // function, IAM action
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
	}, FlushInterval: -1}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.note(function, r) {
			http.Error(w, "<Error><Code>AccessDenied</Code><Message>as the test wants</Message></Error>", http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// note says whether the request is to be refused.
func (c *recorder) note(function string, r *http.Request) (refused bool) {
	actions := actionsOf(r)
	c.mu.Lock()
	refuse := c.refuse
	c.mu.Unlock()
	refused = refuse != nil && refuse(function, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[function] == nil {
		c.seen[function] = map[string]bool{}
	}
	for _, a := range actions {
		c.seen[function][a] = true
	}
	return refused
}

// setRefuse decides from now on which requests are answered with a refusal; nil refuses none.
func (c *recorder) setRefuse(refuse func(function string, r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = refuse
}

// services are the prefixes of X-Amz-Target by that of IAM.
var services = map[string]string{"DynamoDB_20120810": "dynamodb", "AmazonSSM": "ssm", "AWSCognitoIdentityProviderService": "cognito-idp", "AWSEvents": "events"}

// actionsOf are the IAM actions that a request needs (https://docs.aws.amazon.com/service-authorization/latest/reference/).
func actionsOf(r *http.Request) []string {
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		return []string{"lambda:InvokeFunction"}
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		service, call, _ := strings.Cut(target, ".")
		if call != "TransactWriteItems" {
			return []string{services[service] + ":" + call}
		}
		body, _ := io.ReadAll(r.Body) // what is missing is missed by the engine as well
		r.Body = io.NopCloser(bytes.NewReader(body))
		var in struct{ TransactItems []map[string]json.RawMessage }
		_ = json.Unmarshal(body, &in)
		var actions []string
		names := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
		for _, item := range in.TransactItems {
			for kind := range item {
				actions = append(actions, "dynamodb:"+names[kind])
			}
		}
		return actions
	}
	q := r.URL.Query()
	object := strings.Count(strings.TrimPrefix(r.URL.Path, "/"), "/") > 0
	switch {
	case !object && q.Has("versions"):
		return []string{"s3:ListBucketVersions"}
	case !object && q.Has("uploads"):
		return []string{"s3:ListBucketMultipartUploads"}
	case !object:
		return []string{"s3:ListBucket"}
	case r.Method == http.MethodGet && q.Has("uploadId"):
		return []string{"s3:ListMultipartUploadParts"}
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return []string{"s3:AbortMultipartUpload"}
	case r.Method == http.MethodDelete && q.Has("versionId"):
		return []string{"s3:DeleteObjectVersion"}
	case r.Method == http.MethodDelete:
		return []string{"s3:DeleteObject"}
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		return []string{"s3:PutObject"}
	case q.Has("versionId"):
		return []string{"s3:GetObjectVersion"}
	}
	return []string{"s3:GetObject"}
}
