package fhirsync

import (
	"context"
	"sync"
)

// gate bounds a number of bytes, first come first served. What is larger than the whole gate takes all of it.
type gate struct {
	mu      sync.Mutex
	size    int64
	used    int64
	waiting []*pass
}

type pass struct {
	n     int64
	ready chan struct{}
}

func newGate(size int64) *gate { return &gate{size: max(size, 1)} }

// enter waits for n bytes and gives what leave must be told.
func (g *gate) enter(ctx context.Context, n int64) (int64, error) {
	n = min(max(n, 0), g.size)
	g.mu.Lock()
	if len(g.waiting) == 0 && g.used+n <= g.size {
		g.used += n
		g.mu.Unlock()
		return n, nil
	}
	p := &pass{n: n, ready: make(chan struct{})}
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	select {
	case <-p.ready:
		return n, nil
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, w := range g.waiting {
			if w == p {
				g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
				g.admit()
				return 0, context.Cause(ctx)
			}
		}
		g.used -= n // it was let in just now.
		g.admit()
		return 0, context.Cause(ctx)
	}
}

// leave gives n bytes back.
func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= n
	g.admit()
}

func (g *gate) admit() {
	for len(g.waiting) > 0 && g.used+g.waiting[0].n <= g.size {
		g.used += g.waiting[0].n
		close(g.waiting[0].ready)
		g.waiting = g.waiting[1:]
	}
}
