package fhirsync_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestAServerThatForgetsAForm: what earlier patients showed to be understood is made sure of before empty answers are believed.
func TestAServerThatForgetsAForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		faults  []fhirtest.Fault
		verdict fhirsync.Verdict
	}{
		{"Patient/ID", []fhirtest.Fault{fhirtest.TypedIDFindsNothing()}, fhirsync.Complete},
		{"ID", []fhirtest.Fault{fhirtest.BareIDFindsNothing()}, fhirsync.Complete},
		{"Patient/ID, and no counts", []fhirtest.Fault{fhirtest.TypedIDFindsNothing(), fhirtest.CountUnsupported()}, fhirsync.Complete},
		{"ID, and no counts", []fhirtest.Fault{fhirtest.BareIDFindsNothing(), fhirtest.CountUnsupported()}, fhirsync.Complete},
		// Nothing comes in any form, which looks like a patient without a record.
		{"all forms", []fhirtest.Fault{fhirtest.TypedIDFindsNothing(), fhirtest.BareIDFindsNothing()}, fhirsync.Restricted},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first, second := fhirtest.Generate(fhirtest.Options{Seed: 71, Size: 200, Secondary: 8}), fhirtest.Generate(fhirtest.Options{Seed: 72, Size: 150, Secondary: 8})
				srv := fhirtest.NewServer(first, second)
				client := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.SearchByType()})
				target := fhirsync.Server{BaseURL: srv.BaseURL()}
				if _, err := client.Sync(t.Context(), target, first.PatientID, new(memstore.Store), nil); err != nil {
					t.Fatal(err)
				}
				srv.Inject(c.faults...)
				store := new(memstore.Store)
				rep, err := client.Sync(t.Context(), target, second.PatientID, store, nil)
				if err != nil || rep.Verdict != c.verdict {
					t.Errorf("verdict %s, %v\n%s", rep.Verdict, err, rep)
				}
				lost, alien := missing(srv, second.PatientID, store)
				if len(alien) > 0 || c.verdict == fhirsync.Complete && len(lost) > 0 {
					t.Errorf("lost %v, not to be there %v\n%s", lost, alien, rep)
				}
				if c.verdict == fhirsync.Restricted && !slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == "" && g.Reason == fhirsync.Unproven && g.Count > 10 }) {
					t.Errorf("nothing says that the questions may not have been understood\n%s", rep)
				}
			})
		})
	}
}

// TestMakingSureCostsLittle: where nothing has changed it is one request at most.
func TestMakingSureCostsLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := fhirtest.Generate(fhirtest.Options{Seed: 71, Size: 200, Secondary: 8})
		second := fhirtest.Generate(fhirtest.Options{Seed: 73, Size: 30, Types: []string{"Condition", "Encounter", "Immunization"}})
		srv := fhirtest.NewServer(first, second)
		client := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.SearchByType()})
		target := fhirsync.Server{BaseURL: srv.BaseURL()}
		if _, err := client.Sync(t.Context(), target, first.PatientID, new(memstore.Store), nil); err != nil {
			t.Fatal(err)
		}
		srv.ResetRequests()
		store := new(memstore.Store)
		rep, err := client.Sync(t.Context(), target, second.PatientID, store, nil)
		if err != nil || rep.Verdict != fhirsync.Complete {
			t.Fatalf("%v\n%s", err, rep)
		}
		sure := 0
		for _, q := range srv.Requests() {
			// Answers to patient=ID are counted in the same way: nothing but the making sure counts in another.
			if q.Interaction == fhirtest.Count && strings.HasPrefix(q.Query.Get("patient")+q.Query.Get("subject"), "Patient/") {
				sure++
			}
		}
		if sure != 1 || rep.Requests.Verification > 3 {
			t.Errorf("%d requests to make sure, %d in all to verify\n%s", sure, rep.Requests.Verification, rep)
		}
	})
}
