package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
)

// Bounds of one request to a server elsewhere.
const (
	elsewhereDial   = 10 * time.Second
	elsewhereHeader = 30 * time.Second
	elsewhereTotal  = 10 * time.Minute
)

// Errors of requests to servers elsewhere.
var (
	// ErrNotHTTPS: the address, or one that it redirects to, is none of https, or has a user in it.
	ErrNotHTTPS = errors.New("address is not https")
	// ErrOwnOrigin: what was to be fetched elsewhere leads back to the server itself.
	ErrOwnOrigin = errors.New("leads back to the server")
)

// ElsewhereOptions make an Elsewhere.
type ElsewhereOptions struct {
	// Own tells which addresses are the server's own: they are not asked here, where no credential is sent.
	Own func(*url.URL) bool
	// Admit is asked before each request, redirects included; its error ends it.
	Admit func(*url.URL) error
	// Limit gives what holds the requests to an origin back.
	Limit func(origin string, next http.RoundTripper) http.RoundTripper
	// Permit decides about addresses that are not public. nil: none is permitted.
	Permit func(netip.AddrPort) bool
	// Roots are whose certificates are accepted; nil: the system's.
	Roots *x509.CertPool
	Pool  *pagebuf.Pool
}

// Elsewhere fetches from other servers than the one that is asked. It has nothing that is meant for that one: no token, no headers, no
// client certificate, no cookies, no proxy (which would look names up itself), and none of the caller's http.RoundTripper. It speaks https alone, and
// only with hosts of the public network, whatever a name stands for by the time it is dialled. Safe for concurrent use.
type Elsewhere struct {
	o    ElsewhereOptions
	base *http.Transport
	rt   http.RoundTripper
}

// NewElsewhere makes an Elsewhere. Close frees its connections.
func NewElsewhere(o ElsewhereOptions) *Elsewhere {
	e := &Elsewhere{o: o}
	e.base = &http.Transport{
		DialContext: e.dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: elsewhereDial, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
	}
	e.rt = &deadlines{next: e.base, header: elsewhereHeader}
	return e
}

// Close frees the connections that are not in use.
func (e *Elsewhere) Close() { e.base.CloseIdleConnections() }

func (e *Elsewhere) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: elsewhereDial}
	// Control sees the address that is really dialled, after the name was resolved.
	d.Control = func(_, target string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(target)
		if err != nil {
			return ErrPrivate
		}
		if !IsPublic(at.Addr()) && (e.o.Permit == nil || !e.o.Permit(at)) {
			return ErrPrivate
		}
		return nil
	}
	return d.DialContext(ctx, network, address)
}

// allowed tells whether an address may be asked at all.
func (e *Elsewhere) allowed(u *url.URL) error {
	switch {
	case u.Scheme != "https" || u.User != nil || u.Opaque != "" || u.Hostname() == "":
		return ErrNotHTTPS
	case e.o.Own(u):
		return ErrOwnOrigin
	}
	return e.o.Admit(u)
}

// Get fetches what is at an address, most bytes of it. With large, what does not fit into a small page goes into a file. The caller releases the
// answer, whose status may be any but a redirect. Errors have no address in them.
func (e *Elsewhere) Get(ctx context.Context, u *url.URL, accept string, most int64, large bool) (*Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, elsewhereTotal, ErrSlowBody)
	defer cancel()
	for range maxRedirects + 1 {
		resp, next, err := e.hop(ctx, u, accept, most, large)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, bare(err)
		}
		if next == nil {
			return resp, nil
		}
		u = next
	}
	return nil, ErrRedirects
}

// hop sends one request, and gives its answer or where it redirects to.
func (e *Elsewhere) hop(ctx context.Context, u *url.URL, accept string, most int64, large bool) (*Response, *url.URL, error) {
	if err := e.allowed(u); err != nil {
		return nil, nil, err
	}
	bareURL := *u
	bareURL.Fragment, bareURL.RawFragment = "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, bareURL.String(), http.NoBody)
	if err != nil {
		return nil, nil, ErrNotHTTPS
	}
	req.Header.Set("Accept", cmp.Or(accept, "*/*"))
	req.Header.Set("User-Agent", "fhirsync-go")
	resp, err := e.o.Limit(Origin(u), e.rt).RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it is needed.
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		location := resp.Header.Get("Location")
		next, err := url.Parse(location)
		if err != nil || location == "" || len(location) > MaxLink {
			return nil, nil, ErrRedirect
		}
		return nil, u.ResolveReference(next), nil
	}
	if resp.Header.Get("Content-Encoding") != "" && resp.Header.Get("Content-Encoding") != "identity" {
		return nil, nil, ErrEncoding // gzip is unpacked by now.
	}
	buf, err := e.o.Pool.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	out := &Response{Status: resp.StatusCode, Header: resp.Header, URL: u, buf: buf}
	switch {
	case resp.StatusCode != http.StatusOK:
		// What it says is of no use: nobody trusts it.
	case large:
		out.large, err = fillLarge(ctx, buf, resp.Body, most)
	default:
		err = buf.Fill(ctx, &capped{r: resp.Body, left: most})
	}
	if err != nil {
		out.Release()
		return nil, nil, err
	}
	return out, nil, nil
}

// bare gives an error without the address that net/http puts around it.
func bare(err error) error {
	if address, ok := errors.AsType[*url.Error](err); ok {
		err = address.Err
	}
	if errors.Is(err, ErrPrivate) {
		return ErrPrivate
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return classify(err)
}
