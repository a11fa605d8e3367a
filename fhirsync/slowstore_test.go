package fhirsync_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// slow is a store that takes a minute for each batch, or until it is called off.
type slow struct {
	*memstore.Store
	begin, end func()
}

func (s *slow) Put(ctx context.Context, b fhirsync.Batch) error {
	s.begin()
	defer s.end()
	select {
	case <-time.After(time.Minute):
		return s.Store.Put(ctx, b)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A store that blocks holds the sync up and loses nothing, and what comes meanwhile stays within bounds.
func TestStoreThatBlocksForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 12, Size: 2500})
		srv := fhirtest.NewServer(rec)
		srv.MaxCount = 50
		const most = 1 << 20 // bytes in flight
		var blocked, unput, peak atomic.Int64
		sinceBegin := func() { blocked.Store(1); unput.Store(0) }
		store := &slow{Store: new(memstore.Store), begin: sinceBegin, end: func() { blocked.Store(0); peak.Store(max(peak.Load(), unput.Load())) }}
		c := newClient(t, srv, fhirsync.Config{MaxBytes: most, MaxPage: most / 4, Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}, Strategy: fhirsync.SearchByType()})
		start := time.Now()
		rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, &fhirsync.SyncOptions{OnEvent: func(e fhirsync.Event) {
			if p, is := e.(fhirsync.PageFetched); is && blocked.Load() > 0 {
				unput.Add(int64(p.Bytes))
			}
		}})
		if err != nil || rep.Verdict != fhirsync.Complete {
			t.Errorf("%v\n%s", err, rep)
		}
		if lost, alien := missing(srv, rec.PatientID, store.Store); len(lost)+len(alien) > 0 {
			t.Errorf("lost %d, not to be there %d", len(lost), len(alien))
		}
		t.Logf("%v, at most %d bytes came while a batch was put", time.Since(start).Round(time.Second), peak.Load())
		if peak.Load() > most {
			t.Errorf("%d bytes came while one batch was put, of %d allowed", peak.Load(), most)
		}
	})
}

// Who calls the sync off while the store blocks does not wait for it, where the store looks at its context.
func TestStoreThatBlocksIsCalledOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 12, Size: 100})
		srv := fhirtest.NewServer(rec)
		ctx, cancel := context.WithCancel(t.Context())
		store := &slow{Store: new(memstore.Store), begin: func() { time.AfterFunc(5*time.Second, cancel) }, end: func() {}}
		start := time.Now()
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(ctx, fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if !errors.Is(err, context.Canceled) || !rep.Interrupted || rep.Verdict != fhirsync.Incomplete {
			t.Errorf("%v\n%s", err, rep)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
