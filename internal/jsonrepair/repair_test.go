package jsonrepair_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
)

func TestRepair(t *testing.T) {
	t.Parallel()
	type fixes = []jsonrepair.Fix
	for name, tt := range map[string]struct {
		src, want string
		o         jsonrepair.Options
		fixes     fixes
	}{
		"nothing":            {src: ` {"a":[1.50,-0,1E5,"\u00e9\ud83d\ude00\/"]} `, want: ` {"a":[1.50,-0,1E5,"\u00e9\ud83d\ude00\/"]} `},
		"byte order mark":    {src: "\xEF\xBB\xBF{}", want: `{}`, fixes: fixes{{"byte-order-mark", "", 0}}},
		"control characters": {src: "{\"a\":{\"b\":\"x\ty\x00z\n\"}}", want: `{"a":{"b":"x\ty\u0000z\n"}}`, fixes: fixes{{"control-character", "a.b", 12}}},
		"numbers": {src: `{"a":[007,+5,-00.50,925.,.5,1.e5,+0]}`, want: `{"a":[7,5,-0.50,925,0.5,1e5,0]}`, fixes: fixes{
			{"number", "a[0]", 6}, {"number", "a[1]", 10}, {"number", "a[2]", 13}, {"number", "a[3]", 20}, {"number", "a[4]", 25}, {"number", "a[5]", 28}, {"number", "a[6]", 33},
		}},
		"trailing commas": {src: `{"a":[1,2,],"b":{"c":1 , },}`, want: `{"a":[1,2],"b":{"c":1  }}`, fixes: fixes{
			{"trailing-comma", "a[1]", 9}, {"trailing-comma", "b.c", 23}, {"trailing-comma", "b", 26},
		}},
		"a comment after a trailing comma": {src: `[1,/* x */]`, want: `[1 ]`, fixes: fixes{{"trailing-comma", "[0]", 2}, {"comment", "[0]", 3}}},
		"comments":                         {src: "// one\n{/*two*/\"a\"/**/:1//three\n}//", want: " \n{ \"a\" :1 \n} ", fixes: fixes{{"comment", "", 0}, {"comment", "", 8}, {"comment", "a", 18}, {"comment", "a", 24}, {"comment", "", 33}}},
		"names without quotes":             {src: `{resourceType :"Patient",a1_B:{c:2}}`, want: `{"resourceType" :"Patient","a1_B":{"c":2}}`, fixes: fixes{{"member-name", "resourceType", 1}, {"member-name", "a1_B", 25}, {"member-name", "a1_B.c", 31}}},
		"lone surrogates":                  {src: `["\ud800","\udc00x\uD83D\u0041"]`, want: `["\ufffd","\ufffdx\ufffd\u0041"]`, fixes: fixes{{"lone-surrogate", "[0]", 2}, {"lone-surrogate", "[1]", 11}}},
		"bytes that are no character":      {src: "[\"caf\xC3\",\"\xF0\x9F!\"]", want: "[\"caf\uFFFD\",\"\uFFFD\uFFFD!\"]", fixes: fixes{{"bad-utf-8", "[0]", 5}, {"bad-utf-8", "[1]", 9}}},
		"Windows-1252":                     {src: "[\"caf\xE9 \x80\"]", o: jsonrepair.Options{Latin1: true}, want: `["café €"]`, fixes: fixes{{"latin-1", "[0]", 5}}},
		"two kinds in one string":          {src: "[\"\xE9\x01\xE9\x02\"]", o: jsonrepair.Options{Latin1: true}, want: `["é\u0001é\u0002"]`, fixes: fixes{{"latin-1", "[0]", 2}, {"control-character", "[0]", 3}}},
		"members that stand twice": {
			src: `{"a":1,"b":{"c":true,"c":false,"c":false},"\u0061":2,"d":3,"d":3}`, want: `{"a":1,"b":{"c":true,"c":false,"c":false},"\u0061":2,"d":3,"d":3}`,
			o: jsonrepair.Options{Names: true}, fixes: fixes{{"duplicate-member", "b.c", 22}, {"duplicate-member", `\u0061`, 43}},
		},
	} {
		out, found, err := jsonrepair.Repair([]byte(tt.src), tt.o)
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: %q, want %q, error %v", name, out, tt.want, err)
			continue
		}
		if diff := cmp.Diff(tt.fixes, found.Fixes); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// What would need a guess, or is better asked for again, is refused.
func TestRefused(t *testing.T) {
	t.Parallel()
	for src, early := range map[string]bool{
		`{"a":NaN}`: false, `[-Infinity]`: false, `[1 2]`: false, `{"a":1 "b":2}`: false, `["Sarah" "Mary"]`: false, `[1,,2]`: false, `[,1]`: false, `[,]`: false,
		`{,}`: false, `['a']`: false, `["\x41"]`: false, `["\'"]`: false, "[\"\\\n\"]": false, `[True]`: false, `[None]`: false, `[undefined]`: false, `[1,5.0.0]`: false, `[0x10]`: false,
		`[--1]`: false, `[+-1]`: false, `[.]`: false, `[1e]`: false, `{"a"}`: false, `{"a":}`: false, `{1:2}`: false, `[1}`: false, `{} {}`: false, `{}}`: false, `[1]/2`: false,
		`["\u12G4"]`: false, `["\u+123"]`: false, `x`: false, `<a/>`: false, "[\xE9]": false, `[1/**/2]`: false,
		strings.Repeat("[", 600): false,
		``:                       true, ` `: true, `{`: true, `{"a`: true, `{"a":`: true, `{"a":1`: true, `[1,`: true, `["\`: true, `["\u12`: true, `{"a":tru`: true, `[1/*`: true, `[/`: true, "\xEF\xBB\xBF": true,
	} {
		out, _, err := jsonrepair.Repair([]byte(src), jsonrepair.Options{})
		refused, is := errors.AsType[*jsonrepair.RefusedError](err)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) != early || is == early {
			t.Errorf("%.40q: %q, %v", src, out, err)
		}
		if is && strings.ContainsAny(refused.Reason, `"{[`) {
			t.Errorf("%.40q: the error holds input: %v", src, err)
		}
	}
}

// Many values, as in NDJSON, and what can be repaired of a text in which something cannot be.
func TestScanMany(t *testing.T) {
	t.Parallel()
	const src = "{\"a\":1,}\n\xEF\xBB\xBF{\"b\":NaN,\"c\":+1}\r\n [2]"
	found, err := jsonrepair.Scan([]byte(src), jsonrepair.Options{Many: true})
	if err != nil || found.Refused == nil {
		t.Fatal(err, found)
	}
	if diff := cmp.Diff([]jsonrepair.Span{{0, 8}, {12, 28}, {31, 34}}, found.Values); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := string(jsonrepair.Apply([]byte(src), found.Edits)), "{\"a\":1}\n{\"b\":NaN,\"c\":1}\r\n [2]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBefore(t *testing.T) {
	t.Parallel()
	//                       0123456789
	src, edits := []byte("{a:1,}/**/"), []jsonrepair.Edit{{0, 0, "<"}, {1, 2, `"a"`}, {4, 5, ""}, {6, 6, ">"}, {6, 10, " "}}
	made := string(jsonrepair.Apply(src, edits))
	if made != `<{"a":1}> ` {
		t.Fatal(made)
	}
	for part, want := range map[string]string{`{"a":1}`: `{a:1,}`, `"a"`: `a`, `1`: `1`, `1}`: `1,}`, `{`: `{`, made: string(src)} {
		at := strings.Index(made, part)
		span := (&jsonrepair.Source{Edits: edits}).Before(jsonrepair.Span{Start: at, End: at + len(part)})
		if got := string(src[span.Start:span.End]); got != want {
			t.Errorf("%s comes from %s, want %s", part, got, want)
		}
	}
}

func TestIsLatin1(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"plain": false, "Müller": false, "M\xFCller": true, "M\xFCller und Müller": false, "caf\xE9\"": true, "caf\xC3\"": false, "\x80 5": true, "\x81": false,
		"caf\xC3\xA9": false, "\xE2\x82": false, "ma\xF1ana \xA1s\xED!": true, "": false, "\xFC": true,
	} {
		if got := jsonrepair.IsLatin1([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Input that is made to be large is not. What takes more time than its size calls for would not end here.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"[", "{\"a\":", "\"\x01\",", "/**/", "+1,", "{a:", "\xEF\xBB\xBF", "\"\\ud800\"", "{}", ",", "\\", "/"} {
		src := []byte("[" + strings.Repeat(piece, (1<<20)/len(piece)))
		for _, o := range []jsonrepair.Options{{}, {Many: true, Names: true}} {
			found, err := jsonrepair.Scan(src, o)
			if found != nil && (len(found.Edits) > 4096+len(src)/16 || len(found.Fixes) > 4*(4096+len(src)/16)) {
				t.Errorf("%q: %d edits, %d fixes, %v", piece, len(found.Edits), len(found.Fixes), err)
			}
		}
	}
}

func FuzzRepair(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1.50,"x"]}`, "\xEF\xBB\xBF{a:007,}", "// c\n{\"a\":\"\x01\xE9\\ud800\"}", `{"a":NaN}`, `[1,/**/]`, `{"a":1,"a":2}`, `{}{}`, `{"a":"`, "[\"\xC3\",+.5e1]",
	} {
		f.Add([]byte(seed), true, true)
		f.Add([]byte(seed), false, false)
	}
	f.Fuzz(func(t *testing.T, src []byte, latin1, names bool) {
		o := jsonrepair.Options{Latin1: latin1, Names: names}
		out, found, err := jsonrepair.Repair(src, o)
		if err != nil {
			_, is := errors.AsType[*jsonrepair.RefusedError](err)
			if !is && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		if !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("not JSON: %q", out)
		}
		again, more, err := jsonrepair.Repair(out, o)
		if err != nil || string(again) != string(out) || len(more.Edits) > 0 {
			t.Fatalf("the second time it is %q, %v", again, err)
		}
		if len(found.Edits) == 0 && string(out) != string(src) {
			t.Fatal("changed without an edit")
		}
		for _, fix := range found.Fixes {
			if fix.Offset < 0 || fix.Offset >= len(src) {
				t.Fatalf("%+v is outside", fix)
			}
		}
		if json.Valid(src) && utf8.Valid(src) {
			for _, fix := range found.Fixes {
				if fix.Kind != jsonrepair.Surrogate && fix.Kind != jsonrepair.Duplicate {
					t.Fatalf("JSON was repaired: %+v", fix)
				}
			}
		}
	})
}

// Before is the same as going through the edits one by one; were it not quick where there are many, this would never end.
func TestBeforeOfManyEdits(t *testing.T) {
	t.Parallel()
	src := []byte("[" + strings.Repeat(`{"a":007,"b":"é 0123456789 0123456789 0123456789 0123456789","c":+1,},/* x */`, 60_000) + `0]`)
	found, err := jsonrepair.Scan(src, jsonrepair.Options{})
	if err != nil || found.Refused != nil {
		t.Fatal(err, found)
	}
	made := jsonrepair.Apply(src, found.Edits)
	s := &jsonrepair.Source{Text: src, Edits: found.Edits, Fixes: found.Fixes}
	at := 0
	for n := range 60_000 {
		i := at + bytes.IndexByte(made[at:], '{')
		end := i + bytes.IndexByte(made[i:], '}') + 1
		raw, fixes, changed := s.Original(made, jsonrepair.Span{Start: i, End: end})
		if !strings.HasSuffix(string(raw), `","c":+1,}`) || !strings.HasPrefix(string(raw), `{"a":007,"b":"é `) || len(fixes) != 3 || fixes[2].Offset != len(raw)-2 || !changed {
			t.Fatalf("%d: %s %+v", n, raw, fixes)
		}
		at = end
	}
}
