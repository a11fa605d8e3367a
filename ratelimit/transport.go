package ratelimit

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Transport returns a RoundTripper that sends through base at the limiter's pace. A place among the requests under way is held
// until the response's body has been closed. A refusal (429, 503) whose wait is at most Policy.MaxPause pauses the whole limiter; after
// one with a longer wait, requests fail with a [*PauseError] until MaxPause is over, and then one finds out whether it was meant.
func (l *Limiter) Transport(base http.RoundTripper) http.RoundTripper {
	return &limited{limiter: l, base: base}
}

type limited struct {
	limiter *Limiter
	base    http.RoundTripper
}

func (t *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	l, class := t.limiter, ClassOf(req)
	if err := l.acquire(req.Context(), class, true); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must, also when it fails.
		}
		return nil, err
	}
	ahead, _ := req.Context().Value(priorityKey{}).(int)
	free := sync.OnceFunc(func() { l.release(&waiter{slot: true, ahead: ahead}) })
	sent := time.Now()
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		free()
		return nil, err
	}
	l.observe(resp, class, sent)
	resp.Body = &releasing{ReadCloser: resp.Body, free: free}
	return resp, nil
}

// observe learns from an answer.
func (l *Limiter) observe(resp *http.Response, class Class, sent time.Time) {
	now := time.Now()
	quotas := Quotas(resp.Header, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		l.see(date, sent, now)
	}
	if isRefusal(resp.StatusCode) {
		l.pace.refuse(now, sent)
		after, _ := Delay(resp.Header, now) // 0: it did not say.
		l.heed(now, after)
		return
	}
	l.pace.content(now, class, now.Sub(sent))
	for i := range quotas {
		q := &quotas[i]
		switch {
		case class == Token: // their quota is another one, and they are few.
		case q.Remaining == 0 && q.Reset > 0 && q.Reset <= l.policy.MaxPause:
			l.pause(now, q.Reset, Quota)
		default:
			l.pace.follow(now, q, l.underWay)
		}
	}
	l.dispatch()
}

type releasing struct {
	io.ReadCloser
	free func()
}

func (b *releasing) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}
