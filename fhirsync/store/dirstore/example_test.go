package dirstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

// A sync calls Put; here it is called by hand.
func Example() {
	dir, err := os.MkdirTemp("", "records")
	if err != nil {
		log.Fatal(err)
	}
	store, err := dirstore.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = store.Put(context.Background(), fhirsync.Batch{Server: "payer", PatientID: "1", Resources: []fhirsync.Resource{
		{Key: fhirsync.Key{Server: "payer", Type: "Patient", ID: "1"}, Raw: []byte(`{"resourceType":"Patient","id":"1"}`)},
	}})
	if err != nil {
		log.Print(err)
	}
	for r, err := range store.All("Patient") {
		fmt.Println(r.Type, r.ID, err)
	}
	if err := store.Close(); err != nil {
		log.Print(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "Patient.ndjson"))
	fmt.Print(string(text), errors.Join(err, os.RemoveAll(dir)))
	// Output:
	// Patient 1 <nil>
	// {"resourceType":"Patient","id":"1"}
	// <nil>
}
