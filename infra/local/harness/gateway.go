package harness

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Gateway answers as a regional REST API whose binary media type is */*: the path goes on as the client encoded it, the query decoded, the body in base64.
type Gateway struct {
	Routes    []Route
	Functions map[string]*Lambda
}

const maxPayload = 6 << 20 // of Lambda, in and out

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := g.route(r.Method, r.URL.EscapedPath())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
	switch {
	case err != nil:
		deny(w, http.StatusRequestEntityTooLarge, "Request Too Long")
		return
	case route == nil:
		deny(w, http.StatusForbidden, "Missing Authentication Token")
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
		deny(w, http.StatusRequestEntityTooLarge, "Request Too Long")
		return
	}
	answer, err := g.Functions[route.Function].Invoke(r.Context(), payload)
	var out events.APIGatewayProxyResponse
	if err != nil || len(answer) > maxPayload || json.Unmarshal(answer, &out) != nil || out.StatusCode == 0 {
		deny(w, http.StatusBadGateway, "Internal server error")
		return
	}
	content := []byte(out.Body)
	if out.IsBase64Encoded {
		if content, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			deny(w, http.StatusBadGateway, "Internal server error")
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

func deny(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may be gone
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
