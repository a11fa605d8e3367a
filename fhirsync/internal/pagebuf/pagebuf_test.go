package pagebuf_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
)

const small = pagebuf.SmallPage

// body is n bytes that differ from place to place.
func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func get(t *testing.T, p *pagebuf.Pool) *pagebuf.Buffer {
	t.Helper()
	b, err := p.Get(t.Context())
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return b
}

func TestFillReadsAllOfEverySize(t *testing.T) {
	t.Parallel()
	p := pagebuf.New(64<<20, 12<<20)
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, small - 1, small, small + 1, 9<<20 + 3, 12<<20 - 1, 12 << 20} {
		want := body(n)
		b := get(t, p)
		for name, r := range map[string]io.Reader{
			"in large steps":         bytes.NewReader(want),
			"in steps of half":       iotest.HalfReader(bytes.NewReader(want)),
			"with EOF in last bytes": iotest.DataErrReader(bytes.NewReader(want)),
		} {
			if err := b.Fill(t.Context(), r); err != nil {
				t.Errorf("%d bytes %s: %v", n, name, err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%d bytes %s: got %d bytes, or others", n, name, len(b.Bytes()))
			}
		}
		b.Release()
	}
}

func TestFillByteByByte(t *testing.T) {
	t.Parallel()
	b := get(t, pagebuf.New(0, 1<<20))
	defer b.Release()
	want := body(200_000)
	if err := b.Fill(t.Context(), iotest.OneByteReader(bytes.NewReader(want))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got %d bytes, or others", len(b.Bytes()))
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 1, 10, 64 << 10, 100_000, small, small + 1, 8 << 20} {
		p := pagebuf.New(0, int64(most))
		b := get(t, p)
		if err := b.Fill(t.Context(), bytes.NewReader(body(most))); err != nil {
			t.Errorf("%d bytes with a cap of as many: %v", most, err)
		}
		if len(b.Bytes()) != most {
			t.Errorf("%d bytes with a cap of as many: got %d", most, len(b.Bytes()))
		}
		for _, more := range []int{1, 100_000} {
			if err := b.Fill(t.Context(), bytes.NewReader(body(most+more))); !errors.Is(err, pagebuf.ErrTooLarge) {
				t.Errorf("%d bytes with a cap of %d: %v", most+more, most, err)
			}
			if cap(b.Bytes()) > most {
				t.Errorf("a buffer of %d bytes with a cap of %d", cap(b.Bytes()), most)
			}
		}
		if err := b.Fill(t.Context(), strings.NewReader("")); err != nil || len(b.Bytes()) != 0 {
			t.Errorf("after ErrTooLarge an empty body gives %v and %d bytes", err, len(b.Bytes()))
		}
		b.Release()
	}
}

// endless never ends, and counts what was asked of it.
type endless struct{ calls int }

func (e *endless) Read(b []byte) (int, error) {
	e.calls++
	return len(b), nil
}

func TestEndlessBodyIsNotReadFarBeyondTheCap(t *testing.T) {
	t.Parallel()
	b := get(t, pagebuf.New(0, small*2))
	defer b.Release()
	r := &endless{}
	if err := b.Fill(t.Context(), r); !errors.Is(err, pagebuf.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	if r.calls > 100 {
		t.Errorf("read %d times", r.calls)
	}
}

func TestOddSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ total, most int64 }{
		{0, 0},
		{-1, -1},
		{math.MinInt64, math.MinInt64},
		{math.MinInt64, math.MaxInt64},
		{1, math.MaxInt64},
		{math.MaxInt64, 1},
		{math.MaxInt64, math.MaxInt64},
		{256 << 20, 64 << 20},
	} {
		p := pagebuf.New(c.total, c.most)
		var held []*pagebuf.Buffer
		for range 4 {
			held = append(held, get(t, p))
		}
		n := int(min(max(c.most, 0), small+1))
		r := &counting{r: bytes.NewReader(body(n))}
		if err := held[0].Fill(t.Context(), r); err != nil || len(held[0].Bytes()) != n {
			t.Errorf("New(%d, %d): %d bytes give %v and %d bytes", c.total, c.most, n, err, len(held[0].Bytes()))
		}
		if r.calls > 100 {
			t.Errorf("New(%d, %d): %d reads for %d bytes", c.total, c.most, r.calls, n)
		}
		for _, b := range held {
			b.Release()
		}
	}
}

type counting struct {
	r     io.Reader
	calls int
}

func (c *counting) Read(b []byte) (int, error) {
	c.calls++
	return c.r.Read(b)
}

func TestErrorOfTheReaderComesBack(t *testing.T) {
	t.Parallel()
	b := get(t, pagebuf.New(0, 1<<20))
	defer b.Release()
	for _, want := range []error{io.ErrUnexpectedEOF, errors.New("line broke")} {
		for _, before := range []int{0, 5, 64 << 10} {
			r := io.MultiReader(bytes.NewReader(body(before)), iotest.ErrReader(want))
			if err := b.Fill(t.Context(), r); !errors.Is(err, want) {
				t.Errorf("after %d bytes: %v, want %v", before, err, want)
			}
		}
	}
}

func TestFillReplaces(t *testing.T) {
	t.Parallel()
	b := get(t, pagebuf.New(0, 1<<20))
	defer b.Release()
	for _, text := range []string{"the first, which is longer", "second", ""} {
		if err := b.Fill(t.Context(), strings.NewReader(text)); err != nil || string(b.Bytes()) != text {
			t.Errorf("got %q, %v, want %q", b.Bytes(), err, text)
		}
	}
}

func TestPoison(t *testing.T) {
	t.Parallel()
	p := pagebuf.New(0, 1<<20)
	p.Poison()
	b := get(t, p)
	if err := b.Fill(t.Context(), strings.NewReader("kept although it must not be")); err != nil {
		t.Fatal(err)
	}
	kept := b.Bytes()
	if err := b.Fill(t.Context(), strings.NewReader("short")); err != nil {
		t.Fatal(err)
	}
	b.Release()
	if got := bytes.Trim(kept, "\xDB"); len(got) > 0 {
		t.Errorf("after Release there is still %q", got)
	}
}

func TestReleaseTwiceGivesOnePlaceBack(t *testing.T) {
	t.Parallel()
	p := pagebuf.New(0, 8<<20) // four small places and a big one
	big := get(t, p)
	if err := big.Fill(t.Context(), bytes.NewReader(body(small+1))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		get(t, p)
	}
	big.Release()
	big.Release() // would block, or free a second place
	get(t, p)
	ctx, cancel := context.WithCancelCause(t.Context())
	full := errors.New("full")
	cancel(full)
	if _, err := p.Get(ctx); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	(*pagebuf.Buffer)(nil).Release()
}

func TestFillAfterReleaseIsRefused(t *testing.T) {
	t.Parallel()
	b := get(t, pagebuf.New(0, 1<<20))
	b.Release()
	if err := b.Fill(t.Context(), strings.NewReader("late")); err == nil {
		t.Error("accepted")
	}
	if b.Bytes() != nil {
		t.Errorf("holds %q", b.Bytes())
	}
}

func TestOversizedBuffersAreNotKept(t *testing.T) {
	t.Parallel()
	p := pagebuf.New(0, 8<<20)
	for range 10 {
		b := get(t, p)
		if c := cap(b.Bytes()); c > small {
			t.Fatalf("a buffer of %d bytes came back", c)
		}
		if err := b.Fill(t.Context(), bytes.NewReader(body(small+1))); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
}
