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

// picky is a store that can never hold a resource of more than 10,000 bytes.
type picky struct{ memstore.Store }

func (p *picky) Put(ctx context.Context, batch fhirsync.Batch) error {
	rejected := map[int]error{}
	for i, r := range batch.Resources {
		if len(r.Raw) > 10_000 {
			rejected[i] = errors.New("too large")
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected} // the others come again without these.
	}
	return p.Store.Put(ctx, batch)
}

// One resource that a store cannot hold costs that resource, not the sync, and the report names it.
func ExampleRejectError() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 11, Size: 30, Types: []string{"Observation"}})
	server := fhirtest.NewServer(record)
	server.Put(fhirtest.Resource{
		Type: "Observation", ID: "long", Owner: record.PatientID, Params: fhirtest.Of(record.PatientID, "patient", "subject"),
		Raw: fmt.Appendf(nil, `{"resourceType":"Observation","id":"long","subject":{"reference":"Patient/%s"},"valueString":"%020000d"}`, record.PatientID, 0),
	})

	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	store := new(picky)
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, store,
		&fhirsync.SyncOptions{Types: []string{"Observation"}})
	fmt.Println(report.Verdict, errors.Is(err, fhirsync.ErrIncomplete))
	for _, gap := range report.Gaps {
		if gap.Reason == fhirsync.Failed {
			fmt.Printf("%s: %s\n", gap.Ref, gap.Detail)
		}
	}
	o := report.Types["Observation"]
	fmt.Printf("%d received, %d stored, %d in quarantine\n", o.Received, o.Stored, len(store.Quarantined()))
	// Output:
	// incomplete true
	// Observation/long: rejected by the store
	// 30 received, 29 stored, 1 in quarantine
}
