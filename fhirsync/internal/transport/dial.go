package transport

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Hosts knows which hosts may be reached in private networks. A server in the public network must not be able to lead its client to
// something that only the client can reach, such as a cloud's metadata service: neither by a link, nor by a name that suddenly stands for
// another address. A server that is in a private network itself, because its caller says so, is reached like any other.
type Hosts struct {
	mu    sync.Mutex
	named map[string]reach
}

// reach is where a host that the caller named was found.
type reach int

const (
	unknown reach = iota
	inside        // in a private network
	outside       // never again anywhere else
)

// Name notes a host that the caller has named.
func (h *Hosts) Name(u *url.URL) { h.name(u.Hostname()) }

func (h *Hosts) name(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.named == nil {
		h.named = map[string]reach{}
	}
	if host = plainHost(host); h.named[host] == unknown {
		h.named[host] = unknown
	}
}

func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// allow decides about an address that a host name stands for.
func (h *Hosts) allow(host string, ip netip.Addr) bool {
	private := isPrivate(ip)
	h.mu.Lock()
	defer h.mu.Unlock()
	host = plainHost(host)
	where, named := h.named[host]
	switch {
	case !named:
		return !private
	case where == unknown && private:
		h.named[host] = inside
	case where == unknown:
		h.named[host] = outside
	case where == outside:
		return !private
	}
	return true
}

var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate tells whether an address is none of the public network.
func isPrivate(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || carrierGrade.Contains(ip)
}

// RoundTripper makes the library's own transport, for callers that bring none.
func (h *Hosts) RoundTripper() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // somebody has put another one there: it is not ours to use.
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 16
	t.ReadBufferSize = 64 << 10
	t.MaxResponseHeaderBytes = 1 << 20
	t.DialContext = h.dial
	proxy := t.Proxy
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if proxy == nil {
			return nil, nil //nolint:nilnil // no proxy, nothing wrong.
		}
		u, err := proxy(r)
		if u != nil {
			h.Name(u) // named by whoever runs the program; they are often in a private network.
		}
		return u, err
	}
	return t
}

func (h *Hosts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	// Control sees the address that is really dialled, after the name was resolved.
	d.Control = func(_, target string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(target)
		if err != nil {
			return err
		}
		if !h.allow(host, at.Addr().WithZone("")) {
			return ErrPrivate
		}
		return nil
	}
	return d.DialContext(ctx, network, address)
}
