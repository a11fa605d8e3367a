package fhirsync_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// printer is a store that takes contents: beside what the memstore does, it prints them.
type printer struct{ *memstore.Store }

// PutContent copies the content to where it belongs, piece by piece. Here that is a string; examples/documents has files.
func (printer) PutContent(_ context.Context, c fhirsync.Content) error {
	var text strings.Builder
	if _, err := io.Copy(&text, c.Body); err != nil {
		return err
	}
	fmt.Printf("%s/%s (%s, %d bytes): %s\n", c.Key.Type, c.Key.ID, c.ContentType, c.Size(), text.String())
	return nil
}

// What attachments name comes as it is to a store that is a ContentStore.
func ExampleContentStore() {
	server := fhirtest.NewServer()
	server.Put(fhirtest.Resource{Type: "Patient", ID: "17", Owner: "17", Raw: []byte(`{"resourceType":"Patient","id":"17"}`)})
	server.Put(fhirtest.Resource{
		Type: "DocumentReference", ID: "d", Owner: "17", Params: fhirtest.Of("17", "patient", "subject"), Links: []string{"Binary/note"},
		Raw: []byte(`{"resourceType":"DocumentReference","id":"d","subject":{"reference":"Patient/17"},` +
			`"content":[{"attachment":{"contentType":"text/plain","url":"Binary/note"}}]}`),
	})
	server.Put(fhirtest.Resource{
		Type: "Binary", ID: "note", Content: []byte("All is well."), ContentType: "text/plain",
		Raw: []byte(`{"resourceType":"Binary","id":"note","contentType":"text/plain"}`),
	})
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, "17", printer{new(memstore.Store)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict)
	// Output:
	// Binary/note (text/plain, 12 bytes): All is well.
	// complete
}
