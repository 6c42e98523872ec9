package s3store

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
)

// What an engine makes of these requests is in package blobtest. Here is what they look like where no engine of a test can be: on AWS.

const key = "images/0b6d5d0e-1f0e-4d5c-9a39-6a1c5d0b7a11/5f1e8a3c-7a44-4c9e-8f0a-2f3f0f6f1b22"

// onAWS is a store of a bucket in Frankfurt, with the SDK's own defaults and the credentials of a role.
func onAWS(t *testing.T, key aws.Credentials, o Options) *Store {
	t.Helper()
	s, err := New(s3.New(s3.Options{
		Region:                     "eu-central-1",
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		Credentials:                aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil }),
	}), "bullion-images", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var role = aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret-of-the-role", SessionToken: "token-of-the-role"}

func presignAll(t *testing.T, s *Store, ttl time.Duration) map[string]images.SignedRequest {
	t.Helper()
	ctx := t.Context()
	all := map[string]images.SignedRequest{}
	for name, presign := range map[string]func() (images.SignedRequest, error){
		"put":  func() (images.SignedRequest, error) { return s.PresignPut(ctx, key, 4096, ttl) },
		"part": func() (images.SignedRequest, error) { return s.PresignPart(ctx, key, "upload-id", 7, 4096, ttl) },
		"get": func() (images.SignedRequest, error) {
			return s.PresignGet(ctx, images.Blob{Key: key, VersionID: "v1", ETag: "e", Size: 1}, "a b.raw", ttl)
		},
	} {
		r, err := presign()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = r
	}
	return all
}

func TestOnAWSSignedRequestsNameTheBucketsHostAndSignWhatMatters(t *testing.T) {
	for name, r := range presignAll(t, onAWS(t, role, Options{}), time.Minute) {
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		if want := "bullion-images.s3.eu-central-1.amazonaws.com"; u.Scheme != "https" || u.Host != want || u.Path != "/"+key {
			t.Errorf("%s: got %s://%s%s, want https://%s/%s", name, u.Scheme, u.Host, u.Path, want, key)
		}
		q := u.Query()
		want := map[string]struct {
			signed string
			header map[string][]string
			query  map[string]string
		}{
			"put":  {"content-length;host;if-none-match", map[string][]string{"Content-Length": {"4096"}, "If-None-Match": {"*"}}, nil},
			"part": {"content-length;host", map[string][]string{"Content-Length": {"4096"}}, map[string]string{"partNumber": "7", "uploadId": "upload-id"}},
			"get": {"host", map[string][]string{}, map[string]string{
				"versionId": "v1", "response-content-type": "application/octet-stream", "response-content-disposition": `attachment; filename="a b.raw"`,
			}},
		}[name]
		if got := q.Get("X-Amz-SignedHeaders"); got != want.signed {
			t.Errorf("%s: got signed headers %s, want %s", name, got, want.signed)
		}
		if diff := cmp.Diff(want.header, r.Header); diff != "" {
			t.Errorf("%s: header (-want +got)\n%s", name, diff)
		}
		for k, v := range want.query {
			if got := q.Get(k); got != v {
				t.Errorf("%s: got %s=%q, want %q", name, k, got, v)
			}
		}
		if got := q.Get("X-Amz-Security-Token"); got != role.SessionToken {
			t.Errorf("%s: got session token %q, want the role's", name, got)
		}
		for k := range q {
			if strings.Contains(strings.ToLower(k), "checksum") {
				t.Errorf("%s: the URL asks for %s, which the client cannot send", name, k)
			}
		}
		if strings.Contains(r.URL, role.SecretAccessKey) {
			t.Errorf("%s: the URL tells the secret", name)
		}
	}
}

func TestWithoutAVersionADownloadNamesNone(t *testing.T) {
	r, err := onAWS(t, role, Options{}).PresignGet(t.Context(), images.Blob{Key: key, ETag: "e", Size: 1}, "x", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(r.URL); err != nil || u.Query().Has("versionId") {
		t.Errorf("the URL names a version (error %v)", err)
	}
}

func TestThePublicEndpointKeepsTheAddressing(t *testing.T) {
	for name, r := range presignAll(t, onAWS(t, role, Options{PublicEndpoint: "https://objects.example.org/"}), time.Minute) {
		if want := "https://bullion-images.objects.example.org/" + key + "?"; !strings.HasPrefix(r.URL, want) {
			t.Errorf("%s: got %.100s, want %s", name, r.URL, want)
		}
	}
}

func TestARequestIsGoodUntilItsTimeOrTheEndOfTheSession(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name    string
		session time.Time // zero: it does not end
		ttl     time.Duration
		want    time.Time
	}{
		{"the time to live when the session does not end", time.Time{}, 15 * time.Minute, now.Add(15 * time.Minute)},
		{"the time to live when the session ends later", now.Add(time.Hour), 15 * time.Minute, now.Add(15 * time.Minute)},
		{"the session when it ends sooner", now.Add(5 * time.Minute), 15 * time.Minute, now.Add(5 * time.Minute)},
		{"seven days at most", time.Time{}, 30 * 24 * time.Hour, now.Add(7 * 24 * time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := role
			key.CanExpire, key.Expires = !c.session.IsZero(), c.session
			for name, r := range presignAll(t, onAWS(t, key, Options{}), c.ttl) {
				if d := r.Expires.Sub(c.want); d < -time.Minute || d > time.Minute {
					t.Errorf("%s: got expiry %v, want about %v", name, r.Expires, c.want)
				}
			}
		})
	}
}

func TestCredentialsThatCannotBeHadAreAnError(t *testing.T) {
	s, err := New(s3.New(s3.Options{Region: "eu-central-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, context.DeadlineExceeded
	})}), "bullion-images", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PresignPut(t.Context(), key, 1, time.Minute); err == nil {
		t.Error("no error")
	}
}
