package validation

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"bullion/internal/images"
)

const (
	chunkSize = 8 << 20 // bytes of one ranged read
	ahead     = 4       // ranged reads under way at once

	// saveEvery is how often the state is saved while the lease is far from its end: people watch the progress.
	saveEvery = 5 * time.Second
)

// digests are the hashes of the whole object: those that the host knows, or those of one pass over it.
func (r *run) digests(ctx context.Context, i *images.Image, b images.Blob) (images.Digests, error) {
	if r.known != nil {
		return *r.known, nil
	}
	if r.Digests != nil {
		stop := r.keepAlive(ctx, i.Upload.Validation)
		d, ok, err := r.Digests(ctx, b)
		stop()
		if err != nil || ok {
			return d, err
		}
	}
	h := images.NewHashes()
	if v := i.Upload.Validation; v.Hashed > 0 {
		if err := h.Restore(v.HashState); err != nil {
			return images.Digests{}, fmt.Errorf("state of the hashes of upload %s: %w", r.uploadID, err)
		}
	}
	return r.hash(ctx, h, b)
}

// keepAlive extends the lease while something else works, until it is told to stop.
func (r *run) keepAlive(ctx context.Context, v *images.Validation) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(r.lease / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// An error is met again by whoever accepts or rejects.
			_ = r.Images.Progress(ctx, r.imageID, r.uploadID, r.holder, r.lease, images.PhaseHash, v.Hashed, v.HashState)
		}
	})
	return func() { cancel(); done.Wait() }
}

// hash reads what is not hashed yet, several ranges ahead, and saves the state from time to time.
func (r *run) hash(ctx context.Context, h *images.Hashes, b images.Blob) (images.Digests, error) {
	ctx, cancel := context.WithCancel(ctx)
	chunks := r.prefetch(ctx, b, h.Len())
	defer func() {
		cancel()
		for range chunks { // lets the reader end
		}
	}()
	saved := r.Now()
	for pending := range chunks {
		c := <-pending
		if c.err != nil {
			return images.Digests{}, c.err
		}
		h.Write(c.data)
		buffers.Put(&c.data)
		stop := r.timeIsUp(ctx)
		if !stop && h.Len() < b.Size && r.Now().Sub(saved) < min(saveEvery, r.lease/4) {
			continue
		}
		if h.Len() == b.Size {
			break
		}
		saved = r.Now()
		if err := r.Images.Progress(ctx, r.imageID, r.uploadID, r.holder, r.lease, images.PhaseHash, h.Len(), h.State()); err != nil {
			return images.Digests{}, err
		}
		if stop {
			return images.Digests{}, ErrContinue
		}
	}
	if err := ctx.Err(); err != nil {
		return images.Digests{}, err
	}
	return h.Sums(), nil
}

func (r *run) timeIsUp(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < cmp.Or(r.Margin, 20*time.Second)
}

type chunk struct {
	data []byte
	err  error
}

var buffers = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// prefetch reads the object from off in order; the channel holds the reads that are under way.
func (r *run) prefetch(ctx context.Context, b images.Blob, off int64) <-chan (<-chan chunk) {
	chunks := make(chan (<-chan chunk), ahead-2) // one more is being sent, one more is being hashed
	go func() {
		defer close(chunks)
		source := &object{ctx, r.Images.Blobs, b}
		for ; off < b.Size; off += chunkSize {
			result := make(chan chunk, 1)
			at, n := off, min(chunkSize, b.Size-off)
			go func() {
				data := (*buffers.Get().(*[]byte))[:n]
				_, err := source.ReadAt(data, at)
				result <- chunk{data, err}
			}()
			select {
			case chunks <- result:
			case <-ctx.Done():
				return
			}
		}
	}()
	return chunks
}
