package idspace

import (
	"fmt"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/internal/memo"
	"github.com/fhirsync/fhirsync-go/refs"
)

// context is an entry of a Bundle: what is relative in it is relative to its fullUrl.
type context struct {
	span
	outer    int  // the entry that this one is in, -1 for none
	foreign  bool // the fullUrl is another server's
	keepBase bool // the fullUrl is no RESTful URL of this server, so that a relative reference would mean nothing
}

// maxNested is how deep Bundles and Parameters may be nested. Each level is read once more for every one around it.
const maxNested = 16

// parts are the members of a resource that matter. Each may stand there several times.
type parts struct {
	typ, id                  span
	ids, metas, idents, subs []span
}

// partNames are the names that part knows.
var partNames = jsonscan.NewNames("resourceType", "id", "meta", "identifier", "entry", "parameter")

// top looks at the resource that is all of raw, whose members are known.
func (r *rewriter) top(members []jsonscan.Member) (Pair, error) {
	p := &r.own
	p.typ, p.id = span{}, span{}
	p.ids, p.metas, p.idents, p.subs = p.ids[:0], p.metas[:0], p.idents[:0], p.subs[:0]
	for i := range members {
		m := &members[i]
		name := r.raw[m.KeyStart+1 : m.KeyEnd-1]
		if m.Escaped {
			r.scratch, _ = jsonscan.AppendText(r.scratch[:0], name)
			name = r.scratch // part looks at it before anything else
		}
		if err := r.part(p, name, span{m.Start, m.End}); err != nil {
			return Pair{}, err
		}
	}
	own, err := r.whole(p, -1, 0)
	if len(members) > 1<<10 {
		r.own = parts{}
	}
	return own, err
}

// resource looks at the resource that opens at raw[at], in the entry ctx.
func (r *rewriter) resource(at, ctx, depth int) error {
	if depth > maxNested {
		return ErrNested
	}
	var p parts
	o := openObject(r.raw, at)
	for o.next() {
		if err := r.part(&p, o.name(), o.val); err != nil {
			return err
		}
	}
	_, err := r.whole(&p, ctx, depth)
	return err
}

// part notes a member of a resource, if it matters.
func (r *rewriter) part(p *parts, name []byte, val span) (err error) {
	switch string(name) {
	case "resourceType":
		err = r.single(&p.typ, val, "resourceType")
	case "id":
		if err = r.single(&p.id, val, "id"); err == nil && r.raw[val.start] == '"' {
			p.ids = append(p.ids, val)
		}
	case "meta":
		p.metas = append(p.metas, val)
	case "identifier":
		p.idents = append(p.idents, val)
	case "entry", "parameter":
		p.subs = append(p.subs, val)
	}
	return err
}

// whole does what there is to do, now that the parts are known. It gives what the resource was and is.
func (r *rewriter) whole(p *parts, ctx, depth int) (Pair, error) {
	typ, ok := r.typeName(p.typ)
	if !ok {
		return Pair{}, fmt.Errorf("resourceType is missing or is none: %w", ErrIdentity)
	}
	var id string
	if p.id.end != 0 {
		text, lone := r.text(p.id)
		if lone {
			return Pair{}, fmt.Errorf("id holds what is no character: %w", ErrIdentity)
		}
		id = r.keep(text)
	}
	own, err := r.rename(typ, id, ctx, p)
	if err != nil {
		return Pair{}, err
	}
	for _, sub := range p.subs {
		switch typ {
		case "Bundle":
			err = r.each(sub, func(entry int) error { return r.entry(entry, ctx, depth) })
		case "Parameters":
			err = r.each(sub, func(param int) error { return r.parameter(param, ctx, depth) })
		}
		if err != nil {
			return Pair{}, err
		}
	}
	return own, nil
}

// single takes a string that may stand there once. Twice the same is once.
func (r *rewriter) single(known *span, val span, what string) error {
	switch {
	case r.raw[val.start] == 'n':
		return nil
	case r.raw[val.start] != '"':
		return fmt.Errorf("%s is not a string: %w", what, ErrIdentity)
	case known.end == 0:
		*known = val
		return nil
	}
	a := r.said(*known)
	if b := r.said(val); a != b {
		return fmt.Errorf("%s stands twice with different values: %w", what, ErrIdentity)
	}
	return nil
}

// said gives the text of a string that may be missing.
func (r *rewriter) said(token span) string {
	if token.end == 0 {
		return ""
	}
	b, _ := r.text(token)
	return string(b)
}

// typeName gives the type that a string names.
func (r *rewriter) typeName(token span) (string, bool) {
	if token.end == 0 {
		return "", false
	}
	b := r.raw[token.start+1 : token.end-1]
	if len(b) == 0 {
		return "", false
	}
	slot := &r.types[(21*len(b)+53*int(b[len(b)/2])+int(b[0]))%len(r.types)] // hardly two of the usual types have the same
	if *slot == string(b) {
		return *slot, true
	}
	b, _ = r.text(token)
	typ := string(b)
	if !isType(typ) {
		return "", false
	}
	if len(typ) <= memo.Longest && !r.escaped {
		*slot = typ
	}
	return typ, true
}

// rename gives a resource its new id and its marker, unless it has no id or is another server's.
func (r *rewriter) rename(typ, id string, ctx int, p *parts) (Pair, error) {
	own := Pair{Type: typ, ID: id}
	foreign := ctx >= 0 && r.contexts[ctx].foreign
	if id == "" || foreign {
		own.ID = ""
		r.disownSources(p)
		return own, nil
	}
	var newID string
	if r.space != nil {
		newID = r.newID(typ, id)
		own.Space, own.NewID = r.space.name, newID
		if r.pairs != nil {
			r.pairs = append(r.pairs, own)
		}
	} else {
		var known bool
		if own, newID, known = r.m(&refs.Reference{Kind: refs.Relative, Type: typ, ID: id}); !known {
			return own, nil
		}
	}
	if r.space == nil {
		newID = escapeJSON(newID) // that of a Mapping; a Space's needs no escapes
	}
	for _, token := range p.ids {
		r.replace(token.start+1, token.end-1, newID)
	}
	if r.space == nil {
		return own, nil
	}
	return own, r.mark(&own, p)
}

// newID is the space's ID, as a result has it.
func (r *rewriter) newID(typ, id string) string {
	if r.space.hashed == nil {
		return r.space.ID(typ, id)
	}
	var buf [hashLen]byte
	return r.keep(appendHashID(buf[:0], r.space.hashed, typ, id))
}

// each calls fn for each object in an array, or for the object that stands in the place of one.
func (r *rewriter) each(val span, fn func(at int) error) error {
	switch r.raw[val.start] {
	case '{':
		return fn(val.start)
	case '[':
		a := openArray(r.raw, val.start)
		for a.next() {
			if r.raw[a.val.start] != '{' {
				continue
			}
			if err := fn(a.val.start); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry looks at an entry of a Bundle.
func (r *rewriter) entry(at, outer, depth int) error {
	c := context{outer: outer}
	if outer >= 0 {
		c.foreign, c.keepBase = r.contexts[outer].foreign, r.contexts[outer].keepBase
	}
	var url span
	o := openObject(r.raw, at)
	for o.next() {
		if string(o.name()) == "fullUrl" {
			if err := r.single(&url, o.val, "fullUrl"); err != nil {
				return err
			}
		}
	}
	c.span = span{at, o.pos}
	if text := r.said(url); text != "" && r.space != nil {
		switch ref := refs.Parse(text); ref.Kind {
		case refs.Relative:
			c.foreign, c.keepBase = false, false
		case refs.Absolute:
			c.foreign = !r.space.HasBase(ref.Base)
			c.keepBase = c.foreign
		default:
			c.foreign, c.keepBase = false, true
		}
	}
	if c.foreign {
		r.foreign++
	}
	r.contexts = append(r.contexts, c)
	return r.resources(at, len(r.contexts)-1, depth)
}

// parameter looks at a parameter of Parameters, and at its parts.
func (r *rewriter) parameter(at, ctx, depth int) error {
	if depth > maxNested {
		return ErrNested
	}
	if err := r.resources(at, ctx, depth); err != nil {
		return err
	}
	o := openObject(r.raw, at)
	for o.next() {
		if string(o.name()) != "part" {
			continue
		}
		if err := r.each(o.val, func(part int) error { return r.parameter(part, ctx, depth+1) }); err != nil {
			return err
		}
	}
	return nil
}

// resources looks at the member resource of an entry or a parameter.
func (r *rewriter) resources(at, ctx, depth int) error {
	o := openObject(r.raw, at)
	for o.next() {
		if string(o.name()) == "resource" && o.kind() == '{' {
			if err := r.resource(o.val.start, ctx, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// isType tells whether a text is a resource type's name, as package refs has it.
func isType(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
