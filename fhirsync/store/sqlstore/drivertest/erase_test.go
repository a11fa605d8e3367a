package drivertest_test

import (
	"errors"
	"fmt"
	"io/fs"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

func TestErasePatient(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.References = true
		s := d.open(t)
		own, shared, other, nobodys := resource("own", "1", 0), resource("shared", "1", 0), resource("other", "1", 0), resource("nobodys", "1", 0)
		put(t, s, "p1", own, shared, nobodys)
		put(t, s, "p2", other, shared)
		put(t, s, "", nobodys) // of a whole group, say: it belongs to more than p1.
		for _, p := range []string{"p1", "p2"} {
			if err := s.Quarantine(t.Context(), []fhirsync.Quarantined{{Server: "payer", PatientID: p, Raw: []byte("{")}}); err != nil {
				t.Fatal(err)
			}
		}
		var revs [2]string
		for i, key := range []string{"fhirsync-sync-0123", "fhirsync-learned"} {
			rev, err := s.SaveState(t.Context(), key, []byte("x"), "")
			if err != nil {
				t.Fatal(err)
			}
			revs[i] = rev
		}
		if n, err := s.ErasePatient(t.Context(), "other server", "p1"); n != 0 || err != nil {
			t.Errorf("of another server: %d, %v", n, err)
		}
		if n, err := s.ErasePatient(t.Context(), "payer", "p1"); n != 1 || err != nil {
			t.Errorf("%d removed, %v", n, err)
		}
		if _, err := s.Get(t.Context(), own.Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("still there: %v", err)
		}
		wantBytes(t, s, shared)
		wantBytes(t, s, nobodys)
		if got := ids(t, s, "p1") + "|" + ids(t, s, "p2") + "|" + ids(t, s, ""); got != "|other shared|nobodys" {
			t.Errorf("records: %s", got)
		}
		db := d.db(t)
		for table, want := range map[string]int{"patients": 2, "members": 3, "resources": 3, "edges": 3, "quarantine": 1, "states": 1} {
			if n := count(t, db, `SELECT count(*) FROM `+d.table(table)); n != want {
				t.Errorf("%s has %d rows, not %d", table, n, want)
			}
		}
		// An unfinished sync would go on without what was erased; what was learned about servers stays.
		if state, _, err := s.LoadState(t.Context(), "fhirsync-learned"); string(state) != "x" || err != nil {
			t.Errorf("%q, %v", state, err)
		}
		if _, err := s.SaveState(t.Context(), "fhirsync-sync-0123", []byte("y"), revs[0]); !errors.Is(err, fhirsync.ErrStateConflict) {
			t.Errorf("a running sync saves over the erasure: %v", err)
		}
		// It can come again.
		put(t, s, "p1", own, shared)
		if got := ids(t, s, "p1"); got != "own shared" {
			t.Error(got)
		}
	})
}

// While one patient is erased again and again, others put the resources that they share: whatever the order, theirs must be there.
func TestEraseWhileOthersPut(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		var shared []fhirsync.Resource
		for i := range 30 {
			shared = append(shared, resource(fmt.Sprint("d", i), "1", 0))
		}
		ctx := t.Context()
		var wg gosync.WaitGroup
		failures := make(chan error, 100)
		for i := range 3 {
			wg.Go(func() {
				for round := range 12 {
					p := fmt.Sprintf("p%d-%d", i, round)
					if err := s.Put(ctx, batchOf(p, shared...)); err != nil {
						failures <- err
						return
					}
					n := 0
					for _, err := range s.Patient(ctx, "payer", p) {
						if err == nil {
							n++
						}
					}
					if n != len(shared) {
						failures <- fmt.Errorf("%d of %d are in the record just put", n, len(shared))
					}
					if _, err := s.ErasePatient(ctx, "payer", p); err != nil {
						failures <- err
					}
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				if err := s.Put(ctx, batchOf("gone", shared...)); err != nil {
					failures <- err
				}
				if _, err := s.ErasePatient(ctx, "payer", "gone"); err != nil {
					failures <- err
				}
			}
		})
		wg.Wait()
		close(failures)
		for err := range failures {
			t.Error(err)
		}
		if n := count(t, d.db(t), `SELECT count(*) FROM `+d.table("resources")); n != 0 {
			t.Errorf("%d resources are left that belong to nobody", n)
		}
	})
}
