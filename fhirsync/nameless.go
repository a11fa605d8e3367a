package fhirsync

import (
	"context"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// aside is a resource without an id. It waits until all else has come, because a server that forgets an id in one answer may give it in
// another, and nothing may be stored twice.
type aside struct {
	entry  jsonscan.Entry
	mended *mended
	from   source
}

// maxAside bounds the bytes of resources that wait. What goes beyond is stored as it comes.
const maxAside = 16 << 20

// maxPrints bounds the memory for fingerprints.
const maxPrints = 200_000

// hasMadeID tells whether the id was made of the content.
func (m *mended) hasMadeID() bool {
	return m != nil && slices.ContainsFunc(m.repairs, func(x Repair) bool { return x.Kind == RepairContentID })
}

// putAside lets a resource wait whose id was made of its content; false: it is to be stored now.
//
// What it refers to is asked for in the meantime: another that waits may be among it. The caller holds mu.
func (r *run) putAside(c *candidate, found []refs.Found, urns map[string]bool, src *source) bool {
	if src.last || !c.mended.hasMadeID() {
		return false
	}
	ref := c.entry.ResourceType + "/" + c.id
	size := asideSize(c.entry, c.mended)
	if _, waits := r.asides[ref]; waits {
		return true
	}
	r.beginPrints()
	if r.asideBytes+size > maxAside {
		return false
	}
	r.asideBytes += size
	r.front.note(c.entry.ResourceType, c.id, urns, r.front.noteContents(c.entry.Resource, found[c.from:c.to]))
	if r.asides == nil {
		r.asides = map[string]aside{}
	}
	e := *c.entry
	e.Resource, e.Start, e.End, e.FullURL = slices.Clone(e.Resource), 0, 0, ""
	r.asides[ref] = aside{entry: e, mended: c.mended, from: source{
		op: src.op, typ: src.typ, strategy: src.strategy, companion: src.companion, unattributed: true, late: true, last: true,
	}}
	return true
}

// beginPrints begins to note what resources say beside their ids. What has come of a type before cannot be told from what comes without one. The
// caller holds mu.
func (r *run) beginPrints() {
	if r.prints != nil {
		return
	}
	r.prints, r.unprinted = map[ident]uint64{}, map[string]bool{}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	for name, e := range r.ledger.types {
		r.unprinted[name] = e.Received > 0
	}
}

// maxMade bounds the memory for ids that were made.
const maxMade = 100_000

// madeID notes a match whose id was made of its content.
func (r *run) madeID(typ, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beginPrints()
	if r.made == nil {
		r.made = map[string]map[ident]struct{}{}
	}
	if r.made[typ] == nil {
		r.made[typ] = map[ident]struct{}{}
	}
	if len(r.made[typ]) < maxMade {
		r.made[typ][identOf(typ, id)] = struct{}{}
	}
}

// distinct gives how many resources the matches of a question for a type are. One that came without its id as well as with it has two keys, and
// would make up for another that is missing.
func (r *run) distinct(typ string, keys *keyset.Set) int {
	n := keys.Len()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.made[typ] {
		if named, came := r.prints[key]; came && keys.Has(key.short()) && keys.Has(named) {
			n--
		}
	}
	return n
}

// perhapsTwice tells whether it cannot be known how many resources the matches are, because some came without an id after others had come.
func (r *run) perhapsTwice(typ string, keys *keyset.Set) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := len(r.made[typ]); {
	case n == 0:
		return false
	case n >= maxMade, len(r.prints) >= maxPrints:
		return true
	}
	for key := range r.made[typ] {
		if _, named := r.prints[key]; r.unprinted[typ] && !named && keys.Has(key.short()) {
			return true
		}
	}
	return false
}

func asideSize(e *jsonscan.Entry, m *mended) int { return len(e.Resource) + len(m.original) + 512 }

// fingerprint notes what a resource with an id says beside it, on a server that has forgotten an id before.
func (r *run) fingerprint(typ, id string, resource []byte) {
	r.mu.Lock()
	wanted := r.prints != nil
	r.mu.Unlock()
	if !wanted {
		return
	}
	without, ok := withoutMember(resource, "id")
	if !ok {
		return
	}
	key := identOf(typ, contentID(typ, without))
	r.mu.Lock()
	if len(r.prints) < maxPrints {
		r.prints[key] = identOf(typ, id).short()
	}
	r.mu.Unlock()
}

// takeAsides takes in the resources without an id that have not come with one.
func (r *run) takeAsides(context.Context) error {
	r.mu.Lock()
	waiting := r.asides
	quiet := len(r.doubts)+len(r.rereads)+len(r.late)+len(r.failures)+r.front.Len() == 0
	r.mu.Unlock()
	if !quiet || len(waiting) == 0 {
		return nil // something may come yet.
	}
	for ref, x := range waiting {
		typ, id := cutRef(ref)
		r.mu.Lock()
		_, came := r.prints[identOf(typ, id)]
		r.mu.Unlock()
		if came {
			r.ledger.note(typ, "came without an id as well as with it")
		} else {
			b := &jsonscan.Bundle{Entries: []jsonscan.Entry{x.entry}}
			src := x.from
			src.mended = []*mended{x.mended}
			if _, err := r.takeIn(b, nil, src); err != nil {
				return err
			}
		}
		r.mu.Lock()
		delete(r.asides, ref)
		r.asideBytes -= asideSize(&x.entry, x.mended)
		r.mu.Unlock()
	}
	return nil
}

// withoutMember gives an object without the members of a name; false where it is none.
func withoutMember(object []byte, name string) ([]byte, bool) {
	var w jsonscan.Walker
	members, err := w.WalkMembers(object, nil, nil)
	if err != nil {
		return nil, false
	}
	out := make([]byte, 0, len(object))
	for _, m := range members {
		if key := string(object[m.KeyStart:m.KeyEnd]); strings.Trim(key, `"`) == name {
			continue
		}
		mark := byte(',')
		if len(out) == 0 {
			mark = '{'
		}
		out = append(append(out, mark), object[m.KeyStart:m.KeyEnd]...)
		out = append(append(out, ':'), object[m.Start:m.End]...)
	}
	if len(out) == 0 {
		out = append(out, '{')
	}
	return append(out, '}'), true
}
