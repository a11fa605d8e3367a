package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

func TestTightenLowersAndNeverRaises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: 10, Fixed: true, Concurrency: 4, Burst: 1})
		l.Tighten(ratelimit.Terms{Rate: 100, Concurrency: 50})
		if s := l.Stats(); s.Rate != 10 || s.Concurrency != 4 {
			t.Errorf("raised to %v requests per second, %d at once", s.Rate, s.Concurrency)
		}
		terms := ratelimit.Terms{Rate: 2, Concurrency: 1, Limits: []ratelimit.Limit{{Requests: 5, Per: time.Minute}}}
		for range 3 {
			l.Tighten(terms) // again: it changes nothing more.
		}
		if s := l.Stats(); s.Rate != 2 || s.Concurrency != 1 {
			t.Errorf("%v requests per second, %d at once", s.Rate, s.Concurrency)
		}
		begun := time.Now()
		for range 6 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < time.Minute || took > 2*time.Minute {
			t.Errorf("six requests under a limit of five a minute took %s", took)
		}
	})
}

func TestTightenWhatHadNoLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: -1, Concurrency: -1})
		l.Tighten(ratelimit.Terms{Rate: 1, Concurrency: 2})
		if s := l.Stats(); s.Rate != 1 || s.Concurrency != 2 {
			t.Errorf("%v requests per second, %d at once", s.Rate, s.Concurrency)
		}
		begun := time.Now()
		for range 20 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < 8*time.Second {
			t.Errorf("twenty requests at one a second took %s", took)
		}
	})
}
