package pagebuf_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
)

func TestGetWaitsForASmallPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pagebuf.New(0, 1<<20) // four places
		var held []*pagebuf.Buffer
		for range 4 {
			held = append(held, get(t, p))
		}
		var got atomic.Bool
		go func() {
			b, err := p.Get(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			got.Store(true)
			b.Release()
		}()
		synctest.Wait()
		if got.Load() {
			t.Fatal("a fifth buffer with four places")
		}
		held[2].Release()
		synctest.Wait()
		if !got.Load() {
			t.Fatal("a place was given back, and nobody got it")
		}
	})
}

func TestBigPagesWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pagebuf.New(0, 16<<20) // one big place
		first := get(t, p)
		if err := first.Fill(t.Context(), bytes.NewReader(body(small+1))); err != nil {
			t.Fatal(err)
		}
		second := get(t, p)
		var filled atomic.Bool
		go func() {
			if err := second.Fill(t.Context(), bytes.NewReader(body(small+1))); err != nil {
				t.Error(err)
			}
			filled.Store(true)
		}()
		synctest.Wait()
		if filled.Load() {
			t.Fatal("two big pages with one big place")
		}

		// A page that fits into a small place goes past those who wait, to the last byte.
		third := get(t, p)
		if err := third.Fill(t.Context(), bytes.NewReader(body(small))); err != nil {
			t.Fatal(err)
		}
		third.Release()

		// The one that has a big place keeps it.
		if err := first.Fill(t.Context(), bytes.NewReader(body(16<<20))); err != nil {
			t.Fatal(err)
		}
		first.Release()
		synctest.Wait()
		if !filled.Load() {
			t.Fatal("the big place was given back, and nobody got it")
		}
		if !bytes.Equal(second.Bytes(), body(small+1)) {
			t.Error("other bytes after waiting")
		}
		second.Release()
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pagebuf.New(0, 16<<20)
		big := get(t, p)
		if err := big.Fill(t.Context(), bytes.NewReader(body(small+1))); err != nil {
			t.Fatal(err)
		}
		waiting := get(t, p)
		get(t, p)
		last := get(t, p)

		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 2)
		go func() {
			_, err := p.Get(ctx)
			errs <- err
		}()
		go func() { errs <- waiting.Fill(ctx, bytes.NewReader(body(small+1))) }()
		synctest.Wait()
		why := errors.New("given up")
		cancel(why)
		for range 2 {
			if err := <-errs; !errors.Is(err, why) {
				t.Errorf("got %v, want the cause", err)
			}
		}

		// Whoever gave up holds nothing: the places are still as many as before.
		big.Release()
		waiting.Release()
		last.Release()
		for range 3 {
			get(t, p)
		}
	})
}

func TestDoneContextTakesNoFreePlace(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := pagebuf.New(0, 16<<20)
	for range 50 {
		if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		b := get(t, p)
		if err := b.Fill(ctx, bytes.NewReader(body(small+1))); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		b.Release()
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	p := pagebuf.New(0, 5<<20)
	p.Poison()
	var open, most atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 4 {
				b, err := p.Get(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				n := open.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				size := 1000 * (i + 1)
				if (i+j)%4 == 0 {
					size = small + i + 1
				}
				text := strings.Repeat(string(rune('a'+i)), size)
				if err := b.Fill(t.Context(), strings.NewReader(text)); err != nil {
					t.Error(err)
				}
				if string(b.Bytes()) != text {
					t.Errorf("%d: someone else's bytes", i)
				}
				open.Add(-1)
				b.Release()
			}
		})
	}
	all.Wait()
	if most.Load() > 4 {
		t.Errorf("%d buffers at once with four places", most.Load())
	}
}
