package ratelimit

import "time"

// skew is what is known of the difference between the server's clock and ours, from the Date of its answers, which is cut to seconds.
type skew struct {
	known     bool
	low, high time.Duration
}

// see takes note of a Date that was written between two moments.
func (s *skew) see(date, sent, got time.Time) {
	low, high := date.Sub(got), date.Add(time.Second).Sub(sent)
	if s.known && low <= s.high && high >= s.low {
		s.low, s.high = max(s.low, low), min(s.high, high)
		return
	}
	s.known, s.low, s.high = true, low, high // the first one, or a clock was set.
}

// ahead is how far the server's clock is ahead of ours.
func (s *skew) ahead() time.Duration { return (s.low + s.high) / 2 }

// see takes note of a server's Date. The caller holds mu.
func (l *Limiter) see(date, sent, got time.Time) {
	first := !l.skew.known
	l.skew.see(date, sent, got)
	l.declared.ahead = l.skew.ahead()
	if !first {
		return
	}
	// What was sent so far was counted by our clock, perhaps in another minute than the server counts it in: it counts in both.
	for class, n := range l.early {
		var aligned []Limit
		for _, x := range l.policy.Limits {
			if x.aligned() {
				aligned = append(aligned, x)
			}
		}
		l.declared.take(got, Ask{Class: class, Limits: aligned}, n)
	}
	clear(l.early)
}
