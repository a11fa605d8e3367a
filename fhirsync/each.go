package fhirsync

import (
	"context"
	"strconv"
	"sync"
)

// each runs fn for all items, at most n at once, and gives the first error; after one, no further items are begun.
func each[T any](ctx context.Context, n int, items []T, fn func(context.Context, T) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  int
	)
	for range min(n, len(items)) {
		wg.Go(func() {
			for {
				mu.Lock()
				if first != nil || next == len(items) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				item := items[next]
				next++
				mu.Unlock()
				if err := fn(ctx, item); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first == nil && ctx.Err() != nil && next < len(items) {
		first = context.Cause(ctx)
	}
	return first
}

func itoa(n int) string { return strconv.Itoa(n) }
