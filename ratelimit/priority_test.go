package ratelimit_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// What is pressing passes what waits already, and what is as pressing waits for its turn. Another flow has its share all the same.
func TestPriority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: 1, Burst: 1, Fixed: true})
		var (
			mu    sync.Mutex
			order []string
			wg    sync.WaitGroup
		)
		ask := func(name, flow string, priority int, class ratelimit.Class) {
			ctx := ratelimit.WithClass(ratelimit.WithPriority(ratelimit.WithFlow(t.Context(), flow), priority), class)
			wg.Go(func() {
				if err := l.Wait(ctx); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
			})
			time.Sleep(time.Millisecond)
		}
		ask("first", "sync", 0, ratelimit.Search)
		ask("late", "sync", -1, ratelimit.Search)
		ask("usual", "sync", 0, ratelimit.Read)
		ask("usual too", "sync", 0, ratelimit.Search)
		ask("long", "sync", 5, ratelimit.Search)
		ask("longest", "sync", 9, ratelimit.Read)
		ask("long too", "sync", 5, ratelimit.Search)
		ask("other", "another", -7, ratelimit.Search)
		wg.Wait()
		got := strings.Join(order, ", ")
		if want := "first, longest, other, long, long too, usual, usual too, late"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// A chain of requests of which each follows the answer to the one before does not lose its turn to what waits, neither the permit that comes
// meanwhile nor the place that its answer has left, and the rate is used up all the same.
func TestAChainKeepsItsTurn(t *testing.T) {
	t.Parallel()
	const pages, latency = 20, 500 * time.Millisecond
	for _, p := range []ratelimit.Policy{
		{Rate: 10, Burst: 10, Concurrency: 8, Fixed: true},
		{Rate: -1, Concurrency: 4},
		{Rate: 10, Burst: 1, Concurrency: 8, Fixed: true}, // no permit can be kept here: the chain waits for the next one, and that is all.
	} {
		synctest.Test(t, func(t *testing.T) {
			rt := ratelimit.New(p).Transport(tripFunc(func(*http.Request) (*http.Response, error) {
				time.Sleep(latency)
				return answer(http.StatusOK, nil), nil
			}))
			send := func(ctx context.Context) {
				resp, err := rt.RoundTrip(mustRequest(ctx, t))
				if err != nil {
					return
				}
				_ = resp.Body.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			others := make([]int, 12)
			for i := range others {
				wg.Go(func() {
					for ctx.Err() == nil {
						send(ctx)
						others[i]++
						time.Sleep(time.Duration(i) * time.Millisecond) // so that answers come at any time.
					}
				})
			}
			time.Sleep(2 * time.Second)
			start := time.Now()
			for i := range pages {
				send(ratelimit.WithPriority(t.Context(), pages-i))
				time.Sleep(5 * time.Millisecond) // what looking at it takes.
			}
			took := time.Since(start)
			cancel()
			wg.Wait()
			sum := 0
			for _, n := range others {
				sum += n
			}
			late := took - pages*(latency+5*time.Millisecond)
			t.Logf("%v late, %d others", late, sum)
			if most := time.Duration(pages) * 100 * time.Millisecond; p.Burst == 1 && late > most || p.Burst != 1 && late > latency+100*time.Millisecond {
				t.Errorf("burst %d: the chain came %v late", p.Burst, late)
			}
			if sum < 60 {
				t.Errorf("burst %d: %d others were let through", p.Burst, sum)
			}
		})
	}
}

func mustRequest(ctx context.Context, t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://h.example/fhir/Observation?patient=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
