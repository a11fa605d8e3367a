package transport

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// Quirks is what is put on the requests of a Client, and taken from its answers, because the server wants it so.
type Quirks struct {
	Headers []Extra
	Params  []Extra
	Accept  string // "": the default
	// Wait are headers of refusals that say how long to wait, in order; NoQuotas makes those about quotas mean nothing.
	Wait     []quirks.WaitHeader
	NoQuotas bool
}

// Extra is a header or parameter.
type Extra struct {
	Name, Value  string
	UUID, Raw    bool
	Interactions []quirks.Interaction
}

// Adapt makes the client do what a server wants. It must not be called while requests are sent.
func (c *Client) Adapt(q Quirks) { c.quirks = q }

// due tells whether an extra belongs on a request.
func (x *Extra) due(r *Request) bool {
	return len(x.Interactions) == 0 || slices.Contains(x.Interactions, r.Op) || r.Later && slices.Contains(x.Interactions, quirks.Page)
}

// Address gives the address that a request is sent to: its own, with the parameters that the server wants.
func (c *Client) Address(r *Request) *url.URL {
	if r.Form != nil {
		return r.URL // they are in the form: some servers read either the form or the address.
	}
	u := *r.URL
	have := u.Query()
	for i := range c.quirks.Params {
		p := &c.quirks.Params[i]
		if !p.due(r) || have.Has(p.Name) {
			continue
		}
		value := url.QueryEscape(p.Value)
		if p.Raw {
			value = p.Value
		}
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(p.Name) + "=" + value
	}
	return &u
}

// form gives the form of a request with the parameters that the server wants.
func (c *Client) form(r *Request) string {
	var b strings.Builder
	b.WriteString(r.Form.Encode())
	for i := range c.quirks.Params {
		if p := &c.quirks.Params[i]; p.due(r) && !r.Form.Has(p.Name) {
			b.WriteString("&" + url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value))
		}
	}
	return strings.TrimPrefix(b.String(), "&")
}

// addHeaders puts the headers that the server wants on a request. Attempts to send it again repeat them.
func (c *Client) addHeaders(h http.Header, r *Request) {
	for i := range c.quirks.Headers {
		x := &c.quirks.Headers[i]
		switch {
		case !x.due(r):
		case x.UUID:
			h.Set(x.Name, newUUID())
		default:
			h.Set(x.Name, x.Value)
		}
	}
}

// newUUID makes a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails.
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// translated puts what this server's headers mean into the headers that everybody understands.
type translated struct {
	client *Client
	next   http.RoundTripper
}

func (t *translated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	q := &t.client.quirks
	if q.NoQuotas {
		for name := range resp.Header {
			if n := strings.ToLower(name); strings.HasPrefix(strings.TrimPrefix(n, "x-"), "ratelimit") || strings.HasPrefix(n, "x-rate-limit") {
				delete(resp.Header, name)
			}
		}
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	for _, h := range q.Wait {
		if wait, ok := waitIn(resp.Header.Get(h.Name), h.Unit); ok {
			resp.Header.Set("Retry-After-Ms", strconv.FormatInt(wait.Milliseconds(), 10))
			resp.Header.Del("X-Ms-Retry-After-Ms")
			break
		}
	}
	return resp, nil
}

// waitIn reads a wait.
func waitIn(text string, unit quirks.Unit) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	const most = 365 * 24 * 3600
	switch {
	case err != nil || n != n || n < 0:
		return 0, false
	case unit == quirks.Milliseconds:
		n /= 1000
	case unit == quirks.Epoch:
		n -= float64(time.Now().UnixMilli()) / 1000
	}
	return time.Duration(min(max(n, 0), most) * float64(time.Second)), true
}
