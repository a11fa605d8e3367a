package fhirsync_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// folder is a whole Store: a file for each resource of one server. Put is an upsert, because a file that is there is written again. Ids
// may differ in case only, which not every file system can tell apart, and may hold anything: hence the hex.
type folder string

func (f folder) Put(ctx context.Context, batch fhirsync.Batch) error {
	for _, r := range batch.Resources {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := r.Type + "-" + hex.EncodeToString([]byte(r.ID)) + ".json"
		if err := os.WriteFile(filepath.Join(string(f), name), r.Raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A store of one's own, in fewer than twenty lines. Package storetest has the tests for it.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "record-")
	if err != nil {
		log.Fatal(err)
	}

	record := fhirtest.Generate(fhirtest.Options{Seed: 2})
	server := fhirtest.NewServer(record)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Sync(context.Background(), fhirsync.Server{BaseURL: server.BaseURL()}, record.PatientID, folder(dir), nil)
	if err != nil {
		log.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict)
	fmt.Println("a file for each resource:", len(files) == report.Received() && len(files) == len(server.Want(record.PatientID)))
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// complete
	// a file for each resource: true
}
