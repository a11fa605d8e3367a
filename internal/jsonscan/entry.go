package jsonscan

// entry reads one entry and adds it to Entries. Only a page that cannot be
// followed any more is an error.
func (p *pageReader) entry(missing bool) error {
	s, b := &p.s, p.b
	if len(b.Entries) >= most(s.buf) {
		return syntaxAt(s.pos, "too many entries")
	}
	start := s.pos
	if missing {
		b.Entries = append(b.Entries, Entry{Start: start, End: start, Err: syntaxAt(start, "entry missing")})
		return nil
	}
	if !s.at('{') {
		t, err := s.value(1)
		if err == nil {
			b.Entries = append(b.Entries, Entry{Start: start, End: t.end, Err: syntaxAt(start, "entry is not an object")})
		}
		return err
	}
	r := entryReader{s: s}
	if err := r.read(); err != nil {
		return err
	}
	n := len(b.Entries)
	if n < cap(b.Entries) {
		b.Entries = b.Entries[:n+1] // it was cleared, and costs more to be moved there than to be filled in its place
	} else {
		b.Entries = append(b.Entries, Entry{})
	}
	e := &b.Entries[n]
	e.Start, e.End = start, s.pos
	r.fill(e, &b.w)
	return nil
}

// entryReader reads one entry.
type entryReader struct {
	s                     *scanner
	h                     head  // of the resource, or why there is none
	resource              token // the last one
	resources             int   // how many
	fullURL, mode, status token
}

// read moves over the entry that opens at pos.
func (r *entryReader) read() error {
	s := r.s
	s.pos++
	var l list
	if ok, err := r.usual(); ok {
		if err != nil {
			return err
		}
		if s.pos < len(s.buf) && s.buf[s.pos] == '}' {
			s.pos++
			return nil
		}
		l.begun = true
	}
	for {
		name, more, err := s.member(&l)
		if err != nil {
			return err
		}
		if !more {
			if l.bad != nil {
				r.h.fail(l.bad)
			}
			return nil
		}
		start := s.pos
		switch string(s.text(name)) {
		case "fullUrl":
			err = s.last(&r.h, 2, &r.fullURL)
		case "resource":
			err = r.readResource()
		case "search":
			err = r.pick("mode", &r.mode)
		case "response":
			err = r.pick("status", &r.status)
		default:
			err = s.ignore(&r.h, 2)
		}
		if err != nil {
			return err
		}
		if s.pos == start {
			l.note(start, "value missing")
		}
	}
}

// usual reads the members that most entries have, and in most cases no others, if they stand at pos in the way in which most servers write them.
// False: nothing has been read.
func (r *entryReader) usual() (bool, error) {
	const (
		fullURL  = `"fullUrl":"`
		resource = `,"resource":{`
		match    = `,"search":{"mode":"match"}`
	)
	s := r.s
	if !hasAt(s.buf, s.pos, fullURL) {
		return false, nil
	}
	start := s.pos + len(fullURL) - 1
	end, escaped := stringEnd(s.buf, start+1)
	if end < 0 || !hasAt(s.buf, end, resource) {
		return false, nil
	}
	r.fullURL = token{start: start, end: end, kind: '"', escaped: escaped}
	s.pos = end + len(resource) - 1
	if err := r.readResource(); err != nil {
		return true, err
	}
	if hasAt(s.buf, s.pos, match) {
		s.pos += len(match)
		r.mode = token{start: s.pos - len(`"match"}`), end: s.pos - len(`}`), kind: '"'}
	}
	return true, nil
}

// hasAt tells whether text stands at buf[i].
func hasAt(buf []byte, i int, text string) bool {
	return i <= len(buf)-len(text) && string(buf[i:i+len(text)]) == text
}

// readResource moves over the value of the member resource.
func (r *entryReader) readResource() error {
	s := r.s
	if r.resources++; r.resources > 1 {
		r.h.fail(syntaxAt(s.pos, "two resources in one entry"))
		return s.ignore(&r.h, 1)
	}
	if s.at('{') {
		r.resource = token{start: s.pos, kind: '{'}
		var err error
		if !s.quickHead(&r.h) {
			err = s.head(&r.h)
		}
		r.resource.end = s.pos
		return err
	}
	t, err := s.value(1)
	if err == nil && t.kind != 0 && !t.isNull(s.buf) {
		r.h.fail(syntaxAt(t.start, "resource is not an object"))
	}
	return err
}

// pick moves over a value and finds the last string, or number, that stands
// under a name in it.
func (r *entryReader) pick(wanted string, found *token) error {
	s := r.s
	if !s.at('{') {
		return s.ignore(&r.h, 2)
	}
	s.pos++
	var l list
	for {
		name, more, err := s.member(&l)
		if err != nil {
			return err
		}
		if !more {
			if l.bad != nil {
				r.h.fail(l.bad)
			}
			return nil
		}
		isWanted := string(s.text(name)) == wanted
		t, err := s.value(3)
		switch {
		case err != nil:
			return err
		case t.kind == 0:
			l.note(t.start, "value missing")
		case t.deep:
			r.h.fail(depthAt(t.start))
		}
		if isWanted {
			*found = t
		}
	}
}

// fill makes an Entry, which holds nothing but its place, of what was read.
func (r *entryReader) fill(e *Entry, w *writer) {
	buf := r.s.buf
	if r.resources > 1 {
		r.resource = token{}
	}
	if r.resource.kind == '{' {
		e.Resource = buf[r.resource.start:r.resource.end:r.resource.end]
	} else {
		r.h = head{bad: r.h.bad}
	}
	var err error
	if e.FullURL, err = w.header(&e.Header, buf, &r.h, &r.fullURL); err != nil {
		r.h.fail(err)
	}
	if e.Mode, err = w.name(buf, &r.mode); err != nil {
		r.h.fail(err)
	}
	switch {
	case r.status.kind == '0' && isDigits(r.status.bytes(buf)):
		e.Status = w.known(r.status.bytes(buf))
	case r.status.kind == '"':
		if e.Status, err = w.name(buf, &r.status); err != nil {
			r.h.fail(err)
		}
	}
	if r.h.bad != nil {
		e.Err = r.h.bad
	}
}

// isDigits tells whether text is digits and nothing else.
func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}
