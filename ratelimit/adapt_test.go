package ratelimit_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// hidden is a server with a limit that it does not tell.
type hidden struct {
	perSecond  int
	kind       string
	retryAfter string
	latency    time.Duration

	mu     sync.Mutex
	sent   []time.Time // allowed
	window time.Time
	used   int
	tokens float64
	last   time.Time

	allowed, refused []time.Time
}

func (h *hidden) allow(now time.Time) bool {
	switch h.kind {
	case "window by the clock":
		if w := now.Truncate(time.Second); !w.Equal(h.window) {
			h.window, h.used = w, 0
		}
		if h.used >= h.perSecond {
			return false
		}
		h.used++
	case "any second":
		for len(h.sent) > 0 && now.Sub(h.sent[0]) >= time.Second {
			h.sent = h.sent[1:]
		}
		if len(h.sent) >= h.perSecond {
			return false
		}
		h.sent = append(h.sent, now)
	case "bucket":
		if h.last.IsZero() {
			h.tokens = float64(h.perSecond)
		} else {
			h.tokens = min(float64(h.perSecond), h.tokens+now.Sub(h.last).Seconds()*float64(h.perSecond))
		}
		h.last = now
		if h.tokens < 1 {
			return false
		}
		h.tokens--
	}
	return true
}

func (h *hidden) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	now := time.Now()
	ok := h.allow(now)
	if ok {
		h.allowed = append(h.allowed, now)
	} else {
		h.refused = append(h.refused, now)
	}
	latency := h.latency/2 + rand.N(h.latency+1)
	h.mu.Unlock()
	time.Sleep(latency)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if !ok {
		header := http.Header{}
		if h.retryAfter != "" {
			header.Set("Retry-After", h.retryAfter)
		}
		return answer(http.StatusTooManyRequests, header), nil
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

// until forgets what came later: requests that waited when the load ended.
func (h *hidden) until(end time.Time) {
	late := func(at time.Time) bool { return at.After(end) }
	h.allowed, h.refused = slices.DeleteFunc(h.allowed, late), slices.DeleteFunc(h.refused, late)
}

func since(times []time.Time, from time.Time) int {
	n := 0
	for _, t := range times {
		if !t.Before(from) {
			n++
		}
	}
	return n
}

// load keeps workers asking for a time.
func load(t *testing.T, rt http.RoundTripper, workers int, d time.Duration) {
	t.Helper()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x.test/Observation?patient=1", nil)
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

func TestFindsTheHiddenLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{5, 20, 100} {
		for _, kind := range []string{"window by the clock", "any second", "bucket"} {
			for _, retryAfter := range []string{"", "1"} {
				t.Run(fmt.Sprintf("%d/s %s Retry-After %q", limit, kind, retryAfter), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						h := &hidden{perSecond: limit, kind: kind, retryAfter: retryAfter, latency: 100 * time.Millisecond}
						policy := ratelimit.Policy{}
						if limit > 20 {
							policy = ratelimit.Policy{Rate: 400, Concurrency: 64}
						}
						l := ratelimit.New(policy)
						start := time.Now()
						const whole = 5 * time.Minute
						load(t, l.Transport(h), 64, whole)
						h.until(start.Add(whole))
						after := start.Add(10 * time.Second)
						ok, refused := since(h.allowed, after), since(h.refused, after)
						share := float64(ok) / (float64(limit) * (whole - 10*time.Second).Seconds())
						bad := float64(refused) / float64(ok+refused)
						t.Logf("%d allowed, %d refused (%.2f %%) after ten seconds, %d refused before; %.1f %% of the rate used; ends at %.1f/s, %d at once",
							ok, refused, 100*bad, len(h.refused)-refused, 100*share, l.Stats().Rate, l.Stats().Concurrency)
						if bad >= 0.01 {
							t.Errorf("%.2f %% were refused", 100*bad)
						}
						if share < 0.9 {
							t.Errorf("%.1f %% of the rate was used", 100*share)
						}
					})
				})
			}
		}
	}
}
