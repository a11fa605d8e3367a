package fhirsync_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// strict is a store that takes its time, and notes whatever a store must not be asked to do.
type strict struct {
	*memstore.Store
	inside  atomic.Int32
	mu      sync.Mutex
	broken  []string
	slowest time.Duration // from when something came until it was put, while the store had nothing to do
	idle    time.Time     // since when it has nothing to do
	rested  time.Time     // the same, when it was asked about the batch that comes
	asked   bool          // it was, since the last batch
}

// enter is the begin of each method; what it gives is the end.
func (s *strict) enter(method string) func() {
	if s.inside.Add(1) > 1 {
		s.mu.Lock()
		s.broken = append(s.broken, method+" while another method was at work")
		s.mu.Unlock()
	}
	time.Sleep(20 * time.Millisecond)
	return func() {
		s.mu.Lock()
		s.idle = time.Now()
		s.mu.Unlock()
		s.inside.Add(-1)
	}
}

func (s *strict) Put(ctx context.Context, b fhirsync.Batch) error {
	now := time.Now()
	s.mu.Lock()
	if !s.asked {
		s.rested = s.idle
	}
	s.asked = false
	s.mu.Unlock()
	defer s.enter("Put")()
	bytes := 0
	s.mu.Lock()
	for i, r := range b.Resources {
		bytes += len(r.Raw)
		if since := now.Sub(r.Origin.Received); since > s.slowest && s.rested.Before(r.Origin.Received) {
			s.slowest = since
		}
		if i > 0 && cmp.Or(strings.Compare(b.Resources[i-1].Type, r.Type), strings.Compare(b.Resources[i-1].ID, r.ID)) >= 0 {
			s.broken = append(s.broken, "a batch that is not in order")
		}
	}
	if len(b.Resources) == 0 || len(b.Resources) > 1000 || bytes > 8<<20 {
		s.broken = append(s.broken, fmt.Sprintf("a batch of %d resources and %d bytes", len(b.Resources), bytes))
	}
	s.mu.Unlock()
	return s.Store.Put(ctx, b)
}

func (s *strict) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	s.mu.Lock()
	s.rested, s.asked = s.idle, true
	s.mu.Unlock()
	defer s.enter("Holds")()
	return s.Store.Holds(ctx, keys, digests)
}

func (s *strict) Seen(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
	defer s.enter("Seen")()
	return s.Store.Seen(ctx, run, keys)
}

func (s *strict) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	defer s.enter("SaveState")()
	return s.Store.SaveState(ctx, key, state, rev)
}

func (s *strict) LoadState(ctx context.Context, key string) ([]byte, string, error) {
	defer s.enter("LoadState")()
	return s.Store.LoadState(ctx, key)
}

func (s *strict) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	defer s.enter("Quarantine")()
	return s.Store.Quarantine(ctx, items)
}

// Whatever a sync does beside, it calls one method of its store at a time, and each batch is as it is promised.
func TestOneMethodAtATime(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string][]fhirtest.Fault{"as it should be": nil, "broken resources": {fhirtest.BrokenEntry("NaN")}} {
		for _, resources := range []int{900, 4000} {
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: resources, Secondary: 20})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 100
				srv.Inject(fault...)
				store := &strict{Store: new(memstore.Store)}
				c := newClient(t, srv, fhirsync.Config{Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}})
				c.SeenInMemory(50) // so that the store is asked what has come.
				for range 2 {
					rep, err := c.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
					if rep == nil || fault == nil && err != nil {
						t.Fatalf("%s: %v\n%s", name, err, rep)
					}
				}
				if fault == nil {
					if lost, alien := missing(srv, rec.PatientID, store.Store); len(lost)+len(alien) > 0 {
						t.Errorf("%s: lost %d, not to be there %d", name, len(lost), len(alien))
					}
				}
				if len(store.broken) > 0 {
					t.Errorf("%s: %d times something that a store must not see, %s for one", name, len(store.broken), store.broken[0])
				}
				if store.slowest > 220*time.Millisecond { // in which it was also asked about it
					t.Errorf("%s: a resource waited for %v although the store had nothing to do", name, store.slowest)
				}
			})
		}
	}
}
