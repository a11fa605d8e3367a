package jsonscan_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func every([]byte) bool { return true }

// visits walks over raw and gives a line for each visit: path, text, c for contained, e for extension.
func visits(t *testing.T, w *jsonscan.Walker, raw string, want func([]byte) bool) []string {
	t.Helper()
	var out []string
	err := w.Walk([]byte(raw), want, func(f *jsonscan.Field) error {
		key := f.Key() // good for the whole visit
		keyText := string(key)
		line := f.Path() + " " + f.Text()
		if f.InContained() {
			line += " c"
		}
		if f.InExtension() {
			line += " e"
		}
		if f.InContained(); string(key) != keyText {
			t.Errorf("%s: the key has become %q", line, key)
		}
		if string(key) != string(f.Key()) || !strings.HasSuffix(f.Path(), string(key)) || string(f.AppendPath([]byte("x"))) != "x"+f.Path() {
			t.Errorf("%s: key is %q, then %q", line, key, f.Key())
		}
		if names := strings.Count(f.Path(), ".") + 1; f.Depth() != names {
			t.Errorf("%s: depth is %d", line, f.Depth())
		}
		if raw[f.Start] != '"' || raw[f.End-1] != '"' {
			t.Errorf("%s: stands at %s", line, raw[f.Start:f.End])
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Errorf("Walk(%s): %v", raw, err)
	}
	return out
}

func TestWalkVisitsStrings(t *testing.T) {
	t.Parallel()
	var w jsonscan.Walker // the same for all
	for raw, want := range map[string][]string{
		`{"a":"1","b":2,"c":null,"d":{},"e":[],"f":{"g":"3"}}`: {"a 1", "f.g 3"},
		`{"a":["1",["2",[["3"]]],4,{"b":"5","c":["6"]},"7"]}`:  {"a 1", "a 2", "a 3", "a.b 5", "a.c 6", "a 7"},
		`["1",["2"],{"a":"3"}]`:                                {"a 3"},
		`"1"`:                                                  nil,
		`{"contained":[{"a":"1","contained":{"b":"2"}}],"x":{"contained":"3"}}`: {"contained.a 1 c", "contained.contained.b 2 c", "x.contained 3"},
		`{"contained":"1"}`:         {"contained 1 c"},
		`[{"contained":{"a":"1"}}]`: {"contained.a 1 c"},
		`{"extension":[{"a":"1"}],"b":{"c":[{"modifierExtension":{"d":"2"}}],"e":"3"}}`: {"extension.a 1 e", "b.c.modifierExtension.d 2 e", "b.e 3"},
		`{"contained":[{"extension":[{"a":"1"}]}],"Extension":"2"}`:                     {"contained.extension.a 1 c e", "Extension 2"},
		`{"\u0061":"\u0062","c\u0064":{"\u0065":["\/"]},"contain\u0065d":{"x":"1"},"extensio\u006e":{"y":"2"}}`: {
			"a b", "cd.e /", "contained.x 1 c", "extension.y 2 e",
		},
		`{"outer\u006eame":{"\u0069n":"1"}}`:               {"outername.in 1"},
		`{"a":"1","a":"2"}`:                                {"a 1", "a 2"},
		`{"":"1","x":{"":"2"}}`:                            {" 1", "x. 2"},
		`{"a":"\ud83d\ude00","b":"\ud83d","c":"\u0000\""}`: {"a \U0001F600", "b \uFFFD", "c \x00\""},
		` { "a" : [ "1" , "2" ] } `:                        {"a 1", "a 2"}, //nolint:gocritic // white space is what is tested.
	} {
		if diff := cmp.Diff(want, visits(t, &w, raw, every)); diff != "" {
			t.Errorf("Walk(%s) (-want +got):\n%s", raw, diff)
		}
	}
}

func TestWalkAsksForNames(t *testing.T) {
	t.Parallel()
	const raw = `{"a":"1","b":["2",["3"],{"a":"4"},"5"],"\u0061":"6","b":"7","c":{"d":8}}`
	var w jsonscan.Walker
	var asked []string
	got := visits(t, &w, raw, func(key []byte) bool {
		asked = append(asked, string(key))
		return string(key) == "a"
	})
	if diff := cmp.Diff([]string{"a 1", "b.a 4", "a 6"}, got); diff != "" {
		t.Errorf("visits (-want +got):\n%s", diff)
	}
	for _, key := range asked {
		if key != "a" && key != "b" {
			t.Errorf("asked about %q, under which there is no string", key)
		}
	}
	for name, walk := range map[string]error{
		"without want":  w.Walk([]byte(raw), nil, func(*jsonscan.Field) error { return io.EOF }),
		"without visit": w.Walk([]byte(raw), every, nil),
	} {
		if walk != nil {
			t.Errorf("%s: %v", name, walk)
		}
	}
}

func TestWalkEndsWithTheErrorOfVisit(t *testing.T) {
	t.Parallel()
	var w jsonscan.Walker
	mine := errors.New("mine")
	n := 0
	err := w.Walk([]byte(`{"a":"1","b":"2","c":broken`), every, func(*jsonscan.Field) error {
		if n++; n == 2 {
			return mine
		}
		return nil
	})
	if err != mine || n != 2 { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v after %d visits", err, n)
	}
	if got := visits(t, &w, `{"x":"1"}`, every); !cmp.Equal(got, []string{"x 1"}) {
		t.Errorf("the next walk gives %q", got)
	}
}

func TestWalkNoticesFaultsWhenItComesToThem(t *testing.T) {
	t.Parallel()
	var w jsonscan.Walker
	for raw, want := range map[string]string{
		`{"a":"1","b":"2"`: "end", `{"a":"1","b":"2"}}`: "syntax", `{"a":"1","b":"2","c":` + nested(501) + `}`: "depth",
	} {
		n := 0
		err := w.Walk([]byte(raw), every, func(*jsonscan.Field) error { n++; return nil })
		if class(t, err) != want || n != 2 {
			t.Errorf("Walk(%.30s): %v after %d visits", raw, err, n)
		}
	}
}

func TestWalkPathsDeepDown(t *testing.T) {
	t.Parallel()
	// More levels than a Walker has room for at first.
	var w jsonscan.Walker
	for _, n := range []int{1, 23, 24, 25, 100, 500} {
		raw := strings.Repeat(`{"k":`, n) + `"x"` + strings.Repeat("}", n)
		want := strings.TrimPrefix(strings.Repeat(".k", n), ".") + " x"
		if diff := cmp.Diff([]string{want}, visits(t, &w, raw, every)); diff != "" {
			t.Errorf("%d levels (-want +got):\n%s", n, diff)
		}
	}
}

func TestWalkTextsAreCopies(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"a":"plain","b":"esc\u0061ped","c":"\/"}`)
	var w jsonscan.Walker
	var texts []string
	if err := w.Walk(raw, every, func(f *jsonscan.Field) error {
		texts = append(texts, f.Text(), f.Path())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] = 0xDB
	}
	if got := fmt.Sprint(texts); got != "[plain a escaped b / c]" {
		t.Errorf("got %s", got)
	}
}

func TestWalkAgainAllocatesNothing(t *testing.T) {
	raw := []byte(`{"refer\u0065nce":"a\/b","x":[{"extension":[{"y":"z"}]}],"contained":[{"a":1.50}]}`)
	var w jsonscan.Walker
	visit := func(f *jsonscan.Field) error {
		if len(f.Key()) == 0 || f.InContained() || f.Depth() == 0 {
			return io.EOF
		}
		return nil
	}
	if n := testing.AllocsPerRun(100, func() { _ = w.Walk(raw, every, visit) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLongPathsAreCut(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		strings.Repeat("x", 1000):                     strings.Repeat("x", 1000) + ".a",
		strings.Repeat("x", jsonscan.MaxPath-2):       strings.Repeat("x", jsonscan.MaxPath-2) + ".a",
		strings.Repeat("x", jsonscan.MaxPath-1):       strings.Repeat("x", jsonscan.MaxPath-1) + ".",
		strings.Repeat("x", jsonscan.MaxPath+1):       strings.Repeat("x", jsonscan.MaxPath),
		strings.Repeat(`\u00e9`, 10_000):              strings.Repeat("é", 256) + ".a",
		"ab" + strings.Repeat(`\ud83d\ude00`, 10_000): "ab" + strings.Repeat("\U0001F600", 128) + ".a",
	} {
		var w jsonscan.Walker
		err := w.Walk([]byte(`{"`+name+`":{"a":"b"}}`), func([]byte) bool { return true }, func(f *jsonscan.Field) error {
			if got := f.Path(); got != want {
				t.Errorf("a name of %d bytes: the path has %d, want %d", len(name), len(got), len(want))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// FuzzLikely: with Likely the same strings are visited as without, and Find gives them, with the same members of the root.
func FuzzLikely(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Add([]byte(`{"":"0","reference":"1","refer\u0065nce":"2","url":["3",{"url":"4"}],"div":{"x":"5"},"dav":"6","` + strings.Repeat("u", 35) + `":"7"}`))
	f.Add([]byte(`{"url":{"url":[[{"url":"\u00e9\"é"}],"1"],"a":{"b":true,"url":[]}},"a":[-0.5,1e3,{"url":"2"},["url"]],"u\u0072l":[{"url":"3"}]}`))
	names := []string{"", "reference", "url", "div", "a", strings.Repeat("u", 35), "é"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		visited := func(likely *jsonscan.Names) (all []string) {
			w := jsonscan.Walker{Likely: likely}
			members, err := w.WalkMembers(raw, func(key []byte) bool { return slices.Contains(names, string(key)) }, func(f *jsonscan.Field) error {
				inside, _ := f.Inside()
				text, half := jsonscan.AppendValid(nil, inside)
				if string(text) != f.Text() || half != jsonscan.HasHalf(inside) || jsonscan.StringEnd(raw, f.Start) != f.End || jsonscan.ValueEnd(raw, f.Start) != f.End {
					t.Fatalf("%q: %q at %d to %d is %q, %t", raw, inside, f.Start, f.End, text, half)
				}
				all = append(all, fmt.Sprintf("%s=%s in %s, %+v", f.Path(), f.Text(), f.Parent(), f.Found()))
				return nil
			})
			return append(all, fmt.Sprint(members, err))
		}
		want := visited(nil)
		if got := visited(jsonscan.NewNames(names...)); !slices.Equal(want, got) {
			t.Fatalf("want %q, got %q", want, got)
		}
		w := jsonscan.Walker{Likely: jsonscan.NewNames(names...)}
		for range 2 {
			n := 0
			members, found, err := w.Find(raw)
			for _, s := range found {
				if !slices.Contains(names, string(s.Key(raw))) {
					continue
				}
				if n == len(want)-1 || !strings.HasSuffix(want[n], fmt.Sprintf(" in %s, %+v", s.Parent(raw), s)) {
					t.Fatalf("%q: found %+v as number %d, visited %q", raw, s, n, want)
				}
				n++
			}
			if err == nil && n != len(want)-1 || fmt.Sprint(members, err) != want[len(want)-1] {
				t.Fatalf("%q: found %d with %v, %v, visited %q", raw, n, members, err, want)
			}
		}
	})
}
