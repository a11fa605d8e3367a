package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Deadlines within one attempt. There is none on the whole: a long honest answer is never cut.
const (
	slowWindow = time.Minute
	slowBytes  = 60 << 10 // in slowWindow: 1 kB/s
)

// deadlines bounds the time until the headers come and the time a body may stand still. It stands below the limiter, so that waiting for
// one's turn does not count.
type deadlines struct {
	next   http.RoundTripper
	header time.Duration
}

type headerLimit struct{}

// withHeaderLimit makes the headers of one request wait for longer than usual.
func withHeaderLimit(ctx context.Context, d time.Duration) context.Context {
	if d <= 0 {
		return ctx
	}
	return context.WithValue(ctx, headerLimit{}, d)
}

func (t *deadlines) RoundTrip(r *http.Request) (*http.Response, error) {
	limit := t.header
	if d, ok := r.Context().Value(headerLimit{}).(time.Duration); ok {
		limit = d
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(limit, func() { cancel(ErrHeaderTimeout) })
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	if !timer.Stop() && r.Context().Err() == nil && context.Cause(ctx) == ErrHeaderTimeout { //nolint:errorlint // set above, as it is.
		if resp != nil {
			_ = resp.Body.Close()
		}
		cancel(nil)
		return nil, ErrHeaderTimeout
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &watched{body: resp.Body, cancel: cancel, ctx: ctx}
	return resp, nil
}

// watched is a body that fails when it comes too slowly. Only time spent in Read counts.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // a body lives as long as its request's context.
	cancel context.CancelCauseFunc
	timer  *time.Timer
	once   sync.Once

	spent time.Duration // in Read, in this window
	got   int           // in this window
}

func (w *watched) Read(p []byte) (int, error) {
	start := time.Now()
	if w.timer == nil {
		w.timer = time.AfterFunc(slowWindow, func() { w.cancel(ErrSlowBody) })
	} else {
		w.timer.Reset(slowWindow)
	}
	n, err := w.body.Read(p)
	w.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(w.ctx), ErrSlowBody) {
		return n, ErrSlowBody
	}
	w.spent += time.Since(start)
	w.got += n
	if w.spent >= slowWindow {
		if w.got < slowBytes && err == nil {
			w.cancel(ErrSlowBody)
			return n, ErrSlowBody
		}
		w.spent, w.got = 0, 0
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.body.Close()
	w.once.Do(func() {
		if w.timer != nil {
			w.timer.Stop()
		}
		w.cancel(nil)
	})
	return err
}
