package main

import (
	"bytes"
	"encoding/json"
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
		if _, err := fmt.Sscanf(counts, "%d/%d", &hashed, &total); err == nil && (phase == "hash" || phase == "fetch") && total > 0 {
			if phase == "fetch" {
				return fmt.Sprintf("%s (fetched %d%%)", i.Status, 100*hashed/total)
			}
			return fmt.Sprintf("%s (%d%%)", i.Status, 100*hashed/total)
		}
	case glance.StatusQueued:
		switch i.Properties["bullion_upload_state"] {
		case glance.UploadOpen:
			return i.Status + " (upload open)"
		case glance.UploadRejected:
			return i.Status + " (rejected)"
		}
		if i.Properties["bullion_import_failure"] != "" {
			return i.Status + " (import failed)"
		}
	}
	return i.Status
}

// showImage prints one image.
func (a *app) showImage(i *glance.Image) error { return a.show(imageRecord(i), i.ID, i) }

// verdictRecord is what the examination of an image's bytes found.
func verdictRecord(v *glance.Verdict) record {
	if v == nil || v.Report == nil {
		return nil
	}
	r := record{{"bootable", v.Report.Bootable}, {"evidence", sentences(v.Report.Evidence)}}
	warnings := []string{}
	for _, w := range v.Report.Warnings {
		warnings = append(warnings, strings.TrimSpace(w.Code+": "+w.Message+" "+w.Hint))
	}
	return append(r, field{"warnings", sentences(warnings)})
}

func sentences(list []string) both { return both{list, strings.Join(list, " ")} }

// examined is an image document with the verdict on its bytes in bullion_validation.
type examined struct {
	*glance.Image
	verdict *glance.Verdict
}

// MarshalJSON adds the verdict, if there is one, to the document that the service sent.
func (e examined) MarshalJSON() ([]byte, error) {
	doc, err := e.Image.MarshalJSON()
	if err != nil || e.verdict == nil {
		return doc, err
	}
	verdict, err := json.Marshal(e.verdict)
	if err != nil {
		return nil, err
	}
	doc = bytes.TrimSuffix(bytes.TrimSpace(doc), []byte("}"))
	return slices.Concat(doc, []byte(`,"bullion_validation":`), verdict, []byte("}")), nil
}

// named is how messages call an image.
func named(i *glance.Image) string {
	if i.Name == "" {
		return i.ID
	}
	return fmt.Sprintf("%s (%s)", i.Name, i.ID)
}
