// Package metadefstest is the contract of metadefs.Store as a test: every implementation passes it.
package metadefstest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bullion/internal/images"
	"bullion/internal/metadefs"
)

// Run proves a store; open makes a new one that is empty.
func Run(t *testing.T, open func(*testing.T) metadefs.Store) {
	t.Run("a namespace is kept, changed and removed", func(t *testing.T) { life(t, open(t)) })
	t.Run("a write wants the version that was read", func(t *testing.T) { versions(t, open(t)) })
	t.Run("lists are in the order of names and go on behind one", func(t *testing.T) { lists(t, open(t)) })
	t.Run("a document has the size that the service allows", func(t *testing.T) { size(t, open(t)) })
	t.Run("of writers at once one wins", func(t *testing.T) { race(t, open(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, s metadefs.Store, name, document string, version int64) {
	t.Helper()
	got, v, err := s.Namespace(t.Context(), name)
	must(t, err)
	if string(got) != document || v != version {
		t.Errorf("%s: got %.60q in version %d, want %.60q in version %d", name, got, v, document, version)
	}
}

func kind(t *testing.T, err error, want images.Kind) {
	t.Helper()
	if err == nil || images.KindOf(err) != want {
		t.Errorf("got the error %v, want one of kind %v", err, want)
	}
}

func life(t *testing.T, s metadefs.Store) {
	_, _, err := s.Namespace(t.Context(), "OS::A")
	kind(t, err, images.NotFound)
	must(t, s.PutNamespace(t.Context(), "OS::A", 0, []byte(`{"a":"é\u0000"}`)))
	is(t, s, "OS::A", `{"a":"é\u0000"}`, 1)
	must(t, s.PutNamespace(t.Context(), "OS::A", 1, []byte(`{}`)))
	is(t, s, "OS::A", `{}`, 2)
	must(t, s.DeleteNamespace(t.Context(), "OS::A", 2))
	_, _, err = s.Namespace(t.Context(), "OS::A")
	kind(t, err, images.NotFound)
	must(t, s.PutNamespace(t.Context(), "OS::A", 0, []byte(`{"new":true}`)))
	is(t, s, "OS::A", `{"new":true}`, 1)
}

func versions(t *testing.T, s metadefs.Store) {
	stale := func(err error) {
		t.Helper()
		if !errors.Is(err, images.ErrStale) {
			t.Errorf("got the error %v, want ErrStale", err)
		}
	}
	stale(s.PutNamespace(t.Context(), "none", 3, []byte(`{}`)))
	kind(t, s.DeleteNamespace(t.Context(), "none", 1), images.NotFound)
	must(t, s.PutNamespace(t.Context(), "one", 0, []byte(`{"v":1}`)))
	kind(t, s.PutNamespace(t.Context(), "one", 0, []byte(`{"v":2}`)), images.Conflict)
	stale(s.PutNamespace(t.Context(), "one", 2, []byte(`{"v":2}`)))
	stale(s.DeleteNamespace(t.Context(), "one", 2))
	is(t, s, "one", `{"v":1}`, 1)
}

func lists(t *testing.T, s metadefs.Store) {
	list := func(after string, limit int) []string {
		t.Helper()
		got, err := s.Namespaces(t.Context(), after, limit)
		must(t, err)
		names := []string{}
		for _, d := range got {
			names = append(names, string(d))
		}
		return names
	}
	if got := list("", 10); len(got) != 0 {
		t.Errorf("an empty store lists %v", got)
	}
	names := []string{"A", "a", "b", "b b", "bé", "\U0001f4bf"}
	for _, n := range []int{3, 0, 5, 1, 4, 2} {
		must(t, s.PutNamespace(t.Context(), names[n], 0, []byte(names[n])))
	}
	for _, test := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 100, names}, {"", 2, names[:2]}, {"a", 3, names[2:5]}, {"b a", 100, names[3:]}, {"\U0001f4bf", 100, []string{}}, {"", 6, names},
	} {
		if diff := cmp.Diff(test.want, list(test.after, test.limit)); diff != "" {
			t.Errorf("%d behind %q (-want +got):\n%s", test.limit, test.after, diff)
		}
	}
}

// size fills more than a megabyte, which is what DynamoDB gives in one answer.
func size(t *testing.T, s metadefs.Store) {
	const count = 7
	for n := range count {
		must(t, s.PutNamespace(t.Context(), fmt.Sprintf("n%d", n), 0, []byte(fmt.Sprint(n)+strings.Repeat("x", metadefs.MaxSize-1))))
	}
	got, err := s.Namespaces(t.Context(), "", 1000)
	must(t, err)
	for n, d := range got {
		if len(d) != metadefs.MaxSize || d[0] != '0'+byte(n) {
			t.Errorf("document %d has %d bytes and begins with %q", n, len(d), d[:1])
		}
	}
	if len(got) != count {
		t.Errorf("got %d documents, want %d", len(got), count)
	}
}

func race(t *testing.T, s metadefs.Store) {
	for version := range int64(3) {
		var won atomic.Int32
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				err := s.PutNamespace(t.Context(), "one", version, fmt.Append(nil, n))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, images.ErrStale) && images.KindOf(err) != images.Conflict {
					t.Errorf("got the error %v, want ErrStale or Conflict", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("version %d: %d writers won, want one", version, won.Load())
		}
	}
}
