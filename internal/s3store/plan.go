package s3store

import "bullion/internal/images"

// bufferSize is the usual size of a part, and up to which an object is sent with one request.
const bufferSize = 16 << 20

// A stream that does not say how long it is cannot choose a part size that fits its length. It begins with parts of bufferSize, so that
// almost all streams are equal parts, and goes on with large ones, so that 10,000 of them hold the largest image.
const (
	usualParts = 2_000
	largePart  = 128 << 20
)

// plan says how large part n is, counted from 1, of an object of size bytes, or -1 when that is not known. first is the size of the first, which may be all there is.
func plan(size int64) (first int64, part func(n int) int64) {
	if size < 0 {
		return bufferSize, func(n int) int64 {
			if n <= usualParts {
				return bufferSize
			}
			return largePart
		}
	}
	if size < bufferSize {
		return size, nil
	}
	partSize, _ := images.PlanParts(size, images.MaxParts)
	return partSize, func(int) int64 { return partSize }
}
