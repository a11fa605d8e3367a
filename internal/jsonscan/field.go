package jsonscan

import "unicode/utf8"

// Field is one string value met by [Walker.Walk]. It and what Key returns are
// valid only during the call they are given to; Text and Path return copies.
type Field struct {
	Start, End int // place of the token in the text, quotes included

	w       *Walker
	escaped bool
}

// levels are those that are open around the string.
func (f *Field) levels() []level { return f.w.levels[:f.w.open] }

// Key gives the decoded name of the member that the string, or the array
// holding it, is the value of. The caller must not change it.
func (f *Field) Key() []byte {
	top := &f.levels()[f.w.open-1]
	if !top.escaped {
		return f.w.name(top)
	}
	// Not the scratch space of name, which the other methods use.
	f.w.key = append(f.w.key[:0], f.w.name(top)...)
	return f.w.key
}

// Text gives what the string says. A surrogate without its partner becomes
// U+FFFD.
func (f *Field) Text() string {
	inside := f.w.raw[f.Start+1 : f.End-1]
	if !f.escaped {
		return string(inside)
	}
	f.w.text, _ = AppendText(f.w.text[:0], inside)
	return string(f.w.text)
}

// Path gives the decoded member names from the root to the string, joined by
// dots. Arrays add nothing to it. One of more than [MaxPath] bytes, which FHIR does not have, is cut.
func (f *Field) Path() string {
	f.w.path = f.AppendPath(f.w.path[:0])
	return string(f.w.path)
}

// MaxPath is the longest path: each string may be asked for its own, so that long names would be copied many times.
const MaxPath = 4096

// AppendPath appends to dst what Path gives.
func (f *Field) AppendPath(dst []byte) []byte {
	most := len(dst) + MaxPath
	first := true
	for i := range f.levels() {
		l := &f.levels()[i]
		if l.array {
			continue
		}
		if !first {
			dst = append(dst, '.')
		}
		first = false
		name := f.w.name(l)
		if len(dst)+len(name) > most {
			cut := max(0, most-len(dst))
			for cut > 0 && !utf8.RuneStart(name[cut]) {
				cut--
			}
			return append(dst, name[:cut]...)
		}
		dst = append(dst, name...)
	}
	return dst
}

// Depth gives the number of names in Path: 1 for a member of the root object.
func (f *Field) Depth() int {
	n := 0
	for i := range f.levels() {
		if !f.levels()[i].array {
			n++
		}
	}
	return n
}

// InContained tells whether the string is below the root's member contained.
func (f *Field) InContained() bool {
	for i := range f.levels() {
		if l := &f.levels()[i]; !l.array {
			return f.w.meaning(l) == meansContained
		}
	}
	return false
}

// InExtension tells whether the string is below a member extension or
// modifierExtension, on whatever level that stands.
func (f *Field) InExtension() bool {
	for i := range f.levels() {
		if l := &f.levels()[i]; !l.array && f.w.meaning(l) == meansExtension {
			return true
		}
	}
	return false
}

// What the name of a level says about all that is below it. It is remembered: many strings may stand below the same names.
const (
	meansUnknown uint8 = iota // it has not been looked at
	meansNothing
	meansContained
	meansExtension
)

func (w *Walker) meaning(l *level) uint8 {
	if l.meaning == meansUnknown {
		switch string(w.name(l)) {
		case "contained":
			l.meaning = meansContained
		case "extension", "modifierExtension":
			l.meaning = meansExtension
		default:
			l.meaning = meansNothing
		}
	}
	return l.meaning
}

// Parent gives the decoded name of the member that the object with the string in it is the value of, be it directly or in an array; nothing if
// that is the root. It is valid until another method of Field is called.
func (f *Field) Parent() []byte {
	i := f.inner()
	if i <= 0 {
		return nil
	}
	return f.w.name(&f.levels()[i-1])
}

// Object gives the place where the innermost object that the string stands in begins; -1 if there is none.
func (f *Field) Object() int {
	i := f.inner()
	if i < 0 {
		return -1
	}
	return f.levels()[i].start
}

// inner gives the index of the innermost object.
func (f *Field) inner() int {
	i := f.w.open - 1
	for i >= 0 && f.levels()[i].array {
		i--
	}
	return i
}

// Found gives the string as Walker.Find does.
func (f *Field) Found() Found { return f.w.place(f.Start, f.End, f.escaped) }

// Inside gives what stands between the quotes, as it is written, and whether there are escapes in it.
func (f *Field) Inside() (inside []byte, escaped bool) {
	return f.w.raw[f.Start+1 : f.End-1], f.escaped
}
