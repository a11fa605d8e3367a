package fhirsync_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestAnswersBeyondTheSizeCap: a page that is too large is asked for in smaller pieces, and one that cannot be made smaller is a gap.
func TestAnswersBeyondTheSizeCap(t *testing.T) {
	t.Parallel()
	const capacity = 1 << 20
	for _, c := range []struct {
		name     string
		fault    fhirtest.Fault
		strategy fhirsync.Strategy
		complete bool
	}{
		{"$everything on one page, as a prefetch", fhirtest.HugePage(2 * capacity).On(fhirtest.Operation), fhirsync.Auto(), true},
		{"$everything on one page, alone", fhirtest.HugePage(2 * capacity).On(fhirtest.Operation), fhirsync.Everything(), false},
		{"heavy entries", fhirtest.HeavyEntries(capacity / 8).For("Observation"), fhirsync.SearchByType(), true},
		{"pages that _count does not make smaller", fhirtest.HugePage(2 * capacity).For("Observation"), fhirsync.SearchByType(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 61, Size: 120})
				srv := fhirtest.NewServer(rec)
				srv.Everything = true
				srv.Inject(c.fault)
				store := new(memstore.Store)
				cfg := fhirsync.Config{Strategy: c.strategy, MaxPage: capacity, MaxBytes: 64 * capacity}
				rep, err := newClient(t, srv, cfg).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
				lost, _ := missing(srv, rec.PatientID, store)
				switch {
				case c.complete && (err != nil || len(lost) > 0):
					t.Errorf("%v, lost %d\n%s", err, len(lost), rep)
				case !c.complete && !errors.Is(err, fhirsync.ErrIncomplete):
					t.Errorf("%v\n%s", err, rep)
				}
				if !c.complete {
					limited := 0
					for _, g := range rep.Gaps {
						if g.Reason == fhirsync.Limited {
							limited++
						}
					}
					if limited == 0 {
						t.Errorf("no gap of reason limited\n%s", rep)
					}
				}
			})
		})
	}
}
