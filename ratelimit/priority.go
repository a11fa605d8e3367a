package ratelimit

import (
	"math"
	"slices"
	"time"
)

// What is pressing is asked for one by one: the next request follows when the answer to the one before has been looked at. If whatever waits
// took the place that becomes free and the permit that has just come, it would find everything taken each time, and come late by as much. So
// one of each is kept for it.

// followUp is how long something is kept after the answer has come.
const followUp = 20 * time.Millisecond

// pressed is a request of a priority above 1 that is under way, or whose answer has come.
type pressed struct {
	ahead int
	until time.Time // another may follow; zero: it is under way
}

// reservation is what is kept: for requests of a priority of ahead and more.
type reservation struct {
	ahead int // 0: nothing
	slots int
	until time.Time // of the slots
}

// press notes that a request is let through. The caller holds mu.
func (l *Limiter) press(ahead int) {
	if ahead < 1 {
		return
	}
	// It is the one that was to follow, if there is any.
	at := -1
	for i, p := range l.pressing {
		if !p.until.IsZero() && p.ahead >= ahead && (at < 0 || p.ahead < l.pressing[at].ahead) {
			at = i
		}
	}
	if at >= 0 {
		l.pressing = slices.Delete(l.pressing, at, at+1)
	}
	if ahead > 1 {
		l.pressing = append(l.pressing, pressed{ahead: ahead})
	}
}

// follows notes that an answer has come. The caller holds mu.
func (l *Limiter) follows(ahead int, now time.Time) {
	if ahead < 2 {
		return
	}
	for i := range l.pressing {
		if p := &l.pressing[i]; p.ahead == ahead && p.until.IsZero() {
			p.until = now.Add(followUp)
			return
		}
	}
}

// reserved tells what is kept now. The caller holds mu.
func (l *Limiter) reserved(now time.Time) (r reservation) {
	l.pressing = slices.DeleteFunc(l.pressing, func(p pressed) bool { return !p.until.IsZero() && !now.Before(p.until) })
	for _, p := range l.pressing {
		r.ahead = max(r.ahead, p.ahead-1)
		if !p.until.IsZero() {
			r.slots++
			if r.until.Before(p.until) {
				r.until = p.until
			}
		}
	}
	return r
}

// kept tells how long a request of a lower priority has to wait for what is not kept; 0: not at all. The caller holds mu.
func (l *Limiter) kept(now time.Time, r reservation, slots int) (time.Duration, Reason) {
	if l.pace.most > 0 && r.slots > 0 && l.underWay+min(r.slots, slots-1) >= slots {
		return r.until.Sub(now), Concurrency
	}
	// Where no more than one permit comes at a time there is none to keep.
	if !math.IsInf(l.policy.Rate, 1) && l.pace.lim.Burst() > 1 {
		if missing := 2 - l.pace.lim.TokensAt(now); missing > 1e-6 {
			return time.Duration(missing/float64(l.pace.lim.Limit())*float64(time.Second)) + time.Microsecond, Pace
		}
	}
	return 0, ""
}
