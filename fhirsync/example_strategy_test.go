package fhirsync_test

import (
	"context"
	"fmt"
	"log"
	"net/url"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// labsFirst brings laboratory results before everything else, and the rest in the order in which it is owed. It says what to ask; what
// comes is stored and accounted for without it.
type labsFirst struct{}

func (labsFirst) Name() string { return "labs-first" }

func (labsFirst) Fetch(ctx context.Context, s *fhirsync.Session) error {
	parts := s.Partition(fhirsync.Query{Type: "Observation"},
		url.Values{"category": {"laboratory"}},
		url.Values{"category:not": {"laboratory"}})
	for _, part := range parts {
		if err := s.Search(ctx, part); err != nil {
			return err // the run is over. That a question failed is no error: the report will say it.
		}
	}
	for _, typ := range s.Types() {
		if typ == "Observation" {
			continue
		}
		if err := s.Search(ctx, fhirsync.Query{Type: typ}); err != nil {
			return err
		}
	}
	return nil
}

// A strategy of one's own, written with what everybody has.
func ExampleStrategy() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 120})
	server := fhirtest.NewServer(record)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Strategy: labsFirst{}, Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	store := new(memstore.Store)
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Strategy, report.Verdict, store.Len() == len(server.Want(record.PatientID)))
	observations := report.Types["Observation"]
	fmt.Printf("Observation: %d of %d, asked in parts by %s\n", observations.Received, *observations.Expected, observations.Parts)
	// Output:
	// labs-first complete true
	// Observation: 60 of 60, asked in parts by category,category:not
}
