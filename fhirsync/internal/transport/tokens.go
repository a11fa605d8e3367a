package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Renewer is what an oauth2.TokenSource may implement beside: after a 401, Renew is asked for another token than the rejected one.
type Renewer interface {
	Renew(rejected *oauth2.Token) (*oauth2.Token, error)
}

// tokens hands out tokens and renews them. At most one call to the source is under way, and its result serves all who wait for it; who
// waits gives up with its context, so that a source that never answers hangs nobody.
type tokens struct {
	source   oauth2.TokenSource // nil: none
	renew    func(*oauth2.Token) (*oauth2.Token, error)
	patience time.Duration // with the source

	mu       sync.Mutex
	asking   *asked                   // the call under way; nil: none
	failed   error                    // of the source, for good: it is not asked again
	latest   string                   // the access token that was handed out last
	proven   string                   // the one that a server has accepted last
	replaced map[string]*oauth2.Token // what a rejected access token was replaced by; nil: by nothing
	scope    string                   // as a token said it
	renewed  map[string]bool          // tokens that came by renewal
	futile   int                      // renewals in a row that have not helped the request for which they were made
	futileAt time.Time
}

// asked is a call to the source.
type asked struct {
	done  chan struct{}
	token *oauth2.Token
	err   error
}

// Renewals that do not help are about what was asked for, and not about the token.
const (
	maxFutile   = 3
	futilePause = time.Minute
)

var errNoToken = errors.New("the token source gave nothing")

// call asks the source, in its own goroutine. The caller holds mu.
func (t *tokens) call(fn func() (*oauth2.Token, error)) *asked {
	a := &asked{done: make(chan struct{})}
	t.asking = a
	go func() {
		a.token, a.err = fn()
		if a.err == nil && a.token == nil {
			a.err = errNoToken
		}
		t.mu.Lock()
		t.asking = nil
		if a.err != nil && isFinal(a.err) {
			t.failed = a.err
		}
		t.mu.Unlock()
		close(a.done)
	}()
	return a
}

// wait waits for a call to the source.
func (t *tokens) wait(ctx context.Context, a *asked) (*oauth2.Token, error) {
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return nil, fmt.Errorf("%w: %w", ErrToken, ErrHeaderTimeout)
	}
	if a.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, a.err)
	}
	return a.token, nil
}

// get gives a token for a request.
func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	if t.source == nil {
		return nil, nil //nolint:nilnil // no source, no token, nothing wrong.
	}
	t.mu.Lock()
	if t.failed != nil {
		defer t.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrToken, t.failed)
	}
	a := t.asking
	if a == nil {
		a = t.call(t.source.Token)
	}
	t.mu.Unlock()
	token, err := t.wait(ctx, a)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// Most sources give a rejected token again until its time is over.
	for range len(t.replaced) {
		next := t.replaced[token.AccessToken]
		if next == nil {
			break
		}
		token = next
	}
	t.latest = token.AccessToken
	if scope, ok := token.Extra("scope").(string); ok {
		t.scope = scope
	}
	return token, nil
}

// Scope is what the tokens so far say that the grant covers; "": they do not.
func (c *Client) Scope() string {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	return c.tokens.scope
}

// accepted notes that a server has answered a request with this token, and not by a 401. helped: it was sent again after a renewal.
func (t *tokens) accepted(token *oauth2.Token, helped bool) {
	if token == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proven = token.AccessToken
	if helped {
		t.futile = 0
	}
}

// useless notes that a request was rejected again after a renewal.
func (t *tokens) useless() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.futile++
	t.futileAt = time.Now()
}

// replace asks for another token than the rejected one; false where there is none. Many requests that were rejected with the same token
// are served by one renewal. The error says that it could not be had just now.
func (t *tokens) replace(ctx context.Context, rejected *oauth2.Token) (bool, error) {
	if t.renew == nil || rejected == nil {
		return false, nil
	}
	t.mu.Lock()
	for t.asking != nil {
		a := t.asking
		t.mu.Unlock()
		select {
		case <-a.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		t.mu.Lock()
	}
	if next, done := t.replaced[rejected.AccessToken]; done {
		t.mu.Unlock()
		return next != nil, nil
	}
	switch {
	case t.failed != nil,
		t.renewed[rejected.AccessToken] && t.proven != rejected.AccessToken, // new, and nobody accepts it.
		t.futile >= maxFutile && time.Since(t.futileAt) < futilePause:
		t.mu.Unlock()
		return false, nil //nolint:nilerr // that there is no other token is no error: the 401 is final.
	case t.latest != rejected.AccessToken:
		t.mu.Unlock()
		return true, nil // there is a newer one already.
	}
	a := t.call(func() (*oauth2.Token, error) {
		token, err := t.renew(rejected)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.replaced == nil {
			t.replaced, t.renewed = map[string]*oauth2.Token{}, map[string]bool{}
		}
		switch {
		case err != nil && !isFinal(err):
			return nil, err // it may be had later.
		case err != nil, token == nil, token.AccessToken == rejected.AccessToken:
			t.replaced[rejected.AccessToken] = nil
			if err == nil {
				// Who waits for a token beside gets the old one: for other things it may still be good.
				return rejected, nil
			}
			return nil, err
		}
		t.replaced[rejected.AccessToken], t.renewed[token.AccessToken] = token, true
		return token, nil
	})
	t.mu.Unlock()
	token, err := t.wait(ctx, a)
	if err != nil {
		return false, err
	}
	return token.AccessToken != rejected.AccessToken, nil
}

// isFinal tells whether a token source that failed like this need not be asked again.
func isFinal(err error) bool {
	var (
		retrieve *oauth2.RetrieveError
		network  net.Error
		address  *url.Error
	)
	if errors.As(err, &retrieve) {
		status := 0
		if retrieve.Response != nil {
			status = retrieve.Response.StatusCode
		}
		switch retrieve.ErrorCode {
		case "temporarily_unavailable", "slow_down", "server_error":
			return false
		case "":
			// Without a code it may be anything: Epic's token endpoint was seen to answer a bare 400 now and then, and to accept the same
			// request later.
			return status != 0 && status < http.StatusInternalServerError && status != http.StatusTooManyRequests &&
				status != http.StatusRequestTimeout && status != http.StatusBadRequest
		}
		return status < http.StatusInternalServerError && status != http.StatusTooManyRequests
	}
	passing := errors.As(err, &network) || errors.As(err, &address) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.DeadlineExceeded)
	return !passing
}
