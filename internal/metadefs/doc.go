// Package metadefs keeps definitions of metadata: which properties exist, what they mean and which values they take, in namespaces. Dashboards offer them when
// someone describes an image; nothing is enforced.
//
// The namespaces of the catalogue are part of the program and never change; administrators add their own, which a Store keeps as one document each.
package metadefs

import "context"

// Store keeps namespaces, each as one document under its name. Its errors are of package images: NotFound, Conflict for a name that is taken, and
// images.ErrStale when the document changed since it was read.
type Store interface {
	// Namespace returns the document of a name and its version.
	Namespace(ctx context.Context, name string) (document []byte, version int64, err error)
	// Namespaces returns up to limit documents in the order of names, those behind the name after.
	Namespaces(ctx context.Context, after string, limit int) (documents [][]byte, err error)
	// PutNamespace writes a document whose version was the given one, 0 for a new name.
	PutNamespace(ctx context.Context, name string, version int64, document []byte) error
	// DeleteNamespace removes the document if it has the version.
	DeleteNamespace(ctx context.Context, name string, version int64) error
}
