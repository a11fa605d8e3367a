package jsonscan

import "math/bits"

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
	asking bool // there is a want
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
		w.levels = w.first[:]
	}
	w.asking = w.want != nil
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
//
// What is usual stands where it is come upon first, and costs few jumps: short names, strings behind them, and other names behind these, with no
// white space between. Bytes are looked at in such a way that the compiler sees that they are there: see load8.
func (w *Walker) walk() error {
	var (
		raw     = w.raw
		i       = skipSpace(raw, 0)
		levels  = w.levels
		depth   int    // how many are open
		top     *level // the innermost one
		end     int
		escaped bool
	)
	if i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] != '{' && raw[i] != '[' {
		return scalar(raw, i)
	}

open: // the level that opens at raw[i]
	{
		if depth == MaxDepth {
			return depthAt(i)
		}
		if depth == len(levels) {
			levels = append(levels, make([]level, len(levels))...)
			w.levels = levels
			top = &levels[depth-1]
		}
		outer := top
		top = &levels[depth]
		depth++
		c := raw[i]
		*top = level{array: c == '[', start: i}
		if top.array && outer != nil {
			top.nameStart, top.nameEnd, top.escaped = outer.nameStart, outer.nameEnd, outer.escaped
		}
		if i = skipSpace(raw, i+1); uint(i) >= uint(len(raw)) {
			return endAt(len(raw))
		}
		switch raw[i] {
		case c + 2: // ']' is '['+2, '}' is '{'+2
			goto pop
		case '"':
			if c == '{' {
				goto name
			}
			goto text
		}
		if c == '{' {
			return syntaxAt(i, "member name expected")
		}
		goto value
	}

name: // of a member, the quote of which is raw[i]
	for end = i + 1; end >= 0 && end < len(raw)-7; end += 8 {
		if m := notPlain(load8(raw, end)); m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
	}
	if uint(end) < uint(len(raw)) && raw[end] == '"' {
		end, escaped = end+1, false
	} else if end, escaped = strictString(raw, end); end < 0 {
		return stringError(raw, i+1)
	}
	top.nameStart, top.nameEnd, top.escaped, top.meaning = i+1, end-1, escaped, meansUnknown
	i = end
	if i >= 0 && i < len(raw)-1 && uint16(raw[i])|uint16(raw[i+1])<<8 == ':'|'"'<<8 && depth > 1 {
		i++
		goto text
	}
	if uint(i) >= uint(len(raw)) || raw[i] != ':' {
		if i = skipSpace(raw, i); i >= len(raw) {
			return endAt(len(raw))
		}
		if raw[i] != ':' {
			return syntaxAt(i, "colon expected")
		}
	}
	i = skipSpace(raw, i+1)
	if depth == 1 && w.listing {
		w.list(top, i)
	}

value: // of which raw[i] must be the first byte
	if uint(i) >= uint(len(raw)) {
		return endAt(len(raw))
	}
	switch c := raw[i]; c {
	case '"':
	case '{', '[':
		goto open
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

text: // the string that is a value, the quote of which is raw[i]
	for end = i + 1; end >= 0 && end < len(raw)-7; end += 8 {
		if m := notPlain(load8(raw, end)); m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
	}
	if uint(end) < uint(len(raw)) && raw[end] == '"' {
		end, escaped = end+1, false
	} else if end, escaped = strictString(raw, end); end < 0 {
		return stringError(raw, i+1)
	}
	if w.asking && (w.Likely == nil || top.escaped || w.Likely.may(raw[top.nameStart:top.nameEnd])) && w.wants(top) {
		w.open = depth
		w.field.Start, w.field.End, w.field.escaped = i, end, escaped
		if err := w.visit(&w.field); err != nil {
			return err
		}
	}
	i = end
	if i >= 0 && i < len(raw)-1 && uint16(raw[i])|uint16(raw[i+1])<<8 == ','|'"'<<8 {
		i++
		if top.array {
			goto text
		}
		goto name
	}

after: // a value, where raw[i] goes on
	if uint(i) >= uint(len(raw)) || raw[i] <= ' ' {
		if i = skipSpace(raw, i); uint(i) >= uint(len(raw)) {
			return endAt(len(raw))
		}
	}
	switch c := raw[i]; c {
	case ',':
		i = skipSpace(raw, i+1)
		if top.array {
			goto value
		}
		if uint(i) >= uint(len(raw)) {
			return endAt(len(raw))
		}
		if raw[i] != '"' {
			return syntaxAt(i, "member name expected")
		}
		goto name
	case ']', '}':
		if top.array != (c == ']') {
			return syntaxAt(i, "bracket closes another kind")
		}
	default:
		return syntaxAt(i, "comma or closing bracket expected")
	}

pop: // the level that closes at raw[i]
	if depth--; depth > 0 {
		top = &levels[depth-1]
		i++
		goto after
	}
	if w.listing {
		w.ended(i)
	}
	if i = skipSpace(raw, i+1); i < len(raw) {
		return syntaxAt(i, "data after the value")
	}
	return nil
}

// scalar validates a text that is neither an object nor an array, from raw[i] on.
func scalar(raw []byte, i int) error {
	var end int
	switch raw[i] {
	case '"':
		if end, _ = strictString(raw, i+1); end < 0 {
			return stringError(raw, i+1)
		}
	case 't', 'f', 'n':
		if end = literalEnd(raw, i); end < 0 {
			return literalError(raw, i)
		}
	default:
		if end = numberEnd(raw, i); end < 0 {
			return numberError(raw, i)
		}
	}
	if end = skipSpace(raw, end); end < len(raw) {
		return syntaxAt(end, "data after the value")
	}
	return nil
}

// list notes a member of the root's, whose value begins at raw[at], if it is to be listed.
func (w *Walker) list(top *level, at int) {
	w.ended(top.nameStart - 1)
	if w.Listed == nil || top.escaped || w.Listed.may(w.raw[top.nameStart:top.nameEnd]) {
		w.members = append(w.members, Member{KeyStart: top.nameStart - 1, KeyEnd: top.nameEnd + 1, Start: at, Escaped: top.escaped})
	}
}

// ended notes where a value of the root's ended, if its member is listed and it was not noted before: what follows, at raw[next], is the next
// name or the root's bracket.
func (w *Walker) ended(next int) {
	n := len(w.members) - 1
	if n < 0 || w.members[n].End != 0 {
		return
	}
	at := next - 1
	for classes[w.raw[at]] == classSpace || w.raw[at] == ',' {
		at--
	}
	w.members[n].End = at + 1
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
