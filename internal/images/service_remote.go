package images

import (
	"context"
	"slices"
	"strings"
)

// GlanceDownload is the method of an import from another Images API, in Glance's words.
const GlanceDownload = "glance-download"

// remoteProperties begin the names of the properties that come along with an image of another Images API: what a machine needs to start from it. They are
// Glance's own choice (glance_download_properties.extra_properties); what else was written on the image stays with who wrote it.
var remoteProperties = []string{"hw_", "trait:", "os_distro", "os_secure_boot", "os_type"}

// StartRemoteImport has the service fetch an image from another Images API. Whether that is configured, and has the image, is found out by who fetches, as in Glance: the
// image tells how it ends.
func (s *Service) StartRemoteImport(ctx context.Context, c Caller, id string, r ImportRequest) (*Image, error) {
	i, err := s.allowed(ctx, c, id, "upload_image", "modify_image")
	if err != nil {
		return nil, err
	}
	switch {
	case !s.FromRegions:
		return nil, Errorf(Invalid, "This service does not fetch images from other regions; upload the file instead.")
	case r.Region == "":
		return nil, Errorf(Invalid, "method.glance_region must be the name of the region that has the image.")
	case !validUUID(r.RemoteImage):
		return nil, Errorf(Invalid, "method.glance_image_id: the image id does not look like a UUID.")
	}
	return s.beginFetch(ctx, c, i, r)
}

// RemoteImage is what another Images API says of an image.
type RemoteImage struct {
	DiskFormat, ContainerFormat string
	SHA512                      string            // of its bytes, in hexadecimal digits; "" when it does not say
	Properties                  map[string]string // all that it has
}

// AdoptRemote takes over from an image of another Images API what belongs to its bytes: the formats, the properties that machines need, and the hash that the bytes must
// have.
func (s *Service) AdoptRemote(ctx context.Context, imageID, holder string, remote RemoteImage) (*Image, error) {
	return s.holding(ctx, imageID, holder, func(i *Image, m *Import) error {
		if !slices.Contains(DiskFormats, remote.DiskFormat) || !slices.Contains(ContainerFormats, remote.ContainerFormat) {
			return Errorf(Invalid, "The image has disk_format %.40q and container_format %.40q in its region, which are not taken here.", remote.DiskFormat, remote.ContainerFormat)
		}
		i.DiskFormat, i.ContainerFormat = remote.DiskFormat, remote.ContainerFormat
		for name, value := range remote.Properties {
			if !slices.ContainsFunc(remoteProperties, func(p string) bool { return strings.HasPrefix(name, p) }) {
				continue
			}
			if err := i.set(name, value); err != nil {
				return err
			}
		}
		if isHex(remote.SHA512, 128) {
			m.Checksum = "sha512:" + remote.SHA512
		}
		return i.checkSize()
	})
}
