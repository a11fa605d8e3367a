package ratelimit

import (
	"fmt"
	"slices"
	"time"
)

// State is what is remembered about one shared limit: how many requests were allowed when. It is the whole of the arithmetic that a
// [Shared] needs, and it knows no clock: whoever keeps it says what time it is, so that one clock, that of the place where it is kept,
// decides for all. It survives JSON. The zero value is a limit of which nothing is used. Not safe for concurrent use.
type State struct {
	// Paused is until when nothing is to be sent.
	Paused time.Time `json:"paused,omitzero"`
	// Spans are what was allowed, by limit. They belong to the methods.
	Spans map[string][]Span `json:"spans,omitempty"`

	// ahead is how far the server's clock is ahead of the one by which times are given. It is for limits that are aligned to the clock.
	ahead time.Duration
}

// Span is a time in which permits could be used, in nanoseconds since 1970, and how many.
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	N    int   `json:"n"`
}

// fineness is into how many parts the time of a rolling limit is divided. Within a part, permits are taken to be used at its end.
const fineness = 20

// Ask is a question for permits.
type Ask struct {
	Class  Class
	Limits []Limit
	// Permits is how many are wanted, at least 1.
	Permits int
	// Valid is how long after the answer they may be used.
	Valid time.Duration
}

// Lease is the answer to an [Ask].
type Lease struct {
	// Permits may be used for Valid, counted from before the question was sent, so that the way there and back only makes it shorter. What
	// is not used by then is void: it was counted as used.
	Permits int
	Valid   time.Duration
	// Wait is how long to wait before asking again; it is set where Permits is 0.
	Wait time.Duration
}

// Lease takes permits: at most as many as are wanted and all the limits allow.
func (s *State) Lease(now time.Time, a Ask) Lease {
	if wait := s.Paused.Sub(now); wait > 0 {
		return Lease{Wait: wait}
	}
	n, wait := s.free(now, a)
	if n <= 0 {
		return Lease{Wait: max(wait, time.Millisecond)}
	}
	s.take(now, a, n)
	return Lease{Permits: n, Valid: a.Valid}
}

// Pause notes that nothing is to be sent for d. A shorter pause never ends a longer one.
func (s *State) Pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(s.Paused) {
		s.Paused = until
	}
}

// free tells how many permits there are, at most as many as wanted; where there are none, how long to wait.
func (s *State) free(now time.Time, a Ask) (int, time.Duration) {
	n := max(a.Permits, 1)
	var wait time.Duration
	for i := range a.Limits {
		l := &a.Limits[i]
		if !l.counts(a.Class) {
			continue
		}
		f, w := l.free(s.clock(now, l), s.Spans[l.name()], a.Valid)
		if n = min(n, f); f <= 0 {
			wait = max(wait, w)
		}
	}
	return n, wait
}

// take counts n permits as used.
func (s *State) take(now time.Time, a Ask, n int) {
	for i := range a.Limits {
		l := &a.Limits[i]
		if !l.counts(a.Class) {
			continue
		}
		if s.Spans == nil {
			s.Spans = map[string][]Span{}
		}
		name := l.name()
		s.Spans[name] = l.take(s.clock(now, l), s.Spans[name], a.Valid, n)
	}
}

// aligned tells whether spans are told apart by the clock. Short ones are not: clocks are known to half a second at best. To take them for
// any span of that length is stricter.
func (l *Limit) aligned() bool { return l.Aligned && l.Per >= fineness*time.Second }

// clock gives the time that counts for a limit. A rolling one needs a clock that never jumps, an aligned one that of the server.
func (s *State) clock(now time.Time, l *Limit) time.Time {
	if l.aligned() {
		return now.Add(s.ahead)
	}
	return now
}

func (l *Limit) counts(c Class) bool {
	return l.Requests > 0 && l.Per > 0 && (len(l.Classes) == 0 || slices.Contains(l.Classes, c))
}

func (l *Limit) name() string {
	return fmt.Sprintf("%d/%s/%t/%v", l.Requests, l.Per, l.Aligned, l.Classes)
}

// guard is how far the server's clock, or the time on the way to it, may differ without harm to an aligned limit.
func (l *Limit) guard() time.Duration { return min(time.Second, l.Per/fineness) }

// windows gives the first and the last aligned window in which a permit may be used that is taken now.
func (l *Limit) windows(now time.Time, valid time.Duration) (first, last int64) {
	per := int64(l.Per)
	t := now.UnixNano()
	return floor(t-int64(l.guard()), per), floor(t+int64(valid+l.guard()), per)
}

func floor(t, per int64) int64 {
	q := t / per
	if t%per < 0 {
		q--
	}
	return q * per
}

func (l *Limit) free(now time.Time, spans []Span, valid time.Duration) (int, time.Duration) {
	t := now.UnixNano()
	if l.aligned() {
		first, last := l.windows(now, valid)
		n, wait := l.Requests, time.Duration(0)
		for _, s := range spans {
			if s.From >= first && s.From <= last {
				if f := l.Requests - s.N; f < n {
					n = f
					// It is only certain to be another window when the guard has passed too.
					wait = time.Duration(s.From+int64(l.Per+l.guard())-t) + 1
				}
			}
		}
		return n, wait
	}
	used, wait := 0, time.Duration(0)
	for _, s := range spans {
		if until := s.To + int64(l.Per); until > t {
			if used == 0 {
				wait = time.Duration(until - t)
			}
			used += s.N
		}
	}
	return l.Requests - used, wait
}

func (l *Limit) take(now time.Time, spans []Span, valid time.Duration, n int) []Span {
	t, per := now.UnixNano(), int64(l.Per)
	if l.aligned() {
		first, last := l.windows(now, valid)
		spans = slices.DeleteFunc(spans, func(s Span) bool { return s.From < first })
		for from := first; from <= last; from += per {
			i := slices.IndexFunc(spans, func(s Span) bool { return s.From == from })
			if i < 0 {
				i = len(spans)
				spans = append(spans, Span{From: from, To: from + per})
			}
			spans[i].N += n
		}
		return spans
	}
	spans = slices.DeleteFunc(spans, func(s Span) bool { return s.To+per <= t })
	part := per / fineness
	if i := len(spans) - 1; i >= 0 && t >= spans[i].From && t < spans[i].From+part {
		spans[i].N += n
		spans[i].To = max(spans[i].To, t+int64(valid))
		return spans
	}
	return append(spans, Span{From: t, To: t + max(part, int64(valid)), N: n})
}
