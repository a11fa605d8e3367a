package jsonscan

// Names longer than this, or beyond this many, are not remembered, because
// they are for the input to choose.
const (
	maxNameLen = 64
	maxNames   = 256
)

// maxScratch is how much scratch space is kept for the next use. One huge
// string shall not be paid for ever after.
const maxScratch = 64 << 10

// writer makes strings out of tokens. The texts of one entry share one string:
// that is one allocation for all of them, and who keeps one of them keeps no
// more than the others of the same entry.
type writer struct {
	text   []byte
	names  map[string]string // resource types and status texts come again and again
	lately *[64]string       // some of them, which are found here faster; nil while there are none
}

// span is a place in writer.text.
type span struct{ start, end int }

// header fills in the Header that h has the places of, and gives the text of one more
// token. A text with a broken escape is empty, and an error.
func (w *writer) header(out *Header, buf []byte, h *head, extra *token) (extraText string, err error) {
	out.Subsetted = h.subsetted
	out.ResourceType, err = w.name(buf, &h.typ)
	w.text = w.text[:0]
	id := w.add(buf, &h.id, &err)
	version := w.add(buf, &h.version, &err)
	updated := w.add(buf, &h.updated, &err)
	last := w.add(buf, extra, &err)
	if len(w.text) > 0 {
		all := string(w.text)
		out.ID = all[id.start:id.end]
		out.VersionID = all[version.start:version.end]
		out.LastUpdated = all[updated.start:updated.end]
		extraText = all[last.start:last.end]
	}
	return extraText, err
}

// add appends the text of a token, if it is a string, to w.text.
func (w *writer) add(buf []byte, t *token, err *error) (sp span) {
	sp.start = len(w.text)
	switch {
	case t.kind != '"':
	case !t.escaped:
		w.text = append(w.text, t.text(buf)...)
	default:
		var ok bool
		if w.text, ok = AppendText(w.text, t.text(buf)); !ok {
			w.text = w.text[:sp.start]
			if *err == nil {
				*err = syntaxAt(t.start, "bad escape")
			}
		}
	}
	sp.end = len(w.text)
	return sp
}

// string gives the text of one token in a string of its own.
func (w *writer) string(buf []byte, t *token) (text string, err error) {
	w.text = w.text[:0]
	w.add(buf, t, &err)
	return string(w.text), err
}

// name gives the text of a token that is likely to have come before.
func (w *writer) name(buf []byte, t *token) (text string, err error) {
	if t.kind == '"' && !t.escaped {
		return w.known(t.text(buf)), nil
	}
	w.text = w.text[:0]
	w.add(buf, t, &err)
	return w.known(w.text), err
}

// known gives text as a string, without making a new one if it can.
func (w *writer) known(text []byte) string {
	switch string(text) {
	case "":
		return ""
	case "match":
		return "match"
	case "include":
		return "include"
	}
	// Most types' names differ in their length and ends.
	at := (29*len(text) + 10*int(text[0]) + int(text[len(text)-1])) & 63
	if w.lately != nil && w.lately[at] == string(text) {
		return w.lately[at]
	}
	name, ok := w.names[string(text)]
	if !ok {
		name = string(text)
		if len(name) > maxNameLen || len(w.names) >= maxNames {
			return name
		}
		if w.names == nil {
			w.names, w.lately = make(map[string]string), new([64]string)
		}
		w.names[name] = name
	}
	w.lately[at] = name
	return name
}

// trim gives up scratch space that has grown too large.
func (w *writer) trim() {
	if cap(w.text) > maxScratch {
		w.text = nil
	}
}
