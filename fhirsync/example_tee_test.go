package fhirsync_test

import (
	"context"
	"fmt"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// A record goes into one store whole, and its medications into another one.
func ExampleTee() {
	record := fhirtest.Generate(fhirtest.Options{Size: 60})
	server := fhirtest.NewServer(record)

	var all, medications memstore.Store
	store := fhirsync.Tee(&all, fhirsync.Filter(&medications, "medications", func(r fhirsync.Resource) bool {
		return r.Type == "MedicationRequest" || r.Type == "Medication"
	}))

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}}) // no HTTPClient, with a real server
	if err != nil {
		panic(err)
	}
	if _, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, store, nil); err != nil {
		panic(err)
	}
	others := 0
	for r := range medications.All() {
		if r.Type != "MedicationRequest" && r.Type != "Medication" {
			others++
		}
	}
	fmt.Println("the whole record:", all.Len() == len(server.Want(record.PatientID)))
	fmt.Println("medications:", medications.Len() > 0, "and others:", others)
	// Output:
	// the whole record: true
	// medications: true and others: 0
}
