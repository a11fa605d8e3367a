package fhirsync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// What a report says about what is not in the store. This server keeps Goals to itself, and one of its references leads to nothing.
// fmt.Println(report) would print all of it for people.
func ExampleReport() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 120, Dangling: 1})
	server := fhirtest.NewServer(record)
	server.Inject(fhirtest.Status(403).For("Goal"))

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, new(memstore.Store), nil)
	if err != nil {
		log.Fatal(err) // ErrIncomplete would come here, together with the report.
	}
	fmt.Println(report.Verdict)
	for _, gap := range report.Gaps {
		switch gap.Reason {
		case fhirsync.Unsupported, fhirsync.Skipped: // types that the server does not have, references to other servers: see the report.
		default:
			fmt.Printf("%s %s, one resource: %t, status %d, verdict at most: %s\n",
				gap.Reason, gap.Type, gap.Ref != "", gap.StatusCode, gap.Reason.Verdict())
		}
	}
	observations := report.Types["Observation"]
	fmt.Printf("Observation: %d of %d, %s\n", observations.Stored, *observations.Expected, observations.Evidence)

	// A report survives JSON.
	text, err := json.Marshal(report)
	if err != nil {
		log.Fatal(err)
	}
	var same fhirsync.Report
	if err := json.Unmarshal(text, &same); err != nil {
		log.Fatal(err)
	}
	fmt.Println(same.Verdict, len(same.Gaps) == len(report.Gaps))
	// Output:
	// restricted
	// denied Goal, one resource: false, status 403, verdict at most: restricted
	// denied Goal, one resource: true, status 403, verdict at most: restricted
	// dangling Practitioner, one resource: true, status 404, verdict at most: complete
	// Observation: 60 of 60, counted
	// restricted true
}
