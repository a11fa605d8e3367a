package fhirsync_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// What the caller knows of a server and the library does not: this one wants a header, which only the caller can fill in, and a category for
// Observation. Server.Quirks goes before what the registry says; Config.Quirks takes a registry of your own.
func ExampleServer_quirks() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200})
	server := fhirtest.NewServer(record)
	server.Inject(fhirtest.RequiredHeader("X-Tenant"), fhirtest.ParamRequired("category").For("Observation"))

	set, err := quirks.ParseSet("mine", []byte(`{
		"headers": [{"name": "X-Tenant", "var": "tenant"}],
		"types": {"Observation": {"fanOut": {"param": "category"}}}
	}`))
	if err != nil {
		log.Fatal(err) // names line and field.
	}
	client, err := fhirsync.New(fhirsync.Config{
		HTTPClient: server.Client(),
		Limit:      ratelimit.Policy{Rate: -1}, // not for servers of other people.
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{
		BaseURL: server.BaseURL(),
		Quirks:  set,
		Vars:    map[string]string{"tenant": "42"},
	}, record.PatientID, new(memstore.Store), nil)
	fmt.Println(report.Verdict, err)
	fmt.Println(report.Types["Observation"].Received, "Observations, by", report.Types["Observation"].Parts)
	// Output:
	// complete <nil>
	// 100 Observations, by category
}
