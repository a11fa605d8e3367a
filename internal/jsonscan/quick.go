package jsonscan

import "math/bits"

// quickHead is head for a resource whose own names, colons and commas are as they should be, which it tells in half the time. If they are
// not, or something else is unusual, it gives false, and nothing has been read: head then says what the resource is. h must hold nothing but
// an error.
func (s *scanner) quickHead(h *head) bool {
	start := s.pos
	if s.quickMembers(h) {
		return true
	}
	s.pos, *h = start, head{bad: h.bad}
	return false
}

// quickMembers goes through the members of the resource whose bracket opens at pos, to behind its end.
func (s *scanner) quickMembers(h *head) bool {
	buf := s.buf
	i := skipSpace(buf, s.pos+1)
	if i < len(buf) && buf[i] == '}' {
		s.pos = i + 1
		return true
	}
	for {
		if uint(i) >= uint(len(buf)) || buf[i] != '"' {
			return false
		}
		first := i + 1
		end, escaped := first, false
		for end >= 0 && end < len(buf)-7 {
			if m := quoteOrEscape(load8(buf, end)); m != 0 {
				end += bits.TrailingZeros64(m) >> 3
				break
			}
			end += 8
		}
		if uint(end) < uint(len(buf)) && buf[end] == '"' {
			end++
		} else if end, escaped = stringEnd(buf, end); end < 0 {
			return false
		}
		if i = end; i < 0 || i >= len(buf)-1 {
			return false
		}
		if buf[i] != ':' {
			if i = skipSpace(buf, i); i >= len(buf)-1 || buf[i] != ':' {
				return false
			}
		}
		if i++; buf[i] <= ' ' {
			if i = skipSpace(buf, i); i >= len(buf) {
				return false
			}
		}

		// A few names matter, all of them of these lengths.
		if n := end - first - 1; escaped || n == len("id") || n == len("meta") || n == len("resourceType") {
			name := buf[first : end-1]
			if escaped {
				name = s.unescape(token{start: first - 1, end: end})
			}
			var known *token
			switch string(name) {
			case "resourceType":
				known = &h.typ
			case "id":
				known = &h.id
			case "meta":
				if buf[i] == '{' {
					if s.pos = s.quickMeta(h, i); s.pos < 0 {
						s.pos = i
						if err := s.meta(h); err != nil || s.pos == i {
							return false
						}
					}
					i = s.pos
					goto after
				}
			}
			if known != nil {
				if known.kind != 0 || buf[i] != '"' {
					return false
				}
				if end, escaped = stringEnd(buf, i+1); end < 0 {
					return false
				}
				*known = token{start: i, end: end, kind: '"', escaped: escaped}
				i = end
				goto after
			}
		}

		switch classes[buf[i]] {
		case classQuote:
			if i, _ = stringEnd(buf, i+1); i < 0 {
				return false
			}
		case classOpen:
			if i = quickEnd(buf, i); i < 0 {
				return false
			}
		case classOther:
			for i++; i < len(buf) && classes[buf[i]] == classOther; {
				i++
			}
		default:
			return false
		}

	after: // a value, where buf[i] goes on
		if i >= len(buf) || buf[i] <= ' ' {
			if i = skipSpace(buf, i); i >= len(buf) {
				return false
			}
		}
		switch buf[i] {
		case ',':
			if i++; i < len(buf) && buf[i] <= ' ' {
				i = skipSpace(buf, i)
			}
		case '}':
			s.pos = i + 1
			return true
		default:
			return false
		}
	}
}

// quickMeta reads the value of the member meta, which opens at buf[i], and gives the index after it; -1 if something is unusual: all that it may have
// noted is then read again by meta.
func (s *scanner) quickMeta(h *head, i int) int {
	buf := s.buf
	for i++; ; i++ {
		if i >= len(buf) || buf[i] != '"' {
			return -1
		}
		end, escaped := stringEnd(buf, i+1)
		if end < 0 || escaped || end >= len(buf)-1 || buf[end] != ':' {
			return -1
		}
		var known *token
		name := buf[i+1 : end-1]
		i = end + 1
		switch string(name) {
		case "versionId":
			known = &h.version
		case "lastUpdated":
			known = &h.updated
		case "tag":
			s.pos = i
			if err := s.tags(h); err != nil || s.pos == i {
				return -1
			}
			i = s.pos
		}
		switch {
		case known != nil:
			if buf[i] != '"' {
				return -1
			}
			if end, escaped = stringEnd(buf, i+1); end < 0 {
				return -1
			}
			*known = token{start: i, end: end, kind: '"', escaped: escaped}
			i = end
		case i == end+1: // nothing has been read yet
			switch classes[buf[i]] {
			case classQuote:
				i, _ = stringEnd(buf, i+1)
			case classOpen:
				i = quickEnd(buf, i)
			default:
				return -1
			}
		}
		if i < 0 || i >= len(buf) {
			return -1
		}
		switch buf[i] {
		case ',':
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// quickDepth is how deep quickEnd follows. FHIR data stays below 30.
const quickDepth = 60

// quickEnd gives the index after the object or array that opens at buf[i]; -1 if it has no end here, has brackets that do not match, or is
// nested deeper than quickDepth: skipContainer then tells more.
//
// It calls nothing and has few variables, so that all of them stay in registers.
func quickEnd(buf []byte, i int) int {
	var (
		kinds uint64 // the open brackets, the innermost one lowest: 1 is an object
		depth int    // how many
	)
	for uint(i) < uint(len(buf)) {
		c := buf[i]
		i++
		switch classes[c] {
		case classQuote:
			// What a string says does not matter: as soon as it ends, most often another one begins.
		text:
			if i < 0 || i >= len(buf)-10 {
				goto tail
			}
			if m := quoteOrEscape(load8(buf, i)); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
			} else {
				i += 8
				goto text
			}
			if i < 0 || i >= len(buf)-2 {
				goto tail
			}
			if buf[i] != '"' {
				i += 2
				goto text
			}
			// A quote behind a comma or colon, or behind one of a few others that are neither quotes nor brackets.
			if between := uint16(buf[i+1]) | uint16(buf[i+2])<<8; between&^0x0016 == '"'<<8|'(' {
				i += 3
				goto text
			}
			i++
			continue
		tail: // of the text, where there is no room for eight bytes
			for ; uint(i) < uint(len(buf)) && buf[i] != '"'; i++ {
				if buf[i] == '\\' {
					i++
				}
			}
			i++
		case classOpen:
			if depth == quickDepth {
				return -1
			}
			depth++
			kinds = kinds<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
		case classClose:
			if kinds&1 != uint64(c>>5&1) {
				return -1
			}
			kinds >>= 1
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// quoteOrEscape tells which of eight bytes are quotes or backslashes: the high bit of the lowest one is set, and none below it. It is 0 if
// there are none.
func quoteOrEscape(x uint64) uint64 {
	q, b := x^(lowBits*'"'), x^(lowBits*'\\')
	return ((q-lowBits)&^q | (b-lowBits)&^b) & highBits
}

// load8 gives eight bytes of b, the first of which is b[i]. Behind a test for i >= 0 && i < len(b)-7 it is one instruction, which a slice of b is
// not.
func load8(b []byte, i int) uint64 {
	return uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
		uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56
}
