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

// A server can answer with nothing what the token may not see. The report must not call that a record without allergies.
func TestWhatTheGrantDoesNotCover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scope, gone     string // gone: a type that the server shows nothing of
		verdict         fhirsync.Verdict
		inGap, notInGap string
	}{
		{"launch/patient openid patient/*.rs", "", fhirsync.Complete, "", ""},
		{"openid offline_access", "", fhirsync.Complete, "", ""}, // says nothing about types.
		{"patient/Observation.rs patient/Condition.read user/Goal.*", "AllergyIntolerance", fhirsync.Restricted, "AllergyIntolerance", "Condition"},
		{"patient/*.rs system/Observation.rs", "AllergyIntolerance", fhirsync.Complete, "", ""},
		{"patient/Observation.rs?category=laboratory patient/AllergyIntolerance.rs patient/Condition.rs", "", fhirsync.Restricted, "Observation", "Allergy"},
		{"patient/Observation.r patient/AllergyIntolerance.cruds patient/Condition.s", "", fhirsync.Restricted, "Observation", "Condition"},
		{"patient/Observation.cud patient/AllergyIntolerance.rs patient/Condition.rs", "", fhirsync.Complete, "", ""}, // not enforced: all came.
	} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 77, Size: 60, Types: []string{"Observation", "AllergyIntolerance", "Condition"}})
			srv := fhirtest.NewServer(rec)
			if c.gone != "" {
				srv.Inject(fhirtest.ParamFindsNothing("patient").For(c.gone), fhirtest.ParamFindsNothing("subject").For(c.gone))
			}
			server := fhirsync.Server{BaseURL: srv.BaseURL(), Scope: c.scope}
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, new(memstore.Store),
				&fhirsync.SyncOptions{Types: []string{"Observation", "AllergyIntolerance", "Condition"}})
			if err != nil || rep.Verdict != c.verdict {
				t.Errorf("%s: %v\n%s", c.scope, err, rep)
			}
			i := slices.IndexFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Reason == fhirsync.Denied })
			if c.inGap == "" != (i < 0) || i >= 0 && (!strings.Contains(rep.Gaps[i].Detail, c.inGap) || strings.Contains(rep.Gaps[i].Detail, c.notInGap)) {
				t.Errorf("%s: %+v", c.scope, rep.Gaps)
			}
		})
	}
}

func TestThePlanKnowsTheGrant(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 78, Size: 20})
	srv := fhirtest.NewServer(rec)
	plan, err := newClient(t, srv, fhirsync.Config{}).Plan(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL(), Scope: "patient/Observation.rs"}, rec.PatientID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Steps {
		if outside := strings.Contains(s.Why, "scope does not cover"); s.Op == "search" && outside != (s.Type != "Observation") {
			t.Errorf("%s: %s", s.Type, s.Why)
		}
	}
}

// An honest server that is known by now costs little more than the least; and what the least is can be counted by hand.
func TestTheMinimumOfRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		types := []string{"Observation", "AllergyIntolerance", "Condition"}
		rec := fhirtest.Generate(fhirtest.Options{Seed: 79, Size: 90, Types: types})
		srv := fhirtest.NewServer(rec)
		srv.MaxCount = 7
		n := map[string]int{}
		for ref := range srv.Want(rec.PatientID) {
			typ, _, _ := strings.Cut(ref, "/")
			n[typ]++
		}
		want := 1 + 1 // metadata, Patient
		for _, typ := range types {
			want += max(1, (n[typ]+6)/7)
		}
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store),
			&fhirsync.SyncOptions{Types: types})
		if err != nil || rep.Requests.Minimum != want || rep.Requests.Total() < want {
			t.Errorf("%v, minimum %d, want %d\n%s", err, rep.Requests.Minimum, want, rep)
		}
	})
}
