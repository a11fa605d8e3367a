package compartment_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
)

// facts are what the specification says, see the files.
type facts struct {
	Compartment, Outside, Extra, Elements, Dates, Tokens map[string][]string
	Bindings                                             map[string]map[string]string
}

// version is a table and the facts it has to agree with.
type version struct {
	*compartment.Table
	facts
	file string
}

// versions gives all versions. Their compartments have one type more in the specification: Patient itself.
func versions(t *testing.T) []version {
	t.Helper()
	var out []version
	for _, x := range []struct {
		file, fhirVersion string
		inside, outside   int
	}{
		{"stu3", "3.0.2", 63, 5},
		{"r4", "4.0.1", 65, 4},
		{"r4b", "4.3.0", 65, 4},
		{"r5", "5.0.0", 72, 4},
	} {
		raw, err := os.ReadFile("testdata/" + x.file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		v := version{file: x.file}
		if err := json.Unmarshal(raw, &v.facts); err != nil {
			t.Fatal(err)
		}
		if len(v.Compartment) != x.inside || len(v.Outside) != x.outside {
			t.Fatalf("%s: the facts have %d types inside and %d outside", x.file, len(v.Compartment), len(v.Outside))
		}
		table, ok := compartment.For(x.fhirVersion)
		if !ok {
			t.Fatalf("no table for %s", x.fhirVersion)
		}
		v.Table = table
		out = append(out, v)
	}
	return out
}

// all gives the types with their names.
func (v version) all(yield func(string, compartment.Type) bool) {
	for name := range v.Names() {
		typ, ok := v.Lookup(name)
		if !ok {
			panic(name + " has a name and is not in the table")
		}
		if !yield(name, typ) {
			return
		}
	}
}

// notARecord are types that may name a Patient and are left out all the same: they are no part of a health record.
var notARecord = []string{"Subscription"}

func TestTypesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			want := slices.Collect(maps.Keys(v.Compartment))
			for name := range v.Outside {
				if !slices.Contains(notARecord, name) {
					want = append(want, name)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, slices.Collect(v.Names())); diff != "" {
				t.Errorf("types (-specification +table):\n%s", diff)
			}
			for name, typ := range v.all {
				if _, outside := v.Outside[name]; typ.Outside != outside {
					t.Errorf("%s: Outside is %t", name, !outside)
				}
			}
			for _, name := range []string{"Patient", "Practitioner", "Organization", "patient", ""} {
				if _, ok := v.Lookup(name); ok {
					t.Errorf("%q is in the table", name)
				}
			}
		})
	}
}

func TestParametersExist(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				known := slices.Concat(v.Compartment[name], v.Outside[name], v.Extra[name])
				if len(typ.Params) == 0 {
					t.Errorf("%s cannot be asked for", name)
				}
				seen := map[string]bool{}
				for _, p := range slices.Concat(typ.Params, typ.Via) {
					if !slices.Contains(known, p) {
						t.Errorf("%s has no parameter %s for a patient, only %v", name, p, known)
					}
					if seen[p] {
						t.Errorf("%s: %s stands twice", name, p)
					}
					seen[p] = true
				}
			}
		})
	}
}

// Params are said to ask for the whole, each alone. One that is neither patient, nor subject, nor a parameter that makes the
// compartment, asks for something else.
func TestParamsAskForTheWhole(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				for i, p := range typ.Params {
					makes := slices.Concat(v.Compartment[name], v.Outside[name])
					if p != "patient" && p != "subject" && !slices.Contains(makes, p) {
						t.Errorf("%s: %s is no way to ask for all of the patient's", name, p)
					}
					if i > 0 && p == "patient" {
						t.Errorf("%s: patient is not the first", name)
					}
				}
			}
		})
	}
}

// notAsked are the parameters of the compartment that the table leaves out on purpose: the primary element (named here) is
// required (1..1), so that a resource found by one of these alone belongs to another patient, of whom ours is only the
// performer, reporter or payer.
var notAsked = map[string]map[string]map[string]string{
	"4.0": {
		"AllergyIntolerance":       {"recorder": "patient", "asserter": "patient"},
		"CarePlan":                 {"performer": "subject"},
		"Claim":                    {"payee": "patient"},
		"Condition":                {"asserter": "subject"},
		"Coverage":                 {"payor": "beneficiary"},
		"DeviceRequest":            {"performer": "subject"},
		"ExplanationOfBenefit":     {"payee": "patient"},
		"MedicationAdministration": {"performer": "subject"},
		"ServiceRequest":           {"performer": "subject"},
	},
	"3.0": {
		"AllergyIntolerance":       {"recorder": "patient", "asserter": "patient"},
		"CarePlan":                 {"performer": "subject"},
		"Composition":              {"author": "subject", "attester": "subject"},
		"Condition":                {"asserter": "subject"},
		"DeviceRequest":            {"performer": "subject", "requester": "subject"},
		"ImagingManifest":          {"author": "patient"},
		"MedicationAdministration": {"performer": "subject"},
		"ProcedureRequest":         {"performer": "subject"},
		"ReferralRequest":          {"requester": "subject"},
	},
	"5.0": {
		"AllergyIntolerance":   {"participant": "patient"},
		"Claim":                {"payee": "patient"},
		"Condition":            {"participant-actor": "subject"},
		"Coverage":             {"paymentby-party": "beneficiary"},
		"DeviceRequest":        {"performer": "subject"},
		"ExplanationOfBenefit": {"payee": "patient"},
		"NutritionIntake":      {"source": "subject"},
		"ServiceRequest":       {"performer": "subject"},
	},
}

func TestCompartmentParametersAreAsked(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			which := v.Version()
			if which == "4.3" {
				which = "4.0" // the same
			}
			notAsked := notAsked[which]
			for name, typ := range v.all {
				for _, p := range slices.Concat(v.Compartment[name], v.Outside[name]) {
					asked := slices.Contains(typ.Params, p) || slices.Contains(typ.Via, p)
					primary, left := notAsked[name][p]
					switch {
					case asked && left:
						t.Errorf("%s: %s is asked, so there is no reason to be given why not", name, p)
					case !asked && !left:
						t.Errorf("%s: %s makes a resource the patient's, and nobody asks for it", name, p)
					case left && !slices.Contains(typ.Primary, primary):
						t.Errorf("%s: %s is left out because of %s, which is not primary: %v", name, p, primary, typ.Primary)
					}
				}
			}
			for name, params := range notAsked {
				for p := range params {
					if !slices.Contains(v.Compartment[name], p) {
						t.Errorf("%s.%s needs no reason: the compartment does not have it", name, p)
					}
				}
			}
		})
	}
}

func TestPrimaryElementsMayNameAPatient(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				for _, path := range typ.Primary {
					if !slices.Contains(v.Elements[name], path) {
						t.Errorf("%s.%s is no element that may name a patient; those are %v", name, path, v.Elements[name])
					}
				}
				if typ.AnyMention == (len(typ.Primary) > 0) {
					t.Errorf("%s: AnyMention %t with primary elements %v", name, typ.AnyMention, typ.Primary)
				}
				if len(v.Elements[name]) == 0 {
					t.Errorf("%s has no element that may name a patient", name)
				}
			}
		})
	}
}

// noDate are types that have a date, and none that tells one resource from another: a birth date.
var noDate = []string{"Person", "RelatedPerson"}

func TestDatesAreSearchParameters(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				has := v.Dates[name]
				switch {
				case typ.Date != "" && !slices.Contains(has, typ.Date):
					t.Errorf("%s has no date parameter %s, only %v", name, typ.Date, has)
				case typ.Date == "" && len(has) > 0 && !slices.Contains(noDate, name):
					t.Errorf("%s could be halved by one of %v", name, has)
				}
			}
		})
	}
}

func TestSplitsAreSearchParameters(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				seen := map[string]bool{}
				for _, s := range typ.Splits {
					if !slices.Contains(v.Tokens[name], s.Param) {
						t.Errorf("%s has no token parameter %s, only %v", name, s.Param, v.Tokens[name])
					}
					if seen[s.Param] {
						t.Errorf("%s: %s stands twice", name, s.Param)
					}
					seen[s.Param] = true
					if s.Exhaustive && s.Optional {
						t.Errorf("%s.%s is both exhaustive and optional", name, s.Param)
					}
					codes := slices.Sorted(slices.Values(s.Values))
					if len(codes) == 0 || len(slices.Compact(codes)) != len(s.Values) {
						t.Errorf("%s.%s has no values, or one twice: %v", name, s.Param, s.Values)
					}
				}
			}
		})
	}
}

// What is said to be exhaustive has all codes of a required binding, and what has all codes of one is said to be so.
func TestExhaustiveSplitsHaveAllCodes(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				for param, codes := range v.Bindings[name] {
					if !slices.ContainsFunc(typ.Splits, func(s compartment.Split) bool { return s.Param == param }) {
						t.Errorf("%s could be asked in parts by %s: %s", name, param, codes)
					}
				}
				for _, s := range typ.Splits {
					binding, bound := v.Bindings[name][s.Param]
					if bound != (s.Exhaustive || s.Optional) {
						t.Errorf("%s.%s: exhaustive %t, optional %t, required binding %t", name, s.Param, s.Exhaustive, s.Optional, bound)
					}
					if !bound {
						continue
					}
					least, codes, _ := strings.Cut(binding, " ")
					if s.Exhaustive != (least == "1") {
						t.Errorf("%s.%s: exhaustive %t, and the element is there at least %s times", name, s.Param, s.Exhaustive, least)
					}
					want := slices.Sorted(strings.FieldsSeq(codes))
					if diff := cmp.Diff(want, slices.Sorted(slices.Values(s.Values))); diff != "" {
						t.Errorf("%s.%s (-specification +table):\n%s", name, s.Param, diff)
					}
				}
			}
		})
	}
}

// Guides come first: servers shall answer these (US Core's CapabilityStatement).
func TestGuidesComeFirst(t *testing.T) {
	t.Parallel()
	table, _ := compartment.For("4.0.1")
	for name, param := range map[string]string{
		"CarePlan": "category", "CareTeam": "status", "Condition": "category", "DiagnosticReport": "category",
		"DocumentReference": "category", "MedicationRequest": "intent", "Observation": "category",
	} {
		typ, _ := table.Lookup(name)
		if len(typ.Splits) == 0 || typ.Splits[0].Param != param {
			t.Errorf("%s is not asked by %s first: %v", name, param, typ.Splits)
		}
	}
}

func TestCodesAreWithoutTheirSystems(t *testing.T) {
	t.Parallel()
	table, _ := compartment.For("")
	typ, _ := table.Lookup("CarePlan")
	s := typ.Splits[0]
	if got := s.Codes(); len(got) != len(s.Values) || got[0] != "assess-plan" || strings.Contains(strings.Join(got, ""), "|") {
		t.Errorf("codes %v of %v", got, s.Values)
	}
	if !strings.Contains(s.Values[0], "|") {
		t.Errorf("Codes has changed the table: %v", s.Values)
	}
}

func TestOnlyProvenanceIsRevincluded(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name, typ := range v.all {
				if typ.Revincluded != (name == "Provenance") {
					t.Errorf("%s: Revincluded is %t", name, typ.Revincluded)
				}
			}
		})
	}
}

func TestVersionsHaveOneTableEach(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"3.0": "3.0", "3.0.1": "3.0", "3.0.2": "3.0", "": "4.0", "4.0": "4.0", "4.0.0": "4.0", "4.0.1": "4.0", "4.1.0": "4.3", "4.3.0": "4.3",
		"4.3.0-snapshot1": "4.3", "5.0.0": "5.0", "5.0": "5.0",
	} {
		table, ok := compartment.For(given)
		again, _ := compartment.For(given)
		if !ok || table.Version() != want || table != again {
			t.Errorf("%q: found %t, want the table of %s", given, ok, want)
		}
	}
	for _, given := range []string{"1.0.2", "0.4.0", "3.5.0", "4.2.0", "4.6.0", "6.0.0", "4", "40.0", "4.01", "R4", " ", "."} {
		if table, ok := compartment.For(given); ok || table != nil {
			t.Errorf("%q has a table", given)
		}
	}
}

func TestNamesCanBeLeftEarly(t *testing.T) {
	t.Parallel()
	for _, v := range versions(t) {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			for name := range v.Names() {
				if name != "Account" {
					t.Errorf("the first is %s", name)
				}
				break
			}
		})
	}
}
