package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

const batch = `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1"}}]}`

func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() *transport.Request{
		"read": func() *transport.Request { return get(t, "/Patient/1") },
		"_search": func() *transport.Request {
			return &transport.Request{Method: "POST", URL: address(t, base+"/Observation/_search"), Form: url.Values{"patient": {"1"}}}
		},
		"batch": func() *transport.Request {
			return &transport.Request{Method: "POST", URL: address(t, base), Body: []byte(batch)}
		},
		"a batch that writes": func() *transport.Request {
			return &transport.Request{Method: "POST", URL: address(t, base), Body: []byte(strings.Replace(batch, "GET", "POST", 1))}
		},
		"an operation": func() *transport.Request {
			return &transport.Request{Method: "POST", URL: address(t, base+"/Patient/1/$everything"), Body: []byte(`{"resourceType":"Parameters"}`)}
		},
		"a form": func() *transport.Request {
			return &transport.Request{Method: "POST", URL: address(t, base+"/Patient/1/$match"), Form: url.Values{"a": {"b"}}}
		},
	}
	safe := map[string]bool{"read": true, "_search": true, "batch": true}
	lost := func(int, *http.Request) (*out, error) {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	cut := func(int, *http.Request) (*out, error) {
		r := reply(http.StatusOK, "")
		r.body = io.NopCloser(io.MultiReader(strings.NewReader(`{"resourceType`), errReader{io.ErrUnexpectedEOF}))
		return r, nil
	}
	for kind, request := range kinds {
		for _, c := range []struct {
			cause string
			bad   func(int, *http.Request) (*out, error)
			want  int // requests, where it is safe and goes on for ever
		}{
			{"connection reset", lost, 5},
			{"body cut", cut, 5},
			{"408", always(408, ""), 5},
			{"425", always(425, ""), 5},
			{"429", always(429, ""), 5},
			{"500", always(500, ""), 4},
			{"502", always(502, "<html>"), 5},
			{"503", always(503, ""), 5},
			{"504", always(504, ""), 5},
			{"522", always(522, ""), 5},
			{"429 with a wait", always(429, "", "Retry-After", "2"), 12},
			{"403 with a wait", always(403, "", "Retry-After", "2"), 12},
			{"400", always(400, ""), 1},
			{"403", always(403, ""), 1},
			{"404", always(404, ""), 1},
			{"410", always(410, ""), 1},
			{"422", always(422, ""), 1},
			{"501", always(501, ""), 1},
			{"511", always(511, "<html>"), 1},
		} {
			t.Run(kind+" "+c.cause, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &server{answer: c.bad}
					_, _, err := do(t, client(t, s, nil), request())
					want := c.want
					if !safe[kind] {
						want = 1
					}
					if len(s.seen) != want {
						t.Errorf("%d requests, want %d (%v)", len(s.seen), want, err)
					}
					if s.open != 0 {
						t.Errorf("%d bodies left open", s.open)
					}
					// Once it works, it works.
					s = &server{answer: func(n int, r *http.Request) (*out, error) {
						if n == 1 {
							return c.bad(n, r)
						}
						return reply(http.StatusOK, "{}"), nil
					}}
					status, _, err := do(t, client(t, s, nil), request())
					if ok := err == nil && status == http.StatusOK; ok != (want > 1) {
						t.Errorf("%d %v", status, err)
					}
				})
			})
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestHowLongIsWaited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		header   []string
		min, max time.Duration
	}{
		{"seconds", []string{"Retry-After", "120"}, 2 * time.Minute, 2 * time.Minute},
		{"a fraction", []string{"Retry-After", "1.5"}, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"a date, by the server's clock", []string{"Retry-After", "Sun, 01 Mar 2026 12:00:30 GMT", "Date", "Sun, 01 Mar 2026 12:00:10 GMT"}, 20 * time.Second, 20 * time.Second},
		{"milliseconds", []string{"X-Ms-Retry-After-Ms", "250", "Retry-After", "1"}, 250 * time.Millisecond, 250 * time.Millisecond},
		{"a quota that is used up", []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "33"}, 33 * time.Second, 33 * time.Second},
		{"the current draft", []string{"RateLimit", `"d";r=0;t=7`}, 7 * time.Second, 7 * time.Second},
		// What makes no sense is as good as nothing: exponential, with jitter.
		{"negative", []string{"Retry-After", "-7"}, 250 * time.Millisecond, 2 * time.Second},
		{"zero", []string{"Retry-After", "0"}, 250 * time.Millisecond, 2 * time.Second},
		{"words", []string{"Retry-After", "soon"}, 250 * time.Millisecond, 2 * time.Second},
		{"in the past", []string{"Retry-After", "Sun, 01 Mar 1998 12:00:30 GMT"}, 250 * time.Millisecond, 2 * time.Second},
		{"nothing", nil, 250 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: first(1, 429, "", c.header...)}
				r := get(t, "/Patient/1")
				var told []transport.Retry
				r.Retry = func(x transport.Retry) { told = append(told, x) }
				d := took(func() {
					if status, _, err := do(t, client(t, s, nil), r); status != http.StatusOK || err != nil {
						t.Errorf("%d %v", status, err)
					}
				})
				if d < c.min || d > c.max {
					t.Errorf("waited %v, want %v to %v", d, c.min, c.max)
				}
				if len(told) != 1 || told[0].StatusCode != http.StatusTooManyRequests || told[0].Wait != d || told[0].Attempt != 1 {
					t.Errorf("told of %+v", told)
				}
			})
		})
	}
}

// An answer whose body says that the trouble is passing is waited for as long as its header says, and no shorter.
func TestRetryAfterOfAThrottledOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttled := errors.New("throttled")
		request := func() *transport.Request {
			r := get(t, "/Patient/1")
			r.Check = func(resp *transport.Response) error {
				if resp.Status != http.StatusOK {
					return transport.Again(throttled)
				}
				return nil
			}
			return r
		}
		s := &server{answer: first(8, 429, "{}", "Retry-After", "100")}
		d := took(func() {
			if status, _, err := do(t, client(t, s, nil), request()); status != http.StatusOK || err != nil {
				t.Errorf("%d %v", status, err)
			}
		})
		if d != 800*time.Second {
			t.Errorf("waited %v in all", d)
		}
		s = &server{answer: always(429, "{}", "Retry-After", "7200")}
		_, _, err := do(t, client(t, s, nil), request())
		if !errors.Is(err, transport.ErrPause) || len(s.seen) != 1 {
			t.Errorf("%v, %d requests", err, len(s.seen))
		}
	})
}

func TestAPauseThatIsTooLong(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"301", "1e9", "1e300", "9999999999999", "99999999999999999999"} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: always(503, `{"resourceType":"OperationOutcome"}`, "Retry-After", header)}
				c := client(t, s, nil)
				var pause *transport.PauseError
				status, body, err := do(t, c, get(t, "/Patient/1"))
				if !errors.As(err, &pause) || !errors.Is(err, transport.ErrPause) || status != 503 || body == "" {
					t.Errorf("%d %q %v", status, body, err)
				}
				if pause == nil || time.Until(pause.Until) < 301*time.Second || time.Until(pause.Until) > 366*24*time.Hour {
					t.Fatalf("until %+v", pause)
				}
				// The next ones are not even sent, and say the same.
				var again *transport.PauseError
				if _, _, err := do(t, c, get(t, "/Patient/2")); !errors.As(err, &again) || !again.Until.Equal(pause.Until) {
					t.Errorf("%v", err)
				}
				if len(s.seen) != 1 {
					t.Errorf("%d requests", len(s.seen))
				}
			})
		})
	}
	t.Run("an hour that is allowed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &server{answer: first(1, 503, "", "Retry-After", "3600")}
			c := client(t, s, func(o *transport.Options) {
				o.MaxPause = 2 * time.Hour
				o.Limiter = ratelimit.New(ratelimit.Policy{MaxPause: 2 * time.Hour})
			})
			if d := took(func() {
				if status, _, err := do(t, c, get(t, "/x")); status != http.StatusOK || err != nil {
					t.Errorf("%d %v", status, err)
				}
			}); d != time.Hour {
				t.Errorf("waited %v", d)
			}
		})
	})
}

// A server that is dying gets at most about twice as many requests as there are questions, and not five times.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: always(503, "")}
		c := client(t, s, nil)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 100 {
					_, _, _ = do(t, c, get(t, fmt.Sprintf("/Patient/%d-%d", i, j)))
				}
			})
		}
		wg.Wait()
		if n := len(s.seen); n < 800 || n > 1710 {
			t.Errorf("%d requests for 800 questions", n)
		}
		sent, again := c.Attempts()
		if int(sent) != len(s.seen) || sent-again != 800 {
			t.Errorf("counted %d and %d", sent, again)
		}
		// A budget of the caller's own.
		s = &server{answer: always(503, "")}
		c = client(t, s, func(o *transport.Options) { o.Budget = 3 })
		for range 10 {
			_, _, _ = do(t, c, get(t, "/x"))
		}
		if len(s.seen) != 13 {
			t.Errorf("%d requests", len(s.seen))
		}
	})
}

func TestCheckDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mine := errors.New("mine")
		s := &server{answer: always(200, "{}")}
		r := get(t, "/x")
		n := 0
		r.Check = func(*transport.Response) error { n++; return mine }
		if status, body, err := do(t, client(t, s, nil), r); !errors.Is(err, mine) || status != 200 || body != "{}" || n != 1 {
			t.Errorf("%d %q %v, checked %d times", status, body, err, n)
		}
		n = 0
		r.Check = func(*transport.Response) error {
			if n++; n < 3 {
				return transport.Again(mine)
			}
			return nil
		}
		if status, _, err := do(t, client(t, s, nil), r); err != nil || status != 200 || n != 3 {
			t.Errorf("%d %v, checked %d times", status, err, n)
		}
		// The last answer is given together with the error.
		n = 0
		r.Check = func(*transport.Response) error { n++; return transport.Again(transport.ErrNotJSON) }
		if status, body, err := do(t, client(t, s, nil), r); !errors.Is(err, transport.ErrNotJSON) || status != 200 || body != "{}" || n != 4 {
			t.Errorf("%d %q %v, checked %d times", status, body, err, n)
		}
	})
}

func TestTheCallersContextEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		s := &server{answer: always(503, "", "Retry-After", "200")}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		var err error
		if d := took(func() { _, err = client(t, s, nil).Do(ctx, get(t, "/x")) }); !errors.Is(err, cause) || d != time.Second {
			t.Errorf("%v after %v", err, d)
		}
		if s.open != 0 {
			t.Errorf("%d bodies left open", s.open)
		}
	})
}

func TestWaitsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client(t, &server{answer: always(200, "{}")}, func(o *transport.Options) {
			o.Limiter = ratelimit.New(ratelimit.Policy{Rate: 1, Burst: 1, Fixed: true})
		})
		var waits []ratelimit.Wait
		for range 3 {
			r := get(t, "/Observation?patient=1")
			r.Waited = func(w ratelimit.Wait) { waits = append(waits, w) }
			if _, _, err := do(t, c, r); err != nil {
				t.Error(err)
			}
		}
		if len(waits) != 2 || waits[0].Reason != ratelimit.Pace || waits[0].Length.Round(time.Millisecond) != time.Second || waits[0].Class != ratelimit.Search {
			t.Errorf("%+v", waits)
		}
	})
}
