package compartment_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
)

// facts are what the specification says, see the file.
type facts struct {
	Compartment, Outside, Extra, Elements map[string][]string
}

func read(t *testing.T) facts {
	t.Helper()
	raw, err := os.ReadFile("testdata/r4.json")
	if err != nil {
		t.Fatal(err)
	}
	var f facts
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Compartment) != 65 || len(f.Outside) != 4 { // 66 in the specification, with Patient itself
		t.Fatalf("the facts have %d types inside and %d outside", len(f.Compartment), len(f.Outside))
	}
	return f
}

func lookup(t *testing.T, name string) compartment.Type {
	t.Helper()
	typ, ok := compartment.Lookup(name)
	if !ok {
		t.Fatalf("%s is not in the table", name)
	}
	return typ
}

func TestTypesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	f := read(t)
	want := slices.Sorted(maps.Keys(f.Compartment))
	want = append(want, slices.Collect(maps.Keys(f.Outside))...)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Collect(compartment.Names())); diff != "" {
		t.Errorf("types (-specification +table):\n%s", diff)
	}
	for _, name := range want {
		if _, outside := f.Outside[name]; lookup(t, name).Outside != outside {
			t.Errorf("%s: Outside is %t", name, !outside)
		}
	}
	for _, name := range []string{"Patient", "Practitioner", "Organization", "patient", ""} {
		if _, ok := compartment.Lookup(name); ok {
			t.Errorf("%q is in the table", name)
		}
	}
}

func TestParametersExist(t *testing.T) {
	t.Parallel()
	f := read(t)
	for name := range compartment.Names() {
		typ := lookup(t, name)
		known := slices.Concat(f.Compartment[name], f.Outside[name], f.Extra[name])
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
}

// Params are said to ask for the whole, each alone. One that is neither patient, nor subject, nor a parameter that makes the
// compartment, asks for something else.
func TestParamsAskForTheWhole(t *testing.T) {
	t.Parallel()
	f := read(t)
	for name := range compartment.Names() {
		for i, p := range lookup(t, name).Params {
			if p != "patient" && p != "subject" && !slices.Contains(f.Compartment[name], p) {
				t.Errorf("%s: %s is no way to ask for all of the patient's", name, p)
			}
			if i > 0 && p == "patient" {
				t.Errorf("%s: patient is not the first", name)
			}
		}
	}
}

// notAsked are the parameters of the compartment that the table leaves out on purpose: the primary element (named here) is
// required (1..1), so that a resource found by one of these alone belongs to another patient, of whom ours is only the
// performer, reporter or payer.
var notAsked = map[string]map[string]string{
	"AllergyIntolerance":       {"recorder": "patient", "asserter": "patient"},
	"CarePlan":                 {"performer": "subject"},
	"Claim":                    {"payee": "patient"},
	"Condition":                {"asserter": "subject"},
	"Coverage":                 {"payor": "beneficiary"},
	"DeviceRequest":            {"performer": "subject"},
	"ExplanationOfBenefit":     {"payee": "patient"},
	"MedicationAdministration": {"performer": "subject"},
	"ServiceRequest":           {"performer": "subject"},
}

func TestCompartmentParametersAreAsked(t *testing.T) {
	t.Parallel()
	f := read(t)
	for name := range compartment.Names() {
		typ := lookup(t, name)
		for _, p := range slices.Concat(f.Compartment[name], f.Outside[name]) {
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
			if !slices.Contains(f.Compartment[name], p) {
				t.Errorf("%s.%s needs no reason: the compartment does not have it", name, p)
			}
		}
	}
}

func TestPrimaryElementsMayNameAPatient(t *testing.T) {
	t.Parallel()
	f := read(t)
	for name := range compartment.Names() {
		typ := lookup(t, name)
		for _, path := range typ.Primary {
			if !slices.Contains(f.Elements[name], path) {
				t.Errorf("%s.%s is no element that may name a patient; those are %v", name, path, f.Elements[name])
			}
		}
		if typ.AnyMention == (len(typ.Primary) > 0) {
			t.Errorf("%s: AnyMention %t with primary elements %v", name, typ.AnyMention, typ.Primary)
		}
		if len(f.Elements[name]) == 0 {
			t.Errorf("%s has no element that may name a patient", name)
		}
	}
}

func TestNamesCanBeLeftEarly(t *testing.T) {
	t.Parallel()
	for name := range compartment.Names() {
		if name != "Account" {
			t.Errorf("the first is %s", name)
		}
		break
	}
}
