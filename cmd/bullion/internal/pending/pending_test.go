package pending

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func upload(id string, age time.Duration) Upload {
	return Upload{ID: id, ImageID: "image-" + id, ImageName: "debian", Endpoint: "http://127.0.0.1:9292/", Path: "/images/" + id, Size: 1 << 30,
		ModTime: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(-age)}
}

func TestWhatIsSavedIsListedUntilItIsForgotten(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "new", "uploads"))
	if list, err := dir.List(); len(list) != 0 || err != nil {
		t.Fatalf("a folder that is not there lists %v, %v", list, err)
	}
	young, old := upload("b", time.Hour), upload("a", 2*time.Hour)
	for _, u := range []Upload{young, old, young} {
		if err := dir.Save(u); err != nil {
			t.Fatal(err)
		}
	}
	list, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Upload{old, young}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := dir.Forget("a"); err != nil {
			t.Fatal(err)
		}
	}
	if list, err = dir.List(); err != nil || len(list) != 1 {
		t.Errorf("after one is forgotten: %v, %v", list, err)
	}
	if left, err := os.ReadDir(string(dir)); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want the one file", left, err)
	}
}

func TestWhatIsSavedIsPrivate(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "uploads"))
	if err := dir.Save(upload("a", 0)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{string(dir): 0o700 | os.ModeDir, filepath.Join(string(dir), "a.json"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v: %v", path, info.Mode(), want, err)
		}
	}
}

func TestFilesThatAreNoUploadsAreNamed(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := dir.Save(upload("good", 0)); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"torn.json": `{"id":"torn"`, "other.json": `{"id":"somebody-else","image_id":"x","path":"y"}`, "note.txt": "mine"} {
		if err := os.WriteFile(filepath.Join(string(dir), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := dir.List()
	if len(list) != 1 {
		t.Errorf("list %v, want the good one", list)
	}
	for _, name := range []string{"torn.json", "other.json"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
}

func TestAnIDIsNoPath(t *testing.T) {
	dir := Dir(t.TempDir())
	for _, id := range []string{"", "..", "../x", "a/b", ".hidden"} {
		if err := dir.Save(upload(id, 0)); err == nil {
			t.Errorf("an upload with the id %q was saved", id)
		}
		if err := dir.Forget(id); err == nil {
			t.Errorf("an upload with the id %q was forgotten", id)
		}
	}
}

func TestTheFolderIsWhereTheUserKeepsState(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	for state, want := range map[string]Dir{"": "/home/ada/.local/state/bullion/uploads", "/state": "/state/bullion/uploads", "relative": "/home/ada/.local/state/bullion/uploads"} {
		if got, err := Default(func(string) string { return state }); got != want || err != nil {
			t.Errorf("with XDG_STATE_HOME=%q it is %q, want %q: %v", state, got, want, err)
		}
	}
}
