package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// database is a Shared the way one over a database works: state as JSON, its own clock, time on the way.
type database struct {
	mu    sync.Mutex
	row   []byte
	clock time.Duration // ahead of ours
	way   time.Duration
	down  bool
	calls int
}

func (d *database) do(fn func(now time.Time, s *ratelimit.State)) error {
	time.Sleep(d.way)
	defer time.Sleep(d.way)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.down {
		return errors.New("no connection")
	}
	var s ratelimit.State
	if d.row != nil {
		if err := json.Unmarshal(d.row, &s); err != nil {
			return err
		}
	}
	fn(time.Now().Add(d.clock), &s)
	row, err := json.Marshal(&s)
	d.row = row
	return err
}

func (d *database) Lease(_ context.Context, _ string, a ratelimit.Ask) (l ratelimit.Lease, err error) {
	err = d.do(func(now time.Time, s *ratelimit.State) { l = s.Lease(now, a) })
	return l, err
}

func (d *database) Pause(_ context.Context, _ string, p time.Duration) error {
	return d.do(func(now time.Time, s *ratelimit.State) { s.Pause(now, p) })
}

func TestProcessesShareOneLimit(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]ratelimit.Shared{
		"memory":                              new(ratelimit.Memory),
		"a database, its clock an hour ahead": &database{clock: time.Hour, way: 3 * time.Millisecond},
		"a database, its clock wrong and far": &database{clock: -17 * time.Minute, way: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &arrivals{took: 5 * time.Millisecond}
				limits := []ratelimit.Limit{{Requests: 20, Per: time.Second}, {Requests: 600, Per: time.Minute}}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				for range 5 { // processes
					rt := ratelimit.New(ratelimit.Policy{Rate: 50, Limits: limits, Shared: shared, Name: "https://x.test"}).Transport(a)
					for range 4 {
						wg.Go(func() {
							for ask(t, rt, ctx, "") == nil {
							}
						})
					}
				}
				wg.Wait()
				if n := most(a.all, time.Second, false); n > 20 {
					t.Errorf("%d in a second, want at most 20", n)
				}
				if n := most(a.all, time.Minute, false); n > 600 {
					t.Errorf("%d in a minute, want at most 600", n)
				}
				t.Logf("%d requests in 5 minutes of 3,000 allowed, at most %d in a second", len(a.all), most(a.all, time.Second, false))
				if len(a.all) < 1500 {
					t.Errorf("only %d requests", len(a.all))
				}
			})
		})
	}
}

func TestAPauseHoldsForAllProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{clock: time.Hour}
		p := ratelimit.Policy{Shared: d, Name: "x"}
		one, other := ratelimit.New(p), ratelimit.New(p)
		one.Refused(30 * time.Second)
		synctest.Wait()
		start := time.Now()
		if err := other.Wait(t.Context()); err != nil || time.Since(start) < 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestNothingIsSentWithoutTheShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{down: true}
		l := ratelimit.New(ratelimit.Policy{Shared: d, Name: "x"})
		if err := l.Wait(t.Context()); !errors.Is(err, ratelimit.ErrShared) {
			t.Errorf("%v", err)
		}
		if d.calls > 6 {
			t.Errorf("a database that is down was asked %d times", d.calls)
		}
		d.down = false
		if err := l.Wait(t.Context()); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

func TestAShortFailureOfTheSharedIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &database{down: true}
		l := ratelimit.New(ratelimit.Policy{Shared: d, Name: "x"})
		time.AfterFunc(2*time.Second, func() { d.mu.Lock(); d.down = false; d.mu.Unlock() })
		if err := l.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What a process has leased and does not use in time is lost, and not sent later.
func TestLeasesEnd(t *testing.T) {
	t.Parallel()
	var s ratelimit.State
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := ratelimit.Ask{Limits: []ratelimit.Limit{{Requests: 10, Per: time.Second}}, Permits: 8, Valid: 200 * time.Millisecond}
	if l := s.Lease(now, a); l.Permits != 8 || l.Valid != a.Valid {
		t.Errorf("%+v", l)
	}
	if l := s.Lease(now.Add(100*time.Millisecond), a); l.Permits != 2 {
		t.Errorf("%+v", l)
	}
	// The first could be used until 200 ms, so that the second after it ends at 1.2 s.
	if l := s.Lease(now.Add(1100*time.Millisecond), a); l.Permits != 0 || l.Wait != 100*time.Millisecond {
		t.Errorf("%+v", l)
	}
	if l := s.Lease(now.Add(1201*time.Millisecond), a); l.Permits != 8 {
		t.Errorf("%+v", l)
	}
	s.Pause(now.Add(2*time.Second), time.Minute)
	s.Pause(now.Add(2*time.Second), time.Second)
	if l := s.Lease(now.Add(3*time.Second), a); l.Permits != 0 || l.Wait != 59*time.Second {
		t.Errorf("%+v", l)
	}
}
