package ratelimit

import (
	"context"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The polite defaults of a zero [Policy].
const (
	DefaultRate        = 20 // requests per second
	DefaultBurst       = 10
	DefaultConcurrency = 4
	// DefaultMaxPause is the longest wait asked for by a server that is kept in process.
	DefaultMaxPause = 5 * time.Minute
)

// Policy is what the caller allows towards one server. The zero value is polite: see the Default constants.
type Policy struct {
	// Rate is the number of requests per second. 0: [DefaultRate]; negative or +Inf: no limit.
	Rate float64
	// Burst is how many requests may be sent at once after a quiet time. 0: [DefaultBurst].
	Burst int
	// Concurrency is how many requests may be under way at once, from the first byte sent to the last byte of the body read.
	// 0: [DefaultConcurrency]; negative: no limit.
	Concurrency int
	// MaxPause is the longest Retry-After that holds the limiter back; a longer one is left to the caller. 0: [DefaultMaxPause].
	MaxPause time.Duration
}

// Limiter holds one server's requests to a [Policy]. Made by [New]; safe for concurrent use.
type Limiter struct {
	rate     *rate.Limiter
	slots    chan struct{} // nil: no limit
	maxPause time.Duration

	mu    sync.Mutex
	until time.Time // nothing is sent before
}

// New makes a limiter.
func New(p Policy) *Limiter {
	if p.Rate == 0 {
		p.Rate = DefaultRate
	}
	if p.Burst <= 0 {
		p.Burst = DefaultBurst
	}
	if p.Concurrency == 0 {
		p.Concurrency = DefaultConcurrency
	}
	if p.MaxPause <= 0 {
		p.MaxPause = DefaultMaxPause
	}
	l := &Limiter{maxPause: p.MaxPause}
	if p.Rate < 0 || math.IsInf(p.Rate, 1) || math.IsNaN(p.Rate) {
		l.rate = rate.NewLimiter(rate.Inf, 0)
	} else {
		l.rate = rate.NewLimiter(rate.Limit(p.Rate), p.Burst)
	}
	if p.Concurrency > 0 {
		l.slots = make(chan struct{}, p.Concurrency)
	}
	return l
}

// Wait blocks until one request may be sent, or returns the context's error. It takes no place among the requests under way:
// that is [Limiter.Transport]'s part.
func (l *Limiter) Wait(ctx context.Context) error {
	for {
		l.mu.Lock()
		until := l.until
		l.mu.Unlock()
		pause := time.Until(until)
		if pause <= 0 {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
	return l.rate.Wait(ctx)
}

// Pause holds back everything that has not been sent yet for d. A shorter pause never ends a longer one.
func (l *Limiter) Pause(d time.Duration) {
	until := time.Now().Add(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.until) {
		l.until = until
	}
}

// Transport returns a RoundTripper that sends through base at the limiter's pace. A place among the requests under way is held
// until the response's body has been closed. A 429 or 503 whose Retry-After is at most Policy.MaxPause pauses the whole limiter.
func (l *Limiter) Transport(base http.RoundTripper) http.RoundTripper {
	return &limited{limiter: l, base: base}
}

type limited struct {
	limiter *Limiter
	base    http.RoundTripper
}

func (t *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	l, ctx := t.limiter, req.Context()
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	free := sync.OnceFunc(func() {
		if l.slots != nil {
			<-l.slots
		}
	})
	if err := l.Wait(ctx); err != nil {
		free()
		return nil, err
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		free()
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if d, ok := RetryAfter(resp.Header, time.Now()); ok && d <= l.maxPause {
			l.Pause(d)
		}
	}
	resp.Body = &releasing{ReadCloser: resp.Body, free: free}
	return resp, nil
}

type releasing struct {
	io.ReadCloser
	free func()
}

func (b *releasing) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}
