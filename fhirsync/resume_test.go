package fhirsync_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

func TestInterruptedSyncIsResumed(t *testing.T) {
	t.Parallel()
	for _, stop := range []time.Duration{9 * time.Second, 12 * time.Second, 25 * time.Second, 28 * time.Second} {
		t.Run(stop.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 400, Dangling: 3, Secondary: 6})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(fhirtest.Slow(500 * time.Millisecond))
				store := new(memstore.Store)
				server := fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}
				cfg := fhirsync.Config{Limit: ratelimit.Policy{Rate: 4, Concurrency: 4}}
				ctx, cancel := context.WithTimeout(t.Context(), stop)
				first, err := newClient(t, srv, cfg).Sync(ctx, server, rec.PatientID, store, nil)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || !first.Interrupted || !first.Resumable || first.Verdict != fhirsync.Incomplete {
					t.Fatalf("interrupted: %v\n%s", err, first)
				}
				before := len(srv.Requests())
				// A new process: nothing is remembered but what the store holds.
				second, err := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, store, nil)
				if err != nil || second.Run != first.Run || !second.ResumedFrom.Equal(first.Started) || second.Verdict != fhirsync.Complete {
					t.Errorf("resumed: %v\n%s", err, second)
				}
				if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
					t.Errorf("lost %v, not to be there %v", lost, alien)
				}
				again := len(srv.Requests()) - before
				// The same from the start, to compare: reports and costs.
				whole, err := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil)
				if err != nil || !whole.ResumedFrom.IsZero() || whole.Run == first.Run {
					t.Errorf("from the start: %v\n%s", err, whole)
				}
				for typ, want := range whole.Types {
					if got := second.Types[typ]; got.Received != want.Received || got.Stored != want.Stored || got.Evidence != want.Evidence {
						t.Errorf("%s: %+v resumed, %+v from the start", typ, got, want)
					}
				}
				if len(second.Gaps) != len(whole.Gaps) {
					t.Errorf("gaps differ:\n%s\n%s", second, whole)
				}
				t.Logf("%d requests before, %d after, %d from the start", before, again, whole.Requests.Total())
				if again >= whole.Requests.Total() {
					t.Errorf("resuming took %d requests, starting over %d", again, whole.Requests.Total())
				}
				// A finished sync leaves nothing to go on from.
				third, err := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, store, nil)
				if err != nil || !third.ResumedFrom.IsZero() {
					t.Errorf("after the end: %v\n%s", err, third)
				}
				if u := third.Types["Observation"]; u.Unchanged != u.Stored || u.Stored == 0 {
					t.Errorf("a second sync of the same: %+v", u)
				}
			})
		})
	}
}

func TestFullStartsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 6, Size: 200})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.Slow(time.Second))
		store := new(memstore.Store)
		server := fhirsync.Server{BaseURL: srv.BaseURL()}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		first, _ := newClient(t, srv, fhirsync.Config{}).Sync(ctx, server, rec.PatientID, store, nil)
		second, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, store, &fhirsync.SyncOptions{Full: true})
		if err != nil || !second.ResumedFrom.IsZero() || second.Run == first.Run || second.Verdict != fhirsync.Complete {
			t.Errorf("%v\n%s", err, second)
		}
		// Other options are another sync: its state is not touched.
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, _ = newClient(t, srv, fhirsync.Config{}).Sync(ctx, server, rec.PatientID, store, nil)
		other, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, store, &fhirsync.SyncOptions{Types: []string{"Observation"}})
		if err != nil || !other.ResumedFrom.IsZero() {
			t.Errorf("%v\n%s", err, other)
		}
	})
}
