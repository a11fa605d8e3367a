package fhirsync

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// ask asks a question in one form after the other until one is answered, and settles what it was asked for. yield gets the pages; it
// gives false to stop. The error means that the run is over.
func (r *run) ask(ctx context.Context, q question, strategy string, yield func(*Page) bool) error {
	if q.whole() {
		if r.wasSettled(q.typ) {
			return nil
		}
		if way := r.reach(q.typ); way != quirks.BySearch {
			r.notSearched(q.typ, way)
			return nil
		}
		absent := false
		r.server.facts.with(func(f *facts) { absent = f.absent[q.typ] && !r.claims0(q.typ) })
		if id := identOf(q.typ, r.asking); id[0]%recheckOneIn == 0 {
			absent = false // a share is asked all the same, so that it is noticed when the server gets the type.
		}
		if absent {
			r.ledger.fail(q.typ, Gap{Reason: Unsupported, Detail: "the server does not have the type"})
			return nil
		}
	}
	defer r.beside.enter()()
	now := !r.asked.Swap(true) || !q.whole()
	if q.whole() {
		if done, err := r.askAsLearned(ctx, q, strategy, yield); done || err != nil {
			return err
		}
	}
	return r.askForms(ctx, q, r.forms(q.typ), &tally{}, now, strategy, yield)
}

// recheckOneIn is the share of patients for whom something learned is asked all the same.
const recheckOneIn = 8

// claims0 is claims for callers that hold the facts.
func (r *run) claims0(typ string) bool {
	_, listed := r.caps.Type(typ)
	return listed
}

// tally is what the forms of one question came to, as long as none was answered in a way that settles it.
type tally struct {
	refused, denied, failed, once *ServerError
	foreign                       int          // resources of other patients
	unusual                       bool         // the unusual forms were tried
	there                         bool         // the server has shown that it knows the type
	answer                        *chainAnswer // an empty one
	empty                         bool         // an answer that was empty, by a form of which it is not known whether it is understood
	branch                        *branch      // the questions by other parameters; nil: they are not asked beside
}

// found keeps an empty answer: of several the one that says most.
func (t *tally) found(a *chainAnswer) {
	t.empty = true
	if t.answer == nil || a.total > 0 || a.partial || a.withheld || a.early {
		t.answer = a
	}
}

// nothing is the answer of a question of which every form found nothing.
func (t *tally) nothing() *chainAnswer {
	if t.answer != nil {
		return t.answer
	}
	return &chainAnswer{answer: answer{total: -1}}
}

// askForms asks in one form after the other. now: an empty answer that cannot be believed yet is not put off.
func (r *run) askForms(ctx context.Context, q question, forms []form, t *tally, now bool, strategy string, yield func(*Page) bool) error {
	if t.branch == nil && q.whole() && len(r.vias(q.typ)) > 0 {
		t.branch = r.beside.newBranch(func(yield func(*Page) bool, lazy bool) error { return r.askByVias(ctx, q, lazy, strategy, yield) })
	}
	err := r.tryForms(ctx, q, forms, t, now, strategy, yield)
	if failed := t.branch.drop(); err == nil {
		err = failed
	}
	return err
}

func (r *run) tryForms(ctx context.Context, q question, forms []form, t *tally, now bool, strategy string, yield func(*Page) bool) error {
	claimed := r.claims(q.typ)
forms:
	for i, f := range forms {
		a := r.chainBeside(ctx, q, f, t.branch, yield, strategy)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		switch {
		case a.stopped:
			r.leftInTheMiddle(q)
			return ctx.Err()
		case a.err == nil && a.foreign > 0:
			t.foreign += a.foreign
			if r.dirty() {
				break forms
			}
		case a.err == nil && a.ignored:
			// The question was for everybody's, and brought nobody else's: it has brought all there is. It says nothing about the form.
			r.answeredBy(ctx, q, f, a)
			return r.askVias(ctx, q, t, strategy, yield)
		case a.err == nil && a.split && a.matches == 0:
			// Asked in parts when it is verified.
			r.answeredBy(ctx, q, f, a)
			return r.askVias(ctx, q, t, strategy, yield)
		case a.err == nil && a.matches > 0:
			r.worked(q.typ, f, q.via != "")
			r.answeredBy(ctx, q, f, a)
			return r.askVias(ctx, q, t, strategy, yield)
		case a.err == nil && r.understood(q.typ, f, a.selfHas):
			return r.foundNothing(ctx, q, f, a, t, strategy, yield)
		case a.err == nil:
			t.found(a)
			if !claimed && r.noCaps == nil {
				if i > 0 || f.param == "patient" {
					break forms // a type that is not claimed is asked in one form, or in two where the first is less usual.
				}
				continue
			}
			if !now {
				// Other questions may show what the server understands: this one is looked at again at the end.
				r.putOff(doubt{q: q, form: f, a: a})
				return nil
			}
		case a.pages > 0:
			if a.err.StatusCode == http.StatusUnauthorized && r.unauthorized(ctx, a.err) {
				return context.Cause(r.ctx)
			}
			r.brokeOff(q, a)
			return r.askVias(ctx, q, t, strategy, yield)
		default:
			stop, err := r.refusedForm(ctx, t, q, f, a.err)
			if err != nil {
				return err
			}
			if stop {
				break forms
			}
		}
	}
	return r.conclude(ctx, q, claimed, t, strategy, yield)
}

// foundNothing settles a question that found nothing and was understood. For a whole type one more look by another parameter may be due.
func (r *run) foundNothing(ctx context.Context, q question, f form, a *chainAnswer, t *tally, strategy string, yield func(*Page) bool) error {
	r.leanOn(q, f, a)
	if other, ok := r.otherParam(q.typ, f); ok && q.whole() && a.total <= 0 {
		b := r.chain(ctx, q, other, yield, strategy)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if b.stopped {
			r.leftInTheMiddle(q)
			return ctx.Err()
		}
		if b.err == nil && b.foreign == 0 && b.matches > 0 {
			r.worked(q.typ, other, q.via != "")
			f, a = other, b
		}
	}
	r.answeredBy(ctx, q, f, a)
	return r.askVias(ctx, q, t, strategy, yield)
}

// neverFound notes that no form of any question has brought anything: it is not known then that the server understands any.
func (r *run) neverFound(q question) {
	if q.whole() && !r.server.facts.anyStyle() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.unsure = append(r.unsure, q.typ)
	}
}

// viaForms gives the forms of a parameter under which the patient is no subject. Such parameters can name other things than patients, so
// the type comes first; that "patient=ID" works here says nothing about them. Seen with Medplum's router 4.5.2: performer=ID finds nothing.
func (r *run) viaForms(param string) []form {
	return []form{{param: param, typed: true}, {param: param}}
}

// dirty tells whether this server mixes others in whatever the form is, so that further forms are of no use.
func (r *run) dirty() bool {
	dirty := false
	r.server.facts.with(func(f *facts) { dirty = f.dirty >= 3 })
	return dirty
}

// refusedForm sorts the refusal of one form. stop says that the other forms need not be tried.
func (r *run) refusedForm(ctx context.Context, t *tally, q question, f form, e *ServerError) (stop bool, err error) {
	switch e.refusal() {
	case refusedOnce:
		t.once = e
		r.server.facts.forget(q.typ, f)
		// That a parameter is missing tells that the type is there.
		t.there = t.there || anyCode(errorIssues(e.Issues), []string{"required"})
		return !r.claims(q.typ) && r.noCaps == nil && !t.there, nil
	case refusedType:
		if e.StatusCode == http.StatusNotFound && e.class == "" && r.saysNothing(ctx, e.StatusCode) && (r.claims(q.typ) || r.noCaps != nil) {
			// This is how the server says that there is nothing (LibreHealth EHR answers 404 then).
			t.empty = true
			return r.understood(q.typ, f, false), nil //nolint:nilerr // e is what the server answered, and it goes into the tally.
		}
		t.refused = e
		return true, nil
	case refusedGrant:
		if e.StatusCode == http.StatusUnauthorized && r.unauthorized(ctx, e) {
			return true, context.Cause(r.ctx)
		}
		t.denied = e
		return true, nil
	case refusedBadly:
		t.failed = e
		return true, nil
	}
	return true, nil
}

// conclude ends a question that no form has answered.
func (r *run) conclude(ctx context.Context, q question, claimed bool, t *tally, strategy string, yield func(*Page) bool) error {
	switch {
	case t.foreign > 0:
		r.server.facts.with(func(f *facts) { f.dirty++ })
		r.endBadly(q, Gap{Reason: Foreign, Count: t.foreign, Detail: "answered with resources of other patients, in every form of the question; none of them was stored"})
		return nil
	case t.failed != nil:
		if !claimed && r.noCaps == nil && t.failed.StatusCode >= 500 {
			r.endBadly(q, r.gapOf(Unsupported, t.failed))
			return nil
		}
		reason := Failed
		if isTooLarge(t.failed.Err) {
			reason = Limited
		}
		r.endBadly(q, r.gapOf(reason, t.failed))
		return nil
	case t.empty && !t.there && t.denied == nil && t.refused == nil && (claimed || r.noCaps != nil || q.node != nil):
		// Every form was tried, and none found anything: there is nothing.
		a := t.nothing()
		r.answeredBy(ctx, q, a.form, a)
		r.neverFound(q)
		return r.askVias(ctx, q, t, strategy, yield)
	case t.empty && !t.there && t.denied == nil && t.refused == nil:
		r.endBadly(q, Gap{Reason: Unsupported, Detail: "not claimed, and an empty answer proves nothing"})
		return nil
	case t.denied != nil:
		if r.noCaps != nil && !claimed && r.sameForMadeUp(ctx, t.denied.StatusCode) || r.noCaps == nil && !claimed {
			r.endBadly(q, r.gapOf(Unsupported, t.denied))
			return nil
		}
		r.endBadly(q, r.gapOf(Denied, t.denied))
		return nil
	case t.refused != nil:
		r.refusedDefinitely(q, claimed, t.refused)
		return nil //nolint:nilerr // the refusal is in the ledger now.
	case t.once != nil:
		unusual := q.whole() && !t.unusual && (claimed || t.there || r.noCaps != nil) && !r.refusesAll()
		if unusual {
			if done, err := r.fanOut(ctx, q, t.once, strategy, yield); done || err != nil {
				return err
			}
		}
		if unusual {
			// Every usual form was refused, and so were the parts: by POST, or by compartment.
			t.unusual = true
			unusual := []form{{path: true}}
			if deref(r.server.quirks.set.SearchMethod) == "" {
				usual := r.forms(q.typ)[0]
				usual.post = true
				unusual = append([]form{usual}, unusual...)
			}
			return r.askForms(ctx, q, unusual, t, true, strategy, yield)
		}
		if !claimed && !t.there && (r.noCaps == nil || r.sameForMadeUp(ctx, t.once.StatusCode)) {
			r.remember(q.typ)
			r.endBadly(q, r.gapOf(Unsupported, t.once))
			return nil
		}
		r.endBadly(q, r.gapOf(Failed, t.once))
		return nil
	}
	r.endBadly(q, Gap{Reason: Failed, Detail: "no form of the question was answered"})
	return nil
}

// unheardAfter is how many types a server must refuse in every usual form, having answered nothing at all, until no other forms are tried.
const unheardAfter = 3

// refusesAll tells whether the server refuses whatever it is asked, as one does that wants something with each request (athenahealth wants
// the practice): other forms of a question are of no use then. It is told of one more type that was refused.
func (r *run) refusesAll() bool {
	return r.unheard.Add(1) > unheardAfter && !r.heard.Load()
}

// remember notes a type that the server does not claim and has refused.
func (r *run) remember(typ string) { r.server.facts.with(func(f *facts) { f.absent[typ] = true }) }

// falseClaims is how many patients must get the same refusal until a claim is taken for false.
const falseClaims = 3

// refusedDefinitely ends a question by 404, 405, 501 or an outcome that says as much.
func (r *run) refusedDefinitely(q question, claimed bool, e *ServerError) {
	if q.via != "" {
		r.endBadly(q, r.gapOf(Unproven, e))
		return
	}
	if !claimed {
		r.remember(q.typ)
		r.endBadly(q, r.gapOf(Unsupported, e))
		return
	}
	patients := 0
	r.server.facts.with(func(f *facts) {
		if f.refusals[q.typ] == nil {
			f.refusals[q.typ] = map[ident]bool{}
		}
		if len(f.refusals[q.typ]) < falseClaims {
			f.refusals[q.typ][identOf("Patient", r.asking)] = true
		}
		patients = len(f.refusals[q.typ])
	})
	if patients >= falseClaims {
		g := r.gapOf(Unsupported, e)
		g.Detail += ", as for other patients although metadata claims the type"
		r.endBadly(q, g)
		return
	}
	r.endBadly(q, r.gapOf(Refused, e))
}

// manyMatches is from how many on the keys of an answer that is whole are not kept.
const manyMatches = 10_000

// answeredBy settles a question by an answer.
func (r *run) answeredBy(ctx context.Context, q question, f form, a *chainAnswer) {
	a.question, a.form = q, f
	switch {
	case q.node != nil:
		r.partSigns(ctx, q, &a.answer)
		if q.node.isPart {
			r.ledger.with(q.typ, func(e *typeEntry) {
				if e.partKeys == nil {
					e.partKeys = keyset.New()
				}
				for k := range a.keys.All() {
					e.partKeys.Add(k)
				}
			})
		}
		r.ledger.end(q.node, true)
	case q.via != "":
		r.partSigns(ctx, q, &a.answer)
	case len(r.required(q.typ)) > 0:
		// What was asked with further parameters is a part of the whole, and nothing shows how large that is.
		a.parted = true
		r.ledger.with(q.typ, func(e *typeEntry) { e.Parts = r.requiredNames(q.typ) })
		r.ledger.settle(q.typ, Partitioned, &a.answer)
	default:
		if a.hadTotal && a.total == a.matches && a.matches >= manyMatches {
			a.keys = nil // they are of use only where something is missing.
		}
		r.ledger.settle(q.typ, Ended, &a.answer)
	}
}

// partSigns looks for signs of truncation in an answer that is not for a whole type.
func (r *run) partSigns(ctx context.Context, q question, a *answer) {
	if a.total > a.matches || a.early || a.totals {
		if n, ok := r.count(ctx, q, a.form); !ok || n > a.matches {
			if !ok {
				n = -1
			}
			r.ledger.gap(Gap{Type: q.typ, Reason: Truncated, Detail: q.label + ": " + truncatedText(a, n)})
			return
		}
	}
	if a.partial {
		r.ledger.gap(Gap{Type: q.typ, Reason: Truncated, Detail: q.label + ": the server says that the answer is partial"})
	}
	if a.withheld {
		r.ledger.gap(Gap{Type: q.typ, Reason: Denied, Detail: q.label + ": the server says that it holds something back"})
	}
}

// endBadly ends a question by a gap.
func (r *run) endBadly(q question, g Gap) {
	if q.via != "" {
		// The type itself was answered: nothing is known to be lost.
		if g.Reason == Unsupported || !r.caps.ListsParam(q.typ, q.via) && g.Reason != Failed && g.Reason != Limited {
			return // nobody said that it could be asked like this.
		}
		g.Detail = "asked by " + q.via + ": " + g.Detail
		refused := g.StatusCode == http.StatusBadRequest || g.StatusCode == http.StatusUnprocessableEntity
		if g.Reason == Foreign || g.Reason == Refused || g.Reason == Denied || refused {
			g.Reason = Unproven
		}
		g.Type = q.typ
		r.ledger.gap(g)
		return
	}
	if q.node != nil {
		if q.further && (g.Reason == Refused || g.Reason == Unsupported || g.StatusCode >= 400 && g.StatusCode < 500) {
			g.Reason = Unproven // what was to be found by it may have come with the whole.
		}
		g.Type = q.typ
		g.Detail = q.label + ": " + g.Detail
		r.ledger.gap(g)
		r.ledger.end(q.node, false)
		return
	}
	if g.Reason == Failed && r.putOffFailure(q, g) {
		return
	}
	r.ledger.fail(q.typ, g)
}

// putOffFailure keeps a question that failed for one more try at the end of the run, when the server has had time to recover.
func (r *run) putOffFailure(q question, g Gap) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lastPass || g.StatusCode >= 400 && g.StatusCode < 500 && g.StatusCode != http.StatusRequestTimeout && g.StatusCode != http.StatusTooManyRequests {
		return false
	}
	r.failures = append(r.failures, q)
	return true
}

// tryAgain asks once more what failed.
func (r *run) tryAgain(ctx context.Context) error {
	r.mu.Lock()
	again := r.failures
	r.failures, r.lastPass = nil, true
	r.mu.Unlock()
	return each(ctx, workers, again, func(ctx context.Context, q question) error {
		r.ledger.note(q.typ, "failed, and was tried once more at the end")
		return r.ask(ctx, q, r.strategy.Name(), func(*Page) bool { return true })
	})
}

// brokeOff ends a question whose pages could not be read to their end.
func (r *run) brokeOff(q question, a *chainAnswer) {
	if q.whole() {
		r.worked(q.typ, a.form, q.via != "")
	}
	g := r.gapOf(Failed, a.err)
	g.Type = q.typ
	if a.err.Err != nil && isTooLarge(a.err.Err) {
		g.Reason = Limited
	}
	g.Detail = "page " + itoa(a.pages+1) + " was lost after " + counted(a.matches, "resource") + ": " + a.err.reason()
	if !q.whole() || a.matches == 0 {
		r.endBadly(q, g)
		return
	}
	// What is behind the lost page may come in parts: see verify.
	a.question, a.lost, a.why = q, &g, g.Detail
	r.ledger.settle(q.typ, None, &a.answer)
}

// leftInTheMiddle ends a question whose pages a strategy did not want to the end.
func (r *run) leftInTheMiddle(q question) {
	g := Gap{Reason: Unasked, Detail: "the strategy left its pages before the end"}
	if q.via != "" {
		g.Type = q.typ
		r.ledger.gap(g)
		return
	}
	r.endBadly(q, g)
}

// askVias asks for what is the patient's though not by its subject, unless that goes on already: then it is waited for. The type is
// answered to its end with that.
func (r *run) askVias(ctx context.Context, q question, t *tally, strategy string, yield func(*Page) bool) (err error) {
	if !q.whole() {
		return nil
	}
	if t != nil && t.branch != nil {
		err = t.branch.join(yield)
	} else {
		err = r.askByVias(ctx, q, false, strategy, yield)
	}
	if err != nil {
		return err
	}
	if err := r.askFurther(ctx, q.typ, strategy, yield); err != nil {
		return err
	}
	r.mu.Lock()
	r.answeredAll[q.typ] = true
	r.mu.Unlock()
	r.checkpoint()
	return nil
}

// askByVias asks by each parameter under which the patient is no subject. lazy: see question.
func (r *run) askByVias(ctx context.Context, q question, lazy bool, strategy string, yield func(*Page) bool) error {
	// Where the server wants a parameter, the question is asked for all values that are known, and for the rest.
	extra := []url.Values{nil}
	if param, all := r.splitParam(q.typ); param != "" {
		extra = []url.Values{{param: {all}}, {param + ":not": {all}}}
	}
	for _, via := range r.vias(q.typ) {
		for _, fixed := range extra {
			n := r.ledger.begin(&node{typ: q.typ, label: via})
			v := question{typ: q.typ, via: via, label: via, fixed: fixed, lazy: lazy}
			err := r.askForms(ctx, v, r.viaForms(via), &tally{}, true, strategy, yield)
			r.ledger.end(n, true)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// askFurther asks the questions beside that for the whole type which quirks add, because the server leaves something out of the answer to it.
func (r *run) askFurther(ctx context.Context, typ, strategy string, yield func(*Page) bool) error {
	for _, fixed := range r.furtherOf(typ) {
		x := question{typ: typ, fixed: fixed, label: label(fixed), further: true}
		x.node = r.ledger.begin(&node{typ: typ, label: x.label})
		if err := r.askForms(ctx, x, r.forms(typ), &tally{}, true, strategy, yield); err != nil {
			return err
		}
	}
	return nil
}

// splitParam gives the parameter that questions for the type must have on this server, and all values that are known, without those that
// it has refused; "" where there is none.
func (r *run) splitParam(typ string) (param, all string) {
	param = r.knownSplit(typ)
	for _, split := range r.splitsOf(typ) {
		if split.Param == param {
			codes := split.Codes()
			r.mu.Lock()
			refused := r.refusedValues[typ+" "+param]
			r.mu.Unlock()
			return param, strings.Join(slices.DeleteFunc(codes, func(code string) bool { return refused[code] }), ",")
		}
	}
	return "", ""
}

// impossibleID is a logical id that no resource has.
const impossibleID = "fhirsync-0-none"

// probeParam is a search parameter that no server knows.
const probeParam = "fhirsync-probe"
