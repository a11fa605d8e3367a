package fhirsync_test

import (
	"net/http"
	"os"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// harbour is a server of which nobody but a file knows: it wants a header and a parameter with a slash in it, refuses Observations without
// a category, names pages by paths below its base, lets a search expire with a code of its own, and its totals are those of the page.
func harbour(rec *fhirtest.Record, wants ...fhirtest.Fault) *fhirtest.Server {
	srv := fhirtest.NewServer(rec)
	srv.SetBaseURL("https://north.harbour.example/fhir/r4")
	srv.Links.Typed = true
	srv.Inject(wants...)
	srv.Inject(
		fhirtest.BareIDFindsNothing(),
		fhirtest.ParamRequired("category").For("Observation"),
		fhirtest.CountRejected(25),
		fhirtest.TotalIsPageSize(),
		fhirtest.ExpiredCursor(3).For("Condition").Times(1).Refusing(fhirtest.Refusal{Status: http.StatusForbidden, Details: []string{"H-17"}}),
		fhirtest.OutcomeEntry("warning", "incomplete", "H-21").For("Encounter"),
	)
	return srv
}

// TestAFileMakesAServerCheaperAndWhole syncs the same server without and with the file. Without it nothing comes home: the header is missing. A caller
// who sends header and parameter by hand gets further, at a price, and cannot be told that all is there.
func TestAFileMakesAServerCheaperAndWhole(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/harbour.json")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := quirks.Parse("harbour.json", data)
	if err != nil {
		t.Fatal(err)
	}
	known, err := quirks.Default().With(entries...)
	if err != nil {
		t.Fatal(err)
	}
	none, err := quirks.New()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 77, Size: 400})
		wants := []fhirtest.Fault{
			fhirtest.RequiredHeader("X-Harbour-Client"), fhirtest.RequiredHeader("X-Request-Id"), fhirtest.QueryRequired("ward", "Location/7"),
		}
		see := func(reg *quirks.Registry, wants ...fhirtest.Fault) (rep *fhirsync.Report, lost []string, requests int, err error) {
			srv := harbour(rec, wants...)
			links := regexp.MustCompile(`"` + regexp.QuoteMeta(srv.BaseURL()) + `(/[A-Za-z]+\?[^"]*_getpages=)`)
			rt := front{next: srv.RoundTripper(), sent: func(*http.Request) {}, change: func(_ *http.Request, resp *http.Response) {
				editBytes(resp, func(raw string) string { return links.ReplaceAllString(raw, `"$1`) })
			}}
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: rt}, Quirks: reg})
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			rep, err = client.Sync(t.Context(), fhirsync.Server{
				Name: "north", BaseURL: srv.BaseURL(), Vars: map[string]string{"client-id": "abc", "ward": "Location/7"},
			}, rec.PatientID, store, nil)
			lost, alien := missing(srv, rec.PatientID, store)
			if len(alien) > 0 {
				t.Errorf("stored %v", alien)
			}
			return rep, lost, len(srv.Requests()), err
		}
		rep, lost, _, err := see(none, wants...)
		if err == nil || len(lost) < 400 {
			t.Errorf("nothing known, nothing given: %d lost, %v\n%s", len(lost), err, rep)
		}
		// As if the caller had sent what the server wants by hand.
		rep, lost, n, err := see(none)
		t.Logf("without the file: %s, %d requests, %d lost, %v", rep.Verdict, n, len(lost), err)
		if rep.Verdict == fhirsync.Complete {
			t.Errorf("without the file:\n%s", rep)
		}
		withFile, lost, m, err := see(known, wants...)
		t.Logf("with the file: %s, %d requests, %d lost, %v", withFile.Verdict, m, len(lost), err)
		if err != nil || len(lost) > 0 {
			t.Errorf("with the file: %d lost, %v\n%s", len(lost), err, withFile)
		}
		fewer(judge{t}, "requests", n, m)
		if diff := cmp.Diff([]string{"harbour"}, withFile.Quirks); diff != "" {
			t.Errorf("the report's quirks (-want +got):\n%s", diff)
		}
	})
}
