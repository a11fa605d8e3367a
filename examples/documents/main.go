// Documents shows a ContentStore: store.go has it. This program pulls a record whose documents (PDF, C-CDA, whatever attachments name) go into files,
// beside the resources that name them.
//
//	go run ./examples/documents
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
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

func main() {
	dir, err := os.MkdirTemp("", "documents-")
	if err == nil {
		err = run(context.Background(), os.Stdout, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("in", dir)
}

func run(ctx context.Context, out io.Writer, dir string) error {
	record := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 40})
	server := fhirtest.NewServer(record)
	addDocument(server, record.PatientID, []byte("%PDF-1.7 a letter"))
	base, stop, err := server.Start()
	if err != nil {
		return err
	}
	defer stop()
	client, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		return err
	}
	resources := new(memstore.Store)
	store := Store{resources, dir}
	report, err := client.Sync(ctx, fhirsync.Server{Name: "clinic", BaseURL: base}, record.PatientID, store, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d resources, %s\n", resources.Len(), report.Verdict)
	key := fhirsync.Key{Server: "clinic", Type: "Binary", ID: "letter"} // DocumentReference.content.attachment.url is Binary/letter
	content, err := os.ReadFile(store.path(key))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s/%s: %s\n", key.Type, key.ID, content)
	return nil
}

// addDocument gives the patient a DocumentReference, and the Binary that it names.
func addDocument(server *fhirtest.Server, patient string, pdf []byte) {
	server.Put(fhirtest.Resource{
		Type: "DocumentReference", ID: "letter", Owner: patient, Params: fhirtest.Of(patient, "patient", "subject"), Links: []string{"Binary/letter"},
		Raw: fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":"letter","subject":{"reference":"Patient/%s"},`+
			`"content":[{"attachment":{"contentType":"application/pdf","url":"Binary/letter","size":%d}}]}`, patient, len(pdf)),
	})
	server.Put(fhirtest.Resource{
		Type: "Binary", ID: "letter", Content: pdf, ContentType: "application/pdf",
		Raw: []byte(`{"resourceType":"Binary","id":"letter","contentType":"application/pdf"}`),
	})
}
