package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// Writer writes one trace, a line at a time. Safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	out    io.Writer
	err    error // of out: nothing is written after it
	r      *redactor
	n      int
	begun  time.Time
	buffer bytes.Buffer
}

// New begins a trace of a patient's record on the server at base. literals are constants of the library that may be seen, in the place of
// an id, a type or a parameter. It writes the first line.
func New(out io.Writer, base *url.URL, patientID, strategy string, types, literals []string) *Writer {
	w := &Writer{out: out, r: newRedactor(base, literals), begun: time.Now()}
	h := Head{Version: Version, Patient: w.r.id(patientID), Strategy: printable(strategy)}
	for _, t := range types {
		h.Types = append(h.Types, w.r.typ(t))
	}
	w.write(h)
	return w
}

// Err gives the error of the io.Writer; nil if there was none.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// write writes one line. The caller holds mu, or is alone.
func (w *Writer) write(line any) {
	if w.err != nil {
		return
	}
	w.buffer.Reset()
	enc := json.NewEncoder(&w.buffer)
	enc.SetEscapeHTML(false)
	if w.err = enc.Encode(line); w.err != nil {
		return
	}
	n, err := w.out.Write(w.buffer.Bytes())
	if err == nil && n < w.buffer.Len() {
		err = io.ErrShortWrite
	}
	w.err = err
	const keep = 1 << 20
	if w.buffer.Cap() > keep {
		w.buffer = bytes.Buffer{}
	}
}

// Remember writes a CapabilityStatement that is known from an earlier sync, and so will not be asked for.
func (w *Writer) Remember(c *quirks.Capabilities) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(Exchange{
		Remembered: true, Method: http.MethodGet, URL: "{base}/metadata", Status: http.StatusOK,
		Header: map[string]string{"Content-Type": "application/fhir+json"}, Shape: &Shape{Kind: "capabilities", Capabilities: w.r.capabilities(c)},
	})
}

// Finish writes the last line.
func (w *Writer) Finish(e End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	received := map[string]int{}
	for typ, n := range e.Received {
		received[w.r.typ(typ)] += n
	}
	e.Received = received
	for i := range e.Gaps {
		e.Gaps[i].Type = w.r.typ(e.Gaps[i].Type)
	}
	w.write(struct {
		End End `json:"end"`
	}{e})
}

// Call is one request of the client with all its attempts. Its methods are called one after the other.
type Call struct {
	w    *Writer
	form url.Values
	body []byte
	open *attempt
}

// attempt is an exchange in progress.
type attempt struct {
	Exchange
	ctx  context.Context //nolint:containedctx // of the attempt: its cause tells why it ended.
	sent time.Time
	got  int64
	end  error // of the body; io.EOF: it was read whole
}

// Begin begins a request.
func (w *Writer) Begin(form url.Values, body []byte) *Call {
	return &Call{w: w, form: form, body: body}
}

// RoundTrip makes one attempt. The answer passes unchanged.
func (c *Call) RoundTrip(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	c.End()
	a := &attempt{ctx: req.Context(), sent: time.Now()}
	a.Method, a.Headers = methodOf(req.Method), slices.Sorted(maps.Keys(req.Header))
	c.w.mu.Lock()
	c.w.n++
	a.N, a.At = c.w.n, a.sent.Sub(c.w.begun).Milliseconds()
	a.URL = c.w.r.url(req.URL.String())
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case c.form != nil:
		a.Form = c.w.r.query(c.form.Encode())
	case c.body != nil:
		a.Body = c.w.r.requestBody(c.body)
	}
	c.w.mu.Unlock()
	resp, err := next.RoundTrip(req)
	a.MS = time.Since(a.sent).Milliseconds()
	c.open = a
	if err != nil {
		a.Failure = Connection
		switch {
		case errors.Is(context.Cause(a.ctx), transport.ErrHeaderTimeout):
			a.Failure = Timeout
		case a.ctx.Err() != nil:
			a.Failure = Cancelled
		}
		return resp, err
	}
	a.Status = resp.StatusCode
	c.w.mu.Lock()
	a.Header = c.w.r.header(resp.Header, time.Now())
	c.w.mu.Unlock()
	resp.Body = &counted{body: resp.Body, a: a}
	return resp, nil
}

// counted is a body that is watched.
type counted struct {
	body io.ReadCloser
	a    *attempt
}

func (b *counted) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.a.got += int64(n)
	if err != nil && b.a.end == nil {
		b.a.end = err
	}
	return n, err
}

func (b *counted) Close() error { return b.body.Close() }

// Answer describes the body of the newest attempt, which is not kept.
func (c *Call) Answer(body []byte) {
	if c.open == nil {
		return
	}
	c.w.mu.Lock()
	if c.w.err == nil {
		c.open.Shape = c.w.r.shape(body)
	}
	c.w.mu.Unlock()
	c.End()
}

// End writes the newest attempt, if there is one that was not written yet.
func (c *Call) End() {
	a := c.open
	if a == nil {
		return
	}
	c.open = nil
	a.Size = a.got
	a.TotalMS = time.Since(a.sent).Milliseconds()
	redirect := a.Status >= 300 && a.Status <= 399
	if a.Status != 0 && a.Shape == nil && !redirect {
		switch {
		case a.end == nil:
			a.Failure = Unread
		case errors.Is(a.end, io.EOF):
		case errors.Is(context.Cause(a.ctx), transport.ErrSlowBody):
			a.Failure = Stalled
		case errors.Is(a.end, io.ErrUnexpectedEOF):
			a.Failure = Cut
		case a.ctx.Err() != nil:
			a.Failure = Cancelled
		default:
			a.Failure = Corrupt
		}
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.write(a.Exchange)
}
