package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// Walker validates texts and finds strings in them. The zero value is ready.
// It keeps scratch space, so that a Walker used again allocates nothing; it
// must not be copied, nor used by several goroutines at once, nor from within
// visit.
type Walker struct {
	// Likely, if it is set, holds all names that want may accept. want is then asked about these, and of all others only about a few.
	Likely *Names

	// Listed, if it is set, holds the names of members that WalkMembers is asked for. It then leaves out nearly all others.
	Listed *Names

	raw    []byte
	levels []level // space for them
	open   int     // how many of them are, while visit is called
	field  Field
	want   func(key []byte) bool
	visit  func(f *Field) error

	listing bool // the root's members are asked for
	members []Member

	nameText, key, text, path []byte    // scratch space of name, Key, Text and Path
	first                     [24]level // enough for nearly all resources
}

// level is an object or array that is open, and the name under which its
// values stand: in an object that of the current member, in an array that of
// the array itself. Outermost arrays have none.
type level struct {
	nameStart, nameEnd int // without the quotes; 0 for no name
	start              int // of the bracket
	array              bool
	escaped            bool // the name has escapes
	asked, wanted      bool // an array's answer of want
	meaning            uint8
}

// Valid tells whether raw is JSON as [Walker.Walk] has it.
func Valid(raw []byte) error {
	var w Walker
	return w.Walk(raw, nil, nil)
}

// Walk validates raw and calls visit, in document order, for each string value
// that stands under a name which want accepts, be it directly or in an array.
// The key given to want is decoded and valid during the call only. If want or
// visit is nil, nothing is visited.
//
// Validation is by RFC 8259: one value with white space around it, in strict
// UTF-8, nested no deeper than [MaxDepth]. As the RFC allows, duplicate names
// and surrogates without a partner (as escapes) are accepted. A byte order mark
// is not.
//
// The error is that of visit, as it is, which ends the walk; or io.ErrUnexpectedEOF
// with a place if raw ends too early, [ErrDepth] with a place, or a
// [*SyntaxError]. A fault is noticed when Walk comes to it: visit may have been
// called before.
func (w *Walker) Walk(raw []byte, want func(key []byte) bool, visit func(f *Field) error) error {
	if visit == nil {
		want = nil
	}
	w.raw, w.want, w.visit = raw, want, visit
	if w.levels == nil {
		w.levels = w.first[:0]
	}
	w.field.w = w
	err := w.walk()
	w.raw, w.want, w.visit = nil, nil, nil
	w.trim()
	return err
}

// Member is one member of the root object.
type Member struct {
	KeyStart, KeyEnd int  // place of the name, quotes included
	Start, End       int  // place of the value
	Escaped          bool // the name has escapes
}

// WalkMembers is Walk, and gives the members of the root object (see Listed), in document
// order and with all duplicates; none if the root is not an object. They are
// valid until the Walker is used again. An error leaves none.
func (w *Walker) WalkMembers(raw []byte, want func(key []byte) bool, visit func(f *Field) error) ([]Member, error) {
	w.listing, w.members = true, w.members[:0]
	err := w.Walk(raw, want, visit)
	w.listing = false
	members := w.members
	if cap(members) > maxMembers {
		w.members = nil
	}
	if err != nil {
		return nil, err
	}
	return members, nil
}

// maxMembers is for how many members a Walker keeps space.
const maxMembers = 1024

// trim gives up scratch space that has grown too large.
func (w *Walker) trim() {
	for _, b := range []*[]byte{&w.nameText, &w.key, &w.text, &w.path} {
		if cap(*b) > maxScratch {
			*b = nil
		}
	}
}

// walk is the validator: a loop over values, with the open levels as its stack.
func (w *Walker) walk() error {
	var (
		raw     = w.raw
		levels  = w.levels[:0]
		past    int // behind the last value
		i       = skipSpace(raw, 0)
		top     *level // the innermost level, nil outside of all
		end     int
		escaped bool
	)

value: // of which raw[i] must be the first byte
	if i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] == '"' { // as most are, which is why it is asked first
		// What is plain is looked at here, and the rest of it, from where it stops being plain, in strictString. See there.
		for end = i + 1; end+8 <= len(raw); end += 8 {
			if m := notPlain(binary.LittleEndian.Uint64(raw[end:])); m != 0 {
				end += bits.TrailingZeros64(m) >> 3
				break
			}
		}
		if end < len(raw) && raw[end] == '"' {
			end, escaped = end+1, false
		} else if end, escaped = strictString(raw, end); end < 0 {
			return stringError(raw, i+1)
		}
		if w.want != nil && top != nil && (w.Likely == nil || top.escaped || w.Likely.may(raw[top.nameStart:top.nameEnd])) && w.wants(top) {
			w.open = len(levels)
			w.field.Start, w.field.End, w.field.escaped = i, end, escaped
			if err := w.visit(&w.field); err != nil {
				return err
			}
		}
		i = end
		goto after
	}
	switch c := raw[i]; c {
	case '{', '[':
		if len(levels) == MaxDepth {
			return depthAt(i)
		}
		outer := top
		if len(levels) < cap(levels) {
			levels = levels[:len(levels)+1]
		} else {
			levels = append(levels, level{})
			w.levels = levels
		}
		top = &levels[len(levels)-1]
		*top = level{array: c == '[', start: i}
		if top.array && outer != nil {
			top.nameStart, top.nameEnd, top.escaped = outer.nameStart, outer.nameEnd, outer.escaped
		}
		if i = skipSpace(raw, i+1); i >= len(raw) {
			return endAt(len(raw))
		}
		if raw[i] == c+2 { // ']' is '['+2, '}' is '{'+2
			goto pop
		}
		if c == '{' {
			goto name
		}
		goto value
	case 't', 'f', 'n':
		if end = literalEnd(raw, i); end < 0 {
			return literalError(raw, i)
		}
		i = end
		goto after
	default:
		if end = numberEnd(raw, i); end < 0 {
			return numberError(raw, i)
		}
		i = end
		goto after
	}

after: // a value, where raw[i] goes on
	past = i
	if top == nil {
		if i = skipSpace(raw, i); i < len(raw) {
			return syntaxAt(i, "data after the value")
		}
		return nil
	}
	if i >= len(raw) || raw[i] <= ' ' {
		if i = skipSpace(raw, i); i >= len(raw) {
			return endAt(len(raw))
		}
	}
	switch c := raw[i]; {
	case c == ',':
		i = skipSpace(raw, i+1)
		if top.array {
			goto value
		}
		goto name
	case c == ']' && top.array, c == '}' && !top.array:
		goto pop
	case c == ']' || c == '}':
		return syntaxAt(i, "bracket closes another kind")
	default:
		return syntaxAt(i, "comma or closing bracket expected")
	}

pop: // the level that closes at raw[i]
	i++
	levels = levels[:len(levels)-1]
	if len(levels) > 0 {
		top = &levels[len(levels)-1]
		goto after
	}
	top = nil
	if w.listing {
		w.ended(past)
	}
	goto after

name: // of a member, at raw[i]
	if i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] != '"' {
		return syntaxAt(i, "member name expected")
	}
	for end = i + 1; end+8 <= len(raw); end += 8 {
		if m := notPlain(binary.LittleEndian.Uint64(raw[end:])); m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
	}
	if end < len(raw) && raw[end] == '"' {
		end, escaped = end+1, false
	} else if end, escaped = strictString(raw, end); end < 0 {
		return stringError(raw, i+1)
	}
	top.nameStart, top.nameEnd, top.escaped, top.meaning = i+1, end-1, escaped, meansUnknown
	if i = end; i >= len(raw) || raw[i] != ':' {
		if i = skipSpace(raw, i); i >= len(raw) {
			return endAt(len(raw))
		}
		if raw[i] != ':' {
			return syntaxAt(i, "colon expected")
		}
	}
	i = skipSpace(raw, i+1)
	if len(levels) == 1 && w.listing {
		w.ended(past)
		if w.Listed == nil || escaped || w.Listed.may(raw[top.nameStart:top.nameEnd]) {
			w.members = append(w.members, Member{KeyStart: top.nameStart - 1, KeyEnd: top.nameEnd + 1, Start: i, Escaped: escaped})
		}
	}
	goto value
}

// ended notes where a value of the root's ended, if its member is listed and it was not noted before.
func (w *Walker) ended(at int) {
	if n := len(w.members) - 1; n >= 0 && w.members[n].End == 0 {
		w.members[n].End = at
	}
}

// wants tells whether the strings that stand directly on this level are asked
// for. An array's name is asked about once.
func (w *Walker) wants(top *level) bool {
	if !top.array {
		return w.want(w.name(top))
	}
	if !top.asked {
		top.asked = true
		top.wanted = top.nameStart > 0 && w.want(w.name(top))
	}
	return top.wanted
}

// name gives the decoded name of a level, valid until the next call. Of a name with escapes that is longer than any in FHIR it gives the
// beginning: it is decoded again and again, and how long it is, is for the input to choose.
func (w *Walker) name(l *level) []byte {
	const longest = 1536
	name := w.raw[l.nameStart:l.nameEnd]
	if l.escaped {
		if len(name) > longest {
			i := 0
			for i < longest {
				if name[i] == '\\' {
					i += escapeLen(name[i:])
				} else {
					i++
				}
			}
			name = name[:i]
		}
		w.nameText, _ = AppendText(w.nameText[:0], name)
		return w.nameText
	}
	return name
}
