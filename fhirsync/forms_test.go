package fhirsync_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// pull syncs one patient and fails if anything is lost or not the patient's.
func pull(t *testing.T, srv *fhirtest.Server, id string, cfg fhirsync.Config, opts *fhirsync.SyncOptions) (*fhirsync.Report, *memstore.Store) {
	t.Helper()
	store := new(memstore.Store)
	rep, err := newClient(t, srv, cfg).Sync(t.Context(), fhirsync.Server{Name: "server", BaseURL: srv.BaseURL()}, id, store, opts)
	if err != nil {
		t.Errorf("%v\n%s", err, rep)
	}
	return rep, store
}

// TestPartsAreAskedForWhereTheWholeIsRefused: servers that want a category or a status, or cut a search, are still emptied.
func TestPartsAreAskedForWhereTheWholeIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		faults   []fhirtest.Fault
		verdict  fhirsync.Verdict
		evidence fhirsync.Evidence
	}{
		{[]fhirtest.Fault{fhirtest.ParamRequired("status").For("Observation")}, fhirsync.Complete, fhirsync.Ended},
		{[]fhirtest.Fault{fhirtest.PageCap(10).For("Observation")}, fhirsync.Complete, fhirsync.Counted},
		// Without counts it cannot be known that the ten without a date are all.
		{[]fhirtest.Fault{fhirtest.PageCap(10).For("Observation"), fhirtest.CountUnsupported()}, fhirsync.Incomplete, fhirsync.None},
		{[]fhirtest.Fault{fhirtest.PageCap(30).For("Observation"), fhirtest.CountUnsupported()}, fhirsync.Complete, fhirsync.Ended},
		{[]fhirtest.Fault{fhirtest.PageCap(40).For("Observation"), fhirtest.ParamIgnored("date")}, fhirsync.Complete, fhirsync.Counted},
		{[]fhirtest.Fault{fhirtest.MissingNext(1).For("Observation")}, fhirsync.Complete, fhirsync.Counted},
		{[]fhirtest.Fault{fhirtest.NextLoop(1, 1).For("Observation")}, fhirsync.Complete, fhirsync.Counted},
		{[]fhirtest.Fault{fhirtest.ExpiredCursor(2).For("Observation")}, fhirsync.Complete, fhirsync.Counted},
	} {
		names := make([]string, len(c.faults))
		for i, f := range c.faults {
			names[i] = f.Name
		}
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 31, Size: 300})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(c.faults...)
				store := new(memstore.Store)
				rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
				if (err != nil) != (c.verdict == fhirsync.Incomplete) {
					t.Error(err)
				}
				if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
					t.Errorf("lost %d, not to be there %v", len(lost), alien)
				}
				if rep.Verdict != c.verdict || rep.Types["Observation"].Evidence < c.evidence {
					t.Errorf("verdict %s, evidence %s\n%s", rep.Verdict, rep.Types["Observation"].Evidence, rep)
				}
			})
		})
	}
}

// TestTheRestIsAskedForAlsoWhereValuesSeemCut: a hundred resources look like a cap, so that the values are asked for one by one. Those without a
// status are asked for all the same.
func TestTheRestIsAskedForAlsoWhereValuesSeemCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := fhirtest.Generate(fhirtest.Options{Seed: 7_031_199, Size: 150, Secondary: 8})
		second := fhirtest.Generate(fhirtest.Options{Seed: 5_031_199, Size: 217, Dangling: 3, Secondary: 7, Attachments: 7})
		srv := fhirtest.NewServer(first, second)
		srv.Inject(fhirtest.ParamRequired("status").For("Observation"))
		with, without := 0, 0
		for _, r := range second.Resources {
			if r.Type == "Observation" && bytes.Contains(r.Raw, []byte(`"status"`)) {
				with++
			} else if r.Type == "Observation" {
				without++
			}
		}
		client := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.SearchByType()})
		for _, id := range []string{first.PatientID, second.PatientID} {
			store := new(memstore.Store)
			rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, id, store, nil)
			if lost, _ := missing(srv, id, store); len(lost) > 0 || err != nil {
				t.Errorf("%d with a status, %d without; lost %v, %v\n%s", with, without, lost, err, rep)
			}
		}
	})
}

// TestProvenanceRidesOnSearches: where Provenance cannot be searched by patient, it comes with what it is about.
func TestProvenanceRidesOnSearches(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 32, Size: 300})
			srv := fhirtest.NewServer(rec)
			srv.RevInclude = true
			srv.Inject(fhirtest.MetadataDenies("Provenance"), fhirtest.Status(404).For("Provenance").On(fhirtest.Search, fhirtest.Count))
			if refused {
				srv.Inject(fhirtest.ParamRejected("_revinclude"))
			}
			rep, store := pull(t, srv, rec.PatientID, fhirsync.Config{}, nil)
			if got := rep.Types["Provenance"].Received; (got > 0) == refused {
				t.Errorf("refused %v: %d Provenances\n%s", refused, got, rep)
			}
			lost, alien := missing(srv, rec.PatientID, store)
			if !refused && len(lost) > 0 || len(alien) > 0 {
				t.Errorf("lost %v, not to be there %v", lost, alien)
			}
		})
	}
}

// TestAlsoPatients: two ids of one person are one record, and a third person's is not part of it.
func TestAlsoPatients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := fhirtest.Generate(fhirtest.Options{Seed: 33, Size: 120})
		second := fhirtest.Generate(fhirtest.Options{Seed: 34, Size: 90})
		other := fhirtest.Generate(fhirtest.Options{Seed: 35, Size: 90})
		srv := fhirtest.NewServer(first, second, other)
		rep, store := pull(t, srv, first.PatientID, fhirsync.Config{}, &fhirsync.SyncOptions{AlsoPatients: []string{second.PatientID}})
		want := srv.Want(first.PatientID)
		maps.Copy(want, srv.Want(second.PatientID))
		got := 0
		for r := range store.All() {
			if string(want[r.Type+"/"+r.ID]) != string(r.Raw) {
				t.Errorf("%s/%s is not to be there", r.Type, r.ID)
			}
			got++
		}
		if got != len(want) || rep.Verdict != fhirsync.Complete {
			t.Errorf("%d of %d came\n%s", got, len(want), rep)
		}
		if o := rep.Types["Observation"]; o.Expected == nil || *o.Expected != o.Received || o.Evidence < fhirsync.Ended {
			t.Errorf("Observation: %+v", o)
		}
		// One that is not there is a gap, and the rest comes all the same.
		store = new(memstore.Store)
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, first.PatientID, store,
			&fhirsync.SyncOptions{AlsoPatients: []string{"gone", second.PatientID}})
		if err == nil || rep.Verdict != fhirsync.Incomplete || store.Len() != len(want) {
			t.Errorf("%v, %d of %d\n%s", err, store.Len(), len(want), rep)
		}
	})
}

// TestLearningMakesTheSecondPatientCheaper and what was learned survives the process.
func TestLearningMakesTheSecondPatientCheaper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var recs []*fhirtest.Record
		for i := range 5 {
			recs = append(recs, fhirtest.Generate(fhirtest.Options{Seed: 50 + uint64(i), Size: 200}))
		}
		srv := fhirtest.NewServer(recs...)
		srv.Inject(fhirtest.BareIDFindsNothing())
		kept := new(memstore.Store)
		cfg := fhirsync.Config{Learned: kept}
		var requests []int
		for _, rec := range recs {
			// A new client each time: a new process.
			rep, store := pull(t, srv, rec.PatientID, cfg, nil)
			if lost, _ := missing(srv, rec.PatientID, store); len(lost) > 0 || rep.Verdict != fhirsync.Complete {
				t.Errorf("lost %v\n%s", lost, rep)
			}
			requests = append(requests, rep.Requests.Total()-rep.Requests.References)
		}
		t.Log(requests)
		if last := requests[len(requests)-1]; last*10 > requests[0]*9 {
			t.Errorf("the first patient took %d requests, the last %d", requests[0], last)
		}
		facts, err := newClient(t, srv, cfg).Learned(fhirsync.Server{BaseURL: srv.BaseURL()})
		if err != nil || len(facts) != 0 {
			t.Errorf("a client that has done nothing yet: %v %v", facts, err)
		}
		c := newClient(t, srv, cfg)
		if _, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, recs[0].PatientID, new(memstore.Store), nil); err != nil {
			t.Error(err)
		}
		facts, _ = c.Learned(fhirsync.Server{BaseURL: srv.BaseURL()})
		if !slices.ContainsFunc(facts, func(f fhirsync.LearnedFact) bool {
			return f.Name == "form Observation" && f.Value == "patient=Patient/id" && f.Confirmed > 1 && !f.At.IsZero()
		}) {
			t.Errorf("what was learned: %+v", facts)
		}
	})
}

// TestVerifyFindsWhatIsNew compares an earlier report with what the server counts now.
func TestVerifyFindsWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 36, Size: 150})
		srv := fhirtest.NewServer(rec)
		c := newClient(t, srv, fhirsync.Config{})
		server := fhirsync.Server{BaseURL: srv.BaseURL()}
		prior, err := c.Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil)
		if err != nil {
			t.Fatal(err)
		}
		same, err := c.Verify(t.Context(), server, prior, nil)
		if err != nil || same.Verdict != fhirsync.Complete || same.Requests.Data > 0 {
			t.Errorf("nothing has changed: %v\n%s", err, same)
		}
		srv.Put(fhirtest.Resource{
			Type: "Observation", ID: "new", Owner: rec.PatientID, Params: fhirtest.Of(rec.PatientID, "patient", "subject"),
			Raw: []byte(`{"resourceType":"Observation","id":"new","subject":{"reference":"Patient/` + rec.PatientID + `"}}`),
		})
		more, err := c.Verify(t.Context(), server, prior, nil)
		if err == nil || !slices.ContainsFunc(more.Gaps, func(g fhirsync.Gap) bool {
			return g.Type == "Observation" && g.Reason == fhirsync.Truncated && g.Count == 1
		}) {
			t.Errorf("one is new: %v\n%s", err, more)
		}
	})
}

// TestPlanIsPrinted before anything is asked.
func TestPlanIsPrinted(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 37, Size: 50})
	srv := fhirtest.NewServer(rec)
	srv.Everything = true
	plan, err := newClient(t, srv, fhirsync.Config{}).Plan(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	for _, want := range []string{"operation Patient by $everything", "search Observation by patient=id", "claimed by metadata", "not claimed: asked once"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the plan:\n%s", want, text)
		}
	}
	if n := len(srv.Requests()); n != 1 || strings.Contains(text, rec.PatientID) {
		t.Errorf("%d requests, or the plan names the patient:\n%s", n, text)
	}
}

// TestOtherVersions: R4B, R5 and STU3 are asked for the types they have; DSTU2 is a clear error.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	for version, typ := range map[string]string{"3.0.2": "ProcedureRequest", "4.3.0": "Observation", "5.0.0": "DeviceUsage"} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 38, Size: 80, Types: []string{"Observation", "Encounter", "Condition", "Immunization"}})
			srv := fhirtest.NewServer(rec)
			srv.FHIRVersion = version
			srv.Put(fhirtest.Resource{
				Type: typ, ID: "of-this-version", Owner: rec.PatientID, Params: fhirtest.Of(rec.PatientID, "patient", "subject"),
				Raw: []byte(`{"resourceType":"` + typ + `","id":"of-this-version","subject":{"reference":"Patient/` + rec.PatientID + `"}}`),
			})
			rep, store := pull(t, srv, rec.PatientID, fhirsync.Config{}, nil)
			if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
				t.Errorf("%s: lost %v, not to be there %v\n%s", version, lost, alien, rep)
			}
		})
	}
	rec := fhirtest.Generate(fhirtest.Options{Seed: 38, Size: 10})
	srv := fhirtest.NewServer(rec)
	srv.FHIRVersion = "1.0.2"
	rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
	if err == nil || rep.Verdict != fhirsync.Incomplete || !strings.Contains(err.Error(), "1.0.2") {
		t.Errorf("DSTU2: %v", err)
	}
}
