package drivertest_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
	"github.com/fhirsync/fhirsync-go/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.StopShared()
	os.Exit(code)
}

// database is a new and empty place for a store, which can be opened any number of times.
type database struct {
	driver, dsn string
	dialect     sqlstore.Dialect
	opts        sqlstore.Options
}

// kind is a database with a driver.
type kind struct {
	name string
	new  func(tb testing.TB) database
}

var kinds = []kind{
	{"sqlite", newSQLite},
	{"pgx", newPgx},
	{"pq", newPq},
}

// place is where a subtest works.
type place struct {
	t *testing.T
	database
}

// forEach runs a test for each database, in parallel.
func forEach(t *testing.T, test func(p place)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(place{t, k.new(t)})
		})
	}
}

const pragmas = "?_journal_mode=WAL&_synchronous=NORMAL&_pragma=page_size(16384)"

func newPgx(tb testing.TB) database {
	tb.Helper()
	return newPostgres(tb, "pgx")
}

func newPq(tb testing.TB) database {
	tb.Helper()
	return newPostgres(tb, "postgres")
}

func newSQLite(tb testing.TB) database {
	tb.Helper()
	return database{driver: "sqlite", dsn: "file:" + filepath.Join(tb.TempDir(), "records.db") + pragmas, dialect: sqlstore.SQLite}
}

var schemas atomic.Int64

func newPostgres(tb testing.TB, driver string) database {
	tb.Helper()
	d := database{driver: driver, dsn: pgtest.Need(tb), dialect: sqlstore.Postgres}
	d.opts.Schema = fmt.Sprintf("t%d_%d", os.Getpid(), schemas.Add(1))
	tb.Cleanup(func() {
		db, err := sql.Open(driver, d.dsn)
		if err != nil {
			tb.Error(err)
			return
		}
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(context.Background(), `DROP SCHEMA IF EXISTS `+d.opts.Schema+` CASCADE`); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// db opens a pool of connections of its own.
func (d database) db(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func (d database) open(tb testing.TB) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(tb.Context(), d.db(tb), d.dialect, &d.opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// table gives the full name of a table.
func (d database) table(name string) string {
	prefix := d.opts.Prefix
	if prefix == "" {
		prefix = "fhirsync_"
	}
	if d.opts.Schema != "" {
		return d.opts.Schema + "." + prefix + name
	}
	return prefix + name
}

// count runs a query that gives a number.
func count(tb testing.TB, db *sql.DB, query string, args ...any) int {
	tb.Helper()
	var n int
	if err := db.QueryRowContext(tb.Context(), query, args...).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

var _ fhirsync.Store = (*sqlstore.Store)(nil)
