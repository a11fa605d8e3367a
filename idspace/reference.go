package idspace

import (
	"html"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/xhtml"
	"github.com/fhirsync/fhirsync-go/refs"
)

// target is what becomes of one text that may be a reference. Places are in the decoded text.
type target struct {
	hit      bool // it is to be rewritten
	known    bool // its type is one of FHIR's
	absolute bool // there is a base before the type

	// Either all up to behind the id is replaced, or the id alone, which keeps the base.
	whole    span
	newWhole string // as it stands in JSON, like newID
	id       span
	newID    string

	replacement string // the id as such
	pair        Pair
}

// mapper gives the new id of what a reference names; false: it is to be left alone.
type mapper func(ref *refs.Reference) (Pair, string, bool)

// target gives the mapping of a Space.
func (s *Space) target(ref *refs.Reference) (Pair, string, bool) {
	if ref.Kind == refs.Absolute && !s.HasBase(ref.Base) {
		return Pair{}, "", false
	}
	p := Pair{Space: s.name, Type: ref.Type, ID: ref.ID}
	if s.pairs { // which are kept, and shall not keep the whole text
		p.Type, p.ID = strings.Clone(p.Type), strings.Clone(p.ID)
	}
	p.NewID = s.ID(p.Type, p.ID)
	return p, p.NewID, true
}

// aim finds out what becomes of a text.
func aim(text string, lone bool, m mapper) target {
	ref := refs.Parse(text)
	if ref.Kind != refs.Relative && ref.Kind != refs.Absolute {
		return target{}
	}
	if lone && strings.Contains(ref.ID, "\uFFFD") {
		return target{} // what it names cannot be told, and no resource of that id is ever rewritten
	}
	t := target{absolute: ref.Kind == refs.Absolute}
	_, t.known = resourceTypes[ref.Type]
	if t.pair, t.replacement, t.hit = m(&ref); !t.hit {
		return target{known: t.known}
	}
	path := text
	if i := strings.IndexAny(path, "#?"); i >= 0 {
		path = path[:i]
	}
	end := len(strings.TrimSuffix(path, "/"))
	t.whole = span{0, len(path)}
	if ref.Version != "" {
		end -= len("/_history/") + len(ref.Version)
		t.whole.end = end
	}
	t.id = span{end - len(ref.ID), end}
	t.newID = escapeJSON(t.replacement)
	if t.whole.start == t.id.start-len("/")-len(ref.Type) && t.whole.end == t.id.end {
		t.whole, t.newWhole = t.id, t.newID
	} else {
		t.newWhole = escapeJSON(ref.Type + "/" + t.replacement)
	}
	return t
}

// inNarrative gives the target as it is for the value of an attribute, in which characters can be escaped in a second way.
func (t *target) inNarrative(l *xhtml.Link) *target {
	escaped := html.EscapeString(t.replacement)
	if !l.Odd && escaped == t.replacement {
		return t
	}
	c := *t
	if !l.Odd {
		c.newID = escapeJSON(escaped)
		c.newWhole = strings.TrimSuffix(t.newWhole, t.newID) + c.newID
		return &c
	}
	// Places in the decoded text are of no use, so all of the value is written anew.
	all := span{0, l.End - l.Start}
	write := func(at span, text string) string {
		return escapeJSON(html.EscapeString(l.Text[:at.start] + text + l.Text[at.end:]))
	}
	whole := t.replacement
	if t.whole != t.id {
		whole = t.pair.Type + "/" + t.replacement
	}
	c.id, c.newID = all, write(t.id, t.replacement)
	c.whole, c.newWhole = all, write(t.whole, whole)
	return &c
}

// aimCanonical is aim for a canonical, whose version follows a bar.
func aimCanonical(text string, lone bool, m mapper) target {
	url, _, _ := strings.Cut(text, "|")
	ref := refs.Parse(url)
	if ref.Kind != refs.Absolute || ref.Version != "" {
		return target{}
	}
	t := aim(url, lone, m)
	t.whole, t.newWhole = t.id, t.newID
	return t
}
