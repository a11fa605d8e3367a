package jsonscan

import "iter"

// Property is one member of an object, as [Properties] gives it. It is valid until the next one is asked for.
type Property struct {
	Name       []byte // decoded
	Start, End int    // place of the value
	Kind       byte   // '"', '{' or '['; '0' for a number or a literal

	raw     []byte
	escaped bool
}

// Raw gives the value as it stands.
func (p *Property) Raw() []byte { return p.raw[p.Start:p.End] }

// Text gives what a string says; nothing for any other value. A surrogate without its partner becomes U+FFFD.
func (p *Property) Text() string {
	if p.Kind != '"' {
		return ""
	}
	inside := p.raw[p.Start+1 : p.End-1]
	if !p.escaped {
		return string(inside)
	}
	text, _ := AppendText(nil, inside)
	return string(text)
}

// Properties gives the members of the object that opens at raw[at], in document order and with all duplicates. It is structural: where the
// values may be broken, ask Valid. The last pair may be an error with an empty Property: the object cannot be followed, or there is none.
func Properties(raw []byte, at int) iter.Seq2[Property, error] {
	return func(yield func(Property, error) bool) {
		if at < 0 || at >= len(raw) || raw[at] != '{' {
			yield(Property{}, syntaxAt(at, "object expected"))
			return
		}
		s := scanner{buf: raw, pos: at + 1}
		var l list
		for {
			name, more, err := s.member(&l)
			if err == nil && l.bad != nil {
				err = l.bad
			}
			if err != nil {
				yield(Property{}, err)
				return
			}
			if !more {
				return
			}
			decoded := s.text(name)
			if name.escaped {
				decoded = append([]byte(nil), decoded...) // the scratch space is used again
			}
			t, err := s.value(1)
			if err == nil && t.kind == 0 {
				err = syntaxAt(t.start, "value missing")
			}
			if err != nil {
				yield(Property{}, err)
				return
			}
			if !yield(Property{Name: decoded, Start: t.start, End: t.end, Kind: t.kind, raw: raw, escaped: t.escaped}, nil) {
				return
			}
		}
	}
}

// ValueEnd gives the index after the value that begins at raw[at], in a text that [Walker.Walk] has accepted.
func ValueEnd(raw []byte, at int) int {
	switch raw[at] {
	case '"':
		return StringEnd(raw, at)
	case '{', '[':
		if end := quickEnd(raw, at); end >= 0 {
			return end
		}
		end, _, _ := skipContainer(raw, at, 1) // never an error
		return end
	}
	for at < len(raw) && classes[raw[at]] == classOther {
		at++
	}
	return at
}

// StringEnd gives the index after the string that begins with the quote raw[at], in a text that [Walker.Walk] has accepted.
func StringEnd(raw []byte, at int) int {
	end, _ := stringEnd(raw, at+1)
	return end
}
