package transport

import (
	"maps"
	"net/http"
	"net/url"
)

// maxRedirects is how many redirects of one request are followed, all on the server's own origin.
const maxRedirects = 5

// checkRedirect lets a redirect pass only where the credentials may go.
func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirects
	}
	last := via[len(via)-1]
	switch {
	case !c.Owns(r.URL), last.URL.Scheme == "https" && r.URL.Scheme != "https":
		return &ForeignError{To: r.URL}
	case r.Method != last.Method:
		// 301, 302 and 303 make a GET without a body of a POST: of a search, one without its parameters.
		return ErrRedirect
	}
	// net/http sends the address of the request before as Referer; it can hold ids.
	r.Header.Del("Referer")
	return nil
}

// guard puts headers and the token on requests to the server's origin, and sends no other request at all.
type guard struct {
	owns   func(*url.URL) bool
	header http.Header
	tokens *tokens
	next   http.RoundTripper
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	refuse := func(err error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	if !g.owns(r.URL) {
		return refuse(ErrForeignOrigin)
	}
	token, err := g.tokens.get(r.Context())
	if err != nil {
		return refuse(err)
	}
	out := r.Clone(r.Context())
	maps.Copy(out.Header, g.header)
	if token != nil {
		token.SetAuthHeader(out)
		sent(r, token)
	}
	resp, err := g.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 3 && !goodLocation(resp.Header.Get("Location")) {
		_ = resp.Body.Close()
		return nil, ErrRedirect // net/http would give an error without a type.
	}
	return resp, nil
}

func goodLocation(location string) bool {
	_, err := url.Parse(location)
	return err == nil && len(location) <= MaxLink
}
