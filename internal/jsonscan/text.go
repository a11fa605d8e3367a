package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendText appends what the inside of a JSON string (without the quotes)
// stands for. Surrogates without a partner (see [HasHalf]) become U+FFFD, as encoding/json has
// it; bytes that are not escapes are taken as they are, UTF-8 or not. It gives
// false if an escape is none of JSON's, and then what stood before it.
func AppendText(dst, src []byte) ([]byte, bool) {
	dst, _, ok := appendText(dst, src)
	return dst, ok
}

// AppendValid is AppendText for the inside of a string that is valid. half tells what [HasHalf] does.
func AppendValid(dst, src []byte) (text []byte, half bool) {
	text, half, _ = appendText(dst, src)
	return text, half
}

func appendText(dst, src []byte) (text []byte, half, ok bool) {
	for i := 0; i < len(src); {
		if src[i] != '\\' {
			n := bytes.IndexByte(src[i:], '\\')
			if n < 0 {
				return append(dst, src[i:]...), half, true
			}
			dst = append(dst, src[i:i+n]...)
			i += n
			continue
		}
		if i+1 >= len(src) {
			return dst, half, false
		}
		if src[i+1] != 'u' {
			c := unescaped[src[i+1]]
			if c == 0 {
				return dst, half, false
			}
			dst = append(dst, c)
			i += 2
			continue
		}
		r, ok := hex4(src[i+2:])
		if !ok {
			return dst, half, false
		}
		i += 6
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if i+1 < len(src) && src[i] == '\\' && src[i+1] == 'u' {
				if low, ok := hex4(src[i+2:]); ok {
					pair = utf16.DecodeRune(r, low)
				}
			}
			if r = pair; r != utf8.RuneError {
				i += 6
			} else {
				half = true
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, half, true
}

// Places finds where in a string, as it is written, stands what has some place in its decoded text. It must be asked in ascending order.
type Places struct {
	inside   []byte
	raw, dec int // have been passed
	scratch  [utf8.UTFMax]byte
}

// NewPlaces begins with the inside of a string (without the quotes), which has to be valid.
func NewPlaces(inside []byte) Places { return Places{inside: inside} }

// Of gives the place in the string as it is written.
func (p *Places) Of(dec int) int {
	for p.dec < dec && p.raw < len(p.inside) {
		rest := p.inside[p.raw:]
		if rest[0] != '\\' {
			n := bytes.IndexByte(rest, '\\')
			if n < 0 || n > dec-p.dec {
				n = min(len(rest), dec-p.dec)
			}
			p.raw += n
			p.dec += n
			continue
		}
		n := escapeLen(rest)
		text, _ := AppendText(p.scratch[:0], rest[:n])
		p.raw += n
		p.dec += len(text)
	}
	return p.raw
}

// escapeLen gives the length of the escape that valid text begins with; two surrogates that belong together are one.
func escapeLen(src []byte) int {
	if len(src) < 6 || src[1] != 'u' {
		return min(2, len(src))
	}
	r, _ := hex4(src[2:])
	if utf16.IsSurrogate(r) && len(src) >= 12 && src[6] == '\\' && src[7] == 'u' {
		if low, ok := hex4(src[8:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return 12
		}
	}
	return 6
}

// unescaped is what the letter after a backslash stands for; 0 for those
// that may not stand there.
var unescaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/',
	'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// hex4 reads four hexadecimal digits.
func hex4(src []byte) (r rune, ok bool) {
	if len(src) < 4 {
		return 0, false
	}
	for _, c := range src[:4] {
		d := hexDigit(c)
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// hexDigit gives the value of a hexadecimal digit, 255 for any other byte.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// AppendString appends text as a JSON string with its quotes. Only what must
// be escaped is; what is not UTF-8 becomes U+FFFD, so that the outcome is
// always valid.
func AppendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, text[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}
