package fhirsync_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// TestShippedQuirksDoNoHarm: on a server that has none of the faults that an entry is about, its settings lose nothing, or the report says of
// which type. Servers are mended, and engines are mistaken for products: an entry that no longer fits must do no harm in silence.
func TestShippedQuirksDoNoHarm(t *testing.T) {
	t.Parallel()
	for _, e := range quirks.Default().Entries() {
		if len(e.Sources) == 0 {
			continue
		}
		for _, strategy := range []fhirsync.Strategy{fhirsync.Auto(), fhirsync.SearchByType()} {
			t.Run(e.ID+"/"+strategy.Name(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { doesNoHarm(t, &e, strategy) })
			})
		}
	}
}

func doesNoHarm(t *testing.T, e *quirks.Entry, strategy fhirsync.Strategy) {
	t.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 81, Size: 200})
	srv := fhirtest.NewServer(rec)
	srv.Everything, srv.Batch, srv.RevInclude = true, true, true
	none, err := quirks.New()
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, name := range e.Set.Vars() {
		vars[name] = "1"
	}
	store := new(memstore.Store)
	rep, _ := newClient(t, srv, fhirsync.Config{Quirks: none, Strategy: strategy}).
		Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL(), Quirks: e.Set, Vars: vars}, rec.PatientID, store, nil)
	lost, alien := missing(srv, rec.PatientID, store)
	if len(alien) > 0 || rep.Interrupted || rep.Verdict == fhirsync.Incomplete {
		t.Errorf("not to be there %v\n%s", alien, rep)
	}
	for _, ref := range lost {
		// What has to be asked with further parameters is a part of the whole, and the report says so.
		typ, _, _ := strings.Cut(ref, "/")
		if len(e.Set.Type(typ).Required) == 0 || rep.Verdict == fhirsync.Complete || !named(rep, typ) {
			t.Errorf("%s is lost\n%s", ref, rep)
		}
	}
}

// named tells whether a gap is about the type.
func named(rep *fhirsync.Report, typ string) bool {
	return slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == typ })
}
