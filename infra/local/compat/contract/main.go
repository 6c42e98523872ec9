// Command contract stands between a client and the service, and holds every exchange against the OpenAPI document: what the service accepted must
// be something that the document allows, and what it answered must be what the document says. It prints what differs when it is told to stop, and
// exits with 1 if anything did.
//
//	contract -document internal/api/openapi.yaml -listen 127.0.0.1:9292 -to http://127.0.0.1:9294
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9292", "address for clients")
	to := flag.String("to", "http://127.0.0.1:9294", "the service")
	document := flag.String("document", "internal/api/openapi.yaml", "the OpenAPI document")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := newContract(*document, *to)
	if err == nil {
		err = c.serve(ctx, *listen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "contract:", err)
		os.Exit(2)
	}
	if !c.report(os.Stdout) {
		os.Exit(1)
	}
}

// contract is the document, the way to the service, and what was seen.
type contract struct {
	document *document
	proxy    *httputil.ReverseProxy

	mu         sync.Mutex
	exchanges  int
	violations map[string]int // how often each was seen
}

func newContract(path, service string) (*contract, error) {
	target, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	d, err := readDocument(path)
	if err != nil {
		return nil, err
	}
	c := &contract{document: d, violations: map[string]int{}}
	c.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		FlushInterval:  -1,
		ModifyResponse: c.answered,
	}
	return c, nil
}

func (c *contract) serve(ctx context.Context, listen string) error {
	server := &http.Server{Addr: listen, Handler: c}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}

// maxJSON bounds the bodies that are looked at, in bytes; the service neither takes nor gives larger ones.
const maxJSON = 16 << 20

type bodyKey struct{}

// ServeHTTP keeps a JSON body for answered and passes the request on.
func (c *contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isJSON(r.Header) {
		body, err := readAll(&r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body))
	}
	c.proxy.ServeHTTP(w, r)
}

// answered holds one exchange against the document.
func (c *contract) answered(res *http.Response) error {
	r := res.Request
	var body []byte
	if isJSON(res.Header) {
		var err error
		if body, err = readAll(&res.Body); err != nil {
			return err
		}
	}
	if r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil // as GET, without what could be looked at; a browser's question of whether a page may do something
	}
	var wrong []string
	op := c.document.operation(r.Method, r.URL.EscapedPath())
	switch {
	case op != nil:
		wrong = op.response(res, body)
		if sent, _ := r.Context().Value(bodyKey{}).([]byte); res.StatusCode/100 == 2 {
			wrong = append(wrong, op.request(r.Header.Get("Content-Type"), sent)...)
		}
	case res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusMethodNotAllowed && strings.HasPrefix(r.URL.Path, "/v"):
		wrong = []string{"the document has no such operation"}
	}
	where := r.URL.Path
	if op != nil {
		where = op.path
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges++
	for _, w := range wrong {
		c.violations[fmt.Sprintf("%s %s, answered with %d: %s", r.Method, where, res.StatusCode, w)]++
	}
	return nil
}

func isJSON(h http.Header) bool { return strings.Contains(h.Get("Content-Type"), "json") }

// readAll reads a body and puts one with the same bytes in its place.
func readAll(body *io.ReadCloser) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(*body, maxJSON+1))
	if err == nil && len(b) > maxJSON {
		err = fmt.Errorf("a JSON body is larger than %d bytes", maxJSON)
	}
	if err != nil {
		return nil, err
	}
	rest := *body
	*body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(b), rest}
	return b, nil
}

// report prints what was seen, and says whether all of it was as the document says.
func (c *contract) report(w io.Writer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range slices.Sorted(maps.Keys(c.violations)) {
		fmt.Fprintf(w, "%d times: %s\n", c.violations[line], line)
	}
	fmt.Fprintf(w, "%d exchanges were held against the OpenAPI document, which differs in %d ways.\n", c.exchanges, len(c.violations))
	return len(c.violations) == 0
}
