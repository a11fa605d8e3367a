package transport_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// trickle gives pieces of a size with a pause before each, until the request is over.
type trickle struct {
	r      *http.Request
	pause  time.Duration
	piece  int
	pieces int
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.pieces == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(b.pause):
	case <-b.r.Context().Done():
		return 0, b.r.Context().Err()
	}
	b.pieces--
	n := min(len(p), b.piece)
	for i := range p[:n] {
		p[i] = ' '
	}
	return n, nil
}

func (b *trickle) Close() error { return nil }

func TestDeadlines(t *testing.T) {
	t.Parallel()
	hang := func(_ int, r *http.Request) (*out, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	late := func(d time.Duration) func(int, *http.Request) (*out, error) {
		return func(_ int, r *http.Request) (*out, error) {
			select {
			case <-time.After(d):
				return reply(200, "{}"), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	slow := func(pause time.Duration, piece, pieces int) func(int, *http.Request) (*out, error) {
		return func(_ int, r *http.Request) (*out, error) {
			resp := reply(200, "")
			resp.body = &trickle{r, pause, piece, pieces}
			return resp, nil
		}
	}
	for _, c := range []struct {
		name   string
		answer func(int, *http.Request) (*out, error)
		header time.Duration // of the request
		err    error
		most   time.Duration
	}{
		{"never answers", hang, 0, transport.ErrHeaderTimeout, 5*2*time.Minute + time.Minute},
		{"answers late", late(119 * time.Second), 0, nil, 2 * time.Minute},
		{"an operation may take longer", late(4 * time.Minute), 5 * time.Minute, nil, 4 * time.Minute},
		{"stops in the body", slow(100*time.Hour, 1, 10), 0, transport.ErrSlowBody, 5*time.Minute + time.Minute},
		{"a byte now and then", slow(10*time.Second, 1, 1<<30), 0, transport.ErrSlowBody, 6*time.Minute + 30*time.Second},
		{"slower than 1 kB/s", slow(time.Second, 900, 1<<30), 0, transport.ErrSlowBody, 6*time.Minute + 30*time.Second},
		{"long and honest", slow(time.Second, 1100, 900), 0, nil, 15 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: c.answer}
				r := get(t, "/x")
				r.HeaderTimeout = c.header
				var err error
				d := took(func() { _, _, err = do(t, client(t, s, nil), r) })
				if !errors.Is(err, c.err) || d > c.most {
					t.Errorf("%v after %v, want %v within %v", err, d, c.err, c.most)
				}
				if s.open != 0 {
					t.Errorf("%d bodies left open", s.open)
				}
			})
		})
	}
}

// To wait for one's turn is no fault of the server.
func TestWaitingForTheLimiterIsNotTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{})
		l.Pause(20 * time.Minute)
		c := client(t, &server{answer: always(200, "{}")}, func(o *transport.Options) { o.Limiter = l })
		if d := took(func() {
			if _, _, err := do(t, c, get(t, "/x")); err != nil {
				t.Error(err)
			}
		}); d != 20*time.Minute {
			t.Errorf("took %v", d)
		}
	})
}
