package fhirsync_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// careless leaves its first question in the middle and forgets the other.
type careless struct{}

func (careless) Name() string { return "careless" }

func (careless) Fetch(ctx context.Context, s *fhirsync.Session) error {
	for page, err := range s.Pages(ctx, fhirsync.Query{Type: "Observation"}) {
		if err != nil {
			return err
		}
		if page.Number == 1 {
			break
		}
	}
	return nil
}

// A strategy cannot lose anything in silence: the Session knows what is owed.
func ExampleSession() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 6, Size: 120})
	server := fhirtest.NewServer(record)
	server.MaxCount = 10
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Strategy: careless{}, Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, new(memstore.Store),
		&fhirsync.SyncOptions{Types: []string{"Observation", "Condition"}})
	fmt.Println(report.Verdict, errors.Is(err, fhirsync.ErrIncomplete))
	for _, gap := range report.Gaps {
		if gap.Reason == fhirsync.Unasked {
			fmt.Printf("%s: %s, %s\n", gap.Reason, gap.Type, gap.Detail)
		}
	}
	// Output:
	// incomplete true
	// unasked: Condition, the strategy never asked for it
	// unasked: Observation, the strategy left its pages before the end
}
