package s3store

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestNewRefusesOptionsThatCannotWork(t *testing.T) {
	client := s3.New(s3.Options{Region: "us-east-1"})
	for _, c := range []struct {
		name, bucket string
		o            Options
		want         string // in the error; "" for none
	}{
		{"no bucket", "", Options{}, "bucket"},
		{"the default", "b", Options{}, ""},
		{"fewer than no buffers", "b", Options{Buffers: -1}, "Buffers"},
		{"an endpoint with a path", "b", Options{PublicEndpoint: "https://example.org/s3"}, ""},
		{"an endpoint without a scheme", "b", Options{PublicEndpoint: "s3.example.org:9000"}, "PublicEndpoint"},
		{"an endpoint of another scheme", "b", Options{PublicEndpoint: "ftp://s3.example.org"}, "PublicEndpoint"},
		{"an endpoint without a host", "b", Options{PublicEndpoint: "https://"}, "PublicEndpoint"},
		{"an endpoint with a password", "b", Options{PublicEndpoint: "https://a:b@s3.example.org"}, "PublicEndpoint"},
		{"an endpoint with a query", "b", Options{PublicEndpoint: "https://s3.example.org?x=1"}, "PublicEndpoint"},
		{"an endpoint that is no URL", "b", Options{PublicEndpoint: "https://[::1"}, "PublicEndpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := New(client, c.bucket, c.o)
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if err == nil && s.buffers != 2 {
				t.Errorf("got %d buffers, want 2", s.buffers)
			}
		})
	}
}

func TestNewClientReportsEverythingThatIsMissingAtOnce(t *testing.T) {
	_, err := NewClient(Config{Endpoint: "127.0.0.1:9000"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"region", "key", "endpoint"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell of the %s: %v", want, err)
		}
	}
	if _, err := NewClient(Config{Region: "us-east-1", AccessKey: "a", SecretKey: "s"}); err != nil {
		t.Errorf("without an endpoint, which is AWS: %v", err)
	}
}

func TestOnlyTLSAndThisMachineArePrivate(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"":                             true, // AWS
		"https://s3.example.org":       true,
		"http://127.0.0.1:9000":        true,
		"http://127.9.9.9":             true,
		"http://[::1]:9000":            true,
		"http://localhost:9000":        false,
		"http://s3.example.org":        false,
		"http://192.168.0.2":           false,
		"http://127.0.0.1.example.org": false,
		"http://[::1":                  false,
	} {
		if got := private(aws.String(endpoint)); got != want {
			t.Errorf("%q: got %v, want %v", endpoint, got, want)
		}
	}
}
