package images

// Limits of S3 and of the service for the parts of an upload.
const (
	MaxImageSize  = 1 << 40  // bytes: Glance's default image_size_cap; S3 itself ends at 5 TiB
	MaxParts      = 10_000   // of S3
	MinPartSize   = 5 << 20  // of S3, for every part but the last
	MaxPutSize    = 5 << 30  // of S3, for a single PUT and for a part
	partSizeUnit  = 1 << 20  // part sizes are whole MiB
	preferredPart = 16 << 20 // small enough to retry, large enough to be fast
)

// PlanParts divides size bytes into equal parts; only the last may be smaller. It keeps the
// preferred part size of 16 MiB until there would be more than maxParts parts, and grows it from there.
//
// For 0 < size ≤ MaxImageSize and 205 ≤ maxParts ≤ MaxParts: MinPartSize ≤ partSize ≤ MaxPutSize unless there is one part only,
// parts ≤ maxParts, and (parts-1)·partSize < size ≤ parts·partSize. With fewer than 205 parts the largest image would need
// parts above MaxPutSize.
func PlanParts(size int64, maxParts int) (partSize int64, parts int) {
	partSize = preferredPart
	if least := ceilDiv(size, int64(maxParts)); least > partSize {
		partSize = ceilDiv(least, partSizeUnit) * partSizeUnit
	}
	return partSize, int(ceilDiv(size, partSize))
}

// PartLength is the number of bytes in part n, counted from 1.
func (u *Upload) PartLength(n int) int64 {
	if n < u.Parts {
		return u.PartSize
	}
	return u.Size - int64(u.Parts-1)*u.PartSize
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
