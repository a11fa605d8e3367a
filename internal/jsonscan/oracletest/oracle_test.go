package oracletest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// options make jsontext take what RFC 8259 takes. Bad UTF-8 is looked for beside it, because to jsontext a surrogate without its partner is
// bad UTF-8 too, even as an escape.
var options = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func decoder(raw []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewReader(raw), options...)
}

// item is a token of jsontext, and where it is.
type item struct {
	kind    jsontext.Kind
	text    string // decoded, of a string
	raw     string // without white space
	isName  bool
	path    []string // the names it stands under, without arrays
	depth   int
	objects int // of these, objects
}

// read gives all tokens of a text that should hold one value.
func read(raw []byte) ([]item, error) {
	d := decoder(raw)
	var out []item
	names := []string{""} // by depth; in an array the name of the array
	objects := 0
	for {
		tok, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return out, err
		}
		it := item{kind: tok.Kind(), depth: d.StackDepth()}
		if it.kind == '"' || it.kind == '0' {
			it.text = tok.String()
		}
		// The token ends here; it begins where its raw form does.
		end := d.InputOffset()
		it.raw = string(raw[tokenStart(raw, int(end), it):end])
		switch it.kind { //nolint:exhaustive // the rest holds and closes nothing that is looked at.
		case '{', '[':
			name := ""
			if it.kind == '[' {
				name = names[it.depth-1]
			} else {
				objects++
			}
			names = append(names[:it.depth], name)
		case '}':
			objects--
		case '"':
			if kind, n := d.StackIndex(it.depth); kind == '{' && n%2 == 1 {
				it.isName = true
				names[it.depth] = it.text
			}
		}
		if it.kind == '"' && !it.isName {
			for depth := 1; depth <= it.depth; depth++ {
				if kind, _ := d.StackIndex(depth); kind == '{' {
					it.path = append(it.path, names[depth])
				}
			}
			it.objects = objects
		}
		out = append(out, it)
		if it.depth == 0 {
			if rest := bytes.Trim(raw[end:], " \t\r\n"); len(rest) > 0 {
				return out, errors.New("data after the value")
			}
			return out, nil
		}
	}
}

// tokenStart goes back from where a token ends.
func tokenStart(raw []byte, end int, it item) int {
	switch it.kind { //nolint:exhaustive // the rest are strings.
	case '{', '[', '}', ']':
		return end - 1
	case 't', 'n':
		return end - len("true")
	case 'f':
		return end - len("false")
	case '0':
		return end - len(it.text)
	}
	for i := end - 2; ; i-- { // the quote before which stands an even number of backslashes
		slashes := 0
		for i-1-slashes >= 0 && raw[i-1-slashes] == '\\' {
			slashes++
		}
		if raw[i] == '"' && slashes%2 == 0 {
			return i
		}
	}
}

// deepest is how deep the tokens go.
func deepest(items []item) int {
	n := 0
	for _, it := range items {
		n = max(n, it.depth)
	}
	return n
}

// longNames tells whether there are names or paths that jsonscan cuts, because FHIR has none as long.
func longNames(items []item) bool {
	return slices.ContainsFunc(items, func(it item) bool {
		return it.isName && len(it.raw) > 1500 || len(strings.Join(it.path, ".")) > jsonscan.MaxPath
	})
}

// seeds are resources that servers may send, and worse.
func seeds(f *testing.F) {
	f.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 30})
	byType := map[string]bool{}
	for _, r := range rec.Resources {
		if !byType[r.Type] {
			byType[r.Type] = true
			f.Add(r.Raw)
		}
	}
	for _, s := range []string{
		``, ` `, `{}`, `[[]]`, `"é\ud83d\ude00\ud800"`, `[1.50,-0,1e400]`, `01`, `1e`, `[1,]`, `{"a":1,}`, `tru`, "\xEF\xBB\xBF{}", "\"\xff\"", `"\u12`, `"\x"`, `[}`,
		`{"a":{"reference":"A\/1"},"a":{"refer\u0065nce":["x",["\ud83d"],{"b":"c"}]},"contained":[{"extension":{"reference":"#"}}]}`,
		`{"resourceType":"Bundle","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"A", "id":"1"}} , {"resource":{"a":[1.0, 2]}}],"entry":[{"search":{}}]}`,
		`{"text":{"div":"<a href=\"A\/1\">"},"url":"x","photo":[{"url":"y"}],"valueUri":"z","questionnaire":"http:\/\/q|1"}`,
		strings.Repeat("[", 501) + strings.Repeat("]", 501), strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500),
	} {
		f.Add([]byte(s))
	}
}

// FuzzValid wants that both take the same texts, but for bad UTF-8 and too deep nesting; and that what we call cut off is.
func FuzzValid(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := jsonscan.Valid(raw)
		items, oracle := read(raw)
		tooDeep := deepest(items) > jsonscan.MaxDepth
		if want := oracle == nil && utf8.Valid(raw) && !tooDeep; want != (err == nil) {
			t.Fatalf("jsontext: %v, deep %t, UTF-8 %t; jsonscan: %v", oracle, tooDeep, utf8.Valid(raw), err)
		}
		if oracle == nil && utf8.Valid(raw) && tooDeep != errors.Is(err, jsonscan.ErrDepth) {
			t.Errorf("too deep: %t, %v", tooDeep, err)
		}
		// Not the other way round: jsontext reads a number to its end before it says that it is out of place.
		if utf8.Valid(raw) && !tooDeep && errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(oracle, io.ErrUnexpectedEOF) {
			t.Errorf("cut off? jsontext: %v; jsonscan: %v", oracle, err)
		}
		// By its own strict rules jsontext takes nothing that we refuse.
		if jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true)) && err != nil && !tooDeep {
			t.Errorf("strict jsontext takes it; jsonscan: %v", err)
		}
	})
}

// FuzzWalk wants the same strings under the same names from both.
func FuzzWalk(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got []string
		var w jsonscan.Walker
		err := w.Walk(raw, func([]byte) bool { return true }, func(f *jsonscan.Field) error {
			got = append(got, fmt.Sprintf("%q %q %s %d", f.Path(), f.Text(), raw[f.Start:f.End], f.Depth()))
			return nil
		})
		items, oracle := read(raw)
		if err != nil || oracle != nil || longNames(items) {
			return // FuzzValid compares the errors
		}
		var want []string
		for _, it := range items {
			if it.kind == '"' && !it.isName && it.objects > 0 {
				want = append(want, fmt.Sprintf("%q %q %s %d", strings.Join(it.path, "."), it.text, it.raw, it.objects))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-jsontext +jsonscan):\n%s", diff)
		}
	})
}

// FuzzSplit wants the same bytes of the same resources from both.
func FuzzSplit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, page []byte) {
		if items, err := read(page); err != nil || !utf8.Valid(page) || deepest(items) > jsonscan.MaxDepth {
			return
		}
		var b jsonscan.Bundle
		if err := b.Split(page); err != nil || b.ResourceType != "Bundle" {
			return
		}
		want, ok := resources(t, page)
		if !ok {
			return
		}
		if len(want) != len(b.Entries) {
			t.Fatalf("jsontext finds %d entries, jsonscan %d", len(want), len(b.Entries))
		}
		for i, e := range b.Entries {
			if e.Err == nil && string(e.Resource) != want[i] {
				t.Errorf("entry %d is %s, jsontext says %s", i, e.Resource, want[i])
			}
		}
	})
}

// resources gives the resource of each entry; false where the page is not made of arrays of objects with one each, which is for other tests.
func resources(t *testing.T, page []byte) (out []string, ok bool) {
	t.Helper()
	for name, entries := range members(t, page) {
		if name != "entry" {
			continue
		}
		d := decoder(entries)
		if d.PeekKind() != '[' {
			return nil, false
		}
		skip(t, d)
		for d.PeekKind() != ']' {
			entry, err := d.ReadValue()
			if err != nil {
				t.Fatal(err)
			}
			if entry.Kind() != '{' {
				return nil, false
			}
			found := 0
			resource := ""
			for name, value := range members(t, entry) {
				if name == "resource" {
					found++
					resource = string(value)
				}
			}
			if found > 1 || found == 1 && resource[0] != '{' {
				return nil, false
			}
			out = append(out, resource)
		}
	}
	return out, true
}

// members gives the members of an object.
func members(t *testing.T, object []byte) func(func(string, []byte) bool) {
	t.Helper()
	return func(yield func(string, []byte) bool) {
		d := decoder(object)
		skip(t, d)
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				t.Fatal(err)
			}
			text := name.String()
			value, err := d.ReadValue()
			if err != nil {
				t.Fatal(err)
			}
			if !yield(text, bytes.Clone(value)) {
				return
			}
		}
	}
}

func skip(t *testing.T, d *jsontext.Decoder) {
	t.Helper()
	if _, err := d.ReadToken(); err != nil {
		t.Fatal(err)
	}
}

// FuzzReplace wants that a text with strings replaced has the same tokens, but for those strings.
func FuzzReplace(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var edits []jsonscan.Edit
		var w jsonscan.Walker
		err := w.Walk(raw, func(name []byte) bool { return len(name)%2 == 1 }, func(f *jsonscan.Field) error {
			edits = append(edits, jsonscan.Edit{Start: f.Start, End: f.End, Text: "<\"\\\n\x00" + f.Text()})
			return nil
		})
		if err != nil {
			return
		}
		before, err := read(raw)
		if err != nil {
			t.Fatal(err)
		}
		if longNames(before) {
			return
		}
		after, err := read(jsonscan.Replace(nil, raw, edits))
		if err != nil || len(after) != len(before) {
			t.Fatalf("%d tokens, before %d: %v", len(after), len(before), err)
		}
		for i, it := range before {
			if it.kind == '"' && !it.isName && it.objects > 0 && len(it.path[len(it.path)-1])%2 == 1 && after[i].text == "<\"\\\n\x00"+it.text {
				continue
			}
			if it.raw != after[i].raw {
				t.Errorf("%s became %s", it.raw, after[i].raw)
			}
		}
	})
}

// FuzzReferences wants the same references from refs.All as the names of the members tell, and from refs.Rewrite a text in which they, and
// nothing else, are others.
func FuzzReferences(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		isReference := func(it item) bool {
			return it.kind == '"' && !it.isName && it.objects > 0 && it.path[len(it.path)-1] == "reference"
		}
		var got []string
		for found, err := range refs.All(raw, refs.FromReference, refs.FromURI) {
			if err != nil {
				return
			}
			// A uri of another name is none of what is compared here.
			if found.Source == refs.FromReference || strings.HasSuffix("."+found.Path, ".reference") {
				got = append(got, fmt.Sprintf("%q %s %t %t", found.Text, raw[found.Start:found.End], found.Contained, found.Extension))
			}
		}
		before, err := read(raw)
		if err != nil {
			t.Fatal(err)
		}
		if longNames(before) {
			return
		}
		var want []string
		for _, it := range before {
			if isReference(it) {
				extension := slices.Contains(it.path, "extension") || slices.Contains(it.path, "modifierExtension")
				want = append(want, fmt.Sprintf("%q %s %t %t", it.text, it.raw, it.path[0] == "contained", extension))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-jsontext +refs):\n%s", diff)
		}

		out, err := refs.Rewrite(raw, func(found *refs.Found) string {
			if found.Source == refs.FromReference || strings.HasSuffix("."+found.Path, ".reference") {
				return "X/" + found.Text + "\""
			}
			return found.Text
		})
		if err != nil {
			t.Fatal(err)
		}
		after, err := read(out)
		if err != nil || len(after) != len(before) {
			t.Fatalf("%d tokens, before %d: %v", len(after), len(before), err)
		}
		for i, it := range before {
			if isReference(it) {
				if after[i].text != "X/"+it.text+"\"" {
					t.Errorf("%q became %q", it.text, after[i].text)
				}
			} else if it.raw != after[i].raw {
				t.Errorf("%s became %s", it.raw, after[i].raw)
			}
		}
	})
}
