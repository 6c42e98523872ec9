package sqlitestore

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
)

// write is one change that waits for the writer.
type write struct {
	ctx  context.Context
	do   func(*conn) error
	done chan error // of one place
	// taken is set once: by the writer when it begins, or by the caller who gives up before.
	taken atomic.Bool
}

// maxBatch bounds how many writes share a transaction, so that the first of them does not wait long for the last.
const maxBatch = 128

// apply runs do in a transaction and returns when it is on the disk, or failed and left no trace. Once do has begun, the end of ctx does not
// stop it. do must not touch what belongs to the caller: when ctx ends before do began, apply returns at once.
func (s *Store) apply(ctx context.Context, do func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{ctx: ctx, do: do, done: make(chan error, 1)}
	select {
	case <-s.closing: // the writer may be ready too
		return errClosed
	default:
	}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errClosed
	}
	select {
	case err := <-w.done:
		return explain(ctx, err)
	case <-ctx.Done():
		if w.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return explain(ctx, <-w.done)
	}
}

// write is the goroutine that writes.
func (s *Store) write(c *conn) {
	defer close(s.closed)
	batch := make([]*write, 0, maxBatch)
	for {
		select {
		case <-s.closing:
			s.closeErr = c.close()
			return
		case w := <-s.writes:
			batch = append(batch[:0], w)
		}
		runtime.Gosched() // whoever is about to ask may come along
	waiting:
		for len(batch) < maxBatch {
			select {
			case w := <-s.writes:
				batch = append(batch, w)
			default:
				break waiting
			}
		}
		commit(c, batch)
		clear(batch)
	}
}

// commit runs the writes of a batch in one transaction and tells each its outcome.
func commit(c *conn, batch []*write) {
	outcomes := make([]error, len(batch))
	err := c.exec("BEGIN IMMEDIATE")
	if err == nil {
		for n, w := range batch {
			if outcomes[n], err = run(c, w, len(batch) > 1); err != nil {
				break
			}
		}
		if err == nil {
			err = c.exec("COMMIT")
		}
		if err != nil && !c.GetAutocommit() {
			err = errors.Join(err, c.exec("ROLLBACK"))
		}
	}
	for n, w := range batch {
		if err != nil && outcomes[n] == nil {
			outcomes[n] = err
		}
		w.done <- outcomes[n]
	}
}

// run is one write under its own savepoint: when it fails it leaves the transaction as it was. A broken transaction is the second error.
func run(c *conn, w *write, shared bool) (outcome, broken error) {
	if !w.taken.CompareAndSwap(false, true) {
		return w.ctx.Err(), nil
	}
	if err := w.ctx.Err(); err != nil {
		return err, nil
	}
	if !shared {
		err := w.do(c)
		return err, err
	}
	if err := c.exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	if outcome = w.do(c); outcome != nil {
		if c.GetAutocommit() { // a full disk and the like end the whole transaction
			return outcome, outcome
		}
		if err := c.exec("ROLLBACK TO one"); err != nil {
			return outcome, err
		}
	}
	return outcome, c.exec("RELEASE one")
}
