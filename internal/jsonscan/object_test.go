package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// properties gives the members of the object at raw[at] in one line each, the last one for an error.
func properties(raw string, at int) []string {
	var out []string
	for p, err := range jsonscan.Properties([]byte(raw), at) {
		if err != nil {
			return append(out, "error")
		}
		out = append(out, fmt.Sprintf("%s %c %s %q", p.Name, p.Kind, p.Raw(), p.Text()))
	}
	return out
}

func TestProperties(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		`{}`: nil,
		` { "a" : "x\u0041" , "b\/":[1,{"c":2}],"a":-1.5e3,"n":null,"o":{"p":"}"}} x`: {
			`a " "x\u0041" "xA"`, `b/ [ [1,{"c":2}] ""`, `a 0 -1.5e3 ""`, `n 0 null ""`, `o { {"p":"}"} ""`,
		},
		`{"a":"x"`:        {`a " "x" "x"`, "error"},
		`{"a":"x" "b":1}`: {`a " "x" "x"`, "error"},
		`{"a":}`:          {"error"},
		`{"a":"x`:         {"error"},
		`{7:1}`:           {"error"},
		`[`:               {"error"},
		``:                {"error"},
	} {
		if diff := cmp.Diff(want, properties(raw, strings.IndexByte(raw+"{", '{'))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
	if got := properties(`{"a":{"b":1}}`, 5); len(got) != 1 || got[0] != `b 0 1 ""` {
		t.Errorf("inside: %q", got)
	}
	n := 0
	for p, err := range jsonscan.Properties([]byte(`{"a":1,"b":2}`), 0) {
		if n++; err != nil || string(p.Name) != "a" {
			t.Errorf("got %s, %v", p.Name, err)
		}
		break
	}
	if n != 1 {
		t.Errorf("%d rounds", n)
	}
}

func TestFieldPlaces(t *testing.T) {
	t.Parallel()
	const raw = `{"r\u0041":"0","a":[{"b\u0062":[["1"],"2"]},"3"]}`
	var got []string
	var w jsonscan.Walker
	err := w.Walk([]byte(raw), func([]byte) bool { return true }, func(f *jsonscan.Field) error {
		inside, escaped := f.Inside()
		got = append(got, fmt.Sprintf("%s in %q at %d, %t, under %s", inside, f.Parent(), f.Object(), escaped, f.Key()))
		return nil
	})
	want := []string{`0 in "" at 0, false, under rA`, `1 in "a" at 20, false, under bb`, `2 in "a" at 20, false, under bb`, `3 in "" at 0, false, under a`}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzPlaces(f *testing.F) {
	for _, s := range []string{`abc`, `\"a\/\u0041\ud83d\ude00\ud83dx\udE00é`, `\\\\u0041`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		var text string
		if !utf8.ValidString(inside) || json.Unmarshal([]byte(`"`+inside+`"`), &text) != nil {
			return
		}
		places := jsonscan.NewPlaces([]byte(inside))
		last := 0
		for i := range text {
			at := places.Of(i)
			var before string
			if at < last || json.Unmarshal([]byte(`"`+inside[:at]+`"`), &before) != nil || before != text[:i] {
				t.Fatalf("%d of %q is at %d of %q", i, text, at, inside)
			}
			last = at
		}
		if at := places.Of(len(text) + 9); at != len(inside) {
			t.Errorf("the end is at %d of %q", at, inside)
		}
	})
}
