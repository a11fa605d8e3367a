package fhirsync_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// harbor answers a page that has expired as the fictional Harbor Health does.
type harbor struct{ next http.RoundTripper }

func (h harbor) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := h.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusGone {
		return resp, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	resp.StatusCode, resp.Status = http.StatusForbidden, "403 Forbidden"
	body := []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"Cursor expired"}]}`)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// harborServer is Harbor Health as the guide of package quirks describes it.
func harborServer(seed uint64, observations int) (*fhirtest.Server, *fhirtest.Record) {
	rec := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: observations})
	srv := fhirtest.NewServer(rec)
	srv.Software, srv.SoftwareVersion = "Harbor FHIR Gateway", "3.2"
	srv.Inject(
		fhirtest.RequiredHeader("X-Harbor-Tenant"),
		fhirtest.CountRejected(50),
		fhirtest.ParamRequired("category").For("Observation"),
		fhirtest.ExpiredCursor(2).For("Observation").Times(1),
	)
	return srv, rec
}

// TestAServerDescribedInAFile: what the guide of package quirks describes brings a record home that otherwise does not come, and nothing
// is tried that is known to be refused.
func TestAServerDescribedInAFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data, err := os.ReadFile("../quirks/testdata/own/harbor-health.json")
		if err != nil {
			t.Fatal(err)
		}
		entries, err := quirks.Parse("harbor-health.json", data)
		if err != nil {
			t.Fatal(err)
		}
		known, err := quirks.Default().With(entries...)
		if err != nil {
			t.Fatal(err)
		}
		pull := func(registry *quirks.Registry, vars map[string]string) (*fhirsync.Report, []string, []fhirtest.Request) {
			srv, rec := harborServer(71, 400)
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: harbor{srv.RoundTripper()}}, Quirks: registry})
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			rep, _ := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL(), Vars: vars}, rec.PatientID, store, nil)
			lost, alien := missing(srv, rec.PatientID, store)
			if len(alien) > 0 {
				t.Errorf("not to be there: %v", alien)
			}
			return rep, lost, srv.Requests()
		}

		rep, lost, requests := pull(known, map[string]string{"tenant": "42"})
		if len(lost) > 0 || rep.Verdict == fhirsync.Incomplete {
			t.Errorf("lost %v\n%s", lost, rep)
		}
		if diff := cmp.Diff([]string{"harbor-health"}, rep.Quirks); diff != "" {
			t.Errorf("quirks in the report (-want +got):\n%s", diff)
		}
		for _, r := range requests {
			switch {
			case slices.Contains(r.Faults, "CountRejected(50)"), slices.Contains(r.Faults, "RequiredHeader(X-Harbor-Tenant)"):
				t.Errorf("%s %s was refused for a reason that the file names: %v", r.Method, r.Type, r.Faults)
			case r.Type == "Observation" && r.Interaction == fhirtest.Search && !slices.ContainsFunc([]string{"category", "category:not", "_id"}, r.Query.Has):
				t.Errorf("Observation was asked for without a category: %v", r.Query)
			}
		}
		if !slices.ContainsFunc(rep.Notes, func(n fhirsync.Note) bool {
			return n.Type == "Observation" && n.Detail == "page links expired, the search was begun anew"
		}) {
			t.Errorf("the expired page was not begun anew\n%s", rep)
		}

		// Without the value that only the caller has, the report says what is missing.
		rep, lost, _ = pull(known, nil)
		if len(lost) == 0 || rep.Verdict != fhirsync.Incomplete || !slices.ContainsFunc(rep.Notes, func(n fhirsync.Note) bool {
			return n.Detail == `the server wants the header X-Harbor-Tenant, for which Server.Vars has no "tenant"`
		}) {
			t.Errorf("nothing says that the tenant is missing\n%s", rep)
		}

		// And without the file nothing comes.
		none, err := quirks.New()
		if err != nil {
			t.Fatal(err)
		}
		if rep, lost, _ = pull(none, map[string]string{"tenant": "42"}); len(lost) == 0 || rep.Verdict != fhirsync.Incomplete || rep.Quirks != nil {
			t.Errorf("the file is not needed: lost %d\n%s", len(lost), rep)
		}
	})
}
