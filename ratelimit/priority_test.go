package ratelimit_test

import (
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
