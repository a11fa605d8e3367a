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

// A sync that was interrupted goes on when it is called again with the same arguments, in another process too: all it needs is in the
// store, if that is a StateStore.
func Example_resume() {
	record := fhirtest.Generate(fhirtest.Options{Seed: 9, Size: 200})
	server := fhirtest.NewServer(record)
	store := new(memstore.Store)
	srv := fhirsync.Server{BaseURL: server.BaseURL()}
	newClient := func() *fhirsync.Client {
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: server.Client(), Limit: ratelimit.Policy{Rate: -1}})
		if err != nil {
			log.Fatal(err)
		}
		return client
	}

	ctx, interrupt := context.WithCancel(context.Background())
	pages := 0
	first, err := newClient().Sync(ctx, srv, record.PatientID, store, &fhirsync.SyncOptions{OnEvent: func(e fhirsync.Event) {
		if _, ok := e.(fhirsync.PageFetched); ok {
			if pages++; pages == 40 {
				interrupt()
			}
		}
	}})
	fmt.Println("first:", first.Verdict, "- interrupted:", errors.Is(err, context.Canceled), "- resumable:", first.Resumable)

	second, err := newClient().Sync(context.Background(), srv, record.PatientID, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("second:", second.Verdict, "- the same run:", second.Run == first.Run, "- since when:", second.ResumedFrom.Equal(first.Started))
	fmt.Println("nothing is missing:", store.Len() == len(server.Want(record.PatientID)))
	// Output:
	// first: incomplete - interrupted: true - resumable: true
	// second: complete - the same run: true - since when: true
	// nothing is missing: true
}
