package fhirsync

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// alwaysCounted is the number of matches from which an answer is checked by a count on any server.
const alwaysCounted = 100

// trustAfter is how many counts of a server must have agreed with what came until a count is asked only where there is a reason.
const trustAfter = 15

// verify checks the answers of whole types against what the server says it has, and enters the signs of truncation that cannot be explained.
func (r *run) verify(ctx context.Context) error {
	type check struct {
		typ     string
		a       *answer
		closure int
	}
	var pending []check
	r.ledger.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(r.ledger.types)) {
		e := r.ledger.types[name]
		switch {
		case !e.settled:
		case e.whole != nil && (!e.checked || e.closure > e.closureSeen):
			pending = append(pending, check{name, e.whole, e.closure})
			e.checked, e.closureSeen = true, e.closure
		case e.whole == nil && e.parts > 0 && !e.checked:
			e.checked = true
			pending = append(pending, check{typ: name})
		}
	}
	r.ledger.mu.Unlock()
	// Answers are changed from here on: no state is saved meanwhile.
	r.verifying.Add(1)
	defer r.verifying.Add(-1)
	var counts []*url.URL
	for _, c := range pending {
		if c.a != nil && (c.a.counted == nil || c.closure > 0) && r.countDue(c.a, c.typ, c.closure) {
			counts = append(counts, r.countAddress(question{typ: c.typ}, c.a.form))
		}
	}
	r.prefetch(ctx, forVerification, counts)
	return each(ctx, workers, pending, func(ctx context.Context, c check) error {
		if c.a == nil {
			return r.verifyParts(ctx, c.typ)
		}
		if c.a.matches == 0 && c.closure > 0 && !c.a.again {
			// The search found nothing, and there is something: another form of the question may find it.
			c.a.again = true
			others := slices.DeleteFunc(r.forms(c.typ), func(f form) bool { return f == c.a.form })
			r.ledger.with(c.typ, func(e *typeEntry) { e.checked = false })
			q := question{typ: c.typ}
			err := r.askForms(ctx, q, others, &tally{empty: true, answer: &chainAnswer{answer: *c.a}}, true, "", func(*Page) bool { return true })
			r.ledger.with(c.typ, func(e *typeEntry) {
				if e.whole != nil {
					e.whole.again = true
				}
			})
			return err
		}
		return r.verifyType(ctx, c.typ, c.a, c.closure)
	})
}

// looksCapped tells whether the number of matches is one at which servers like to stop.
func (a *answer) looksCapped() bool {
	return a.matches > 0 && (isRound(a.matches) || a.matches == a.asked)
}

// countDue tells whether an answer is to be checked by a count: where something speaks for it, and always as long as this server's counts
// have not agreed often enough.
func (r *run) countDue(a *answer, typ string, closure int) bool {
	if is(r.server.quirks.set.Counts, false) || len(r.required(typ)) > 0 {
		return false
	}
	trusted, fails := false, false
	r.server.facts.with(func(f *facts) { trusted, fails = f.agreed >= trustAfter, f.uncounted(typ) })
	sign := a.hadTotal && a.total > a.matches || a.early || a.totals || a.lost != nil || closure > 0 || a.parted || r.last[typ] > a.matches ||
		a.inside && a.matches > 0 || a.partial || a.said > a.matches
	// A share stays on for servers that were always right, and all of it for long answers, where one request more is little, and for those
	// without a total, of which nothing else shows that they are whole.
	id := identOf(typ, r.asking)
	share := a.matches >= alwaysCounted || id[0]%recheckOneIn == 0
	return !fails && a.form.names() && (sign || a.looksCapped() || a.matches > 0 && (!trusted || share || !a.hadTotal))
}

// verifyType checks one answer, and brings in parts what it shows to be missing.
func (r *run) verifyType(ctx context.Context, typ string, a *answer, closure int) error {
	short := a.hadTotal && a.total > a.matches
	capped := a.looksCapped()
	var shownNext, longer bool
	r.server.facts.with(func(f *facts) { shownNext, longer = f.shownNext, f.longest[typ] > a.matches })
	count, ok, credited := 0, false, false
	switch {
	case a.counted != nil && closure == 0:
		count, ok, credited = *a.counted, true, true
	case r.countDue(a, typ, closure):
		count, ok = r.count(ctx, question{typ: typ}, a.form)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
	}
	if ok && count < a.matches {
		r.ledger.note(typ, "the server counts fewer than it gave")
		ok = false
	}
	if !ok && a.inside && a.matches > 0 {
		// Nothing shows that it was not cut inside of the batch: asked by itself.
		b := r.chain(ctx, question{typ: typ}, a.form, func(*Page) bool { return true }, r.strategy.Name())
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		a.inside = false
		switch {
		case b.err != nil:
			g := r.gapOf(Failed, b.err)
			g.Type = typ
			a.lost = &g
		case b.foreign == 0 && b.matches >= a.matches:
			again, parted, cut := a.again, a.parted, a.cut
			*a = b.answer
			// That the question was for a part only stays so, however it was asked.
			a.again, a.inside, a.parted, a.cut = again, false, parted, cut
		}
		return r.verifyType(ctx, typ, a, closure)
	}
	// The sign that it may have been cut at a number that looks like a cap counts for little where this server has shown longer answers.
	capSign := capped && (a.matches < 1000 && a.pages == 1 && !shownNext || a.matches >= 1000 && !longer)
	proven := a.parted && a.lost == nil && !a.early // its parts ended: that is all that can be had.
	before := a.matches
	switch {
	case a.filled:
		proven = a.provenWhole
	case ok && count > a.matches:
		var err error
		if proven, err = r.fill(ctx, typ, a, count); err != nil {
			return err
		}
	case a.partial && ok && !a.parted:
		// The count may be cut as the answer is: parts of which the server does not say that they are partial are better.
		var err error
		if proven, err = r.fill(ctx, typ, a, -1); err != nil {
			return err
		}
	case !ok && !a.parted && (a.partial || short || a.early || a.totals || a.lost != nil || closure > 0 || capSign):
		var err error
		if proven, err = r.fill(ctx, typ, a, -1); err != nil {
			return err
		}
	}
	evidence := Ended
	if a.parted {
		evidence = Partitioned
	}
	switch {
	case ok && count > a.matches:
		r.server.facts.with(func(f *facts) { f.agreed = 0 })
		evidence = None
		r.ledger.gapOnce(Gap{Type: typ, Reason: Truncated, Count: count - a.matches, Detail: truncatedText(a, count)})
	case ok:
		r.server.facts.with(func(f *facts) {
			if !credited {
				f.agreed++
			}
			longer = f.largest > count // a larger count has been seen: this one is no cap.
			f.largest = max(f.largest, count)
		})
		if (count < 1000 || !isRound(count)) || longer {
			evidence = Counted
		}
		if closure > 0 && a.matches == before {
			r.ledger.gapOnce(Gap{Type: typ, Reason: Unproven, Count: closure, Detail: "references brought what the search had not found, though it agrees with the count: the server hides some from searches"})
		}
	case a.parted && a.cut:
		evidence = None
		r.ledger.gapOnce(Gap{Type: typ, Reason: Truncated, Detail: "asked by " + r.partsOf(typ) + ", and a part did not come whole"})
	case a.parted:
		r.ledger.gapOnce(Gap{Type: typ, Reason: Unproven, Detail: "asked by " + r.partsOf(typ) + ", and nothing proves that this is the whole"})
	case proven:
	case a.lost != nil:
		evidence = None
		r.ledger.gapOnce(*a.lost)
	case short || a.early || closure > 0:
		evidence = None
		r.ledger.gapOnce(Gap{Type: typ, Reason: Truncated, Detail: truncatedText(a, -1)})
	case a.totals:
		evidence = None
		r.ledger.gapOnce(Gap{Type: typ, Reason: Truncated, Detail: "Bundle.total changed between pages, and there is no count to check by"})
	case a.said > a.matches:
		r.ledger.gapOnce(Gap{Type: typ, Reason: Unproven, Detail: "Bundle.total said " + itoa(a.said) + " and " + itoa(a.matches) + " came; totals of this server are known to be off, and there is no count to check by"})
	case capSign:
		r.ledger.gapOnce(Gap{Type: typ, Reason: Unproven, Detail: "ended at " + itoa(a.matches) + ", which looks like a cap, and there is no count to check by"})
	}
	said := count
	if !ok {
		said = a.total
	}
	if ok || a.hadTotal {
		r.ledger.with(typ, func(e *typeEntry) { e.Expected = &said })
	}
	if !ok && a.hadTotal && a.total == a.matches && evidence == Ended {
		r.server.facts.with(func(f *facts) {
			if f.totals && a.matches > 0 {
				evidence = Counted
			}
		})
	}
	if n := r.last[typ]; n > a.matches && !ok {
		r.ledger.note(typ, "fewer came than the last time ("+itoa(n)+"), and there is no count to check by")
	}
	if a.partial {
		r.ledger.gapOnce(Gap{Type: typ, Reason: Truncated, Detail: "the server says that its answer is partial"})
	}
	if a.withheld {
		r.ledger.gapOnce(Gap{Type: typ, Reason: Denied, Detail: "the server says that it holds something back"})
	}
	if r.perhapsTwice(typ, a.keys) {
		evidence = min(evidence, Ended)
		r.ledger.gapOnce(Gap{Type: typ, Reason: Unproven, Detail: "some came without an id, perhaps a second time: it cannot be known how many there are"})
	}
	r.ledger.with(typ, func(e *typeEntry) { e.Evidence, e.verified = evidence, true })
	return nil
}

// partsOf gives the parameter by which a type was asked in parts.
func (r *run) partsOf(typ string) (parts string) {
	r.ledger.with(typ, func(e *typeEntry) { parts = e.Parts })
	return parts
}

// truncatedText says why an answer looks cut; count is what the server counts, -1 if it does not.
func truncatedText(a *answer, count int) string {
	var text string
	switch {
	case count >= 0:
		text = "the server counts " + itoa(count) + ", " + itoa(a.matches) + " came"
	case a.hadTotal && a.total > a.matches:
		text = "Bundle.total says " + itoa(a.total) + ", " + itoa(a.matches) + " came"
	default:
		text = counted(a.matches, "resource") + " came, and there is a sign of more"
	}
	if a.why != "" {
		text += ": " + a.why
	}
	return text
}

// verifyParts checks a type that was asked in parts: a count of the whole may show that the parts are all.
func (r *run) verifyParts(ctx context.Context, typ string) error {
	if err := r.askVias(ctx, question{typ: typ}, nil, r.strategy.Name(), func(*Page) bool { return true }); err != nil {
		return err
	}
	parts, label := 0, ""
	var keys *keyset.Set
	r.ledger.with(typ, func(e *typeEntry) { keys, parts, label = e.partKeys, e.parts, e.Parts })
	received := r.distinct(typ, keys)
	for _, f := range r.forms(typ) {
		count, ok := r.count(ctx, question{typ: typ}, f)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if !ok || count < received || count == 0 {
			continue
		}
		r.ledger.with(typ, func(e *typeEntry) { e.Expected = &count })
		if count == received {
			r.ledger.with(typ, func(e *typeEntry) { e.Evidence = Counted })
			return nil
		}
		r.ledger.gap(Gap{Type: typ, Reason: Truncated, Count: count - received, Detail: "the server counts " + itoa(count) + ", " + itoa(received) + " came in parts"})
		return nil
	}
	r.ledger.gap(Gap{Type: typ, Reason: Unproven, Detail: "asked in " + counted(parts, "part") + " by " + label + ", and nothing proves that they are the whole"})
	return nil
}

// countAddress gives the address that counts what a question finds.
func (r *run) countAddress(q question, f form) *url.URL {
	params := r.parameters(q, f)
	params.Set("_summary", "count")
	if f.path {
		return r.server.address(params, "Patient", r.asking, q.typ)
	}
	return r.server.address(params, q.typ)
}

// countlessTypes is how many types must refuse to be counted until a server is taken not to count at all.
const countlessTypes = 3

// count asks the server how many resources a question finds; ok is false where it does not say.
func (r *run) count(ctx context.Context, q question, f form) (n int, ok bool) {
	if is(r.server.quirks.set.Counts, false) || q.whole() && len(r.required(q.typ)) > 0 {
		return 0, false // it does not count, or cannot be asked for the whole.
	}
	fails := false
	id := identOf(q.typ, r.asking)
	r.server.facts.with(func(f *facts) { fails = f.uncounted(q.typ) && id[0]%recheckOneIn != 0 })
	if fails {
		return 0, false
	}
	b := new(jsonscan.Bundle)
	address := r.countAddress(q, f)
	req := &transport.Request{Small: true, URL: address, Check: checkBundle(b)}
	if f.post || deref(r.server.quirks.set.SearchMethod) == quirks.Post {
		postSearch(req)
	}
	resp, err := r.send(ctx, "count", q.typ, forVerification, req)
	defer resp.Release()
	fail := serverError("count", q.typ, address.String(), resp, err)
	works := fail == nil && b.HasTotal && b.Total >= 0
	for i := range b.Entries {
		works = works && b.Entries[i].ResourceType == "OperationOutcome"
	}
	refused := fail != nil && fail.refusal() != refusedBadly && fail.StatusCode != http.StatusForbidden && fail.StatusCode != http.StatusUnauthorized
	r.server.facts.with(func(k *facts) {
		switch {
		case works:
			k.counts = countWorks
			delete(k.countless, q.typ)
		case fail == nil || refused:
			// One type may be an exception; several, and none that works, are the server.
			if k.countless[q.typ] = true; len(k.countless) >= countlessTypes && k.counts == countUnknown {
				k.counts = countFails
			}
		}
	})
	return b.Total, works
}
