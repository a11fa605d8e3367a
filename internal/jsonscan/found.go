package jsonscan

// Found is one string value, as [Walker.Find] gives it.
type Found struct {
	Start, End int  // place of the token in the text, quotes included
	Escaped    bool // it has escapes

	key, parent nameAt
}

// nameAt is where a name stands, without the quotes.
type nameAt struct {
	start, end int
	escaped    bool
}

func (n *nameAt) of(raw []byte) []byte {
	if n.escaped {
		return n.decoded(raw)
	}
	return raw[n.start:n.end]
}

func (n *nameAt) decoded(raw []byte) []byte {
	text, _ := AppendText(nil, raw[n.start:n.end])
	return text
}

// Key gives what [Field.Key] gives. raw is the text that it was found in.
func (f *Found) Key(raw []byte) []byte { return f.key.of(raw) }

// Parent gives what [Field.Parent] gives. raw is the text that it was found in.
func (f *Found) Parent(raw []byte) []byte { return f.parent.of(raw) }

// place gives a string on the innermost level.
func (w *Walker) place(start, end int, escaped bool) Found {
	f := Found{Start: start, End: end, Escaped: escaped}
	top := &w.levels[w.open-1]
	f.key = nameAt{top.nameStart, top.nameEnd, top.escaped}
	up := w.open - 1
	for up > 0 && w.levels[up].array {
		up--
	}
	if up > 0 {
		outer := &w.levels[up-1]
		f.parent = nameAt{outer.nameStart, outer.nameEnd, outer.escaped}
	}
	return f
}
