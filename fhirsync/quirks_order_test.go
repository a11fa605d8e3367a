package fhirsync_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

func knows(t *testing.T, entries ...quirks.Entry) *quirks.Registry {
	t.Helper()
	for i := range entries {
		entries[i].Name = entries[i].ID
		var fields []string
		if entries[i].Set.Types != nil {
			fields = append(fields, "types")
		}
		if entries[i].Set.Headers != nil {
			fields = append(fields, "headers")
		}
		entries[i].Sources = []quirks.Source{{Confidence: quirks.Observed, Seen: "2026-11", Says: "so it is", Fields: fields}}
	}
	r, err := quirks.New(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTheCallerGoesBeforeWhatWasLearnedAndThatBeforeTheRegistry: in which form a type is asked for first.
func TestTheCallerGoesBeforeWhatWasLearnedAndThatBeforeTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 12, Types: []string{"Goal"}})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.BareIDFindsNothing())
		wrong := types("*", quirks.Type{PatientValue: new(quirks.BareID)})
		reg := knows(t, quirks.Entry{ID: "wrong", Match: []quirks.Match{{BaseURL: srv.BaseURL()}}, Set: wrong})
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: srv.RoundTripper()}, Quirks: reg, Strategy: fhirsync.SearchByType()})
		if err != nil {
			t.Fatal(err)
		}
		first := func(own quirks.Set) string {
			srv.ResetRequests()
			store := new(memstore.Store)
			to := fhirsync.Server{BaseURL: srv.BaseURL(), Quirks: own}
			if rep, err := client.Sync(t.Context(), to, rec.PatientID, store, &fhirsync.SyncOptions{Types: []string{"Goal"}}); err != nil {
				t.Fatalf("%v\n%s", err, rep)
			}
			for _, r := range srv.Requests() {
				if r.Type == "Goal" && r.Interaction == fhirtest.Search {
					return r.Query.Get("patient")
				}
			}
			return "not asked"
		}
		id, ref := rec.PatientID, "Patient/"+rec.PatientID
		got := []string{first(quirks.Set{}), first(quirks.Set{}), first(wrong)}
		if diff := cmp.Diff([]string{id, ref, id}, got); diff != "" {
			t.Errorf("registry, learned, caller (-want +got):\n%s", diff)
		}
	})
}

// TestTheSoftwareIsKnownAfterMetadata: an entry that goes by the base URL acts on metadata already, one that goes by the software after it, and
// where both speak of a thing the base URL wins.
func TestTheSoftwareIsKnownAfterMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 12, Types: []string{"Goal"}})
		srv := fhirtest.NewServer(rec)
		srv.Software = "Some Engine"
		header := func(name, value string) []quirks.Header { return []quirks.Header{{Name: name, Value: value}} }
		reg := knows(
			t,
			quirks.Entry{ID: "address", Match: []quirks.Match{{BaseURL: srv.BaseURL()}}, Set: quirks.Set{Headers: append(header("X-Address", "a"), header("X-Both", "a")...)}},
			quirks.Entry{ID: "engine", Engine: true, Match: []quirks.Match{{Software: "some engine"}}, Set: quirks.Set{Headers: append(header("X-Engine", "e"), header("X-Both", "e")...)}},
		)
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: srv.RoundTripper()}, Quirks: reg})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"engine", "address"}, rep.Quirks); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		for _, r := range srv.Requests() {
			want := []string{"a", "e", "a"}
			if r.Interaction == fhirtest.Metadata {
				want[1] = ""
			}
			if diff := cmp.Diff(want, []string{r.Header.Get("X-Address"), r.Header.Get("X-Engine"), r.Header.Get("X-Both")}); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", r.Interaction, r.Path, diff)
			}
		}
	})
}

// asking is a strategy that looks at what is known of the server.
type asking struct{ seen *quirks.Set }

func (asking) Name() string { return "asking" }

func (a asking) Fetch(ctx context.Context, s *fhirsync.Session) error {
	*a.seen = s.Quirks()
	a.seen.Types["Goal"] = quirks.Type{Reach: new(quirks.Nowhere)} // a copy: it changes nothing.
	return fhirsync.SearchByType().Fetch(ctx, s)
}

// TestAStrategySeesTheQuirks: from the registry and from the caller, merged, and as its own copy.
func TestAStrategySeesTheQuirks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 12, Types: []string{"Goal"}})
		srv := fhirtest.NewServer(rec)
		reg := knows(t, quirks.Entry{ID: "one", Match: []quirks.Match{{BaseURL: srv.BaseURL()}}, Set: types("Goal", quirks.Type{PageSize: new(7)})})
		var seen quirks.Set
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: srv.RoundTripper()}, Quirks: reg, Strategy: asking{&seen}})
		if err != nil {
			t.Fatal(err)
		}
		store := new(memstore.Store)
		rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL(), Quirks: quirks.Set{Counts: new(false)}}, rec.PatientID, store, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		if seen.Counts == nil || *seen.Counts || with(srv.Requests(), "_count", "7") == 0 {
			t.Errorf("seen: %+v", seen)
		}
		if lost, _ := missing(srv, rec.PatientID, store); len(lost) > 0 {
			t.Errorf("the strategy's copy was used: lost %v", lost)
		}
	})
}
