package ratelimit

import (
	"context"
	"math"
	"net/http"
	"path"
	"strings"
	"time"
)

// The polite defaults of a zero [Policy].
const (
	DefaultRate        = 20 // requests per second, at most
	DefaultStart       = 5  // requests per second, to begin with
	DefaultBurst       = 10
	DefaultConcurrency = 8
	// DefaultMaxPause is the longest wait asked for by a server that is kept in process.
	DefaultMaxPause = 5 * time.Minute
)

// startSlots is how many requests may be under way at once to begin with.
const startSlots = 4

// Policy is what the caller allows towards one server. The zero value is polite: see the Default constants.
type Policy struct {
	// Rate is the highest number of requests per second. 0: [DefaultRate]; negative or +Inf: no limit, and nothing adapts, but a
	// server that says "not before" is still obeyed.
	Rate float64
	// Start is the rate to begin with, from which the limiter finds its own, up to Rate. 0: [DefaultStart], or Rate if that is lower.
	Start float64
	// Fixed keeps to Rate and Concurrency from the beginning to the end, instead of adapting to what the server bears.
	Fixed bool
	// Burst is how many requests may be sent at once after a quiet time, until the first refusal: from then on they are spread
	// evenly. 0: [DefaultBurst].
	Burst int
	// Concurrency is how many requests may be under way at once, at most, from the first byte sent to the last byte of the body read.
	// 0: [DefaultConcurrency]; negative: no limit.
	Concurrency int
	// MaxPause is the longest wait asked for by the server that holds the limiter back; a longer one is left to the caller: what would
	// be sent meanwhile fails with a [*PauseError]. 0: [DefaultMaxPause].
	MaxPause time.Duration
	// Limits are what the server declares, all of which are kept at once. They hold for what this Limiter sends; Rate holds beside.
	Limits []Limit
	// Shared, where it is not nil, makes Rate and Limits hold for all processes that use it under the same Name together.
	Shared Shared
	// Name names the limit in Shared: the base URL of the server, and the account where the server counts by account. With a Shared it
	// must not be empty.
	Name string
}

// Limit is a number of requests in a time, as servers declare it.
type Limit struct {
	// Requests may be sent in each span of length Per. 0 or less: the limit is none.
	Requests int           `json:"requests"`
	Per      time.Duration `json:"per"`
	// Aligned: the spans begin at whole multiples of Per by the clock (each full minute, in UTC); else any span of that length counts.
	Aligned bool `json:"aligned,omitempty"`
	// Classes are those whose requests count. Empty: all.
	Classes []Class `json:"classes,omitempty"`
}

// Class is a kind of request that a server may count by itself.
type Class string

// The classes.
const (
	Search Class = "search"
	Read   Class = "read"
	Export Class = "export"
	Token  Class = "token"
)

type (
	classKey    struct{}
	flowKey     struct{}
	priorityKey struct{}
	waitKey     struct{}
)

// WithClass says of which class the requests made with the context are. Without it [ClassOf] tells.
func WithClass(ctx context.Context, c Class) context.Context {
	return context.WithValue(ctx, classKey{}, c)
}

// ClassOf gives the class of a request: what [WithClass] said, else what method and path look like in FHIR.
func ClassOf(r *http.Request) Class {
	if c, ok := r.Context().Value(classKey{}).(Class); ok {
		return c
	}
	last := path.Base(r.URL.Path)
	switch {
	case strings.Contains(r.URL.Path, "$export"):
		return Export
	case strings.HasPrefix(last, "$"), last == "_search", r.URL.RawQuery != "":
		return Search
	case r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded":
		return Token
	}
	return Read
}

// WithFlow says to which flow the requests made with the context belong. Requests that wait are let through flow by flow. A sync is a flow,
// for example; requests without one make up a flow together.
func WithFlow(ctx context.Context, flow string) context.Context {
	return context.WithValue(ctx, flowKey{}, flow)
}

// WithPriority says how pressing the requests made with the context are: of those of a flow that wait, the ones with the largest n are let
// through first, and of these the one that has waited longest. Without it n is 0; it may be negative. It moves nothing between flows. A page
// behind which many others wait to be asked for, one after the other, is pressing; what can be asked at any time is not.
func WithPriority(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, priorityKey{}, n)
}

// Reason says what a request waited for. The text of a reason is stable.
type Reason string

// The reasons.
const (
	Paused      Reason = "pause"       // the server said "not before"
	Quota       Reason = "quota"       // the server said that the quota is used up
	Declared    Reason = "limit"       // one of Policy.Limits
	Pace        Reason = "rate"        // the rate that the limiter has found, or Policy.Rate
	Concurrency Reason = "concurrency" // as many requests as may be are under way
	Others      Reason = "shared"      // other processes have used up the common limit
)

// Wait is a wait that has ended.
type Wait struct {
	Reason Reason
	Length time.Duration
	Class  Class
}

// OnWait makes a limiter call fn after each wait of a request made with the context, before the request is sent. fn must not block.
func OnWait(ctx context.Context, fn func(Wait)) context.Context {
	return context.WithValue(ctx, waitKey{}, fn)
}

// PauseError says that a request was not sent, because the server has asked to be left alone for longer than Policy.MaxPause.
type PauseError struct {
	// Until is when the server said that it can be asked again.
	Until time.Time
}

// Error gives no time: it would differ from one request to the next.
func (e *PauseError) Error() string {
	return "ratelimit: the server asked for a longer pause than is waited for"
}

// withDefaults fills in what is left open.
func (p Policy) withDefaults() Policy {
	switch {
	case p.Rate == 0:
		p.Rate = DefaultRate
	case p.Rate < 0 || math.IsInf(p.Rate, 1) || math.IsNaN(p.Rate):
		p.Rate, p.Fixed = math.Inf(1), true
	}
	if p.Start <= 0 {
		p.Start = DefaultStart
	}
	p.Start = min(p.Start, p.Rate)
	if p.Fixed {
		p.Start = p.Rate
	}
	if p.Burst <= 0 {
		p.Burst = DefaultBurst
	}
	if p.Concurrency == 0 {
		p.Concurrency = DefaultConcurrency
	}
	if p.MaxPause <= 0 {
		p.MaxPause = DefaultMaxPause
	}
	var limits []Limit
	for _, l := range p.Limits {
		if l.Requests > 0 && l.Per > 0 {
			limits = append(limits, l)
		}
	}
	p.Limits = limits
	return p
}

// Terms are what is known of a server beside its Policy. They lower what the Policy allows and never raise it.
type Terms struct {
	// Rate and Concurrency are as in Policy; 0 or less: nothing is known.
	Rate        float64
	Concurrency int
	// Limits are kept beside those of the Policy.
	Limits []Limit
}
