package validation

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"sync"
	"time"

	"bullion/internal/images"
)

const (
	chunkSize = 8 << 20 // bytes of one ranged read
	ahead     = 4       // ranged reads under way at once
)

// digests are the hashes of the whole object: those that the host knows, or those of one pass over it.
func (r *run) digests(ctx context.Context, i *images.Image, b images.Blob) (images.Digests, error) {
	if r.Digests != nil {
		stop := r.keepAlive(ctx, i.Upload.Validation)
		d, ok, err := r.Digests(ctx, b)
		stop()
		if err != nil || ok {
			return d, err
		}
	}
	h := newHashes()
	if v := i.Upload.Validation; v.Hashed > 0 {
		if err := h.restore(v.HashState); err != nil {
			return images.Digests{}, fmt.Errorf("state of the hashes of upload %s: %w", r.uploadID, err)
		}
		h.done = v.Hashed
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
func (r *run) hash(ctx context.Context, h *hashes, b images.Blob) (images.Digests, error) {
	ctx, cancel := context.WithCancel(ctx)
	chunks := r.prefetch(ctx, b, h.done)
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
		h.write(c.data)
		buffers.Put(&c.data)
		stop := r.timeIsUp(ctx)
		if !stop && h.done < b.Size && r.Now().Sub(saved) < r.lease/4 {
			continue
		}
		if h.done == b.Size {
			break
		}
		saved = r.Now()
		if err := r.Images.Progress(ctx, r.imageID, r.uploadID, r.holder, r.lease, images.PhaseHash, h.done, h.state()); err != nil {
			return images.Digests{}, err
		}
		if stop {
			return images.Digests{}, ErrContinue
		}
	}
	if err := ctx.Err(); err != nil {
		return images.Digests{}, err
	}
	return h.sums(), nil
}

func (r *run) timeIsUp(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < orDefault(r.Margin, 20*time.Second)
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

// hashes are both digests of a prefix of the object.
type hashes struct {
	md5, sha512 hash.Hash
	done        int64 // bytes
}

func newHashes() *hashes { return &hashes{md5: md5.New(), sha512: sha512.New()} }

// write hashes on two goroutines, as fast as the slower hash.
func (h *hashes) write(p []byte) {
	var wg sync.WaitGroup
	wg.Go(func() { h.md5.Write(p) })
	h.sha512.Write(p)
	wg.Wait()
	h.done += int64(len(p))
}

func (h *hashes) sums() images.Digests {
	return images.Digests{MD5: hex.EncodeToString(h.md5.Sum(nil)), SHA512: hex.EncodeToString(h.sha512.Sum(nil))}
}

// hashState is how the state is saved. Go promises that later releases read what earlier ones wrote.
type hashState struct {
	MD5    []byte `json:"md5"`
	SHA512 []byte `json:"sha512"`
}

func (h *hashes) state() []byte {
	m, err1 := h.md5.(encoding.BinaryMarshaler).MarshalBinary()
	s, err2 := h.sha512.(encoding.BinaryMarshaler).MarshalBinary()
	b, err3 := json.Marshal(hashState{m, s})
	if err1 != nil || err2 != nil || err3 != nil {
		panic("the hashes of the standard library can always be saved")
	}
	return b
}

func (h *hashes) restore(state []byte) error {
	var s hashState
	if err := json.Unmarshal(state, &s); err != nil {
		return err
	}
	if err := h.md5.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.MD5); err != nil {
		return err
	}
	return h.sha512.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.SHA512)
}
