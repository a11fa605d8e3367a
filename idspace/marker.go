package idspace

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// What markers are made of. None of these will ever change.
const (
	// SpaceSystem is the system of the tag that names the space; its code is [Space.Code].
	SpaceSystem = "https://github.com/fhirsync/fhirsync-go/idspace/space"
	// OriginalSystem is the system of the tag or identifier that holds the original identity: space, type and id, percent-escaped, with
	// slashes between.
	OriginalSystem = "https://github.com/fhirsync/fhirsync-go/idspace/original"
	// SourcePrefix begins a meta.source that holds the original identity, in the same form.
	SourcePrefix = "https://github.com/fhirsync/fhirsync-go/idspace/source/"
	// ForeignSource begins a meta.source that came from a server and looked like one of ours; what it was follows, percent-escaped.
	ForeignSource = "https://github.com/fhirsync/fhirsync-go/idspace/foreign-source/"

	foreignSuffix = "/foreign"
)

// escape percent-escapes a text, so that nothing is left that means something in a URL, and no white space, which a code may not have.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	plain, dots := true, true
	for i := range len(s) {
		plain = plain && unreserved(s[i])
		dots = dots && s[i] == '.'
	}
	if plain && !dots {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unreserved(c) && !dots {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// parseIdentity reads an identity as markers have it.
func parseIdentity(text string) (Pair, bool) {
	fields := strings.Split(text, "/")
	if len(fields) != 3 {
		return Pair{}, false
	}
	for i, f := range fields {
		plain, err := url.PathUnescape(f)
		if err != nil || escape(plain) != f {
			return Pair{}, false
		}
		fields[i] = plain
	}
	return Pair{Space: fields[0], Type: fields[1], ID: fields[2]}, true
}

// marker is what is written into a resource, as it stands in JSON.
type marker struct {
	member       string // `"tag":[` or `"source":`
	head         string // of what is put there
	typ, id, end string // what comes behind it, with a slash between typ and id; nothing where there is no typ
	tail         string // what comes behind a fragment
	closing      string // of the member
}

// appendText appends all of what is put there, but for a fragment and tail.
func (m *marker) appendText(made []byte) []byte {
	made = append(made, m.head...)
	if m.typ == "" {
		return made
	}
	made = append(made, m.typ...) // letters alone, of which nothing is escaped
	made = append(made, '/')
	made = append(made, m.id...)
	return append(made, m.end...)
}

// spaceTag is the tag that names a space.
func spaceTag(code string) string { return `{"system":"` + SpaceSystem + `","code":"` + code + `"}` }

// mark writes the marker into a resource.
func (r *rewriter) mark(own *Pair, p *parts) error {
	s := r.space
	m := marker{member: `"tag":[`, head: s.markHead, typ: own.Type, id: escape(own.ID), end: `"}`, closing: `]`}
	if s.mark == MarkSource {
		m.member, m.end, m.tail, m.closing = `"source":`, "", `"`, ""
		return r.markMeta(p, &m, true)
	}
	if s.mark == MarkIdentifier && r.markIdentifier(own.Type, p, `{"system":"`+OriginalSystem+`","value":"`+s.code+`/`+own.Type+`/`+m.id+`"}`) {
		m.head, m.typ = spaceTag(s.code), ""
	}
	return r.markMeta(p, &m, false)
}

// insert puts the whole of a marker at a place.
func (r *rewriter) insert(at int, before string, m *marker, after string) {
	from, made := len(r.made), r.made
	made = append(made, before...)
	made = append(made, m.member...)
	made = m.appendText(made)
	made = append(made, m.tail...)
	made = append(made, m.closing...)
	made = append(made, after...)
	r.made = made
	r.note(at, at, from)
}

// insertText puts the text of a marker that is a tag at a place.
func (r *rewriter) insertText(at int, before string, m *marker, after string) {
	from, made := len(r.made), r.made
	made = append(made, before...)
	made = m.appendText(made)
	made = append(made, after...)
	r.made = made
	r.note(at, at, from)
}

// markIdentifier adds an identifier, if the type has an array of them and there is no reason against it.
func (r *rewriter) markIdentifier(typ string, p *parts, identifier string) bool {
	if _, ok := identified[typ]; !ok || len(p.idents) > 1 {
		return false
	}
	if len(p.idents) == 0 {
		r.replace(p.ids[0].end, p.ids[0].end, `,"identifier":[`+identifier+`]`)
		return true
	}
	switch val := p.idents[0]; r.raw[val.start] {
	case '[':
		r.replace(val.start+1, val.start+1, identifier+r.comma(val))
	case 'n':
		r.replace(val.start, val.end, `[`+identifier+`]`)
	default:
		return false
	}
	return true
}

// markMeta writes a marker into each meta.
func (r *rewriter) markMeta(p *parts, m *marker, source bool) error {
	if len(p.metas) == 0 {
		at := p.ids[0].end
		r.insert(at, `,"meta":{`, m, `}`)
	}
	for _, val := range p.metas {
		switch r.raw[val.start] {
		case 'n':
			r.replace(val.start, val.end, `{`)
			r.insert(val.end, "", m, `}`)
			continue
		case '{':
		default:
			return fmt.Errorf("meta is no object: %w", ErrMeta)
		}
		has := false
		o := openObject(r.raw, val.start)
		for o.next() {
			switch string(o.name()) {
			case "tag":
				if !source {
					has = true
					r.markTag(o.val, m)
				}
			case "source":
				if !source {
					r.disownSource(o.val)
					continue
				}
				has = true
				if err := r.markSource(o.val, m); err != nil {
					return err
				}
			}
		}
		if !has {
			r.insert(val.start+1, "", m, r.comma(val))
		}
	}
	return nil
}

// markTag adds codings to what stands under tag.
func (r *rewriter) markTag(val span, m *marker) {
	switch r.raw[val.start] {
	case '[':
		r.insertText(val.start+1, "", m, r.comma(val))
	case 'n':
		r.replace(val.start, val.end, `[`)
		r.insertText(val.end, "", m, `]`)
	default:
		r.insertText(val.start, `[`, m, `,`)
		r.replace(val.end, val.end, `]`)
	}
}

// markSource puts the marker in the place of what stands under source, which it then holds.
func (r *rewriter) markSource(val span, m *marker) error {
	var fragment string
	switch r.raw[val.start] {
	case '"':
		old := r.said(val)
		fragment = "#" + escape(old)
	case 'n':
	default:
		return fmt.Errorf("meta.source is no string: %w", ErrMeta)
	}
	from := len(r.made)
	r.made = m.appendText(r.made)
	r.made = append(r.made, fragment...)
	r.made = append(r.made, m.tail...)
	r.note(val.start, val.end, from)
	return nil
}

// comma gives what must stand behind something that is put before all else in an array or object.
func (r *rewriter) comma(val span) string {
	if c := r.raw[skipSpace(r.raw, val.start+1)]; c == ']' || c == '}' {
		return ""
	}
	return ","
}

// disown makes a coding's or identifier's system, as it came from a server, one that is not ours.
func (r *rewriter) disown(token span) {
	// Nearly all systems are told apart by their length or first letters; escapes make a text longer.
	if token.end-token.start < len(SpaceSystem) {
		return
	}
	b, _ := r.text(token)
	if !bytes.HasPrefix(b, []byte(SpaceSystem)) && !bytes.HasPrefix(b, []byte(OriginalSystem)) {
		return
	}
	bare := string(b)
	for {
		rest, ok := strings.CutSuffix(bare, foreignSuffix)
		if !ok {
			break
		}
		bare = rest
	}
	if bare == SpaceSystem || bare == OriginalSystem {
		r.replace(token.end-1, token.end-1, foreignSuffix)
	}
}

// disownSource does the same for meta.source.
func (r *rewriter) disownSource(val span) {
	if r.raw[val.start] != '"' {
		return
	}
	if old := r.said(val); strings.HasPrefix(old, SourcePrefix) || strings.HasPrefix(old, ForeignSource) {
		r.replace(val.start+1, val.end-1, ForeignSource+escape(old))
	}
}

// disownSources does it in a resource that gets no marker.
func (r *rewriter) disownSources(p *parts) {
	for _, val := range p.metas {
		if r.space == nil || r.raw[val.start] != '{' {
			continue
		}
		o := openObject(r.raw, val.start)
		for o.next() {
			if string(o.name()) == "source" {
				r.disownSource(o.val)
			}
		}
	}
}

// Original gives the identity that a resource of this space had on its server. It reads the marker, wherever [Mark] had it put, and believes
// it only if the resource's id is the one that this space gives to the identity in it. False: raw is not JSON, or was not
// rewritten by a space of this name and scheme.
//
// It is for bytes that the caller keeps. Bytes from a server can say anything; [Space.Rewrite] is for them.
func (s *Space) Original(raw []byte) (Pair, bool) {
	var out Pair
	ok := markers(raw, func(typ, id, text string) bool {
		p, ok := parseIdentity(text)
		if !ok || p.Space != s.name || p.Type != typ || s.ID(p.Type, p.ID) != id {
			return false
		}
		p.NewID = id
		out = p
		return true
	})
	return out, ok
}

// IsRewritten tells whether these bytes, which the caller has kept, are a resource as this space rewrote it.
func (s *Space) IsRewritten(raw []byte) bool {
	_, ok := s.Original(raw)
	return ok
}

// markers calls try with each text of a resource that may be an original identity, until it gives true.
func markers(raw []byte, try func(typ, id, text string) bool) bool {
	if jsonscan.Valid(raw) != nil {
		return false
	}
	at := skipSpace(raw, 0)
	if raw[at] != '{' {
		return false
	}
	r := rewriter{raw: raw}
	var typeAt, idAt span
	var texts []string
	o := openObject(raw, at)
	for o.next() {
		var err error
		switch string(o.name()) {
		case "resourceType":
			err = r.single(&typeAt, o.val, "")
		case "id":
			err = r.single(&idAt, o.val, "")
		case "identifier":
			texts = r.coded(o.val, "value", texts)
		case "meta":
			texts = r.metaMarkers(o.val, texts)
		}
		if err != nil {
			return false
		}
	}
	typ := r.said(typeAt)
	id := r.said(idAt)
	return slices.ContainsFunc(texts, func(text string) bool { return try(typ, id, text) })
}

func (r *rewriter) metaMarkers(val span, texts []string) []string {
	if r.raw[val.start] != '{' {
		return texts
	}
	o := openObject(r.raw, val.start)
	for o.next() {
		switch name := string(o.name()); {
		case name == "tag":
			texts = r.coded(o.val, "code", texts)
		case name == "source" && o.kind() == '"':
			text := r.said(o.val)
			if text, ok := strings.CutPrefix(text, SourcePrefix); ok {
				text, _, _ = strings.Cut(text, "#")
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// coded collects what stands under a member of those objects whose system is OriginalSystem.
func (r *rewriter) coded(val span, member string, texts []string) []string {
	_ = r.each(val, func(at int) error {
		var system, text string
		o := openObject(r.raw, at)
		for o.next() {
			if o.kind() != '"' {
				continue
			}
			switch string(o.name()) {
			case "system":
				system = r.said(o.val)
			case member:
				text = r.said(o.val)
			}
		}
		if system == OriginalSystem {
			texts = append(texts, text)
		}
		return nil
	}) // never an error
	return texts
}
