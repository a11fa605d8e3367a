package fhirsync_test

import (
	"context"
	"fmt"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// Two payers, on whose servers everything has the same ids, are pulled into one store.
func ExampleNamespaced() {
	rec := fhirtest.Generate(fhirtest.Options{PatientID: "1", Size: 30})
	payers := map[string]*fhirtest.Server{"payer-a": fhirtest.NewServer(rec), "payer-b": fhirtest.NewServer(rec)}

	var spaces []*idspace.Space
	for name, srv := range payers {
		space, err := idspace.New(idspace.Options{Name: name, Bases: []string{srv.BaseURL()}, Scheme: idspace.Prefix()})
		if err != nil {
			panic(err)
		}
		spaces = append(spaces, space)
	}
	var mem memstore.Store
	store := fhirsync.Namespaced(&mem, spaces...)

	for name, srv := range payers {
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: srv.Client(), Limit: ratelimit.Policy{Rate: -1}}) // one for all, with real servers
		if err != nil {
			panic(err)
		}
		if _, err := client.Sync(context.Background(), fhirsync.Server{Name: name, BaseURL: srv.BaseURL()}, "1", store, nil); err != nil {
			panic(err)
		}
	}

	for r := range mem.All() {
		if r.Type == "Patient" {
			fmt.Println(r.ID, "was", r.Origin.Key.ID, "of", r.Origin.Key.Server)
		}
	}
	// Output:
	// payer-a-1 was 1 of payer-a
	// payer-b-1 was 1 of payer-b
}
