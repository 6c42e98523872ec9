package diskimage

import (
	"errors"
	"fmt"
)

// Rejection says why an image is refused. It is the image's fault: the same bytes are refused again.
type Rejection struct {
	Code    string `json:"code"`    // stable, one of the Code constants
	Message string `json:"message"` // one sentence: what is wrong and where
	Hint    string `json:"hint"`    // one sentence: what to do
}

func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// The codes of rejections. They are part of the API: programs compare them, so they never change.
const (
	CodeFormatMismatch    = "format_mismatch"     // the bytes are of another disk_format than declared
	CodeContainerMismatch = "container_mismatch"  // the bytes are of another container_format than declared
	CodeUnsupported       = "unsupported_format"  // a disk format that no disk_format names, such as QED
	CodeSubformat         = "unsupported_subtype" // a kind of a supported format that is not allowed, such as a VMDK of several files
	CodeBackingFile       = "backing_file"        // qcow2: refers to another file for its contents
	CodeExternalData      = "external_data_file"  // qcow2: keeps its contents in another file
	CodeParent            = "parent"              // vmdk, vhd, vhdx, vdi: differs from a parent disk
	CodeExtent            = "external_extent"     // vmdk: keeps its contents in another file
	CodeOutsideArchive    = "outside_archive"     // ova: refers to a file that is not in the archive
	CodeEncrypted         = "encrypted"           // the contents cannot be checked
	CodeCorrupt           = "corrupt"             // marked as damaged by its own software, or tables that contradict each other
	CodeChecksum          = "checksum"            // a checksum inside the file does not match
	CodeUnclean           = "unclean"             // a journal or log has to be replayed first
	CodeUnknownFeature    = "unknown_feature"     // needs a feature that this service does not know
	CodeMalformed         = "malformed"           // a field of a header is out of range
	CodeTruncated         = "truncated"           // the file ends before what it describes
	CodeTooLarge          = "virtual_size"        // the disk inside is larger than the policy allows, or has no size
	CodePolyglot          = "polyglot"            // the bytes are valid in more than one format
	CodeNested            = "nested_format"       // the disk inside is itself a disk image
	CodeCompressed        = "compressed"          // a compressed file or archive where a disk is declared
	CodeNotADisk          = "not_a_disk"          // a web page or other text
	CodePartitions        = "partition_table"     // a partition table that contradicts itself
	CodeOVF               = "ovf"                 // ova: the description or the archive breaks the rules
	CodeNotBootable       = "not_bootable"        // nothing in it can start a machine, and the policy requires that
	CodeBudget            = "budget_exceeded"     // checking it would need more reading than the policy allows
	CodeUnreadable        = "unreadable"          // a defect of this service, found by this image
)

// The codes that only warnings have. They never change either.
const (
	CodeNotInspected = "not_inspected"    // some of the contents were not looked at
	CodeUnknown      = "unknown_contents" // nothing in it is known here
	CodeEmpty        = "empty"            // there are no bytes
	CodeLoader       = "loader_mismatch"  // a boot loader is not for the machine that its name says
)

// Warning is a fault that is not a reason to refuse the image.
type Warning struct {
	Code    string `json:"code"`    // stable, one of the Code constants
	Message string `json:"message"` // one sentence: what is wrong and where
	Hint    string `json:"hint"`    // one sentence: what to do, "" when there is nothing to do
}

// reachesOutside says whether a code stands for an image that could make a host read something else than the image.
// Such images are refused in every mode.
func reachesOutside(code string) bool {
	switch code {
	case CodeBackingFile, CodeExternalData, CodeParent, CodeExtent, CodeOutsideArchive, CodePolyglot, CodeNested, CodeBudget, CodeUnreadable:
		return true
	}
	return false
}

// reject makes a rejection; the message is a format with its arguments.
func reject(code, hint, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// asRejection returns the rejection in err, or nil when err is of the reader.
func asRejection(err error) *Rejection {
	var r *Rejection
	if errors.As(err, &r) {
		return r
	}
	return nil
}

const (
	hintAgain   = "Make the image again with a current version of qemu-img, then upload it again."
	hintWhole   = "Compare the size and checksum of your file with those of its source, then upload the whole file again."
	hintFlatten = "Make an image that stands alone: qemu-img convert -O qcow2 SOURCE NEW.qcow2, then upload NEW.qcow2."
)
