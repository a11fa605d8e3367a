package fhirsync_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// A function can be a store. It has to be one that does no harm when the same batch comes twice: here, a set of keys.
func ExampleStoreFunc() {
	seen := map[fhirsync.Key]bool{}
	store := fhirsync.StoreFunc(func(_ context.Context, batch fhirsync.Batch) error {
		for _, r := range batch.Resources {
			seen[r.Key] = true
		}
		return nil
	})

	record := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 50})
	server := fhirtest.NewServer(record)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	srv := fhirsync.Server{Name: "payer-a", BaseURL: server.BaseURL()}
	if _, err := client.Sync(context.Background(), srv, record.PatientID, store, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the Patient came:", seen[fhirsync.Key{Server: "payer-a", Type: "Patient", ID: record.PatientID}])
	fmt.Println("and nothing is missing:", len(seen) == len(server.Want(record.PatientID)))
	// Output:
	// the Patient came: true
	// and nothing is missing: true
}
