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

// Progress, while it happens. This server wants to be asked again once.
func ExampleEvent() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 46, Types: []string{"Observation"}})
	server := fhirtest.NewServer(record)
	server.MaxCount = 20
	server.Inject(fhirtest.TooManyRequests(1, "1").On(fhirtest.Search))

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Strategy: fhirsync.SearchByType(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	progress := func(e fhirsync.Event) {
		switch e := e.(type) {
		case fhirsync.PageFetched:
			if e.New > 0 {
				fmt.Printf("%s %s, page %d: %d new\n", e.Op, e.Type, e.Page, e.New)
			}
		case fhirsync.RetryScheduled:
			fmt.Printf("%s %s: status %d, attempt %d\n", e.Op, e.Type, e.StatusCode, e.Attempt)
		}
	}
	_, err = client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, new(memstore.Store),
		&fhirsync.SyncOptions{Types: []string{"Observation"}, OnEvent: progress})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// read Patient, page 1: 1 new
	// search Observation: status 429, attempt 1
	// search Observation, page 1: 20 new
	// search Observation, page 2: 20 new
	// search Observation, page 3: 5 new
}
