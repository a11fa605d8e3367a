// Namespaced pulls the record of one person from two payers into one SQLite file. Both payers gave their resources the same ids, as servers
// that count from 1 do: in the file each has an id of its own, references are rewritten to it, and so a join on them finds
// what it should and nothing of the other payer's.
//
//	go run ./examples/namespaced [FILE]
//
// It starts two FHIR servers of its own with synthetic patients, so that it works as it is. Without FILE the file is a temporary one; any
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
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
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
	dir, err := os.MkdirTemp("", "fhirsync-namespaced-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary folder.
	return run(ctx, out, filepath.Join(dir, "records.db"))
}

// patientID is the person's id at both payers.
const patientID = "1"

// payers are the servers. One seed gives one set of ids, but with the number of resources it changes what they say.
var payers = []struct {
	name   string
	record *fhirtest.Record
}{
	{name: "payer-a", record: fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: patientID, Size: 150})},
	{name: "payer-b", record: fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: patientID, Size: 190})},
}

func run(ctx context.Context, out io.Writer, file string) error {
	// Where the servers are has no influence on the ids, their names alone have. The bases tell which absolute references are theirs.
	var servers []fhirsync.Server
	var spaces []*idspace.Space
	for _, p := range payers {
		base, stop, err := fhirtest.NewServer(p.record).Start()
		if err != nil {
			return err
		}
		defer stop()
		space, err := idspace.New(idspace.Options{Name: p.name, Bases: []string{base}})
		if err != nil {
			return err
		}
		servers = append(servers, fhirsync.Server{Name: p.name, BaseURL: base})
		spaces = append(spaces, space)
	}

	db, err := sql.Open("sqlite", "file:"+file+"?_journal_mode=WAL&_synchronous=NORMAL&_pragma=page_size(16384)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // what Put has accepted is in the file.
	tables, err := sqlstore.Open(ctx, db, sqlstore.SQLite, &sqlstore.Options{References: true})
	if err != nil {
		return err
	}
	store := fhirsync.Namespaced(tables, spaces...)
	// Without a limit, because the servers are our own. Leave it out for others'.
	client, err := fhirsync.New(fhirsync.Config{Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		return err
	}
	for i, server := range servers {
		report, err := client.Sync(ctx, server, patientID, store, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d resources, %s; Patient/%s is Patient/%s\n",
			server.Name, report.Received(), report.Verdict, patientID, spaces[i].ID("Patient", patientID))
	}

	for _, q := range []struct{ title, query string }{
		{"What the payers have, and how much of it had an id that the other one uses too:", collisions},
		{"Observations and the class of the Encounter in which they were made:", encounters},
		{"Most of what came from payer-a, all of which the marker in the resources finds:", origin},
	} {
		fmt.Fprintln(out, "\n"+q.title)
		if err := print(ctx, out, db, q.query); err != nil {
			return err
		}
	}
	return nil
}

// original is the tag that says what a resource was: payer-a/Patient/1.
const original = `
WITH original AS (
	SELECT r.server, substr(json_extract(tag.value, '$.code'), length(r.server) + 2) AS source
	FROM fhirsync_records r, json_each(r.json, '$.meta.tag') tag
	WHERE json_extract(tag.value, '$.system') = '` + idspace.OriginalSystem + `'
)`

const collisions = original + `
SELECT server, count(*), sum(payers > 1)
FROM (SELECT server, count(*) OVER (PARTITION BY source) AS payers FROM original)
GROUP BY server ORDER BY server`

// encounters joins by type and id alone, as a tool does that knows nothing of servers. The table of edges has references in pieces, so that
// one to a version of an Encounter meets it as well.
const encounters = `
SELECT o.server AS payer, coalesce(json_extract(CAST(e.body AS TEXT), '$.class.code'), 'none') AS class, count(*)
FROM fhirsync_records o
JOIN fhirsync_edges x ON x.resource_no = o.resource_no AND x.path = 'Observation.encounter'
JOIN fhirsync_resources e ON e.type = x.target_type AND e.id = x.target_id
WHERE o.type = 'Observation'
GROUP BY payer, class ORDER BY payer, class`

// origin is how all of a payer's is found again in any place that keeps no more than the resources: _tag does it in a FHIR server.
const origin = `
SELECT r.type, count(*), min(r.id)
FROM fhirsync_records r
WHERE EXISTS (
	SELECT 1 FROM json_each(r.json, '$.meta.tag') tag
	WHERE json_extract(tag.value, '$.system') = '` + idspace.SpaceSystem + `' AND json_extract(tag.value, '$.code') = 'payer-a')
GROUP BY r.type ORDER BY count(*) DESC, r.type LIMIT 8`

// print writes the three columns of a query.
func print(ctx context.Context, out io.Writer, db *sql.DB, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err tells.
	for rows.Next() {
		var columns [3]sql.NullString
		if err := rows.Scan(&columns[0], &columns[1], &columns[2]); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-20s %-8s %s\n", columns[0].String, columns[1].String, columns[2].String)
	}
	return rows.Err()
}
