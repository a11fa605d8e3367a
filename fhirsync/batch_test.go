package fhirsync_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestBatchFaults: whatever becomes of batches, nothing is lost; and where they work they save requests.
func TestBatchFaults(t *testing.T) {
	t.Parallel()
	for _, f := range append([]fhirtest.Fault{{Name: "honest"}}, fhirtest.BatchFaults()...) {
		for _, everything := range []bool{false, true} {
			name := f.Name
			if everything {
				name += " with $everything"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rec := fhirtest.Generate(fhirtest.Options{Seed: 21, Size: 400, Dangling: 6, Secondary: 5})
					var requests [2]int
					for i, batch := range []bool{false, true} {
						srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 22, Size: 120}))
						srv.MaxCount, srv.Batch, srv.Everything = 20, batch, everything
						srv.Inject(f)
						store := new(memstore.Store)
						rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
						if err != nil || rep.Verdict != fhirsync.Complete {
							t.Fatalf("batch %v: %v\n%s", batch, err, rep)
						}
						if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
							t.Errorf("batch %v: lost %v, not to be there %v", batch, lost, alien)
						}
						requests[i] = rep.Requests.Total()
					}
					if f.Name == "honest" && requests[1] > requests[0]*3/4 {
						t.Errorf("%d requests with batches, %d without", requests[1], requests[0])
					}
					t.Log(f.Name, requests)
				})
			})
		}
	}
}

// A 429 inside the answer to a batch, which itself is a 200, slows the client down like any other.
func TestRefusalInsideBatchIsHeeded(t *testing.T) {
	t.Parallel()
	slowest := map[int]float64{}
	for _, status := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 23, Size: 200})
			srv := fhirtest.NewServer(rec)
			srv.Batch = true
			srv.Inject(fhirtest.BatchEntryStatus(status, 3))
			client := newClient(t, srv, fhirsync.Config{})
			slowest[status] = client.Rate(srv.BaseURL())
			var mu sync.Mutex
			rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{OnEvent: func(fhirsync.Event) {
				mu.Lock()
				defer mu.Unlock()
				slowest[status] = min(slowest[status], client.Rate(srv.BaseURL()))
			}})
			if err != nil {
				t.Fatalf("%v\n%s", err, rep)
			}
		})
	}
	if slowest[http.StatusTooManyRequests] >= slowest[http.StatusForbidden] {
		t.Errorf("lowest rates by status inside the batch: %v", slowest)
	}
}
