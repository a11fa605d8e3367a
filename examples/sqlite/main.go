// Sqlite pulls a patient's record into one SQLite file and then asks it two questions in SQL: what the latest laboratory results are, and
// which medications are active.
//
//	go run ./examples/sqlite [FILE]
//
// It starts a FHIR server of its own with a synthetic patient, so that it works as it is. Without FILE the file is a temporary one; any
// other can be opened afterwards with the sqlite3 command.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite", in Go alone

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func main() {
	if err := start(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(ctx context.Context, out io.Writer, args []string) error {
	if len(args) > 0 {
		return run(ctx, out, args[0])
	}
	dir, err := os.MkdirTemp("", "fhirsync-sqlite-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary folder.
	return run(ctx, out, filepath.Join(dir, "records.db"))
}

func run(ctx context.Context, out io.Writer, file string) error {
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 250})
	base, stop, err := fhirtest.NewServer(record).Start()
	if err != nil {
		return err
	}
	defer stop()

	// Write-ahead logging lets others read while a sync writes; larger pages suit resources.
	db, err := sql.Open("sqlite", "file:"+file+"?_journal_mode=WAL&_synchronous=NORMAL&_pragma=page_size(16384)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // what Put has accepted is in the file.
	store, err := sqlstore.Open(ctx, db, sqlstore.SQLite, &sqlstore.Options{References: true})
	if err != nil {
		return err
	}
	client, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		return err
	}
	report, err := client.Sync(ctx, fhirsync.Server{Name: "clinic", BaseURL: base}, record.PatientID, store, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d resources, %s\n", report.Received(), report.Verdict)

	fmt.Fprintln(out, "\nThe latest laboratory result for each code:")
	if err := print(ctx, out, db, latestLabs, record.PatientID); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nActive medications:")
	return print(ctx, out, db, activeMedications, record.PatientID)
}

// latestLabs: the operator -> gives a number as it was written (1.50), json_extract would make 1.5 of it. A date of FHIR may lack month and
// day, and has an offset if it has a time.
const latestLabs = `
WITH labs AS (
	SELECT json_extract(json, '$.code.coding[0].code') AS code,
		json_extract(json, '$.effectiveDateTime') AS taken,
		json -> '$.valueQuantity.value' || ' ' || json_extract(json, '$.valueQuantity.unit') AS value
	FROM fhirsync_records
	WHERE patient_id = ?1 AND type = 'Observation' AND json_extract(json, '$.category[0].coding[0].code') = 'laboratory'
), ranked AS (
	SELECT *, row_number() OVER (PARTITION BY code ORDER BY datetime(taken || substr('-01-01', length(taken) - 3)) DESC, taken DESC) AS place
	FROM labs WHERE value IS NOT NULL AND taken IS NOT NULL
)
SELECT code, substr(taken, 1, 10), value FROM ranked WHERE place = 1 ORDER BY code`

// activeMedications: the name is in the request, or in the Medication that it refers to, which the table of edges leads to.
const activeMedications = `
SELECT coalesce(json_extract(r.json, '$.medicationCodeableConcept.text'), json_extract(CAST(m.body AS TEXT), '$.code.text')) AS medication,
	min(substr(json_extract(r.json, '$.authoredOn'), 1, 10)) AS since, count(*)
FROM fhirsync_records r
LEFT JOIN fhirsync_edges e ON e.resource_no = r.resource_no AND e.path = 'MedicationRequest.medicationReference'
LEFT JOIN fhirsync_resources m ON m.type = e.target_type AND m.server = r.server AND m.id = e.target_id
WHERE r.patient_id = ?1 AND r.type = 'MedicationRequest' AND json_extract(r.json, '$.status') = 'active'
GROUP BY medication ORDER BY medication`

// print writes the three columns of a query.
func print(ctx context.Context, out io.Writer, db *sql.DB, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err tells.
	for rows.Next() {
		var columns [3]sql.NullString
		if err := rows.Scan(&columns[0], &columns[1], &columns[2]); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-24s %-12s %s\n", columns[0].String, columns[1].String, columns[2].String)
	}
	return rows.Err()
}
