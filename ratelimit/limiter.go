package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Limiter holds one server's requests to a [Policy]. Made by [New]; safe for concurrent use.
type Limiter struct {
	policy Policy

	mu       sync.Mutex
	pace     *pace
	declared State         // of Policy.Limits
	skew     skew          // of the server's clock
	early    map[Class]int // what was sent before it was known
	until    time.Time     // nothing is sent before
	why      Reason        // of until
	last     pauseSpan     // the pause that has ended last
	shut     time.Time     // until then nothing is sent and nobody waits
	notYet   time.Time     // what the server said when it was shut
	underWay int           // requests that hold a slot
	waiting  int           // in all flows
	flows    map[string]*flow
	virtual  float64     // how often the flow that was served last has been
	blocked  Reason      // why nothing was let through when last looked at
	timer    *time.Timer // for the next look
	leases   map[Class]*lease
	pressing []pressed // requests after whose answer another follows at once
}

type pauseSpan struct {
	from, to time.Time
	why      Reason
}

// flow is those that wait for the same sync.
type flow struct {
	served float64 // how often it was
	queues map[Class][]*waiter
	n      int
}

// waiter is one request that waits.
type waiter struct {
	flow    string
	class   Class
	ahead   int  // see WithPriority
	slot    bool // it needs a place among the requests under way
	since   time.Time
	ready   chan struct{}
	granted bool
	err     error
	wait    Wait
}

// lease is permits of a Shared that this Limiter holds for a class.
type lease struct {
	permits int
	until   time.Time
	again   time.Time // not to be asked for before
	asking  bool
	failed  int // times in a row
}

// New makes a limiter.
func New(p Policy) *Limiter {
	p = p.withDefaults()
	return &Limiter{policy: p, pace: newPace(p), flows: map[string]*flow{}, leases: map[Class]*lease{}, early: map[Class]int{}}
}

// Wait blocks until one request may be sent, or returns the context's error. It takes no place among the requests under way:
// that is [Limiter.Transport]'s part. [WithClass], [WithFlow] and [OnWait] are honoured.
func (l *Limiter) Wait(ctx context.Context) error {
	class, ok := ctx.Value(classKey{}).(Class)
	if !ok {
		class = Read
	}
	return l.acquire(ctx, class, false)
}

// Pause holds back everything that has not been sent yet for d. A shorter pause never ends a longer one.
func (l *Limiter) Pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause(time.Now(), d, Paused)
}

// Refused tells the limiter of a refusal that it could not see by itself, such as a 429 inside the answer to a batch. after is the wait
// that the server asked for; 0: none.
func (l *Limiter) Refused(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.pace.refuse(now, now)
	l.heed(now, after)
}

// Stats is a look at a limiter.
type Stats struct {
	// Rate is the present number of requests per second; +Inf: no limit.
	Rate float64
	// Concurrency is how many requests may be under way at present; negative: no limit. UnderWay is how many are.
	Concurrency, UnderWay int
	// Waiting is how many requests wait to be sent.
	Waiting int
	// Until is when a pause ends; zero if there is none.
	Until time.Time
}

// Stats gives the present state, for looking at.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Rate: float64(l.pace.lim.Limit()), Concurrency: -1, UnderWay: l.underWay, Waiting: l.waiting}
	if math.IsInf(l.policy.Rate, 1) {
		s.Rate = math.Inf(1)
	}
	if l.pace.most > 0 {
		s.Concurrency = int(l.pace.slots)
	}
	if l.until.After(time.Now()) {
		s.Until = l.until
	}
	return s
}

// pause holds back everything for d. The caller holds mu.
func (l *Limiter) pause(now time.Time, d time.Duration, why Reason) {
	until := now.Add(d)
	if !until.After(l.until) {
		return
	}
	if !l.until.After(now) {
		l.last.from = now
	}
	l.until, l.why = until, why
	l.last.to, l.last.why = until, why
	l.dispatch()
}

// heed obeys what a refusal asked for. The caller holds mu.
func (l *Limiter) heed(now time.Time, after time.Duration) {
	switch {
	case after <= 0:
	case after <= l.policy.MaxPause:
		l.pause(now, after, Paused)
		if s := l.policy.Shared; s != nil {
			// Nobody waits for it to be known: the others will see it when they ask next.
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
				defer cancel()
				_ = s.Pause(ctx, l.policy.Name, after) // whoever asks meets the same refusal from the server itself.
			}()
		}
	default:
		// What was said can be nonsense: one request finds out when MaxPause is over.
		l.shut, l.notYet = now.Add(l.policy.MaxPause), now.Add(after)
		l.turnAway()
	}
}

// turnAway ends the waiting of all. The caller holds mu.
func (l *Limiter) turnAway() {
	for name, f := range l.flows {
		for _, q := range f.queues {
			for _, w := range q {
				l.settle(w, &PauseError{Until: l.notYet})
			}
		}
		delete(l.flows, name)
	}
	l.waiting = 0
}

// settle ends the waiting of one. The caller holds mu and takes it out of its queue.
func (l *Limiter) settle(w *waiter, err error) {
	now := time.Now()
	w.granted, w.err = true, err
	if length := now.Sub(w.since); length > 0 {
		w.wait = Wait{Reason: l.reason(w, now), Length: length, Class: w.class}
	}
	close(w.ready)
}

// reason tells what most of the waiting was for.
func (l *Limiter) reason(w *waiter, now time.Time) Reason {
	from, to := l.last.from, l.last.to
	if from.Before(w.since) {
		from = w.since
	}
	if to.After(now) {
		to = now
	}
	if to.Sub(from)*2 >= now.Sub(w.since) || l.blocked == "" {
		return l.last.whyOr(Pace)
	}
	return l.blocked
}

func (p pauseSpan) whyOr(other Reason) Reason {
	if p.why == "" {
		return other
	}
	return p.why
}

// acquire waits until a request may be sent.
func (l *Limiter) acquire(ctx context.Context, class Class, slot bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, _ := ctx.Value(flowKey{}).(string) // "" for all without one.
	ahead, _ := ctx.Value(priorityKey{}).(int)
	w := &waiter{flow: name, class: class, ahead: ahead, slot: slot, since: time.Now(), ready: make(chan struct{})}
	l.mu.Lock()
	if l.shut.After(w.since) {
		err := &PauseError{Until: l.notYet}
		l.mu.Unlock()
		return err
	}
	f := l.flows[name]
	if f == nil {
		f = &flow{served: l.virtual, queues: map[Class][]*waiter{}}
		l.flows[name] = f
	}
	q := f.queues[class]
	at := len(q)
	for at > 0 && q[at-1].ahead < ahead {
		at--
	}
	f.queues[class] = slices.Insert(q, at, w)
	f.n++
	l.waiting++
	l.dispatch()
	l.mu.Unlock()

	select {
	case <-w.ready:
	case <-ctx.Done():
		l.mu.Lock()
		if !w.granted {
			l.remove(w)
			l.mu.Unlock()
			return ctx.Err()
		}
		l.mu.Unlock()
		if w.err == nil {
			l.release(w)
		}
		return ctx.Err()
	}
	if fn, ok := ctx.Value(waitKey{}).(func(Wait)); ok && w.wait.Length > 0 {
		fn(w.wait)
	}
	return w.err
}

// remove takes one that gives up out of its queue. The caller holds mu.
func (l *Limiter) remove(w *waiter) {
	f := l.flows[w.flow]
	if f == nil {
		return
	}
	q := f.queues[w.class]
	for i := range q {
		if q[i] == w {
			if i == 0 {
				q[0] = nil
				f.queues[w.class] = q[1:]
			} else {
				f.queues[w.class] = append(q[:i], q[i+1:]...)
			}
			l.left(w.flow, f)
			return
		}
	}
}

// left notes that one is out of the queues of a flow.
func (l *Limiter) left(name string, f *flow) {
	f.n--
	l.waiting--
	if f.n == 0 {
		delete(l.flows, name)
	}
}

// release gives a slot back.
func (l *Limiter) release(w *waiter) {
	if !w.slot {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	l.follows(w.ahead, time.Now())
	l.dispatch()
}

// dispatch lets through as many as may be, and looks again when the next one may. The caller holds mu.
func (l *Limiter) dispatch() {
	if l.timer != nil {
		l.timer.Stop()
	}
	for l.waiting > 0 {
		now := time.Now()
		w, wait, why := l.next(now)
		if w == nil {
			l.blocked = why
			if why == Concurrency {
				l.pace.short = true
			}
			if wait > 0 {
				l.look(wait)
			}
			return
		}
		l.grant(w, now)
	}
}

// look looks again after a while.
func (l *Limiter) look(after time.Duration) {
	if l.timer == nil {
		l.timer = time.AfterFunc(after, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dispatch()
		})
		return
	}
	l.timer.Reset(after)
}

// next finds the one to be let through; nil: there is none, and how long until it is worth looking again (0: until something else
// happens).
func (l *Limiter) next(now time.Time) (*waiter, time.Duration, Reason) {
	if wait := l.until.Sub(now); wait > 0 {
		return nil, wait, l.why
	}
	l.pace.apply(now) // a quota may have ended.
	if limit := float64(l.pace.lim.Limit()); !math.IsInf(l.policy.Rate, 1) {
		if missing := 1 - l.pace.lim.TokensAt(now); missing > 1e-6 {
			// A little more than computed: what was rounded down must not lead to a second look at once.
			wait := time.Duration(missing/limit*float64(time.Second)) + time.Microsecond
			if l.pace.quota > 0 && limit < l.pace.rate {
				return nil, wait, Quota
			}
			return nil, wait, Pace
		}
	}
	var (
		best    *waiter
		least   float64
		soonest time.Duration
		why     Reason
		checked = map[Class]time.Duration{}
	)
	slots := int(math.Max(1, l.pace.slots))
	full := l.pace.most > 0 && l.underWay >= slots
	r := l.reserved(now)
	for _, f := range l.flows {
		if best != nil && f.served > least {
			continue
		}
		for class, q := range f.queues {
			if len(q) == 0 {
				continue
			}
			w := q[0]
			if full {
				// Those that need no slot may stand behind one that does.
				w = nil
				for _, other := range q {
					if !other.slot {
						w = other
						break
					}
				}
				if w == nil {
					if why == "" {
						why = Concurrency
					}
					continue
				}
			}
			if w.ahead < r.ahead {
				if wait, reason := l.kept(now, r, slots); wait > 0 {
					why = reason
					if soonest == 0 || wait < soonest {
						soonest = wait
					}
					continue
				}
			}
			wait, known := checked[class]
			reason := Declared
			if !known {
				if n, d := l.declared.free(now, Ask{Class: class, Limits: l.policy.Limits, Permits: 1}); n <= 0 {
					wait = max(d, time.Millisecond)
				} else {
					wait = l.permit(now, class)
					reason = Others
				}
				checked[class] = wait
			}
			if wait != 0 {
				why = reason
				if wait > 0 && (soonest == 0 || wait < soonest) {
					soonest = wait
				}
				continue
			}
			if best == nil || f.served < least || w.before(best) {
				best, least = w, f.served
			}
		}
	}
	return best, soonest, why
}

// before tells whether one is let through before another of the same class or of a flow that was served as often.
func (w *waiter) before(other *waiter) bool {
	if w.flow == other.flow && w.ahead != other.ahead {
		return w.ahead > other.ahead
	}
	return w.since.Before(other.since)
}

// grant lets one through.
func (l *Limiter) grant(w *waiter, now time.Time) {
	l.pace.lim.AllowN(now, 1)
	l.declared.take(now, Ask{Class: w.class, Limits: l.policy.Limits, Permits: 1}, 1)
	if !l.skew.known && len(l.policy.Limits) > 0 {
		l.early[w.class]++
	}
	if p := l.leases[w.class]; p != nil && l.policy.Shared != nil {
		p.permits--
	}
	if w.slot {
		l.underWay++
		l.press(w.ahead)
	}
	f := l.flows[w.flow]
	f.served++
	l.virtual = math.Max(l.virtual, f.served)
	l.settle(w, nil)
	l.remove(w)
}

const (
	sharedTimeout = 10 * time.Second
	sharedRetries = 5 // in a row, until those that wait are told
	leaseTime     = 250 * time.Millisecond
)

// permit tells whether a permit of the Shared is at hand: 0 if it is; else how long to wait, or less than 0 where it is being asked for.
func (l *Limiter) permit(now time.Time, class Class) time.Duration {
	if l.policy.Shared == nil {
		return 0
	}
	p := l.leases[class]
	if p == nil {
		p = &lease{}
		l.leases[class] = p
	}
	switch {
	case p.permits > 0 && now.Before(p.until):
		return 0
	case p.asking:
		return -1
	case p.again.After(now):
		return p.again.Sub(now)
	}
	p.permits, p.asking = 0, true
	wanted := 0
	for _, f := range l.flows {
		wanted += len(f.queues[class])
	}
	limits := l.policy.Limits
	if r := l.policy.Rate; !math.IsInf(r, 1) {
		// What is less than one a second is one in so many seconds.
		n := math.Max(1, math.Floor(r))
		limits = append(slices.Clip(limits), Limit{Requests: int(n), Per: time.Duration(n / r * float64(time.Second))})
	}
	valid := leaseTime
	for _, x := range limits {
		valid = min(valid, x.Per/fineness)
	}
	// No more than will be used while they are valid.
	wanted = max(1, min(wanted, int(l.pace.rate*valid.Seconds())))
	go l.ask(class, Ask{Class: class, Limits: limits, Permits: wanted, Valid: valid})
	return -1
}

// ask asks the Shared.
func (l *Limiter) ask(class Class, a Ask) {
	ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
	defer cancel()
	before := time.Now()
	got, err := l.policy.Shared.Lease(ctx, l.policy.Name, a)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.leases[class]
	p.asking = false
	switch {
	case err != nil:
		p.failed++
		p.again = now.Add(time.Second << min(p.failed-1, 4))
		if p.failed >= sharedRetries {
			l.fail(class, fmt.Errorf("%w: %w", ErrShared, err))
		}
	case got.Permits > 0:
		p.failed, p.permits, p.until = 0, got.Permits, before.Add(got.Valid)
		if !p.until.After(now) {
			// It took longer than they are valid. To ask again at once would use up the limit for nothing.
			p.permits, p.again = 0, now.Add(got.Valid)
		}
	default:
		p.failed = 0
		p.again = now.Add(max(got.Wait, time.Millisecond))
	}
	l.dispatch()
}

// ErrShared says that the Shared of the policy does not answer. Without it nothing is sent.
var ErrShared = errors.New("ratelimit: the shared limit cannot be asked")

// fail ends the waiting of all requests of a class by an error.
func (l *Limiter) fail(class Class, err error) {
	for name, f := range l.flows {
		for len(f.queues[class]) > 0 {
			w := f.queues[class][0]
			f.queues[class] = f.queues[class][1:]
			l.settle(w, err)
			l.left(name, f)
		}
	}
}

// Tighten makes the limiter keep to terms that were not known when it was made. It lowers the rate and the number of requests under way
// where the terms ask for less than the Policy, and adds limits. Nothing is ever raised by it, and to call it again changes nothing.
func (l *Limiter) Tighten(t Terms) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limits := slices.Clone(l.policy.Limits)
	for _, x := range t.Limits {
		if x.Requests > 0 && x.Per > 0 && !slices.ContainsFunc(limits, func(y Limit) bool { return x.name() == y.name() }) {
			limits = append(limits, x)
		}
	}
	l.policy.Limits = limits
	if t.Rate > 0 && t.Rate < l.policy.Rate {
		l.policy.Rate = t.Rate
		l.pace.ceil(time.Now(), t.Rate)
	}
	if n := float64(t.Concurrency); n > 0 && (l.pace.most < 0 || n < l.pace.most) {
		l.policy.Concurrency = t.Concurrency
		l.pace.narrow(n)
	}
	l.dispatch()
}
