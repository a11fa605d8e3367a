package transport

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/oauth2"
)

// maxRedirects is how many redirects of one request are followed, all on the server's own origin.
const maxRedirects = 5

// checkRedirect lets a redirect pass only where the credentials may go.
func checkRedirect(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return ErrRedirects
		}
		if !SameOrigin(base, r.URL) || len(via) > 0 && via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return ErrForeignOrigin
		}
		// net/http sends the address of the request before as Referer; it can hold ids.
		r.Header.Del("Referer")
		return nil
	}
}

// guard puts headers and the token on requests to the server's origin, and sends no other request at all.
type guard struct {
	base   *url.URL
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
	if !SameOrigin(g.base, r.URL) {
		return refuse(ErrForeignOrigin)
	}
	token, err := g.tokens.get()
	if err != nil {
		return refuse(err)
	}
	out := r.Clone(r.Context())
	maps.Copy(out.Header, g.header)
	if token != nil {
		token.SetAuthHeader(out)
		sent(r, token)
	}
	return g.next.RoundTrip(out)
}

// Renewer is what an oauth2.TokenSource may implement beside: after a 401, Renew is asked for another token than the rejected one.
type Renewer interface {
	Renew(rejected *oauth2.Token) (*oauth2.Token, error)
}

// tokens hands out tokens and renews them, one at a time.
type tokens struct {
	source oauth2.TokenSource // nil: none
	renew  func(*oauth2.Token) (*oauth2.Token, error)

	mu       sync.Mutex
	rejected map[string]*oauth2.Token // what a rejected access token was replaced by
}

func (t *tokens) get() (*oauth2.Token, error) {
	if t.source == nil {
		return nil, nil //nolint:nilnil // no source, no token, nothing wrong.
	}
	token, err := t.source.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.rejected[token.AccessToken]; other != nil {
		return other, nil
	}
	return token, nil
}

// replace asks for another token than the rejected one; false where there is none. Many requests that were rejected with the same token
// are served by one renewal.
func (t *tokens) replace(rejected *oauth2.Token) bool {
	if t.renew == nil || rejected == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, done := t.rejected[rejected.AccessToken]; done {
		return t.rejected[rejected.AccessToken] != nil
	}
	token, err := t.renew(rejected)
	if err != nil || token == nil || token.AccessToken == rejected.AccessToken {
		token = nil
	}
	if t.rejected == nil {
		t.rejected = map[string]*oauth2.Token{}
	}
	t.rejected[rejected.AccessToken] = token
	return token != nil
}
