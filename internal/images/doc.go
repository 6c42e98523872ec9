// Package images is the service: what an image is, what can happen to it, who may see it and do what. It knows nothing of HTTP, AWS or SQL
// and imports the standard library alone.
//
// Where to look:
//
//	image.go       the record: Image, Member, Blob, Status, Visibility
//	upload.go      Upload, its Validation and Rejection; Import
//	lease.go       whose work an examination or an import is, and what becomes of it when its worker dies
//	transition.go  the life of an image: one table of steps with their guards
//	visible.go     who may see an image, and what belongs in a list: the only place that decides
//	query.go       filters and order of lists
//	attributes.go  which attributes clients may set, and to what; patch.go applies changes
//	service*.go    the operations of a caller, by noun
//	store.go       the contract of records (package storetest proves it)
//	blobs.go       the contract of bytes
//	errors.go      the kinds of error that a caller may learn about
//
// Three rules hold everywhere. Every write is a compare-and-swap on the record's version, made by Change. An image is one record,
// with its current upload inside, so that no step needs two writes to agree. What storage says (events, listings) is a hint: the record and the bucket
// are read again before anything is decided.
package images
