package fhirsync

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Some types cannot be searched by patient and come only with what they are about (_revinclude=Provenance:target): they ride on the
// searches of other types. A server may refuse the whole search because of them: where a parameter is unknown to it, or where the grant
// does not cover the type that rides (Oracle Health: https://github.com/cerner/fhir.cerner.com, encounter.md). The search then goes without,
// and that riders were left behind is a gap of their type.

// ridersLeft is how many types must have refused riders, with none accepted, until the others are not tried.
const ridersLeft = 3

// refusesRiders tells whether the server refuses _revinclude on searches of the type.
func (f *facts) refusesRiders(typ string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, refused := f.noRiders[typ]
	return refused || !f.ridersRode && len(f.noRiders) >= ridersLeft
}

// withoutRiders decides whether a refused search is worth asking without its riders. Whether they were the reason shows when it is answered.
func (c *chain) withoutRiders(e *ServerError) bool {
	if c.bare || !c.rode || c.r.ridersAreFine(c.q.typ) || c.r.unheard.Load() > unheardAfter && !c.r.heard.Load() {
		return false
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusGone, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusOK:
		if e.refusal() == refusedBadly {
			return false
		}
	default:
		if e.StatusCode < 400 || e.StatusCode > 499 {
			return false
		}
	}
	c.bare, c.bareFor = true, e.StatusCode
	return true
}

// learnRiders remembers what a search that was answered showed about its riders.
func (c *chain) learnRiders(f *facts) {
	switch {
	case c.out.err != nil || !c.r.carries(c.q):
	case c.bare:
		f.noRiders[c.q.typ] = c.bareFor
	case c.rode:
		f.ridersRode = true
		c.r.rode.Store(c.q.typ, true)
	}
}

// ridersAreFine tells whether a search of the type was answered in this sync with its riders: that another one is refused is not because of
// them.
func (r *run) ridersAreFine(typ string) bool {
	_, yes := r.rode.Load(typ)
	return yes
}

// ridersLeftBehind enters into the ledger that types could not ride on all searches on which metadata lets them.
func (r *run) ridersLeftBehind() {
	left := map[string][]string{}
	denied := map[string]bool{}
	for typ, riders := range r.riders {
		if !r.server.facts.refusesRiders(typ) {
			continue
		}
		status := 0
		r.server.facts.with(func(f *facts) {
			status = f.noRiders[typ]
			if status == 0 {
				status = slices.Max(slices.Collect(maps.Values(f.noRiders))) // not tried, because of the others.
			}
		})
		for _, name := range riders {
			left[name] = append(left[name], typ)
			denied[name] = denied[name] || status == http.StatusForbidden
		}
	}
	for name, types := range left {
		g := Gap{Reason: Refused}
		g.Type, _, _ = strings.Cut(name, ":")
		if denied[name] {
			g.Reason = Denied
		}
		slices.Sort(types)
		g.Detail = "not to be had with _revinclude of " + strings.Join(types, ", ") + ": the server refuses these searches then"
		r.ledger.gap(g)
	}
}
