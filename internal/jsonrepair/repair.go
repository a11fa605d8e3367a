package jsonrepair

import (
	"fmt"
	"strings"
)

// Kind says what was wrong.
type Kind string

// What is repaired.
const (
	BOM       Kind = "byte-order-mark"   // before the value
	Latin1    Kind = "latin-1"           // bytes of Windows-1252 in a string
	BadUTF8   Kind = "bad-utf-8"         // bytes in a string that are no character; each is U+FFFD now
	Control   Kind = "control-character" // in a string; an escape now
	Number    Kind = "number"            // leading zeros, a plus sign, a decimal point with digits on one side only
	Comma     Kind = "trailing-comma"    // before a closing bracket
	Comment   Kind = "comment"           // as in JavaScript; a space now
	Name      Kind = "member-name"       // without quotes
	Surrogate Kind = "lone-surrogate"    // as an escape; the escape of U+FFFD now
	Duplicate Kind = "duplicate-member"  // two members of one name with different values; nothing is changed
)

// Fix is one thing that was wrong.
type Fix struct {
	Kind Kind
	// Path names the element below the top value, "component[1].valueQuantity.value"; "" for the top value itself.
	Path string
	// Offset is the place in the source.
	Offset int
}

// Edit is a place of the source and what stands there instead.
type Edit struct {
	Start, End int
	Text       string
}

// Span is a place in the source.
type Span struct{ Start, End int }

// RefusedError says that bytes cannot be repaired without a guess.
type RefusedError struct {
	Offset int    // in the source
	Reason string // a fixed text that holds nothing of the input
}

// Error gives the reason and the place.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
}

// Options say how the source is read. The zero value is for one value in UTF-8.
type Options struct {
	// Latin1: bytes that are not UTF-8 are Windows-1252. See IsLatin1.
	Latin1 bool
	// Many: several values may follow one another.
	Many bool
	// Names: members that stand twice with different values are looked for.
	Names bool
}

// Result is what Scan found.
type Result struct {
	Edits  []Edit // in order, and apart from each other
	Fixes  []Fix  // in order of Offset; of one kind at most one for each string
	Values []Span // the top values: one unless Options.Many
	// Refused is the first thing that cannot be repaired, and does not hide where the values and their members begin and end; nil: there
	// is none. The other edits are good all the same.
	Refused error
}

// Repair makes JSON of src. It gives src itself where nothing has to be changed. The error is io.ErrUnexpectedEOF or a [*RefusedError].
func Repair(src []byte, o Options) (out []byte, found *Result, err error) {
	o.Many = false
	found, err = Scan(src, o)
	if err == nil {
		err = found.Refused
	}
	if err != nil {
		return nil, nil, err
	}
	return Apply(src, found.Edits), found, nil
}

// Apply makes the edits. It gives src itself where there are none.
func Apply(src []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return src
	}
	size := len(src)
	for _, e := range edits {
		size += len(e.Text) - (e.End - e.Start)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		out = append(append(out, src[at:e.Start]...), e.Text...)
		at = e.End
	}
	return append(out, src[at:]...)
}

// IsLatin1 tells whether text that is not UTF-8 can be taken for Windows-1252, which is what servers write that say nothing, or something
// else: there are bytes beyond ASCII, none of them is part of a character in UTF-8, each is a character in Windows-1252, and none looks
// like a character of UTF-8 that a limit has cut.
func IsLatin1(text []byte) bool {
	seen := false
	for i, c := range text {
		if c < 0x80 {
			continue
		}
		seen = true
		if _, ok := Windows1252(c); !ok {
			return false
		}
		if i+1 < len(text) {
			next := text[i+1]
			if c >= 0xC2 && c <= 0xF4 && next >= 0x80 && next <= 0xBF {
				return false // it begins a character of UTF-8, whole or not.
			}
			if (c == 0xC2 || c == 0xC3) && next == '"' {
				return false
			}
		}
	}
	return seen
}

// Windows1252 gives the character of a byte; false for the five that stand for none.
func Windows1252(c byte) (rune, bool) {
	if c < 0x80 || c >= 0xA0 {
		return rune(c), true
	}
	r := windows1252[c-0x80]
	return r, r != 0
}

// windows1252 is what the bytes from 0x80 to 0x9F stand for; 0: nothing.
var windows1252 = [32]rune{
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
	0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
}

// number writes a number as JSON does, without changing its value: "+007." is 7. ok is false where the text is no number.
func number(text string) (fixed string, ok bool) {
	sign, rest := "", text
	switch {
	case strings.HasPrefix(rest, "-"):
		sign, rest = "-", rest[1:]
	case strings.HasPrefix(rest, "+"):
		rest = rest[1:]
	}
	digits := func() string {
		n := 0
		for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
			n++
		}
		d := rest[:n]
		rest = rest[n:]
		return d
	}
	whole, fraction := digits(), ""
	if strings.HasPrefix(rest, ".") {
		rest = rest[1:]
		fraction = digits()
	}
	if whole == "" && fraction == "" {
		return "", false
	}
	exponent := ""
	if rest != "" && rest[0]|0x20 == 'e' {
		exponent, rest = rest[:1], rest[1:]
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			exponent, rest = exponent+rest[:1], rest[1:]
		}
		d := digits()
		if d == "" {
			return "", false
		}
		exponent += d
	}
	if rest != "" {
		return "", false
	}
	for len(whole) > 1 && whole[0] == '0' {
		whole = whole[1:]
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction + exponent, true
}
