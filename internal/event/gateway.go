package event

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// MaxResponse is what API Gateway carries back, in bytes of the body: Lambda's 6 MB with room for the envelope and base64.
const MaxResponse = 4 << 20

// Gateway makes a Lambda handler of an http.Handler. It takes the proxy events of REST APIs (payload 1.0) and of HTTP APIs and function URLs (payload 2.0).
//
// REST APIs and function URLs pass the path on as the client encoded it. HTTP APIs decode it, and cut it at an encoded question mark; what is left is encoded
// again, so that it is at least read as it was meant (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).
func Gateway(h http.Handler) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		var head struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal(payload, &head); err != nil {
			return nil, fmt.Errorf("read an API Gateway event: %w", err)
		}
		if head.Version == "2.0" {
			return serveHTTPAPI(ctx, h, payload)
		}
		return serveRESTAPI(ctx, h, payload)
	}
}

func serveRESTAPI(ctx context.Context, h http.Handler, payload []byte) (any, error) {
	var e events.APIGatewayProxyRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("read a REST API event: %w", err)
	}
	header := http.Header{}
	for name, values := range e.MultiValueHeaders {
		header[http.CanonicalHeaderKey(name)] = values
	}
	for name, value := range e.Headers {
		if name = http.CanonicalHeaderKey(name); header[name] == nil {
			header.Set(name, value)
		}
	}
	query := url.Values(e.MultiValueQueryStringParameters)
	if len(query) == 0 {
		query = url.Values{}
		for name, value := range e.QueryStringParameters {
			query.Set(name, value)
		}
	}
	r, err := request(ctx, e.HTTPMethod, e.Path, query.Encode(), header, e.Body, e.IsBase64Encoded, e.RequestContext.Identity.SourceIP)
	if err != nil {
		return refused[events.APIGatewayProxyResponse](err)
	}
	w := &answer{header: http.Header{}}
	h.ServeHTTP(w, r)
	body, encoded := w.text()
	return events.APIGatewayProxyResponse{StatusCode: w.code(), MultiValueHeaders: w.header, Body: body, IsBase64Encoded: encoded}, nil
}

func serveHTTPAPI(ctx context.Context, h http.Handler, payload []byte) (any, error) {
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("read an HTTP API event: %w", err)
	}
	header := http.Header{}
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	if len(e.Cookies) > 0 {
		header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	r, err := request(ctx, e.RequestContext.HTTP.Method, e.RawPath, e.RawQueryString, header, e.Body, e.IsBase64Encoded, e.RequestContext.HTTP.SourceIP)
	if err != nil {
		return refused[events.APIGatewayV2HTTPResponse](err)
	}
	w := &answer{header: http.Header{}}
	h.ServeHTTP(w, r)
	body, encoded := w.text()
	out := events.APIGatewayV2HTTPResponse{StatusCode: w.code(), Headers: map[string]string{}, Body: body, IsBase64Encoded: encoded}
	for name, values := range w.header {
		if name == "Set-Cookie" {
			out.Cookies = values
			continue
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	return out, nil
}

// request is what the client sent, as net/http would have read it from a socket.
func request(ctx context.Context, method, path, query string, header http.Header, body string, encoded bool, source string) (*http.Request, error) {
	content := []byte(body)
	if encoded {
		var err error
		if content, err = base64.StdEncoding.DecodeString(body); err != nil {
			return nil, fmt.Errorf("the body is not base64: %w", err)
		}
	}
	target := escapePath(path)
	if query != "" {
		target += "?" + query
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	r.RequestURI = target
	r.Header = header
	r.Host = header.Get("Host")
	header.Del("Host")
	r.RemoteAddr = net.JoinHostPort(source, "0")
	return r, nil
}

// escapePath encodes what cannot stand in an encoded path, and leaves what is encoded already.
func escapePath(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var b strings.Builder
	for n := 0; n < len(path); n++ {
		c := path[n]
		switch {
		case c == '%' && n+2 < len(path) && isHex(path[n+1]) && isHex(path[n+2]):
			b.WriteByte(c)
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`%?#"<>\^`+"`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// refused answers a request that could not be read at all.
func refused[T events.APIGatewayProxyResponse | events.APIGatewayV2HTTPResponse](err error) (any, error) {
	var v T
	text, status := "400 Bad Request\n\nThe request could not be read: "+err.Error()+"\n", http.StatusBadRequest
	switch v := any(&v).(type) {
	case *events.APIGatewayProxyResponse:
		v.StatusCode, v.Body = status, text
	case *events.APIGatewayV2HTTPResponse:
		v.StatusCode, v.Body = status, text
	}
	return v, nil
}

// answer collects what a handler writes. A body above MaxResponse is replaced by an error that says so, since the gateway would answer 502 without a reason.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	large  bool
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.header = w.header.Clone()
	}
}

func (w *answer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(p) > MaxResponse {
		w.large = true
		return len(p), nil
	}
	return w.body.Write(p)
}

func (w *answer) code() int {
	switch {
	case w.large:
		return http.StatusRequestEntityTooLarge
	case w.status == 0:
		return http.StatusOK
	}
	return w.status
}

// text is the body as the event carries it: as it is when it is text, else in base64.
func (w *answer) text() (string, bool) {
	if w.large {
		w.header = http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}
		return "413 Request Entity Too Large\n\nThe answer is larger than API Gateway carries; ask for a smaller page with limit.\n", false
	}
	w.header.Del("Content-Length") // the gateway counts itself
	body := w.body.Bytes()
	binary := slices.ContainsFunc([]string{"application/octet-stream", "application/wasm", "image/"}, func(t string) bool {
		return strings.HasPrefix(w.header.Get("Content-Type"), t)
	})
	if binary || !utf8.Valid(body) {
		return base64.StdEncoding.EncodeToString(body), true
	}
	return string(body), false
}
