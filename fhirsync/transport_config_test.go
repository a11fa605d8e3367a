package fhirsync_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/smart"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// Of the caller's client the transport is used, and its Timeout as the time until an answer begins; the rest is ignored.
func TestWhatIsUsedOfTheCallersClient(t *testing.T) {
	t.Parallel()
	_, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: &oauth2.Transport{}}})
	if err == nil || !strings.Contains(err.Error(), "TokenSource") {
		t.Errorf("an oauth2.Transport: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 41, Size: 20})
		srv := fhirtest.NewServer(rec)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		base, err := url.Parse(srv.BaseURL())
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(base, []*http.Cookie{{Name: "session", Value: "x"}})
		hc := srv.Client()
		hc.Jar, hc.Timeout = jar, 10*time.Second
		hc.CheckRedirect = func(*http.Request, []*http.Request) error { t.Error("CheckRedirect was asked"); return nil }
		c, err := fhirsync.New(fhirsync.Config{HTTPClient: hc})
		if err != nil {
			t.Fatal(err)
		}
		srv.Inject(fhirtest.Hang().Times(1), fhirtest.Redirect(srv.BaseURL()).After(1).Times(1))
		start := time.Now()
		if _, err := c.Capabilities(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("a request that hangs was given up after %v", d)
		}
		// A long answer is not cut by the Timeout.
		srv.Inject(fhirtest.SlowBody(2 * time.Second).On(fhirtest.Read))
		rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
		if err != nil {
			t.Errorf("%v\n%s", err, rep)
		}
		for _, r := range srv.Requests() {
			if r.Header.Get("Cookie") != "" {
				t.Error("a cookie was sent")
			}
		}
	})
}

func TestScopeIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 42, Size: 20})
		token, err := smart.ParseToken([]byte(`{"access_token":"a","scope":"patient/*.rs","patient":"p"}`), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for said, want := range map[string]string{"": "patient/*.rs", "patient/Observation.rs": "patient/Observation.rs"} {
			srv := fhirtest.NewServer(rec)
			server := fhirsync.Server{BaseURL: srv.BaseURL(), TokenSource: oauth2.StaticTokenSource(token), Scope: said}
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil)
			if err != nil || rep.Scope != want {
				t.Errorf("%q: scope %q, %v", said, rep.Scope, err)
			}
		}
	})
}

// TestFiftySyncsKeepOneDeclaredLimit: of one Client, or of five that share the limit as processes do.
func TestFiftySyncsKeepOneDeclaredLimit(t *testing.T) {
	t.Parallel()
	for _, clients := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			var recs []*fhirtest.Record
			for i := range 50 {
				recs = append(recs, fhirtest.Generate(fhirtest.Options{Seed: uint64(500 + i), Size: 12, Types: []string{"Observation", "Condition"}}))
			}
			srv := fhirtest.NewServer(recs...)
			srv.Inject(fhirtest.RateLimit(10, time.Second)) // what exceeds it is refused.
			policy := ratelimit.Policy{Rate: 500, Start: 500, Limits: []ratelimit.Limit{{Requests: 10, Per: time.Second}}}
			if clients > 1 {
				policy.Shared = new(ratelimit.Memory)
			}
			var all []*fhirsync.Client
			for range clients {
				all = append(all, newClient(t, srv, fhirsync.Config{Limit: policy}))
			}
			var wg sync.WaitGroup
			start := time.Now()
			for i, rec := range recs {
				wg.Go(func() {
					rep, err := all[i%clients].Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{Types: []string{"Observation", "Condition"}})
					if err != nil {
						t.Errorf("%v\n%s", err, rep)
					}
				})
			}
			wg.Wait()
			requests := srv.Requests()
			if i := slices.IndexFunc(requests, func(r fhirtest.Request) bool { return r.Status == http.StatusTooManyRequests }); i >= 0 {
				t.Errorf("request %d of %d was refused: %s", i, len(requests), requests[i].Interaction)
			}
			rate := float64(len(requests)) / time.Since(start).Seconds()
			t.Logf("%d clients: %d requests in %v, %.1f a second", clients, len(requests), time.Since(start), rate)
			if rate < 8 {
				t.Errorf("%.1f requests a second, of ten", rate)
			}
		})
	}
}
