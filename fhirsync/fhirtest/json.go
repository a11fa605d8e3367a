package fhirtest

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The generator writes JSON from a small ordered tree. encoding/json cannot: it would write every decimal, every escape
// and all white space in its own one way, and a client that re-encodes what it received would go unnoticed.

// lit is a JSON literal, already encoded. obj and list hold lit, obj and list.
type (
	lit  string
	obj  []kv
	list []any
	kv   struct {
		key string
		val any
	}
)

// layout says where white space goes.
type layout struct {
	open, close, comma, colon string // written after '{' or '[', before '}' or ']', after ',' and after ':'
	indent                    string // per level, after open, close and comma, if they end in a line feed
	chaos                     *random
}

func layouts(r *random) layout {
	switch r.n(8) {
	case 0, 1, 2:
		return layout{}
	case 3:
		return layout{comma: " ", colon: " "}
	case 4, 5:
		return layout{open: "\n", close: "\n", comma: "\n", colon: " ", indent: "  "}
	case 6:
		return layout{open: "\r\n", close: "\r\n", comma: "\r\n", colon: "\t", indent: "\t"}
	default:
		return layout{chaos: r}
	}
}

func (l layout) gap(b []byte, s string, depth int) []byte {
	if l.chaos != nil {
		return append(b, pick(l.chaos, []string{"", " ", "", "\n", "", "\t ", "", "  ", "\r\n"})...)
	}
	b = append(b, s...)
	if strings.HasSuffix(s, "\n") {
		for range depth {
			b = append(b, l.indent...)
		}
	}
	return b
}

func (l layout) write(b []byte, v any, depth int) []byte {
	switch v := v.(type) {
	case lit:
		return append(b, v...)
	case obj:
		b = append(b, '{')
		for i, m := range v {
			b = l.sep(b, i, depth+1)
			b = append(b, '"')
			b = append(b, m.key...)
			b = append(b, '"')
			if l.chaos != nil {
				b = l.gap(b, "", depth)
			}
			b = append(b, ':')
			b = l.gap(b, l.colon, depth)
			b = l.write(b, m.val, depth+1)
		}
		if len(v) > 0 {
			b = l.gap(b, l.close, depth)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i, e := range v {
			b = l.sep(b, i, depth+1)
			b = l.write(b, e, depth+1)
		}
		if len(v) > 0 {
			b = l.gap(b, l.close, depth)
		}
		return append(b, ']')
	default:
		return append(b, "null"...)
	}
}

func (l layout) sep(b []byte, i, depth int) []byte {
	if i == 0 {
		return l.gap(b, l.open, depth)
	}
	return l.gap(append(b, ','), l.comma, depth)
}

// quoting is a set of unusual but legal ways to write a string.
type quoting uint8

const (
	escapeSlash quoting = 1 << iota // \/
	escapeHTML                      // \u003c, the way Go does it
	escapeWide                      // \u00e9, with surrogate pairs beyond the basic plane
	escapeSome                      // a plain letter as \u0061
	upperHex                        // \u00E9
)

// quote gives a JSON string. The text must be valid UTF-8.
func quote(text string, how quoting) lit { return lit(appendQuoted(nil, text, how)) }

func appendQuoted(b []byte, text string, how quoting) []byte {
	digits := "0123456789abcdef"
	if how&upperHex != 0 {
		digits = "0123456789ABCDEF"
	}
	unit := func(u uint16) {
		b = append(b, '\\', 'u', digits[u>>12], digits[u>>8&15], digits[u>>4&15], digits[u&15])
	}
	b = append(b, '"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < ' ':
			unit(uint16(r)) //nolint:gosec // checked in the line above.
		case r == '/' && how&escapeSlash != 0:
			b = append(b, '\\', '/')
		case (r == '<' || r == '>' || r == '&') && how&escapeHTML != 0:
			unit(uint16(r)) //nolint:gosec // checked in the line above.
		case r >= utf8.RuneSelf && how&escapeWide != 0:
			if r > 0xffff {
				hi, lo := utf16.EncodeRune(r)
				unit(uint16(hi)) //nolint:gosec // surrogates are 16 bits wide by definition.
				unit(uint16(lo)) //nolint:gosec // see above.
			} else {
				unit(uint16(r))
			}
		case r >= 'a' && r <= 'z' && how&escapeSome != 0 && i%7 == 3:
			unit(uint16(r))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// q quotes without any oddity.
func q(text string) lit { return quote(text, 0) }

func num(n int) lit { return lit(strconv.Itoa(n)) }

func appendString(b []byte, text string) []byte { return appendQuoted(b, text, 0) }
