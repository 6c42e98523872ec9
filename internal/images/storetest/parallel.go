package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// each calls do for every item from several goroutines and returns all errors together.
func each[T any](ctx context.Context, workers int, items []T, do func(context.Context, T) error) error {
	var next atomic.Int64
	return together(workers, func(int) error {
		for {
			n := int(next.Add(1)) - 1
			if n >= len(items) {
				return nil
			}
			if err := do(ctx, items[n]); err != nil {
				return err
			}
		}
	})
}

// together calls do from n goroutines that begin at the same moment and returns all errors together.
func together(n int, do func(worker int) error) error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			<-begin
			errs[w] = do(w)
		})
	}
	close(begin)
	wg.Wait()
	return errors.Join(errs...)
}
