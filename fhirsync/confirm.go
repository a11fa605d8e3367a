package fhirsync

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// lean is an empty answer that is believed for what earlier syncs have shown: that the server understands the form. Servers change, and one
// that does not understand it any longer gives empty answers to all of these.
type lean struct {
	q    question
	form form
	a    *chainAnswer
}

// worked notes that a form has brought something of the patient's.
func (r *run) worked(typ string, f form, via bool) {
	r.server.facts.worked(typ, f, via)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heardForm(f)
}

// heardForm notes that this sync has shown that a form is understood. The caller holds mu.
func (r *run) heardForm(f form) {
	if r.heardForms == nil {
		r.heardForms = map[form]bool{}
	}
	r.heardForms[f] = true
}

// confirmed tells whether this sync has shown that a form is understood: it has brought something, or another one that is as plain and
// names the patient in the same way has. The caller holds mu.
func (r *run) confirmed(f form) bool {
	return isAlike(r.heardForms, f)
}

func (r *run) isConfirmed(f form) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.confirmed(f)
}

func isAlike(forms map[form]bool, f form) bool {
	if forms[f] {
		return true
	}
	for known := range forms {
		if known.alike(f) {
			return true
		}
	}
	return false
}

// leanOn notes an empty answer that is believed for what earlier syncs have shown.
func (r *run) leanOn(q question, f form, a *chainAnswer) {
	if q.op != nil || !f.names() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.confirmed(f) {
		r.leans = append(r.leans, lean{q, f, a})
	}
}

// confirmForms makes sure of the forms whose empty answers were believed for what earlier syncs have shown, and that have brought nothing in
// this one. A form in which something is not found that is known to be there is not understood any longer: what was asked in it is asked in
// the others.
func (r *run) confirmForms(ctx context.Context) error {
	r.mu.Lock()
	leans := map[form][]lean{}
	for _, l := range r.leans {
		if !r.confirmed(l.form) {
			leans[l.form] = append(leans[l.form], l)
		}
	}
	r.leans = nil
	r.mu.Unlock()
	if len(leans) == 0 {
		return nil
	}
	present := r.present()
	if len(present) == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, list := range leans {
			for _, l := range list {
				if l.q.whole() {
					r.unsure = append(r.unsure, l.q.typ)
				}
			}
		}
		return nil
	}
	for _, f := range slices.SortedFunc(maps.Keys(leans), func(a, b form) int { return cmp.Compare(a.name(), b.name()) }) {
		if r.isConfirmed(f) || r.finds(ctx, f, present) {
			continue
		}
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if err := r.askOtherwise(ctx, f, leans[f]); err != nil {
			return err
		}
	}
	return nil
}

// askOtherwise asks in other forms what was asked in one that is not understood any longer.
func (r *run) askOtherwise(ctx context.Context, f form, leans []lean) error {
	r.mu.Lock()
	if r.disproved == nil {
		r.disproved = map[form]bool{}
	}
	r.disproved[f] = true
	r.mu.Unlock()
	r.server.facts.disprove(f)
	r.ledger.note("", "the server found something by "+f.name()+" before and does not any longer: what was asked like that was asked in other ways")
	return each(ctx, workers, leans, func(ctx context.Context, l lean) error {
		forms := r.forms(l.q.typ)
		if l.q.via != "" {
			forms = r.viaForms(l.q.via)
		}
		forms = slices.DeleteFunc(forms, func(other form) bool { return other == f })
		return r.askForms(ctx, l.q, forms, &tally{empty: true, answer: l.a}, true, r.strategy.Name(), func(*Page) bool { return true })
	})
}

// present gives types of which this patient is known to have resources: those that searches have found, then those that came in another way.
func (r *run) present() []string {
	const most = 3
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	found := func(name string) int {
		if a := r.ledger.types[name].whole; a != nil {
			return a.matches
		}
		return 0
	}
	var out []string
	for name, e := range r.ledger.types {
		info, known := r.table.Lookup(name)
		if name != "Patient" && known && len(info.Params) > 0 && e.owed && (found(name) > 0 || e.Received > e.receivedThen) && len(r.required(name)) == 0 {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(found(b)-found(a), r.ledger.types[b].Received-r.ledger.types[a].Received, cmp.Compare(a, b))
	})
	return out[:min(len(out), most)]
}

// finds tells whether a form finds something of types that are known to have something, and notes that it does. A form that is plain is
// tried with any parameter that names the patient: what it shows is how he is named. Where none of the types has the parameter of a form
// that is not, there is nothing to try and it is taken at its word.
func (r *run) finds(ctx context.Context, f form, types []string) bool {
	tried := false
	for _, typ := range types {
		info, _ := r.table.Lookup(typ)
		for _, probe := range probes(f, info.Params) {
			tried = true
			q := question{typ: typ}
			n, ok := r.count(ctx, q, probe)
			if !ok && r.ctx.Err() == nil {
				n = r.firstMatches(ctx, q, probe)
			}
			if n > 0 {
				r.mu.Lock()
				r.heardForm(probe)
				r.heardForm(f)
				r.mu.Unlock()
				return true
			}
		}
	}
	return !tried
}

// probes gives the forms that show whether a form is understood, for a type with these parameters for the patient.
func probes(f form, params []string) []form {
	if f.path {
		return []form{f}
	}
	var out []form
	if slices.Contains(params, f.param) {
		out = append(out, f)
	}
	for _, p := range params {
		if x := f; f.plain() && p != f.param {
			if x.param = p; x.plain() {
				out = append(out, x)
			}
		}
	}
	return out
}

// firstMatches asks for the first match of a question, and gives how many came.
func (r *run) firstMatches(ctx context.Context, q question, f form) (n int) {
	b := new(jsonscan.Bundle)
	address := r.searchAddress(q, f, 1)
	req := &transport.Request{URL: address, Check: checkBundle(b)}
	if f.post {
		postSearch(req)
	}
	resp, err := r.send(ctx, "search", q.typ, forVerification, req)
	defer resp.Release()
	if serverError("search", q.typ, address.String(), resp, err) != nil {
		return 0
	}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.ResourceType == q.typ && e.Mode != "include" {
			n++
		}
	}
	return n
}

// disprove forgets that a form is understood.
func (f *facts) disprove(x form) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x.plain() && !x.path {
		delete(f.styles, x.typed)
	}
	maps.DeleteFunc(f.forms, func(_ string, known form) bool { return known.alike(x) })
	maps.DeleteFunc(f.brought, func(key string, _ bool) bool {
		_, name, _ := strings.Cut(key, " ")
		known, ok := parseForm(name)
		return ok && known.alike(x)
	})
}

// alike tells whether two forms are understood, or not, together: they are the same, or both plain and name the patient in the same way.
func (f form) alike(other form) bool {
	return f == other || f.plain() && other.plain() && f.names() && other.names() && !f.path && !other.path && f.typed == other.typed
}
