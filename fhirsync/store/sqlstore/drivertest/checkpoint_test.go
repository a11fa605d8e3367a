package drivertest_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

// logged opens a database of which the log is to be copied after few pages, and a Store over it.
func logged(t *testing.T, connections int) (file string, db *sql.DB, s *sqlstore.Store) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "records.db")
	db, err := sql.Open("sqlite", "file:"+file+pragmas+"&_pragma=wal_autocheckpoint(20)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(connections)
	if s, err = sqlstore.Open(t.Context(), db, sqlstore.SQLite, nil); err != nil {
		t.Fatal(err)
	}
	return file, db, s
}

// padded is a batch of about 300 kB.
func padded(no int) fhirsync.Batch {
	var all []fhirsync.Resource
	for i := range 100 {
		all = append(all, resource(fmt.Sprintf("r%d-%d", no, i), "1", 3000))
	}
	return batchOf("p1", all...)
}

// The log is copied beside the writer, stays within bounds while it is written to without a pause, and nothing is lost of it.
func TestLogIsCopiedBesideTheWriter(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1, 2} {
		t.Run(strconv.Itoa(connections), func(t *testing.T) {
			t.Parallel()
			file, db, s := logged(t, connections)
			largest := int64(0)
			const batches = 120
			for i := range batches {
				if err := s.Put(t.Context(), padded(i)); err != nil {
					t.Fatal(err)
				}
				if info, err := os.Stat(file + "-wal"); err == nil {
					largest = max(largest, info.Size())
				}
			}
			if most := int64(12 << 20); largest > most { // of more than ten times as much that went through it
				t.Errorf("the log has become %d bytes long, and was to be below %d", largest, most)
			}
			if n := count(t, db, `SELECT count(*) FROM fhirsync_resources`); n != batches*100 {
				t.Errorf("%d resources are there, want %d", n, batches*100)
			}
			_ = db.Close()
			var again string
			other, err := sql.Open("sqlite", "file:"+file)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			if err := other.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&again); err != nil || again != "ok" {
				t.Errorf("%v %s", err, again)
			}
			if n := count(t, other, `SELECT count(*) FROM fhirsync_resources`); n != batches*100 {
				t.Errorf("opened again: %d resources are there, want %d", n, batches*100)
			}
		})
	}
}

// What is copied beside the writer is what a reader of the file without its log then finds.
func TestLogGetsIntoTheDatabase(t *testing.T) {
	t.Parallel()
	file, _, s := logged(t, 0)
	var before int64
	for i := range 10 { // far less than what a COMMIT would do it after
		if err := s.Put(t.Context(), padded(i)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before = size(t, file)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); size(t, file) <= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the database is as long as before, %d bytes", before)
		}
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The connections are the caller's: each has the setting that it had, also after a batch that failed.
func TestConnectionsAreGivenBackAsTheyWere(t *testing.T) {
	t.Parallel()
	_, db, s := logged(t, 1)
	pages := func() int { return count(t, db, `PRAGMA wal_autocheckpoint`) }
	if err := s.Put(t.Context(), padded(1)); err != nil || pages() != 20 {
		t.Errorf("%v: %d pages, want 20", err, pages())
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	for i := 2; ; i++ {
		if err := s.Put(ctx, padded(i)); err != nil {
			break
		}
	}
	if n := pages(); n != 20 {
		t.Errorf("%d pages after a batch that was cut off, want 20", n)
	}
}

// The page size of the DSN that the documentation has is really that of the database.
func TestPagesAreAsLongAsTheDSNSays(t *testing.T) {
	t.Parallel()
	_, db, _ := logged(t, 0)
	if n := count(t, db, `PRAGMA page_size`); n != 16384 {
		t.Errorf("pages of %d bytes", n)
	}
	var mode string
	if err := db.QueryRowContext(t.Context(), `PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %s, %v", mode, err)
	}
}
