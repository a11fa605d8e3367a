package fhirsync_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// expiring lets HAPI forget all searches before some requests for a following page, which then find a dead link.
type expiring struct {
	server *realServer
	every  int64 // each how many requests for a following page
	times  int64 // at most

	pages, expired, dead atomic.Int64
}

func (e *expiring) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.RawQuery, "_getpages=") && e.pages.Add(1)%e.every == 0 && e.expired.Add(1) <= e.times {
		if err := e.server.expire(req.Context()); err != nil {
			return nil, err
		}
	}
	resp, err := e.server.http.Transport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusGone {
		e.dead.Add(1)
	}
	return resp, err
}

// forgetPages lets the links to following pages die in the middle of a run, on a server that gives at most ten resources a page.
func (s *realServer) forgetPages(t *testing.T, tb *table) {
	t.Helper()
	types := []string{"Condition", "Observation"}
	p := s.loadGenerated(t, fhirtest.Options{Seed: 43, Size: 180, Types: types})
	s.learn(t, p)
	// Only these are asked for: it is lists of many pages that this is about.
	maps.DeleteFunc(p.truth.raw, func(ref string, _ []byte) bool {
		typ, _, _ := strings.Cut(ref, "/")
		return typ != "Patient" && !slices.Contains(types, typ)
	})
	for _, x := range []struct {
		name     string
		strategy fhirsync.Strategy
		every    int64
		times    int64
		want     fhirsync.Verdict
	}{
		// A few times: the list is begun anew, and everything comes. Late: more pages have come by then than there is patience for pages
		// without anything new.
		{"search-by-type once", fhirsync.SearchByType(), 3, 1, fhirsync.Complete},
		{"search-by-type late", fhirsync.SearchByType(), 7, 1, fhirsync.Complete},
		{"auto twice", fhirsync.Auto(), 7, 2, fhirsync.Complete},
		{"everything late", fhirsync.Everything(), 12, 1, fhirsync.Restricted},
		// Always: no list of more than a few pages comes to its end. Searches may still bring all, in parts; the operation cannot.
		{"search-by-type always", fhirsync.SearchByType(), 4, 1 << 40, -1},
		{"everything always", fhirsync.Everything(), 4, 1 << 40, fhirsync.Incomplete},
	} {
		t.Run(x.name, func(t *testing.T) {
			dying := &expiring{server: s, every: x.every, times: x.times}
			store := new(memstore.Store)
			c, err := fhirsync.New(fhirsync.Config{
				Strategy: x.strategy, HTTPClient: &http.Client{Transport: dying},
				// One at a time: HAPI answers 409 to a search that is made while searches are being deleted.
				Limit: ratelimit.Policy{Rate: -1, Concurrency: 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := c.Sync(t.Context(), fhirsync.Server{Name: s.name, BaseURL: s.base}, p.id, store, &fhirsync.SyncOptions{Types: types})
			if rep == nil {
				t.Fatal(err)
			}
			got := s.compare(t, p, store)
			tb.add(s, p, x.name, rep, got)
			if dying.dead.Load() == 0 {
				t.Fatalf("no link died in %d pages", dying.pages.Load())
			}
			if len(got.alien)+len(got.altered) > 0 {
				t.Errorf("not to be there: %v, altered: %v", got.alien, got.altered)
			}
			if (rep.Verdict == fhirsync.Incomplete) != errors.Is(err, fhirsync.ErrIncomplete) {
				t.Errorf("verdict %s, error %v", rep.Verdict, err)
			}
			if x.want >= 0 && rep.Verdict != x.want {
				t.Errorf("verdict %s, want %s\n%s", rep.Verdict, x.want, rep)
			}
			if rep.Verdict != fhirsync.Incomplete && len(got.lost) > 0 {
				t.Errorf("%s, and %d are missing: %.500s\n%s", rep.Verdict, len(got.lost), strings.Join(got.lost, " "), rep)
			}
			if len(p.truth.raw)-len(got.lost) < 10 {
				t.Errorf("what came before the links died was not kept\n%s", rep)
			}
		})
	}
}
