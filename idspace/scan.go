package idspace

import (
	"bytes"
	"slices"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// What is in this file reads JSON that [jsonscan.Walker.Walk] has accepted, and panics on any other.

// span is a place in a text.
type span struct{ start, end int }

// object goes through the members of an object.
type object struct {
	raw      []byte
	pos      int
	key, val span // of the current member, the key with its quotes
}

// openObject begins at the bracket at raw[at].
func openObject(raw []byte, at int) object { return object{raw: raw, pos: at + 1} }

// next goes to the next member. Behind the last one it gives false, and pos is behind the object.
func (o *object) next() bool {
	i := skipSpace(o.raw, o.pos)
	if o.raw[i] == ',' {
		i = skipSpace(o.raw, i+1)
	}
	if o.raw[i] == '}' {
		o.pos = i + 1
		return false
	}
	o.key = span{i, jsonscan.StringEnd(o.raw, i)}
	i = skipSpace(o.raw, o.key.end)
	i = skipSpace(o.raw, i+1) // the colon
	o.val = span{i, jsonscan.ValueEnd(o.raw, i)}
	o.pos = o.val.end
	return true
}

// name gives the decoded key.
func (o *object) name() []byte {
	inside := o.raw[o.key.start+1 : o.key.end-1]
	if !hasBackslash(inside) {
		return inside
	}
	text, _ := appendUnquoted(nil, inside)
	return text
}

// kind gives the first byte of the value, which tells what it is.
func (o *object) kind() byte { return o.raw[o.val.start] }

// array goes through the elements of an array.
type array struct {
	raw []byte
	pos int
	val span
}

func openArray(raw []byte, at int) array { return array{raw: raw, pos: at + 1} }

func (a *array) next() bool {
	i := skipSpace(a.raw, a.pos)
	if a.raw[i] == ',' {
		i = skipSpace(a.raw, i+1)
	}
	if a.raw[i] == ']' {
		a.pos = i + 1
		return false
	}
	a.val = span{i, jsonscan.ValueEnd(a.raw, i)}
	a.pos = a.val.end
	return true
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\r' || raw[i] == '\t') {
		i++
	}
	return i
}

// hasBackslash looks at texts of which nearly all are short.
func hasBackslash(text []byte) bool {
	if len(text) > 64 {
		return bytes.IndexByte(text, '\\') >= 0
	}
	return slices.Contains(text, '\\')
}

// appendUnquoted decodes the inside of a string. lone tells that it has a surrogate without its partner, which becomes U+FFFD, so that the
// text no longer says all that the string did.
func appendUnquoted(text, inside []byte) (_ []byte, lone bool) {
	return jsonscan.AppendValid(text, inside)
}

// escapeJSON gives a text as it has to stand inside a JSON string. The text is UTF-8.
func escapeJSON(text string) string {
	const hex = "0123456789abcdef"
	clean := true
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
