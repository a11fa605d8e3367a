package fhirsync

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
)

// fanOut asks for a type in parts, because the server refused to answer for the whole: it wants a category, status, intent or the like
// (US Core lets servers demand a status; Epic demands a category for Observation: code 59108). done says that the type was answered, or
// ended in a gap of its own.
func (r *run) fanOut(ctx context.Context, q question, refused *ServerError, strategy string, yield func(*Page) bool) (done bool, err error) {
	splits := r.splitsOf(q.typ)
	// What the refusal names comes first.
	var words strings.Builder
	for _, is := range refused.Issues {
		words.WriteString(" " + strings.ToLower(is.Diagnostics))
	}
	text := words.String()
	slices.SortStableFunc(splits, func(a, b compartment.Split) int {
		return cmp.Compare(rank(strings.Contains(text, strings.ToLower(b.Param))), rank(strings.Contains(text, strings.ToLower(a.Param))))
	})
	forms := r.forms(q.typ)
	if len(forms) > 2 {
		forms = forms[:2] // the best parameter, in both forms.
	}
	for _, split := range splits {
		for _, f := range forms {
			answered, err := r.askSplit(ctx, q, f, split, strategy, yield)
			if err != nil || answered {
				return answered, err
			}
		}
	}
	return false, nil
}

// askAsLearned asks for a type in parts at once, where the server has refused the whole of it before. If the parts are refused too, that is
// learned no longer.
func (r *run) askAsLearned(ctx context.Context, q question, strategy string, yield func(*Page) bool) (done bool, err error) {
	param := r.knownSplit(q.typ)
	if param == "" {
		return false, nil
	}
	for _, split := range r.splitsOf(q.typ) {
		if split.Param != param {
			continue
		}
		if answered, err := r.askSplit(ctx, q, r.forms(q.typ)[0], split, strategy, yield); answered || err != nil {
			return answered, err
		}
	}
	r.server.facts.with(func(f *facts) { delete(f.splits, q.typ) })
	return false, nil
}

// askSplit asks for a type by all values of one parameter. answered is false where the server refused that too.
func (r *run) askSplit(ctx context.Context, q question, f form, split compartment.Split, strategy string, yield func(*Page) bool) (answered bool, err error) {
	fl := &filler{
		r: r, typ: q.typ, form: f, strategy: strategy, yield: yield, keys: keyset.New(), want: -1, budget: fillRequests,
		stubborn: split.Verbatim,
	}
	codes := split.Codes()
	all := strings.Join(codes, ",")
	a, ok, whole := fl.part(ctx, url.Values{split.Param: {all}})
	if fl.over != nil {
		return false, fl.over
	}
	if fl.stopped {
		r.leftInTheMiddle(q)
		return true, nil
	}
	if !ok && (a.err == nil || a.err.refusal() != refusedOnce) {
		return false, nil
	}
	if !ok || !whole || a.matches == 0 && !r.understood(q.typ, f, false) || r.server.facts.noCommas() {
		// One by one: the list was refused, cut, or perhaps taken for one value.
		before := fl.keys.Len()
		var every bool
		var some bool
		if some, every = fl.byValues(ctx, split.Param, codes); !some {
			if fl.over != nil {
				return false, fl.over
			}
			return false, nil
		}
		whole = every
		if ok && fl.keys.Len() > before && a.matches == 0 {
			r.server.facts.with(func(k *facts) { k.commas = -1 })
		}
	}
	if fl.keys.Len() > 0 {
		r.worked(q.typ, f, q.via != "")
	}
	rest := false
	if whole {
		// Also where the values are all there can be: data without an element that is required is common.
		rest = r.askRest(ctx, fl, split, all)
	}
	if fl.over != nil {
		return false, fl.over
	}
	if fl.stopped {
		r.leftInTheMiddle(q)
		return true, nil
	}
	r.ledger.with(q.typ, func(e *typeEntry) {
		e.Parts = split.Param
		e.parts = max(e.parts, len(split.Values))
	})
	out := &answer{question: q, form: f, matches: fl.came(), total: -1, keys: fl.keys, early: !whole, cut: !whole && fl.lost, withheld: fl.withheld, parted: len(r.required(q.typ)) > 0 || (!split.Exhaustive || fl.overlap) && !rest}
	if !whole {
		out.why = "a part of it was cut: " + strings.Join(fl.cut, "; ")
	}
	r.ledger.settle(q.typ, Partitioned, out)
	if !out.parted {
		r.ledger.settle(q.typ, Ended, out)
	}
	r.server.facts.with(func(k *facts) { k.splits[q.typ] = split.Param })
	r.ledger.note(q.typ, "the server does not answer for the whole type; it was asked by "+split.Param)
	return true, r.askVias(ctx, q, nil, strategy, yield)
}

// askRest asks for what has none of the values, and tells whether that is known to be the rest.
func (r *run) askRest(ctx context.Context, fl *filler, split compartment.Split, all string) bool {
	if fl.keys.Len() == 0 {
		// Nothing shows that the values were understood, unless leaving them out brings something.
		rest, ok, whole := fl.part(ctx, url.Values{split.Param + ":not": {all}})
		return ok && whole && rest.matches > 0
	}
	// A server that ignores the modifier, or the parameter, brings what the parts have brought. One that brings nothing of it has understood.
	if answered, whole := fl.remainder(ctx, split.Param+":not", all); answered {
		return whole
	}
	if !split.Optional || fl.over != nil {
		return false
	}
	// Stripped of its modifier the question for what has none would find nothing as well: that for what has one must find something.
	have, ok, _ := fl.part(ctx, url.Values{split.Param + ":missing": {"false"}})
	if !ok || have.matches == 0 {
		return false
	}
	answered, whole := fl.remainder(ctx, split.Param+":missing", "true")
	return answered && whole
}

// remainder asks a question that must bring nothing of what the parts have brought. answered: it was understood.
func (f *filler) remainder(ctx context.Context, param, value string) (answered, whole bool) {
	known := f.parts.Clone()
	a, ok, whole := f.part(ctx, url.Values{param: {value}})
	if !ok {
		return false, false
	}
	for k := range a.keys.All() {
		if known.Has(k) {
			return false, false
		}
	}
	return true, whole
}

// noCommas tells whether this server has been seen to take a list of values for one value.
func (f *facts) noCommas() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commas < 0
}
