package fhirsync_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// met is what a sync of one patient came to.
type met struct {
	report      *fhirsync.Report
	lost, alien []string
	requests    []fhirtest.Request
}

// asked counts the requests that ok picks.
func (m met) asked(ok func(r fhirtest.Request) bool) int {
	n := 0
	for _, r := range m.requests {
		if ok(r) {
			n++
		}
	}
	return n
}

// meet syncs one patient from a server with faults.
func meet(t *testing.T, set func(s *fhirtest.Server), faults ...fhirtest.Fault) (m met) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 77, Size: 200, PatientID: "p"})
		srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 78}))
		set(srv)
		srv.Inject(faults...)
		store := new(memstore.Store)
		m.report, _ = newClient(t, srv, fhirsync.Config{Strategy: fhirsync.SearchByType()}).
			Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		m.lost, m.alien = missing(srv, rec.PatientID, store)
		m.requests = srv.Requests()
	})
	return m
}

// A page that comes again does not end a chain: what follows it comes by its links, and not by splitting the search.
func TestAPageThatComesAgainIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, style := range []fhirtest.LinkStyle{{}, {Param: "_offset", Value: fhirtest.LinkOffset, Typed: true, Query: true}} {
		for _, more := range [][]fhirtest.Fault{nil, {fhirtest.NoTotal()}, {fhirtest.CountIgnored(), fhirtest.ParamIgnored("date"), fhirtest.ParamIgnored("_lastUpdated")}} {
			m := meet(t, func(s *fhirtest.Server) { s.MaxCount, s.Links = 10, style }, append(more, fhirtest.PageTwice(2).For("Observation"))...)
			if len(m.lost)+len(m.alien) > 0 || m.report.Verdict != fhirsync.Complete {
				t.Errorf("lost %v, not the patient's %v\n%s", m.lost, m.alien, m.report)
			}
			if n := m.asked(func(r fhirtest.Request) bool { return r.Type == "Observation" && r.Query.Has("_lastUpdated") }); n > 0 {
				t.Errorf("%d requests for parts of what the pages bring", n)
			}
		}
	}
	// Without a total or a count nothing tells whether the page stood in the place of another one.
	m := meet(t, func(s *fhirtest.Server) { s.MaxCount = 10 },
		fhirtest.PageTwice(2).For("Observation"), fhirtest.NoTotal(), fhirtest.CountUnsupported(), fhirtest.ParamIgnored("date"), fhirtest.ParamIgnored("_lastUpdated"))
	if m.report.Verdict != fhirsync.Incomplete {
		t.Errorf("nothing proves the whole, and the verdict is %s", m.report.Verdict)
	}
	// One that never ends does end.
	m = meet(t, func(s *fhirtest.Server) { s.MaxCount = 10 }, fhirtest.RepeatedPage().For("Goal"))
	if n := m.asked(func(r fhirtest.Request) bool { return r.Type == "Goal" && r.Interaction == fhirtest.Page }); n > 3 {
		t.Errorf("%d pages after the first of a chain without end", n)
	}
}

// halves asks for Observations in two parts, and for nothing else.
type halves struct{}

func (halves) Name() string { return "halves" }

func (halves) Fetch(ctx context.Context, s *fhirsync.Session) error {
	for _, part := range s.Partition(fhirsync.Query{Type: "Observation"}, url.Values{"status": {"final"}}, url.Values{"status:not": {"final"}}) {
		if err := s.Search(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// A page that has expired says so behind a mapped address, too: the search is begun anew.
func TestAMappedPageThatHasExpired(t *testing.T) {
	t.Parallel()
	for _, link := range []fhirtest.Fault{fhirtest.NextDoublePort(), fhirtest.NextForeignHost("http://10.0.66.99:8080/fhir")} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 79, Size: 120, Types: []string{"Observation"}})
			srv := fhirtest.NewServer(rec)
			srv.MaxCount = 10
			srv.Inject(link, fhirtest.ExpiredCursor(2).For("Observation").Times(1))
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{Strategy: halves{}}).
				Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, &fhirsync.SyncOptions{Types: []string{"Observation"}})
			if got := rep.Types["Observation"].Stored; err != nil || got != 119 {
				t.Errorf("%s: %v, %d Observations\n%s", link.Name, err, got, rep)
			}
		})
	}
}

// A server that takes some of the values that are known is asked for those, whatever it says to the others.
func TestValuesThatAreRefusedAreLeftOut(t *testing.T) {
	t.Parallel()
	vendor := fhirtest.Refusal{Severity: "fatal", Code: "business-rule", Details: []string{"59111"}}
	m := meet(t, func(s *fhirtest.Server) { s.RevInclude = true },
		fhirtest.ParamRequired("category").For("Observation").Refusing(vendor),
		fhirtest.ParamValues("category", "social-history", "laboratory", "vital-signs", "survey", "exam").For("Observation").Refusing(vendor),
		fhirtest.ModifiersRejected().For("Observation"), fhirtest.CountIgnored().For("Observation"),
		fhirtest.MetadataDenies("Provenance"), fhirtest.Status(http.StatusNotFound).For("Provenance").On(fhirtest.Search, fhirtest.Count))
	if m.report.Verdict != fhirsync.Restricted || m.report.Types["Observation"].Parts != "category" {
		t.Errorf("values that are refused lose nothing, and nothing proves the whole\n%s", m.report)
	}
	for _, ref := range m.lost {
		if typ, _, _ := strings.Cut(ref, "/"); typ != "Observation" && typ != "Provenance" {
			t.Errorf("lost %s", ref)
		}
	}
	seen := map[string]int{}
	for _, r := range m.requests {
		if r.Type == "Observation" && r.Status == http.StatusBadRequest && r.Query.Has("category") && r.Query.Has("patient") {
			seen[r.Query.Get("category")]++
		}
	}
	for value, n := range seen {
		if n > 1 && !strings.Contains(value, ",") {
			t.Errorf("category=%s was refused, and asked %d times", value, n)
		}
	}
	if n := m.asked(func(r fhirtest.Request) bool {
		return r.Query.Get("performer") != "" && r.Query.Get("category") != "" && r.Status == http.StatusOK
	}); n == 0 {
		t.Error("what the patient performed was never asked for in a way that is answered")
	}
}

// The first values being refused does not mean that all are.
func TestFirstValuesRefused(t *testing.T) {
	t.Parallel()
	const patient = "p"
	m := meet(t, func(s *fhirtest.Server) {
		for i, code := range []string{"734163000", "736271009"} {
			id := "plan-" + string(rune('a'+i))
			s.Put(fhirtest.Resource{
				Type: "CarePlan", ID: id, Owner: patient, Params: append(fhirtest.Of(patient, "patient", "subject"), fhirtest.Param{Name: "category", Value: "http://snomed.info/sct|" + code}),
				Raw: []byte(`{"resourceType":"CarePlan","id":"` + id + `","subject":{"reference":"Patient/` + patient + `"}}`),
			})
		}
	}, fhirtest.ParamRequired("category").For("CarePlan"), fhirtest.ParamValues("category", "734163000", "736271009").For("CarePlan"))
	if got := m.report.Types["CarePlan"].Received; got < 2 {
		t.Errorf("%d CarePlans\n%s", got, m.report)
	}
}

// What a server is like is found out by one question, however many want to know.
func TestOneProbe(t *testing.T) {
	t.Parallel()
	m := meet(t, func(*fhirtest.Server) {}, fhirtest.Slow(50*time.Millisecond),
		fhirtest.ParamIgnored("patient").For("Condition", "Procedure", "Immunization", "Encounter"),
		fhirtest.Status(http.StatusNotFound).For("Account", "Basic", "Claim", "Flag", "Goal", "List", "Media"))
	if n := m.asked(func(r fhirtest.Request) bool { return r.Query.Has("fhirsync-probe") }); n != 1 {
		t.Errorf("%d probes of self links", n)
	}
	if n := m.asked(func(r fhirtest.Request) bool {
		return r.Query.Get("_id") == "fhirsync-0-none" && !r.Query.Has("fhirsync-probe")
	}); n > 1 {
		t.Errorf("%d probes of how the server says nothing", n)
	}
}

// A server that refuses everything is soon asked no more than it takes to say so of each type.
func TestEverythingRefused(t *testing.T) {
	t.Parallel()
	m := meet(t, func(*fhirtest.Server) {}, fhirtest.QueryRequired("tenant", url.PathEscape("1")))
	if m.report.Verdict != fhirsync.Incomplete || len(m.lost) == 0 {
		t.Errorf("verdict %s, lost %d", m.report.Verdict, len(m.lost))
	}
	types := map[string]bool{}
	for _, g := range m.report.Gaps {
		types[g.Type] = true
	}
	for _, ref := range m.lost {
		if typ, _, _ := strings.Cut(ref, "/"); searchedTypes[typ] && !types[typ] {
			t.Errorf("%s is missing, and no gap says so", typ)
		}
	}
	if n := len(m.requests); n > 450 {
		t.Errorf("%d requests, and all were refused", n)
	}
}

// searchedTypes are some of those that are asked for by patient.
var searchedTypes = map[string]bool{"Patient": true, "Observation": true, "Condition": true, "Encounter": true, "CarePlan": true, "Goal": true}
