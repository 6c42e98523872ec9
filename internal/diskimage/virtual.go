package diskimage

import "io"

// newVirtual returns the span of the disk that r maps. It is read in pages, so that parsers of partitions and file systems may make small
// reads, within a budget of its own.
func newVirtual(r io.ReaderAt, size int64) span {
	return span{NewCache(r, size, Budget{PageSize: 64 << 10, Pages: 64, Bytes: 32 << 20, Requests: 1024}), 0, size, "virtual disk"}
}
