package fhirsync_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// newClient makes a client that talks to the server in process.
func newClient(tb testing.TB, srv *fhirtest.Server, cfg fhirsync.Config) *fhirsync.Client {
	tb.Helper()
	cfg.HTTPClient = srv.Client()
	c, err := fhirsync.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// missing compares what is in the store with what is true, byte for byte.
func missing(srv *fhirtest.Server, patientID string, store *memstore.Store) (lost []string, alien []string) {
	want := srv.Want(patientID)
	for r := range store.All() {
		ref := r.Type + "/" + r.ID
		raw, ok := want[ref]
		if !ok || !bytes.Equal(raw, r.Raw) {
			alien = append(alien, ref)
		}
		delete(want, ref)
	}
	for ref := range want {
		lost = append(lost, ref)
	}
	return lost, alien
}

func TestHonestServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 500, Dangling: 3, Secondary: 8})
		srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 120}))
		store := new(memstore.Store)
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if err != nil {
			t.Error(err)
		}
		t.Log(rep)
		lost, alien := missing(srv, rec.PatientID, store)
		if len(lost)+len(alien) > 0 {
			t.Errorf("lost %v, not to be there %v", lost, alien)
		}
		if rep.Verdict != fhirsync.Complete {
			t.Errorf("verdict %s", rep.Verdict)
		}
		if n := srv.Unclosed(); n != 0 {
			t.Errorf("%d bodies left open", n)
		}
	})
}
