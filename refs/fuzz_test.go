package refs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/refs"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "Patient/1", "/Patient/1/", "Patient/1/_history/2#f?q", "https://h.example:80/fhir//Patient/1/_history/2?a=b#c", "HTTP://h/P/1",
		"#p", "#", "urn:uuid:a#b", "urn:oid:1", "Patient?a=b#c", "Patient/../x", "Patient/%2e%2E", "javascript:x/P/1", "https://u@h/P/1",
		"Patient/$x", "P/_history/1", "P/1/_history", "P/\u0085", "//P/1", "https:///P/1", "P//1", "P/1//_history/2", "http://:1/P/1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := refs.Parse(s)
		if why := breach(s, r); why != "" {
			t.Errorf("Parse(%q) = %+v: %s", s, r, why)
		}
	})
}

// breach tells what Parse promises and r, which came of s, does not keep.
func breach(s string, r refs.Reference) string {
	beforeFragment, fragment, _ := strings.Cut(s, "#")
	beforeQuery, query, _ := strings.Cut(beforeFragment, "?")
	control := strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || 0x7f <= c && c <= 0x9f })
	if control && r.Kind != refs.Invalid {
		return "control characters"
	}
	if r.Kind != refs.Invalid && r.Fragment != fragment {
		return "another fragment"
	}
	switch r.Kind {
	case refs.Invalid:
		if r != (refs.Reference{}) {
			return "fields of an invalid reference"
		}
		if s != "" && !control && !strings.Contains(s, ".") && !strings.Contains(strings.ToLower(s), "%2e") {
			return "no reason to be invalid"
		}
	case refs.Relative, refs.Absolute:
		return breachOfIdentity(beforeQuery, query, r)
	case refs.Contained:
		if s != "#"+r.Fragment || r != (refs.Reference{Kind: refs.Contained, Fragment: r.Fragment}) {
			return "other parts than the fragment"
		}
	case refs.URN:
		if r.ID != beforeFragment || !strings.HasPrefix(strings.ToLower(r.ID), "urn:") || r.Type+r.Version+r.Query+r.Base != "" {
			return "not the whole URN"
		}
	case refs.Conditional:
		if r.Query == "" || r.Query != query || strings.Trim(beforeQuery, "/") != r.Type || !isType(r.Type) || r.ID+r.Version+r.Base != "" {
			return "not a type and a query"
		}
	case refs.Other:
		if r.Type+r.ID+r.Version+r.Base != "" {
			return "parts of something else"
		}
	default:
		return "unknown kind"
	}
	return ""
}

// breachOfIdentity is breach for the kinds that name a resource.
func breachOfIdentity(path, query string, r refs.Reference) string {
	if !isType(r.Type) || r.ID == "" || r.Query != query || strings.HasSuffix(r.Base, "/") || (r.Base != "") != (r.Kind == refs.Absolute) {
		return "a part is missing or wrong"
	}
	for _, part := range []string{r.ID, r.Version} {
		dots := strings.ReplaceAll(strings.ToLower(part), "%2e", ".")
		if strings.ContainsAny(part, "/?#") || strings.ContainsFunc(part, func(c rune) bool { return c < ' ' }) || dots == "." || dots == ".." {
			return "an id that it must not be"
		}
		if strings.HasPrefix(part, "$") || part == "_history" || part == "_search" {
			return "an interaction as id"
		}
	}
	again := r.Type + "/" + r.ID
	if r.Version != "" {
		again += "/_history/" + r.Version
	}
	rest := strings.TrimSuffix(path, "/")
	if !strings.HasSuffix(rest, again) {
		return "the text does not end with " + again
	}
	rest = strings.TrimSuffix(rest, again)
	if r.Kind == refs.Relative {
		if rest != "" && rest != "/" {
			return "more before the type"
		}
	} else if strings.TrimRight(rest, "/") != r.Base {
		return "the text does not begin with the base"
	}
	// Written again from its parts it is the same reference.
	if r.Base != "" {
		again = r.Base + "/" + again
	}
	same := r
	same.Fragment, same.Query = "", ""
	if refs.Parse(again) != same {
		return fmt.Sprintf("put together again it is %+v", refs.Parse(again))
	}
	return ""
}

func isType(s string) bool {
	return s != "" && unicode.IsUpper(rune(s[0])) && !strings.ContainsFunc(s, func(c rune) bool { return c > 'z' || !unicode.IsLetter(c) })
}

func FuzzAll(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"A","a":{"reference":"A/1"},"contained":[{"b":[{"reference":"#c"}]}]}`,
		`{"extension":[{"valueReference":{"refer\u0065nce":"A\/1\ud83d"}}],"reference":["x",["y"],{"z":"w"}]}`,
		`{"resourceType":"DetectedIssue","reference":"http://x","m":{"reference":{"reference":"M/1"}}}`,
		`[[{"reference":"x"}],"reference"]`, `"reference"`, ` 1e9 `, "1E1000", `{"a":{"reference":"A/1"},"b":01}`, `{"a":{"reference":"A/1"}`,
		`{"reference":"a","reference":"b"}`, `{"resourceType":"","a":{".contained":{"reference":""}}}`, "{\"reference\":\"\xff\"}", "\uFEFF{}", strings.Repeat("[", 501) + strings.Repeat("]", 501),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		found, err := collect(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the text was written to")
		}
		for i, f := range found {
			if text := said(raw, f); text != f.Text || f.Ref != refs.Parse(text) || text == "" && f.Source != refs.FromReference && f.Source != refs.FromURI {
				t.Errorf("%+v does not say what stands there: %q", f, text)
			}
			if i > 0 && f.Start < found[i-1].End {
				t.Errorf("%+v is not in order", f)
			}
			if f.Object >= 0 && (f.Object >= f.Start || raw[f.Object] != '{') {
				t.Errorf("%+v is in no object", f)
			}
		}
		tooDeep := depth(raw) > 500
		if valid := json.Valid(raw) && utf8.Valid(raw) && !tooDeep; valid != (err == nil) {
			t.Fatalf("valid %t, error %v", valid, err)
		}
		if !tooDeep && utf8.Valid(raw) && errors.Is(err, io.ErrUnexpectedEOF) != cutOff(raw) {
			t.Errorf("cut off: %t, error %v", cutOff(raw), err)
		}
		if err != nil || hasDuplicates(t, raw) {
			return
		}
		var value any
		numbers := json.NewDecoder(bytes.NewReader(raw))
		numbers.UseNumber() // one may be larger than any float64.
		if err := numbers.Decode(&value); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		walk(value, nil, &want)
		for _, f := range found {
			if f.Source == refs.FromReference || f.Source == refs.FromURI && (f.Path == "reference" || strings.HasSuffix(f.Path, ".reference")) {
				got = append(got, fmt.Sprintf("%q %t %t", f.Text, f.Contained, f.Extension))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("references (-encoding/json +All):\n%s", diff)
		}
	})
}

// said is what stands where something was found.
func said(raw []byte, f refs.Found) string {
	token := string(raw[f.Start:f.End])
	if f.Source == refs.FromNarrative {
		token = `"` + token + `"`
	}
	var text string
	if err := json.Unmarshal([]byte(token), &text); err != nil {
		return "broken: " + err.Error()
	}
	if f.Source == refs.FromNarrative {
		return html.UnescapeString(text)
	}
	return text
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		everySource, `{"a":{"reference":"A/1"},"a":{"reference":"A\/1\ud83d"},"x":1e+00}`, `{"text":{"div":"<a href=x\u0020y='z'><a href='&#32;&'>"}}`,
		`{"text":{"div":"\u003ca href=\u0022a&amp;\u0022\u003e\ud83d\ude00<img src='\ud83d'/>"}}`, `{"url":"x","a":{"url":"x","policy":["urn:x"],"valueUrl":"\""}}`,
		`{"a":{"reference":"A/1"}`, `[]`,
	} {
		f.Add([]byte(s), "x")
		f.Add([]byte(s), "\"<&>'\\\u2028 \t\r\n\f\x00#")
	}
	f.Fuzz(func(t *testing.T, raw []byte, added string) {
		found, err := collect(raw)
		same, sameErr := refs.Rewrite(raw, func(f *refs.Found) string { return f.Text })
		if (err == nil) != (sameErr == nil) || err == nil && !bytes.Equal(same, raw) {
			t.Fatalf("the identity: %q, %v, %v", same, sameErr, err)
		}
		if err != nil {
			return
		}
		added = strings.ToValidUTF8(added, "\uFFFD")
		out, err := refs.Rewrite(raw, func(f *refs.Found) string {
			if f.Source == refs.FromCanonical || f.Source == refs.FromURI {
				return f.Text + "x" // what is added could make it a sentence, which is not found again
			}
			return f.Text + added
		})
		if err != nil {
			t.Fatal(err)
		}
		again, err := collect(out)
		if err != nil || len(again) != len(found) {
			t.Fatalf("%d found, before it were %d: %v", len(again), len(found), err)
		}
		from, to := 0, 0
		for i, f := range found {
			g := again[i]
			want := f.Text + added
			if f.Source == refs.FromCanonical || f.Source == refs.FromURI {
				want = f.Text + "x"
			}
			if g.Text != want || g.Source != f.Source || g.Path != f.Path {
				t.Errorf("%+v became %+v", f, g)
			}
			if !bytes.Equal(raw[from:f.Start], out[to:g.Start]) {
				t.Errorf("%q became %q", raw[from:f.Start], out[to:g.Start])
			}
			from, to = f.End, g.End
		}
		if !bytes.Equal(raw[from:], out[to:]) {
			t.Errorf("%q became %q", raw[from:], out[to:])
		}
	})
}

// FuzzResolve looks for texts with which resolving finds what is not meant, or panics.
func FuzzResolve(f *testing.F) {
	f.Add("http://h.example/fhir/Patient/1", "Patient/1", "http://h.example/fhir")
	f.Add("urn:uuid:1", "URN:UUID:1#a", "")
	f.Add("Patient/1", "https://h.example:443/fhir/Patient/1/_history/2?x", "HTTPS://h.example/fhir/")
	f.Fuzz(func(t *testing.T, fullURL, text, base string) {
		b := refs.Bundle{Base: base}
		b.Add(fullURL, "Patient", "1", "2")
		for from := -1; from < 2; from++ {
			r, err := b.Resolve(from, text)
			if err != nil || r.Entry < -1 || r.Entry > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			ref, full := refs.Parse(text), refs.Parse(fullURL)
			if r.Entry == 0 && ref.Kind != refs.Contained && full.Kind != refs.Invalid && fullURL != "" && (ref.Type != full.Type || full.Type != "" && ref.ID != full.ID) {
				t.Errorf("%q is taken to be %q", text, fullURL)
			}
			if r.Entry == 0 && ref.Version != "" && ref.Version != "2" {
				t.Errorf("%q is taken to be version 2", text)
			}
			if ref.Kind == refs.Absolute && r.URL == "" {
				t.Errorf("%q means nothing", text)
			}
		}
	})
}

// walk collects the strings that stand under the name reference.
func walk(value any, path []string, found *[]string) {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			walk(v, append(slices.Clone(path), key), found)
		}
	case []any:
		for _, v := range value {
			walk(v, path, found)
		}
	case string:
		if len(path) > 0 && path[len(path)-1] == "reference" {
			extension := slices.Contains(path, "extension") || slices.Contains(path, "modifierExtension")
			*found = append(*found, fmt.Sprintf("%q %t %t", value, path[0] == "contained", extension))
		}
	}
}

// cutOff tells whether raw is the beginning of something valid. At the end encoding/json looks what a space would do,
// and where that breaks an escape, a number or a literal it complains of a space that is not there.
func cutOff(raw []byte) bool {
	var syntax *json.SyntaxError
	if !errors.As(json.Unmarshal(raw, new(json.RawMessage)), &syntax) {
		return false
	}
	return syntax.Error() == "unexpected end of JSON input" ||
		strings.HasPrefix(syntax.Error(), "invalid character ' '") && syntax.Offset == int64(len(raw)) && !bytes.HasSuffix(raw, []byte(" "))
}

// depth is how deep the brackets outside of strings go, for valid and cut off texts.
func depth(raw []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// hasDuplicates tells whether an object in raw, which is valid, has a name twice.
func hasDuplicates(t *testing.T, raw []byte) bool {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // one may be larger than any float64.
	type level struct {
		names map[string]bool // nil in an array
		value bool            // a value comes next, not a name
	}
	var open []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].names != nil {
			top := &open[n-1]
			if name, ok := token.(string); ok && !top.value {
				if top.names[name] {
					return true
				}
				top.names[name], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		}
	}
}
