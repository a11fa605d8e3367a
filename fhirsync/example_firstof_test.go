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

// The next strategy where one cannot work on a server: this one does not have $everything.
func ExampleFirstOf() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 7})
	server := fhirtest.NewServer(record)
	client, err := fhirsync.New(fhirsync.Config{
		HTTPClient: server.Client(),
		Strategy:   fhirsync.FirstOf(fhirsync.Everything(), fhirsync.SearchByType()),
		Limit:      ratelimit.Policy{Rate: -1},
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, new(memstore.Store),
		&fhirsync.SyncOptions{OnEvent: func(e fhirsync.Event) {
			if e, ok := e.(fhirsync.StrategyFinished); ok {
				fmt.Printf("%s: supported: %t\n", e.Strategy, e.Supported)
			}
		}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict)
	// Output:
	// everything: supported: false
	// search-by-type: supported: true
	// first-of(everything,search-by-type): supported: true
	// complete
}
