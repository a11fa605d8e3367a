// Package pagebuf bounds the memory of pages that are being read and taken apart, over all syncs of a client.
//
// Every buffer takes one of a number of small places (SmallPage bytes each). One that grows past its place waits for one of a few big
// places, and those who wait hold no big place themselves, so that the waiting can never become a circle.
package pagebuf

import (
	"context"
	"errors"
	"io"
	"sync"
)

// SmallPage is the size up to which a page needs no big place.
const SmallPage = 4 << 20

// ErrTooLarge says that a body is larger than the cap on one page.
var ErrTooLarge = errors.New("body larger than the size cap")

// Pool hands out buffers. Made by New; safe for concurrent use.
type Pool struct {
	max        int
	small, big chan struct{}
	free       sync.Pool
	poison     bool
}

// New makes a pool whose buffers hold about total bytes together and maxPage bytes each.
func New(total, maxPage int64) *Pool {
	big := max(1, total/2/max(maxPage, SmallPage))
	small := max(4, (total-big*maxPage)/SmallPage)
	return &Pool{max: int(maxPage), small: make(chan struct{}, small), big: make(chan struct{}, big)}
}

// Poison makes every later release overwrite the bytes, so that a test sees whoever kept them.
func (p *Pool) Poison() { p.poison = true }

// Buffer is the body of one answer. Not safe for concurrent use.
type Buffer struct {
	pool *Pool
	b    []byte
	big  bool
	done bool
}

// Get waits for a place.
func (p *Pool) Get(ctx context.Context) (*Buffer, error) {
	select {
	case p.small <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	b, _ := p.free.Get().([]byte)
	return &Buffer{pool: p, b: b[:0]}, nil
}

// Bytes is what has been read; valid until Release.
func (b *Buffer) Bytes() []byte { return b.b }

// Fill replaces the content by all of r. ErrTooLarge when r holds more than the cap.
func (b *Buffer) Fill(ctx context.Context, r io.Reader) error {
	b.b = b.b[:0]
	for {
		if len(b.b) == cap(b.b) {
			if err := b.grow(ctx); err != nil {
				return err
			}
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if len(b.b) > b.pool.max {
			return ErrTooLarge
		}
		if err == io.EOF { //nolint:errorlint // only the plain io.EOF is the end of a body
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *Buffer) grow(ctx context.Context) error {
	size := min(max(64<<10, 2*cap(b.b)), b.pool.max+1)
	if size > SmallPage && !b.big {
		select {
		case b.pool.big <- struct{}{}:
			b.big = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	grown := make([]byte, len(b.b), max(size, len(b.b)+1))
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
	if b.pool.poison {
		for i := range b.b {
			b.b[i] = 0xDB
		}
	}
	if cap(b.b) <= SmallPage && cap(b.b) > 0 {
		b.pool.free.Put(b.b[:0]) //nolint:staticcheck // a slice header per page is nothing beside the page
	}
	if b.big {
		<-b.pool.big
	}
	b.b = nil
	<-b.pool.small
}
