package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

const (
	maxRedirects  = 5
	dialWithin    = 10 * time.Second
	headersWithin = 30 * time.Second
)

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Client reads from sources. Make it with New; it may be used by many goroutines at once.
type Client struct {
	rules Rules
	http  *http.Client
	stall time.Duration
	pause time.Duration
	tries int
}

// Options are for tests and slow networks; zero is a good choice.
type Options struct {
	Resolver Resolver      // default: the system's
	Headers  time.Duration // for the headers of an answer; default 30 seconds
	Stall    time.Duration // without a byte, after which a connection is given up; default 60 seconds
	Pause    time.Duration // before the first retry, doubled for each after it; default 1 second
	Tries    int           // without a new byte, before a source is given up; default 5
	TLS      *tls.Config   // default: the system's roots
	// Dial connects to an address that was checked; default: the network.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// New makes a client that keeps to the rules.
func New(rules Rules, o Options) *Client {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	d := dialer{rules: rules, resolver: o.Resolver, connect: o.Dial}
	c := &Client{rules: rules, stall: cmp.Or(o.Stall, time.Minute), pause: cmp.Or(o.Pause, time.Second), tries: cmp.Or(o.Tries, 5)}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // not from the environment: a proxy would resolve for itself
			DialContext:            d.dial,
			TLSClientConfig:        o.TLS,
			TLSHandshakeTimeout:    dialWithin,
			ResponseHeaderTimeout:  cmp.Or(o.Headers, headersWithin),
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true, // bytes as they are stored at the source
			Protocols:              http1(),
		},
		CheckRedirect: c.checkRedirect,
	}
	return c
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true) // ranges in parallel are better off on connections of their own
	return p
}

var errRefused = errors.New("the address is refused")

func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return failed(redirects, fmt.Errorf("more than %d redirects", maxRedirects))
	}
	u, err := c.rules.CheckURL(r.URL.String())
	if err != nil {
		return unreached(fmt.Errorf("redirect: %w: %w", errRefused, err))
	}
	if via[len(via)-1].URL.Scheme == "https" && u.Scheme != "https" {
		return failed("The source redirects from https to http. Use an address that stays with https.", errRefused)
	}
	r.URL = u
	r.Host = "" // of the new URL
	r.Header.Del("Referer")
	r.Header.Del("Authorization")
	r.Header.Del("Cookie")
	r.Header.Del("X-Auth-Token") // what OpenAs was given is for the address alone
	return nil
}

// dialer dials the addresses that it checked.
type dialer struct {
	rules    Rules
	resolver Resolver
	connect  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// dialTCP connects to exactly the address.
func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: dialWithin / 2, Control: func(_, address string, _ syscall.RawConn) error {
		if address != to.String() {
			return fmt.Errorf("%w: about to dial %s instead of %s", errRefused, address, to)
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", to.String())
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := parsePort(portText)
	if err != nil {
		return nil, err
	}
	if host, err = cleanHost(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	var addrs []netip.Addr
	if literal, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{literal}
	} else if addrs, err = d.resolver.LookupNetIP(ctx, "ip", host+"."); err != nil { // the dot: no search list
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("resolve %s: no address", host)
	}
	for n, a := range addrs {
		addrs[n] = a.Unmap() // resolvers give IPv4 in either form
		if !d.rules.Reaches(host, addrs[n], port) {
			return nil, fmt.Errorf("%w: %s is %s, port %d", errRefused, host, a, port)
		}
	}
	var failures []error
	for _, a := range addrs[:min(len(addrs), 4)] {
		conn, err := d.connect(ctx, netip.AddrPortFrom(a, port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// get asks for bytes of a file; rng is the value of Range, "" for all. token is sent unless it is "". The answer is one of 200, 206 or 416.
func (c *Client) get(ctx context.Context, address, token, rng, ifRange string) (*http.Response, error) {
	r, err := c.request(ctx, http.MethodGet, address, token, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "identity")
	if rng != "" {
		r.Header.Set("Range", rng)
	}
	if ifRange != "" {
		r.Header.Set("If-Range", ifRange)
	}
	answer, err := c.do(r)
	if err != nil {
		return nil, err
	}
	switch code := answer.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent, code == http.StatusRequestedRangeNotSatisfiable:
		return answer, nil
	default:
		answer.Body.Close()
		return nil, &Error{Message: fmt.Sprintf("The source answered with status %d instead of the file.", code),
			Temporary: code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout,
			Cause:     fmt.Errorf("%s answered %s", answer.Request.URL.Host, strings.ToValidUTF8(answer.Status, "?"))}
	}
}

// Ask sends a document to a service, or asks it for one, and returns its answer whatever its status, with at most max bytes of the body. It keeps to the rules as a
// fetch does. token is sent unless it is "", and to no other address.
func (c *Client) Ask(ctx context.Context, method, address, token string, document []byte, max int64) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, headersWithin)
	defer cancel()
	r, err := c.request(ctx, method, address, token, document)
	if err != nil {
		return 0, nil, nil, err
	}
	if document != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, max))
	if err != nil {
		return 0, nil, nil, BrokeOff(err)
	}
	return answer.StatusCode, answer.Header, body, nil
}

func (c *Client) request(ctx context.Context, method, address, token string, document []byte) (*http.Request, error) {
	u, err := c.rules.CheckURL(address)
	if err != nil {
		return nil, failed(err.Error(), errRefused)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(document))
	if err != nil {
		return nil, failed(unreachable, err)
	}
	r.Header.Set("User-Agent", "bullion-import/1")
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	return r, nil
}

func (c *Client) do(r *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(r)
	if err == nil {
		return answer, nil
	}
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	return nil, unreached(err)
}

// Retry calls f until it succeeds, fails with an error that is not a temporary *Error, or has failed too often in a row. progress tells whether a failed call got further, which begins the count anew.
func (c *Client) Retry(ctx context.Context, f func() (progress bool, err error)) error {
	pause := c.pause
	for failures := 1; ; failures++ {
		progress, err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !temporary(err):
			return err
		}
		if progress {
			failures, pause = 1, c.pause
		}
		if failures >= c.tries {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		pause = min(2*pause, 30*time.Second)
	}
}
