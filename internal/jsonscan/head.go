package jsonscan

import "bytes"

// Header is what can be told about a resource without reading all of it. A
// field that is absent or null is empty, and so is one of meta's that is not a
// string. Its strings are copies: they do not keep the text alive they are
// from.
//
// Bytes that are not UTF-8 stay in the strings as they are; a surrogate
// without its partner becomes U+FFFD.
type Header struct {
	ResourceType string
	ID           string
	VersionID    string // meta.versionId
	LastUpdated  string // meta.lastUpdated
	Subsetted    bool   // meta.tag has a coding with the code SUBSETTED: parts of the resource were left out
}

// Head reads the header of one resource, which may have a byte order mark and
// white space around it. It is structural: what it reads may still not be
// JSON, which [Walker.Walk] tells.
//
// It is an error if the value is not an object, if resourceType or id is
// not a string, or stands twice with different values, and if the resource is
// nested beyond [MaxDepth]; the Header then holds what else could be read, for
// messages. Other fields that stand twice count with their last value.
func Head(raw []byte) (Header, error) {
	s := scanner{buf: raw}
	var h head
	err := s.document(func() error { return s.head(&h) })
	var w writer
	var header Header
	_, decodeErr := w.header(&header, raw, &h, &token{})
	for _, e := range []error{err, h.bad, decodeErr} {
		if e != nil {
			return header, e
		}
	}
	return header, nil
}

// document moves over a whole text: an object, which read moves over, and
// nothing else but white space and a byte order mark.
func (s *scanner) document(read func() error) error {
	const bom = "\xEF\xBB\xBF"
	if bytes.HasPrefix(s.buf, []byte(bom)) {
		s.pos = len(bom)
	} else if len(s.buf) < len(bom) && string(s.buf) == bom[:len(s.buf)] {
		return endAt(len(s.buf))
	}
	s.pos = skipSpace(s.buf, s.pos)
	if s.pos >= len(s.buf) {
		return endAt(len(s.buf))
	}
	if s.buf[s.pos] != '{' {
		return syntaxAt(s.pos, "not an object")
	}
	if err := read(); err != nil {
		return err
	}
	if s.pos = skipSpace(s.buf, s.pos); s.pos < len(s.buf) {
		return syntaxAt(s.pos, "data after the value")
	}
	return nil
}

// head is a Header as places in the text.
type head struct {
	typ, id, version, updated token
	subsetted                 bool
	bad                       error // why the resource cannot be read, as far as the header tells
}

// fail notes an error, the first one counts.
func (h *head) fail(err error) {
	if h.bad == nil {
		h.bad = err
	}
}

// conflict is the kind of a token of which there are several.
const conflict = '!'

// head reads the resource whose bracket opens at pos.
func (s *scanner) head(h *head) error {
	s.pos++
	var l list // breaches are left to the strict pass
	for {
		name, more, err := s.member(&l)
		if err != nil || !more {
			return err
		}
		switch string(s.text(name)) {
		case "resourceType":
			err = s.identity(h, &h.typ)
		case "id":
			err = s.identity(h, &h.id)
		case "meta":
			err = s.meta(h)
		default:
			err = s.ignore(h, 2)
		}
		if err != nil {
			return err
		}
	}
}

// text gives what a string says, valid until the next call. A broken escape
// ends it.
func (s *scanner) text(t token) []byte {
	if t.escaped {
		return s.unescape(t) // apart, so that text can be inlined
	}
	return t.text(s.buf)
}

func (s *scanner) unescape(t token) []byte {
	s.scratch, _ = AppendText(s.scratch[:0], t.text(s.buf))
	return s.scratch
}

// ignore moves over a value that is of no interest.
func (s *scanner) ignore(h *head, level int) error {
	t, err := s.value(level)
	if t.deep {
		h.fail(depthAt(t.start))
	}
	return err
}

// identity reads a value that says which resource this is: where two of them
// differ there is none to choose.
func (s *scanner) identity(h *head, known *token) error {
	t, err := s.value(2)
	switch {
	case err != nil:
		return err
	case t.isNull(s.buf) || t.kind == 0:
	case t.kind != '"':
		h.fail(syntaxAt(t.start, "resourceType or id is not a string"))
	case known.kind == 0:
		*known = t
	case known.kind == '"' && !s.same(*known, t):
		known.kind = conflict
		h.fail(syntaxAt(t.start, "resourceType or id stands twice with different values"))
	}
	return nil
}

// same tells whether two strings say the same.
func (s *scanner) same(a, b token) bool {
	if !a.escaped && !b.escaped {
		return bytes.Equal(a.text(s.buf), b.text(s.buf))
	}
	one, okOne := AppendText(nil, a.text(s.buf))
	two, okTwo := AppendText(nil, b.text(s.buf))
	return okOne && okTwo && bytes.Equal(one, two)
}

// meta reads the value of the member meta.
func (s *scanner) meta(h *head) error {
	if !s.at('{') {
		return s.ignore(h, 2)
	}
	s.pos++
	var l list
	for {
		name, more, err := s.member(&l)
		if err != nil || !more {
			return err
		}
		switch string(s.text(name)) {
		case "versionId":
			err = s.last(h, 3, &h.version)
		case "lastUpdated":
			err = s.last(h, 3, &h.updated)
		case "tag":
			err = s.tags(h)
		default:
			err = s.ignore(h, 3)
		}
		if err != nil {
			return err
		}
	}
}

// at tells whether the byte at pos is c.
func (s *scanner) at(c byte) bool { return s.pos < len(s.buf) && s.buf[s.pos] == c }

// last reads a value of which the last one counts, if it is a string. With a
// nil h it does not matter how deep it is nested.
func (s *scanner) last(h *head, level int, known *token) error {
	t, err := s.value(level)
	if err != nil {
		return err
	}
	if t.deep && h != nil {
		h.fail(depthAt(t.start))
	}
	*known = token{}
	if t.kind == '"' {
		*known = t
	}
	return nil
}

// tags looks for SUBSETTED in the value of meta.tag.
func (s *scanner) tags(h *head) error {
	if s.at('{') {
		return s.coding(h, 3)
	}
	if !s.at('[') {
		return s.ignore(h, 3)
	}
	s.pos++
	var l list
	for {
		more, missing, err := s.element(&l)
		switch {
		case err != nil || !more:
			return err
		case missing:
		case s.at('{'):
			err = s.coding(h, 4)
		default:
			err = s.ignore(h, 4)
		}
		if err != nil {
			return err
		}
	}
}

// coding looks for SUBSETTED in the coding that opens at pos on the given level.
func (s *scanner) coding(h *head, level int) error {
	s.pos++
	var l list
	for {
		name, more, err := s.member(&l)
		if err != nil || !more {
			return err
		}
		code := string(s.text(name)) == "code"
		t, err := s.value(level + 1)
		if err != nil {
			return err
		}
		if t.deep {
			h.fail(depthAt(t.start))
		}
		if code && t.kind == '"' && string(s.text(t)) == "SUBSETTED" {
			h.subsetted = true
		}
	}
}
