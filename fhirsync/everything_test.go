package fhirsync_test

import (
	"errors"
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

func TestEverythingAloneIsHonest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 150})
		srv := fhirtest.NewServer(rec)
		srv.Everything = true
		store := new(memstore.Store)
		c := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.Everything()})
		rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if err != nil || rep.Verdict != fhirsync.Restricted {
			t.Fatalf("%v\n%s", err, rep)
		}
		unproven := 0
		for _, g := range rep.Gaps {
			if g.Reason == fhirsync.Unproven {
				unproven++
				for _, typ := range []string{"Observation", "Encounter", "Task"} {
					if !strings.Contains(g.Detail, typ) {
						t.Errorf("%s is not named: %s", typ, g.Detail)
					}
				}
			}
		}
		if unproven != 1 {
			t.Errorf("%d gaps of reason unproven, want one\n%s", unproven, rep)
		}
		if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
			t.Errorf("lost %v, not to be there %v", lost, alien)
		}
		// Metadata, the Patient, four pages: nothing else, since all references are answered by what came.
		if n := rep.Requests.Data; n > 6 {
			t.Errorf("%d requests for data", n)
		}
	})
}

func TestEverythingUnsupported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 100})
		srv := fhirtest.NewServer(rec)
		c := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.Everything()})
		rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
		if !errors.Is(err, fhirsync.ErrIncomplete) || rep.Interrupted {
			t.Errorf("%v\n%s", err, rep)
		}
		c = newClient(t, srv, fhirsync.Config{Strategy: fhirsync.FirstOf(fhirsync.Everything(), fhirsync.SearchByType())})
		store := new(memstore.Store)
		rep, err = c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if lost, _ := missing(srv, rec.PatientID, store); err != nil || rep.Verdict != fhirsync.Complete || len(lost) > 0 {
			t.Errorf("%v, lost %v\n%s", err, lost, rep)
		}
	})
}

// TestAutoSavesRequestsByEverything compares Auto with and without the operation.
func TestAutoSavesRequestsByEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 2000})
		var total [2]int
		for i, has := range []bool{false, true} {
			srv := fhirtest.NewServer(rec)
			srv.Everything, srv.MaxCount = has, 50
			srv.Inject(fhirtest.IDListFindsNothing()) // where lists work, what references name costs next to nothing anyhow.
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
			if err != nil || rep.Verdict != fhirsync.Complete {
				t.Fatalf("%v\n%s", err, rep)
			}
			total[i] = rep.Requests.Total()
		}
		if total[1] >= total[0] {
			t.Errorf("%d requests with the operation, %d without", total[1], total[0])
		}
		t.Log(fmt.Sprint(total))
	})
}

// TestACountIsOfWhatTheQuestionFinds: what came because the patient has authored it does not make up for something that is missing.
func TestACountIsOfWhatTheQuestionFinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 77, Size: 200, Secondary: 12})
		srv := fhirtest.NewServer(rec)
		srv.Everything = true
		dropped := 0
		p := tampering{base: srv.RoundTripper(), edit: func(typ string, _ url.Values, bundle map[string]any) {
			if typ != "$everything" {
				return
			}
			entries, _ := bundle["entry"].([]any)
			byOthers := map[any]int{}
			of := func(entry any) (typ any, about bool) {
				resource, _ := entry.(map[string]any)["resource"].(map[string]any)
				return resource["resourceType"], resource["subject"] != nil
			}
			for _, e := range entries {
				if typ, about := of(e); !about && (typ == "Observation" || typ == "Procedure" || typ == "DocumentReference") {
					byOthers[typ]++
				}
			}
			// As many are missing as came beside those that a search by patient finds.
			bundle["entry"] = slices.DeleteFunc(entries, func(e any) bool {
				typ, about := of(e)
				if about && byOthers[typ] > 0 {
					byOthers[typ]--
					dropped++
					return true
				}
				return false
			})
		}}
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		store := new(memstore.Store)
		rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if lost, _ := missing(srv, rec.PatientID, store); len(lost) > 0 || err != nil || dropped == 0 {
			t.Errorf("%d were left out; lost %v, %v\n%s", dropped, lost, err, rep)
		}
	})
}
