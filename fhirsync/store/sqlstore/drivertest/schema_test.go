package drivertest_test

import (
	"errors"
	"fmt"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func TestOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.References = true
		ctx := t.Context()
		var wg gosync.WaitGroup
		stores := make([]*sqlstore.Store, 8)
		errs := make([]error, len(stores))
		for i := range stores {
			db := d.db(t)
			wg.Go(func() { stores[i], errs[i] = sqlstore.Open(ctx, db, d.dialect, &d.opts) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, s := range stores {
			put(t, s, "p1", resource(fmt.Sprint("r", i), "1", 0))
		}
		db := d.db(t)
		for table, want := range map[string]int{"version": 1, "resources": 8, "edges": 8} {
			if n := count(t, db, `SELECT count(*) FROM `+d.table(table)); n != want {
				t.Errorf("%s has %d rows, not %d", table, n, want)
			}
		}
	})
}

func TestNewerVersionIsNotTouched(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		put(t, d.open(t), "p1", resource("a", "1", 0))
		db := d.db(t)
		if _, err := db.ExecContext(t.Context(), `UPDATE `+d.table("version")+` SET version = 99`); err != nil {
			t.Fatal(err)
		}
		_, err := sqlstore.Open(t.Context(), db, d.dialect, &d.opts)
		var newer *sqlstore.SchemaError
		if !errors.Is(err, sqlstore.ErrSchemaNewer) || !errors.As(err, &newer) || newer.Found != 99 || newer.Known >= 99 {
			t.Errorf("%v", err)
		}
	})
}

// An upgrade is one transaction: where it fails, nothing has happened, and the next one succeeds.
func TestFailedUpgradeLeavesNothing(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		db := d.db(t)
		d.opts.Prefix = "x_"
		if d.opts.Schema != "" {
			if _, err := db.ExecContext(t.Context(), `CREATE SCHEMA `+d.opts.Schema); err != nil {
				t.Fatal(err)
			}
		}
		// The last of the tables is in the way.
		if _, err := db.ExecContext(t.Context(), `CREATE TABLE `+d.table("quarantine")+` (i INTEGER)`); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlstore.Open(t.Context(), db, d.dialect, &d.opts); err == nil {
			t.Fatal("a table in the way was not noticed")
		}
		if _, err := db.ExecContext(t.Context(), `DROP TABLE `+d.table("quarantine")); err != nil {
			t.Fatal(err)
		}
		s, err := sqlstore.Open(t.Context(), db, d.dialect, &d.opts)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "p1", resource("a", "1", 0))
	})
}

func TestPrefixesKeepStoresApart(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		one := d.open(t)
		d.opts.Prefix = "two_"
		two := d.open(t)
		put(t, one, "p1", resource("a", "1", 0))
		if got := ids(t, two, "p1"); got != "" {
			t.Errorf("a store with another prefix has %q", got)
		}
	})
}

func TestReferencesOfWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		var all []fhirsync.Resource
		for i := range 250 {
			all = append(all, resource(fmt.Sprint("r", i), "1", 0))
		}
		broken := resource("broken", "1", 0)
		broken.Raw = []byte(`{"subject":{"reference":"Patient/p"}`)
		put(t, s, "p1", append(all, broken)...)
		d.opts.References = true
		s = d.open(t)
		db := d.db(t)
		edges := `SELECT count(*) FROM ` + d.table("edges") + ` WHERE target_type = 'Patient' AND target_id = 'p' AND path = 'Observation.subject'`
		if n := count(t, db, edges); n != 250 {
			t.Errorf("%d edges of what was there before", n)
		}
		// A changed resource has the edges of its present content only.
		changed := resource("r1", "1", 1)
		changed.Raw = []byte(`{"resourceType":"Observation","performer":[{"reference":"https://h.example/fhir/Practitioner/d"},{"reference":"#in"}],` +
			`"contained":[{"resourceType":"Device","id":"in","owner":{"reference":"Organization/\u0000"}}]}`)
		changed.Digest[0]++
		put(t, s, "p1", changed, resource("r2", "1", 0))
		if n := count(t, db, edges); n != 249 {
			t.Errorf("%d edges after a change", n)
		}
		if n := count(t, db, `SELECT count(*) FROM `+d.table("edges")+` WHERE target_type = 'Practitioner' AND target_id = 'd'`); n != 1 {
			t.Errorf("%d edges of the changed one", n)
		}
		// Whoever opens it later keeps edges, asked or not.
		d.opts.References = false
		put(t, d.open(t), "p1", resource("late", "1", 0))
		if n := count(t, db, edges); n != 250 {
			t.Errorf("%d edges after a store without the option", n)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		db := d.db(t)
		for _, o := range []sqlstore.Options{{Prefix: "a b"}, {Prefix: `x"; DROP TABLE y; --`}, {Prefix: "1a"}, {Prefix: "Ab"}, {Schema: "a.b"}, {Schema: `"`}} {
			if _, err := sqlstore.Open(t.Context(), db, d.dialect, &o); err == nil {
				t.Errorf("%+v was accepted", o)
			}
		}
		if _, err := sqlstore.Open(t.Context(), nil, d.dialect, nil); err == nil {
			t.Error("no database was accepted")
		}
		if _, err := sqlstore.Open(t.Context(), db, 0, nil); err == nil {
			t.Error("no dialect was accepted")
		}
	})
}

// toVersion1 makes the tables what the first version of them was.
func toVersion1(tb testing.TB, d database) {
	tb.Helper()
	db := d.db(tb)
	for _, text := range []string{
		`DROP TABLE ` + d.table("versions"),
		`DROP TABLE ` + d.table("version_members"),
		`DROP TABLE ` + d.table("contents"),
		`DROP TABLE ` + d.table("content_members"),
		`DROP TABLE ` + d.table("pieces"),
		`ALTER TABLE ` + d.table("members") + ` DROP COLUMN run_no`,
		`DROP TABLE ` + d.table("runs"),
		`ALTER TABLE ` + d.table("quarantine") + ` DROP COLUMN query`,
		`ALTER TABLE ` + d.table("quarantine") + ` DROP COLUMN repairs`,
		`UPDATE ` + d.table("version") + ` SET version = 1`,
	} {
		if _, err := db.ExecContext(tb.Context(), text); err != nil {
			tb.Fatal(err)
		}
	}
}

// What the first version has stored is there after an upgrade, which several processes begin at once, and no run is said to have put it.
func TestUpgradeFromVersion1(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		before := []fhirsync.Resource{resource("a", "1", 0), resource("b", "1", 0)}
		put(t, d.open(t), "p1", before...)
		toVersion1(t, d)
		ctx := t.Context()
		var wg gosync.WaitGroup
		stores := make([]*sqlstore.Store, 4)
		errs := make([]error, len(stores))
		for i := range stores {
			db := d.db(t)
			wg.Go(func() { stores[i], errs[i] = sqlstore.Open(ctx, db, d.dialect, &d.opts) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		s := stores[0]
		putVersion(t, s, "p1", "a", "0")
		putContent(t, s, "p1", "a", []byte("content"))
		if got := keptOf(t, s, "p1"); got != "a/0 a:Binary/a:application/pdf:7 " {
			t.Error(got)
		}
		for _, r := range before {
			wantBytes(t, s, r)
		}
		after := resource("c", "1", 0)
		put(t, s, "p1", after)
		seen, err := s.Seen(ctx, "run", []fhirsync.Key{before[0].Key, after.Key, before[1].Key})
		if err != nil || len(seen) != 3 || seen[0] || !seen[1] || seen[2] {
			t.Errorf("%v, %v", seen, err)
		}
	})
}

// Runs are forgotten after a week, and with the patient who is erased.
func TestOldRunsAreForgotten(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		db := d.db(t)
		runs := func() int { return count(t, db, `SELECT count(*) FROM `+d.table("runs")) }
		for i := range 3 {
			b := batchOf("p1", resource("a", "1", 0))
			b.Run = fmt.Sprint("run", i)
			for range 2 {
				if err := s.Put(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
		}
		put(t, s, "p2", resource("b", "1", 0))
		if n := runs(); n != 4 {
			t.Errorf("%d runs, want 4", n)
		}
		if _, err := db.ExecContext(t.Context(), `UPDATE `+d.table("runs")+` SET started = '2020-01-01T00:00:00.000000Z'`); err != nil {
			t.Fatal(err)
		}
		put(t, s, "p1", resource("a", "1", 0))
		if n := runs(); n != 2 { // the new one, and that of the other patient
			t.Errorf("%d runs, want 2", n)
		}
		if _, err := s.ErasePatient(t.Context(), "payer", "p1"); err != nil {
			t.Fatal(err)
		}
		if n := runs(); n != 1 {
			t.Errorf("%d runs after one patient was erased, want 1", n)
		}
	})
}
