package drivertest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

const benchSize = 20_000

// bare is the least that a database can do with the rows of a batch: an upsert of all of them in one transaction, and nothing else.
type bare func(ctx context.Context, batches []fhirsync.Batch) error

// benchKinds are those that are measured. With long pages all of SQLite is faster, the bare upsert most.
var benchKinds = append(slices.Clone(kinds[:2]), kind{"sqlite-short-pages", func(tb testing.TB) database {
	tb.Helper()
	d := newSQLite(tb)
	d.dsn = strings.Replace(d.dsn, "16384", "4096", 1)
	return d
}})

// bareSQLite upserts row by row with a prepared statement, which is the fastest that was found.
func bareSQLite(b *testing.B, d database) bare {
	b.Helper()
	db := d.db(b)
	db.SetMaxOpenConns(1)
	mustExec(b, d, `CREATE TABLE bare (no INTEGER PRIMARY KEY, server TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, version_id TEXT NOT NULL,
		last_updated TEXT, digest BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (type, server, id))`)
	upsert := func(ctx context.Context, batch fhirsync.Batch) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after Commit it does nothing.
		stmt, err := tx.PrepareContext(ctx, `INSERT INTO bare (server, type, id, version_id, last_updated, digest, body) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (type, server, id) DO UPDATE SET version_id = excluded.version_id, last_updated = excluded.last_updated,
			digest = excluded.digest, body = excluded.body WHERE digest <> excluded.digest`)
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Close() }() // what it did is known by now.
		for _, r := range batch.Resources {
			_, err := stmt.ExecContext(context.WithoutCancel(ctx), r.Server, r.Type, r.ID, r.VersionID, r.LastUpdated.UTC().Format(time.RFC3339Nano), r.Digest[:], []byte(r.Raw))
			if err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	return func(ctx context.Context, batches []fhirsync.Batch) error {
		for _, batch := range batches {
			if err := upsert(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	}
}

// barePostgres upserts a batch with one statement over pgx's own arrays.
func barePostgres(b *testing.B, d database) bare {
	b.Helper()
	db := d.db(b)
	table := d.opts.Schema + ".bare"
	mustExec(b, d, `CREATE SCHEMA IF NOT EXISTS `+d.opts.Schema)
	mustExec(b, d, `CREATE TABLE `+table+` (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, server text NOT NULL, type text NOT NULL, id text NOT NULL,
		version_id text NOT NULL, last_updated timestamptz, digest bytea NOT NULL, body bytea NOT NULL, UNIQUE (type, server, id))`)
	return func(ctx context.Context, batches []fhirsync.Batch) error {
		for _, batch := range batches {
			n := len(batch.Resources)
			server, typ, id, version := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
			updated, digest, body := make([]time.Time, n), make([][]byte, n), make([][]byte, n)
			for i, r := range batch.Resources {
				server[i], typ[i], id[i], version[i], updated[i], digest[i], body[i] = r.Server, r.Type, r.ID, r.VersionID, r.LastUpdated, r.Digest[:], r.Raw
			}
			_, err := db.ExecContext(ctx, `INSERT INTO `+table+` AS t (server, type, id, version_id, last_updated, digest, body)
				SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::bytea[])
				ON CONFLICT (type, server, id) DO UPDATE SET version_id = excluded.version_id, last_updated = excluded.last_updated,
				digest = excluded.digest, body = excluded.body WHERE t.digest <> excluded.digest`, server, typ, id, version, updated, digest, body)
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func mustExec(tb testing.TB, d database, text string) {
	tb.Helper()
	if _, err := d.db(tb).ExecContext(context.Background(), text); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkHTTPToStore measures, in turns, the bare upsert of the rows of a record, the same batches through Store.Put, and a sync over a
// loopback socket into an empty Store, into new tables each time. What counts is the share: the medians of sync and bare in one run.
func BenchmarkHTTPToStore(b *testing.B) {
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: benchSize})
	srv, server := startPrepared(b, rec)
	srv.MaxCount = 1000
	batches := record(b, server, rec.PatientID)
	rows := 0
	for _, batch := range batches {
		rows += len(batch.Resources)
	}
	for _, k := range benchKinds {
		b.Run(k.name, func(b *testing.B) {
			var bares, puts, syncs, seconds []float64
			rate := func(since time.Time) float64 { return float64(rows) / time.Since(since).Seconds() }
			start := func() time.Time {
				runtime.GC() // nothing pays for the garbage of what was measured before.
				return time.Now()
			}
			for b.Loop() {
				d := k.new(b)
				upsert := bareSQLite
				if d.dialect == sqlstore.Postgres {
					upsert = barePostgres
				}
				run := upsert(b, d)
				at := start()
				if err := run(b.Context(), batches); err != nil {
					b.Fatal(err)
				}
				bares = append(bares, rate(at))

				s := k.new(b).open(b)
				at = start()
				for _, batch := range batches {
					if err := s.Put(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
				puts = append(puts, rate(at))

				s = k.new(b).open(b)
				at = start()
				sync(b, client(b), server, rec.PatientID, s)
				syncs = append(syncs, rate(at))
				if got := s.Stats().Created; got != int64(rows) {
					b.Fatalf("%d of %d are there", got, rows)
				}
				at = start()
				sync(b, client(b), server, rec.PatientID, s)
				seconds = append(seconds, rate(at))
				if got := s.Stats(); got.Updated != 0 || got.Created != int64(rows) {
					b.Fatalf("a sync of what has not changed wrote: %+v", got)
				}
			}
			b.ReportMetric(median(bares), "bare-rows/s")
			b.ReportMetric(median(puts), "put-rows/s")
			b.ReportMetric(median(syncs), "sync-rows/s")
			b.ReportMetric(median(seconds), "again-rows/s")
			b.ReportMetric(100*median(puts)/median(bares), "put-%")
			b.ReportMetric(100*median(syncs)/median(bares), "share-%")
		})
	}
	b.Run("no-store", func(b *testing.B) {
		var syncs []float64
		for b.Loop() {
			at := time.Now()
			sync(b, client(b), server, rec.PatientID, fhirsync.StoreFunc(func(context.Context, fhirsync.Batch) error { return nil }))
			syncs = append(syncs, float64(rows)/time.Since(at).Seconds())
		}
		b.ReportMetric(median(syncs), "sync-rows/s")
	})
}

// record gives the batches of a sync, filled up to what a batch may hold.
func record(b *testing.B, server fhirsync.Server, patient string) []fhirsync.Batch {
	b.Helper()
	var all []fhirsync.Resource
	sync(b, client(b), server, patient, fhirsync.StoreFunc(func(_ context.Context, batch fhirsync.Batch) error {
		all = append(all, batch.Resources...)
		return nil
	}))
	var out []fhirsync.Batch
	for part := range slices.Chunk(all, 1000) {
		out = append(out, fhirsync.Batch{Run: "run", Server: server.Name, PatientID: patient, Resources: part})
	}
	return out
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}

// BenchmarkPut measures Put alone by size of the batch.
func BenchmarkPut(b *testing.B) {
	for _, k := range kinds {
		for _, size := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", k.name, size), func(b *testing.B) {
				s := k.new(b).open(b)
				n := 0
				for b.Loop() {
					var all []fhirsync.Resource
					for range size {
						n++
						all = append(all, resource(fmt.Sprintf("r%09d", n), "1", 0))
					}
					put(b, s, "p1", all...)
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
