package conform_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
)

const us = "http://hl7.org/fhir/us/core/StructureDefinition/"

func TestUSCore(t *testing.T) {
	t.Parallel()
	const absentConcept = `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"unknown","display":"Unknown"}]}`
	const absent = `{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}`
	for name, c := range map[string]struct{ raw, want, wrong string }{
		"a patient that has all": {
			`{"resourceType":"Patient","identifier":[{"system":"s","value":"v"}],"name":[{"family":"F"}],"gender":"male"}`,
			`{"resourceType":"Patient","identifier":[{"system":"s","value":"v"}],"name":[{"family":"F"}],"gender":"male","meta":{"profile":["` + us + `us-core-patient|8.0.0"]}}`, "",
		},
		"a patient that lacks what may be absent": {
			`{"resourceType":"Patient","identifier":[{"value":"v"}],"name":[{"text":"F"}],"gender":"M","telecom":[{"system":"phone"}],"extension":[{"url":"http://fhir.org/guides/argonaut/StructureDefinition/argo-race","valueString":"x"}]}`,
			`{"resourceType":"Patient","identifier":[{"value":"v","_system":` + absent + `}],"name":[{"text":"F","_family":` + absent + `}],"gender":"male","telecom":[{"system":"phone","_value":` + absent + `}],` +
				`"extension":[{"url":"` + us + `us-core-race","valueString":"x"}],"meta":{"profile":["` + us + `us-core-patient|8.0.0"]}}`, "",
		},
		"a patient with nothing": {
			`{"resourceType":"Patient","meta":{"profile":["` + us + `us-core-patient"]}}`,
			`{"resourceType":"Patient","meta":{"profile":["` + us + `us-core-patient","` + us + `us-core-patient|8.0.0"]},"identifier":[{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}],"_system":` + absent + `,"_value":` + absent + `}],` +
				`"name":[{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}],"_family":` + absent + `}],"gender":"unknown"}`, "",
		},
		"a patient that cannot: nothing is changed, and its claim goes": {
			`{"resourceType":"Patient","meta":{"profile":["` + us + `us-core-patient","other"]},"identifier":[{"value":"v"}],"telecom":[{"value":"1"}]}`,
			`{"resourceType":"Patient","meta":{"profile":["other"]},"identifier":[{"value":"v"}],"telecom":[{"value":"1"}]}`, "profile Patient.telecom[0].system",
		},
		"a laboratory value with the category's old system": {
			`{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://hl7.org/fhir/observation-category","code":"laboratory"}]}],"code":{"text":"x"},"subject":{"reference":"Patient/1"}}`,
			`{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://hl7.org/fhir/observation-category","code":"laboratory"},{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],` +
				`"code":{"text":"x"},"subject":{"reference":"Patient/1"},"dataAbsentReason":` + absentConcept + `,"meta":{"profile":["` + us + `us-core-observation-lab|8.0.0"]}}`, "",
		},
		"units are not made up": {
			`{"resourceType":"Observation","meta":{"profile":["` + us + `us-core-body-weight"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2020","valueQuantity":{"value":70.0,"unit":"kilo"}}`,
			`{"resourceType":"Observation","meta":{"profile":["` + us + `us-core-vital-signs|8.0.0"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2020","valueQuantity":{"value":70.0,"unit":"kilo"}}`,
			"profile Observation.valueQuantity; profile Observation.valueQuantity",
		},
		"an encounter and a procedure of a payer": {
			`{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/1"}}`,
			`{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/1"},"type":[` + absentConcept + `],"meta":{"profile":["` + us + `us-core-encounter|8.0.0"]}}`, "",
		},
		"a type without a profile": {`{"resourceType":"Basic","code":{"text":"x"}}`, `{"resourceType":"Basic","code":{"text":"x"}}`, ""},
	} {
		out := apply(t, conformer(t, conform.Options{Profiles: conform.USCore8()}), c.raw)
		if diff := cmp.Diff(c.want, string(out.Raw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if _, wrong := lines(out); wrong != c.wrong {
			t.Errorf("%s: wrong %q, want %q", name, wrong, c.wrong)
		}
		recorded(t, []byte(c.raw), out)
		for _, met := range out.Profiles {
			if !strings.Contains(string(out.Raw), `"`+met+`"`) {
				t.Errorf("%s: %s is met and not claimed", name, met)
			}
		}
		for _, n := range out.Nonconformities {
			if n.Profile != "" && strings.Contains(string(out.Raw), `"`+n.Profile+`"`) {
				t.Errorf("%s: %s is not met and claimed", name, n.Profile)
			}
		}
	}
}

// TestProfileRules: profiles of the caller's own.
func TestProfileRules(t *testing.T) {
	t.Parallel()
	profiles, err := conform.ReadProfiles([]byte(`[
		{"url": "https://example.org/p", "type": "Patient", "rules": [
			{"path": "nickname", "extension": "https://example.org/nickname", "as": "valueString"},
			{"path": "name.nick", "extension": "https://example.org/nick", "as": "valueInteger"},
			{"path": "photo", "remove": true},
			{"path": "deceased[x]", "default": "data-absent-reason", "as": "deceasedBoolean", "unless": ["birthDate"]},
			{"path": "maritalStatus", "coding": {"from": "a", "to": "b", "same": {"M": "married"}}},
			{"path": "name.given", "map": {"N/A": "-"}},
			{"path": "communication.preferred", "require": true, "if": [{"path": "language", "codes": ["d*"]}]}
		]}]`))
	if err != nil {
		t.Fatal(err)
	}
	c := conformer(t, conform.Options{Profiles: profiles, Rules: []conform.Rule{}})
	for raw, want := range map[string]string{
		`{"resourceType":"Patient","nickname": "Bo","photo":[{"title":"x"}],"name":[{"nick":7,"given":["N/A","A"]}],"maritalStatus":{"coding":[{"system":"a","code":"M"}]}}`: `{"resourceType":"Patient","name":[{"given":["-","A"],"extension":[{"url":"https://example.org/nick","valueInteger":7}]}],"maritalStatus":{"coding":[{"system":"a","code":"M"},{"system":"b","code":"married"}]},` +
			`"extension":[{"url":"https://example.org/nickname","valueString":"Bo"}],"_deceasedBoolean":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"meta":{"profile":["https://example.org/p"]}}`,
		`{"resourceType":"Patient","birthDate":"1970","communication":[{"language":{"coding":[{"code":"en"}]}}]}`: `{"resourceType":"Patient","birthDate":"1970","communication":[{"language":{"coding":[{"code":"en"}]}}],"meta":{"profile":["https://example.org/p"]}}`,
		// What cannot be done leaves everything as it was.
		`{"resourceType":"Patient","photo":[{"title":"x"}],"communication":[{"language":{"coding":[{"code":"de"}]}}]}`: `{"resourceType":"Patient","photo":[{"title":"x"}],"communication":[{"language":{"coding":[{"code":"de"}]}}]}`,
		`{"resourceType":"Patient","nickname":["Bo"]}`:                                                                 `{"resourceType":"Patient","nickname":["Bo"]}`,
	} {
		out := apply(t, c, raw)
		if diff := cmp.Diff(want, string(out.Raw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestProfilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]conform.ProfileRule{
		"nothing":              {Path: "name"},
		"two things":           {Path: "gender", Require: true, Remove: true},
		"no such path":         {Path: "nothing.at.all", Require: true},
		"no such element":      {Path: "nothing", Default: conform.DefaultAbsent},
		"an invention":         {Path: "gender", Default: "male"},
		"no code unknown":      {Path: "contact.name.use", Default: conform.DefaultUnknown},
		"a clinical code":      {Path: "maritalStatus.coding.code", Map: map[string]string{"M": "married"}},
		"a value":              {Path: "identifier.value", Map: map[string]string{"M": "N"}},
		"a map of objects":     {Path: "name", Map: map[string]string{"M": "N"}},
		"a coding of a string": {Path: "gender", Coding: &conform.CodingMap{}},
		"no value":             {Path: "nickname", Extension: "u", As: "valueNothing"},
		"another element":      {Path: "deceased[x]", Default: conform.DefaultAbsent, As: "birthDate"},
		"an unknown exception": {Path: "gender", Require: true, Unless: []string{"nothing"}},
	} {
		_, err := conform.New(conform.Options{Profiles: []conform.Profile{{URL: "u", Type: "Patient", Rules: []conform.ProfileRule{rule}}}})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, p := range map[string]conform.Profile{"no URL": {Type: "Patient"}, "no type": {URL: "u"}, "unknown type": {URL: "u", Type: "Coding"}} {
		if _, err := conform.New(conform.Options{Profiles: []conform.Profile{p}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, data := range []string{"", "{}", `[{"url":"u","kind":"x"}]`} {
		if _, err := conform.ReadProfiles([]byte(data)); err == nil {
			t.Errorf("%s: no error", data)
		}
	}
	for _, ps := range [][]conform.Profile{conform.USCore6(), conform.USCore8()} {
		if c := conformer(t, conform.Options{Profiles: ps}); len(ps) < 40 || c == nil {
			t.Errorf("%d profiles", len(ps))
		}
	}
}
