package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// arrivals notes when requests arrive.
type arrivals struct {
	mu   sync.Mutex
	all  []time.Time
	flow map[string]int
	took time.Duration
}

func (a *arrivals) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.all = append(a.all, time.Now())
	if a.flow != nil {
		a.flow[r.Header.Get("Flow")]++
	}
	a.mu.Unlock()
	time.Sleep(a.took)
	return answer(http.StatusOK, http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}), nil
}

// most gives the most arrivals in any span of a length; or in spans that begin at its multiples.
func most(at []time.Time, span time.Duration, aligned bool) int {
	slices.SortFunc(at, time.Time.Compare)
	most, from := 0, 0
	count := map[time.Time]int{}
	for i, t := range at {
		if aligned {
			count[t.Truncate(span)]++
			most = max(most, count[t.Truncate(span)])
			continue
		}
		for t.Sub(at[from]) >= span {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func ask(t *testing.T, rt http.RoundTripper, ctx context.Context, flow string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.test/Observation?patient=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Flow", flow)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func TestDeclaredLimitsAreNeverExceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &arrivals{took: 30 * time.Millisecond}
		l := ratelimit.New(ratelimit.Policy{
			Rate: 1000, Concurrency: 50,
			Limits: []ratelimit.Limit{{Requests: 10, Per: time.Second, Aligned: true}, {Requests: 250, Per: time.Minute, Aligned: true}},
		})
		start := time.Now()
		time.Sleep(17 * time.Second) // not at the top of a minute.
		rt := l.Transport(a)
		const whole = 10 * time.Minute
		ctx, cancel := context.WithDeadline(t.Context(), start.Add(whole))
		defer cancel()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx := ratelimit.WithFlow(ctx, fmt.Sprint("sync ", i))
				for ask(t, rt, ctx, "") == nil {
					time.Sleep(rand.N(2 * time.Second))
				}
			})
		}
		wg.Wait()
		if n := most(a.all, time.Second, false); n > 10 {
			t.Errorf("%d in a second, want at most 10", n)
		}
		if n := most(a.all, time.Minute, true); n > 250 {
			t.Errorf("%d in a minute, want at most 250", n)
		}
		// 250 a minute is the narrower one: nearly all of it is used.
		if n := len(a.all); n < 2300 {
			t.Errorf("%d requests in 10 minutes, want nearly 2,500", n)
		}
		t.Logf("%d requests in ten minutes, at most %d a second and %d a minute", len(a.all), most(a.all, time.Second, false), most(a.all, time.Minute, true))
	})
}

func TestLimitOfAClassHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: -1, Limits: []ratelimit.Limit{{Requests: 1, Per: time.Hour, Classes: []ratelimit.Class{ratelimit.Export}}}})
		export := ratelimit.WithClass(t.Context(), ratelimit.Export)
		if err := l.Wait(export); err != nil {
			t.Fatal(err)
		}
		blocked := make(chan error, 1)
		go func() { blocked <- l.Wait(export) }()
		synctest.Wait()
		start := time.Now()
		for range 10 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("reads waited %v for an export", d)
		}
		if err := <-blocked; err != nil || time.Since(start) < time.Hour {
			t.Errorf("the second export: %v after %v", err, time.Since(start))
		}
	})
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, url, contentType string
		want                     ratelimit.Class
	}{
		{"GET", "http://x.test/r4/Patient/1", "", ratelimit.Read},
		{"GET", "http://x.test/r4/metadata", "", ratelimit.Read},
		{"GET", "http://x.test/r4/Observation?patient=1", "", ratelimit.Search},
		{"POST", "http://x.test/r4/Observation/_search", "application/x-www-form-urlencoded", ratelimit.Search},
		{"GET", "http://x.test/r4/Patient/1/$everything", "", ratelimit.Search},
		{"GET", "http://x.test/r4/Group/1/$export", "", ratelimit.Export},
		{"GET", "http://x.test/r4/Group/1/$export?_type=Patient", "", ratelimit.Export},
		{"POST", "http://x.test/token", "application/x-www-form-urlencoded", ratelimit.Token},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.contentType)
		if got := ratelimit.ClassOf(r); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.url, got, c.want)
		}
		if got := ratelimit.ClassOf(r.WithContext(ratelimit.WithClass(t.Context(), ratelimit.Export))); got != ratelimit.Export {
			t.Errorf("the context says export, and it is %s", got)
		}
	}
}

// A huge sync does not starve a small one: neither of the rate nor of the places under way.
func TestFlowsShareFairly(t *testing.T) {
	t.Parallel()
	for _, by := range []struct {
		name   string
		policy ratelimit.Policy
		took   time.Duration
		// for the small one's 20 requests, one after the other. Alone they take 2 s and 8 s, in the order of arrival 50 s and 60 s.
		want time.Duration
	}{
		{"rate", ratelimit.Policy{Rate: 10, Fixed: true, Burst: 1, Concurrency: 100}, time.Millisecond, 4100 * time.Millisecond},
		{"slots", ratelimit.Policy{Rate: -1, Concurrency: 4}, 400 * time.Millisecond, 16 * time.Second},
	} {
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &arrivals{took: by.took, flow: map[string]int{}}
				rt := ratelimit.New(by.policy).Transport(a)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 500 {
					wg.Go(func() { _ = ask(t, rt, ratelimit.WithFlow(ctx, "huge"), "huge") })
				}
				time.Sleep(5 * time.Second)
				a.mu.Lock()
				before := a.flow["huge"]
				a.mu.Unlock()
				start := time.Now()
				for range 20 {
					if err := ask(t, rt, ratelimit.WithFlow(ctx, "small"), "small"); err != nil {
						t.Error(err)
					}
				}
				took := time.Since(start)
				a.mu.Lock()
				huge := a.flow["huge"] - before
				a.mu.Unlock()
				t.Logf("the small one's 20 requests took %v, in which the huge one sent %d", took, huge)
				if took > by.want {
					t.Errorf("the small one took %v, want at most %v", took, by.want)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

func TestAnHourOfRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{MaxPause: 2 * time.Hour})
		n := 0
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"3600"}}), nil
			}
			return answer(http.StatusOK, nil), nil
		}))
		start := time.Now()
		if err := ask(t, rt, t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		var wait ratelimit.Wait
		if err := ask(t, rt, ratelimit.OnWait(t.Context(), func(w ratelimit.Wait) { wait = w }), ""); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != time.Hour {
			t.Errorf("asked again after %v", d)
		}
		if wait.Reason != ratelimit.Paused || wait.Length != time.Hour || wait.Class != ratelimit.Search {
			t.Errorf("wait %+v", wait)
		}
	})
}

// Beyond MaxPause nothing waits, nothing is sent for a while, and then one request finds out whether it was meant.
func TestAPauseBeyondTheCap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Concurrency: 1})
		n := 0
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if n++; n == 1 {
				return answer(http.StatusTooManyRequests, http.Header{"Retry-After": {"7200"}}), nil
			}
			return answer(http.StatusOK, nil), nil
		}))
		start := time.Now()
		others := make(chan error, 9)
		for range cap(others) {
			go func() { time.Sleep(time.Millisecond); others <- ask(t, rt, t.Context(), "") }()
		}
		if err := ask(t, rt, t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		for range cap(others) {
			var pause *ratelimit.PauseError
			if err := <-others; !errors.As(err, &pause) || pause.Until.Sub(start) != 2*time.Hour+time.Second {
				t.Errorf("a request that waited: %v", err)
			}
		}
		var pause *ratelimit.PauseError
		if err := ask(t, rt, t.Context(), ""); !errors.As(err, &pause) || time.Since(start) != time.Second {
			t.Errorf("a later request: %v after %v", err, time.Since(start))
		}
		time.Sleep(ratelimit.DefaultMaxPause)
		if err := ask(t, rt, t.Context(), ""); err != nil || n != 2 {
			t.Errorf("after the cap: %v, %d sent", err, n)
		}
	})
}

func TestGivingUpLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{Rate: 1000, Burst: 1, Concurrency: 2})
		rt := l.Transport(&arrivals{took: 10 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
				defer cancel()
				_ = ask(t, rt, ctx, "")
			})
		}
		wg.Wait()
		if s := l.Stats(); s.UnderWay != 0 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		if err := ask(t, rt, t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

func TestTheServersClockDecidesWhenAMinuteBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ahead = 40 * time.Second
		var at []time.Time // by the server's clock
		var mu sync.Mutex
		l := ratelimit.New(ratelimit.Policy{Rate: -1, Limits: []ratelimit.Limit{{Requests: 30, Per: time.Minute, Aligned: true}}})
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			now := time.Now().Add(ahead)
			mu.Lock()
			at = append(at, now)
			mu.Unlock()
			return answer(http.StatusOK, http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}), nil
		}))
		// The first come before anything is known of its clock, and their minute is over soon.
		time.Sleep(15 * time.Second)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _ = ask(t, rt, t.Context(), "") })
		}
		wg.Wait()
		for range 200 {
			if err := ask(t, rt, t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(time.Second))
		}
		if n := most(at, time.Minute, true); n > 30 {
			t.Errorf("%d in a minute of the server's clock", n)
		}
	})
}

func TestConcurrencyFollowsTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		slow, now, peak := time.Duration(0), 0, 0
		l := ratelimit.New(ratelimit.Policy{Rate: 1000, Start: 1000, Burst: 100, Concurrency: 12})
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			peak = max(peak, now)
			d := 50*time.Millisecond + slow
			mu.Unlock()
			time.Sleep(d)
			mu.Lock()
			now--
			mu.Unlock()
			return answer(http.StatusOK, nil), nil
		}))
		if c := l.Stats().Concurrency; c != 4 {
			t.Errorf("begins with %d at once", c)
		}
		load(t, rt, 30, 30*time.Second)
		if c := l.Stats().Concurrency; c != 12 || peak > 12 {
			t.Errorf("%d at once on a quick server, %d seen there; want 12", c, peak)
		}
		slow = 2 * time.Second
		load(t, rt, 30, 30*time.Second)
		if c := l.Stats().Concurrency; c > 6 {
			t.Errorf("%d at once on a server that has become slow", c)
		}
		slow = 0
		load(t, rt, 30, 60*time.Second)
		if c := l.Stats().Concurrency; c != 12 {
			t.Errorf("%d at once when it has recovered", c)
		}
	})
}

func TestRefusedInsideABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{})
		l.Refused(9 * time.Second)
		start := time.Now()
		if err := l.Wait(t.Context()); err != nil || time.Since(start) != 9*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if r := l.Stats().Rate; r >= ratelimit.DefaultStart {
			t.Errorf("the rate is still %v", r)
		}
	})
}

func TestQuotaHeadersAreFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// 60 requests in each minute by the clock; what exceeds it is refused, and would be counted here.
		var mu sync.Mutex
		var window time.Time
		used, refused, total := 0, 0, 0
		l := ratelimit.New(ratelimit.Policy{Rate: 50})
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if w := now.Truncate(time.Minute); !w.Equal(window) {
				window, used = w, 0
			}
			total++
			if used >= 60 {
				refused++
				return answer(http.StatusTooManyRequests, nil), nil
			}
			used++
			left := window.Add(time.Minute).Sub(now)
			h := http.Header{}
			h.Set("RateLimit-Policy", `"m";q=60;w=60`)
			h.Set("RateLimit", fmt.Sprintf(`"m";r=%d;t=%d`, 60-used, int(left/time.Second)+1))
			return answer(http.StatusOK, h), nil
		}))
		load(t, rt, 8, 10*time.Minute)
		t.Logf("%d sent, %d refused", total, refused)
		if refused > 6 {
			t.Errorf("%d of %d were refused although the server says what is left", refused, total)
		}
		if total < 500 {
			t.Errorf("only %d of 600 were sent", total)
		}
	})
}

// What little is left of a quota is spread over the time until there is more, instead of being used up at once.
func TestTheEndOfAQuotaIsSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(20 * time.Second)
		left := 11
		l := ratelimit.New(ratelimit.Policy{Rate: 100, Start: 100, Burst: 1})
		rt := l.Transport(tripFunc(func(*http.Request) (*http.Response, error) {
			left--
			return answer(http.StatusOK, headers("X-RateLimit-Limit: 1000", fmt.Sprint("X-RateLimit-Remaining: ", left), fmt.Sprint("X-RateLimit-Reset: ", time.Until(end).Seconds()))), nil
		}))
		for range 10 {
			if err := ask(t, rt, t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if before := time.Until(end); before > 5*time.Second {
			t.Errorf("the quota was used up %v before its end", before)
		}
	})
}

// closing notes that a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// A RoundTripper closes the body of a request, whatever becomes of it.
func TestABodyThatIsNotSentIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Policy{})
		l.Pause(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x.test/", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := l.Transport(&arrivals{}).RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || !body.closed {
			t.Errorf("%v, closed %t", err, body.closed)
		}
	})
}
