package idspace

import (
	"html"
	"strings"

	"github.com/fhirsync/fhirsync-go/refs"
)

// target is what becomes of one text that may be a reference. Places are in the decoded text.
type target struct {
	hit      bool // it is to be rewritten
	known    bool // its type is one of FHIR's
	absolute bool // there is a base before the type
	pair     Pair

	// Either the id alone is replaced, which keeps the base, or all up to behind the id.
	id       span
	whole    span
	newID    string // as it stands in JSON, like newWhole
	newWhole string

	replacement string // the id as such
}

// mapper gives the new id of what a reference names; false: it is to be left alone.
type mapper func(ref *refs.Reference) (Pair, string, bool)

// target gives the mapping of a Space.
func (s *Space) target(ref *refs.Reference) (Pair, string, bool) {
	if ref.Kind == refs.Absolute && !s.HasBase(ref.Base) {
		return Pair{}, "", false
	}
	p := Pair{Space: s.name, Type: strings.Clone(ref.Type), ID: strings.Clone(ref.ID)}
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
	t.newWhole = escapeJSON(ref.Type + "/" + t.replacement)
	if t.whole.start == t.id.start-len("/")-len(ref.Type) && t.whole.end == t.id.end {
		t.whole, t.newWhole = t.id, t.newID
	}
	return t
}

// inNarrative gives the target as it is for the value of an attribute, in which characters can be escaped in a second way.
func (t *target) inNarrative(l *link) *target {
	escaped := html.EscapeString(t.replacement)
	if !l.odd && escaped == t.replacement {
		return t
	}
	c := *t
	if !l.odd {
		c.newID = escapeJSON(escaped)
		c.newWhole = strings.TrimSuffix(t.newWhole, t.newID) + c.newID
		return &c
	}
	// Places in the decoded text are of no use, so all of the value is written anew.
	all := span{0, l.end - l.start}
	write := func(at span, text string) string {
		return escapeJSON(html.EscapeString(l.text[:at.start] + text + l.text[at.end:]))
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

// link is a text in the narrative that may be a reference.
type link struct {
	span        // in the decoded narrative
	text string // with its character references decoded
	odd  bool   // there were some, so that places in text are none in the narrative
}

// links finds the values of href and src in XHTML. What is no attribute, such as text and comments, is passed over.
func links(div string, found []link) []link {
	for i := 0; i < len(div); {
		n := strings.IndexByte(div[i:], '<')
		if n < 0 {
			return found
		}
		i += n + 1
		rest := div[i:]
		switch {
		case strings.HasPrefix(rest, "!--"):
			i += behind(rest, "-->")
		case strings.HasPrefix(rest, "![CDATA["):
			i += behind(rest, "]]>")
		case rest == "" || !isLetter(rest[0]):
			// The end of an element, an instruction, or a bare bracket.
		default:
			i, found = tag(div, i, found)
		}
	}
	return found
}

// behind gives the place behind the first occurrence of end in s, or s's own end.
func behind(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

// tag goes through the attributes of the tag whose name begins at i.
func tag(div string, i int, found []link) (int, []link) {
	for i < len(div) && !isSpace(div[i]) && div[i] != '>' && div[i] != '/' {
		i++
	}
	for {
		for i < len(div) && (isSpace(div[i]) || div[i] == '/') {
			i++
		}
		if i >= len(div) || div[i] == '>' || div[i] == '<' {
			return i, found
		}
		start := i
		for i++; i < len(div) && !isSpace(div[i]) && strings.IndexByte("=>/<", div[i]) < 0; {
			i++
		}
		name := div[start:i]
		for i < len(div) && isSpace(div[i]) {
			i++
		}
		if i >= len(div) || div[i] != '=' {
			continue
		}
		for i++; i < len(div) && isSpace(div[i]); {
			i++
		}
		if i >= len(div) {
			return i, found
		}
		var value span
		if quote := div[i]; quote == '"' || quote == '\'' {
			n := strings.IndexByte(div[i+1:], quote)
			if n < 0 {
				return len(div), found
			}
			value = span{i + 1, i + 1 + n}
			i = value.end + 1
		} else {
			value.start = i
			for i < len(div) && !isSpace(div[i]) && div[i] != '>' {
				i++
			}
			value.end = i
		}
		if name == "href" || name == "src" {
			found = append(found, newLink(div, value))
		}
	}
}

func newLink(div string, at span) link {
	for at.start < at.end && isSpace(div[at.start]) {
		at.start++
	}
	for at.start < at.end && isSpace(div[at.end-1]) {
		at.end--
	}
	l := link{span: at, text: div[at.start:at.end]}
	if strings.IndexByte(l.text, '&') >= 0 {
		path := l.text
		if i := strings.IndexAny(path, "?"); i >= 0 {
			path = path[:i]
		}
		// Behind a question mark they are in nobody's way.
		if strings.IndexByte(path, '&') >= 0 {
			l.text, l.odd = html.UnescapeString(l.text), true
		}
	}
	return l
}

func isSpace(c byte) bool  { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }
func isLetter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }
