package fhirsync_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// What a server writes wrong is repaired where it can be read in one way only. A store sees what was done, and has the bytes as they came.
func ExampleRepair() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 11, Size: 10, Types: []string{"Observation"}})
	server := fhirtest.NewServer(record)
	server.Inject(fhirtest.OddResources("007").For("Observation")) // a number with leading zeros, in every resource.

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	store := fhirsync.StoreFunc(func(_ context.Context, batch fhirsync.Batch) error {
		for _, r := range batch.Resources {
			for _, repair := range r.Repairs {
				if r.ID == record.Resources[1].ID {
					fmt.Println(repair.Kind, repair.Path, bytes.Contains(r.Original, []byte("007")), bytes.Contains(r.Raw, []byte("007")))
				}
			}
		}
		return nil
	})
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, store,
		&fhirsync.SyncOptions{Types: []string{"Observation"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict, report.Repairs)
	// Output:
	// number Observation.odd true false
	// complete map[number:9]
}
