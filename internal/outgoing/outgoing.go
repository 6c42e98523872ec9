// Package outgoing bounds the calls that the service makes to what it depends on: S3, DynamoDB and the other services of AWS, and its own storage on one machine. However such a
// service fails, it must not hold a request for ever: one that takes a connection and is silent, one that does not read what it is sent, one that gives a byte
// now and then.
//
// Clients with bounds of their own are those of webhooks (internal/notify), of Keystone and OpenID Connect (internal/identity), and of imports (internal/fetch).
package outgoing

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits are what a call may wait for.
type Limits struct {
	Connect time.Duration // for a connection, TLS included
	Headers time.Duration // for the headers of the answer, once the request is sent
	// Stall is for how long nothing may be taken of a request, or Least bytes come of an answer.
	Stall time.Duration
}

// Least is how many bytes of an answer must come within a Stall, but at its end.
const Least = 64 << 10

var (
	// AWS are the limits of calls to AWS. S3 answers with headers at once also where it takes its time, as when it completes an upload.
	AWS = Limits{Connect: 5 * time.Second, Headers: 20 * time.Second, Stall: time.Minute}
	// Here are the limits of calls to an S3 engine of our own, which is silent while it completes an upload.
	Here = Limits{Connect: 5 * time.Second, Headers: 5 * time.Minute, Stall: time.Minute}
)

// Client makes bounded requests. It is an aws.HTTPClient and an http.RoundTripper.
type Client struct {
	limits Limits
	base   *http.Transport // as it was given
	http   *http.Client
}

// New bounds what goes over a transport, of which it makes a copy.
func New(base *http.Transport, l Limits) *Client {
	t := base.Clone()
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, l.Connect)
		defer cancel()
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{c, l.Stall}, nil
	}
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = l.Connect, l.Headers
	return &Client{l, base, &http.Client{Transport: t, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if code := r.Response.StatusCode; code != http.StatusTemporaryRedirect && code != http.StatusPermanentRedirect { // as the SDK's own client
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// With is the same client with other limits.
func (c *Client) With(l Limits) *Client { return New(c.base, l) }

// Do makes a request.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	return c.bounded(r, c.http.Do)
}

// RoundTrip makes a request and follows no redirect.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.bounded(r, c.http.Transport.RoundTrip)
}

func (c *Client) bounded(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	res, err := send(r.WithContext(ctx))
	if err != nil {
		cancel()
		return res, err
	}
	res.Body = &body{ReadCloser: res.Body, cancel: cancel, stall: c.limits.Stall, left: c.limits.Stall}
	return res, nil
}

// conn is a connection whose other end takes what it is sent.
type conn struct {
	net.Conn
	stall time.Duration
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// body is an answer that ends, or comes at some pace. Only the time that a reader waits counts, not what it does between.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
	stall  time.Duration
	left   time.Duration // of the stall
	got    int           // bytes within it
	over   atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	began := time.Now()
	timer := time.AfterFunc(b.left, func() { b.over.Store(true); b.cancel() })
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	b.left, b.got = max(b.left-time.Since(began), 0), b.got+n
	if b.got >= Least {
		b.left, b.got = b.stall, 0
	}
	if err != nil && err != io.EOF && b.over.Load() {
		err = errStalled
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// errStalled is a timeout, so that whoever tries timeouts again tries this again.
var errStalled error = stalled{}

type stalled struct{}

func (stalled) Error() string   { return "the answer came too slowly" }
func (stalled) Timeout() bool   { return true }
func (stalled) Temporary() bool { return true }
