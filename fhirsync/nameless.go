package fhirsync

import (
	"context"
	"slices"
	"strings"

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
const maxPrints = 500_000

// putAside lets a resource wait whose id was made of its content; false: it is to be stored now.
//
// What it refers to is asked for in the meantime: another that waits may be among it. The caller holds mu.
func (r *run) putAside(c *candidate, found []refs.Found, urns map[string]bool, src *source) bool {
	if src.last || c.mended == nil || !slices.ContainsFunc(c.mended.repairs, func(x Repair) bool { return x.Kind == RepairContentID }) {
		return false
	}
	ref := c.entry.ResourceType + "/" + c.id
	size := asideSize(c.entry, c.mended)
	if _, waits := r.asides[ref]; waits {
		return true
	}
	if r.prints == nil {
		r.prints = map[ident]struct{}{}
	}
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

func asideSize(e *jsonscan.Entry, m *mended) int { return len(e.Resource) + len(m.original) + 512 }

// fingerprint notes what a resource with an id says beside it, on a server that has forgotten an id before.
func (r *run) fingerprint(typ string, resource []byte) {
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
		r.prints[key] = struct{}{}
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
