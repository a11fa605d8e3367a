package jsonscan

import "math/bits"

// place is where run begins or has stopped.
type place uint8

const (
	atEnd   place = iota // behind a value
	atName               // at a name, or what should be one, or white space before it
	atValue              // at a value, or what should be one, or white space before it
	atText               // at a string that may be asked for, and that ends at ahead
)

// run goes on at raw[i] and passes over what is usual: all but numbers with exponents, strings with letters beyond ASCII, names with escapes, white
// space in rare places, levels beyond the first few, the end of the root, and faults. It stops at whatever else it comes upon, be that right or wrong,
// and leaves it to walk: nothing of it has been noted then.
//
// It calls nothing, so that what it works with stays in registers, and it looks at bytes in such a way that the compiler sees that they are there: see
// load8.
func (w *Walker) run(i int, at place) (int, place) {
	var (
		raw     = w.raw
		stack   = (*[len(w.first)]level)(w.levels)
		depth   = w.open
		top     = &stack[depth-1]
		end     int
		escaped bool
	)
	switch at {
	case atName:
		if uint(i) >= uint(len(raw)) || raw[i] != '"' {
			return i, atName
		}
		goto name
	case atValue:
		goto value
	default:
		goto after
	}

name: // the quote of which is raw[i]
	for end = i + 1; end >= 0 && end < len(raw)-7; end += 8 {
		if m := notPlain(load8(raw, end)); m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
	}
	if end < 0 || end >= len(raw)-2 || raw[end] != '"' || raw[end+1] != ':' {
		w.open = depth
		return i, atName
	}
	top.nameStart, top.nameEnd = i+1, end
	top.escaped, top.meaning = false, meansUnknown
	if w.Watch {
		var first, last uint64
		n := end - 1 - i
		if i >= 0 && i+1 < len(raw)-7 {
			if first = load8(raw, i+1); n < 8 {
				first &= 1<<(8*n&63) - 1
			} else if end >= 8 && end-8 < len(raw)-7 {
				last = load8(raw, end-8)
			}
		} else { // near the end
			for j, c := range raw[i+1 : end] {
				first |= uint64(c) << (8 * j)
			}
		}
		h := mixName(n, first, last)
		tables := &w.names[depth-1]
		b0, b1, b2, b3 := uint64(1)<<(h&63), uint64(1)<<(h>>6&63), uint64(1)<<(h>>12&63), uint64(1)<<(h>>18&63)
		if tables[0]&b0 != 0 && tables[1]&b1 != 0 && tables[2]&b2 != 0 && tables[3]&b3 != 0 {
			w.doubt = true
		}
		tables[0] |= b0
		tables[1] |= b1
		tables[2] |= b2
		tables[3] |= b3
	}
	if depth == 1 && w.listing {
		listed := w.Listed == nil || w.Listed.may(raw[i+1:end])
		n := len(w.members)
		if w.unended || listed {
			if i < 2 || raw[i-1] <= ' ' || raw[i-2] <= ' ' || raw[end+2] <= ' ' || n == cap(w.members) {
				w.open = depth
				return i, atName
			}
			if w.unended && n > 0 {
				w.members[n-1].End = i - 1
			}
			if w.unended = listed; listed {
				w.members = w.members[:n+1]
				w.members[n] = Member{KeyStart: i, KeyEnd: end + 1, Start: end + 2}
			}
		}
	}
	i = end + 2
	if raw[end+2] == '"' {
		goto text
	}

value: // at raw[i]
	if i < 0 || i >= len(raw)-5 {
		w.open = depth
		return i, atValue
	}
	switch c := raw[i]; c {
	case '"':
		goto text
	case '{', '[':
		end = i + 1
		for uint(end) < uint(len(raw)-1) && classes[raw[end]] == classSpace {
			end++
		}
		next := raw[end]
		switch {
		case next == c+2: // ']' is '['+2, '}' is '{'+2
			i = end + 1
			goto after
		case depth >= len(stack), next != '"' && c == '{':
			w.open = depth
			return i, atValue
		}
		outer := top
		top = &stack[depth]
		depth++
		*top = level{start: i}
		i = end
		if c == '{' {
			if w.Watch {
				w.names[depth-1] = [4]uint64{}
			}
			goto name
		}
		top.array, top.nameStart, top.nameEnd, top.escaped = true, outer.nameStart, outer.nameEnd, outer.escaped
		goto value
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		end = i
		if c == '-' {
			end++
		}
		if raw[end] == '0' {
			end++
		} else {
			first := end
			for uint(end) < uint(len(raw)) && raw[end]-'0' <= 9 {
				end++
			}
			if end == first {
				w.open = depth
				return i, atValue
			}
		}
		if uint(end) < uint(len(raw)) && raw[end] == '.' {
			end++
			first := end
			for uint(end) < uint(len(raw)) && raw[end]-'0' <= 9 {
				end++
			}
			if end == first {
				w.open = depth
				return i, atValue
			}
		}
		if uint(end) < uint(len(raw)) && raw[end]|0x20 == 'e' {
			w.open = depth
			return i, atValue
		}
		i = end
		goto after
	case 't', 'n', 'f':
		switch {
		case string(raw[i:i+4]) == "true", string(raw[i:i+4]) == "null":
			i += 4
			goto after
		case string(raw[i:i+5]) == "false":
			i += 5
			goto after
		}
	case ' ', '\n', '\r', '\t':
		i++
		goto value
	}
	w.open = depth
	return i, atValue

text: // the quote of which is raw[i]
	escaped = false
	end = i + 1
	for end >= 0 && end < len(raw)-12 {
		m := notPlain(load8(raw, end))
		if m == 0 {
			end += 8
			continue
		}
		end += bits.TrailingZeros64(m) >> 3
		if end < 0 || end >= len(raw)-5 || raw[end] != '\\' {
			break
		}
		switch c := raw[end+1]; {
		case unescaped[c] != 0:
			end += 2
		case c == 'u' && hexDigits[raw[end+2]]&hexDigits[raw[end+3]]&hexDigits[raw[end+4]]&hexDigits[raw[end+5]] != 0:
			w.escapes = w.escapes || raw[end+2]|0x20 == 'd' && raw[end+3] >= '8'
			end += 6
		default:
			w.open = depth
			return i, atValue
		}
		escaped = true
	}
	if uint(end) >= uint(len(raw)) || raw[end] != '"' {
		w.open = depth
		return i, atValue
	}
	if w.asking && (w.Likely == nil || top.escaped || w.Likely.may(raw[top.nameStart:top.nameEnd])) {
		n := len(w.found)
		if !w.finding || n == cap(w.found) || top.nameStart == 0 {
			w.open = depth
			w.ahead, w.aheadEscaped = end+1, escaped
			return i, atText
		}
		w.found = w.found[:n+1]
		f := &w.found[n]
		f.Start, f.End, f.Escaped = i, end+1, escaped
		f.key = nameAt{top.nameStart, top.nameEnd, top.escaped}
		f.parent = nameAt{}
		up := depth - 1
		for up > 0 && up < len(stack) && stack[up].array {
			up--
		}
		if up--; up >= 0 && up < len(stack) {
			outer := &stack[up]
			f.parent = nameAt{outer.nameStart, outer.nameEnd, outer.escaped}
		}
	}
	i = end + 1
	if i >= 0 && i < len(raw)-1 && uint16(raw[i])|uint16(raw[i+1])<<8 == ','|'"'<<8 {
		i++
		if top.array {
			goto text
		}
		goto name
	}

after: // a value, where raw[i] goes on
	if i < 0 || i >= len(raw)-1 {
		w.open = depth
		return i, atEnd
	}
	switch c := raw[i]; c {
	case ',':
		for i++; uint(i) < uint(len(raw)) && classes[raw[i]] == classSpace; {
			i++
		}
		if top.array {
			goto value
		}
		if uint(i) < uint(len(raw)) && raw[i] == '"' {
			goto name
		}
		w.open = depth
		return i, atName
	case '}', ']':
		if depth > 1 && top.array == (c == ']') {
			depth--
			top = &stack[depth-1]
			i++
			goto after
		}
	case ' ', '\n', '\r', '\t':
		i++
		goto after
	}
	w.open = depth
	return i, atEnd
}

// hexDigits has 1 for those.
var hexDigits = [256]uint8{
	'0': 1, '1': 1, '2': 1, '3': 1, '4': 1, '5': 1, '6': 1, '7': 1, '8': 1, '9': 1,
	'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'A': 1, 'B': 1, 'C': 1, 'D': 1, 'E': 1, 'F': 1,
}
