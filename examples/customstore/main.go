// Customstore shows that a Store for a system of your own is a few lines: store.go has it. This program pulls a record into a backend that
// knows nothing of FHIR.
//
//	go run ./examples/customstore
//
// It starts a FHIR server of its own with a synthetic patient, so that it works as it is.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	record := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 150})
	base, stop, err := fhirtest.NewServer(record).Start()
	if err != nil {
		return err
	}
	defer stop()
	backend := NewDocuments()
	client, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		return err
	}
	report, err := client.Sync(ctx, fhirsync.Server{Name: "clinic", BaseURL: base}, record.PatientID, Store{backend}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d resources, %s\n", report.Received(), report.Verdict)
	fmt.Fprintf(out, "%d documents about %s in the backend\n", len(backend.About(record.PatientID)), record.PatientID)
	return nil
}
