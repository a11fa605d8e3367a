package transport_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

func withSecrets(o *transport.Options) {
	o.Tokens = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t0ken"})
	o.Header = http.Header{"X-Api-Key": {"k3y"}}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	step := func(n int, r *http.Request) string { return fmt.Sprintf("%s?step=%d", r.URL.Path, n) }
	for _, c := range []struct {
		name     string
		post     bool
		status   int
		location func(n int, r *http.Request) string
		want     error
		most     int // requests
	}{
		{"in a circle", false, 302, func(_ int, r *http.Request) string { return r.URL.String() }, transport.ErrRedirects, 6},
		{"300 of them", false, 307, step, transport.ErrRedirects, 6},
		{"elsewhere", false, 302, func(int, *http.Request) string { return "https://evil.example/" }, transport.ErrForeignOrigin, 1},
		{"elsewhere, without a scheme", false, 307, func(int, *http.Request) string { return "//evil.example/" }, transport.ErrForeignOrigin, 1},
		{"to another port", false, 302, func(int, *http.Request) string { return "https://fhir.example.test:8443/" }, transport.ErrForeignOrigin, 1},
		{"down", false, 301, func(int, *http.Request) string { return "http://fhir.example.test/r4" }, transport.ErrForeignOrigin, 1},
		{"with a user", false, 301, func(int, *http.Request) string { return "https://u:p@fhir.example.test/r4" }, transport.ErrForeignOrigin, 1},
		{"to a file", false, 302, func(int, *http.Request) string { return "file:///etc/passwd" }, transport.ErrForeignOrigin, 1},
		{"to data", false, 302, func(int, *http.Request) string { return "data:application/fhir+json,{}" }, transport.ErrForeignOrigin, 1},
		{"to nonsense", false, 302, func(int, *http.Request) string { return "https://%zz" }, transport.ErrRedirect, 1},
		{"of a megabyte", false, 302, func(int, *http.Request) string { return base + "?" + strings.Repeat("a", 1<<20) }, transport.ErrRedirect, 1},
		{"that makes a GET of a search by POST", true, 302, func(int, *http.Request) string { return base + "/Observation" }, transport.ErrRedirect, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: func(n int, r *http.Request) (*out, error) {
					if n > 20 {
						return reply(http.StatusOK, "{}"), nil
					}
					return reply(c.status, "", "Location", c.location(n, r)), nil
				}}
				r := get(t, "/Observation?patient=1")
				if c.post {
					r = &transport.Request{Method: http.MethodPost, URL: address(t, base+"/Observation/_search"), Form: url.Values{"patient": {"1"}}}
				}
				_, _, err := do(t, client(t, s, withSecrets), r)
				if !errors.Is(err, c.want) || len(s.seen) > c.most {
					t.Errorf("%v, %d requests; want %v, at most %d", err, len(s.seen), c.want, c.most)
				}
				for _, r := range s.seen {
					if !transport.SameOrigin(address(t, base), r.URL) {
						t.Errorf("a request went to %s", r.URL)
					}
				}
				if s.open != 0 {
					t.Errorf("%d bodies left open", s.open)
				}
			})
		})
	}
}

func TestRedirectsOnTheOwnOrigin(t *testing.T) {
	t.Parallel()
	s := &server{answer: func(n int, r *http.Request) (*out, error) {
		if n == 1 {
			return reply(http.StatusTemporaryRedirect, "", "Location", "/r4/elsewhere?x=1"), nil
		}
		return reply(http.StatusOK, "{}"), nil
	}}
	resp, err := client(t, s, withSecrets).Do(t.Context(), get(t, "/Observation?patient=1"))
	if err != nil || resp.URL.String() != "https://fhir.example.test/r4/elsewhere?x=1" {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Release()
	for i, r := range s.seen {
		if r.Header.Get("Authorization") != "Bearer t0ken" || r.Header.Get("X-Api-Key") != "k3y" || r.Header.Get("Referer") != "" {
			t.Errorf("request %d: %v", i, r.Header)
		}
	}
	// A redirect without an address, and the status 300, are answers.
	for _, a := range []*out{reply(http.StatusFound, ""), reply(http.StatusMultipleChoices, "", "Location", "https://evil.example/"), reply(http.StatusNotModified, "")} {
		s := &server{answer: func(int, *http.Request) (*out, error) { return a, nil }}
		if status, _, err := do(t, client(t, s, nil), get(t, "/x")); status != a.status || err != nil || len(s.seen) != 1 {
			t.Errorf("%d: %d %v, %d requests", a.status, status, err, len(s.seen))
		}
	}
}

func TestOnlyTheCallerWidensTheOrigin(t *testing.T) {
	t.Parallel()
	s := &server{answer: func(n int, r *http.Request) (*out, error) {
		if r.URL.Host == "fhir.example.test" {
			return reply(http.StatusFound, "", "Location", "https://pages.example.test/2"), nil
		}
		return reply(http.StatusOK, "{}"), nil
	}}
	trusting := client(t, s, func(o *transport.Options) {
		withSecrets(o)
		o.Trusted = append(o.Trusted, address(t, "https://pages.example.test"))
	})
	if _, _, err := do(t, trusting, get(t, "/x")); err != nil || s.seen[1].Header.Get("Authorization") == "" {
		t.Errorf("%v, %v", err, s.seen)
	}
	page := address(t, base+"/Observation")
	if next, mapped, ok := trusting.NextLink(page, "https://PAGES.example.test:443/3#x"); !ok || mapped || next.String() != "https://PAGES.example.test:443/3" {
		t.Errorf("%v %t %t", next, mapped, ok)
	}
	for _, link := range []string{"http://pages.example.test/3", "https://u@pages.example.test/3", "https://pages.example.test:8443/3", "https://other.example.test/3"} {
		if next, mapped, ok := trusting.NextLink(page, link); !ok || !mapped || !transport.SameOrigin(address(t, base), next) {
			t.Errorf("%s: %v %t %t", link, next, mapped, ok)
		}
	}
	there := address(t, "https://pages.example.test/fhir/Observation?page=1")
	for link, want := range map[string]string{
		"?page=2": "https://pages.example.test/fhir/Observation?page=2", "/fhir/Flag?page=3": "https://pages.example.test/fhir/Flag?page=3",
		base + "/Observation?page=4": base + "/Observation?page=4",
	} {
		if next, mapped, ok := trusting.NextLink(there, link); !ok || mapped || next.String() != want {
			t.Errorf("%s, on a page from there: %v %t %t", link, next, mapped, ok)
		}
	}
	if _, _, err := do(t, client(t, s, withSecrets), get(t, "/x")); !errors.Is(err, transport.ErrForeignOrigin) {
		t.Errorf("without trust: %v", err)
	}
	if _, _, err := do(t, trusting, &transport.Request{URL: address(t, "https://evil.example/x")}); !errors.Is(err, transport.ErrForeignOrigin) {
		t.Errorf("a request straight to another origin: %v", err)
	}
}
