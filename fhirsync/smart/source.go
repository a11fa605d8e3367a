package smart

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Refresher is what [NewRefresher] makes a [Source] of: a grant of a user, with a refresh token.
type Refresher struct {
	// TokenURL is the token endpoint.
	TokenURL string
	ClientID string
	// Secret or Key authenticate a confidential client; with neither it is a public one. The secret is sent as HTTP Basic.
	Secret string
	Key    *Key
	// Token is what the grant gave, or what the last OnToken was told: its refresh token counts. Its access token is used as long as it is
	// good.
	Token *oauth2.Token
	// Scopes asks for fewer than were granted. nil: all.
	Scopes []string
	// OnToken is told of each new token before it is used. Many servers give a new refresh token with it, and the old one is then dead: what
	// OnToken does not keep is lost. Until it returns nil, the token is not used, and it is told again. nil: nobody is told, which is for
	// servers that are known not to replace refresh tokens. It is never called twice at once.
	OnToken func(*oauth2.Token) error
	// HTTPClient gives its Transport. nil: the default one.
	HTTPClient *http.Client
}

// Backend is what [NewBackend] makes a [Source] of: a system that authorizes itself (SMART Backend Services).
type Backend struct {
	// TokenURL is the token endpoint.
	TokenURL string
	ClientID string
	Key      *Key
	// Scopes are asked for: "system/*.rs", say.
	Scopes []string
	// Audience is the "aud" of the assertion, where the server wants another one than TokenURL. "": TokenURL.
	Audience string
	// HTTPClient gives its Transport. nil: the default one.
	HTTPClient *http.Client
}

// Source is an oauth2.TokenSource that gets a new token in time, and another one when Renew is asked for it. Safe for concurrent use. Its
// life is not bound to a context: a request of its own takes at most half a minute, and is tried again a few times where it failed in
// passing.
type Source struct {
	tokenURL, clientID, secret, audience string
	key                                  *Key
	form                                 url.Values // of every request, beside what changes
	onToken                              func(*oauth2.Token) error
	client                               *http.Client
	needsRefresh                         bool // a refresh token

	// turn is held while a token is asked for, so that one answer serves all who wait. It is a channel and not a mutex because those who wait
	// for a mutex keep the clock of testing/synctest from going on.
	turn    chan struct{}
	token   *oauth2.Token
	told    bool  // onToken has accepted token
	dead    error // the grant has ended
	refresh string
}

var _ oauth2.TokenSource = (*Source)(nil)

// NewRefresher makes a source of tokens for what a user has granted. The error says what is wrong with r; nothing is asked yet.
func NewRefresher(r Refresher) (*Source, error) {
	if r.Token == nil || r.Token.RefreshToken == "" {
		return nil, errors.New("smart: no refresh token")
	}
	s := &Source{
		tokenURL: r.TokenURL, clientID: r.ClientID, secret: r.Secret, audience: r.TokenURL, key: r.Key, onToken: r.OnToken, needsRefresh: true,
		form:  url.Values{"grant_type": {"refresh_token"}},
		token: r.Token, told: true, refresh: r.Token.RefreshToken,
	}
	if len(r.Scopes) > 0 {
		s.form.Set("scope", strings.Join(r.Scopes, " "))
	}
	if r.Secret != "" && r.Key != nil {
		return nil, errors.New("smart: a client has a secret or a key, not both")
	}
	return s.ready(r.HTTPClient, r.Key != nil)
}

// NewBackend makes a source of tokens for a system. The error says what is wrong with b; nothing is asked yet.
func NewBackend(b Backend) (*Source, error) {
	if len(b.Scopes) == 0 {
		return nil, errors.New("smart: no scopes")
	}
	s := &Source{
		tokenURL: b.TokenURL, clientID: b.ClientID, audience: b.Audience, key: b.Key,
		form: url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Join(b.Scopes, " ")}},
	}
	if s.audience == "" {
		s.audience = b.TokenURL
	}
	return s.ready(b.HTTPClient, true)
}

func (s *Source) ready(hc *http.Client, needsKey bool) (*Source, error) {
	u, err := url.Parse(s.tokenURL)
	switch {
	case err != nil, !secure(u):
		return nil, errInsecure
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("smart: the token endpoint is not a plain URL")
	case s.clientID == "":
		return nil, errors.New("smart: no client id")
	}
	if needsKey {
		if _, err := s.key.alg(); err != nil {
			return nil, err
		}
	}
	s.turn = make(chan struct{}, 1)
	s.client = &http.Client{Transport: transportOf(hc), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a secret goes where the caller says, and nowhere else.
	}}
	return s, nil
}

// Token gives a token that is good for a while: the one at hand, or a new one.
func (s *Source) Token() (*oauth2.Token, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.token != nil && s.fresh(time.Now()) {
		return s.hand()
	}
	return s.next()
}

// Renew gives another token than the one that a server has rejected, although that seemed to be good.
func (s *Source) Renew(rejected *oauth2.Token) (*oauth2.Token, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.token != nil && rejected != nil && s.token.AccessToken != rejected.AccessToken && s.fresh(time.Now()) {
		return s.hand() // somebody else has renewed it meanwhile.
	}
	return s.next()
}

// fresh tells whether the token at hand is good for a while: a tenth of its life, half a minute at most, since requests take time.
func (s *Source) fresh(now time.Time) bool {
	if s.token.AccessToken == "" {
		return false
	}
	if s.token.Expiry.IsZero() {
		return true
	}
	margin := 30 * time.Second
	if life := time.Duration(s.token.ExpiresIn) * time.Second; life > 0 {
		margin = min(margin, life/10)
	}
	return s.token.Expiry.Sub(now) > margin
}

// hand gives the token at hand, after the caller has been told of it.
func (s *Source) hand() (*oauth2.Token, error) {
	if !s.told {
		if err := s.onToken(s.token); err != nil {
			return nil, errors.Join(errors.New("smart: the new token could not be kept"), err)
		}
		s.told = true
	}
	return s.token, nil
}

// How often a token is asked for when it failed in passing, and how long is waited between.
const (
	tries   = 3
	pause   = time.Second
	longest = 30 * time.Second // Retry-After that is waited for
)

// next asks for a token.
func (s *Source) next() (*oauth2.Token, error) {
	if s.dead != nil {
		return nil, s.dead
	}
	if s.token != nil && !s.told {
		// The answer before this one brought a refresh token that was not kept yet. To use it now would lose it for good.
		if _, err := s.hand(); err != nil {
			return nil, err
		}
	}
	var fail *Error
	for try := range tries {
		token, wait, err := s.ask()
		if err == nil {
			if token.RefreshToken == "" {
				token.RefreshToken = s.refresh // the old one stays good.
			}
			s.refresh = token.RefreshToken
			s.token, s.told = token, s.onToken == nil
			return s.hand()
		}
		if fail = err; fail.ended() {
			s.dead = fail
		}
		if !fail.passing() || wait > longest || try == tries-1 {
			break
		}
		time.Sleep(max(wait, pause<<try))
	}
	return nil, fail
}

// ended tells whether the grant, or the client, is not accepted, so that it is of no use to ask ever again.
func (e *Error) ended() bool {
	switch e.Code {
	case "", "temporarily_unavailable", "slow_down", "server_error":
		return false
	}
	return e.StatusCode/100 == 4 && e.StatusCode != http.StatusTooManyRequests && e.StatusCode != http.StatusRequestTimeout
}

// passing tells whether it may help to ask again at once. A bare 400 is among that: Epic was seen to give one now and then for what it
// accepts a moment later.
func (e *Error) passing() bool {
	switch {
	case e.ended() || errors.Is(e, errRedirect) || errors.Is(e, errSign):
		return false
	case e.StatusCode == 0, e.StatusCode == http.StatusOK, e.StatusCode >= http.StatusInternalServerError:
		return true
	}
	return e.StatusCode == http.StatusBadRequest || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
}

// ask asks once. wait is what the answer asked for; 0: nothing.
func (s *Source) ask() (_ *oauth2.Token, wait time.Duration, _ *Error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	form := url.Values{}
	maps.Copy(form, s.form)
	if s.needsRefresh {
		form.Set("refresh_token", s.refresh)
	}
	now := time.Now()
	switch {
	case s.key != nil:
		jwt, err := s.key.assertion(s.clientID, s.audience, now)
		if err != nil {
			return nil, 0, &Error{Op: "token", Err: err}
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", jwt)
	case s.secret == "":
		form.Set("client_id", s.clientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, &Error{Op: "token", Err: errInsecure} // New has looked at it.
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if s.secret != "" {
		req.SetBasicAuth(url.QueryEscape(s.clientID), url.QueryEscape(s.secret)) // RFC 6749, section 2.3.1.
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, &Error{Op: "token", Err: bare(err)}
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body)
	if err != nil {
		return nil, 0, &Error{Op: "token", StatusCode: resp.StatusCode, Err: err}
	}
	if resp.StatusCode == http.StatusOK {
		token, err := ParseToken(body, now)
		if err != nil {
			return nil, 0, &Error{Op: "token", StatusCode: resp.StatusCode, Err: err}
		}
		return token, 0, nil
	}
	return nil, retryAfter(resp.Header, now), failure(resp, body)
}

// retryAfter reads the usual header; 0: it is not there.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 {
		return time.Duration(min(n, 1e6) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// failure makes the error of an answer that brings no token, out of what is harmless in it.
func failure(resp *http.Response, body []byte) *Error {
	e := &Error{Op: "token", StatusCode: resp.StatusCode}
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil {
		e.Code = code(answer.Error)
	}
	if resp.StatusCode/100 == 3 {
		e.Err = errRedirect
		return e
	}
	e.Err = &oauth2.RetrieveError{Response: &http.Response{StatusCode: resp.StatusCode, Status: resp.Status, Header: http.Header{}}, ErrorCode: e.Code}
	return e
}

// code keeps an error code if it looks like one.
func code(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
		return ""
	}
	return s
}
