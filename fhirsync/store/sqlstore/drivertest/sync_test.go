package drivertest_test

import (
	"fmt"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func TestSyncTwice(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.References = true
		rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 600, Dangling: 3, Secondary: 8})
		srv, server := start(t, rec)
		s := d.open(t)
		first := sync(t, client(t), server, rec.PatientID, s)
		wantRecord(t, s, srv, rec.PatientID)
		if got := s.Stats(); got.Created != int64(first.Received()) || got.Updated+got.Unchanged+got.Stale != 0 {
			t.Errorf("%d received, %+v", first.Received(), got)
		}
		// Nothing has changed: nothing but the time at which it was seen is written.
		untouchable(t, d)
		second := sync(t, client(t), server, rec.PatientID, s)
		if got := s.Stats(); got.Unchanged != int64(second.Received()) || got.Created != int64(first.Received()) {
			t.Errorf("%d received again, %+v", second.Received(), got)
		}
		for typ, r := range second.Types {
			if r.Unchanged != r.Stored {
				t.Errorf("%s: %d of %d unchanged", typ, r.Unchanged, r.Stored)
			}
		}
		wantRecord(t, s, srv, rec.PatientID)
	})
}

// patientWith makes a patient of whom each Observation names one of the practitioners.
func patientWith(id string, practitioners []fhirtest.Resource) *fhirtest.Record {
	rec := fhirtest.Generate(fhirtest.Options{Seed: uint64(len(id)), Size: 1, PatientID: id})
	for i, d := range practitioners {
		for j := range 2 {
			obs := fmt.Sprintf("%s-%d-%d", id, i, j)
			rec.Resources = append(rec.Resources, fhirtest.Resource{
				Type: "Observation", ID: obs, Owner: id, Links: []string{d.Ref()}, Params: fhirtest.Of(id, "subject", "patient"),
				Raw: fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"status":"final","subject":{"reference":"Patient/%s"},"performer":[{"reference":%q}]}`,
					obs, id, d.Ref()),
			})
		}
	}
	return rec
}

// Two processes, as far as the database can tell, sync two patients who share 200 Practitioners, at the same time, again and again, while
// the Practitioners change.
func TestTwoSyncsShare200Practitioners(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		practitioners := func(version int) []fhirtest.Resource {
			var out []fhirtest.Resource
			for i := range 200 {
				id := fmt.Sprint("d", i)
				out = append(out, fhirtest.Resource{
					Type: "Practitioner", ID: id,
					Raw: fmt.Appendf(nil, `{"resourceType":"Practitioner","id":%q,"meta":{"versionId":"%d","lastUpdated":"2024-02-29T10:00:%02d.000Z"}}`, id, version, version),
				})
			}
			return out
		}
		shared := practitioners(1)
		patients := []string{"one", "three"}
		srv, server := start(t, patientWith(patients[0], shared), patientWith(patients[1], shared))
		srv.Put(shared...)
		var stores []*sqlstore.Store
		for range patients {
			stores = append(stores, d.open(t))
		}
		for version := 1; version <= 3; version++ {
			srv.Put(practitioners(version)...)
			var wg gosync.WaitGroup
			for i, p := range patients {
				wg.Go(func() { sync(t, client(t), server, p, stores[i]) })
			}
			wg.Wait()
			for i, p := range patients {
				wantRecord(t, stores[i], srv, p)
			}
		}
		db := d.db(t)
		both := `SELECT count(*) FROM ` + d.table("resources") + ` r WHERE type = 'Practitioner' AND id LIKE 'd%' AND
			(SELECT count(*) FROM ` + d.table("members") + ` m WHERE m.resource_no = r.no) = 2`
		if n := count(t, db, both); n != 200 {
			t.Errorf("%d of 200 Practitioners are in both records", n)
		}
		var updated, stale int64
		for _, s := range stores {
			updated, stale = updated+s.Stats().Updated, stale+s.Stats().Stale
		}
		if updated != 400 || stale != 0 {
			t.Errorf("200 Practitioners changed twice: %d updates, %d stale", updated, stale)
		}
		// Erasing one leaves the other whole.
		if _, err := stores[0].ErasePatient(t.Context(), "payer", patients[0]); err != nil {
			t.Error(err)
		}
		wantRecord(t, stores[1], srv, patients[1])
	})
}
