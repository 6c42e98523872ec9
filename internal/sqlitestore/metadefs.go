package sqlitestore

import (
	"bytes"
	"context"

	"bullion/internal/images"
	"bullion/internal/metadefs"
)

var _ metadefs.Store = (*Store)(nil)

// Namespace returns the document of a namespace and its version.
func (s *Store) Namespace(ctx context.Context, name string) (document []byte, version int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		found, err := c.one(func(r *rows) {
			version, document = r.ColumnInt64(0), bytes.Clone(r.ColumnRawText(1))
		}, "SELECT version, document FROM metadefs WHERE name = ?", name)
		if err == nil && !found {
			err = errNoNamespace(name)
		}
		return err
	})
	return document, version, err
}

// Namespaces returns documents in the order of names.
func (s *Store) Namespaces(ctx context.Context, after string, limit int) (documents [][]byte, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.all(func(r *rows) error {
			documents = append(documents, bytes.Clone(r.ColumnRawText(0)))
			return nil
		}, "SELECT document FROM metadefs WHERE name > ? ORDER BY name LIMIT ?", after, limit)
	})
	return documents, err
}

// PutNamespace writes a document if the name has the version; 0 wants a name that is free.
func (s *Store) PutNamespace(ctx context.Context, name string, version int64, document []byte) error {
	text := string(document)
	return s.apply(ctx, func(c *conn) error {
		have, err := namespaceVersion(c, name)
		switch {
		case err != nil:
			return err
		case version == 0 && have != 0:
			return images.Errorf(images.Conflict, "There is a namespace %.80q already.", name)
		case have != version:
			return images.ErrStale
		}
		return c.exec("INSERT INTO metadefs (name, version, document) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET version = ?2, document = ?3",
			name, version+1, text)
	})
}

// DeleteNamespace removes a document if it has the version.
func (s *Store) DeleteNamespace(ctx context.Context, name string, version int64) error {
	return s.apply(ctx, func(c *conn) error {
		have, err := namespaceVersion(c, name)
		switch {
		case err != nil:
			return err
		case have == 0:
			return errNoNamespace(name)
		case have != version:
			return images.ErrStale
		}
		return c.exec("DELETE FROM metadefs WHERE name = ?", name)
	})
}

// namespaceVersion is 0 when there is none of the name.
func namespaceVersion(c *conn, name string) (version int64, err error) {
	_, err = c.one(func(r *rows) { version = r.ColumnInt64(0) }, "SELECT version FROM metadefs WHERE name = ?", name)
	return version, err
}

func errNoNamespace(name string) error {
	return images.Errorf(images.NotFound, "No namespace %.80q was found.", name)
}
