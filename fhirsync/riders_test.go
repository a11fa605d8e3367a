package fhirsync_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestRidersThatAreRefused: a search that is refused because of its _revinclude costs the riders of that search alone, and a gap says so.
func TestRidersThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		code    string
		types   []string // on which it is refused; nil: on all
		reason  fhirsync.GapReason
		brought bool // some riders come all the same
	}{
		"grant lacks Provenance": {http.StatusForbidden, "forbidden", nil, fhirsync.Denied, false},
		"parameter unknown":      {http.StatusBadRequest, "not-supported", nil, fhirsync.Refused, false},
		"on one type":            {http.StatusBadRequest, "invalid", []string{"Condition"}, fhirsync.Refused, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 32, Size: 300})
				srv := fhirtest.NewServer(rec)
				srv.RevInclude = true
				srv.Inject(fhirtest.MetadataDenies("Provenance"), fhirtest.Status(404).For("Provenance").On(fhirtest.Search, fhirtest.Count))
				p := tampering{base: srv.RoundTripper(), mod: func(typ string, q url.Values) (int, string) {
					if !q.Has("_revinclude") || c.types != nil && !slices.Contains(c.types, typ) {
						return 0, ""
					}
					return c.status, fmt.Sprintf(refusal, c.code)
				}}
				client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: p}, Strategy: fhirsync.SearchByType()})
				if err != nil {
					t.Fatal(err)
				}
				for _, when := range []string{"first sync", "second sync"} { // which goes by what the first has learned.
					store := new(memstore.Store)
					rep, _ := client.Sync(t.Context(), fhirsync.Server{Name: "s", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
					lost, _ := missing(srv, rec.PatientID, store)
					if others := slices.DeleteFunc(lost, func(ref string) bool { return strings.HasPrefix(ref, "Provenance/") }); len(others) > 0 {
						t.Errorf("%s: lost %v", when, others)
					}
					if got := rep.Types["Provenance"].Received; (got > 0) != c.brought {
						t.Errorf("%s: %d Provenances", when, got)
					}
					if rep.Verdict != fhirsync.Restricted || !slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == "Provenance" && g.Reason == c.reason }) {
						t.Errorf("%s: no gap of reason %s for Provenance\n%s", when, c.reason, rep)
					}
				}
			})
		})
	}
}
