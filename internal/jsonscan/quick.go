package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// quickDepth is how deep quickHead follows. FHIR data stays below 30.
const quickDepth = 60

// quickHead is head for a resource whose brackets, names, colons and commas are as they should be, which it tells in half the time. If they are
// not, or something else is unusual, it gives false, and nothing has been read: head then says what the resource is.
func (s *scanner) quickHead(h *head) bool {
	var (
		buf     = s.buf
		start   = s.pos
		before  = *h
		i       = skipSpace(buf, start+1)
		kinds   = uint64(1) // the open brackets, the innermost one lowest: 1 is an object
		depth   = 1         // how many
		meta    bool        // the one on level 2 is meta
		end     int
		escaped bool
		known   *token
	)
	if i < len(buf) && buf[i] == '}' {
		s.pos = i + 1
		return true
	}

name: // of a member, at buf[i]
	if i >= len(buf) || buf[i] != '"' {
		goto no
	}
	for end = i + 1; end+8 <= len(buf); end += 8 {
		if m := quoteOrEscape(binary.LittleEndian.Uint64(buf[end:])); m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
	}
	if end < len(buf) && buf[end] == '"' {
		end, escaped = end+1, false
	} else if end, escaped = stringEnd(buf, end); end < 0 {
		goto no
	}
	if depth > 2 || depth == 2 && !meta {
		if i = afterColon(buf, end); i < 0 {
			goto no
		}
		goto value
	}
	known = nil
	{
		text := buf[i+1 : end-1]
		if escaped {
			text = s.unescape(token{start: i, end: end})
		}
		if i = afterColon(buf, end); i < 0 || i >= len(buf) {
			goto no
		}
		if depth == 1 {
			switch string(text) {
			case "resourceType":
				known = &h.typ
			case "id":
				known = &h.id
			case "meta":
				meta = buf[i] == '{'
			}
			if known != nil && (known.kind != 0 || buf[i] != '"') {
				goto no
			}
		} else {
			switch string(text) {
			case "versionId":
				known = &h.version
			case "lastUpdated":
				known = &h.updated
			case "tag":
				s.pos = i
				if err := s.tags(h); err != nil || s.pos == i {
					goto no
				}
				i = s.pos
				goto after
			}
			if known != nil {
				*known = token{}
			}
		}
	}
	if known == nil || buf[i] != '"' {
		goto value
	}
	if end, escaped = stringEnd(buf, i+1); end < 0 {
		goto no
	}
	*known = token{start: i, end: end, kind: '"', escaped: escaped}
	i = end
	goto after

value: // of which buf[i] must be the first byte
	if i >= len(buf) {
		goto no
	}
	if buf[i] == '"' { // as most are, which is why it is asked first
		for end = i + 1; end+8 <= len(buf); end += 8 {
			if m := quoteOrEscape(binary.LittleEndian.Uint64(buf[end:])); m != 0 {
				end += bits.TrailingZeros64(m) >> 3
				break
			}
		}
		if end < len(buf) && buf[end] == '"' {
			i = end + 1
		} else if i, _ = stringEnd(buf, end); i < 0 {
			goto no
		}
		goto after
	}
	switch c := buf[i]; classes[c] {
	case classOpen:
		if depth == quickDepth {
			goto no
		}
		depth++
		kinds = kinds<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
		if i = skipSpace(buf, i+1); i >= len(buf) {
			goto no
		}
		switch {
		case buf[i] == c+2: // ']' is '['+2, '}' is '{'+2
			goto pop
		case c == '{':
			goto name
		}
		goto value
	case classOther:
		for i++; i < len(buf) && classes[buf[i]] == classOther; {
			i++
		}
	default:
		goto no
	}

after: // a value, where buf[i] goes on
	if i >= len(buf) || buf[i] <= ' ' {
		if i = skipSpace(buf, i); i >= len(buf) {
			goto no
		}
	}
	switch c := buf[i]; {
	case c == ',':
		i = skipSpace(buf, i+1)
		if kinds&1 != 0 {
			goto name
		}
		goto value
	case c != '}' && c != ']' || uint64(c>>5&1) != kinds&1:
		goto no
	}

pop: // the bracket that closes at buf[i]
	i++
	kinds >>= 1
	if depth--; depth > 0 {
		meta = meta && depth > 1
		goto after
	}
	s.pos = i
	return true

no:
	s.pos, *h = start, before
	return false
}

// afterColon gives the index of the value behind the colon that should follow at buf[i], -1 if there is none.
func afterColon(buf []byte, i int) int {
	if i >= len(buf) || buf[i] != ':' {
		if i = skipSpace(buf, i); i >= len(buf) || buf[i] != ':' {
			return -1
		}
	}
	return skipSpace(buf, i+1)
}

// quoteOrEscape tells which of eight bytes are quotes or backslashes: the high bit of the lowest one is set, and none below it. It is 0 if
// there are none.
func quoteOrEscape(x uint64) uint64 {
	q, b := x^(lowBits*'"'), x^(lowBits*'\\')
	return ((q-lowBits)&^q | (b-lowBits)&^b) & highBits
}
