package jsonrepair

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 512

// mostEdits bounds the memory for edits: every object and array of a page may need one, as converters have it that put a comma after every
// member, but not every byte.
func mostEdits(src []byte) int { return 4096 + min(len(src)/16, 1<<20) }

// maxPath bounds the length of a path, and maxName that of a name in it.
const (
	maxPath = 1024
	maxName = 64
)

// level is an object or array that is open.
type level struct {
	object     bool
	begun      bool // something stood in it
	comma      int  // where the comma after that is; -1: there is none
	name       Span // of the current member, without quotes
	index      int  // of the current element
	names      map[string][]Span
	valueStart int
}

type scanner struct {
	src    []byte
	o      Options
	i      int
	levels []level
	out    *Result
	kinds  []Fix // of the string at hand
}

// Scan finds what has to be changed in src. The error is io.ErrUnexpectedEOF if src ends early, and a [*RefusedError] if it cannot be told
// where its values begin and end.
func Scan(src []byte, o Options) (*Result, error) {
	s := &scanner{src: src, o: o, out: new(Result)}
	if err := s.values(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.out.Fixes, func(a, b Fix) int { return cmp.Compare(a.Offset, b.Offset) })
	return s.out, nil
}

func refused(offset int, reason string) error { return &RefusedError{Offset: offset, Reason: reason} }

// refuse notes something that cannot be repaired and hides nothing.
func (s *scanner) refuse(offset int, reason string) {
	if s.out.Refused == nil {
		s.out.Refused = refused(offset, reason)
	}
}

// edit notes an edit and what it is for.
func (s *scanner) edit(start, end int, text string, fixes ...Fix) error {
	if len(s.out.Edits) >= mostEdits(s.src) {
		return refused(start, "more to repair than is tried")
	}
	s.out.Edits = append(s.out.Edits, Edit{start, end, text})
	s.out.Fixes = append(s.out.Fixes, fixes...)
	return nil
}

func (s *scanner) fix(kind Kind, offset int) Fix {
	return Fix{Kind: kind, Path: s.path(), Offset: offset}
}

// values reads the top values.
func (s *scanner) values() error {
	for {
		if err := s.boms(); err != nil {
			return err
		}
		if s.i >= len(s.src) {
			if len(s.out.Values) == 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if len(s.out.Values) > 0 {
			if !s.o.Many {
				return refused(s.i, "data after the value")
			}
			if len(s.out.Values) >= mostEdits(s.src) {
				return refused(s.i, "more values than are read")
			}
		}
		start := s.i
		if err := s.value(); err != nil {
			return err
		}
		s.out.Values = append(s.out.Values, Span{start, s.i})
	}
}

// boms moves over white space, comments, and byte order marks, which stand before a value and, where files were put together, between two.
func (s *scanner) boms() error {
	const mark = "\xEF\xBB\xBF"
	for {
		if err := s.space(); err != nil {
			return err
		}
		if !bytes.HasPrefix(s.src[s.i:], []byte(mark)) {
			return nil
		}
		if err := s.edit(s.i, s.i+len(mark), "", Fix{Kind: BOM, Offset: s.i}); err != nil {
			return err
		}
		s.i += len(mark)
	}
}

// space moves over white space and comments.
func (s *scanner) space() error {
	for s.i < len(s.src) {
		switch s.src[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		case '/':
			start, end := s.i, len(s.src)
			if s.i+1 >= len(s.src) {
				return io.ErrUnexpectedEOF
			}
			switch s.src[s.i+1] {
			case '/':
				if n := bytes.IndexByte(s.src[s.i:], '\n'); n >= 0 {
					end = s.i + n
				}
			case '*':
				n := bytes.Index(s.src[s.i+2:], []byte("*/"))
				if n < 0 {
					return io.ErrUnexpectedEOF
				}
				end = s.i + 2 + n + 2
			default:
				return refused(s.i, "value expected")
			}
			if err := s.edit(start, end, " ", s.fix(Comment, start)); err != nil {
				return err
			}
			s.i = end
		default:
			return nil
		}
	}
	return nil
}

// value moves over one value, whatever is in it.
func (s *scanner) value() error {
	base := len(s.levels)
	if err := s.begin(); err != nil {
		return err
	}
	for len(s.levels) > base {
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// begin moves over the value at i, or into it if it is an object or array.
func (s *scanner) begin() error {
	if s.i >= len(s.src) {
		return io.ErrUnexpectedEOF
	}
	if n := len(s.levels); n > 0 {
		s.levels[n-1].valueStart = s.i
	}
	switch c := s.src[s.i]; c {
	case '{', '[':
		if len(s.levels) == MaxDepth {
			return refused(s.i, "nested too deep")
		}
		s.levels = append(s.levels, level{object: c == '{', comma: -1, index: -1})
		s.i++
		return nil
	case '"':
		return s.string()
	case '\'':
		return refused(s.i, "a quote of another kind")
	case ',', ':', '}', ']':
		return refused(s.i, "value expected")
	}
	return s.literal()
}

// literal moves over a number, a literal, or something that is neither.
func (s *scanner) literal() error {
	start := s.i
	for s.i < len(s.src) && !isDelimiter(s.src[s.i]) {
		s.i++
	}
	if s.i == start {
		return refused(start, "value expected")
	}
	if s.i == len(s.src) && len(s.levels) > 0 {
		return io.ErrUnexpectedEOF
	}
	if s.i-start > 4096 {
		s.refuse(start, "value expected")
		return nil
	}
	text := string(s.src[start:s.i])
	switch text {
	case "true", "false", "null":
		return nil
	}
	fixed, ok := number(text)
	switch {
	case !ok && isNonFinite(text):
		s.refuse(start, "NaN or Infinity, which JSON does not have: no value was chosen")
	case !ok:
		s.refuse(start, "value expected")
	case fixed != text:
		return s.edit(start, s.i, fixed, s.fix(Number, start))
	}
	return nil
}

func isDelimiter(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ':', '{', '}', '[', ']', '"', '\'', '/':
		return true
	}
	return false
}

func isNonFinite(text string) bool {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	switch text {
	case "NaN", "nan", "NAN", "Infinity", "infinity", "Inf", "inf", "INF":
		return true
	}
	return false
}

// next moves over what follows in the innermost open level: a member, an element, or the closing bracket.
func (s *scanner) next() error {
	if err := s.space(); err != nil {
		return err
	}
	if s.i >= len(s.src) {
		return io.ErrUnexpectedEOF
	}
	l := &s.levels[len(s.levels)-1]
	switch c := s.src[s.i]; c {
	case '}', ']':
		if l.object != (c == '}') {
			return refused(s.i, "bracket closes another kind")
		}
		return s.close(l)
	case ',':
		if !l.begun || l.comma >= 0 {
			s.refuse(s.i, "a value is missing before a comma")
		}
		l.comma = s.i
		s.i++
		return nil
	}
	if l.begun && l.comma < 0 {
		s.refuse(s.i, "comma missing")
	}
	l.begun, l.comma = true, -1
	l.index++
	if l.object {
		if err := s.name(l); err != nil {
			return err
		}
	}
	n := len(s.levels)
	if err := s.begin(); err != nil {
		return err
	}
	if len(s.levels) == n {
		return s.ended()
	}
	return nil
}

// close moves over the closing bracket at i.
func (s *scanner) close(l *level) error {
	if l.comma >= 0 {
		if !l.begun {
			s.refuse(l.comma, "a value is missing before a comma")
		} else if err := s.insert(Edit{l.comma, l.comma + 1, ""}, s.fix(Comma, l.comma)); err != nil {
			return err
		}
	}
	s.i++
	s.levels = s.levels[:len(s.levels)-1]
	if len(s.levels) > 0 {
		return s.ended()
	}
	return nil
}

// insert is edit for a place before others: comments can stand between a comma and the bracket.
func (s *scanner) insert(e Edit, f Fix) error {
	if err := s.edit(e.Start, e.End, e.Text, f); err != nil {
		return err
	}
	edits := s.out.Edits
	for i := len(edits) - 1; i > 0 && edits[i-1].Start > edits[i].Start; i-- {
		edits[i-1], edits[i] = edits[i], edits[i-1]
	}
	return nil
}

// ended notes that a member or element of the innermost level has ended.
func (s *scanner) ended() error {
	l := &s.levels[len(s.levels)-1]
	if !s.o.Names || !l.object {
		return nil
	}
	if l.names == nil {
		l.names = map[string][]Span{}
	}
	name := unquoted(s.src[l.name.Start:l.name.End])
	value := Span{l.valueStart, s.i}
	known := l.names[name]
	for _, k := range known {
		if bytes.Equal(s.src[k.Start:k.End], s.src[value.Start:value.End]) {
			return nil
		}
	}
	if len(known) > 0 {
		if len(s.out.Fixes) >= mostEdits(s.src) {
			return refused(l.name.Start, "more to repair than is tried")
		}
		s.out.Fixes = append(s.out.Fixes, s.fix(Duplicate, l.name.Start))
	}
	const most = 8 // different values that are told apart
	if len(known) < most {
		l.names[name] = append(known, value)
	}
	return nil
}

// unquoted gives what a name says.
func unquoted(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	text, err := strconv.Unquote(`"` + string(raw) + `"`)
	if err != nil {
		return string(raw) // JSON's \/ and surrogates: names of FHIR have neither.
	}
	return text
}

// name moves over the name of a member and its colon.
func (s *scanner) name(l *level) error {
	start := s.i
	l.name = Span{start, start}
	if s.src[s.i] == '"' {
		if err := s.string(); err != nil {
			return err
		}
		l.name = Span{start + 1, s.i - 1}
	} else {
		for s.i < len(s.src) && isNamePart(s.src[s.i], s.i > start) {
			s.i++
		}
		if s.i == start {
			return refused(start, "member name expected")
		}
		l.name = Span{start, s.i}
		if err := s.edit(start, s.i, `"`+string(s.src[start:s.i])+`"`, s.fix(Name, start)); err != nil {
			return err
		}
	}
	if err := s.space(); err != nil {
		return err
	}
	if s.i >= len(s.src) {
		return io.ErrUnexpectedEOF
	}
	if s.src[s.i] != ':' {
		return refused(s.i, "colon expected")
	}
	s.i++
	return s.space()
}

func isNamePart(c byte, digits bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || digits && '0' <= c && c <= '9'
}

// string moves over the string at i.
func (s *scanner) string() error {
	s.i++
	s.kinds = s.kinds[:0]
	first := -1 // where what has to be changed begins
	var text []byte
	done := 0 // up to where text goes
	replace := func(kind Kind, end int, with string) {
		if first < 0 {
			first, done = s.i, s.i
		}
		if !slices.ContainsFunc(s.kinds, func(f Fix) bool { return f.Kind == kind }) {
			s.kinds = append(s.kinds, s.fix(kind, s.i))
		}
		text = append(append(text, s.src[done:s.i]...), with...)
		done, s.i = end, end
	}
	for {
		if s.i >= len(s.src) {
			return io.ErrUnexpectedEOF
		}
		switch c := s.src[s.i]; {
		case c == '"':
			s.i++
			if first < 0 {
				return nil
			}
			return s.edit(first, done, string(text), s.kinds...)
		case c == '\\':
			n, lone := s.escape()
			switch {
			case n < 0:
				return io.ErrUnexpectedEOF
			case lone:
				replace(Surrogate, s.i+n, `\ufffd`)
			default:
				s.i += n
			}
		case c < ' ':
			replace(Control, s.i+1, escaped(c))
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, size := utf8.DecodeRune(s.src[s.i:])
			if r != utf8.RuneError || size > 1 {
				s.i += size
				continue
			}
			if r, ok := Windows1252(c); ok && s.o.Latin1 {
				replace(Latin1, s.i+1, string(r))
				continue
			}
			replace(BadUTF8, s.i+1, "\uFFFD")
		}
	}
}

// escape gives the length of the escape at i, -1 where the source ends in it, and whether it is half of a character alone.
func (s *scanner) escape() (n int, lone bool) {
	rest := s.src[s.i:]
	if len(rest) < 2 {
		return -1, false
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, false
	case 'u':
		if len(rest) < 6 {
			return -1, false
		}
		r, ok := hex4(rest[2:6])
		if !ok {
			break
		}
		if !utf16.IsSurrogate(r) {
			return 6, false
		}
		if len(rest) >= 12 && rest[6] == '\\' && rest[7] == 'u' {
			if low, ok := hex4(rest[8:12]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				return 12, false
			}
		}
		return 6, true
	}
	s.refuse(s.i, "an escape that JSON does not have")
	if rest[1] >= utf8.RuneSelf || rest[1] < ' ' {
		return 1, false
	}
	return 2, false
}

func hex4(digits []byte) (rune, bool) {
	n, err := strconv.ParseUint(string(digits), 16, 16)
	return rune(n), err == nil && digits[0] != '+' && digits[0] != '_' && bytes.IndexByte(digits, '_') < 0
}

// escaped writes a control character as an escape.
func escaped(c byte) string {
	switch c {
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	const hex = "0123456789abcdef"
	return `\u00` + string(hex[c>>4]) + string(hex[c&15])
}

// path names the element at hand.
func (s *scanner) path() string {
	var b []byte
	for i := range s.levels {
		l := &s.levels[i]
		if len(b) > maxPath {
			break
		}
		switch {
		case l.index < 0:
		case !l.object:
			b = append(strconv.AppendInt(append(b, '['), int64(l.index), 10), ']')
		case l.name.Start == l.name.End: // its name is at hand.
		default:
			if len(b) > 0 {
				b = append(b, '.')
			}
			name := s.src[l.name.Start:l.name.End]
			b = append(b, bytes.ToValidUTF8(name[:min(len(name), maxName)], []byte("?"))...)
		}
	}
	return string(b)
}
