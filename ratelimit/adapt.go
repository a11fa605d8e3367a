package ratelimit

import (
	"math"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// How the rate is found. The numbers were chosen by trying them against hidden limits of several kinds: see adapt_test.go.
const (
	growth     = 0.45                    // per answer: at full use the rate grows by the factor e^0.45 each second
	returning  = 0.6                     // the same, on the way back to just under a refused rate, which takes little more than a second
	settling   = 1100 * time.Millisecond // after a refusal, others can come of what was sent before it
	under      = 0.98                    // of the refused rate is just under it
	step       = 0.94                    // what is left of the refused rate when it is refused again soon
	soon       = 15 * time.Second
	probe      = 0.06 // above the refused rate is looked at rarely; twice as far each time that it is borne
	probeMost  = 0.5
	doubted    = 0.8 // of the rate, at least, is taken to be the refused one, however few answers have come
	probeTime  = 8 * time.Second
	probeFirst = 45 * time.Second // after the last refusal
	probeLast  = 10 * time.Minute
	inUse      = 0.6 // of the rate must be used before an answer says anything about it

	slowest = 0.05 // requests per second: no number of refusals makes it less
)

// pace finds the rate and the number of requests under way that a server bears. It is guarded by Limiter.mu.
type pace struct {
	fixed   bool
	lim     *rate.Limiter
	ceiling float64
	rate    float64
	burst   int

	refused float64       // a rate that was refused; 0: none was
	cutAt   time.Time     // the last refusal that counted
	probing time.Time     // since when the rate is above the refused one; zero: it is not
	before  float64       // refused, before it was probed
	probeAt time.Time     // when to probe next
	probeIn time.Duration // after the next failed probe
	further float64       // above the refused rate the next probe goes
	answers meter         // those that were no refusals

	quota      float64   // a rate that the server's quota allows; 0: none is known
	quotaUntil time.Time // how long it holds

	slots, most float64 // requests under way; most < 0: no limit
	short       bool    // requests have waited for a slot since the last answer
	times       map[Class]*timing
	narrowedAt  time.Time
}

func newPace(p Policy) *pace {
	a := &pace{
		fixed: p.Fixed, ceiling: p.Rate, rate: p.Start, burst: p.Burst, probeIn: probeFirst, further: probe, times: map[Class]*timing{},
		most: float64(p.Concurrency), slots: math.Min(startSlots, float64(p.Concurrency)),
	}
	if p.Fixed {
		a.slots = a.most
	}
	a.lim = rate.NewLimiter(rate.Limit(a.rate), a.burst)
	if math.IsInf(a.rate, 1) {
		a.lim = rate.NewLimiter(rate.Inf, 0)
	}
	return a
}

// apply puts the rate into force.
func (a *pace) apply(now time.Time) {
	r := a.rate
	if a.quota > 0 && now.Before(a.quotaUntil) {
		r = math.Min(r, a.quota)
	} else {
		a.quota = 0
	}
	if a.lim.Limit() != rate.Limit(r) {
		a.lim.SetLimitAt(now, rate.Limit(r))
	}
	if burst := a.burstNow(r); a.lim.Burst() != burst {
		a.lim.SetBurstAt(now, burst)
	}
}

// burstNow is the burst: the caller's until the first refusal, then only as much as makes up for timers that come late.
func (a *pace) burstNow(r float64) int {
	if math.IsInf(r, 1) {
		return 0
	}
	if a.cutAt.IsZero() {
		return a.burst
	}
	return max(1, min(a.burst, int(r/50)))
}

// limit is the rate that may be gone up to.
func (a *pace) limit() float64 {
	if a.refused > 0 {
		return math.Min(a.ceiling, math.Max(slowest, a.refused*under))
	}
	return a.ceiling
}

// used tells how many answers came lately, per second, and whether that is as many as the rate allows, or nearly.
func (a *pace) used(now time.Time) (float64, bool) {
	got := a.answers.rate(now, time.Duration(math.Min(30, math.Max(1, 10/a.rate))*float64(time.Second)))
	return got, got >= inUse*a.rate
}

// content takes note of an answer that is no refusal.
func (a *pace) content(now time.Time, class Class, took time.Duration) {
	a.answers.add(now)
	if a.fixed {
		return
	}
	strained := a.latency(now, class, took)
	if a.most > 0 {
		a.widen(now, strained, took)
	}
	if strained {
		return
	}
	if _, busy := a.used(now); !busy {
		return // nobody asks for more, or the slots hold it back: nothing is learned about the rate.
	}
	top := a.limit()
	switch {
	case a.rate < top && a.refused == 0:
		a.rate = math.Min(top, a.rate+growth)
	case a.rate < top:
		a.rate = math.Min(top, a.rate+returning)
	case a.refused == 0 || top >= a.ceiling:
	case !a.probing.IsZero() && now.Sub(a.probing) > probeTime:
		// It was borne: the limit has risen, or was guessed too low. Go on.
		a.probing, a.probeAt, a.probeIn = time.Time{}, now.Add(probeTime/4), probeFirst
		a.further = math.Min(probeMost, 2*a.further)
	case a.probing.IsZero() && now.After(a.probeAt):
		a.probing, a.before = now, a.refused
		a.refused *= 1 + a.further
	}
	a.apply(now)
}

// refuse takes note of a refusal of a request that was sent then.
func (a *pace) refuse(now, sent time.Time) {
	if a.fixed || !sent.After(a.cutAt) {
		return // one of many that were under way when the rate was cut: it says nothing new.
	}
	if a.most > 0 {
		a.slots = math.Max(1, a.slots/2)
	}
	got, busy := a.used(now)
	switch {
	case !a.probing.IsZero():
		a.probing, a.refused = time.Time{}, a.before
		a.probeIn = min(2*a.probeIn, probeLast)
	case a.cutAt.IsZero() && now.Sub(a.answers.first).Seconds()*a.rate < 2*float64(a.burst):
		// The burst was too much. That says nothing about the rate, and there will be no burst any more.
	case busy && (now.Sub(a.cutAt) > settling || a.rate >= 0.95*a.limit()):
		refused := math.Min(a.rate, math.Max(got, doubted*a.rate))
		if a.refused > 0 && now.Sub(a.cutAt) < soon {
			refused = math.Min(refused, a.refused*step)
		}
		a.refused = math.Max(refused, slowest)
	}
	// A refusal of requests that come one by one says nothing about the rate; it is cut all the same, and returns.
	a.cutAt, a.probeAt, a.further = now, now.Add(a.probeIn), probe
	a.rate = math.Max(slowest, math.Min(a.rate, math.Max(a.limit(), slowest))/2)
	a.apply(now)
}

// timing is how long answers of a class take until they begin, in seconds.
type timing struct {
	usual, lately float64
	at            time.Time
}

// latency notes how long an answer took to begin and tells whether the server is slower than it was by far.
func (a *pace) latency(now time.Time, class Class, took time.Duration) bool {
	const patience = 10 * time.Minute // until slow is usual
	s := took.Seconds()
	t := a.times[class]
	if t == nil {
		t = &timing{s, s, now}
		a.times[class] = t
	}
	passed := now.Sub(t.at)
	t.at = now
	t.lately += 0.15 * (s - t.lately)
	// What is usual follows quickly downwards and slowly upwards, so that a server that is always slow is not held to one good moment.
	if s < t.usual {
		t.usual += 0.2 * (s - t.usual)
	} else {
		t.usual += (1 - math.Exp(-passed.Seconds()/patience.Seconds())) * (s - t.usual)
	}
	return t.lately > 3*t.usual+0.25
}

// widen lets one more request be under way where they wait for it, and one fewer where the server has become slow.
func (a *pace) widen(now time.Time, strained bool, took time.Duration) {
	switch {
	case strained:
		if pause := max(time.Second, took); now.Sub(a.narrowedAt) > pause && a.slots > 1 {
			a.narrowedAt = now
			a.slots = math.Max(1, a.slots-1)
		}
	case a.short:
		a.slots = math.Min(a.most, a.slots+0.5/a.slots)
	}
	a.short = false
}

// follow takes note of a quota.
func (a *pace) follow(now time.Time, q *QuotaState, underWay int) {
	const spread = time.Minute // a quota of a day is not divided by its seconds: it is used up, and then waited for.
	if q.Remaining <= 0 || q.Reset <= 0 || q.Reset > spread {
		return
	}
	left := math.Max(1, float64(q.Remaining)-float64(underWay))
	if q.Limit > 0 && q.Remaining*4 > q.Limit || left > a.rate*q.Reset.Seconds() {
		return // enough is left.
	}
	a.quota, a.quotaUntil = math.Max(slowest, left/q.Reset.Seconds()), now.Add(q.Reset)
	a.apply(now)
}

// meter counts events of the last time.
type meter struct {
	at    [1024]time.Time
	n     int // events so far
	first time.Time
}

func (m *meter) add(now time.Time) {
	if m.n == 0 {
		m.first = now
	}
	m.at[m.n%len(m.at)] = now
	m.n++
}

// rate gives the events per second in the span before now.
func (m *meter) rate(now time.Time, span time.Duration) float64 {
	if m.n == 0 {
		return 0
	}
	span = max(min(span, now.Sub(m.first)), time.Second/2)
	n := 0
	for ; n < min(m.n, len(m.at)); n++ {
		if at := m.at[(m.n-1-n)%len(m.at)]; now.Sub(at) > span {
			return float64(n) / span.Seconds()
		}
	}
	if n == len(m.at) { // more events than are remembered.
		span = max(now.Sub(m.at[m.n%len(m.at)]), time.Millisecond)
	}
	return float64(n) / span.Seconds()
}

// isRefusal tells whether a status says that requests come too fast.
func isRefusal(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// ceil lowers the highest rate.
func (a *pace) ceil(now time.Time, r float64) {
	a.ceiling = r
	a.rate = math.Min(a.rate, r)
	a.apply(now)
}

// narrow lowers the highest number of requests under way.
func (a *pace) narrow(n float64) {
	if a.most < 0 {
		a.slots = n
	}
	a.most = n
	a.slots = math.Min(a.slots, n)
}
