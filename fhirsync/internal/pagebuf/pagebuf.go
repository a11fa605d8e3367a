// Package pagebuf bounds the memory of pages that are being read and taken apart, over all syncs of a client.
//
// Every buffer takes one of a number of small places (SmallPage bytes each). One that grows past its place waits for one of a few big
// places, and those who wait hold no big place themselves, so that the waiting can never become a circle, as long as nobody who holds a
// Buffer waits in Get for another one.
package pagebuf

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
)

// SmallPage is the size up to which a page needs no big place.
const SmallPage = 4 << 20

// firstSize is what a new buffer begins with.
const firstSize = 64 << 10

// ErrTooLarge says that a body is larger than the cap on one page.
var ErrTooLarge = errors.New("body larger than the size cap")

// errReleased says that a Buffer was used after its end.
var errReleased = errors.New("buffer has been released")

// Pool hands out buffers. Made by New; safe for concurrent use.
type Pool struct {
	max        int
	small, big chan struct{}
	free       sync.Pool
	usual      atomic.Int64 // how large pages have been lately
	poison     atomic.Bool
}

// New makes a pool whose buffers hold about total bytes together and maxPage bytes each. Whatever they are, there is one big place
// and there are four small ones.
func New(total, maxPage int64) *Pool {
	total, maxPage = max(0, total), min(max(0, maxPage), math.MaxInt)
	big := max(1, total/2/max(maxPage, SmallPage))
	small := max(4, (total-big*maxPage)/SmallPage)
	return &Pool{max: int(maxPage), small: make(chan struct{}, small), big: make(chan struct{}, big)}
}

// Poison makes every later release overwrite the bytes, so that a test sees whoever kept them.
func (p *Pool) Poison() { p.poison.Store(true) }

// Buffer is the body of one answer. Not safe for concurrent use.
type Buffer struct {
	pool *Pool
	b    []byte
	next [1]byte // what comes after a full b
	big  bool
	done bool
}

// Get waits for a place. It must not be called by one who holds a Buffer already: all places could be held by those who wait for more.
func (p *Pool) Get(ctx context.Context) (*Buffer, error) {
	if err := take(ctx, p.small); err != nil {
		return nil, err
	}
	b, _ := p.free.Get().([]byte)
	return &Buffer{pool: p, b: b[:0]}, nil
}

// take waits for one of the places. With a ctx that is done it takes none, free or not.
func take(ctx context.Context, places chan<- struct{}) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Bytes is what has been read; valid until Release or the next Fill.
func (b *Buffer) Bytes() []byte { return b.b }

// Fill replaces the content by all of r. ErrTooLarge when r holds more than the cap. After an error the content is of no use.
func (b *Buffer) Fill(ctx context.Context, r io.Reader) error {
	if b.done {
		return errReleased // else it might take a big place that nobody gives back
	}
	b.b = b.b[:0]
	for {
		// A full buffer grows only when there is one more byte: a body that just fits into its place shall not wait for a big one.
		full := len(b.b) == cap(b.b)
		space := b.b[len(b.b):cap(b.b)]
		if full {
			space = b.next[:]
		}
		n, err := r.Read(space)
		switch {
		case !full:
			b.b = b.b[:len(b.b)+n]
		case n > 0:
			if err := b.grow(ctx); err != nil {
				return err
			}
			b.b = append(b.b, b.next[0])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow makes room for at least one byte more.
func (b *Buffer) grow(ctx context.Context) error {
	have := cap(b.b)
	if have >= b.pool.max {
		return ErrTooLarge
	}
	size := max(firstSize, 2*have)
	if usual := int(b.pool.usual.Load()); have < usual {
		size = max(size, usual+usual/4) // at once, and not in steps that are copied each time
	}
	size = min(size, b.pool.max)
	if !b.big {
		if have < SmallPage {
			size = min(size, SmallPage)
		} else {
			if err := take(ctx, b.pool.big); err != nil {
				return err
			}
			b.big = true
		}
	}
	grown := make([]byte, len(b.b), size)
	copy(grown, b.b)
	b.b = grown
	return nil
}

// Release gives the place back; the bytes must not be used after. Calling it again does nothing.
func (b *Buffer) Release() {
	if b == nil || b.done {
		return
	}
	b.done = true
	b.pool.usual.Store(int64(min(len(b.b), SmallPage)))
	if b.pool.poison.Load() {
		all := b.b[:cap(b.b)] // an earlier Fill may have reached further
		for i := range all {
			all[i] = 0xDB
		}
	}
	if cap(b.b) <= SmallPage && cap(b.b) > 0 {
		b.pool.free.Put(b.b[:0]) //nolint:staticcheck // a slice header per page is nothing beside the page
	}
	b.b = nil
	if b.big {
		<-b.pool.big
	}
	<-b.pool.small
}
