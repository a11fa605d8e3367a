package conform_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // also where the machine has no time zones

	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
)

// TestRules: one rule on at a time, what it changes and what it leaves.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rule  string
		raw, want   string // want "": unchanged
		changes     string
		wrong       string
		alsoWithout bool // without the rule it stays as it is
	}{
		{"empty string, object and array", "empty", `{"resourceType":"Patient","id":"1","active":true,"gender":"","name":[{}],"contact":[{"name":{}}],"birthDate":"1970"}`, `{"resourceType":"Patient","id":"1","active":true,"birthDate":"1970"}`, "empty Patient.contact[0].name; empty Patient.gender; empty Patient.name[0]; empty Patient.name; empty Patient.contact[0]; empty Patient.contact", "", true},
		{"an empty string keeps its place for what stands beside it", "empty", `{"resourceType":"Patient","name":[{"given":["","B"],"_given":[{"id":"x"},null]}]}`, `{"resourceType":"Patient","name":[{"given":[null,"B"],"_given":[{"id":"x"},null]}]}`, "empty Patient.name[0].given[0]", "", true},
		{"an empty string goes with a null beside it", "empty", `{"resourceType":"Patient","name":[{"given":["","B"],"_given":[null,{"id":"x"}]}]}`, `{"resourceType":"Patient","name":[{"given":["B"],"_given":[{"id":"x"}]}]}`, "empty Patient.name[0].given[0]", "", true},
		{"white space stays", "empty", "{ \"resourceType\" : \"Patient\",\n \"active\" : true ,\n \"gender\" : \"\" ,\n \"birthDate\" : \"1970\" }\n", "{ \"resourceType\" : \"Patient\",\n \"active\" : true,\n \"birthDate\" : \"1970\" }\n", "empty Patient.gender", "", true},
		{"contained resources stay", "empty", `{"resourceType":"Patient","contained":[{},{"resourceType":"Device"}]}`, "", "", "", false},
		{"null is no contained resource", "nulls", `{"resourceType":"Patient","contained":[null,{"resourceType":"Device"}]}`, `{"resourceType":"Patient","contained":[{"resourceType":"Device"}]}`, "nulls Patient.contained[0]", "", true},
		{"unknown elements stay", "empty", `{"resourceType":"Patient","future":{"a":[],"b":"","c":{}}}`, "", "", "", false},

		{"null", "nulls", `{"resourceType":"Patient","gender":null,"active":true}`, `{"resourceType":"Patient","active":true}`, "nulls Patient.gender", "", true},
		{"null, and null beside it", "nulls", `{"resourceType":"Patient","birthDate":null,"_birthDate":null,"active":true}`, `{"resourceType":"Patient","active":true}`, "nulls Patient.birthDate; nulls Patient._birthDate", "", true},
		{"null with something beside it stays", "nulls", `{"resourceType":"Patient","birthDate":null,"_birthDate":{"id":"a"}}`, "", "", "nulls Patient.birthDate", false},
		{"nulls that hold a place stay", "nulls", `{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]}`, "", "", "", false},
		{"null on both sides", "nulls", `{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,null,{"id":"x"}]}]}`, `{"resourceType":"Patient","name":[{"given":["A","C"],"_given":[null,{"id":"x"}]}]}`, "nulls Patient.name[0].given[1]", "", true},
		{"null among objects", "nulls", `{"resourceType":"Patient","name":[null,{"text":"A"}]}`, `{"resourceType":"Patient","name":[{"text":"A"}]}`, "nulls Patient.name[0]", "", true},
		{"nulls in unknown elements stay", "nulls", `{"resourceType":"Patient","future":[1,null,2]}`, "", "", "", false},

		{"number", "numbers", `{"resourceType":"Observation","valueQuantity":{"value":"1.50"},"extension":[{"url":"a","valueInteger":" 7 "}]}`, `{"resourceType":"Observation","valueQuantity":{"value":1.50},"extension":[{"url":"a","valueInteger":7}]}`, "numbers Observation.valueQuantity.value; numbers Observation.extension[0].valueInteger", "", true},
		{"a string stays a string", "numbers", `{"resourceType":"Observation","valueString":"1.50","component":[{"valueString":"2"}]}`, "", "", "", false},
		{"text where a number is due", "numbers,shape", `{"resourceType":"Observation","valueQuantity":{"value":"1,5"},"component":[{"valueQuantity":{"value":"01"}},{"valueInteger":"1.0"}]}`, "", "", "shape Observation.valueQuantity.value; shape Observation.component[0].valueQuantity.value; shape Observation.component[1].valueInteger", false},
		{"negative counts", "numbers,shape", `{"resourceType":"Bundle","total":"-1"}`, "", "", "shape Bundle.total", false},
		{"the code of a quantity stays", "numbers,codes,empty", `{"resourceType":"Observation","valueQuantity":{"value":1,"code":" MM[hg] ","unit":" mmHg ","system":"http://unitsofmeasure.org"},"code":{"coding":[{"code":" FINAL ","system":"s"}]}}`, "", "", "", false},

		{"boolean", "booleans", `{"resourceType":"Patient","active":"TRUE","deceasedBoolean":"false"}`, `{"resourceType":"Patient","active":true,"deceasedBoolean":false}`, "booleans Patient.active; booleans Patient.deceasedBoolean", "", true},
		{"no boolean", "booleans,shape", `{"resourceType":"Patient","active":"yes","deceasedBoolean":0}`, "", "", "shape Patient.active; shape Patient.deceasedBoolean", false},

		{"code", "codes", `{"resourceType":"Observation","status":" Final ","valueQuantity":{"comparator":" >= "}}`, `{"resourceType":"Observation","status":"final","valueQuantity":{"comparator":">="}}`, "codes Observation.status; codes Observation.valueQuantity.comparator", "", true},
		{"codes of which two differ by case", "codes", `{"resourceType":"CodeSystem","concept":[{"property":[{"code":"a"}]}],"property":[{"type":"CODING"}]}`, `{"resourceType":"CodeSystem","concept":[{"property":[{"code":"a"}]}],"property":[{"type":"Coding"}]}`, "codes CodeSystem.property[0].type", "", true},
		{"no code of the value set", "codes", `{"resourceType":"Observation","status":"done"}`, "", "", "codes Observation.status", false},
		{"a code without a required binding stays", "codes", `{"resourceType":"Patient","language":" EN "}`, "", "", "", false},

		{"references", "references", `{"resourceType":"Observation","subject":{"reference":" /Patient/1/ "},"performer":[{"reference":"#p"},{"reference":"Practitioner/1/_history/2"},{"reference":"urn:uuid:1"},{"reference":"Patient?identifier=a|b/"}]}`, `{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"#p"},{"reference":"Practitioner/1/_history/2"},{"reference":"urn:uuid:1"},{"reference":"Patient?identifier=a|b/"}]}`, "references Observation.subject.reference", "", true},

		{"status that is missing", "status", `{"resourceType":"Observation"}`, `{"resourceType":"Observation","status":"unknown"}`, "status Observation.status", "", true},
		{"status without unknown", "status", `{"resourceType":"Coverage"}`, `{"resourceType":"Coverage","_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}`, "status Coverage.status", "", true},
		{"status that is not required", "status", `{"resourceType":"CareTeam","resource":"x"}`, "", "", "", false},
		{"status that is explained", "status", `{"resourceType":"Observation","_status":{"extension":[{"url":"a","valueCode":"b"}]}}`, "", "", "", false},
		{"status in a contained resource", "status", `{"resourceType":"Patient","contained":[{"resourceType":"Observation","id":"a"}]}`, `{"resourceType":"Patient","contained":[{"resourceType":"Observation","id":"a","status":"unknown"}]}`, "status Patient.contained[0].status", "", true},

		{"required", "required", `{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"display":"x"},"medicationReference":{},"text":{"status":"generated"}}`, "", "", "required MedicationRequest.text.div; required MedicationRequest.medication[x]", false},
		{"unknown", "unknown", `{"resourceType":"Patient","future":1,"_gender":{"future":2},"_name":[{}],"contained":[{"resourceType":"Nothing"}]}`, "", "", "unknown Patient._gender.future; unknown Patient.contained[0].resourceType; unknown Patient.future; unknown Patient._name", false},
		{"an extension that says nothing, or too much", "required,shape", `{"resourceType":"Patient","extension":[{"url":"a"},{"url":"b","valueCode":"c","extension":[{"url":"d","_valueCode":{"id":"e"}}]}]}`, "", "", "required Patient.extension[0].value[x]; shape Patient.extension[1]", false},
		{"shape", "shape", `{"resourceType":"Patient","name":{"text":"A"},"birthDate":["1970"],"gender":{"a":1},"maritalStatus":"M","address":["x"],"telecom":[[]]}`, "", "", "shape Patient.name; shape Patient.birthDate; shape Patient.gender; shape Patient.maritalStatus; shape Patient.address[0]; shape Patient.telecom[0]", false},
		{"duplicates", "duplicates,empty,codes", `{"resourceType":"Patient","gender":" MALE ","gender":"","_gender":{}}`, "", "", "duplicates Patient.gender; duplicates Patient._gender", false},
		{"ids", "ids", `{"resourceType":"Patient","id":"a_b","contained":[{"resourceType":"Device","id":"ü"}],"name":[{"id":"any thing"}]}`, "", "", "ids Patient.id; ids Patient.contained[0].id", false},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			rules := []conform.Rule{}
			for r := range strings.SplitSeq(c.rule, ",") {
				rules = append(rules, conform.Rule(r))
			}
			out := apply(t, conformer(t, conform.Options{Rules: rules}), c.raw)
			want := c.want
			if want == "" {
				want = c.raw
			}
			if string(out.Raw) != want {
				t.Errorf("got  %s\nwant %s", out.Raw, want)
			}
			changes, wrong := lines(out)
			if changes != c.changes || wrong != c.wrong {
				t.Errorf("changes %q\n   want %q\nwrong %q\n want %q", changes, c.changes, wrong, c.wrong)
			}
			recorded(t, []byte(c.raw), out)
			if !c.alsoWithout {
				return
			}
			if out := apply(t, conformer(t, conform.Options{Rules: conform.Without(conform.DefaultRules(), append(rules, conform.RuleStatus)...)}), c.raw); string(out.Raw) != c.raw {
				t.Errorf("without the rule it became %s: %v", out.Raw, out.Changes)
			}
		})
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		element, value, want string // want "": refused; the same: unchanged
		located              string // with Location: the same as want if ""
	}{
		{"birthDate", "1970-01-02", "1970-01-02", ""},
		{"birthDate", "1970-01", "1970-01", ""},
		{"birthDate", "1970-1-2", "1970-01-02", ""},
		{"birthDate", " 1970 ", "1970", ""},
		{"birthDate", "1970-02-30", "", ""},
		{"birthDate", "1970-13", "", ""},
		{"birthDate", "70-01-02", "", ""},
		{"birthDate", "01/02/1970", "", ""},
		{"birthDate", "1970-01-02T00:00:00Z", "", ""},
		{"deceasedDateTime", "2020-02-29 8:05:09+0100", "2020-02-29T08:05:09+01:00", ""},
		{"deceasedDateTime", "2020-2-9t08:05:09.120z", "2020-02-09T08:05:09.120Z", ""},
		{"deceasedDateTime", "2020-02-29T08:05:09-05", "2020-02-29T08:05:09-05:00", ""},
		{"deceasedDateTime", "2020-02-29T08:05Z", "", ""}, // no seconds: none are made up
		{"deceasedDateTime", "2020-02-29T25:05:09Z", "", ""},
		{"deceasedDateTime", "2020-07-01 12:00:00", "", "2020-07-01T12:00:00+02:00"},
		{"deceasedDateTime", "2020-01-01T12:00:00", "", "2020-01-01T12:00:00+01:00"},
		{"deceasedDateTime", "2020-03-29T02:30:00", "", "-"}, // that clock never showed it
		{"deceasedDateTime", "2020-10-25T02:30:00", "", "-"}, // that clock showed it twice
		{"deceasedDateTime", "2020-10-25T01:30:00", "", "2020-10-25T01:30:00+02:00"},
		{"deceasedDateTime", "2020-10-25T03:30:00", "", "2020-10-25T03:30:00+01:00"},
		{"deceasedDateTime", "2020-02-29T08:05:09+15:00", "", ""},
		{"deceasedDateTime", "2020", "2020", ""},
	} {
		raw := `{"resourceType":"Patient","` + c.element + `":"` + c.value + `"}`
		for _, location := range []*time.Location{nil, berlin} {
			want := c.want
			if location != nil && c.located != "" {
				want = strings.TrimPrefix(c.located, "-")
			}
			out := apply(t, conformer(t, conform.Options{Location: location}), raw)
			changes, wrong := lines(out)
			path := "Patient." + c.element
			switch want {
			case "":
				if string(out.Raw) != raw || wrong != "dates "+path {
					t.Errorf("%s, %v: got %s, %s", c.value, location, out.Raw, wrong)
				}
			case c.value:
				if string(out.Raw) != raw || wrong != "" {
					t.Errorf("%s, %v: got %s, %s", c.value, location, out.Raw, wrong)
				}
			default:
				if string(out.Raw) != strings.Replace(raw, c.value, want, 1) || changes != "dates "+path || wrong != "" {
					t.Errorf("%s, %v: got %s, %s, %s", c.value, location, out.Raw, changes, wrong)
				}
			}
		}
	}
	out := apply(t, conformer(t, conform.Options{}), `{"resourceType":"Observation","status":"final","code":{"text":"x"},"issued":"2020-01-02","valueTime":"7:01:02","component":[{"code":{"text":"x"},"valueTime":"7:01"}]}`)
	if changes, wrong := lines(out); changes != "dates Observation.valueTime" || wrong != "dates Observation.issued; dates Observation.component[0].valueTime" {
		t.Errorf("%s, %s", changes, wrong)
	}
}

func TestNarrative(t *testing.T) {
	t.Parallel()
	const ns = ` xmlns="http://www.w3.org/1999/xhtml"`
	c := conformer(t, conform.Options{Rules: []conform.Rule{conform.RuleNarrative}})
	for div, want := range map[string]string{
		`<div` + ns + `><p>A <b>b</b> &lt; c</p><img src="#a"/></div>`: "same",
		`<div xml:lang="en"` + ns + `>A<!-- c --></div>`:               "same",
		`<div` + ns + `>some text<script>alert(1)</script> more</div>`: `<div` + ns + `>some text more</div>`,
		`<div` + ns + `><p onclick="x()" class="c">A</p></div>`:        `<div` + ns + `><p class="c">A</p></div>`,
		`<div` + ns + `><a href=" java	script:x()">A</a></div>`:        `<div` + ns + `><a>A</a></div>`,
		`<div>A &nbsp; B &amp; C</div>`:                                `<div` + ns + `>A ` + "\u00a0" + ` B &amp; C</div>`,
		`<div` + ns + `><p>A<br>B<p>C</div>`:                           `<div` + ns + `><p>A<br/>B<p>C</p></p></div>`,
		`<DIV` + ns + `><B>A</B></DIV>`:                                `<div` + ns + `><b>A</b></div>`,
		`plain text`:                                                   `<div` + ns + `>plain text</div>`,
		`<p>A</p>`:                                                     `<div` + ns + `><p>A</p></div>`,
		`<html><head><title>x</title></head><body><div` + ns + `><p>A</p></div></body></html>`: `<div` + ns + `><p>A</p></div>`,
		`<div` + ns + `>no allergy <del>to nuts</del></div>`:                                   "wrong", // without the tags it would say something else
		`<div` + ns + `><input value="A"/>B</div>`:                                             "wrong",
		`<div` + ns + `> </div>`:                                                               "wrong",
		`<div` + ns + `>A<script>`:                                                             "wrong",
		`<div` + ns + `>A</div><div` + ns + `>B</div>`:                                         "wrong",
		`<div` + ns + `>A < B</div>`:                                                           "wrong",
	} {
		quoted := strings.NewReplacer(`"`, `\"`, "\t", `\t`)
		out := apply(t, c, `{"resourceType":"Patient","text":{"status":"generated","div":"`+quoted.Replace(div)+`"}}`)
		changes, wrong := lines(out)
		switch want {
		case "same":
			if changes+wrong != "" {
				t.Errorf("%s: %s %s", div, changes, wrong)
			}
		case "wrong":
			if changes != "" || wrong != "narrative Patient.text.div" {
				t.Errorf("%s: %s %s %s", div, changes, wrong, out.Raw)
			}
		default:
			if changes != "narrative Patient.text.div" || !strings.Contains(string(out.Raw), `"div":"`+quoted.Replace(want)+`"`) {
				t.Errorf("%s: %s %s %s", div, changes, wrong, out.Raw)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	const meta = `{"resourceType":"Patient","meta":{"versionId":"3","lastUpdated":"2020-01-01T00:00:00Z","profile":["p"],"tag":[{"code":"t"}],"security":[{"code":"s"}]}}`
	for name, c := range map[string]struct {
		o         conform.Options
		raw, want string
	}{
		"keep":     {conform.Options{}, meta, meta},
		"drop":     {conform.Options{Versions: conform.DropVersions}, meta, `{"resourceType":"Patient","meta":{"profile":["p"],"tag":[{"code":"t"}],"security":[{"code":"s"}]}}`},
		"drop all": {conform.Options{Versions: conform.DropVersions}, `{"resourceType":"Patient","meta":{"versionId":"3"}}`, `{"resourceType":"Patient"}`},
		"extension": {
			conform.Options{Versions: conform.VersionsExtension},
			`{"resourceType":"Patient","meta":{"versionId":"3","lastUpdated":"2020-01-01T00:00:00Z"}}`,
			`{"resourceType":"Patient","meta":{"extension":[{"url":"https://github.com/fhirsync/fhirsync-go/conform/versionId","valueString":"3"},{"url":"https://github.com/fhirsync/fhirsync-go/conform/lastUpdated","valueString":"2020-01-01T00:00:00Z"}]}}`,
		},
		"no claims": {conform.Options{Claims: conform.RemoveClaims}, meta, `{"resourceType":"Patient","meta":{"versionId":"3","lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}],"security":[{"code":"s"}]}}`},
		"no claims inside": {
			conform.Options{Claims: conform.RemoveClaims},
			`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","meta":{"profile":["p"],"tag":[{"code":"t"}]},"contained":[{"resourceType":"Patient","meta":{"profile":["p"]}}]}}]}`,
			`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","meta":{"tag":[{"code":"t"}]},"contained":[{"resourceType":"Patient"}]}}]}`,
		},
		"other claim": {conform.Options{Claims: conform.ReplaceClaims, Profiles: []conform.Profile{{URL: "q", Type: "Patient"}}}, `{"resourceType":"Patient","meta":{"profile":["p","q","r"]}}`, `{"resourceType":"Patient","meta":{"profile":["q"]}}`},
		"base":        {conform.Options{Bases: []string{"https://fhir.example.org/r4/"}}, `{"resourceType":"Patient","managingOrganization":{"reference":"https://fhir.example.org/r4/Organization/1"},"generalPractitioner":[{"reference":"https://other.example.org/r4/Practitioner/1"}]}`, `{"resourceType":"Patient","managingOrganization":{"reference":"Organization/1"},"generalPractitioner":[{"reference":"https://other.example.org/r4/Practitioner/1"}]}`},
		"unknown": {
			conform.Options{Unknowns: conform.UnknownsExtension},
			`{"resourceType":"Patient","future":{"a":[1.50,null]},"name":[{"extension":[{"url":"u"}],"x y":""}]}`,
			`{"resourceType":"Patient","name":[{"extension":[{"url":"u"},{"url":"https://github.com/fhirsync/fhirsync-go/conform/unknown-element","extension":[{"url":"name","valueString":"x y"},{"url":"json","valueString":"\"\""}]}]}],` +
				`"extension":[{"url":"https://github.com/fhirsync/fhirsync-go/conform/unknown-element","extension":[{"url":"name","valueString":"future"},{"url":"json","valueString":"{\"a\":[1.50,null]}"}]}]}`,
		},
		"R5 has no table": {conform.Options{FHIRVersion: "5.0.0"}, `{"resourceType":"DocumentReference","content":[{"attachment":{"size":"123","title":""}}],"future":[null,1],"contained":[{}],"subject":{"reference":" Patient/1 "}}`, `{"resourceType":"DocumentReference","content":[{"attachment":{"size":"123"}}],"future":[1],"contained":[{}],"subject":{"reference":"Patient/1"}}`},
		"no rules":        {conform.Options{Rules: []conform.Rule{}}, `{"resourceType":"Patient","gender":"","active":"true"}`, `{"resourceType":"Patient","gender":"","active":"true"}`},
	} {
		out := apply(t, conformer(t, c.o), c.raw)
		if string(out.Raw) != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, out.Raw, c.want)
		}
	}
	for name, o := range map[string]conform.Options{
		"rule": {Rules: []conform.Rule{"nothing"}}, "base": {Bases: []string{"Patient"}}, "versions": {Versions: 7}, "claims": {Claims: -1}, "unknowns": {Unknowns: 2},
		"profiles of R5": {FHIRVersion: "5.0.0", Profiles: conform.USCore6()},
	} {
		if _, err := conform.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	c := conformer(t, conform.Options{})
	for name, raw := range map[string]string{
		"nothing": "", "no JSON": `{"resourceType":"Patient",}`, "NaN": `{"resourceType":"Patient","a":NaN}`, "array": "[]", "null": "null", "deep": strings.Repeat("[", 501) + strings.Repeat("]", 501),
		"large": `{"resourceType":"Patient","a":[0` + strings.Repeat(",0", 1_000_000) + `]}`,
	} {
		out, err := c.Apply([]byte(raw))
		if err == nil || string(out.Raw) != raw || len(out.Nonconformities) != 1 || out.Nonconformities[0].Rule != conform.RuleJSON {
			t.Errorf("%s: %v, %v", name, err, out.Nonconformities)
		}
		if errors.Is(err, conform.ErrTooLarge) != (name == "large") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i, o := range []conform.Options{
		{},
		{Rules: []conform.Rule{}},
		{Rules: conform.Without(conform.DefaultRules(), conform.RuleDates)},
		{FHIRVersion: "5.0"},
		{Location: time.UTC},
		{Bases: []string{"https://a.example"}},
		{Versions: conform.DropVersions},
		{Claims: conform.RemoveClaims},
		{Unknowns: conform.UnknownsExtension},
		{Profiles: conform.USCore6()},
		{Profiles: conform.USCore8()},
	} {
		print := conformer(t, o).Fingerprint()
		if j, ok := seen[print]; ok {
			t.Errorf("%d has the fingerprint of %d", i, j)
		}
		seen[print] = i
	}
	if a, b := conformer(t, conform.Options{}), conformer(t, conform.Options{Rules: conform.DefaultRules()}); a.Fingerprint() != b.Fingerprint() {
		t.Error("the default said and not said are two")
	}
}
