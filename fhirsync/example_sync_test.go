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

// What the error of a sync says. This server stops at 50 Observations, without an error and without a next link, and ignores the parameters
// by which they could be asked for in parts.
func ExampleClient_Sync() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200})
	server := fhirtest.NewServer(record)
	server.Inject(
		fhirtest.PageCap(50).For("Observation"), fhirtest.ParamIgnored("date"), fhirtest.ParamIgnored("_lastUpdated"),
		fhirtest.ParamIgnored("category"), fhirtest.ParamIgnored("status"),
	)

	client, err := fhirsync.New(fhirsync.Config{
		HTTPClient: server.Client(),
		Limit:      ratelimit.Policy{Rate: -1}, // not for servers of other people.
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, new(memstore.Store), nil)
	switch {
	case report == nil:
		fmt.Println("an argument is wrong:", err)
	case err == nil:
		fmt.Println("all there is to see came:", report.Verdict)
	case errors.Is(err, fhirsync.ErrIncomplete):
		fmt.Println(err)
	case errors.Is(err, fhirsync.ErrUnauthorized), errors.Is(err, fhirsync.ErrPatientNotFound), errors.Is(err, fhirsync.ErrNotFHIR):
		fmt.Println("wrong token, patient or address:", err)
	case report.Interrupted:
		fmt.Println("ended before its end:", err, "- to be gone on with:", report.Resumable)
	}
	// Output:
	// fhirsync: record incomplete: 1 gap: Observation: the server counts 100, 50 came
}
