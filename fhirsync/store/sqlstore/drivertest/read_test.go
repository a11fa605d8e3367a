package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func TestReading(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		db := d.db(t)
		// One connection: a loop that held it while its body runs would wait for itself.
		db.SetMaxOpenConns(1)
		s, err := sqlstore.Open(t.Context(), db, d.dialect, &d.opts)
		if err != nil {
			t.Fatal(err)
		}
		const n = 1300
		var all []fhirsync.Resource
		for i := range n {
			r := resource(fmt.Sprintf("r%04d", i), "1", 0)
			r.Type = []string{"Condition", "Observation"}[i%2]
			all = append(all, r)
		}
		put(t, s, "p1", all...)
		put(t, s, "p2", all[0], all[1], all[2])
		read := map[fhirsync.Key]bool{}
		last := fhirsync.Key{}
		for r, err := range s.All(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if read[r.Key] || r.Type < last.Type || r.Type == last.Type && r.ID <= last.ID {
				t.Fatalf("%v after %v", r.Key, last)
			}
			read[r.Key], last = true, r.Key
			if len(read)%400 == 1 {
				wantBytes(t, s, r)
			}
		}
		if len(read) != n {
			t.Errorf("All gave %d of %d", len(read), n)
		}
		conditions := 0
		for r, err := range s.All(t.Context(), "Condition") {
			if err != nil || r.Type != "Condition" {
				t.Fatalf("%v, %v", r.Key, err)
			}
			conditions++
		}
		if conditions != n/2 {
			t.Errorf("%d conditions of %d", conditions, n/2)
		}
		for patient, want := range map[string]int{"p1": n, "p2": 3, "p3": 0} {
			got := 0
			for _, err := range s.Patient(t.Context(), "payer", patient) {
				if err != nil {
					t.Fatal(err)
				}
				got++
			}
			if got != want {
				t.Errorf("%s: %d of %d", patient, got, want)
			}
		}
		for _, err := range s.All(t.Context(), "") { // a loop may end early.
			if err != nil {
				t.Error(err)
			}
			break
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range s.All(ended, "") {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a context that has ended: %v", err)
			}
		}
	})
}

// Pages end at 8 MB, so that reading a record of large resources takes no memory by the gigabyte; nothing may get lost at that edge.
func TestReadingLargeResources(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		var all []fhirsync.Resource
		for i := range 12 {
			r := resource(fmt.Sprint("large", i), "1", 0)
			r.Raw = append(slices.Clip(r.Raw), make([]byte, 1_500_000*(i%4))...)
			all = append(all, r)
		}
		put(t, s, "p1", all...)
		n := 0
		for r, err := range s.Patient(t.Context(), "payer", "p1") {
			if err != nil {
				t.Fatal(err)
			}
			n += len(r.Raw)
		}
		for r, err := range s.All(t.Context(), "Observation") {
			if err != nil {
				t.Fatal(err)
			}
			n -= len(r.Raw)
		}
		if n != 0 || ids(t, s, "p1") != "large0 large1 large10 large11 large2 large3 large4 large5 large6 large7 large8 large9" {
			t.Errorf("%d bytes of difference, %s", n, ids(t, s, "p1"))
		}
	})
}

func TestViewForPeople(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		put(t, s, "p1", resource("a", "hello", 0))
		query := `SELECT json::jsonb #>> '{note,0,text}' FROM ` + d.table("records") + ` WHERE patient_id = 'p1' AND type = 'Observation'`
		if d.dialect == sqlstore.SQLite {
			query = `SELECT json_extract(json, '$.note[0].text') FROM ` + d.table("records") + ` WHERE patient_id = 'p1' AND type = 'Observation'`
		}
		var got string
		if err := d.db(t).QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
