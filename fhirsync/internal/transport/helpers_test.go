package transport_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

const base = "https://fhir.example.test/r4"

// server answers in process and keeps what it was asked.
type server struct {
	answer func(n int, r *http.Request) (*out, error)

	mu   sync.Mutex
	seen []*http.Request
	open int
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	n := len(s.seen)
	s.mu.Unlock()
	a, err := s.answer(n, r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.open++
	s.mu.Unlock()
	body := &counted{a.body, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	})}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: body, ContentLength: -1, Request: r}, nil
}

// out is an answer on its way out.
type out struct {
	status int
	header http.Header
	body   io.ReadCloser
}

type counted struct {
	io.ReadCloser
	done func()
}

func (c *counted) Close() error { c.done(); return c.ReadCloser.Close() }

// reply makes an answer; the pairs are headers.
func reply(status int, body string, header ...string) *out {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &out{status, h, io.NopCloser(strings.NewReader(body))}
}

func always(status int, body string, header ...string) func(int, *http.Request) (*out, error) {
	return func(int, *http.Request) (*out, error) { return reply(status, body, header...), nil }
}

// first answers badly for the first n requests and well afterwards.
func first(n, status int, body string, header ...string) func(int, *http.Request) (*out, error) {
	return func(i int, _ *http.Request) (*out, error) {
		if i <= n {
			return reply(status, body, header...), nil
		}
		return reply(http.StatusOK, "{}"), nil
	}
}

func address(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// client makes a client of the server, which is not held back by any rate.
func client(tb testing.TB, rt http.RoundTripper, change func(*transport.Options)) *transport.Client {
	tb.Helper()
	o := transport.Options{
		Base: address(tb, base), RoundTripper: rt, Limiter: ratelimit.New(ratelimit.Policy{Rate: -1, Concurrency: -1}),
		Pool: pagebuf.New(64<<20, 1<<20), MaxPacked: 1 << 20,
	}
	if change != nil {
		change(&o)
	}
	return transport.New(o)
}

func get(tb testing.TB, path string) *transport.Request {
	tb.Helper()
	return &transport.Request{URL: address(tb, base+path)}
}

// do sends a request, releases the answer, and gives its body.
func do(tb testing.TB, c *transport.Client, r *transport.Request) (status int, body string, err error) {
	tb.Helper()
	resp, err := c.Do(tb.Context(), r)
	if resp != nil {
		status, body = resp.Status, string(resp.Body())
		resp.Release()
	}
	return status, body, err
}

// took measures by the clock of the test's bubble.
func took(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}
