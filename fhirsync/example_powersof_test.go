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

// measured is a store around a store: it counts bytes. It changes neither keys nor bytes, and so it hands on what else its inner store can
// do. Without Powers a sync into it could not be resumed.
type measured struct {
	fhirsync.Store
	bytes int
}

func (m *measured) Put(ctx context.Context, batch fhirsync.Batch) error {
	err := m.Store.Put(ctx, batch)
	if err == nil {
		for _, r := range batch.Resources {
			m.bytes += len(r.Raw)
		}
	}
	return err
}

func (m *measured) Powers() fhirsync.Powers { return fhirsync.PowersOf(m.Store) }

// embedded shows what happens without that method.
type embedded struct{ fhirsync.Store }

// A store around a store keeps its powers.
func ExamplePowersOf() {
	inner := new(memstore.Store)
	store := &measured{Store: inner}
	fmt.Println("state:", fhirsync.PowersOf(store).State != nil, "- by embedding alone:", fhirsync.PowersOf(embedded{inner}).State != nil)

	record := fhirtest.Generate(fhirtest.Options{Seed: 10, Size: 50})
	server := fhirtest.NewServer(record)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	srv := fhirsync.Server{BaseURL: server.BaseURL()}
	for range 2 {
		report, err := client.Sync(context.Background(), srv, record.PatientID, store, nil)
		if err != nil {
			log.Fatal(err)
		}
		o := report.Types["Observation"]
		fmt.Printf("%d observations stored, %d of them unchanged\n", o.Stored, o.Unchanged)
	}
	want := 0
	for _, raw := range server.Want(record.PatientID) {
		want += len(raw)
	}
	fmt.Println("every byte came, twice:", store.bytes == 2*want)
	// Output:
	// state: true - by embedding alone: false
	// 25 observations stored, 0 of them unchanged
	// 25 observations stored, 25 of them unchanged
	// every byte came, twice: true
}
