package jsonscan_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func TestValid(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`0`, `-0`, `1.50`, `1e400`, `1E+2`, `1e-2`, `-0.0e00`, `123456789012345678901234567890`, `0.123456789012345678901234567890`,
		`true`, `false`, `null`, `""`, `"é\ud83d\ude00😀"`, `"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, "\"\x7f\u0080\u2028\uFFFD\U0010FFFF\"",
		`{}`, `[]`, " \t\r\n[ \t\r\n] \t\r\n", `{"":""}`, `{"a":1,"a":2}`, `[[],{},[{}],{"a":[]}]`, `{ "a" : [ 1 , 2 ] , "b" : null }`,
		nested(500), `"` + strings.Repeat("x", 20<<20) + `"`, strings.Repeat("1", 1<<20), `[` + strings.Repeat("1,", 1<<20) + `1]`,
	} {
		if err := jsonscan.Valid([]byte(raw)); err != nil {
			t.Errorf("Valid(%.60q): %v", raw, err)
		}
		if !json.Valid([]byte(raw)) {
			t.Errorf("encoding/json does not accept %.60q", raw)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for kind, raws := range map[string][]string{
		"end": {
			``, ` `, `[`, `{`, `[1`, `[1,`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `"`, `"\`, `"\u`, `"\u0`, `"\u00e`, `"a`, `-`, `[-`, `1.`, `1e`, `1e+`, `1E-`,
			`t`, `tru`, `[fals`, `n`, "\"\xc3", "\"\xe2\x82", "\"\xf0\x9f\x98", "[\"\xed", "\"\\ud83d\\u",
		},
		"syntax": {
			`]`, `}`, `,`, `:`, `[}`, `{]`, `[1}`, `{"a":1]`, `[1,]`, `[,1]`, `[1,,2]`, `{,}`, `{"a":1,}`, `{"a"}`, `{"a",1}`, `{"a"::1}`, `{1:2}`, `{a:1}`, `['a']`,
			`[1 2]`, `["a""b"]`, `{"a":1 "b":2}`, `1 1`, `{}{}`, `nul `, `True`, `NaN`, `Infinity`, `-Infinity`, `undefined`, `truex`, `nulll`,
			`01`, `-01`, `00`, `+1`, `.5`, `1.e1`, `1.x`, `1ee1`, `1e1.5`, `--1`, `-a`, `0x1`, `1_0`, `1.2.3`, `-.`, `- 1`, `1e 1`,
			`"\x"`, `"\'"`, `"\U0041"`, `"\u00g0"`, `"\u 123"`, `"\u12"`, "\"\\\n\"", "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"12345678\x01\"", "\"1234567\t\"",
			"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\x80\"", "\"\xc3(\"", "{\"\xff\":1}", "\"12345678\xff\"",
			"\xEF\xBB\xBF{}", "\u00a0{}", "{}\u00a0", "\x00", "{}\x00", "\f[]", "\v[]", "/**/[]", "[]//", "[\xff]",
		},
		"depth": {nested(501), nested(20_000), strings.Repeat("[", 501), strings.Repeat(`{"a":`, 501), strings.Repeat("[", 1_000_000)},
	} {
		for _, raw := range raws {
			err := jsonscan.Valid([]byte(raw))
			if got := class(t, err); got != kind {
				t.Errorf("Valid(%.60q): %v, want %s", raw, err, kind)
			}
			var syntax *jsonscan.SyntaxError
			if errors.As(err, &syntax) && (syntax.Offset < 0 || syntax.Offset >= len(raw) || syntax.Reason == "") {
				t.Errorf("Valid(%.60q): place %d for %q", raw, syntax.Offset, syntax.Reason)
			}
		}
	}
}

func TestControlCharactersAndEscapesAtEveryPlace(t *testing.T) {
	t.Parallel()
	// Strings are read eight bytes at a time: every byte must be seen wherever it stands.
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				raw := []byte(`"` + strings.Repeat("x", length) + `"`)
				raw[1+at] = byte(c)
				want := c >= ' ' && c != '"' && c != '\\' && c < 0x80
				if c == '\\' || c == '"' {
					want = json.Valid(raw)
				}
				if err := jsonscan.Valid(raw); (err == nil) != want {
					t.Fatalf("Valid(%q): %v, want %t", raw, err, want)
				}
			}
		}
	}
}

func TestErrorsTellWhereAndNotWhat(t *testing.T) {
	t.Parallel()
	const secret = "MRN4711"
	for raw, at := range map[string]int{
		`{"` + secret + `":"` + secret + `","a":"` + "\x01" + `"}`: 26,
		`["` + secret + `" ` + secret + `]`:                        11,
		`[` + secret + `]`:                                         1,
		`{"a":1}` + secret:                                         7,
	} {
		err := jsonscan.Valid([]byte(raw))
		var syntax *jsonscan.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != at {
			t.Errorf("Valid(%s): %v, want one at %d", raw, err, at)
		}
		if strings.Contains(err.Error(), "MRN") {
			t.Errorf("the error holds input: %v", err)
		}
	}
	for err, want := range map[error]string{
		jsonscan.Valid([]byte(`[01]`)):      "jsonscan: comma or closing bracket expected at byte 2",
		jsonscan.Valid([]byte(`[`)):         "jsonscan: unexpected EOF at byte 1",
		jsonscan.Valid([]byte(nested(501))): "jsonscan: nested too deep at byte 500",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
