package fhirsync_test

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// wrongSet makes a Set that says all kinds of things that are not so.
func wrongSet(r *rand.Rand) quirks.Set {
	var s quirks.Set
	maybe := func() bool { return r.IntN(5) == 0 }
	flag := func() *bool {
		if !maybe() {
			return nil
		}
		b := r.IntN(2) == 0
		return &b
	}
	number := func(n ...int) *int {
		if !maybe() {
			return nil
		}
		return &n[r.IntN(len(n))]
	}
	for _, typ := range []string{"*", "Observation", "Goal", "Condition", "Claim"} {
		var t quirks.Type
		t.Reach = choose(r, quirks.BySearch, quirks.ByReference, quirks.ByRevInclude, quirks.Nowhere)
		t.Claim = flag()
		t.Patient = choose(r, "patient", "subject", "performer", "none", "nonsense")
		t.PatientValue = choose(r, quirks.BareID, quirks.TypedReference)
		if maybe() {
			t.Required = map[string]string{"category": "laboratory"}
		}
		if maybe() {
			t.FanOut = quirks.FanOut{Param: choose(r, "category", "status", "nonsense"), Values: []string{"laboratory", "x"}}
		}
		if maybe() {
			t.Further = []map[string]string{{"status": "final"}}
		}
		if maybe() {
			t.Avoid = map[string][]string{"category": {"laboratory", "vital-signs"}, "status": {"final", "active"}}
		}
		t.PageSize = number(0, 3, 50)
		if maybe() {
			t.RevIncludes = []string{"Provenance:target"}
		}
		if maybe() {
			if s.Types == nil {
				s.Types = map[string]quirks.Type{}
			}
			s.Types[typ] = t
		}
	}
	s.Paging = quirks.Paging{
		Style: choose(r, quirks.Links, quirks.PageNumber, quirks.Offset), SizeParam: choose(r, "_count", "nonsense"), RelativeTo: choose(r, quirks.ToBase, quirks.ToPage),
		Stop: choose(r, quirks.NoNext, quirks.EmptyPage), Total: choose(r, quirks.TotalMatches, quirks.TotalLastPage, quirks.TotalUntrusted), AskTotal: flag(), Cap: number(1, 5, 10),
	}
	if s.Paging.Style != nil {
		s.Paging.PageParam = new("page")
	}
	s.Metadata = choose(r, quirks.MetadataRead, quirks.MetadataSkip)
	s.SearchMethod = choose(r, quirks.Get, quirks.Post)
	s.Everything = quirks.Everything{Supported: flag(), SendCount: flag(), Omits: []string{"Goal"}}
	s.Batch = quirks.Batch{Supported: flag(), MaxEntries: number(1, 3, 100)}
	s.Counts = flag()
	for range r.IntN(4) {
		s.Errors = append(s.Errors, quirks.ErrorRule{
			Status: []int{[]int{200, 400, 403, 404, 410, 429, 500, 502, 503}[r.IntN(9)]},
			Class:  []quirks.Class{quirks.Absent, quirks.Denied, quirks.BadQuestion, quirks.Restart, quirks.Split, quirks.Transient, quirks.Permanent}[r.IntN(7)],
		})
	}
	if maybe() {
		s.Timeouts = map[quirks.Interaction]quirks.Duration{quirks.Search: quirks.Duration(time.Minute)}
	}
	return s
}

func choose[T any](r *rand.Rand, values ...T) *T {
	if r.IntN(3) > 0 {
		return nil
	}
	return &values[r.IntN(len(values))]
}

// TestWrongQuirksLoseNothingInSilence gives a sync quirks that are not true of the server, which has a fault besides. What is lost then must
// show in the verdict, unless it would not have shown without quirks either. Class empty, outcome normal and headers are left out: they say
// what an answer means, which nobody else can know.
func TestWrongQuirksLoseNothingInSilence(t *testing.T) {
	t.Parallel()
	seeds := 150
	if testing.Short() {
		seeds = 40
	}
	faults := append(fhirtest.Faults(), fhirtest.Fault{}, fhirtest.Fault{}, fhirtest.Fault{})
	for seed := range uint64(seeds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			set, fault := wrongSet(r), faults[r.IntN(len(faults))]
			if err := set.Validate(); err != nil {
				t.Fatal(err)
			}
			everything, batch := r.IntN(3) == 0, r.IntN(3) == 0
			synctest.Test(t, func(t *testing.T) {
				see := func(set quirks.Set) (*fhirsync.Report, []string) {
					rec := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: 60, Types: []string{"Observation", "Goal", "Condition", "Claim"}})
					srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: seed + 1e6, Size: 10}))
					srv.Everything, srv.Batch = everything, batch
					srv.Inject(fault)
					none, err := quirks.New()
					if err != nil {
						t.Fatal(err)
					}
					client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: srv.RoundTripper()}, Quirks: none})
					if err != nil {
						t.Fatal(err)
					}
					store := new(memstore.Store)
					rep, _ := client.Sync(t.Context(), fhirsync.Server{Name: "s", BaseURL: srv.BaseURL(), Quirks: set}, rec.PatientID, store, nil)
					lost, alien := missing(srv, rec.PatientID, store)
					if len(alien) > 0 && fault.Name == "" {
						t.Errorf("stored what is not the patient's: %v", alien)
					}
					return rep, lost
				}
				rep, lost := see(set)
				if rep == nil || rep.Verdict != fhirsync.Complete || len(lost) == 0 {
					return
				}
				if plain, before := see(quirks.Set{}); plain != nil && plain.Verdict == fhirsync.Complete && len(before) > 0 {
					return
				}
				t.Errorf("complete, and %d are lost: %v\nfault %s\nset %+v\n%s", len(lost), lost, fault.Name, set, rep)
			})
		})
	}
}
