package fhirsync

import (
	"context"
	"slices"

	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Some servers answer a read of certain types with 404 and have the resources all the same: a search finds them. A few targets of each type show it,
// so that targets that are not there cost no second request as a rule.

// unreadTries is how many targets of a type are searched for that a read has not found, until one is found so.
const unreadTries = 3

// unread is what is known of a type of which reads were answered with 404.
type unread struct {
	tried int
	found bool // a search has found what a read did not
}

// findUnread searches for a target that a read has not found. came: it is there. The error means that the run is over.
func (r *run) findUnread(ctx context.Context, t *refs.Target) (came bool, err error) {
	if !isPlainID(t.ID) || r.reach(t.Type) != quirks.BySearch || !r.maySearch(t.Type) {
		return false, nil
	}
	r.mu.Lock()
	u := r.front.unread[t.Type]
	useless := r.front.searched[identOf(t.Type, t.ID)] || !u.found && u.tried >= unreadTries
	if !useless {
		u.tried++
		r.front.unread[t.Type] = u
	}
	r.mu.Unlock()
	if useless {
		return false, nil
	}
	open := map[string]bool{t.ID: true}
	address, _ := r.listAddress(t.Type, []refs.Target{*t}, 1)
	w := &wave{run: r}
	_, fail, err := w.listPage(ctx, t.Type, address, 1, open)
	if err != nil || fail != nil || open[t.ID] {
		return false, err
	}
	r.mu.Lock()
	u.found = true
	r.front.unread[t.Type] = u
	r.mu.Unlock()
	r.ledger.note(t.Type, "a search found what a read did not")
	return true, nil
}

// maySearch tells whether resources of a type can be searched for, as far as the server says.
func (r *run) maySearch(typ string) bool {
	c, listed := r.caps.Type(typ)
	if slices.Contains(c.Interactions, "search-type") {
		return true
	}
	return r.noCaps != nil || listed && len(c.Interactions) == 0
}

// cameAfterAll takes back that targets are not there which came by another question since.
func (r *run) cameAfterAll() {
	for _, g := range r.ledger.dangling() {
		if typ, id := cutRef(g.Ref); r.has(typ, id) {
			r.ledger.takeBack(&g)
		}
	}
}
