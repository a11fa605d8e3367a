package fhirsync

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// adaptation is what is done otherwise on one server than on others. It changes once, when metadata has been read and shows what software
// it is; before that nothing else is at work.
type adaptation struct {
	set      quirks.Set     // all of it
	caller   quirks.Set     // Server.Quirks alone, which goes before what was learned
	entries  []quirks.Entry // that apply, in the order in which they were merged
	warnings []string       // for people
	params   map[string]bool

	types, own sync.Map // by type: *quirks.Type, of the whole set and of the caller's
}

// adapt finds out what is known about the server. caps is what it says about itself; nil as long as that is not known.
func (s *server) adapt(caps *quirks.Capabilities) {
	set, entries := s.client.cfg.Quirks.Lookup(s.base.String(), caps)
	a := &adaptation{set: set.Merge(s.caller), caller: s.caller, entries: entries, params: map[string]bool{}}
	t := transport.Quirks{Wait: a.set.Rate.WaitHeaders, NoQuotas: is(a.set.Rate.QuotaHeaders, false)}
	if a.set.Accept != nil {
		t.Accept = *a.set.Accept
	}
	missing := func(what, name, variable string) {
		a.warnings = append(a.warnings, "the server wants the "+what+" "+name+", for which Server.Vars has no "+strconvQuote(variable))
	}
	for _, h := range a.set.Headers {
		x := transport.Extra{Name: h.Name, Value: h.Value, UUID: h.Generate == quirks.UUID, Interactions: h.Interactions}
		if h.Var != "" {
			if x.Value = s.vars[h.Var]; x.Value == "" {
				if s.header.Get(h.Name) == "" {
					missing("header", h.Name, h.Var)
				}
				continue
			}
		}
		t.Headers = append(t.Headers, x)
	}
	for _, p := range a.set.Params {
		x := transport.Extra{Name: p.Name, Value: p.Value, Raw: p.Raw, Interactions: p.Interactions}
		if p.Var != "" {
			if x.Value = s.vars[p.Var]; x.Value == "" {
				missing("parameter", p.Name, p.Var)
				continue
			}
			if x.Raw {
				x.Value = rawQuery(x.Value)
			}
		}
		a.params[p.Name] = true
		t.Params = append(t.Params, x)
	}
	for _, f := range a.set.SilentFilters {
		a.warnings = append(a.warnings, "left out by the server without a sign: "+string(f))
	}
	for _, e := range entries {
		if e.MovedTo != "" {
			a.warnings = append(a.warnings, "the service has moved: "+e.MovedTo)
		}
	}
	s.http.Adapt(t)
	s.client.limiter(s.base.String()).Tighten(terms(&a.set.Rate))
	s.quirks = a
}

// terms are the limits of a Set.
func terms(r *quirks.Rate) ratelimit.Terms {
	var t ratelimit.Terms
	if r.PerSecond != nil {
		t.Rate = *r.PerSecond
	}
	if r.Concurrency != nil {
		t.Concurrency = *r.Concurrency
	}
	for _, l := range r.Limits {
		x := ratelimit.Limit{Requests: l.Requests, Per: time.Duration(l.Per), Aligned: l.Aligned}
		for _, c := range l.Classes {
			x.Classes = append(x.Classes, ratelimit.Class(c))
		}
		t.Limits = append(t.Limits, x)
	}
	return t
}

// rawQuery escapes what cannot stand in a query at all, or would begin another parameter.
func rawQuery(v string) string {
	const fine = "-._~!$'()*,;:@/?%"
	var b strings.Builder
	for _, c := range []byte(v) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(fine, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(url.QueryEscape(string(c)))
		}
	}
	return b.String()
}

func strconvQuote(s string) string { return `"` + printable(s, 64) + `"` }

// is tells whether a flag was set, to this.
func is(flag *bool, to bool) bool { return flag != nil && *flag == to }

// of gives what is different for one type. The caller does not change it.
func (a *adaptation) of(typ string) *quirks.Type { return typeIn(&a.types, &a.set, typ) }

// ownOf is of by what the caller says alone.
func (a *adaptation) ownOf(typ string) *quirks.Type { return typeIn(&a.own, &a.caller, typ) }

func typeIn(known *sync.Map, set *quirks.Set, typ string) *quirks.Type {
	if t, ok := known.Load(typ); ok {
		return t.(*quirks.Type) //nolint:forcetypeassert // nothing else is stored.
	}
	t := set.Type(typ)
	known.Store(typ, &t)
	return &t
}

// names are the ids of the entries that apply.
func (a *adaptation) names() []string {
	var out []string
	for _, e := range a.entries {
		out = append(out, e.ID)
	}
	return out
}

// quirk gives what is different for one type.
func (r *run) quirk(typ string) *quirks.Type { return r.server.quirks.of(typ) }

// reach tells how resources of a type are come by.
func (r *run) reach(typ string) quirks.Reach {
	if way := r.quirk(typ).Reach; way != nil {
		return *way
	}
	return quirks.BySearch
}

// notSearched ends the obligation for a type that is known not to be found by searches. That is no proof of anything: if the server itself
// says that it can be searched, the verdict is no better than if it had been and had not been answered.
func (r *run) notSearched(typ string, way quirks.Reach) {
	g := Gap{Reason: Unproven}
	if r.noCaps == nil && !r.claimed(typ) {
		g.Reason = Unsupported
	}
	switch way {
	case quirks.ByReference:
		g.Detail = "not searched: on this server it is reached by references alone"
	case quirks.ByRevInclude:
		g.Detail = "not searched: on this server it comes with searches for other types alone"
	case quirks.Nowhere, quirks.BySearch:
		g.Detail = "not searched: this server is known not to have it"
	}
	r.ledger.fail(typ, g)
}

// claimed is claims by what the server itself says, without what quirks make of it.
func (r *run) claimed(typ string) bool {
	info, known := r.table.Lookup(typ)
	params := append(slices.Clone(info.Params), info.Via...)
	if !known {
		params = []string{"patient", "subject"}
	}
	return r.stated.ClaimsSearch(typ, params...)
}

// preferred gives the forms in which a type is to be asked for; none if that is not said.
func (r *run) preferred(t *quirks.Type, params []string) []form {
	if t.Patient == nil && t.PatientValue == nil {
		return nil
	}
	if t.Patient != nil {
		if *t.Patient == "none" {
			return []form{{}}
		}
		params = []string{*t.Patient}
	}
	var out []form
	for _, p := range params {
		typed := p != "patient" && p != "_id" && p != "beneficiary"
		if t.PatientValue != nil {
			typed = *t.PatientValue == quirks.TypedReference
		}
		out = append(out, form{param: p, typed: typed})
		if t.PatientValue == nil {
			out = append(out, form{param: p, typed: !typed})
		}
	}
	return out
}

// pageSize gives the size of page that is asked for; 0: none.
func (r *run) pageSize(typ string) int {
	learned, index := 0, 0
	r.server.facts.with(func(f *facts) { learned, index = pageSizes[f.pageSize], f.pageSize })
	if own := r.server.quirks.ownOf(typ).PageSize; own != nil {
		return *own
	}
	known := r.quirk(typ).PageSize
	switch {
	case known == nil:
		return learned
	case index == 0: // nothing was refused so far.
		return *known
	}
	return min(*known, learned)
}

// sizeParam is the parameter for the size of a page.
func (r *run) sizeParam() string {
	return cmp.Or(deref(r.server.quirks.set.Paging.SizeParam), "_count")
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// ride adds the parameters that make others come along with the answer to a question.
func (r *run) ride(params url.Values, q question) {
	typ := q.typ
	if !r.carries(q) || r.server.facts.refusesRiders(typ) {
		return
	}
	if in := r.quirk(typ).Includes; len(in) > 0 {
		params["_include"] = in
	}
	if rev := r.riders[typ]; len(rev) > 0 {
		params["_revinclude"] = rev
	}
}

// required gives the parameters without which a search for the type is refused. What is asked with them is a part of the whole.
func (r *run) required(typ string) map[string]string { return r.quirk(typ).Required }

// requiredNames are the names of required parameters, for people.
func (r *run) requiredNames(typ string) string {
	return strings.Join(slices.Sorted(maps.Keys(r.required(typ))), ", ")
}

// splitsOf gives the ways to ask for a type in parts, without values that are fatal on this server, and with that first by which it is
// known to be asked.
func (r *run) splitsOf(typ string) []compartment.Split {
	info, _ := r.table.Lookup(typ)
	splits := slices.Clone(info.Splits)
	t := r.quirk(typ)
	if p := deref(t.FanOut.Param); p != "" {
		own := compartment.Split{Param: p, Values: t.FanOut.Values, Verbatim: true}
		if i := slices.IndexFunc(splits, func(s compartment.Split) bool { return s.Param == p }); i >= 0 {
			if own.Values == nil {
				own = splits[i]
			}
			splits = slices.Delete(splits, i, i+1)
		}
		if len(own.Values) > 0 {
			splits = append([]compartment.Split{own}, splits...)
		}
	}
	for i := range splits {
		s := &splits[i]
		avoid := t.Avoid[s.Param]
		if len(avoid) == 0 {
			continue
		}
		before := len(s.Values)
		s.Values = slices.DeleteFunc(slices.Clone(s.Values), func(v string) bool {
			return slices.Contains(avoid, v) || slices.Contains(avoid, v[strings.LastIndexByte(v, '|')+1:])
		})
		if len(s.Values) < before {
			s.Exhaustive, s.Optional = false, false
		}
	}
	return slices.DeleteFunc(splits, func(s compartment.Split) bool { return len(s.Values) == 0 })
}

// knownSplit gives the parameter by which a type is asked for in parts at once; "" where the whole is asked for.
func (r *run) knownSplit(typ string) string {
	param := ""
	r.server.facts.with(func(f *facts) { param = f.splits[typ] })
	return cmp.Or(deref(r.server.quirks.ownOf(typ).FanOut.Param), param, deref(r.quirk(typ).FanOut.Param))
}

// furtherOf are questions beside that for the whole type.
func (r *run) furtherOf(typ string) []url.Values {
	var out []url.Values
	for _, params := range r.quirk(typ).Further {
		v := url.Values{}
		for name, value := range params {
			v.Set(name, value)
		}
		out = append(out, v)
	}
	return out
}

// Quirks is what is done otherwise on this server than on others: what the registry knows of it, and Server.Quirks. It is a copy.
func (s *Session) Quirks() quirks.Set { return quirks.Set{}.Merge(s.r.server.quirks.set) }
