package fhirsync_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestArguments: what is wrong with them is said before any request.
func TestArguments(t *testing.T) {
	t.Parallel()
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"}))
	c := newClient(t, srv, fhirsync.Config{})
	store := new(memstore.Store)
	good := fhirsync.Server{Name: "one", BaseURL: srv.BaseURL()}
	for name, call := range map[string]func() (*fhirsync.Report, error){
		"no store":    func() (*fhirsync.Report, error) { return c.Sync(t.Context(), good, "p", nil, nil) },
		"nil func":    func() (*fhirsync.Report, error) { return c.Sync(t.Context(), good, "p", fhirsync.StoreFunc(nil), nil) },
		"no patient":  func() (*fhirsync.Report, error) { return c.Sync(t.Context(), good, "", store, nil) },
		"a reference": func() (*fhirsync.Report, error) { return c.Sync(t.Context(), good, "Patient/p", store, nil) },
		"dots":        func() (*fhirsync.Report, error) { return c.Sync(t.Context(), good, "..", store, nil) },
		"no base":     func() (*fhirsync.Report, error) { return c.Sync(t.Context(), fhirsync.Server{}, "p", store, nil) },
		"no scheme": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), fhirsync.Server{BaseURL: "fhir.example.org"}, "p", store, nil)
		},
		"another sort": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), fhirsync.Server{BaseURL: "file:///etc"}, "p", store, nil)
		},
		"a password": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), fhirsync.Server{BaseURL: "https://u:p@x.example/r4"}, "p", store, nil)
		},
		"a query": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), fhirsync.Server{BaseURL: "https://x.example/r4?a=b"}, "p", store, nil)
		},
		"a type": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), good, "p", store, &fhirsync.SyncOptions{Types: []string{"../x"}})
		},
		"also a patient": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), good, "p", store, &fhirsync.SyncOptions{AlsoPatients: []string{""}})
		},
		"Host": func() (*fhirsync.Report, error) {
			return c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL(), Header: http.Header{"Host": {"x"}}}, "p", store, nil)
		},
	} {
		if rep, err := call(); err == nil || rep != nil {
			t.Errorf("%s: %v, %v", name, rep, err)
		}
	}
	if n := len(srv.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	if _, err := c.Capabilities(t.Context(), good); err != nil {
		t.Error(err)
	}
	if _, err := c.Capabilities(t.Context(), fhirsync.Server{Name: "one", BaseURL: "https://elsewhere.example/r4"}); !errors.Is(err, fhirsync.ErrServerName) {
		t.Errorf("one name for two bases: %v", err)
	}
	if _, err := fhirsync.New(fhirsync.Config{HTTPClient: oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"}))}); err == nil {
		t.Error("an oauth2.Transport was accepted")
	}
}

// TestWhatKeepsASyncFromBeginning is told apart by its error.
func TestWhatKeepsASyncFromBeginning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		patient string
		faults  []fhirtest.Fault
		want    error
	}{
		"unknown patient": {"nobody", nil, fhirsync.ErrPatientNotFound},
		"login page":      {"p", []fhirtest.Fault{fhirtest.LoginPage()}, fhirsync.ErrNotFHIR},
		"HTML 404":        {"p", []fhirtest.Fault{fhirtest.HTMLError(404)}, fhirsync.ErrNotFHIR},
		"bad token":       {"p", []fhirtest.Fault{fhirtest.Status(401).On(fhirtest.Metadata, fhirtest.Read, fhirtest.Search)}, fhirsync.ErrUnauthorized},
		"token dies":      {"p", []fhirtest.Fault{fhirtest.TokenDies(20)}, fhirsync.ErrUnauthorized},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"}))
			srv.Inject(c.faults...)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, c.patient, new(memstore.Store), nil)
			if !errors.Is(err, c.want) || errors.Is(err, fhirsync.ErrIncomplete) || rep == nil || !rep.Interrupted || rep.Verdict != fhirsync.Incomplete {
				t.Errorf("%s: %v\n%s", name, err, rep)
			}
		})
	}
}

// TestPageBuffersStayInThePipeline: what the store keeps is not what pages are read into.
func TestPageBuffersStayInThePipeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 300})
		srv := fhirtest.NewServer(rec)
		srv.MaxCount, srv.Everything, srv.Batch = 20, true, true
		c := newClient(t, srv, fhirsync.Config{})
		c.Poison()
		store := new(memstore.Store)
		rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if lost, alien := missing(srv, rec.PatientID, store); err != nil || len(lost)+len(alien) > 0 {
			t.Errorf("%v: lost %v, other bytes %v\n%s", err, lost, alien, rep)
		}
	})
}
