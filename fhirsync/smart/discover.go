package smart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Configuration is what a server says about authorization ([base]/.well-known/smart-configuration). Its URLs are absolute, and use TLS
// except on the loopback interface.
type Configuration struct {
	Issuer                string
	AuthorizationEndpoint string
	TokenEndpoint         string
	IntrospectionEndpoint string
	RevocationEndpoint    string
	JWKSURI               string

	GrantTypes       []string // grant_types_supported
	Capabilities     []string
	Scopes           []string // scopes_supported
	AuthMethods      []string // token_endpoint_auth_methods_supported
	SigningAlgs      []string // token_endpoint_auth_signing_alg_values_supported
	ChallengeMethods []string // code_challenge_methods_supported
}

// Bounds of what is read of an answer.
const (
	maxAnswer = 1 << 20
	timeout   = 30 * time.Second
)

var errInsecure = errors.New("smart: not an https URL (http is for the loopback interface only)")

// Discover reads the configuration of the server with this base URL. Of hc only the Transport is used; nil stands for the default one. A
// redirect is followed on the base's own origin only: who answers here decides where secrets are sent. Keep the result: asking
// again and again gives others more chances to answer.
func Discover(ctx context.Context, base string, hc *http.Client) (*Configuration, error) {
	root, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || root.Host == "" || root.User != nil || root.RawQuery != "" || root.Fragment != "" {
		return nil, errors.New("smart: the base is not the URL of a server")
	}
	if !secure(root) {
		return nil, errInsecure
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, root.String()+"/.well-known/smart-configuration", nil)
	if err != nil {
		return nil, errors.New("smart: the base is not the URL of a server")
	}
	req.Header.Set("Accept", "application/json")
	client := &http.Client{Transport: transportOf(hc), CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || r.URL.Scheme != root.Scheme || !strings.EqualFold(r.URL.Host, root.Host) || r.URL.User != nil {
			return errRedirect
		}
		r.Header.Del("Referer")
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &Error{Op: "discovery", Err: bare(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode}
	}
	body, err := readAll(resp.Body)
	if err != nil {
		return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode, Err: err}
	}
	var doc struct {
		Issuer                string   `json:"issuer"`
		AuthorizationEndpoint string   `json:"authorization_endpoint"`
		TokenEndpoint         string   `json:"token_endpoint"`
		IntrospectionEndpoint string   `json:"introspection_endpoint"`
		RevocationEndpoint    string   `json:"revocation_endpoint"`
		JWKSURI               string   `json:"jwks_uri"`
		GrantTypes            []string `json:"grant_types_supported"`
		Capabilities          []string `json:"capabilities"`
		Scopes                []string `json:"scopes_supported"`
		AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
		SigningAlgs           []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode, Err: errNotJSON}
	}
	c := &Configuration{
		Issuer: doc.Issuer, GrantTypes: doc.GrantTypes, Capabilities: doc.Capabilities, Scopes: doc.Scopes, AuthMethods: doc.AuthMethods,
		SigningAlgs: doc.SigningAlgs, ChallengeMethods: doc.ChallengeMethods,
	}
	if doc.TokenEndpoint == "" {
		return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode, Err: errors.New("no token endpoint")}
	}
	for _, e := range []struct {
		to   *string
		from string
	}{
		{&c.AuthorizationEndpoint, doc.AuthorizationEndpoint},
		{&c.TokenEndpoint, doc.TokenEndpoint},
		{&c.IntrospectionEndpoint, doc.IntrospectionEndpoint},
		{&c.RevocationEndpoint, doc.RevocationEndpoint},
		{&c.JWKSURI, doc.JWKSURI},
	} {
		if e.from == "" {
			continue
		}
		// They should be absolute; what is relative is so to the base.
		u, err := url.Parse(e.from)
		if err != nil {
			return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode, Err: errors.New("an endpoint that is no URL")}
		}
		u = (&url.URL{Scheme: root.Scheme, Host: root.Host, Path: root.Path + "/"}).ResolveReference(u)
		// Only a server on the loopback interface may name an endpoint there.
		if !secure(u) || u.Scheme == "http" && root.Scheme != "http" || u.User != nil || u.Fragment != "" {
			return nil, &Error{Op: "discovery", StatusCode: resp.StatusCode, Err: errInsecure}
		}
		*e.to = u.String()
	}
	return c, nil
}

// secure tells whether a secret may be sent to a URL.
func secure(u *url.URL) bool {
	if u.Host == "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		host := u.Hostname()
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.IsLoopback()
	}
	return false
}

func transportOf(hc *http.Client) http.RoundTripper {
	if hc != nil && hc.Transport != nil {
		return hc.Transport
	}
	return http.DefaultTransport
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("answer too large")
	}
	return body, err
}

// bare takes the address out of an error of net/http.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err
}

var (
	errRedirect = errors.New("a redirect, which is not followed")
	errNotJSON  = errors.New("answer is not JSON of the kind that was asked for")
)

// Error is a request to an authorization server that failed. errors.As finds an *oauth2.RetrieveError in it where the server has answered.
type Error struct {
	// Op is "discovery" or "token".
	Op string
	// StatusCode is that of the answer; 0: there was none. Code is its error code ("invalid_grant"), where it had one.
	StatusCode int
	Code       string
	// Err is the cause; may be nil.
	Err error
}

// Error gives status and code, and nothing that the server wrote in words.
func (e *Error) Error() string {
	s := "smart: " + e.Op
	if e.StatusCode != 0 {
		s += fmt.Sprintf(": %d", e.StatusCode)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if _, answered := errors.AsType[*oauth2.RetrieveError](e.Err); e.Err != nil && !answered {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
