package refs_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/refs"
)

// all collects what All finds, and fails the test if there is an error.
func all(t *testing.T, raw string) []refs.Found {
	t.Helper()
	found, err := collect([]byte(raw))
	if err != nil {
		t.Fatalf("All: %v", err)
	}
	return found
}

// collect gives what comes before the error, and the error. It must be the last.
func collect(raw []byte) (found []refs.Found, err error) {
	for f, e := range refs.All(raw) {
		if err != nil {
			return nil, errors.New("the sequence goes on after its error")
		}
		if err = e; err == nil {
			found = append(found, f)
		} else if f != (refs.Found{}) {
			return nil, errors.New("the error comes with a Found that is not empty")
		}
	}
	return found, err
}

// short is a Found in one line: path, text, and c, e or u for Contained, Extension and a uri.
func short(f refs.Found) string {
	line := f.Path + " " + f.Text
	if f.Contained {
		line += " c"
	}
	if f.Extension {
		line += " e"
	}
	if f.Source == refs.FromURI {
		line += " u"
	}
	return line
}

func expect(t *testing.T, raw string, want ...string) {
	t.Helper()
	var got []string
	for _, f := range all(t, raw) {
		got = append(got, short(f))
		if f.Ref != refs.Parse(f.Text) {
			t.Errorf("%s: Ref is %+v", f.Text, f.Ref)
		}
		if token := raw[f.Start:f.End]; len(token) < 2 || token[0] != '"' || token[len(token)-1] != '"' {
			t.Errorf("%s stands at %s", f.Text, token)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("All(%s) (-want +got):\n%s", raw, diff)
	}
}

func TestAllPaths(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"Encounter","id":"e1",
		"subject":{"reference":"Patient/1","display":"reference"},
		"participant":[{"individual":{"reference":"Practitioner/1"}},{"individual":{"reference":"Practitioner/2"}}],
		"diagnosis":[[{"condition":{"reference":"#c1"}}]],
		"note":"reference", "x":["reference",{"reference":5},{"reference":null},{"reference":{}}]}`,
		"Encounter.subject Patient/1",
		"Encounter.participant.individual Practitioner/1",
		"Encounter.participant.individual Practitioner/2",
		"Encounter.diagnosis.condition #c1")
}

func TestAllContainedAndExtension(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"Encounter",
		"contained":[{"resourceType":"Organization","partOf":{"reference":"#"},
			"extension":[{"valueReference":{"reference":"Organization/2"}}]}],
		"modifierExtension":[{"valueReference":{"reference":"Patient/1"}}],
		"class":{"contained":{"reference":"A/1"}, "_code":{"extension":[{"valueReference":{"reference":"A/2"}}]}}}`,
		"Encounter.contained.partOf # c",
		"Encounter.contained.extension.valueReference Organization/2 c e",
		"Encounter.modifierExtension.valueReference Patient/1 e",
		"Encounter.class.contained A/1",
		"Encounter.class._code.extension.valueReference A/2 e")
}

func TestAllCodeableReference(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"MedicationRequest","medication":{"concept":{"text":"reference"},"reference":{"reference":"Medication/1"}}}`,
		"MedicationRequest.medication.reference Medication/1")
}

func TestAllArrayOfStrings(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"X","a":{"reference":["A/1",["A/2"],3,{"b":"A/3"}]}}`, "X.a A/1", "X.a A/2")
}

func TestAllURIs(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"DetectedIssue","reference":"http://x/y","patient":{"reference":"Patient/1"}}`,
		"DetectedIssue.reference http://x/y u", "DetectedIssue.patient Patient/1")
	expect(t, `{"resourceType":"Immunization","education":[{"reference":"http://x/y"}],"statement":[{"reference":"A/1"}]}`,
		"Immunization.education.reference http://x/y u", "Immunization.statement A/1")
	expect(t, `{"resourceType":"MedicationKnowledge","storageGuideline":[{"reference":"http://x/y"}],"education":{"reference":"A/1"}}`,
		"MedicationKnowledge.storageGuideline.reference http://x/y u", "MedicationKnowledge.education A/1")
	expect(t, `{"resourceType":"Requirements","reference":["http://x/1","http://x/2"],"statement":[{"reference":["http://x/3"],"source":[{"reference":"A/1"}]}]}`,
		"Requirements.reference http://x/1 u", "Requirements.reference http://x/2 u",
		"Requirements.statement.reference http://x/3 u", "Requirements.statement.source A/1")
	expect(t, `{"resourceType":"Task","input":[{"valueExpression":{"reference":"http://x/y"}}],"expression":{"reference":"http://x/z"}}`,
		"Task.input.valueExpression.reference http://x/y u", "Task.expression.reference http://x/z u")
	expect(t, `{"resourceType":"Patient","contained":[{"resourceType":"DetectedIssue","reference":"http://x/y"},
		{"resourceType":"Immunization","education":[{"reference":"http://x/z"}]}]}`,
		"Patient.contained.reference http://x/y c u", "Patient.contained.education.reference http://x/z c u")
}

func TestAllWithoutOrWithLateType(t *testing.T) {
	t.Parallel()
	expect(t, `{"subject":{"reference":"Patient/1"},"resourceType":"Encounter"}`, "Encounter.subject Patient/1")
	expect(t, `{"reference":"http://x/y","resourceType":"DetectedIssue"}`, "DetectedIssue.reference http://x/y u")
	expect(t, `{"subject":{"reference":"Patient/1"}}`, "subject Patient/1")
	expect(t, `{"reference":"Patient/1"}`, " Patient/1")
	expect(t, `[{"subject":{"reference":"Patient/1"}}]`, "subject Patient/1")
	expect(t, `{"resourceType":"A","x":{"resourceType":"B","y":{"reference":"C/1"}}}`, "A.x.y C/1")
	expect(t, `{"x":{"resourceType":"B","y":{"reference":"C/1"}},"resourceType":"A"}`, "A.x.y C/1")
	expect(t, `{"resourceType":7,"x":{"reference":"C/1"}}`, "x C/1")
}

func TestAllEscapes(t *testing.T) {
	t.Parallel()
	expect(t, `{"resour\u0063eType":"Encounte\u0072","subj\u0065ct":{"refer\u0065nce":"Patient\/\u0031"}}`, "Encounter.subject Patient/1")
	expect(t, `{"resourceType":"A","\u0063ontained":[{"a":{"\u0065xtension":{"\u0072eference":"\ud83d\ude00"}}}]}`,
		"A.contained.a.extension \U0001F600 c e")
	expect(t, `{"resourceType":"A","a":{"reference":"\ud83dx"}}`, "A.a \uFFFDx")
	expect(t, `{"resourceType":"A","a":{"Reference":"A/1","references":"A/2","refer\\u0065nce":"A/3","":"A/4"}}`)
}

func TestAllDuplicateKeys(t *testing.T) {
	t.Parallel()
	expect(t, `{"resourceType":"A","a":{"reference":"A/1","reference":"A/2"},"a":{"reference":"A/3"}}`, "A.a A/1", "A.a A/2", "A.a A/3")
}

func TestAllPlaces(t *testing.T) {
	t.Parallel()
	const raw = ` { "resourceType" : "A" , "a" : { "reference" :  "A\/1" } } `
	found := all(t, raw)
	if len(found) != 1 || raw[found[0].Start:found[0].End] != `"A\/1"` {
		t.Errorf("got %+v", found)
	}
}

func TestAllBrokenInputGivesTheErrorLast(t *testing.T) {
	t.Parallel()
	const begin = `{"resourceType":"A","a":{"reference":"A/1"},`
	for name, rest := range map[string]string{
		"number":         `"b":{"reference":"A/2"},"c":01}`,
		"data after":     `"b":{"reference":"A/2"}} x`,
		"UTF-8":          `"b":{"reference":"A/2"},"c":"` + "\xff" + `"}`,
		"escape":         `"b":{"reference":"A/2"},"c":"\x"}`,
		"control":        `"b":{"reference":"A/2"},"c":"` + "\n" + `"}`,
		"trailing comma": `"b":{"reference":"A/2"},}`,
		"depth":          `"b":{"reference":"A/2"},"c":` + strings.Repeat("[", 20_000),
	} {
		found, err := collect([]byte(begin + rest))
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: error is %v", name, err)
			continue
		}
		if got := len(found); got != 2 {
			t.Errorf("%s: %d references before the error", name, got)
		}
		if strings.Contains(err.Error(), "A/") {
			t.Errorf("%s: the error holds input: %v", name, err)
		}
	}
	for _, raw := range []string{"", "\uFEFF{}", "x", "\x00"} {
		if _, err := collect([]byte(raw)); err == nil {
			t.Errorf("%q is accepted", raw)
		}
	}
}

func TestAllCutOffAnywhere(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"resourceType":"A","é":[1.5e3,true,null],"a":{"refer\u0065nce":"A/1"},"b":{"reference":"A/2"}}`)
	for n := range raw {
		if _, err := collect(raw[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestAllLeftEarly(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"resourceType":"A","a":[{"reference":"A/1"},{"reference":"A/2"}],"b":broken}`)
	sequence := refs.All(raw)
	for range 2 { // the sequence may be used again
		n := 0
		for f, err := range sequence {
			if n++; err != nil || f.Text != "A/1" {
				t.Errorf("got %+v, %v", f, err)
			}
			break
		}
		if n != 1 {
			t.Errorf("%d rounds", n)
		}
	}
	n := 0
	for _, err := range sequence {
		if n++; n == 3 && err == nil {
			t.Error("no error at the end")
		}
		if err != nil {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d rounds to the error", n)
	}
}

func TestAllConcurrentlyAndNested(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"resourceType":"A","a":[{"reference":"A/1"},{"refer\u0065nce":"A/2"}]}`)
	sequence := refs.All(raw)
	want, err := collect(raw)
	if err != nil || len(want) != 2 {
		t.Fatalf("got %v, %v", want, err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for outer := range sequence { //nolint:errcheck // the second value is looked at elsewhere.
				var inner []refs.Found
				for f := range sequence { //nolint:errcheck // see above.
					inner = append(inner, f)
				}
				if !slices.Equal(inner, want) || !slices.Contains(want, outer) {
					t.Errorf("got %v in %v", inner, outer)
				}
			}
		})
	}
	wait.Wait()
}

func TestAllKeepsNothingOfTheText(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"resourceType":"Aa","x":{"extension":{"reference":"Patient/1#f"}},"y":{"reference":"Patient\/2"}}`)
	found, err := collect(raw)
	if err != nil {
		t.Fatal(err)
	}
	var before []refs.Found
	for _, f := range found {
		before = append(before, refs.Found{
			Path: strings.Clone(f.Path), Source: f.Source, Text: strings.Clone(f.Text), Ref: refs.Parse(strings.Clone(f.Text)),
			Start: f.Start, End: f.End, Contained: f.Contained, Extension: f.Extension, Object: f.Object,
		})
	}
	for i := range raw {
		raw[i] = 0xDB
	}
	if diff := cmp.Diff(before, found); diff != "" {
		t.Errorf("after the text was overwritten (-before +after):\n%s", diff)
	}
}

// What was found out about a path is never taken for one that only looks the same: types with dots in them, or none, come from broken servers and from
// hostile ones.
func TestAllForgetsNoType(t *testing.T) {
	t.Parallel()
	subject := `{"resourceType":"Observation","subject":{"reference":"Patient/1"}}`
	for range 3 { // in any order, with what the ones before left behind
		for raw, want := range map[string]string{
			subject: "Observation.subject Reference",
			`{"resourceType":"Observation.subject","reference":"Patient/1"}`:                   "Observation.subject.reference uri",
			`{"Observation":{"subject":{"reference":"Patient/1"}}}`:                            "Observation.subject Reference",
			`{"resourceType":"","Immunization":{"education":{"reference":"Patient/1"}}}`:       "Immunization.education Reference",
			`{"resourceType":"Immunization","education":{"reference":"Patient/1"}}`:            "Immunization.education.reference uri",
			`{"education":{"\u0072eference":"Patient\/1"},"resourceType":"Immunization"}`:      "Immunization.education.reference uri",
			`{"resourceType":"Immunization.education","x":{"reference":"Patient/1"}}`:          "Immunization.education.x Reference",
			`{"resourceType":"Patient","contained":[{"education":{"reference":"Patient/1"}}]}`: "Patient.contained.education.reference uri",
			`{"resourceType":"Patient.contained","education":{"reference":"Patient/1"}}`:       "Patient.contained.education Reference",
		} {
			for found, err := range refs.All([]byte(raw), refs.FromReference, refs.FromURI) {
				if got := found.Path + " " + found.Source.String(); err != nil || got != want || found.Ref.ID != "1" || found.Text != "Patient/1" {
					t.Errorf("%s: %s, %+v, %v", raw, got, found, err)
				}
			}
		}
	}
}
