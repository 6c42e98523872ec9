package sqlitestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bullion/internal/images"
)

func TestBackupIsWholeWhileOthersWrite(t *testing.T) {
	s, g := closeAtEnd(t, openNew(t)), generator()
	before := g.Plain("alpha", 0)
	if err := s.Apply(t.Context(), images.Write{Is: before}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	var failed error
	others.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
				failed = errors.Join(failed, s.Apply(t.Context(), images.Write{Is: g.Plain("alpha", n)}))
			}
		}
	})
	path := filepath.Join(t.TempDir(), "backup.db")
	err := s.Backup(t.Context(), path)
	close(stop)
	others.Wait()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: got %v and error %v, want mode 600", info, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder of the backup: got %v and error %v, want the backup alone", entries, err)
	}
	copied := closeAtEnd(t, openAt(t, path))
	if _, err := copied.Image(t.Context(), before.ID); err != nil {
		t.Errorf("the record that was there before: %v", err)
	}
	checkWhole(t, copied)
}

func TestBackupOverwritesNothingAndLeavesNothingWhenItFails(t *testing.T) {
	s := closeAtEnd(t, openNew(t))
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), path); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("over a file: got error %v, want that it exists already", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file: got %q and error %v, want it as it was", text, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(ctx, other); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v, want context.Canceled", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(other)); err != nil || len(entries) != 0 {
		t.Errorf("after a failure: got %v and error %v, want nothing", entries, err)
	}
}

// checkWhole checks the database inside and out: its structure, and what it keeps twice.
func checkWhole(t *testing.T, s *Store) {
	t.Helper()
	for name, text := range map[string]string{
		"integrity":       "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
		"foreign keys":    "SELECT \"table\" || ' ' || rowid FROM pragma_foreign_key_check",
		"usage":           "SELECT project FROM usage u WHERE (u.images, u.bytes, u.in_flight, u.uploads) IS NOT (SELECT count(*), sum(bytes), sum(in_flight), sum(uploads) FROM images WHERE owner = u.project)",
		"usage, missing":  "SELECT owner FROM images WHERE owner NOT IN (SELECT project FROM usage)",
		"member shelves":  "SELECT i.id FROM members m JOIN images i ON i.n = m.image WHERE m.image_id <> i.id OR m.image_created_at <> i.created_at OR m.shelf <> CASE i.visibility WHEN 'shared' THEN i.shelf ELSE -1 END",
		"columns":         "SELECT id FROM images WHERE record ->> 'name' IS NOT nullif(name, '') OR record ->> 'version' <> version OR record ->> 'status' <> status OR record ->> 'owner' <> owner",
		"ids that return": "SELECT id FROM images WHERE id IN (SELECT id FROM tombstones)",
	} {
		err := s.read(t.Context(), func(c *conn) error {
			return c.all(func(r *rows) error { t.Errorf("%s: %s", name, r.ColumnText(0)); return nil }, text)
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
