// Postgres pulls two patients' records into one PostgreSQL database, both at once, searches in them with jsonb, and erases one of them.
//
//	go run ./examples/postgres
//
// It starts a FHIR server of its own with synthetic patients, and a PostgreSQL if one is installed, so that it works as it is. To use
// another database, name it in FHIRSYNC_POSTGRES_DSN; the tables go into the schema fhirsync_example, which is removed in the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/pgxstore"
	"github.com/fhirsync/fhirsync-go/internal/pgtest"
)

func main() {
	ctx := context.Background()
	database, err := pgtest.Start(ctx)
	if err == nil {
		err = run(ctx, os.Stdout, database.DSN, "fhirsync_example")
		database.Stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, dsn, schema string) (err error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer func() {
		_, dropped := pool.Exec(context.WithoutCancel(ctx), `DROP SCHEMA IF EXISTS `+schema+` CASCADE`)
		err = errors.Join(err, dropped)
	}()
	store, err := pgxstore.Open(ctx, pool, &pgxstore.Options{Schema: schema, JSONB: true})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // the pool closes for good.

	patients := []*fhirtest.Record{
		fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200}),
		fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 200}),
	}
	base, stop, err := fhirtest.NewServer(patients...).Start()
	if err != nil {
		return err
	}
	defer stop()
	if err := pull(ctx, out, base, patients, store); err != nil {
		return err
	}

	// The records share what belongs to nobody, and each has all of it.
	for _, p := range patients {
		n := 0
		for _, err := range store.Patient(ctx, "clinic", p.PatientID) {
			if err != nil {
				return err
			}
			n++
		}
		fmt.Fprintf(out, "%s has %d resources\n", p.PatientID, n)
	}

	// The index on jsonb answers this one.
	var active int
	err = pool.QueryRow(ctx, `SELECT count(*) FROM `+schema+`.fhirsync_resources WHERE type = 'MedicationRequest' AND json @> '{"status":"active"}'`).Scan(&active)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d active medication requests\n", active)

	removed, err := store.ErasePatient(ctx, "clinic", patients[0].PatientID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s erased: %d resources were in no other record\n", patients[0].PatientID, removed)
	return nil
}

// pull syncs all patients at once with one Client, which shares the limits of the server between them.
func pull(ctx context.Context, out io.Writer, base string, patients []*fhirtest.Record, store *pgxstore.Store) error {
	client, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		return err
	}
	reports := make([]*fhirsync.Report, len(patients))
	errs := make([]error, len(patients))
	var wg sync.WaitGroup
	for i, p := range patients {
		wg.Go(func() {
			reports[i], errs[i] = client.Sync(ctx, fhirsync.Server{Name: "clinic", BaseURL: base}, p.PatientID, store, nil)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, r := range reports {
		fmt.Fprintf(out, "%s: %d resources, %s\n", r.PatientID, r.Received(), r.Verdict)
	}
	return nil
}
