package drivertest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func TestStaleDoesNotReplace(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		newer, old := resource("a", "newer", 2), resource("a", "old", 1)
		put(t, s, "p1", newer)
		put(t, s, "p2", old)
		wantBytes(t, s, newer)
		if got, want := s.Stats(), (sqlstore.Stats{Created: 1, Stale: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if got := ids(t, s, "p2"); got != "a" {
			t.Errorf("the record of the one who brought the stale one has %q", got)
		}
		// By less than the database can tell is not older, and unknown is not either.
		same := resource("a", "same time", 2)
		same.LastUpdated = same.LastUpdated.Add(300 * time.Nanosecond)
		put(t, s, "p1", same)
		same = resource("a", "again", 2)
		put(t, s, "p1", same)
		wantBytes(t, s, same)
		unknown := resource("a", "unknown time", 0)
		unknown.LastUpdated = time.Time{}
		put(t, s, "p1", unknown)
		wantBytes(t, s, unknown)
		put(t, s, "p1", old)
		wantBytes(t, s, old)
		// Going back without a date is a change, too.
		if got, want := s.Stats(), (sqlstore.Stats{Created: 1, Updated: 4, Stale: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// untouchable makes the database refuse any change of the resources.
func untouchable(tb testing.TB, d database) {
	tb.Helper()
	db := d.db(tb)
	texts := []string{
		`CREATE TRIGGER no_insert BEFORE INSERT ON ` + d.table("resources") + ` BEGIN SELECT RAISE(ABORT, 'a body was written'); END`,
		`CREATE TRIGGER no_update BEFORE UPDATE ON ` + d.table("resources") + ` BEGIN SELECT RAISE(ABORT, 'a body was written'); END`,
	}
	if d.dialect == sqlstore.Postgres {
		texts = []string{
			`CREATE FUNCTION ` + d.opts.Schema + `.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a body was written'; END $$`,
			`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ` + d.table("resources") + ` FOR EACH ROW EXECUTE FUNCTION ` + d.opts.Schema + `.refuse()`,
		}
	}
	for _, text := range texts {
		if _, err := db.ExecContext(tb.Context(), text); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestUnchangedWritesNoBody(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		a, b := resource("a", "1", 0), resource("b", "1", 0)
		put(t, s, "p1", a, b)
		db := d.db(t)
		seen := `SELECT count(*) FROM ` + d.table("members") + ` WHERE last_seen > first_seen`
		if n := count(t, db, seen); n != 0 {
			t.Errorf("%d were seen again", n)
		}
		// Those that come without the mark are offered to the database as new, so the trigger must not count an INSERT that finds the row
		// there; it comes before that is found out.
		a.Unchanged, b.Unchanged = true, true
		untouchable(t, d)
		put(t, s, "p1", a, b)
		put(t, s, "p2", a)
		if n := count(t, db, seen); n != 2 {
			t.Errorf("%d of 2 were seen again", n)
		}
		if got, want := s.Stats(), (sqlstore.Stats{Created: 2, Unchanged: 3}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		// The mark is not trusted: what is not there is written, which the trigger prevents.
		c := resource("c", "1", 0)
		c.Unchanged = true
		if err := s.Put(t.Context(), batchOf("p1", c)); err == nil {
			t.Error("a resource that is not there was not written because it was marked Unchanged")
		}
	})
}

func TestOddIdentities(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		var all []fhirsync.Resource
		for i, id := range []string{"\x00", "a\x00b", "a", "\xff", `\x61`, `\xzz`, `\`, `{"a",NULL}`, "NULL", "\ufeff", strings.Repeat("é", 300)} {
			r := resource("odd", "1", i)
			r.ID, r.VersionID = id, id
			all = append(all, r)
			r.Server, r.Type = id, id
			all = append(all, r)
		}
		b := batchOf("p\x00\xff", all...)
		b.Server = "a\x00"
		for range 2 {
			if err := s.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range all {
			wantBytes(t, s, r)
		}
		n := 0
		for r, err := range s.Patient(t.Context(), b.Server, b.PatientID) {
			if err != nil {
				t.Fatal(err)
			}
			wantBytes(t, s, r)
			n++
		}
		if n != len(all) {
			t.Errorf("%d of %d are in the record", n, len(all))
		}
	})
}

func TestWhatCannotBeKeptIsRejected(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		long, nameless := resource(strings.Repeat("x", 5000), "1", 0), resource("", "1", 0)
		b := batchOf("p1", resource("a", "1", 0), nameless, long)
		var reject *fhirsync.RejectError
		if err := s.Put(t.Context(), b); !errors.As(err, &reject) {
			t.Fatalf("%v", err)
		}
		want := 1
		if d.dialect == sqlstore.Postgres {
			want = 2
		}
		if len(reject.Rejected) != want {
			t.Errorf("%d were rejected, not %d", len(reject.Rejected), want)
		}
		for i := range reject.Rejected {
			if id := b.Resources[i].ID; id == "a" {
				t.Error("a good one was rejected")
			}
		}
		if _, err := s.Get(t.Context(), resource("a", "", 0).Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of a rejected batch nothing is stored, but Get gave %v", err)
		}
		if d.dialect == sqlstore.SQLite {
			put(t, s, "p1", long)
			wantBytes(t, s, long)
		}
	})
}

func TestSameKeyTwiceInOneBatch(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		first, last := resource("a", "first", 0), resource("a", "last", 0)
		for range 2 {
			if err := s.Put(t.Context(), fhirsync.Batch{Server: "payer", Resources: []fhirsync.Resource{first, last}}); err != nil {
				t.Fatal(err)
			}
			wantBytes(t, s, last)
		}
	})
}

// A batch of which some is there and some is not, and the store was not asked: each is counted as what it is, and all are the patient's.
func TestSomeAreThere(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		put(t, s, "one", resource("a", "same", 0), resource("b", "old", 0), resource("c", "newer", 5))
		put(t, s, "two", resource("a", "same", 0), resource("b", "new", 1), resource("c", "older", 2), resource("d", "", 0), resource("e", "", 0))
		if got, want := s.Stats(), (sqlstore.Stats{Created: 5, Updated: 1, Unchanged: 1, Stale: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		put(t, s, "two", resource("a", "same", 0), resource("f", "", 0))
		if got, want := s.Stats(), (sqlstore.Stats{Created: 6, Updated: 1, Unchanged: 2, Stale: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		wantBytes(t, s, resource("b", "new", 1))
		wantBytes(t, s, resource("c", "newer", 5))
		for patient, want := range map[string]string{"one": "a b c", "two": "a b c d e f"} {
			if got := ids(t, s, patient); got != want {
				t.Errorf("%s has %s, want %s", patient, got, want)
			}
		}
		seen, err := s.Seen(t.Context(), "run", []fhirsync.Key{resource("a", "", 0).Key, resource("f", "", 0).Key, resource("g", "", 0).Key})
		if err != nil || !seen[0] || !seen[1] || seen[2] {
			t.Errorf("%v %v", seen, err)
		}
	})
}
