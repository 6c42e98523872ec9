package sqlitestore

import (
	"path/filepath"
	"testing"

	"bullion/internal/images"
	"bullion/internal/images/storetest"
)

func open1(t testing.TB, options ...Option) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "bullion.db"), options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func again(t *testing.T, first images.Store) images.Store {
	t.Helper()
	s, err := Open(t.Context(), first.(*Store).path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.RunWith(t, func(t *testing.T) images.Store { return open1(t) }, storetest.Options{Second: again, Records: 3000})
}
