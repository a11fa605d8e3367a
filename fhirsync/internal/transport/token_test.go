package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

// source gives the same token until it is renewed.
type source struct {
	asked, renewals atomic.Int32
	fail            func(n int32) error
	renewFail       func(n int32) error
	took            time.Duration
	sticky          bool // Token goes on giving the first one, as oauth2.ReuseTokenSource does
}

func (s *source) Token() (*oauth2.Token, error) {
	n := s.asked.Add(1)
	time.Sleep(s.took)
	if s.fail != nil {
		if err := s.fail(n); err != nil {
			return nil, err
		}
	}
	if s.sticky {
		return &oauth2.Token{AccessToken: "t0"}, nil
	}
	return &oauth2.Token{AccessToken: fmt.Sprintf("t%d", s.renewals.Load())}, nil
}

func (s *source) Renew(*oauth2.Token) (*oauth2.Token, error) {
	n := s.renewals.Add(1)
	time.Sleep(s.took)
	if s.renewFail != nil {
		if err := s.renewFail(n); err != nil {
			return nil, err
		}
	}
	return &oauth2.Token{AccessToken: fmt.Sprintf("t%d", n)}, nil
}

func with(s *source, renew bool) func(*transport.Options) {
	return func(o *transport.Options) {
		o.Tokens = s
		if renew {
			o.Renew = s.Renew
		}
	}
}

// rejecting answers 401 to all tokens that are not good.
func rejecting(good func(token string, r *http.Request) bool) *server {
	return &server{answer: func(_ int, r *http.Request) (*out, error) {
		time.Sleep(10 * time.Millisecond)
		if good(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r) {
			return reply(http.StatusOK, "{}"), nil
		}
		return reply(http.StatusUnauthorized, "{}", "WWW-Authenticate", "Bearer"), nil
	}}
}

func TestOneRenewalServesManyRequests(t *testing.T) {
	t.Parallel()
	for _, sticky := range []bool{false, true} {
		t.Run(fmt.Sprintf("the source goes on with the old one: %t", sticky), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &source{took: time.Second, sticky: sticky}
				srv := rejecting(func(token string, _ *http.Request) bool { return token == "t1" })
				c := client(t, srv, with(src, true))
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						if status, _, err := do(t, c, get(t, "/Patient/1")); status != http.StatusOK || err != nil {
							t.Errorf("%d %v", status, err)
						}
					})
				}
				wg.Wait()
				if n := src.renewals.Load(); n != 1 {
					t.Errorf("%d renewals", n)
				}
				// Once more, when this one is rejected too.
				srv.answer = rejecting(func(token string, _ *http.Request) bool { return token == "t2" }).answer
				if status, _, err := do(t, c, get(t, "/Patient/1")); status != http.StatusOK || err != nil || src.renewals.Load() != 2 {
					t.Errorf("%d %v, %d renewals", status, err, src.renewals.Load())
				}
				if srv.open != 0 {
					t.Errorf("%d bodies left open", srv.open)
				}
			})
		})
	}
}

// A request that was on its way with the old token, while the source has got a new one by itself, needs no renewal.
func TestANewerTokenIsUsedBeforeARenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		current := "old"
		src := &source{}
		s := &server{answer: func(_ int, r *http.Request) (*out, error) {
			if r.Header.Get("Authorization") == "Bearer new" {
				return reply(http.StatusOK, "{}"), nil
			}
			time.Sleep(time.Minute)
			return reply(http.StatusUnauthorized, ""), nil
		}}
		c := client(t, s, func(o *transport.Options) {
			o.Tokens = tokenFunc(func() (*oauth2.Token, error) {
				mu.Lock()
				defer mu.Unlock()
				return &oauth2.Token{AccessToken: current}, nil
			})
			o.Renew = src.Renew
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if status, _, err := do(t, c, get(t, "/slow")); status != http.StatusOK || err != nil {
				t.Errorf("%d %v", status, err)
			}
		})
		time.Sleep(time.Second)
		mu.Lock()
		current = "new"
		mu.Unlock()
		if status, _, err := do(t, c, get(t, "/quick")); status != http.StatusOK || err != nil {
			t.Errorf("%d %v", status, err)
		}
		wg.Wait()
		if n := src.renewals.Load(); n != 0 {
			t.Errorf("%d renewals", n)
		}
	})
}

type tokenFunc func() (*oauth2.Token, error)

func (f tokenFunc) Token() (*oauth2.Token, error) { return f() }

func TestA401IsFinal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		renew     bool
		renewFail func(int32) error
		good      func(token string, r *http.Request) bool
		requests  int // for ten questions, one after the other
		renewals  int32
	}{
		{"without Renew", false, nil, func(string, *http.Request) bool { return false }, 10, 0},
		{"and new tokens are not accepted either", true, nil, func(string, *http.Request) bool { return false }, 11, 1},
		{"and the grant has ended", true, func(int32) error {
			return &oauth2.RetrieveError{ErrorCode: "invalid_grant", Response: &http.Response{StatusCode: http.StatusBadRequest}}
		}, func(string, *http.Request) bool { return false }, 1, 1},
		// A 401 that is about what was asked for does not make the token endpoint work without end.
		{"for some things", true, nil, func(_ string, r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, "0") }, 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &source{renewFail: c.renewFail}
				srv := rejecting(c.good)
				cl := client(t, srv, with(src, c.renew))
				if c.requests == 0 {
					for i := range 100 {
						if _, _, err := do(t, cl, get(t, fmt.Sprint("/Observation/", i))); err != nil {
							t.Error(err)
						}
					}
				} else {
					for range 10 {
						status, _, err := do(t, cl, get(t, "/Patient/1"))
						if err == nil && status != http.StatusUnauthorized || err != nil && !errors.Is(err, transport.ErrToken) {
							t.Errorf("%d %v", status, err)
						}
					}
					if len(srv.seen) != c.requests {
						t.Errorf("%d requests, want %d", len(srv.seen), c.requests)
					}
				}
				if n := src.renewals.Load(); n != c.renewals {
					t.Errorf("%d renewals, want %d", n, c.renewals)
				}
			})
		})
	}
}

func TestTokensThatDieOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		var mu sync.Mutex
		used := map[string]int{}
		srv := rejecting(func(token string, _ *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			used[token]++
			return used[token] <= 5
		})
		c := client(t, srv, with(src, true))
		for i := range 100 {
			if status, _, err := do(t, c, get(t, "/Patient/1")); status != http.StatusOK || err != nil {
				t.Fatalf("request %d: %d %v", i, status, err)
			}
		}
		if n := src.renewals.Load(); n != 19 {
			t.Errorf("%d renewals", n)
		}
	})
}

func TestTokenSourceThatFails(t *testing.T) {
	t.Parallel()
	grant := &oauth2.RetrieveError{ErrorCode: "invalid_grant", Response: &http.Response{StatusCode: http.StatusBadRequest}}
	outage := &oauth2.RetrieveError{Response: &http.Response{StatusCode: http.StatusBadGateway}}
	for _, c := range []struct {
		name  string
		fail  func(int32) error
		ok    bool
		asked int32 // for three questions
	}{
		{"for good", func(int32) error { return grant }, false, 1},
		{"for a reason of its own", func(int32) error { return errors.New("no refresh token") }, false, 1},
		{"in passing", func(n int32) error {
			if n <= 2 {
				return outage
			}
			return nil
		}, true, 5},
		{"in passing, without end", func(int32) error { return outage }, false, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &source{fail: c.fail}
				srv := &server{answer: always(http.StatusOK, "{}")}
				cl := client(t, srv, with(src, true))
				for range 3 {
					_, _, err := do(t, cl, get(t, "/Patient/1"))
					if (err == nil) != c.ok || err != nil && !errors.Is(err, transport.ErrToken) {
						t.Errorf("%v", err)
					}
				}
				if n := src.asked.Load(); n != c.asked {
					t.Errorf("asked %d times, want %d", n, c.asked)
				}
				if !c.ok && len(srv.seen) > 0 {
					t.Errorf("%d requests without a token", len(srv.seen))
				}
			})
		})
	}
}

func TestTokenSourceThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{took: 24 * time.Hour}
		c := client(t, &server{answer: always(http.StatusOK, "{}")}, with(src, false))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(ctx, get(t, "/x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		var err error
		if d := took(func() { _, _, err = do(t, c, get(t, "/x")) }); !errors.Is(err, transport.ErrToken) || d > 15*time.Minute {
			t.Errorf("%v after %v", err, d)
		}
		if n := src.asked.Load(); n != 1 {
			t.Errorf("asked %d times while it had not answered", n)
		}
		time.Sleep(25 * time.Hour) // it comes to its end.
	})
}

func TestScopeOfTheToken(t *testing.T) {
	t.Parallel()
	token := (&oauth2.Token{AccessToken: "t"}).WithExtra(map[string]any{"scope": "patient/*.rs"})
	c := client(t, &server{answer: always(http.StatusOK, "{}")}, func(o *transport.Options) { o.Tokens = oauth2.StaticTokenSource(token) })
	if c.Scope() != "" {
		t.Error("a scope before any token")
	}
	if _, _, err := do(t, c, get(t, "/x")); err != nil || c.Scope() != "patient/*.rs" {
		t.Errorf("%q %v", c.Scope(), err)
	}
}
