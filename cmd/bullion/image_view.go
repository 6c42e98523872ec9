package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bullion/cmd/bullion/internal/glance"
)

// imageColumns are those of the table of images; longColumns those that --long adds.
var (
	imageColumns = []string{"id", "name", "status", "disk_format", "size", "visibility", "created_at"}
	longColumns  = append(slices.Clone(imageColumns), "owner", "protected", "virtual_size", "min_disk", "min_ram", "tags", "os_hash_value")
)

// imageRecord is everything about an image: what people ask for first, then its custom properties by name.
func imageRecord(i *glance.Image) record {
	r := record{
		{"id", i.ID},
		{"name", i.Name},
		{"status", both{i.Status, liveStatus(i)}},
		{"disk_format", i.DiskFormat},
		{"container_format", i.ContainerFormat},
		{"size", bytesOf(i.Size)},
		{"virtual_size", bytesOf(i.VirtualSize)},
		{"min_disk", both{i.MinDisk, fmt.Sprintf("%d GiB", i.MinDisk)}},
		{"min_ram", both{i.MinRAM, fmt.Sprintf("%d MiB", i.MinRAM)}},
		{"visibility", i.Visibility},
		{"owner", i.Owner},
		{"protected", i.Protected},
		{"os_hidden", i.Hidden},
		{"tags", i.Tags},
		{"checksum", i.Checksum},
		{"os_hash_algo", i.HashAlgo},
		{"os_hash_value", i.HashValue},
		{"created_at", i.CreatedAt},
		{"updated_at", i.UpdatedAt},
	}
	for _, name := range slices.Sorted(maps.Keys(i.Properties)) {
		r = append(r, field{name, i.Properties[name]})
	}
	return r
}

// liveStatus is the status with what its upload is doing.
func liveStatus(i *glance.Image) string {
	switch i.Status {
	case glance.StatusImporting:
		phase, counts, _ := strings.Cut(i.Properties["bullion_progress"], " ")
		var hashed, total int64
		if _, err := fmt.Sscanf(counts, "%d/%d", &hashed, &total); err == nil && phase == "hash" && total > 0 {
			return fmt.Sprintf("%s (%d%%)", i.Status, 100*hashed/total)
		}
	case glance.StatusQueued:
		switch i.Properties["bullion_upload_state"] {
		case glance.UploadOpen:
			return i.Status + " (upload open)"
		case glance.UploadRejected:
			return i.Status + " (rejected)"
		}
	}
	return i.Status
}

// showImage prints one image.
func (a *app) showImage(i *glance.Image) error { return a.show(imageRecord(i), i.ID, i) }

// named is how messages call an image.
func named(i *glance.Image) string {
	if i.Name == "" {
		return i.ID
	}
	return fmt.Sprintf("%s (%s)", i.Name, i.ID)
}
