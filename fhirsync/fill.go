package fhirsync

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
)

// Bounds of filling one type.
const (
	fillRequests = 600  // parts asked at most
	fillIdle     = 24   // parts in a row that bring nothing new, after which a way is given up
	fillAll      = 3000 // parts asked at most in one sync
	fillDay      = 24 * time.Hour
)

// filler brings what a search left out, by asking for the type in parts that are small enough to come whole.
type filler struct {
	r        *run
	typ      string
	form     form
	strategy string
	yield    func(*Page) bool

	keys     *keyset.Set // distinct matches of all parts, and of the whole question before
	parts    *keyset.Set // those of the parts by the parameter that is tried now
	want     int         // what the server counts; -1: it does not
	cap      int         // where the whole question ended
	budget   int
	overlap  bool     // parts by value have brought the same
	stubborn bool     // the values are known to be understood: that one is refused says nothing about the others
	lost     bool     // of a part something is known to be missing: a page was lost, it failed, or it was cut
	stopped  bool     // the strategy wants no more pages
	withheld bool     // the server said so of a part
	idle     int      // parts in a row that brought nothing new
	cut      []string // parts that were cut and could not be split further
	failed   *ServerError
	over     error // the run is over
}

// done tells whether there is nothing left to do, or nothing to be hoped for.
func (f *filler) done() bool {
	return f.over != nil || f.stopped || f.budget <= 0 || f.idle > fillIdle || f.want >= 0 && f.came() >= f.want
}

// came gives how many resources have come.
func (f *filler) came() int { return f.r.distinct(f.typ, f.keys) }

// complete tells whether as many have come as the server counts.
func (f *filler) complete() bool { return f.want >= 0 && f.came() >= f.want && f.over == nil }

// part asks for one part. ok: it was answered; whole: nothing speaks against its being the whole part.
func (f *filler) part(ctx context.Context, params url.Values) (a *chainAnswer, ok, whole bool) {
	f.budget--
	if f.r.filled.Add(1) > fillAll {
		f.budget = 0
	}
	q := question{typ: f.typ, fixed: params, label: label(params)}
	q.node = f.r.ledger.begin(&node{typ: f.typ, label: q.label})
	a = f.r.chain(ctx, q, f.form, f.yield, f.strategy)
	f.r.ledger.end(q.node, true)
	if f.r.ctx.Err() != nil {
		f.over = context.Cause(f.r.ctx)
		return a, false, false
	}
	if f.parts == nil {
		f.parts = keyset.New()
	}
	before := f.keys.Len()
	if a.foreign == 0 && !a.ignored {
		for k := range a.keys.All() {
			f.keys.Add(k)
			f.parts.Add(k)
		}
	}
	f.withheld = f.withheld || a.withheld
	f.stopped = f.stopped || a.stopped
	if a.err != nil && a.err.StatusCode == http.StatusUnauthorized && f.r.unauthorized(ctx, a.err) {
		f.over = context.Cause(f.r.ctx)
		return a, false, false
	}
	// A range that is empty and whole is progress too.
	if f.idle++; f.keys.Len() > before || a.err == nil && a.matches == 0 && !a.early {
		f.idle = 0
	}
	if a.err != nil && a.pages == 0 {
		f.failed = a.err
		f.lost = f.lost || a.err.refusal() == refusedBadly
		return a, false, false
	}
	f.lost = f.lost || a.err != nil
	if a.err != nil || a.foreign > 0 || a.ignored {
		return a, a.foreign == 0 && !a.ignored, false
	}
	suspect := a.early || a.partial || a.totals || a.hadTotal && a.total > a.matches || a.matches >= f.cap && f.cap > 0 || isRound(a.matches)
	if !suspect {
		return a, true, true
	}
	if a.partial {
		f.lost = true
		return a, true, false // smaller parts may come without the server saying so; a count may be cut like the answer.
	}
	n, counts := f.r.count(ctx, q, f.form)
	if f.r.ctx.Err() != nil {
		f.over = context.Cause(f.r.ctx)
		return a, false, false
	}
	if counts {
		f.lost = f.lost || n > a.matches
		return a, true, n <= a.matches
	}
	whole = !a.early && !a.totals && (!a.hadTotal || a.total <= a.matches) && a.matches < f.cap
	f.lost = f.lost || a.early || a.totals || a.hadTotal && a.total > a.matches
	return a, true, whole
}

// epochs are where the ranges begin that are asked for first: halving two centuries would spend its requests where nothing is.
var epochs = []int{1950, 1970, 1990, 2000, 2005, 2010, 2013, 2016, 2018, 2020, 2022, 2024, 2026, 2028}

// byDate asks for the type by ranges of a date parameter, and for what has no such date. It tells whether the parts are the whole as far
// as can be known.
func (f *filler) byDate(ctx context.Context, param string, finest time.Duration) bool {
	// A server that ignores the parameter answers every range with the same: nothing can come of that.
	probe, ok, _ := f.part(ctx, url.Values{param: {"lt" + day(1800)}})
	if !ok || probe.matches > 0 || probe.partial {
		return false // nor of one that says of every answer, even an empty one, that it is partial.
	}
	before := f.keys.Len()
	f.parts, f.idle = nil, 0
	whole := true
	years := append([]int{0}, epochs...)
	for i, from := range years {
		if f.done() {
			return whole && f.complete()
		}
		to := 0
		if i+1 < len(years) {
			to = years[i+1]
		}
		whole = f.between(ctx, param, year(from), year(to), finest) && whole
	}
	if f.done() {
		return whole && f.complete()
	}
	if f.keys.Len() == before && f.cap > 0 {
		return false // no range brought anything beyond what was known: nothing shows that ranges work.
	}
	answered, restWhole := f.remainder(ctx, param+":missing", "true")
	return answered && restWhole && whole
}

func year(y int) time.Time {
	if y == 0 {
		return time.Time{}
	}
	return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
}

func day(y int) string { return year(y).Format(time.DateOnly) }

// between asks for the dates from one time up to another, either of which may be open, and halves the range until what comes is whole.
func (f *filler) between(ctx context.Context, param string, from, to time.Time, finest time.Duration) bool {
	if f.done() {
		return f.over == nil && f.budget > 0 && f.idle <= fillIdle
	}
	layout := time.DateOnly
	if finest < fillDay {
		layout = time.RFC3339
	}
	var bounds []string
	if !from.IsZero() {
		bounds = append(bounds, "ge"+from.Format(layout))
	}
	if !to.IsZero() {
		bounds = append(bounds, "lt"+to.Format(layout))
	}
	a, ok, whole := f.part(ctx, url.Values{param: bounds})
	if whole {
		return true
	}
	if !ok && a.err != nil && a.err.refusal() == refusedGrant {
		return false
	}
	if from.IsZero() {
		from = time.Date(1850, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if to.IsZero() {
		to = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	span := to.Sub(from)
	if span <= finest || !ok && a.pages == 0 && a.err != nil && a.err.refusal() == refusedOnce {
		f.cut = append(f.cut, label(url.Values{param: bounds}))
		return false
	}
	mid := from.Add(span / 2)
	if finest >= fillDay {
		mid = mid.Truncate(fillDay)
	} else {
		mid = mid.Truncate(time.Second)
	}
	if !mid.After(from) || !mid.Before(to) {
		f.cut = append(f.cut, label(url.Values{param: bounds}))
		return false
	}
	first := f.between(ctx, param, from, mid, finest)
	return f.between(ctx, param, mid, to, finest) && first
}

// refusedFirst is how many values are tried until a parameter of which none was accepted is given up.
const refusedFirst = 3

// byValues asks for the type by each value of a parameter.
func (f *filler) byValues(ctx context.Context, param string, values []string) (answered, whole bool) {
	whole = true
	f.parts, f.idle, f.overlap, f.lost = nil, 0, false, false
	var refused []string
	for _, v := range values {
		if f.done() {
			break
		}
		had := f.parts.Len()
		a, ok, all := f.part(ctx, url.Values{param: {v}})
		if f.parts.Len()-had < a.matches {
			// Something came under two values. Where each can have one only, the server does not look at them.
			f.overlap = true
		}
		answered = answered || ok
		whole = whole && all
		if !ok && a.err != nil && a.err.refusal() == refusedOnce {
			refused = append(refused, v)
		}
		if !ok && !answered && !f.stubborn && (len(refused) >= refusedFirst || a.err == nil || a.err.refusal() != refusedOnce) {
			return false, false // the parameter is not understood: the other values are of no use.
		}
	}
	if answered {
		f.r.refuses(f.typ, param, refused)
	}
	return answered, whole
}

// refuses notes values that the server does not take.
func (r *run) refuses(typ, param string, values []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusedValues == nil {
		r.refusedValues = map[string]map[string]bool{}
	}
	known := map[string]bool{}
	for _, v := range values {
		known[v] = true
	}
	r.refusedValues[typ+" "+param] = known
}

// fill brings what the answer for a whole type left out. The answer is changed to what is known then: its matches, and whether signs of
// truncation remain. proven says that the parts are known to be the whole.
func (r *run) fill(ctx context.Context, typ string, a *answer, want int) (proven bool, err error) {
	if !a.form.names() {
		return false, nil
	}
	f := &filler{
		r: r, typ: typ, form: a.form, strategy: r.strategy.Name(), yield: func(*Page) bool { return true },
		keys: keyset.New(), want: want, cap: a.matches, budget: fillRequests,
	}
	for k := range a.keys.All() {
		f.keys.Add(k)
	}
	info, _ := r.table.Lookup(typ)
	before := f.keys.Len()
	var ways []string
	if info.Date != "" && (r.noCaps != nil || r.caps.ListsParam(typ, info.Date) || !r.listsParams(typ)) {
		ways = append(ways, info.Date)
		proven = f.byDate(ctx, info.Date, fillDay)
	}
	if !proven && !f.done() {
		// Record time: every resource that has a lastUpdated is found by it, and what is loaded at once has the same.
		f.cut = nil
		ways = append(ways, "_lastUpdated")
		proven = f.byDate(ctx, "_lastUpdated", time.Second)
	}
	for _, split := range r.splitsOf(typ) {
		if proven || f.done() {
			break
		}
		ways = append(ways, split.Param)
		answered, whole := f.byValues(ctx, split.Param, split.Codes())
		if answered && whole && !f.done() {
			// The rest is asked for also where the values are all there can be: data without an element that is required is common.
			rest := r.askRest(ctx, f, split, strings.Join(split.Codes(), ","))
			proven = rest || split.Exhaustive && !f.overlap
		}
	}
	if f.over != nil {
		return false, f.over
	}
	if n := f.came(); n > before || proven {
		r.ledger.note(typ, "the search was cut at "+itoa(before)+"; asked in parts by "+strings.Join(ways, ", ")+" it brought "+itoa(n))
	}
	a.matches, a.keys = f.came(), f.keys
	if want >= 0 && f.came() >= want {
		proven = true
	}
	a.withheld = a.withheld || f.withheld
	a.partial = a.partial && !proven
	a.filled, a.provenWhole = true, proven
	return proven, nil
}

// listsParams tells whether metadata gives a list of search parameters for the type.
func (r *run) listsParams(typ string) bool {
	t, _ := r.caps.Type(typ)
	return len(t.SearchParams) > 0
}
