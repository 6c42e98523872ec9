package s3store

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bullion/internal/images"
)

func TestARefusalNamesThePermissionThatIsMissing(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte(`<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`))
		}
	}))
	defer s.Close()
	client, err := NewClient(Config{Endpoint: s.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "b", PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	store, err := New(client, "images", Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for want, do := range map[string]func() error{
		"s3:GetObject and s3:ListBucket": func() error { _, err := store.Head(ctx, "images/a/b"); return err },
		"s3:GetObject, and s3:GetObjectVersion": func() error {
			_, err := store.Range(ctx, images.Blob{Key: "images/a/b", ETag: "e", Size: 1}, 0, 1)
			return err
		},
		"s3:PutObject":                func() error { _, err := store.Put(ctx, "images/a/b", strings.NewReader("x"), 1); return err },
		"s3:ListMultipartUploadParts": func() error { _, err := store.Parts(ctx, "images/a/b", "u"); return err },
		"s3:AbortMultipartUpload":     func() error { return store.AbortMultipart(ctx, "images/a/b", "u") },
		"s3:ListBucket":               func() error { return store.List(ctx, "images/", "", func(images.Stored) bool { return true }) },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "the role or key needs "+want) || images.KindOf(err) != images.Internal {
			t.Errorf("got %v, want an internal error that names %s", err, want)
		}
	}
}
