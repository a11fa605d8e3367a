package jsonscan

// Walker validates texts and finds strings in them. The zero value is ready.
// It keeps scratch space, so that a Walker used again allocates nothing; it
// must not be copied, nor used by several goroutines at once, nor from within
// visit.
type Walker struct {
	// Likely, if it is set, holds all names that want may accept. want is then asked about these, and of all others only about a few. Find gives
	// what stands under these, and under a few others.
	Likely *Names

	// Listed, if it is set, holds the names of members that WalkMembers is asked for. It then leaves out nearly all others.
	Listed *Names

	// Watch has the names and escapes of a text looked at on the way, so that Plain can be asked afterwards.
	Watch bool

	raw    []byte
	levels []level // space for them
	open   int     // how many of them are, while visit is called
	field  Field

	listing bool // the root's members are asked for
	members []Member
	unended bool // it is not known yet where the last one of them ends

	asking  bool // strings are asked for
	finding bool // in found, and not by visit
	found   []Found

	doubt   bool          // with Watch: a name may stand twice in an object
	escapes bool          // there are escapes that may be halves of characters
	names   [24][4]uint64 // those of the objects that are open, each as in names of plain.go

	ahead        int // where the string ends that run has stopped at
	aheadEscaped bool

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
	meaning            uint8
	asked, wanted      bool // an array's answer of want
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
	w.raw = raw
	if w.levels == nil {
		w.levels, w.field.w = w.first[:], w
	}
	err := w.walk(want, visit)
	w.raw = nil
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
	w.listing, w.unended, w.members = true, false, w.members[:0]
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

// maxMembers is for how many members a Walker keeps space, and as many strings found.
const maxMembers = 1024

// Find is WalkMembers, but gives the strings that Likely lets through, in document order, and visits none. They are valid as long as the members
// are.
func (w *Walker) Find(raw []byte) ([]Member, []Found, error) {
	w.finding, w.found = true, w.found[:0]
	members, err := w.WalkMembers(raw, nil, nil)
	w.finding = false
	found := w.found
	if cap(found) > maxMembers {
		w.found = nil
	}
	if err != nil {
		return nil, nil, err
	}
	return members, found, nil
}

// trim gives up scratch space that has grown too large.
func (w *Walker) trim() {
	for _, b := range []*[]byte{&w.nameText, &w.key, &w.text, &w.path} {
		if cap(*b) > maxScratch {
			*b = nil
		}
	}
}

// walk is the validator: a loop over values, with the open levels as its stack. It says all there is to say; run goes ahead where it can.
func (w *Walker) walk(want func(key []byte) bool, visit func(f *Field) error) error {
	var (
		raw     = w.raw
		i       = skipSpace(raw, 0)
		depth   int    // how many levels are open
		top     *level // the innermost one
		end     int
		escaped bool
		at      place
	)
	w.asking = w.finding || visit != nil && want != nil
	w.doubt, w.escapes = false, false
	if i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] != '{' && raw[i] != '[' {
		w.doubt = true // no resource is that.
		return scalar(raw, i)
	}

open: // the level that opens at raw[i]
	if depth == MaxDepth {
		return depthAt(i)
	}
	if depth == len(w.levels) {
		w.levels = append(w.levels, make([]level, len(w.levels))...)
	}
	depth++
	top = &w.levels[depth-1]
	*top = level{start: i, array: raw[i] == '['}
	if w.Watch && depth <= len(w.names) {
		w.names[depth-1] = [4]uint64{}
	}
	if top.array && depth > 1 {
		outer := &w.levels[depth-2]
		top.nameStart, top.nameEnd, top.escaped = outer.nameStart, outer.nameEnd, outer.escaped
	}
	if i = skipSpace(raw, i+1); i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] == raw[top.start]+2 { // ']' is '['+2, '}' is '{'+2
		goto pop
	}
	if at = atName; top.array {
		at = atValue
	}
	goto run

name: // of a member, at raw[i]
	if i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] != '"' {
		return syntaxAt(i, "member name expected")
	}
	if end, escaped = strictString(raw, i+1); end < 0 {
		return stringError(raw, i+1)
	}
	top.nameStart, top.nameEnd, top.escaped, top.meaning = i+1, end-1, escaped, meansUnknown
	if w.Watch {
		w.watch(depth, raw[i+1:end-1], escaped)
	}
	if i = skipSpace(raw, end); i >= len(raw) {
		return endAt(len(raw))
	}
	if raw[i] != ':' {
		return syntaxAt(i, "colon expected")
	}
	i = skipSpace(raw, i+1)
	if depth == 1 && w.listing {
		w.list(top, i)
	}

value: // of which raw[i] must be the first byte
	if i >= len(raw) {
		return endAt(len(raw))
	}
	switch raw[i] {
	case '{', '[':
		goto open
	case '"':
		if end, escaped = strictString(raw, i+1); end < 0 {
			return stringError(raw, i+1)
		}
		w.escapes = w.escapes || escaped
		if w.open = depth; w.asking && w.likely(top) {
			if err := w.meet(i, end, escaped, want, visit); err != nil {
				return err
			}
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
	i, at = end, atEnd

run: // on, as far as it can
	if depth <= len(w.first) {
		w.open = depth
		i, at = w.run(i, at)
		depth = w.open
		top = &w.levels[depth-1]
	}
	switch at {
	case atName:
		i = skipSpace(raw, i)
		goto name
	case atValue:
		i = skipSpace(raw, i)
		goto value
	case atText:
		if err := w.meet(i, w.ahead, w.aheadEscaped, want, visit); err != nil {
			return err
		}
		i, at = w.ahead, atEnd
		goto run
	case atEnd:
	}

	// Behind a value, where raw[i] goes on.
	if i = skipSpace(raw, i); i >= len(raw) {
		return endAt(len(raw))
	}
	switch c := raw[i]; {
	case c == ',':
		i = skipSpace(raw, i+1)
		if at = atName; top.array {
			at = atValue
		}
		goto run
	case c == ']' && top.array, c == '}' && !top.array:
	case c == ']' || c == '}':
		return syntaxAt(i, "bracket closes another kind")
	default:
		return syntaxAt(i, "comma or closing bracket expected")
	}

pop: // the level that closes at raw[i]
	if depth--; depth > 0 {
		top = &w.levels[depth-1]
		i, at = i+1, atEnd
		goto run
	}
	if w.listing {
		w.ended(i)
	}
	if i = skipSpace(raw, i+1); i < len(raw) {
		return syntaxAt(i, "data after the value")
	}
	return nil
}

// watch looks at a name that run has left to walk.
func (w *Walker) watch(depth int, name []byte, escaped bool) {
	if escaped || depth > len(w.names) {
		w.doubt = true // these are rare: it is not worth while to look closer.
		return
	}
	h := hashName(name)
	n := &w.names[depth-1]
	w.doubt = !addName(n, h) || w.doubt
}

// Plain tells of the text that was walked last, with Watch and without an error, what the function Plain does. It doubts more: also where a
// name has escapes, or stands on a level that is beyond the first few.
func (w *Walker) Plain(raw []byte) bool {
	return !w.doubt && (!w.escapes || !HasHalf(raw))
}

// likely tells whether the strings that stand directly on a level may be asked for.
func (w *Walker) likely(top *level) bool {
	return w.Likely == nil || top.escaped || w.Likely.may(w.raw[top.nameStart:top.nameEnd])
}

// meet deals with a string that may be asked for, on the innermost level.
func (w *Walker) meet(start, end int, escaped bool, want func(key []byte) bool, visit func(f *Field) error) error {
	top := &w.levels[w.open-1]
	if w.finding {
		if top.nameStart > 0 {
			w.found = append(w.found, w.place(start, end, escaped))
		}
		return nil
	}
	if !w.wants(top, want) {
		return nil
	}
	f := &w.field
	f.Start, f.End, f.escaped = start, end, escaped
	return visit(f)
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
		w.unended = true
	}
}

// ended notes where the value of the last member listed has ended, if that was not noted before: what follows, at raw[next], is the next name or
// the root's bracket.
func (w *Walker) ended(next int) {
	if !w.unended {
		return
	}
	at := next - 1
	for classes[w.raw[at]] == classSpace || w.raw[at] == ',' {
		at--
	}
	w.members[len(w.members)-1].End = at + 1
	w.unended = false
}

// wants tells whether the strings that stand directly on this level are asked
// for. An array's name is asked about once.
func (w *Walker) wants(top *level, want func(key []byte) bool) bool {
	if !top.array {
		return want(w.name(top))
	}
	if !top.asked {
		top.asked = true
		top.wanted = top.nameStart > 0 && want(w.name(top))
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
