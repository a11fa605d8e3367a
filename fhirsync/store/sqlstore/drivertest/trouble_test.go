package drivertest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
	"github.com/fhirsync/fhirsync-go/internal/pgtest"
)

// readOnly gives the same database over connections that cannot write.
func (d database) readOnly() database {
	if d.dialect == sqlstore.SQLite {
		d.dsn += "&mode=ro"
	} else {
		d.dsn += map[bool]string{true: "&", false: "?"}[strings.Contains(d.dsn, "?")] + "default_transaction_read_only=on"
	}
	return d
}

func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	// Not with pq, which says READ WRITE in each transaction whatever the connection's default is.
	for _, k := range kinds[:2] {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			testReadOnly(t, k.new(t))
		})
	}
}

func testReadOnly(t *testing.T, d database) {
	t.Helper()
	if _, err := sqlstore.Open(t.Context(), d.readOnly().db(t), d.dialect, &d.opts); err == nil {
		t.Error("tables were made in a database that cannot be written to")
	}
	a := resource("a", "1", 0)
	put(t, d.open(t), "p1", a)
	s := d.readOnly().open(t)
	wantBytes(t, s, a)
	if got := ids(t, s, "p1"); got != "a" {
		t.Error(got)
	}
	if err := s.Put(t.Context(), batchOf("p1", resource("b", "1", 0))); err == nil {
		t.Error("Put into a database that cannot be written to gave nil")
	}
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 20})
	_, server := start(t, rec)
	rep, err := client(t).Sync(t.Context(), server, rec.PatientID, s, nil)
	var failed *fhirsync.StoreError
	if !errors.As(err, &failed) || !rep.Interrupted || rep.Verdict != fhirsync.Incomplete {
		t.Errorf("%v\n%s", err, rep)
	}
	for _, r := range rep.Types {
		if r.Stored != 0 {
			t.Error("the report says that something was stored")
		}
	}
	if got := s.Stats(); got != (sqlstore.Stats{}) {
		t.Errorf("%+v", got)
	}
}

// saysNothing checks that an error holds neither ids nor content.
func saysNothing(tb testing.TB, err error, secrets ...string) {
	tb.Helper()
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			tb.Errorf("the error holds %q: %v", secret, err)
		}
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := newSQLite(t)
	d.open(t)
	full := d
	full.dsn += "&_pragma=max_page_count(40)"
	s := full.open(t)
	rec := fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 800})
	srv, server := start(t, rec)
	rep, err := client(t).Sync(t.Context(), server, rec.PatientID, s, nil)
	var failed *fhirsync.StoreError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "full") || !rep.Interrupted {
		t.Fatalf("%v\n%s", err, rep)
	}
	saysNothing(t, err, rec.PatientID)
	// With room again the same sync brings everything.
	s = d.open(t)
	sync(t, client(t), server, rec.PatientID, s)
	wantRecord(t, s, srv, rec.PatientID)
}

// A PostgreSQL that cannot write any more keeps what it had accepted, and of the batch that failed one half at most, and says so; with room again the
// same sync brings the rest.
func TestDiskFullPostgres(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			pgtest.Need(t) // decides whether this test can be run
			cramped, err := pgtest.StartCramped(t.Context(), 4000)
			if errors.Is(err, pgtest.ErrMissing) && os.Getenv("CI") != "true" {
				t.Skip(err) // the server of the other tests is elsewhere.
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cramped.Stop)
			d := database{driver: driver, dsn: cramped.DSN, dialect: sqlstore.Postgres}
			db := d.db(t)
			s, err := sqlstore.Open(t.Context(), db, d.dialect, nil)
			if err != nil {
				t.Fatal(err)
			}
			rec := fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 6000})
			srv, server := start(t, rec)
			srv.MaxCount = 500
			rep, err := client(t).Sync(t.Context(), server, rec.PatientID, s, nil)
			var failed *fhirsync.StoreError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), "too large") || !rep.Interrupted || rep.Verdict != fhirsync.Incomplete {
				t.Fatalf("%v\n%s", err, rep)
			}
			saysNothing(t, err, rec.PatientID)
			stored := 0
			for _, r := range rep.Types {
				stored += r.Stored
			}
			members := count(t, db, `SELECT count(*) FROM `+d.table("members"))
			if n := count(t, db, `SELECT count(*) FROM `+d.table("resources")); n == 0 || n < stored || n > stored+500 || n != members || int64(n) != s.Stats().Created {
				t.Errorf("%d resources and %d members, %d said to be stored, %+v", n, members, stored, s.Stats())
			}
			_ = db.Close() // its connections are those of the server that ends now.
			if err := cramped.MakeRoom(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = d.open(t)
			sync(t, client(t), server, rec.PatientID, s)
			wantRecord(t, s, srv, rec.PatientID)
		})
	}
}

// kill ends the connection of whoever waits for a lock.
func kill(ctx context.Context, db *sql.DB, table string) error {
	for {
		var n int
		err := db.QueryRowContext(ctx, `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
			WHERE a.wait_event_type = 'Lock' AND position($1 in a.query) > 0`, table).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestConnectionLostInMidBatch(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newPostgres(t, driver)
			s := d.open(t)
			last := resource("z", "old", 0)
			put(t, s, "p1", last)
			// Another transaction holds a resource of the batch, so that Put stops in the middle, with new rows written already.
			db := d.db(t)
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.ExecContext(t.Context(), `SELECT no FROM `+d.table("resources")+` FOR UPDATE`); err != nil {
				t.Fatal(err)
			}
			batch := batchOf("p1", resource("a", "1", 0), resource("b", "1", 0), resource("z", "new", 1))
			put := make(chan error, 1)
			ctx := t.Context()
			go func() { put <- s.Put(ctx, batch) }()
			if err := kill(ctx, d.db(t), d.opts.Schema); err != nil {
				t.Fatal(err)
			}
			err = <-put
			if err == nil {
				t.Error("Put gave nil, and its connection was gone")
			} else {
				saysNothing(t, err, "z", "new")
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if got := ids(t, s, "p1"); got != "z" {
				t.Errorf("of a batch that failed something is there: %s", got)
			}
			if err := s.Put(ctx, batch); err != nil {
				t.Fatal(err)
			}
			for _, r := range batch.Resources {
				wantBytes(t, s, r)
			}
		})
	}
}

// A sync lives through a lost connection: the batch comes again.
func TestSyncLivesThroughALostConnection(t *testing.T) {
	t.Parallel()
	d := newPostgres(t, "pgx")
	rec := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 400})
	srv, server := start(t, rec)
	s := d.open(t)
	db := d.db(t)
	lost := false
	store := fhirsync.StoreFunc(func(ctx context.Context, b fhirsync.Batch) error {
		if lost {
			return s.Put(ctx, b)
		}
		lost = true
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `LOCK TABLE `+d.table("members")+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
		killed := make(chan error, 1)
		go func() {
			killed <- errors.Join(kill(ctx, db, d.opts.Schema), tx.Rollback())
		}()
		err = s.Put(ctx, b)
		if err == nil {
			return errors.New("the connection was not lost")
		}
		return errors.Join(err, <-killed)
	})
	sync(t, client(t), server, rec.PatientID, store)
	wantRecord(t, s, srv, rec.PatientID)
}

func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newPostgres(t, driver)
			s := d.open(t)
			put(t, s, "p1", resource("a", "old", 0), resource("b", "old", 0))
			ctx := t.Context()
			tx, err := d.db(t).BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			lock := func(id string) {
				t.Helper()
				if _, err := tx.ExecContext(ctx, `SELECT no FROM `+d.table("resources")+` WHERE id = '`+id+`' FOR UPDATE`); err != nil {
					t.Error(err)
				}
			}
			// Who waits longer than this is the one to be ended: not this transaction.
			if _, err := tx.ExecContext(ctx, `SET LOCAL deadlock_timeout = '60s'`); err != nil {
				t.Fatal(err)
			}
			lock("b")
			done := make(chan error, 1)
			batch := batchOf("p1", resource("a", "new", 1), resource("b", "new", 1))
			go func() { done <- s.Put(ctx, batch) }()
			db := d.db(t)
			for count(t, db, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position('`+d.opts.Schema+`' in query) > 0`) == 0 {
				time.Sleep(5 * time.Millisecond)
			}
			lock("a") // which Put holds
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for _, r := range batch.Resources {
				wantBytes(t, s, r)
			}
		})
	}
}

func TestWriterOfAnotherProcessIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := newSQLite(t)
	s := d.open(t)
	ctx := t.Context()
	conn, err := d.db(t).Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, text := range []string{"BEGIN IMMEDIATE", `DELETE FROM ` + d.table("states")} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Put(ctx, batchOf("p1", resource("a", "1", 0))) }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	// Who waits can be called off.
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := s.SaveState(short, "k", []byte("x"), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDatabaseInMemory(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 150})
	srv, server := start(t, rec)
	sync(t, client(t), server, rec.PatientID, s)
	wantRecord(t, s, srv, rec.PatientID)
}

// picky rejects one resource.
type picky struct {
	*sqlstore.Store
	id string
}

func (p picky) Powers() fhirsync.Powers { return fhirsync.PowersOf(p.Store) }

func (p picky) Put(ctx context.Context, b fhirsync.Batch) error {
	for i, r := range b.Resources {
		if r.ID == p.id {
			return &fhirsync.RejectError{Rejected: map[int]error{i: errors.New("not wanted")}}
		}
	}
	return p.Store.Put(ctx, b)
}

func TestRejectedGoesIntoQuarantine(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 120})
		srv, server := start(t, rec)
		s := d.open(t)
		bad := rec.Resources[7]
		for range 2 {
			rep, err := client(t).Sync(t.Context(), server, rec.PatientID, picky{s, bad.ID}, nil)
			gaps := slices.DeleteFunc(slices.Clone(rep.Gaps), func(g fhirsync.Gap) bool { return g.Reason.Verdict() == fhirsync.Complete })
			if !errors.Is(err, fhirsync.ErrIncomplete) || len(gaps) != 1 || gaps[0].Ref != bad.Ref() {
				t.Fatalf("%v\n%s", err, rep)
			}
			saysNothing(t, err, bad.ID)
		}
		want := srv.Want(rec.PatientID)
		got := 0
		for r, err := range s.Patient(t.Context(), "payer", rec.PatientID) {
			if err != nil || r.ID == bad.ID && r.Type == bad.Type {
				t.Errorf("%v", err)
			}
			got++
		}
		if got != len(want)-1 {
			t.Errorf("%d of %d others are there", got, len(want)-1)
		}
		var quarantined []fhirsync.Quarantined
		for q, err := range s.Quarantined(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			quarantined = append(quarantined, q)
		}
		if len(quarantined) != 1 || string(quarantined[0].Raw) != string(want[bad.Ref()]) || quarantined[0].ID != bad.ID {
			t.Errorf("in quarantine: %d, want the one, once", len(quarantined))
		}
	})
}

// What another process leaves when it is killed is a transaction that nobody ended: nothing of it may be seen. PostgreSQL gets a batch in two.
func TestUnfinishedTransactionIsNotSeen(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		s := d.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 20 {
			var all []fhirsync.Resource
			for j := range 300 {
				all = append(all, resource(fmt.Sprintf("%d-%d", i, j), "1", 0))
			}
			timer := time.AfterFunc(time.Duration(i)*time.Millisecond, cancel)
			err := s.Put(ctx, batchOf(fmt.Sprint("p", i), all...))
			timer.Stop()
			cancel()
			ctx, cancel = context.WithCancel(t.Context())
			n := 0
			for _, err := range s.Patient(t.Context(), "payer", fmt.Sprint("p", i)) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			half := d.dialect == sqlstore.Postgres && n == len(all)/2
			if n != 0 && n != len(all) && !half || err == nil && n != len(all) {
				t.Errorf("error %v, and %d of %d are there", err, n, len(all))
			}
		}
		cancel()
	})
}
