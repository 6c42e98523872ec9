package images

import (
	"context"
	"strings"
)

// Bytes that are not ours are never an image's: they could change after they were validated. So a location that a caller adds is a source: the file is fetched, kept and
// validated, and the location that the image then has is ours (docs/decisions/0012-locations.md).

// LocationImport is the method of an import that AddLocation began. The file is the image, byte for byte: it is not unpacked.
const LocationImport = "location_import"

// AddLocation has the service fetch the bytes of a queued image from where r.URI says that they are. r.Checksum is what they must have, "" for anything. It
// returns when the work is taken up; the image tells how it goes and how it ends.
func (s *Service) AddLocation(ctx context.Context, c Caller, id string, r ImportRequest) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "add_image_location")
	if err != nil {
		return nil, err
	}
	scheme, _, _ := strings.Cut(strings.ToLower(r.URI), ":")
	switch {
	case i.Status != StatusQueued:
		return nil, Errorf(Conflict, "Image %s is %s; only an image that is queued takes a location.", id, i.Status)
	case s.CheckSource == nil: // as Glance without its http store
		return nil, Errorf(Forbidden, "This service does not fetch images, so it takes no locations; upload the file instead.")
	case scheme != "http" && scheme != "https":
		return nil, Errorf(Forbidden, "A location is an http or https address, not %.20q: the service fetches the file and keeps it.", scheme)
	}
	if err := s.CheckSource(r.URI); err != nil {
		return nil, Wrap(Invalid, err, "url: %s", err)
	}
	if r.Checksum = strings.ToLower(r.Checksum); r.Checksum != "" && !validChecksum(r.Checksum) {
		return nil, Errorf(Invalid, "validation_data.os_hash_value must be the hexadecimal digits of a hash of the kind os_hash_algo: md5, sha1, sha256 or sha512.")
	}
	r.Method = LocationImport
	return s.beginFetch(ctx, c, i, r)
}

// Location signs a request for the bytes of an image, for another service of the cloud. The error is ErrNoData when there are none yet.
func (s *Service) Location(ctx context.Context, c Caller, id string) (SignedRequest, error) {
	i, err := s.allowed(ctx, c, id, "fetch_image_location")
	if err != nil {
		return SignedRequest{}, err
	}
	switch {
	case i.Status == StatusDeactivated && !s.Policy.SeesAll(c):
		return SignedRequest{}, Errorf(Forbidden, "Image %s is deactivated; only an administrator sees its locations.", id)
	case i.Blob == nil:
		return SignedRequest{}, ErrNoData
	}
	return s.Blobs.PresignGet(ctx, *i.Blob, filename(i), s.Limits.URLLife)
}
