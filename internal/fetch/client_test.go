package fetch

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answers is a resolver with a list of answers for each name; the last is given for ever.
type answers struct {
	calls atomic.Int32
	list  [][]string
}

func (a *answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n := int(a.calls.Add(1)) - 1
	texts := a.list[min(n, len(a.list)-1)]
	if len(texts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// serve starts a server and returns a client that may reach it alone, by its address.
func serve(t *testing.T, resolver Resolver, h http.HandlerFunc) (*Client, string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return clientOf(t, resolver, server.URL), server.URL
}

func clientOf(t *testing.T, resolver Resolver, address string) *Client {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseException(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return New(Rules{Except: []Exception{e}}, Options{Resolver: resolver, Pause: time.Millisecond, Tries: 3, Stall: 300 * time.Millisecond})
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return fmt.Sprint(err)
}

func TestWhatCannotBeReachedIsToldInTheSameWords(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + closed.Addr().String() + "/"
	closed.Close()
	for _, c := range []struct {
		name     string
		resolver *answers
		client   func(Resolver) *Client
		url      string
	}{
		{"a name that does not exist", &answers{list: [][]string{{}}}, nil, "http://example.org/"},
		{"a name of loopback", &answers{list: [][]string{{"127.0.0.1"}}}, nil, "http://example.org/"},
		{"a name of the metadata service", &answers{list: [][]string{{"169.254.169.254"}}}, nil, "http://example.org/"},
		{"a name of mapped loopback", &answers{list: [][]string{{"::ffff:127.0.0.1"}}}, nil, "http://example.org/"},
		{"a name of a public and a private address", &answers{list: [][]string{{"1.1.1.1", "10.0.0.1"}}}, nil, "http://example.org/"},
		{"a name of NAT64", &answers{list: [][]string{{"64:ff9b::7f00:1"}}}, nil, "http://example.org/"},
		{"a port that is closed", &answers{list: [][]string{{}}}, func(r Resolver) *Client { return clientOf(t, r, address) }, address},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := New(Rules{}, Options{Resolver: c.resolver, Pause: time.Millisecond, Tries: 3})
			if c.client != nil {
				client = c.client(c.resolver)
			}
			_, err := client.Open(t.Context(), c.url)
			if got := message(err); got != unreachable {
				t.Errorf("got %q, want %q", got, unreachable)
			}
			if n := c.resolver.calls.Load(); c.client == nil && n != 3 {
				t.Errorf("it was tried %d times, want 3 like every other", n)
			}
		})
	}
}

func TestANameThatChangesItsAnswerIsDialledWhereItWasChecked(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(noise(100)))
	}))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	// Something listens at the second answer too.
	other, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	go http.Serve(other, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	resolver := &answers{list: [][]string{{"127.0.0.1"}, {"127.0.0.2"}}}
	e, err := ParseException("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	client := New(Rules{Except: []Exception{e}}, Options{Resolver: resolver, Pause: time.Millisecond, Tries: 3})
	s, err := client.Open(t.Context(), "http://rebind.example.org:"+port+"/")
	if err != nil {
		t.Fatal(err)
	}
	if hits.Load() != 1 || resolver.calls.Load() != 1 {
		t.Errorf("%d requests, %d resolutions; want one of each: what was checked is what was dialled", hits.Load(), resolver.calls.Load())
	}
	client.http.CloseIdleConnections()
	if _, err := s.Range(t.Context(), 0, 10); message(err) != unreachable {
		t.Errorf("after the answer changed: %v, want %q", err, unreachable)
	}
	if hits.Load() != 1 {
		t.Error("the address that was not allowed was asked")
	}
}

func TestEveryRedirectIsChecked(t *testing.T) {
	var inner atomic.Int32
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inner.Add(1) }))
	t.Cleanup(secret.Close)
	for _, c := range []struct{ name, to, want string }{
		{"to a service of this machine", secret.URL + "/", unreachable},
		{"to the metadata service", "http://169.254.169.254/latest/", unreachable},
		{"to an address in octal", "http://0177.0.0.1/", unreachable},
		{"to a file", "file:///etc/passwd", unreachable},
		{"to another port", "//example.org:22/", unreachable},
		{"with a password", "http://a:b@example.org/", unreachable},
		{"in a circle", "/", redirects},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, address := serve(t, &answers{list: [][]string{{}}}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", c.to)
				w.WriteHeader(http.StatusFound)
			})
			if _, err := client.Open(t.Context(), address+"/"); message(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if inner.Load() != 0 {
		t.Errorf("the service of this machine was asked %d times", inner.Load())
	}
}

func TestARequestTellsNothingOfUs(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	client, address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Cookie", "Referer", "Authorization", "X-Auth-Token"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s: %s", name, r.Header.Get(name))
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		if r.URL.Path == "/a" {
			http.Redirect(w, r, "/b", http.StatusFound)
			return
		}
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(noise(100)))
	})
	if _, err := client.Open(t.Context(), address+"/a"); err != nil {
		t.Error(err)
	}
}

func TestAStreamIsWholeOrAnError(t *testing.T) {
	data := noise(1 << 20)
	for _, c := range []struct {
		name  string
		want  string // "" for success
		serve func(n int, w http.ResponseWriter, r *http.Request)
	}{
		{"a good source", "", func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a source without ranges, length or validator", "", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(data)
		}},
		{"a source that resets again and again, and has ranges", "", func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if n > 0 {
				w = &cutting{w, 200_000}
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a source that resets and has no ranges", broken, func(n int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			(&cutting{w, 200_000}).Write(data)
		}},
		{"a source that stops sending", tooSlow, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:100_000])
			w.(http.Flusher).Flush()
			if n > 0 {
				<-r.Context().Done()
			}
		}},
		{"a source that says it is longer than it is", broken, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(2*len(data)))
			w.Write(data)
		}},
		{"a file that changes", changed, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a file that grows", changed, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(bytes.Clone(data), make([]byte, n)...)))
		}},
		{"another range than was asked for", lied, func(n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if n > 0 {
				r.Header.Set("Range", "bytes=5-")
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a server that is broken", "The source answered with status 500 instead of the file.", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		}},
		{"a server that is broken once", "", func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}},
		{"a file that is not there", "The source answered with status 404 instead of the file.", func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
		}},
		{"an empty file", empty, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			client, address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) { c.serve(int(requests.Add(1))-1, w, r) })
			got, err := func() ([]byte, error) {
				s, err := client.Open(t.Context(), address+"/a")
				if err != nil {
					return nil, err
				}
				body := s.Reader(t.Context())
				defer body.Close()
				return io.ReadAll(body)
			}()
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "" && !bytes.Equal(got, data):
				t.Errorf("%d bytes that are not the file's", len(got))
			case c.want != "" && message(err) != c.want:
				t.Errorf("got %v after %d bytes, want %q", err, len(got), c.want)
			}
		})
	}
}

func TestASourceThatBreaksAtEveryByteIsGivenUp(t *testing.T) {
	data := noise(10_000)
	client, address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(&cutting{w, 16}, r, "", time.Time{}, bytes.NewReader(data))
	})
	s, err := client.Open(t.Context(), address+"/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, s.Reader(t.Context())); message(err) != broken {
		t.Errorf("got %v, want %q", err, broken)
	}
}

// cutting ends the connection after so many bytes of the body.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	if c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}
