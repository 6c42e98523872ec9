package blobtest

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"bullion/internal/images"
	"bullion/internal/s3store"
	"bullion/internal/s3store/blobtest"
)

// inFront forwards to the engine, after see. It keeps the host, since that is signed.
func inFront(t *testing.T, see func(*http.Request)) http.Handler {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		see(r.In)
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
}

func TestPutSignsItsBodiesOnlyWhereSomebodyCouldBeInBetween(t *testing.T) {
	var mu sync.Mutex
	var signed []string
	front := inFront(t, func(r *http.Request) {
		if r.Method == http.MethodPut && strings.Count(r.URL.Path, "/") > 1 {
			mu.Lock()
			defer mu.Unlock()
			signed = append(signed, r.Header.Get("X-Amz-Content-Sha256"))
			if r.Header.Get("X-Amz-Checksum-Crc32") == "" {
				t.Errorf("%s has no checksum", r.URL.Path)
			}
		}
	})
	plain, tls := httptest.NewServer(front), httptest.NewTLSServer(front)
	defer plain.Close()
	defer tls.Close()
	_, port, err := net.SplitHostPort(plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, endpoint string
		client         s3store.Config
		unsigned       bool
	}{
		{"TLS", tls.URL, s3store.Config{HTTPClient: tls.Client()}, true},
		{"an address of this machine", plain.URL, s3store.Config{}, true},
		{"a name, which may be of any machine", "http://localhost:" + port, s3store.Config{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed = nil
			bucket := open(t, endpoint, s3store.Options{})
			c.client.Endpoint, c.client.Region, c.client.AccessKey, c.client.SecretKey, c.client.PathStyle = c.endpoint, region, accessKey, secretKey, true
			client, err := s3store.NewClient(c.client)
			if err != nil {
				t.Fatal(err)
			}
			store, err := s3store.New(client, bucket.Name, s3store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for name, size := range map[string]int{"-whole": 1000, "-parts": 33 << 20} {
				want := noise(size)
				blob, err := store.Put(t.Context(), key+name, bytes.NewReader(want), -1)
				if err != nil {
					t.Fatal(err)
				}
				checkBytes(t, blobtest.Bucket{Blobs: store}, blob, want)
			}
			if len(signed) != 4 {
				t.Errorf("got %d requests with a body, want 4", len(signed))
			}
			for _, hash := range signed {
				if unsigned := hash == "UNSIGNED-PAYLOAD"; unsigned != c.unsigned {
					t.Errorf("got X-Amz-Content-Sha256 %q, want unsigned: %v", hash, c.unsigned)
				}
			}
		})
	}
}

func TestPresignedRequestsNameThePublicEndpoint(t *testing.T) {
	public := httptest.NewServer(inFront(t, func(*http.Request) {}))
	defer public.Close()
	b := open(t, endpoint, s3store.Options{PublicEndpoint: public.URL + "/"})
	want := noise(1000)
	put, err := b.PresignPut(t.Context(), key, int64(len(want)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(put.URL, public.URL+"/"+b.Name+"/"+key+"?") {
		t.Errorf("got a PUT of %s, want one of %s", strings.SplitN(put.URL, "?", 2)[0], public.URL)
	}
	if got := status(t, put, want); got != http.StatusOK {
		t.Fatalf("PUT: got status %d, want 200", got)
	}
	blob, err := b.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	get, err := b.PresignGet(t.Context(), blob, "x", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, get, nil); got != http.StatusOK {
		t.Errorf("GET: got status %d, want 200", got)
	}
	get.URL = strings.Replace(get.URL, public.URL, endpoint, 1)
	if got := status(t, get, nil); got != http.StatusForbidden {
		t.Errorf("GET at another host than the signed one: got status %d, want 403", got)
	}
	id, err := b.CreateMultipart(t.Context(), key+"-parts", images.MinPartSize)
	if err != nil {
		t.Fatal(err)
	}
	part, err := b.PresignPart(t.Context(), key+"-parts", id, 1, int64(len(want)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, part, want); got != http.StatusOK || !strings.HasPrefix(part.URL, public.URL) {
		t.Errorf("part: got status %d from %s, want 200 from %s", got, strings.SplitN(part.URL, "?", 2)[0], public.URL)
	}
}

// status makes a signed request.
func status(t *testing.T, r images.SignedRequest, body []byte) int {
	t.Helper()
	req, err := http.NewRequest(r.Method, r.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header(r.Header).Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
