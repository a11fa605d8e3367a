package fhirsync

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// fetching is what was asked for once, by whatever addresses.
type fetching struct {
	done chan struct{}
	err  error
}

// failed tells whether it has ended and not come: another address may bring it, with a signature that is still good, say.
func (f *fetching) failed() bool {
	select {
	case <-f.done:
		return f.err != nil
	default:
		return false
	}
}

// once has a thing asked for once in a sync: several addresses can lead to it.
func (e *elsewhere) once(ctx context.Context, key Key, fetch func() error) error {
	mine := &fetching{done: make(chan struct{})}
	for {
		e.mu.Lock()
		f := e.fetches[key]
		if f == nil || f.failed() {
			e.fetches[key] = mine
			e.mu.Unlock()
			break
		}
		e.mu.Unlock()
		select {
		case <-f.done:
			if f.err == nil {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	mine.err = fetch()
	close(mine.done)
	return mine.err
}

// admit decides whether one more request may be sent, and counts it.
func (e *elsewhere) admit(u *url.URL) error {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.hosts[host]
	switch {
	case e.o.Hosts != nil && !slices.Contains(e.o.Hosts, host):
		return errHostOmitted
	case known == nil && len(e.hosts) >= e.o.MaxHosts:
		return errManyHosts
	case e.requests >= e.o.MaxRequests:
		return errManyRequests
	case e.bytes >= e.o.MaxBytes:
		return errManyBytes
	case e.failures[host] >= elsewhereFailures:
		return errHostFails
	}
	if known == nil {
		known = &ElsewhereReport{Host: host}
		e.hosts[host] = known
	}
	known.Requests++
	e.requests++
	e.r.purpose[forReferences].Add(1)
	return nil
}

// limit gives what holds the requests to an origin back: each other server is asked as politely as the one that is synced.
func (e *elsewhere) limit(origin string, next http.RoundTripper) http.RoundTripper {
	e.mu.Lock()
	defer e.mu.Unlock()
	rt := e.limits[origin]
	if rt == nil {
		policy := e.r.client.cfg.Limit
		policy.Shared, policy.Limits, policy.MaxPause = nil, nil, elsewherePause // those are of the server itself.
		rt = ratelimit.New(policy).Transport(next)
		e.limits[origin] = rt
	}
	return rt
}

// get asks for what is at an address, once more where that may help. Its answer has the status 200, and is released by the caller.
func (e *elsewhere) get(ctx context.Context, typ string, u *url.URL, accept string, most int64, large bool) (*transport.Response, error) {
	for attempt := 1; ; attempt++ {
		start := time.Now()
		resp, err := e.http.Get(ctx, u, accept, most, large)
		if err == nil && resp.Status == http.StatusOK {
			size := len(resp.Body())
			if l := resp.Large(); l != nil {
				size = int(min(l.Size(), math.MaxInt))
			}
			e.note(u, false)
			e.mu.Lock()
			e.bytes += int64(size)
			e.mu.Unlock()
			e.r.emit(PageFetched{event: e.r.event(), Op: "read", Type: typ, Page: 1, Entries: 1, New: 1, Bytes: size, Took: time.Since(start)})
			return resp, nil
		}
		passing := err != nil && isPassing(err)
		if err == nil {
			passing = resp.Status >= http.StatusInternalServerError || resp.Status == http.StatusTooManyRequests
			err = &ServerError{Op: "read", Type: typ, StatusCode: resp.Status}
			resp.Release()
			e.note(u, false)
		} else {
			e.note(u, passing)
		}
		if !passing || attempt == 2 || ctx.Err() != nil {
			return nil, err
		}
		e.r.resent.Add(1)
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// isPassing tells whether an error is one of the connection.
func isPassing(err error) bool {
	for _, final := range []error{
		errManyHosts, errManyRequests, errManyBytes, errHostOmitted, errHostFails, transport.ErrNotHTTPS, transport.ErrOwnOrigin, transport.ErrPrivate, transport.ErrTLS,
		transport.ErrRedirect, transport.ErrRedirects, transport.ErrEncoding, transport.ErrHeaders, pagebuf.ErrTooLarge, errLate, context.Canceled,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// note keeps count of connections that fail.
func (e *elsewhere) note(u *url.URL, failed bool) {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed {
		e.failures[host]++
	} else {
		delete(e.failures, host)
	}
}

// hostOf gives the host of an address as reports have it.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && (port != "443" || u.Scheme != "https") {
		host += ":" + port
	}
	return host
}

// longestHost is the length of a host and its port (http://www.rfc-editor.org/rfc/rfc1035#section-2.3.4).
const longestHost = 255 + len(":65535")

// hostIn is hostOf for an address as it was written; "" where there is none.
func hostIn(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(u.Host) > longestHost {
		return ""
	}
	return hostOf(u)
}

// originOf gives the origin of an address as a base URL.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + hostOf(u)
}
