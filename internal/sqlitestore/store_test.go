package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

func openNew(t testing.TB, options ...Option) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "bullion.db"), options...)
}

func openAt(t testing.TB, path string, options ...Option) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closeAtEnd closes the store when the test ends.
func closeAtEnd(t testing.TB, s *Store) *Store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func generator() storetest.Generator {
	return storetest.Generator{Rand: rand.New(rand.NewPCG(1, 2))}
}

func again(t *testing.T, first images.Store) images.Store {
	t.Helper()
	return openAt(t, first.(*Store).path)
}

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.RunWith(t, func(t *testing.T) images.Store { return openNew(t) }, storetest.Options{Second: again, Records: manyRecords, Queries: queries})
}

// The limits that matter in large tables are made so small that they matter in the suite's: walks that stop, short pages, everything that is
// too large to be sorted.
func TestStoreKeepsTheContractWhenPagesAreShort(t *testing.T) {
	for _, l := range []limits{{walk: 1, few: 0, sort: 0}, {walk: 40, few: 3, sort: 10}} {
		t.Run(fmt.Sprintf("%+v", l), func(t *testing.T) {
			short := func(s *Store) { s.limits = l }
			storetest.RunWith(t, func(t *testing.T) images.Store { return openNew(t, short) }, storetest.Options{Records: 300, Queries: queries / 3, Writers: 4})
		})
	}
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bullion.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // as an earlier program may have left it
		t.Fatal(err)
	}
	s := closeAtEnd(t, openAt(t, path))
	if err := s.SetSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", filepath.Base(name), got)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := func(name, text string) string {
		path := filepath.Join(dir, name)
		s := openAt(t, path)
		if err := s.apply(t.Context(), func(c *conn) error { return c.Exec(text) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ name, path, want string }{
		{"an empty path", "", "is empty; give a file name"},
		{"a folder that does not exist", filepath.Join(dir, "no", "bullion.db"), "does not exist; create it"},
		{"a file in the place of the folder", filepath.Join(write("file", ""), "bullion.db"), "not a"},
		{"a folder in the place of the file", dir, "is a directory"},
		{"a file that is no database", write("text", strings.Repeat("not a database ", 100)), "is not a database, or is damaged"},
		{"a newer schema", foreign("newer.db", "PRAGMA user_version = 99"), "written by a newer version (schema 99"},
		{"the database of another program", foreign("other.db", "PRAGMA application_id = 7"), "the database of another program; choose another file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Open(t.Context(), test.path)
			if err == nil {
				t.Fatalf("got a store, want an error (closing it: %v)", s.Close())
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
		})
	}
}

func TestOpenTakesAnyFileName(t *testing.T) {
	for _, name := range []string{"with space.db", "50%25?mode=memory#x.db", "ünï&code.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := openAt(t, path)
		if err := errors.Join(s.SetSetting(t.Context(), "name", name), s.Close()); err != nil {
			t.Fatal(err)
		}
		s = closeAtEnd(t, openAt(t, path))
		if got, err := s.Setting(t.Context(), "name"); err != nil || got != name {
			t.Errorf("%s: got %q and error %v after opening it again", name, got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s is not where it was asked for: %v", name, err)
		}
	}
}

func TestCloseLeavesOneFileAndEndsEveryCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bullion.db")
	s := openAt(t, path)
	i := generator().Plain("alpha", 0)
	if err := s.Apply(t.Context(), images.Write{Is: i}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after Close: %v, want that it does not exist", suffix, err)
		}
	}
	if _, err := s.Image(context.Background(), i.ID); images.KindOf(err) != images.Unavailable {
		t.Errorf("Image after Close: got error %v, want Unavailable", err)
	}
	if err := s.Apply(context.Background(), images.Write{Was: i, Is: i.Clone()}); images.KindOf(err) != images.Unavailable {
		t.Errorf("Apply after Close: got error %v, want Unavailable", err)
	}
}

func TestAWriteThatFailsHalfWayDoesNotHurtItsBatch(t *testing.T) {
	s := closeAtEnd(t, openNew(t))
	ctx := t.Context()
	broken := errors.New("half way")
	bad, good := make(chan error, 1), make(chan error, 1)
	set := func(key string, fail error) func(*conn) error {
		return func(c *conn) error {
			return errors.Join(c.exec("INSERT INTO settings (key, value) VALUES (?, 'x')", key), fail)
		}
	}
	batch := []*write{{ctx: ctx, do: set("bad", broken), done: bad}, {ctx: ctx, do: set("good", nil), done: good}}
	if err := s.apply(ctx, func(c *conn) error {
		// In the writer's goroutine the batch can be run as the writer would, once this transaction has ended.
		if err := c.exec("COMMIT"); err != nil {
			return err
		}
		commit(c, batch)
		return c.exec("BEGIN")
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-bad; !errors.Is(err, broken) {
		t.Errorf("the write that fails: got error %v, want its own", err)
	}
	if err := <-good; err != nil {
		t.Errorf("the other write: got error %v, want none", err)
	}
	for key, want := range map[string]string{"bad": "", "good": "x"} {
		if got, err := s.Setting(ctx, key); err != nil || got != want {
			t.Errorf("%s: got %q and error %v, want %q", key, got, err, want)
		}
	}
}
