package jsonscan_test

import (
	"encoding/json"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// edits gives an edit for every string under a name, made by change.
func edits(t *testing.T, raw []byte, change func(text string) string) []jsonscan.Edit {
	t.Helper()
	var w jsonscan.Walker
	var out []jsonscan.Edit
	if err := w.Walk(raw, every, func(f *jsonscan.Field) error {
		out = append(out, jsonscan.Edit{Start: f.Start, End: f.End, Text: change(f.Text())})
		return nil
	}); err != nil {
		t.Fatalf("Walk(%.100s): %v", raw, err)
	}
	return out
}

func same(text string) string { return text }

func TestReplaceWithTheSameTextChangesNothing(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"a":"1","b":["2",{"c":"<é😀>` + "\u2028\x7f" + `\"\\\n\t\b\f\r\u0001\u001f"}],"n":[1.50,1e400,123456789012345678901234567890,-0]}`,
		" {\r\n\t\"a\" : \"x\" , \"a\":\"\" }\n", `{}`, `"x"`, `{"":"","contained":[]}`,
	} {
		if got := string(jsonscan.Replace(nil, []byte(raw), edits(t, []byte(raw), same))); got != raw {
			t.Errorf("%s became %s", raw, got)
		}
	}
}

func TestReplaceInGeneratedResources(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 300, Secondary: 9, Attachments: 3, Dangling: 3})
	for _, r := range append(rec.Resources, rec.Referenced...) {
		if got := jsonscan.Replace([]byte("before"), r.Raw, nil); string(got) != "before"+string(r.Raw) {
			t.Errorf("%s: changed without an edit", r.Ref())
		}
		all := edits(t, r.Raw, func(text string) string { return "new-" + text })
		got := jsonscan.Replace(nil, r.Raw, all)
		again := edits(t, got, same)
		if len(again) != len(all) {
			t.Fatalf("%s: %d strings became %d", r.Ref(), len(all), len(again))
		}
		from, to := 0, 0
		for i := range all {
			if a, b := string(r.Raw[from:all[i].Start]), string(got[to:again[i].Start]); a != b {
				t.Errorf("%s: between the strings %q became %q", r.Ref(), a, b)
			}
			if again[i].Text != all[i].Text {
				t.Errorf("%s: says %q, not %q", r.Ref(), again[i].Text, all[i].Text)
			}
			from, to = all[i].End, again[i].End
		}
		if a, b := string(r.Raw[from:]), string(got[to:]); a != b {
			t.Errorf("%s: at the end %q became %q", r.Ref(), a, b)
		}
	}
}

func TestReplaceEscapesWhatMustBe(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"a":"x"}`)
	for text, want := range map[string]string{
		"":               `""`,
		"é/<>&😀\u2028":   `"é/<>&😀` + "\u2028" + `"`,
		"\"\\\b\f\n\r\t": `"\"\\\b\f\n\r\t"`,
		"\x00\x1f\x7f":   `"\u0000\u001f` + "\x7f" + `"`,
		"a\xffb\xc3":     `"a` + "\uFFFD" + `b` + "\uFFFD" + `"`,
		"\xed\xa0\x80":   `"` + "\uFFFD\uFFFD\uFFFD" + `"`,
		"\uFFFD":         `"` + "\uFFFD" + `"`,
	} {
		got := jsonscan.Replace(nil, raw, []jsonscan.Edit{{Start: 5, End: 8, Text: text}})
		if string(got) != `{"a":`+want+`}` {
			t.Errorf("%q is written %s", text, got)
		}
		if err := jsonscan.Valid(got); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var decoded struct{ A string }
		if err := json.Unmarshal(got, &decoded); err != nil || decoded.A != string([]rune(text)) {
			t.Errorf("%q is read as %q (%v)", text, decoded.A, err)
		}
	}
}

func TestReplaceLeavesOutEditsThatCannotBe(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"a":"1","b":"2"}`)
	for name, e := range map[string]jsonscan.Edit{
		"before the text":     {Start: -3, End: -1},
		"begins before it":    {Start: -1, End: 3},
		"ends behind it":      {Start: 5, End: len(raw) + 1},
		"ends before it does": {Start: 8, End: 5},
		"behind the text":     {Start: 100, End: 101},
	} {
		e.Text = "no"
		got := jsonscan.Replace(nil, raw, []jsonscan.Edit{e, {Start: 13, End: 16, Text: "yes"}})
		if string(got) != `{"a":"1","b":"yes"}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	got := jsonscan.Replace(nil, raw, []jsonscan.Edit{{5, 8, "x"}, {6, 9, "overlaps"}, {5, 8, "twice"}, {13, 16, "y"}, {5, 8, "out of order"}})
	if string(got) != `{"a":"x","b":"y"}` {
		t.Errorf("got %s", got)
	}
}
