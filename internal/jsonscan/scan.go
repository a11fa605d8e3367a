package jsonscan

import "math/bits"

// Masks for looking at eight bytes at once.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// What a byte means outside a string, to the structural scanner.
const (
	classOther = iota // part of a number, of a literal, or of nothing
	classSpace
	classQuote
	classOpen
	classClose
	classMark // comma or colon
)

var classes = [256]uint8{
	' ': classSpace, '\t': classSpace, '\n': classSpace, '\r': classSpace,
	'"': classQuote,
	'{': classOpen, '[': classOpen,
	'}': classClose, ']': classClose,
	',': classMark, ':': classMark,
}

// stringEnd finds the end of the string whose first byte after the quote is
// buf[i]. It gives the index after the closing quote, or -1 if there is none,
// and whether there are backslashes inside.
func stringEnd(buf []byte, i int) (end int, escaped bool) {
	for {
		for ; i >= 0 && i < len(buf)-7; i += 8 {
			if m := quoteOrEscape(load8(buf, i)); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto found
			}
		}
		for ; uint(i) < uint(len(buf)); i++ {
			if buf[i] == '"' || buf[i] == '\\' {
				goto found
			}
		}
		return -1, escaped
	found:
		if buf[i] == '"' {
			return i + 1, escaped
		}
		escaped = true
		i += 2
	}
}

// skipSpace gives the index of the first byte from i on that is not white
// space.
func skipSpace(buf []byte, i int) int {
	for uint(i) < uint(len(buf)) && buf[i] <= ' ' && classes[buf[i]] == classSpace {
		i++
	}
	return i
}

// maxKinds is for how many open brackets skipContainer knows the kind.
const maxKinds = 512

// skipContainer gives the index after the object or array that opens at
// buf[i], which is on the given level of its resource. deep says that
// something in it is beyond MaxDepth.
//
// Further down than maxKinds levels, brackets are only counted, so that no
// input can make this need memory. What is nested that deep is refused anyway.
func skipContainer(buf []byte, i, level int) (end int, deep bool, err error) {
	var (
		kinds uint64                  // the innermost open brackets, at most 64, one bit each: 1 is an object
		spill [maxKinds/64 - 1]uint64 // those outside of them
		n     int                     // how many are open
	)
	for i < len(buf) {
		c := buf[i]
		i++
		switch classes[c] {
		case classQuote:
			if i, _ = stringEnd(buf, i); i < 0 {
				return 0, deep, endAt(len(buf))
			}
		case classOpen:
			if n < maxKinds {
				if n&63 == 0 && n > 0 {
					spill[n>>6-1] = kinds
				}
				kinds = kinds<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
			}
			n++
			if level+n-1 > MaxDepth {
				deep = true
			}
		case classClose:
			if n <= maxKinds {
				if kinds&1 != uint64(c>>5&1) {
					return 0, deep, syntaxAt(i-1, "bracket closes another kind")
				}
				if n == 1 {
					return i, deep, nil
				}
				if kinds >>= 1; n&63 == 1 {
					kinds = spill[n>>6-1]
				}
			}
			n--
		}
	}
	return 0, deep, endAt(len(buf))
}

// token is where a value stands. The zero value stands for none, since no
// value inside an object begins at 0.
type token struct {
	start, end int
	kind       uint8 // first byte of a string, object or array; '0' for any other
	escaped    bool  // a string that has backslashes
	deep       bool  // an object or array that goes beyond MaxDepth
}

// text gives the bytes between the quotes of a string.
func (t token) text(buf []byte) []byte { return buf[t.start+1 : t.end-1] }

// bytes gives the value as it stands.
func (t token) bytes(buf []byte) []byte { return buf[t.start:t.end] }

// isNull tells whether the value is the literal null.
func (t token) isNull(buf []byte) bool {
	return t.kind == '0' && string(buf[t.start:t.end]) == "null"
}

// scanner moves over a text structurally.
type scanner struct {
	buf     []byte
	pos     int
	scratch []byte // for strings that have escapes
}

// value moves over the value at pos, whatever it is. Where there is none
// (a comma, colon, or closing bracket stands there), the kind is 0. With an
// error there is no token.
func (s *scanner) value(level int) (t token, err error) {
	if s.pos >= len(s.buf) {
		return t, endAt(len(s.buf))
	}
	t.start = s.pos
	switch c := s.buf[s.pos]; classes[c] {
	case classQuote:
		t.kind = '"'
		if t.end, t.escaped = stringEnd(s.buf, s.pos+1); t.end < 0 {
			return token{}, endAt(len(s.buf))
		}
	case classOpen:
		t.kind = c
		if t.end = quickEnd(s.buf, s.pos); t.end >= 0 && level+quickDepth <= MaxDepth {
			break
		}
		if t.end, t.deep, err = skipContainer(s.buf, s.pos, level); err != nil {
			return token{}, err
		}
	case classOther:
		t.kind = '0'
		t.end = s.pos + 1
		for t.end < len(s.buf) && classes[s.buf[t.end]] == classOther {
			t.end++
		}
	default:
		t.end = s.pos
	}
	s.pos = t.end
	return t, nil
}

// list is the state of moving over the inside of one object or array. What
// breaks the grammar there without breaking the structure is noted, and the
// user of the list decides whether that matters.
type list struct {
	begun bool         // something stood before
	comma bool         // and a comma after it
	bad   *SyntaxError // the first breach of the grammar
}

func (l *list) note(offset int, reason string) {
	if l.bad == nil {
		l.bad = &SyntaxError{Offset: offset, Reason: reason}
	}
}

// member moves over the next name and colon of an object, to its value; or
// over the closing bracket, and then more is false.
func (s *scanner) member(l *list) (name token, more bool, err error) {
	for {
		s.pos = skipSpace(s.buf, s.pos)
		if s.pos >= len(s.buf) {
			return name, false, endAt(len(s.buf))
		}
		switch s.buf[s.pos] {
		case '"':
			if l.begun && !l.comma {
				l.note(s.pos, "comma missing")
			}
			l.begun, l.comma = true, false
			name = token{start: s.pos, kind: '"'}
			if name.end, name.escaped = stringEnd(s.buf, s.pos+1); name.end < 0 {
				return token{}, false, endAt(len(s.buf))
			}
			s.pos = skipSpace(s.buf, name.end)
			if s.pos >= len(s.buf) {
				return name, false, endAt(len(s.buf))
			}
			if s.buf[s.pos] != ':' {
				l.note(s.pos, "colon missing")
				continue
			}
			s.pos = skipSpace(s.buf, s.pos+1)
			return name, true, nil
		case ',':
			if l.comma || !l.begun {
				l.note(s.pos, "member missing before comma")
			}
			l.begun, l.comma = true, true
			s.pos++
		case '}':
			if l.comma {
				l.note(s.pos, "member missing after comma")
			}
			s.pos++
			return name, false, nil
		case ']':
			return name, false, syntaxAt(s.pos, "bracket closes another kind")
		case ':':
			l.note(s.pos, "colon out of place")
			s.pos++
		default:
			l.note(s.pos, "member name is not a string")
			if _, err = s.value(0); err != nil {
				return name, false, err
			}
		}
	}
}

// element moves to the next value of an array, or over the closing bracket,
// and then more is false. missing says that where a value should be there is
// none: a comma follows another one or the bracket. Nothing has been read then.
func (s *scanner) element(l *list) (more, missing bool, err error) {
	for {
		s.pos = skipSpace(s.buf, s.pos)
		if s.pos >= len(s.buf) {
			return false, false, endAt(len(s.buf))
		}
		switch s.buf[s.pos] {
		case ',':
			missing = l.comma || !l.begun
			l.begun, l.comma = true, true
			s.pos++
			if missing {
				return true, true, nil
			}
		case ']':
			if l.comma {
				l.comma = false
				return true, true, nil
			}
			s.pos++
			return false, false, nil
		case '}':
			return false, false, syntaxAt(s.pos, "bracket closes another kind")
		case ':':
			l.note(s.pos, "colon out of place")
			s.pos++
		default:
			if l.begun && !l.comma {
				l.note(s.pos, "comma missing")
			}
			l.begun, l.comma = true, false
			return true, false, nil
		}
	}
}

// notPlain tells which of eight bytes are not plain in a string (see plainEnd): the high bit of the lowest one that is not is set, and none
// below it. It is 0 if all are plain.
func notPlain(x uint64) uint64 {
	// c^2 is below 0x21 for a quote and for control characters, and for nothing else below 0x80. What is taken from a byte above is
	// taken only by a byte that is not plain itself, so that no bit below the right one can be wrong.
	return (((x ^ lowBits*2) - lowBits*0x21) | ((x ^ lowBits*'\\') - lowBits) | x) & highBits
}

// plainEnd gives the index of the first byte from i on that is not plain in a
// string: a quote, a backslash, a control character, or part of a character
// that is not ASCII.
func plainEnd(buf []byte, i int) int {
	for ; i >= 0 && i < len(buf)-7; i += 8 {
		if m := notPlain(load8(buf, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; uint(i) < uint(len(buf)); i++ {
		if c := buf[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			break
		}
	}
	return i
}
