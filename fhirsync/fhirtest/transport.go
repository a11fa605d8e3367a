package fhirtest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// RoundTripper gives a transport that reaches the server without sockets: requests below BaseURL are answered in process,
// all others fail like a host name that nobody knows, and are logged as Foreign. No goroutines are started and time is
// only read and waited for by package time, so it works inside a bubble of testing/synctest. The transport honours the
// context of the request before the headers and while the body is read, announces Content-Length, ends a truncated body
// with io.ErrUnexpectedEOF, and, like http.Transport, unpacks gzip for clients that did not ask for it by themselves.
// It may be used concurrently.
func (s *Server) RoundTripper() http.RoundTripper { return roundTripper{s} }

// Client gives an http.Client over RoundTripper, without a timeout.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.RoundTripper()} }

// Alias makes the in-process transport answer below another base URL too, as a second name of the same server. Requests
// there are logged as Foreign all the same: a test can see whether credentials were sent to an origin that would take them.
func (s *Server) Alias(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases = append(s.aliases, strings.TrimRight(base, "/"))
}

// Unclosed counts the bodies of in-process answers that nobody closed so far.
func (s *Server) Unclosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unclosed
}

type roundTripper struct{ s *Server }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // a transport must close it, and has read all there was.
		if err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	inner, foreign := t.s.address(r)
	if inner == nil {
		t.s.foreign(r)
		host := r.URL.Hostname()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	address := *r.URL
	address.Fragment = ""
	rep, entry := t.s.respond(inner, body, address.String())
	if foreign {
		t.s.markForeign(entry)
	}
	if rep.hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if err := wait(ctx, rep.delay); err != nil {
		return nil, err
	}
	if rep.lost {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	t.s.finish(entry, rep.status)
	return t.s.response(r, rep), nil
}

// address maps the request into the server; nil: another host, or a path beside all bases.
func (s *Server) address(r *http.Request) (inner *http.Request, foreign bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	base, err := url.Parse(s.base)
	if err != nil {
		return nil, true
	}
	if sameOrigin(base, r.URL) {
		return r, false
	}
	for _, a := range s.aliases {
		alias, err := url.Parse(a)
		if err != nil || !sameOrigin(alias, r.URL) {
			continue
		}
		rest, ok := strings.CutPrefix(r.URL.Path, alias.Path)
		if !ok {
			continue
		}
		mapped := *r.URL
		mapped.Path, mapped.RawPath = base.Path+rest, ""
		inner = r.Clone(r.Context())
		inner.URL = &mapped
		return inner, true
	}
	return nil, true
}

func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// foreign logs a request that went elsewhere.
func (s *Server) foreign(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{method: r.Method, url: r.URL, header: r.Header, path: r.URL.Path, query: r.URL.Query(), kind: Foreign}
	s.begin(c, r.URL.String())
}

func (s *Server) markForeign(entry *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Interaction = Foreign
}

// response makes what http.Transport would have made of the reply.
func (s *Server) response(r *http.Request, rep *reply) *http.Response {
	h := rep.header.Clone()
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	res := &http.Response{
		Status: strconv.Itoa(rep.status) + " " + http.StatusText(rep.status), StatusCode: rep.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: r,
	}
	asked := acceptsGzip(r.Header)
	if s.Gzip && asked && h.Get("Content-Encoding") == "" {
		rep.body = compress(rep.body)
		h.Set("Content-Encoding", "gzip")
	}
	b := &body{ctx: r.Context(), rep: rep, closed: make(chan struct{}), done: func() {
		s.mu.Lock()
		s.unclosed--
		s.mu.Unlock()
	}}
	s.mu.Lock()
	s.unclosed++
	s.mu.Unlock()
	switch {
	case h.Get("Content-Encoding") == "gzip" && r.Header.Get("Accept-Encoding") == "":
		h.Del("Content-Encoding")
		res.Uncompressed, res.ContentLength = true, -1
		res.Body = &unpacked{raw: b}
	case rep.chunked:
		res.ContentLength, res.TransferEncoding = -1, []string{"chunked"}
		res.Body = b
	default:
		res.ContentLength = int64(len(rep.body))
		h.Set("Content-Length", strconv.Itoa(len(rep.body)))
		res.Body = b
	}
	if r.Method == http.MethodHead {
		rep.body, rep.cut = nil, -1
	}
	return res
}

// body streams a reply. Close may be called while Read waits.
type body struct {
	ctx    context.Context //nolint:containedctx // a response body lives as long as its request's context.
	rep    *reply
	pos    int
	once   sync.Once
	closed chan struct{}
	done   func()
}

var errBodyClosed = errors.New("fhirtest: read on closed body")

func (b *body) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, errBodyClosed
	case <-b.ctx.Done():
		return 0, context.Cause(b.ctx)
	default:
	}
	if len(p) == 0 {
		return 0, nil
	}
	end := len(b.rep.body)
	broken := b.rep.cut >= 0 && b.rep.cut < end
	if broken {
		end = b.rep.cut
	}
	if b.pos == end {
		switch {
		case b.rep.stall:
			return 0, b.pause(nil)
		case broken || (b.rep.cut >= 0 && b.rep.chunked):
			return 0, io.ErrUnexpectedEOF
		default:
			return 0, io.EOF
		}
	}
	if b.rep.trickle > 0 {
		t := time.NewTimer(b.rep.trickle)
		defer t.Stop()
		if err := b.pause(t.C); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rep.body[b.pos:min(end, b.pos+b.rep.piece)])
	b.pos += n
	return n, nil
}

// pause waits for the timer, the end of the request or Close.
func (b *body) pause(timer <-chan time.Time) error {
	select {
	case <-timer:
		return nil
	case <-b.closed:
		return errBodyClosed
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

func (b *body) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.done()
	})
	return nil
}

// unpacked is a body packed with gzip that is unpacked on the way, as http.Transport does.
type unpacked struct {
	raw *body
	zr  io.Reader
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.zr == nil {
		zr, err := gzip.NewReader(u.raw)
		if err != nil {
			return 0, err
		}
		u.zr = zr
	}
	return u.zr.Read(p)
}

func (u *unpacked) Close() error { return u.raw.Close() }
