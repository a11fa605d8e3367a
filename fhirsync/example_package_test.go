package fhirsync_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// One patient, from a server into a store. The server is one for tests, reached in process and as fast as it can: with a real one a
// Config{} is enough, and the Server gets a TokenSource.
func Example() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Dangling: 1})
	server := fhirtest.NewServer(record)

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	store := new(memstore.Store)
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict)
	fmt.Println("nothing is missing:", store.Len() == len(server.Want(record.PatientID)))
	for _, gap := range report.Gaps {
		if gap.Reason == fhirsync.Dangling {
			fmt.Println("but for what a reference names and the server does not have:", gap.Ref == record.Dangling[0])
		}
	}
	// Output:
	// complete
	// nothing is missing: true
	// but for what a reference names and the server does not have: true
}
