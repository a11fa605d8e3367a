package refs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/refs"
)

func TestReadReference(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]refs.Element{
		`{"reference":"Patient\/1","display":"P","identifier":{"value":"v"}}`: {
			Kind: refs.Relative, Text: "Patient/1", Display: "P", Identifier: refs.Identifier{Value: "v"},
		},
		`{ "identifier" : {"system":"s","value":"v","type":{}}, "type":"Patient", "display":"P"}`: {
			Kind: refs.Logical, Type: "Patient", Display: "P", Identifier: refs.Identifier{System: "s", Value: "v"},
		},
		`{"display":"P"}`: {Kind: refs.DisplayOnly, Display: "P"},
		`{"reference":"javascript:x","display":"P"}`: {Kind: refs.Other, Text: "javascript:x", Display: "P"},
		`{"reference":"Patient/..","display":"P"}`:   {Kind: refs.Invalid, Text: "Patient/..", Display: "P"},
		`{}`:                                {},
		`{"type":"Patient","identifier":7}`: {Type: "Patient"},
		`{"reference":7,"display":{}}`:      {},
		`{"reference":{"reference":"Patient/1"}}`:           {},
		`{"reference":"","identifier":{"value":"v"}}`:       {Kind: refs.Logical, Identifier: refs.Identifier{Value: "v"}},
		`{"refer\u0065nce":"A/1","reference":"A/2","x":[]}`: {Kind: refs.Relative, Text: "A/2"},
	} {
		want.Ref = refs.Parse(want.Text)
		got, err := refs.ReadReference([]byte(raw), 0)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", raw, err, diff)
		}
	}
	for _, raw := range []string{``, `x`, `[]`, `{`, `{"reference":"A/1"`, `{"reference"}`, `{"a":}`, `{"identifier":{"system":"x"`, `{"a" "b"}`} {
		if got, err := refs.ReadReference([]byte(raw), 0); err == nil || got != (refs.Element{}) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
	for _, at := range []int{-1, 1, 99} {
		if _, err := refs.ReadReference([]byte(`{}`), at); err == nil {
			t.Errorf("there is a Reference at %d", at)
		}
	}
}

func TestReadWhereAllFound(t *testing.T) {
	t.Parallel()
	const raw = `{"resourceType":"DocumentReference","subject":{"type":"Patient","reference":"Patient/1"},
		"content":[{"attachment":{"contentType":"application/pdf","data":"` + "AAAA" + `","size":"3","hash":"h=","url":"Binary/1"}},
			{"attachment":{"url":"Binary/2","size":12,"data":""}},{"attachment":{"url":"Binary/3","size":-1}},{"attachment":{"url":"Binary/4","size":1.5}}],
		"x":["reference"]}`
	var got []refs.Attachment
	for _, f := range all(t, raw) {
		switch f.Source {
		case refs.FromReference:
			if e, err := refs.ReadReference([]byte(raw), f.Object); err != nil || e.Type != "Patient" || e.Ref != f.Ref {
				t.Errorf("%s: %+v, %v", f.Path, e, err)
			}
		case refs.FromAttachment:
			a, err := refs.ReadAttachment([]byte(raw), f.Object)
			if err != nil {
				t.Error(err)
			}
			got = append(got, a)
		default:
			t.Errorf("found %+v", f)
		}
	}
	want := []refs.Attachment{
		{URL: "Binary/1", ContentType: "application/pdf", Hash: "h=", Size: 3, HasData: true},
		{URL: "Binary/2", Size: 12},
		{URL: "Binary/3", Size: -1},
		{URL: "Binary/4", Size: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attachments (-want +got):\n%s", diff)
	}
	if _, err := refs.ReadAttachment([]byte(`{"url":"x"`), 0); err == nil {
		t.Error("half an Attachment is one")
	}
	for _, f := range all(t, `["a",{"reference":["A/1"]}]`) {
		if f.Object != 5 {
			t.Errorf("object at %d", f.Object)
		}
	}
}

func TestParseCanonical(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]refs.Canonical{
		"http://h.example/fhir/Questionnaire/1|2.0#q": {URL: "http://h.example/fhir/Questionnaire/1", Version: "2.0", Fragment: "q"},
		"http://h.example/x":                          {URL: "http://h.example/x"},
		"#c":                                          {Fragment: "c"},
		"urn:oid:1.2|3":                               {URL: "urn:oid:1.2", Version: "3"},
		"":                                            {},
		"|":                                           {},
		"http://h.example/x#a|1":                      {URL: "http://h.example/x", Fragment: "a|1"},
	} {
		want.Ref = refs.Parse(want.URL)
		if diff := cmp.Diff(want, refs.ParseCanonical(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if ref := refs.ParseCanonical("http://h.example/fhir/Questionnaire/1|2.0").Ref; ref.Kind != refs.Absolute || ref.ID != "1" {
		t.Errorf("it is %+v", ref)
	}
}

// What servers and attackers write where a reference should stand.
func TestBadReferences(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 10<<20)
	for text, want := range map[string]refs.Reference{
		"":                          {},
		"javascript:alert(1)":       {Kind: refs.Other},
		"Patient/../../x":           {},
		"Patient/%2e%2E/x":          {},
		"Patient/a%2Fb":             {Kind: refs.Relative, Type: "Patient", ID: "a%2Fb"},
		"Patient/a b":               {Kind: refs.Relative, Type: "Patient", ID: "a b"},
		"Patient/日本語":               {Kind: refs.Relative, Type: "Patient", ID: "日本語"},
		"Patient/T_8|x~y":           {Kind: refs.Relative, Type: "Patient", ID: "T_8|x~y"},
		huge:                        {Kind: refs.Other},
		"Patient/" + huge:           {Kind: refs.Relative, Type: "Patient", ID: huge},
		"http://h/" + huge + "/P/1": {Kind: refs.Absolute, Base: "http://h/" + huge, Type: "P", ID: "1"},
	} {
		if got := refs.Parse(text); got != want {
			t.Errorf("%.40q: wrong, of kind %v", text, got.Kind)
		}
	}
	found := all(t, `{"resourceType":"A","a":{"reference":7},"b":{"reference":{}},"c":{"reference":""},"d":{"reference":"`+huge+`"},"e":{"reference":null},
		"f":{"reference":true},"g":{"reference":[[]]},"url":["x"],"h":{"attachment":{"url":7}},"i":{"attachment":{"url":""}}}`)
	if len(found) != 2 || found[0].Text != "" || found[0].Ref.Kind != refs.Invalid || found[1].Text != huge || found[1].Path != "A.d" {
		t.Errorf("%d found", len(found))
	}
}

// A name or a value may be as long as it likes, and stand around as many references: work must not grow with both.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("x", 4<<20), `\u0041` + strings.Repeat("x", 4<<20), strings.Repeat(`\u0041`, 1<<20)} {
		found := all(t, `{"resourceType":"A","`+name+`":[`+strings.Repeat(`{"reference":"B/1"},`, 20_000)+`{"attachment":{"url":"C/1"}}]}`)
		if len(found) != 20_001 || len(found[0].Path) > 5000 || found[20_000].Text != "C/1" {
			t.Errorf("%d found, the path has %d bytes", len(found), len(found[0].Path))
		}
	}
}
