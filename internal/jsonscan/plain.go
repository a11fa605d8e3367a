package jsonscan

import (
	"bytes"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Plain tells whether raw, which is JSON, says the same to every reader: no object has two members of one name, and no escape is half of a
// character. It may doubt what is plain where an object has very many members, and never takes for plain what is not.
//
// It is faster than a Walker, and needs no memory.
func Plain(raw []byte) bool {
	var (
		first [24]names // enough for nearly all resources
		open  = first[:0]
		name  = false // a string at this place is the name of a member
		looks = 0

		decoded [128]byte // a name
	)
	for i := 0; i < len(raw); {
		switch c := raw[i]; classes[c] {
		case classQuote:
			end, escaped := stringEnd(raw, i+1)
			if end < 0 {
				return false
			}
			text := raw[i+1 : end-1]
			if escaped && HasHalf(text) {
				return false
			}
			if name {
				if escaped {
					text, _ = AppendText(decoded[:0], text)
				}
				if top := &open[len(open)-1]; !addName(&top.tables, hashName(text)) {
					// One in a hundred objects with twenty members comes here without need.
					if looks++; looks > maxLooks || hasMember(raw[top.start:i], text) {
						return false
					}
				}
				name = false
			}
			i = end
		case classOpen:
			if len(open) == MaxDepth {
				return false
			}
			name = c == '{'
			open = append(open, names{start: i, object: name})
			i++
		case classClose:
			if len(open) == 0 {
				return false
			}
			open, name = open[:len(open)-1], false
			i++
		case classMark:
			name = c == ',' && len(open) > 0 && open[len(open)-1].object
			i++
		default:
			i++
		}
	}
	return true
}

// names are those of one object, as a Bloom filter with four tables of its own.
type names struct {
	tables [4]uint64
	start  int // of the object
	object bool
}

// maxLooks bounds how often Plain looks whether a name is there: each time costs as much as the object is long.
const maxLooks = 16

// hasMember tells whether an object, which is cut off before a name, has a member of this name on its own level.
func hasMember(object, wanted []byte) bool {
	var decoded [128]byte
	level, name := 0, false
	for i := 0; i < len(object); {
		switch c := object[i]; classes[c] {
		case classQuote:
			end, escaped := stringEnd(object, i+1)
			if end < 0 {
				return true // it cannot be: what was read before has ended.
			}
			if name {
				text := object[i+1 : end-1]
				if escaped {
					text, _ = AppendText(decoded[:0], text)
				}
				if string(text) == string(wanted) {
					return true
				}
			}
			name = false
			i = end
			continue
		case classOpen:
			level++
			name = level == 1
		case classClose:
			level--
			name = false
		case classMark:
			name = c == ',' && level == 1
		}
		i++
	}
	return false
}

// addName adds a name to those of an object, by its hash; false: it may be there already.
func addName(tables *[4]uint64, h uint64) bool {
	b0, b1, b2, b3 := uint64(1)<<(h&63), uint64(1)<<(h>>6&63), uint64(1)<<(h>>12&63), uint64(1)<<(h>>18&63)
	known := tables[0]&b0 != 0 && tables[1]&b1 != 0 && tables[2]&b2 != 0 && tables[3]&b3 != 0
	tables[0] |= b0
	tables[1] |= b1
	tables[2] |= b2
	tables[3] |= b3
	return !known
}

// hashName mixes the length and the first and last eight bytes of a name, which are all there are of nearly all names.
func hashName(name []byte) uint64 {
	var first, last uint64
	if n := len(name); n >= 8 {
		first, last = load8(name, 0), load8(name, n-8)
	} else {
		for i, c := range name {
			first |= uint64(c) << (8 * i)
		}
	}
	return mixName(len(name), first, last)
}

// mixName is hashName by what it looks at; last is 0 for names of less than eight bytes.
func mixName(length int, first, last uint64) uint64 {
	high, low := bits.Mul64(first^0x9E3779B97F4A7C15, last^uint64(length)^0xC2B2AE3D27D4EB4F) //nolint:gosec // lengths are not negative.
	return high ^ low
}

// HasHalf tells whether an escape in the inside of a string is half of a character, or none of JSON's that begins with u.
func HasHalf(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 || i+next+1 >= len(text) {
			return false
		}
		i += next + 1
		if text[i] != 'u' {
			continue
		}
		r, ok := hex4(text[i+1:])
		if !ok {
			return true
		}
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if i+2 < len(text) && text[i+1] == '\\' && text[i+2] == 'u' {
			if low, ok := hex4(text[i+3:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				i += 6
				continue
			}
		}
		return true
	}
	return false
}
