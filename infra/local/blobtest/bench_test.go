package blobtest

import (
	"fmt"
	"io"
	"testing"

	"bullion/internal/s3store"
)

// BenchmarkPut streams 1 GiB into the engine, which runs in the same process and hashes what it gets.
//
//	go test -C infra/local -run '^$' -bench Put -benchtime 3x ./blobtest
func BenchmarkPut(b *testing.B) {
	const size = 1 << 30
	for _, buffers := range []int{1, 2, 3, 4} {
		for name, declared := range map[string]int64{"known length": size, "unknown length": -1} {
			b.Run(fmt.Sprintf("%d buffers, %s", buffers, name), func(b *testing.B) {
				store := open(b, endpoint, s3store.Options{Buffers: buffers})
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := store.Put(b.Context(), key, io.LimitReader(&endless{block: noise(1 << 20)}, size), declared); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					if err := store.Delete(b.Context(), key); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}

// endless gives the same block over and over.
type endless struct {
	block []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block[e.at:])
	e.at = (e.at + n) % len(e.block)
	return n, nil
}
