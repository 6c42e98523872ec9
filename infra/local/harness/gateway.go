package harness

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Gateway answers as a regional REST API whose binary media type is */*: the path goes on as the client encoded it, the query decoded, the body in base64.
type Gateway struct {
	Routes    []Route
	Responses map[string]GatewayResponse
	Functions map[string]*Lambda
}

const maxPayload = 6 << 20 // of Lambda, in and out

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := g.route(r.Method, r.URL.EscapedPath())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
	switch {
	case err != nil:
		g.deny(w, "REQUEST_TOO_LARGE", http.StatusRequestEntityTooLarge, "Request Too Long")
		return
	case route == nil:
		g.deny(w, "MISSING_AUTHENTICATION_TOKEN", http.StatusForbidden, "Missing Authentication Token")
		return
	}
	e := events.APIGatewayProxyRequest{
		Resource: route.Path, Path: r.URL.EscapedPath(), HTTPMethod: r.Method,
		Headers: map[string]string{}, MultiValueHeaders: map[string][]string{"Host": {r.Host}},
		QueryStringParameters: map[string]string{}, MultiValueQueryStringParameters: r.URL.Query(),
	}
	for name, values := range r.Header {
		e.MultiValueHeaders[name] = values
	}
	for name, values := range e.MultiValueHeaders {
		e.Headers[name] = values[len(values)-1]
	}
	for name, values := range e.MultiValueQueryStringParameters {
		e.QueryStringParameters[name] = values[len(values)-1]
	}
	if len(body) > 0 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	e.RequestContext.Identity.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	e.RequestContext.Stage, e.RequestContext.HTTPMethod = "api", r.Method
	payload, err := json.Marshal(e)
	if err != nil || len(payload) > maxPayload {
		g.deny(w, "REQUEST_TOO_LARGE", http.StatusRequestEntityTooLarge, "Request Too Long")
		return
	}
	answer, err := g.Functions[route.Function].Invoke(r.Context(), payload)
	var out events.APIGatewayProxyResponse
	if err != nil || len(answer) > maxPayload || json.Unmarshal(answer, &out) != nil || out.StatusCode == 0 {
		g.deny(w, "INTEGRATION_FAILURE", http.StatusBadGateway, "Internal server error")
		return
	}
	content := []byte(out.Body)
	if out.IsBase64Encoded {
		if content, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			g.deny(w, "INTEGRATION_FAILURE", http.StatusBadGateway, "Internal server error")
			return
		}
	}
	for name, values := range out.MultiValueHeaders {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	for name, value := range out.Headers {
		if w.Header().Get(name) == "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(out.StatusCode)
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // the client may be gone
	}
}

// deny answers as API Gateway does by itself: as the template says of this type of answer, or of all with such a status, or else in its own words.
// Templates are filled in without any other logic
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-gateway-responses.responseTemplates.html).
func (g *Gateway) deny(w http.ResponseWriter, kind string, status int, message string) {
	response, has := g.Responses[kind]
	if !has {
		response, has = g.Responses[fmt.Sprintf("DEFAULT_%dXX", status/100)]
	}
	if !has {
		response.Body = `{"message":$context.error.messageString}`
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(cmp.Or(response.Status, status))
	body := strings.NewReplacer("$context.error.messageString", strconv.Quote(message), "$context.error.responseType", kind).Replace(response.Body)
	_, _ = io.WriteString(w, body) // the client may be gone
}

// route finds the most specific route: a segment by its name goes before one by any name, that before the rest of a path; and a method of its own before ANY.
func (g *Gateway) route(method, path string) *Route {
	var best *Route
	bestRank := ""
	for n := range g.Routes {
		r := &g.Routes[n]
		rank, ok := rank(r.Path, path)
		if !ok || r.Method != method && r.Method != "ANY" {
			continue
		}
		if r.Method == method {
			rank += "9"
		}
		if best == nil || rank > bestRank {
			best, bestRank = r, rank
		}
	}
	return best
}

// rank compares as text: 3 for a segment by its name, 2 for one by any, 1 for the rest.
func rank(pattern, path string) (string, bool) {
	want, have := strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	var b strings.Builder
	for n, w := range want {
		switch {
		case n >= len(have):
			return "", false
		case strings.HasSuffix(w, "+}"):
			return b.String() + "1", have[n] != ""
		case strings.HasPrefix(w, "{"):
			if have[n] == "" {
				return "", false
			}
			b.WriteByte('2')
		case w == have[n]:
			b.WriteByte('3')
		default:
			return "", false
		}
	}
	return b.String(), len(want) == len(have)
}
