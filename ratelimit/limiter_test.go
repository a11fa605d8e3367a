package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

type tripFunc func(*http.Request) (*http.Response, error)

func (f tripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(""))}
}

func TestRateIsSharedByAllWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: 10, Burst: 1, Concurrency: -1})
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for range 10 {
					if err := l.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took < 4900*time.Millisecond {
			t.Errorf("50 requests at 10/s took %v, want at least 4.9 s", took)
		}
	})
}

func TestConcurrencyCountsUntilTheBodyIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: -1, Concurrency: 2})
		var now, most atomic.Int32
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			return answer(200, nil), nil
		}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x.test/", nil)
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				now.Add(-1)
				_ = resp.Body.Close()
			})
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d requests were under way at once, want 2", most.Load())
		}
	})
}

func TestRetryAfterHoldsBackEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: -1})
		first := true
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			if first {
				first = false
				return answer(429, http.Header{"Retry-After": {"7"}}), nil
			}
			return answer(200, nil), nil
		}))
		start := time.Now()
		for range 2 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x.test/", nil)
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("the request after Retry-After: 7 was sent after %v", took)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{})
		l.Pause(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v, want DeadlineExceeded", err)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header, date string
		want         time.Duration
		ok           bool
	}{
		{"120", "", 2 * time.Minute, true},
		{"0.5", "", 500 * time.Millisecond, true},
		{"Sun, 01 Mar 2026 12:00:30 GMT", "", 30 * time.Second, true},
		{"Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:10 GMT", 20 * time.Second, true},
		{"Sun, 01 Mar 2026 11:00:00 GMT", "", 0, true},
		{"", "", 0, false},
		{"soon", "", 0, false},
		{"-3", "", 0, false},
		{"NaN", "", 0, false},
		{"1e300", "", 365 * 24 * time.Hour, true},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.header)
		h.Set("Date", c.date)
		if got, ok := ratelimit.RetryAfter(h, now); got != c.want || ok != c.ok {
			t.Errorf("RetryAfter(%q, Date %q) = %v, %v; want %v, %v", c.header, c.date, got, ok, c.want, c.ok)
		}
	}
}
