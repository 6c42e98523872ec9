package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"bullion/cmd/bullion/internal/glance"
)

// rangeSize is how many bytes one request of a download asks for: large enough for the storage's first byte not to matter, small enough for a few of
// them to be held in memory.
const rangeSize = 8 << 20

// Receiver fetches the bytes of one image.
type Receiver struct {
	Content  *glance.Content
	Size     int64 // bytes of the image
	Parallel int   // ranges at once; 0 means Parallel
	Patience Patience
	Progress *Progress // may be nil
}

// Run writes the bytes from off to the end, in order. It holds one range in memory for each that travels, and one more.
func (r *Receiver) Run(ctx context.Context, w io.Writer, off int64) error {
	r.Progress.begin(r.Size, off)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parallel := cmp.Or(r.Parallel, Parallel)

	type result struct {
		data []byte
		err  error
	}
	buffers := make(chan []byte, parallel+1)
	for range parallel + 1 {
		buffers <- nil
	}
	order := make(chan chan result, parallel)
	go func() {
		defer close(order)
		for at := off; at < r.Size; at += rangeSize {
			var buffer []byte
			select {
			case buffer = <-buffers:
			case <-ctx.Done():
				return
			}
			if buffer == nil {
				buffer = make([]byte, rangeSize)
			}
			data, ready := buffer[:min(rangeSize, r.Size-at)], make(chan result, 1)
			go func() { ready <- result{data, r.fetch(ctx, data, at)} }()
			select {
			case order <- ready:
			case <-ctx.Done():
				return
			}
		}
	}()
	for ready := range order {
		got := <-ready
		if got.err != nil {
			return got.err
		}
		if _, err := w.Write(got.data); err != nil {
			return err
		}
		r.Progress.add(int64(len(got.data)))
		buffers <- got.data[:rangeSize]
	}
	return ctx.Err()
}

// arrival is the position of a range on its way.
type arrival struct{ n atomic.Int64 }

func (a *arrival) position() int64 { return a.n.Load() }

// fetch fills data with the bytes from off. What arrived before a failure is kept.
func (r *Receiver) fetch(ctx context.Context, data []byte, off int64) error {
	var s spell
	var at arrival
	r.Progress.fly(&at)
	defer r.Progress.land(&at, 0)
	for {
		before := at.position()
		err := r.attempt(ctx, data, off, &at)
		if err == nil || ctx.Err() != nil || !glance.Retryable(err) {
			return err
		}
		if at.position() > before {
			s = spell{}
		}
		if err := s.wait(ctx, r.Patience, err); err != nil {
			return err
		}
	}
}

func (r *Receiver) attempt(ctx context.Context, data []byte, off int64, at *arrival) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer watch(at.position, int64(len(data)), cancel)()
	have := at.position()
	body, err := r.Content.Range(ctx, off+have, int64(len(data))-have)
	if err == nil {
		defer body.Close()
		for err == nil && have < int64(len(data)) {
			var n int
			n, err = body.Read(data[have:])
			have += int64(n)
			at.n.Store(have)
		}
		if have == int64(len(data)) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		err = &glance.Unreachable{Host: "The storage", Err: err}
	}
	if context.Cause(ctx) == errStalled {
		err = &glance.Unreachable{Host: "The storage", Err: errStalled}
	}
	return err
}
