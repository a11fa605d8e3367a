package idspace_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// The spaces of these tests have readable ids: Patient/1 becomes Patient/a-1.
func spaceA(tb testing.TB, o idspace.Options) *idspace.Space {
	tb.Helper()
	o.Name, o.Scheme = "a", idspace.Prefix()
	if o.Bases == nil {
		o.Bases = []string{"https://fhir.example.org/r4"}
	}
	return mustSpace(tb, o)
}

// tags is the marker in meta.tag.
func tags(typ, id string) string {
	return `{"system":"` + idspace.SpaceSystem + `","code":"a"},{"system":"` + idspace.OriginalSystem + `","code":"a/` + typ + `/` + id + `"}`
}

// body rewrites a Patient with these members, and gives them back.
func body(t *testing.T, space *idspace.Space, members string) string {
	t.Helper()
	const head = `{"resourceType":"Patient","id":"1","meta":{"tag":[]},`
	out, err := space.Rewrite([]byte(head + members + `}`))
	if err != nil {
		t.Errorf("%s: %v", members, err)
		return ""
	}
	want := `{"resourceType":"Patient","id":"a-1","meta":{"tag":[` + tags("Patient", "1") + `]},`
	rest, ok := strings.CutPrefix(string(out.Raw), want)
	if !ok {
		t.Errorf("%s: begins otherwise: %s", members, out.Raw)
	}
	return strings.TrimSuffix(rest, "}")
}

func TestReferences(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	const same = "" // nothing changes
	for in, want := range map[string]string{
		`"reference":"Patient/1"`:                                                            `"reference":"Patient/a-1"`,
		`"reference" : [ "Patient/1" , "#x" ]`:                                               `"reference" : [ "Patient/a-1" , "#x" ]`,
		`"x":{"y":[{"reference":"Group/1"}]}`:                                                `"x":{"y":[{"reference":"Group/a-1"}]}`,
		`"medication":{"reference":{"reference":"Medication/1"}}`:                            `"medication":{"reference":{"reference":"Medication/a-1"}}`,
		`"contained":[{"id":"1","x":{"reference":"Patient/1"}}]`:                             `"contained":[{"id":"1","x":{"reference":"Patient/a-1"}}]`,
		`"extension":[{"url":"u","valueReference":{"reference":"Foo/1"}}]`:                   `"extension":[{"url":"u","valueReference":{"reference":"Foo/a-1"}}]`,
		`"reference":"Patient\/1"`:                                                           `"reference":"Patient\/a-1"`,
		`"refer\u0065nce":"P\u0061tient\u002f\u0031"`:                                        `"refer\u0065nce":"P\u0061tient\u002fa-1"`,
		`"reference":"Patient/1/_history/2"`:                                                 `"reference":"Patient/a-1/_history/2"`,
		`"reference":"Patient/1#p"`:                                                          `"reference":"Patient/a-1#p"`,
		`"reference":"Patient/1?x=1"`:                                                        `"reference":"Patient/a-1?x=1"`,
		`"reference":"/Patient/1"`:                                                           `"reference":"Patient/a-1"`,
		`"reference":"Patient/1/"`:                                                           `"reference":"Patient/a-1"`,
		`"reference":"https://fhir.example.org/r4/Patient/1"`:                                `"reference":"Patient/a-1"`,
		`"reference":"http:\/\/FHIR.example.org:80\/r4\/\/Patient\/1\/_history\/2\/#\u00e9"`: `"reference":"Patient/a-1\/_history\/2\/#\u00e9"`,
		`"reference":"Patient/1é","a":"é"`:                                                   `"reference":"Patient/` + space.ID("Patient", "1é") + `","a":"é"`,
		`"reference":"Patient/a%20b"`:                                                        `"reference":"Patient/` + space.ID("Patient", "a%20b") + `"`,
		`"reference":"Patient/x|\"\\"`:                                                       `"reference":"Patient/` + space.ID("Patient", `x|"\`) + `"`,
		`"reference":"Patient/a-1"`:                                                          `"reference":"Patient/a.a-1"`, // made to look as if it had been rewritten
		`"reference":"Patient/\ud834\udd1e"`:                                                 `"reference":"Patient/` + space.ID("Patient", "𝄞") + `"`,
		`"reference":"Patient/1","reference":"Patient/2"`:                                    `"reference":"Patient/a-1","reference":"Patient/a-2"`,

		// Nothing that names a resource of this server.
		`"reference":"https://fhir.example.org/r5/Patient/1"`:      same,
		`"reference":"https://other.example.org/r4/Patient/1"`:     same,
		`"reference":"https://fhir.example.org.evil/r4/Patient/1"`: same,
		`"reference":"https://x:y@fhir.example.org/r4/Patient/1"`:  same,
		`"reference":"#p"`: same,
		`"reference":"#"`:  same,
		`"reference":""`:   same,
		`"reference":"urn:uuid:3fad63bf-604e-4ef5-85f7-753f22d31861"`: same,
		`"reference":"Patient?identifier=http://x|1"`:                 same,
		`"reference":"Patient"`:                                       same,
		`"reference":"../Patient/1"`:                                  same,
		`"reference":"Patient/\ud834"`:                                same, // names no id
		`"reference":null,"type":"Patient/1","display":"Patient/1"`:   same,
		`"Reference":"Patient/1","_reference":{"x":"Patient/1"}`:      same,
		`"identifier":{"system":"s","value":"Patient/1"}`:             same,
	} {
		if want == same {
			want = in
		}
		if got := body(t, space, in); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	const same = ""
	for in, want := range map[string]string{
		`"photo":[{"url":"Binary/1"}]`:                                      `"photo":[{"url":"Binary/a-1"}]`,
		`"photo":{"url":"https://fhir.example.org/r4/Binary/1"}`:            `"photo":{"url":"Binary/a-1"}`,
		`"extension":[{"url":"x","valueUri":"Patient/1"}]`:                  `"extension":[{"url":"x","valueUri":"Patient/a-1"}]`,
		`"extension":[{"url":"x","valueUrl":"Patient/1/_history/1"}]`:       `"extension":[{"url":"x","valueUrl":"Patient/a-1/_history/1"}]`,
		`"extension":[{"url":"x","valueAttachment":{"url":"Binary/1"}}]`:    `"extension":[{"url":"x","valueAttachment":{"url":"Binary/a-1"}}]`,
		`"contained":[{"url":"ValueSet/1","content":[{"url":"Binary/1"}]}]`: `"contained":[{"url":"ValueSet/1","content":[{"url":"Binary/a-1"}]}]`,

		`"extension":[{"url":"Patient/1"}]`:                             same,
		`"modifierExtension":[{"url":"Patient/1"}]`:                     same,
		`"url":"https://fhir.example.org/r4/ValueSet/1"`:                same,
		`"photo":[{"url":"Images/1"}]`:                                  same,
		`"photo":[{"url":"https://fhir.example.org/r4/Images/1"}]`:      same,
		`"photo":[{"url":"https://fhir.example.org/r4/Binary/1/$raw"}]`: same,
		`"location":"Patient/1","valueString":"Patient/1"`:              same,
		`"valueCanonical":"https://fhir.example.org/r4/ValueSet/1"`:     same,
		`"link":[{"url":"Patient/1"}]`:                                  same,
	} {
		if want == same {
			want = in
		}
		if got := body(t, space, in); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestNarrative(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	const same = ""
	for in, want := range map[string]string{
		`<a href="Patient/1">Patient/1</a>`:                                `<a href="Patient/a-1">Patient/1</a>`,
		`<a class='x' href='Patient/1#p'/><img src="Binary/2"/>`:           `<a class='x' href='Patient/a-1#p'/><img src="Binary/a-2"/>`,
		`<img alt = "a>b" src = " https://fhir.example.org/r4/Binary/2 ">`: `<img alt = "a>b" src = " Binary/a-2 ">`,
		`<a href=Patient/1>x</a>`:                                          `<a href=Patient/a-1>x</a>`,
		`<a href="Patient/1?a=1&amp;b=2">`:                                 `<a href="Patient/a-1?a=1&amp;b=2">`,
		`<a href="Patient&#47;1">`:                                         `<a href="Patient/a-1">`,
		`<a href="&#x68;ttps://fhir.example.org/r4/Patient/1#a&lt;">`:      `<a href="Patient/a-1#a&lt;">`,
		`é <b>"</b><a href="Patient/1">`:                                   `é <b>"</b><a href="Patient/a-1">`,
		`<a href="Patient/1"><a href="Group/2"><a href="Patient/1">`:       `<a href="Patient/a-1"><a href="Group/a-2"><a href="Patient/a-1">`,

		`href="Patient/1"`:                           same,
		`<!-- <a href="Patient/1"> -->`:              same,
		`<![CDATA[<a href="Patient/1">]]>`:           same,
		`<a title="href='Patient/1'">`:               same,
		`<a data-href="Patient/1" xhref="Group/1">`:  same,
		`<a href="#x"><a href="mailto:a@b"><a href>`: same,
		`<a href="Images/1.png"><a href="`:           same,
		`<a href="Patient/1`:                         same, // no end, no attribute
		`</a href="Patient/1">`:                      same,
		`<`:                                          same,
		`<a =href="Patient/1">`:                      same,
	} {
		if want == same {
			want = in
		}
		for _, write := range []func(string) string{plainJSON, escapedJSON} {
			got := body(t, space, `"text":{"div":`+write(in)+`}`)
			var back struct{ Text struct{ Div string } }
			if err := json.Unmarshal([]byte("{"+got+"}"), &back); err != nil {
				t.Errorf("%s: %v", got, err)
			}
			if back.Text.Div != want {
				t.Errorf("%s:\ngot  %s\nwant %s", in, back.Text.Div, want)
			}
			if want == in && got != `"text":{"div":`+write(in)+`}` {
				t.Errorf("%s: bytes changed: %s", in, got)
			}
		}
	}
}

// plainJSON writes a string with as few escapes as possible.
func plainJSON(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// escapedJSON writes all letters a and all of < as escapes, and slashes the other way.
func escapedJSON(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `a`, `\u0061`, `<`, `\u003C`, `/`, `\/`).Replace(s) + `"`
}

func TestCanonicals(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{Canonicals: true})
	for in, want := range map[string]string{
		`"questionnaire":"https://fhir.example.org/r4/Questionnaire/1|2.0#x"`:      `"questionnaire":"https://fhir.example.org/r4/Questionnaire/a-1|2.0#x"`,
		`"instantiatesCanonical":["http://fhir.example.org/r4/PlanDefinition\/1"]`: `"instantiatesCanonical":["http://fhir.example.org/r4/PlanDefinition\/a-1"]`,
		`"url":"https://fhir.example.org/r4/ValueSet/1"`:                           `"url":"https://fhir.example.org/r4/ValueSet/a-1"`,
		`"url":"https://fhir.example.org/r4/Foo/1"`:                                `"url":"https://fhir.example.org/r4/Foo/1"`,
		`"questionnaire":"https://other.example/Questionnaire/1"`:                  `"questionnaire":"https://other.example/Questionnaire/1"`,
		`"questionnaire":"Questionnaire/1"`:                                        `"questionnaire":"Questionnaire/1"`,
		`"extension":[{"url":"https://fhir.example.org/r4/ValueSet/1"}]`:           `"extension":[{"url":"https://fhir.example.org/r4/ValueSet/1"}]`,
	} {
		if got := body(t, space, in); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestBundles(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	for name, c := range map[string]struct {
		in, want string
		foreign  int
	}{
		"page": {
			in: `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"https://fhir.example.org/r4/Patient/1"}],"entry":[` +
				`{"fullUrl":"https://fhir.example.org/r4/Patient/1","resource":{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"https://fhir.example.org/r4/Patient/2"}}]}}]}`,
			want: `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"https://fhir.example.org/r4/Patient/1"}],"entry":[` +
				`{"fullUrl":"https://fhir.example.org/r4/Patient/a-1","resource":{"resourceType":"Patient","id":"a-1","meta":{"tag":[` + tags("Patient", "1") +
				`]},"link":[{"other":{"reference":"Patient/a-2"}}]}}]}`,
		},
		"transaction": {
			in: `{"resourceType":"Bundle","entry":{"request":{"method":"PUT","url":"Patient/1"},"response":{"location":"Patient/1/_history/1"},` +
				`"resource":{"resourceType":"Patient","meta":{"tag":[]},"id":"1"}}}`,
			want: `{"resourceType":"Bundle","entry":{"request":{"method":"PUT","url":"Patient/a-1"},"response":{"location":"Patient/a-1/_history/1"},` +
				`"resource":{"resourceType":"Patient","meta":{"tag":[` + tags("Patient", "1") + `]},"id":"a-1"}}}`,
		},
		"another server's, wherever the fullUrl stands": {
			in: `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"1","meta":{"source":"` + idspace.SourcePrefix + `b/Patient/1"},` +
				`"a":[{"reference":"Patient/2"},{"reference":"https://fhir.example.org/r4/Patient/2"}]},"fullUrl":"https://other.example/Patient/1"},{"x":{"reference":"Patient/3"}}]}`,
			want: `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"1","meta":{"source":"` + idspace.ForeignSource +
				strings.NewReplacer(":", "%3A", "/", "%2F").Replace(idspace.SourcePrefix) + `b%2FPatient%2F1"},` +
				`"a":[{"reference":"Patient/2"},{"reference":"https://fhir.example.org/r4/Patient/a-2"}]},"fullUrl":"https://other.example/Patient/1"},{"x":{"reference":"Patient/a-3"}}]}`,
			foreign: 1,
		},
		"urn": {
			in: `{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:3fad63bf-604e-4ef5-85f7-753f22d31861","resource":{"resourceType":"Patient",` +
				`"a":[{"reference":"urn:uuid:3fad63bf-604e-4ef5-85f7-753f22d31861"},{"reference":"https://fhir.example.org/r4/Patient/2"},{"reference":"Patient/2"}]}}]}`,
			want: `{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:3fad63bf-604e-4ef5-85f7-753f22d31861","resource":{"resourceType":"Patient",` +
				`"a":[{"reference":"urn:uuid:3fad63bf-604e-4ef5-85f7-753f22d31861"},{"reference":"https://fhir.example.org/r4/Patient/a-2"},{"reference":"Patient/a-2"}]}}]}`,
		},
		"nested": {
			in: `{"resourceType":"Bundle","entry":[{"fullUrl":"https://other.example/Bundle/1","resource":{"resourceType":"Bundle","entry":[` +
				`{"fullUrl":"https://fhir.example.org/r4/Patient/1","x":{"reference":"Patient/1"}},{"x":{"reference":"Patient/1"}}],"y":{"reference":"Patient/1"}}},{"x":{"reference":"Patient/1"}}]}`,
			want: `{"resourceType":"Bundle","entry":[{"fullUrl":"https://other.example/Bundle/1","resource":{"resourceType":"Bundle","entry":[` +
				`{"fullUrl":"https://fhir.example.org/r4/Patient/a-1","x":{"reference":"Patient/a-1"}},{"x":{"reference":"Patient/1"}}],"y":{"reference":"Patient/1"}}},{"x":{"reference":"Patient/a-1"}}]}`,
			foreign: 2,
		},
		"Parameters": {
			in: `{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient","id":"1","meta":{"tag":[]}}},` +
				`{"part":[{"resource":{"resourceType":"Patient","id":"2","meta":{"tag":[]}}},{"valueReference":{"reference":"Patient/2"}}]}]}`,
			want: `{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient","id":"a-1","meta":{"tag":[` + tags("Patient", "1") + `]}}},` +
				`{"part":[{"resource":{"resourceType":"Patient","id":"a-2","meta":{"tag":[` + tags("Patient", "2") + `]}}},{"valueReference":{"reference":"Patient/a-2"}}]}]}`,
		},
		"a List has entries too": {
			in:   `{"resourceType":"List","entry":[{"fullUrl":"https://other.example/Patient/1","resource":{"id":1},"item":{"reference":"Patient/1"}}]}`,
			want: `{"resourceType":"List","entry":[{"fullUrl":"https://other.example/Patient/1","resource":{"id":1},"item":{"reference":"Patient/a-1"}}]}`,
		},
	} {
		out, err := space.Rewrite([]byte(c.in))
		if err != nil || string(out.Raw) != c.want || out.Foreign != c.foreign {
			t.Errorf("%s: %v, foreign %d\ngot  %s\nwant %s", name, err, out.Foreign, out.Raw, c.want)
		}
	}
}

func TestMeta(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mark     idspace.Mark
		in, want string // T for the two tags, S for the tag of the space, I for the identifier, U for the URI
	}{
		"none":                     {in: `"id":"1"`, want: `"id":"a-1","meta":{"tag":[T]}`},
		"none, id amid":            {in: `"x":1, "id" : "1" ,"y":2`, want: `"x":1, "id" : "a-1","meta":{"tag":[T]} ,"y":2`},
		"without tag":              {in: `"id":"1","meta":{"version":"1"}`, want: `"id":"a-1","meta":{"tag":[T],"version":"1"}`},
		"empty":                    {in: `"id":"1","meta":{ }`, want: `"id":"a-1","meta":{"tag":[T] }`},
		"before the id":            {in: `"meta":{"version":"1"},"id":"1"`, want: `"meta":{"tag":[T],"version":"1"},"id":"a-1"`},
		"null":                     {in: `"id":"1","meta":null`, want: `"id":"a-1","meta":{"tag":[T]}`},
		"tags":                     {in: `"id":"1","meta":{"tag":[ {"code":"x"}]}`, want: `"id":"a-1","meta":{"tag":[T, {"code":"x"}]}`},
		"no tags":                  {in: `"id":"1","meta":{"tag":[ ]}`, want: `"id":"a-1","meta":{"tag":[T ]}`},
		"one tag":                  {in: `"id":"1","meta":{"tag":{"code":"x"}}`, want: `"id":"a-1","meta":{"tag":[T,{"code":"x"}]}`},
		"tag null":                 {in: `"id":"1","meta":{"tag":null}`, want: `"id":"a-1","meta":{"tag":[T]}`},
		"tag odd":                  {in: `"id":"1","meta":{"tag":"x"}`, want: `"id":"a-1","meta":{"tag":[T,"x"]}`},
		"tag twice":                {in: `"id":"1","meta":{"tag":[],"t\u0061g":7}`, want: `"id":"a-1","meta":{"tag":[T],"t\u0061g":[T,7]}`},
		"twice":                    {in: `"id":"1","meta":{},"m\u0065ta":{"tag":[]}`, want: `"id":"a-1","meta":{"tag":[T]},"m\u0065ta":{"tag":[T]}`},
		"id twice":                 {in: `"id":"1","\u0069d":"\u0031","meta":null`, want: `"id":"a-1","\u0069d":"a-1","meta":{"tag":[T]}`},
		"contained are not marked": {in: `"id":"1","contained":[{"id":"1","meta":{}}]`, want: `"id":"a-1","meta":{"tag":[T]},"contained":[{"id":"1","meta":{}}]`},
		"no id":                    {in: `"id":null,"meta":{"tag":[]}`, want: `"id":null,"meta":{"tag":[]}`},
		"source, none":             {mark: idspace.MarkSource, in: `"id":"1"`, want: `"id":"a-1","meta":{"source":"U"}`},
		"source, other":            {mark: idspace.MarkSource, in: `"id":"1","meta":{"tag":[]}`, want: `"id":"a-1","meta":{"source":"U","tag":[]}`},
		"source, there":            {mark: idspace.MarkSource, in: `"id":"1","meta":{"source":"urn:x#\u00e9","tag":[]}`, want: `"id":"a-1","meta":{"source":"U#urn%3Ax%23%C3%A9","tag":[]}`},
		"source, null":             {mark: idspace.MarkSource, in: `"id":"1","meta":{"source":null}`, want: `"id":"a-1","meta":{"source":"U"}`},
		"source, twice":            {mark: idspace.MarkSource, in: `"id":"1","meta":{"source":null,"source":"x"}`, want: `"id":"a-1","meta":{"source":"U","source":"U#x"}`},
		"identifier, none":         {mark: idspace.MarkIdentifier, in: `"id":"1"`, want: `"id":"a-1","identifier":[I],"meta":{"tag":[S]}`},
		"identifier, some":         {mark: idspace.MarkIdentifier, in: `"id":"1","identifier":[{"value":"x"}]`, want: `"id":"a-1","meta":{"tag":[S]},"identifier":[I,{"value":"x"}]`},
		"identifier, empty":        {mark: idspace.MarkIdentifier, in: `"identifier":[],"id":"1","meta":{}`, want: `"identifier":[I],"id":"a-1","meta":{"tag":[S]}`},
		"identifier, null":         {mark: idspace.MarkIdentifier, in: `"id":"1","identifier":null`, want: `"id":"a-1","meta":{"tag":[S]},"identifier":[I]`},
		"identifier, one":          {mark: idspace.MarkIdentifier, in: `"id":"1","identifier":{"value":"x"}`, want: `"id":"a-1","meta":{"tag":[T]},"identifier":{"value":"x"}`},
		"identifier, twice":        {mark: idspace.MarkIdentifier, in: `"id":"1","identifier":[],"identifier":[]`, want: `"id":"a-1","meta":{"tag":[T]},"identifier":[],"identifier":[]`},
	} {
		replace := strings.NewReplacer(
			"T", tags("Patient", "1"),
			"S", `{"system":"`+idspace.SpaceSystem+`","code":"a"}`,
			"I", `{"system":"`+idspace.OriginalSystem+`","value":"a/Patient/1"}`,
			"U", idspace.SourcePrefix+"a/Patient/1")
		space := spaceA(t, idspace.Options{Mark: c.mark})
		const head = `{"resourceType":"Patient",`
		want := head + replace.Replace(c.want) + "}"
		out, err := space.Rewrite([]byte(head + c.in + "}"))
		if err != nil || string(out.Raw) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, out.Raw, want)
			continue
		}
		original, ok := space.Original(out.Raw)
		if ok != (out.NewID != "") || ok && original != (idspace.Pair{Space: "a", Type: "Patient", ID: "1", NewID: "a-1"}) {
			t.Errorf("%s: original is %v, %v", name, original, ok)
		}
		if space.IsRewritten(out.Raw) != ok {
			t.Errorf("%s: Original and IsRewritten differ", name)
		}
	}
}

func TestTypesWithoutIdentifierAreTagged(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{Mark: idspace.MarkIdentifier})
	out, err := space.Rewrite([]byte(`{"resourceType":"Binary","id":"1"}`))
	if want := `{"resourceType":"Binary","id":"a-1","meta":{"tag":[` + tags("Binary", "1") + `]}}`; err != nil || string(out.Raw) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, out.Raw, want)
	}
}

// What a server says of itself in our words is kept, and is not believed.
func TestHostileMarkers(t *testing.T) {
	t.Parallel()
	victim := mustSpace(t, idspace.Options{Name: "victim"})
	genuine, err := victim.Rewrite([]byte(`{"resourceType":"Patient","id":"1","identifier":[{"system":"` + idspace.OriginalSystem + `","value":"victim/Patient/1"}],` +
		`"meta":{"source":"` + idspace.SourcePrefix + `victim/Patient/1"}}`))
	if err != nil || !victim.IsRewritten(genuine.Raw) {
		t.Fatal(err)
	}
	for _, mark := range []idspace.Mark{idspace.MarkTag, idspace.MarkSource, idspace.MarkIdentifier} {
		for _, o := range []idspace.Options{{Name: "attacker"}, {Name: "victim"}} {
			o.Mark = mark
			space := mustSpace(t, o)
			in := genuine.Raw
			for range 3 { // and again
				out, err := space.Rewrite(in)
				if err != nil {
					t.Fatal(err)
				}
				before, _ := jsonscan.Head(in)
				if out.ID != before.ID || out.NewID == before.ID || out.NewID != space.ID("Patient", before.ID) {
					t.Errorf("%v became %v", out.ID, out.NewID)
				}
				if got, ok := space.Original(out.Raw); !ok || got.ID != before.ID {
					t.Errorf("original is %v, %v in %s", got, ok, out.Raw)
				}
				if o.Name != "victim" && victim.IsRewritten(out.Raw) {
					t.Errorf("is the victim's: %s", out.Raw)
				}
				// Readers that look at markers alone find one of each kind at most, and it is true.
				own := space.Code() + "/Patient/" + before.ID
				if n := strings.Count(string(out.Raw), `"`+idspace.OriginalSystem+`","code":"`); n > 1 || n == 1 && !strings.Contains(string(out.Raw), `"`+idspace.OriginalSystem+`","code":"`+own+`"`) {
					t.Errorf("%d tags in %s", n, out.Raw)
				}
				if n := strings.Count(string(out.Raw), `"`+idspace.SourcePrefix); n > 1 || n == 1 && !strings.Contains(string(out.Raw), `"`+idspace.SourcePrefix+own) {
					t.Errorf("%d sources in %s", n, out.Raw)
				}
				in = out.Raw
			}
		}
	}
}

func TestForeignSystemsGetASuffix(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	sys := idspace.OriginalSystem
	for in, want := range map[string]string{
		`"code":{"coding":[{"system":"` + sys + `"}]}`:                   `"code":{"coding":[{"system":"` + sys + `/foreign"}]}`,
		`"system":["` + sys + `/foreign","` + idspace.SpaceSystem + `"]`: `"system":["` + sys + `/foreign/foreign","` + idspace.SpaceSystem + `/foreign"]`,
		`"system":"` + strings.ReplaceAll(sys, "/", `\/`) + `"`:          `"system":"` + strings.ReplaceAll(sys, "/", `\/`) + `/foreign"`,
		`"system":"` + sys + `/foreigner"`:                               `"system":"` + sys + `/foreigner"`,
		`"system":"` + sys + `s"`:                                        `"system":"` + sys + `s"`,
		`"system":"x` + sys + `"`:                                        `"system":"x` + sys + `"`,
		`"value":"` + sys + `"`:                                          `"value":"` + sys + `"`,
	} {
		if got := body(t, space, in); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	syntax := errors.New("syntax")
	space := spaceA(t, idspace.Options{})
	for in, want := range map[string]error{
		``:                                   io.ErrUnexpectedEOF,
		`{"resourceType":"Patient","id":"1"`: io.ErrUnexpectedEOF,
		`{"resourceType":"Patient","id":1,}`: syntax,
		"\xEF\xBB\xBF{}":                     syntax,
		"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}": syntax,
		`{} {}`:                                 syntax,
		`[]`:                                    idspace.ErrIdentity,
		`"x"`:                                   idspace.ErrIdentity,
		`null`:                                  idspace.ErrIdentity,
		`{}`:                                    idspace.ErrIdentity,
		`{"id":"1"}`:                            idspace.ErrIdentity,
		`{"resourceType":"","id":"1"}`:          idspace.ErrIdentity,
		`{"resourceType":"patient","id":"1"}`:   idspace.ErrIdentity,
		`{"resourceType":"Patient/1","id":"1"}`: idspace.ErrIdentity,
		`{"resourceType":"Patient?x","id":"1"}`: idspace.ErrIdentity,
		`{"resourceType":"Pati ent","id":"1"}`:  idspace.ErrIdentity,
		`{"resourceType":["Patient"],"id":"1"}`: idspace.ErrIdentity,
		`{"resourceType":"Patient","id":1}`:     idspace.ErrIdentity,
		`{"resourceType":"Patient","id":["1"]}`: idspace.ErrIdentity,
		`{"resourceType":"Patient","id":"1","id":"2"}`:                                                                                  idspace.ErrIdentity,
		`{"resourceType":"Patient","id":"1","id":2}`:                                                                                    idspace.ErrIdentity,
		`{"resourceType":"Patient","resourceType":"Group","id":"1"}`:                                                                    idspace.ErrIdentity,
		`{"resourceType":"Patient","id":"\ud800"}`:                                                                                      idspace.ErrIdentity,
		`{"resourceType":"Patient","id":"1","meta":[]}`:                                                                                 idspace.ErrMeta,
		`{"resourceType":"Patient","id":"1","meta":{},"meta":"x"}`:                                                                      idspace.ErrMeta,
		`{"resourceType":"Bundle","entry":[{"resource":{}}]}`:                                                                           idspace.ErrIdentity,
		`{"resourceType":"Bundle","entry":[{"fullUrl":7}]}`:                                                                             idspace.ErrIdentity,
		`{"resourceType":"Bundle","entry":[{"fullUrl":"a","fullUrl":"b"}]}`:                                                             idspace.ErrIdentity,
		strings.Repeat(`{"resourceType":"Bundle","entry":[{"resource":`, 20) + `{"resourceType":"Patient"}` + strings.Repeat(`}]}`, 20): idspace.ErrNested,
		`{"resourceType":"Parameters","parameter":[` + strings.Repeat(`{"part":[`, 20) + strings.Repeat(`]}`, 20) + `]}`:                idspace.ErrNested,
		`{"resourceType":"Patient","id":"1","x":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`:                           jsonscan.ErrDepth,
	} {
		out, err := space.Rewrite([]byte(in))
		if errors.Is(want, syntax) {
			if _, ok := errors.AsType[*jsonscan.SyntaxError](err); !ok {
				t.Errorf("%.60s: %v", in, err)
			}
		} else if !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", in, err, want)
		}
		if diff := cmp.Diff(idspace.Rewritten{}, out); diff != "" {
			t.Errorf("%.60s: with an error came %s", in, diff)
		}
		if space.IsRewritten([]byte(in)) {
			t.Errorf("%.60s: counts as rewritten", in)
		}
	}
	if _, err := spaceA(t, idspace.Options{Mark: idspace.MarkSource}).Rewrite([]byte(`{"resourceType":"Patient","id":"1","meta":{"source":7}}`)); !errors.Is(err, idspace.ErrMeta) {
		t.Errorf("source is a number: %v", err)
	}
}

func TestLongAndOddIDs(t *testing.T) {
	t.Parallel()
	for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.Prefix(), idspace.UUIDv5()} {
		space := mustSpace(t, idspace.Options{Name: "a", Scheme: scheme, Pairs: true})
		for _, id := range []string{strings.Repeat("x", 10<<10), "e_Abc|d~e!", "é☃𝄞", "a b", `"\`, "\x00\n", "%2e", "<&>", ".", "..", "...", "/", "a/b"} {
			quoted, _ := json.Marshal(id)
			out, err := space.Rewrite([]byte(`{"resourceType":"Patient","id":` + string(quoted) + `}`))
			if err != nil || out.ID != id || !legal.MatchString(out.NewID) {
				t.Errorf("%.20q: %v, %.20q, %s", id, err, out.ID, out.NewID)
			}
			if got, ok := space.Original(out.Raw); !ok || got.ID != id {
				t.Errorf("%.20q: original is %.20q, %v", id, got.ID, ok)
			}
			var m idspace.Mapping
			if err := m.Add(out.Pairs...); err != nil {
				t.Error(err)
			}
			if back, err := m.Restore(out.Raw); err != nil {
				t.Errorf("%.20q: %v", id, err)
			} else if h, err := jsonscan.Head(back); err != nil || h.ID != id {
				t.Errorf("%.20q: restored as %.20q, %v", id, h.ID, err)
			}
		}
	}
}

func TestRewriteLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{})
	raw := []byte(`{"resourceType":"Patient","id":"1","a":{"reference":"Patient/2"}}`)
	before := string(raw)
	one, _ := space.Rewrite(raw)
	first := string(one.Raw)
	if string(raw) != before {
		t.Error("the input was written to")
	}
	for i := range raw {
		raw[i] = 'x'
	}
	_, _ = space.Rewrite([]byte(`{"resourceType":"Patient","id":"3","a":{"reference":"Patient/4"}}`))
	if string(one.Raw) != first || one.ID != "1" || one.NewID != "a-1" {
		t.Error("what was made has changed")
	}
}
