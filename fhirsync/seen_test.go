package fhirsync_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// asked counts what a store is asked, and puts each resource of a run into it once, or it says so.
type asked struct {
	*memstore.Store
	t           *testing.T
	calls, keys atomic.Int64
	takes       time.Duration // each call of Seen
	err         error
	put         map[fhirsync.Key]string // the run that put it
}

func (a *asked) Seen(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
	a.calls.Add(1)
	a.keys.Add(int64(len(keys)))
	if len(keys) == 0 || len(keys) > 1000 {
		a.t.Errorf("Seen was asked about %d keys", len(keys))
	}
	if a.err != nil {
		return nil, a.err
	}
	time.Sleep(a.takes)
	return a.Store.Seen(ctx, run, keys)
}

func (a *asked) Put(ctx context.Context, b fhirsync.Batch) error {
	if a.put == nil {
		a.put = map[fhirsync.Key]string{}
	}
	for _, r := range b.Resources {
		if a.put[r.Key] == b.Run {
			a.t.Errorf("%s/%s was put twice by one run", r.Type, r.ID)
		}
		a.put[r.Key] = b.Run
	}
	return a.Store.Put(ctx, b)
}

// With what has come known by the store alone, a sync brings the same, counts the same and puts nothing twice.
func TestSeenInTheStore(t *testing.T) {
	t.Parallel()
	for name, strategy := range map[string]fhirsync.Strategy{
		"by type":               fhirsync.SearchByType(),
		"everything, then more": fhirsync.Auto(),
		"twice everything":      fhirsync.Union(fhirsync.Everything(), fhirsync.SearchByType()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 600, Dangling: 4, Secondary: 8})
				var types [2]map[string]fhirsync.TypeReport
				var gaps [2]int
				for i, inMemory := range []int{1 << 30, 100} {
					srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 100}))
					srv.Everything = true
					store := &asked{Store: new(memstore.Store), t: t}
					c := newClient(t, srv, fhirsync.Config{Strategy: strategy, Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}})
					c.SeenInMemory(inMemory)
					rep, err := c.Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
					if err != nil {
						t.Errorf("%v\n%s", err, rep)
					}
					if lost, alien := missing(srv, rec.PatientID, store.Store); len(lost)+len(alien) > 0 {
						t.Errorf("lost %v, not to be there %v", lost, alien)
					}
					types[i], gaps[i] = rep.Types, len(rep.Gaps)
					pages := int64(rep.Requests.Total())
					switch calls := store.calls.Load(); {
					case i == 0 && calls > 0:
						t.Errorf("asked %d times, with room in memory", calls)
					case i == 1 && (calls == 0 || calls > 2*pages):
						t.Errorf("asked %d times on %d requests", calls, pages)
					}
					t.Logf("asked %d times about %d keys on %d requests", store.calls.Load(), store.keys.Load(), pages)
				}
				if diff := cmp.Diff(types[0], types[1]); diff != "" || gaps[0] != gaps[1] {
					t.Errorf("%d gaps in memory, %d in the store\n%s", gaps[0], gaps[1], diff)
				}
			})
		})
	}
}

// crowd asks the same question several times at once, so that the same pages come at the same time.
type crowd struct{}

func (crowd) Name() string { return "crowd" }

func (crowd) Fetch(ctx context.Context, s *fhirsync.Session) error {
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 130 * time.Millisecond)
			errs[i] = s.Search(ctx, fhirsync.Query{Type: "Observation"})
		})
	}
	wg.Wait()
	return errors.Join(append(errs, s.Run(ctx, fhirsync.SearchByType()))...)
}

// What goes from memory into the store while somebody looks is not taken for new.
func TestSeenWhileItIsPut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 600, Secondary: 8})
		srv := fhirtest.NewServer(rec)
		srv.MaxCount = 10
		srv.Inject(fhirtest.Slow(70 * time.Millisecond))
		store := &asked{Store: new(memstore.Store), t: t, takes: 90 * time.Millisecond}
		c := newClient(t, srv, fhirsync.Config{Strategy: crowd{}, Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}})
		c.SeenInMemory(0)
		rep, err := c.Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if err != nil {
			t.Errorf("%v\n%s", err, rep)
		}
		if lost, alien := missing(srv, rec.PatientID, store.Store); len(lost)+len(alien) > 0 {
			t.Errorf("lost %v, not to be there %v", lost, alien)
		}
	})
}

func TestSeenFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 200})
		srv := fhirtest.NewServer(rec)
		store := &asked{Store: new(memstore.Store), t: t, err: errors.New("no connection")}
		c := newClient(t, srv, fhirsync.Config{})
		c.SeenInMemory(10)
		rep, err := c.Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		var failed *fhirsync.StoreError
		if !errors.As(err, &failed) || !errors.Is(err, store.err) || !rep.Interrupted {
			t.Errorf("%v\n%s", err, rep)
		}
		if calls := store.calls.Load(); calls < 2 {
			t.Errorf("it was tried %d times", calls)
		}
	})
}

// A sync that is too large for a saved state to name what has come is gone on with all the same, where the store knows it; and where the next
// store does not, it begins anew.
func TestResumedByWhatTheStoreHasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop   time.Duration
		forget bool // the power is not there the second time
		crash  bool // the last state was not saved
	}{
		"early":               {stop: 12 * time.Second},
		"late":                {stop: 25 * time.Second},
		"references":          {stop: 28 * time.Second},
		"after a crash":       {stop: 25 * time.Second, crash: true},
		"without a SeenStore": {stop: 25 * time.Second, forget: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 400, Dangling: 3, Secondary: 6})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(fhirtest.Slow(500 * time.Millisecond))
				inner := new(memstore.Store)
				server := fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}
				client := func() *fhirsync.Client {
					c := newClient(t, srv, fhirsync.Config{Limit: ratelimit.Policy{Rate: 4, Concurrency: 4}})
					c.SeenInMemory(0)
					return c
				}
				var store fhirsync.Store = inner
				crash := &crashing{Store: inner}
				if c.crash {
					store = crash
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.stop)
				if c.crash {
					time.AfterFunc(c.stop-time.Millisecond, func() { crash.dead.Store(true) })
				}
				first, err := client().Sync(ctx, server, rec.PatientID, store, nil)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) && !c.crash || first.Resumable == c.crash {
					t.Fatalf("interrupted: %v\n%s", err, first)
				}
				store = &asked{Store: inner, t: t}
				if c.forget {
					store = unseen{inner}
				}
				second, err := client().Sync(t.Context(), server, rec.PatientID, store, nil)
				if err != nil || second.ResumedFrom.IsZero() != c.forget {
					t.Errorf("resumed: %v\n%s", err, second)
				}
				if lost, alien := missing(srv, rec.PatientID, inner); len(lost)+len(alien) > 0 {
					t.Errorf("lost %v, not to be there %v", lost, alien)
				}
				whole, err := client().Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil)
				if err != nil {
					t.Errorf("from the start: %v\n%s", err, whole)
				}
				for typ, want := range whole.Types {
					got := second.Types[typ]
					// After a crash, what was put behind the last state is there and not counted.
					if got.Evidence != want.Evidence || got.Received != got.Stored || got.Received != want.Received && (!c.crash || got.Received > want.Received) {
						t.Errorf("%s: %+v resumed, %+v from the start", typ, got, want)
					}
				}
			})
		})
	}
}

// crashing is a store whose process is gone from some moment on.
type crashing struct {
	*memstore.Store
	dead atomic.Bool
}

var errGone = errors.New("the process is gone")

func (c *crashing) Put(ctx context.Context, b fhirsync.Batch) error {
	if c.dead.Load() {
		return errGone
	}
	return c.Store.Put(ctx, b)
}

func (c *crashing) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	if c.dead.Load() {
		return "", errGone
	}
	return c.Store.SaveState(ctx, key, state, rev)
}

// unseen is a store that does not know what a run has put.
type unseen struct{ *memstore.Store }

func (u unseen) Powers() fhirsync.Powers {
	p := fhirsync.PowersOf(u.Store)
	p.Seen = nil
	return p
}

// dying is a store that fails for good at one of its Puts.
type dying struct {
	*memstore.Store
	left int
}

func (p *dying) Put(ctx context.Context, batch fhirsync.Batch) error {
	if p.left--; p.left < 0 {
		return errors.New("the disk is gone")
	}
	return p.Store.Put(ctx, batch)
}

// TestResumedAfterMoreWasPutThanSaved: the store has more than the saved state speaks for. What that refers to must come all the same.
func TestResumedAfterMoreWasPutThanSaved(t *testing.T) {
	t.Parallel()
	for _, inMemory := range []int{10, 30, 60, 90} {
		for puts := 1; puts <= 24; puts++ {
			t.Run(fmt.Sprint(inMemory, " in memory, after ", puts), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rec := fhirtest.Generate(fhirtest.Options{Seed: 60, Size: 150, Attachments: 3})
					srv := fhirtest.NewServer(rec)
					srv.Inject(fhirtest.Slow(300 * time.Millisecond))
					server := fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}
					kept := new(memstore.Store)
					var rep *fhirsync.Report
					var err error
					for _, store := range []fhirsync.Store{&dying{kept, puts}, &dying{kept, puts}, kept} {
						c := newClient(t, srv, fhirsync.Config{Limit: ratelimit.Policy{Rate: 10, Concurrency: 4, Fixed: true}})
						c.SeenInMemory(inMemory)
						rep, err = c.Sync(t.Context(), server, rec.PatientID, store, nil)
					}
					lost, _ := missing(srv, rec.PatientID, kept)
					if len(lost) > 0 || err != nil {
						t.Errorf("lost %v, %v\n%s", lost, err, rep)
					}
					stored := 0
					for range kept.All() {
						stored++
					}
					if n := rep.Received(); n > stored+5 {
						t.Errorf("%d received, and there are %d", n, stored)
					}
				})
			})
		}
	}
}
