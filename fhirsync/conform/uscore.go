package conform

import (
	_ "embed"
	"encoding/json"
	"slices"
)

//go:embed uscore.json
var uscoreJSON []byte

// USCore6 gives the shipped profiles of US Core 6.1.0, new on each call, for [Options.Profiles]. They have what the implementation guide
// demands of every resource of a profile (minimum cardinalities, and those invariants that can be told without a terminology server), and of
// the things that may be done about it those that its own rules on missing data name:
// https://hl7.org/fhir/us/core/STU6.1/general-requirements.html#missing-data.
//
// Filled in is data-absent-reason, and the code unknown of Patient.gender. Two things are mapped: codes of Patient.gender as HL7 v2 has
// them, and the URLs of the race and ethnicity extensions as the Argonaut guide had them; and to codings of category that have the systems
// of earlier versions of FHIR those of today are added. Nothing is removed.
//
// Not among them are the profiles of occupation, pregnancy, sexual orientation, preferences, advance directives and average blood pressure.
func USCore6() []Profile { return uscore("6.1.0") }

// USCore8 gives those of US Core 8.0.0. See [USCore6].
func USCore8() []Profile { return uscore("8.0.0") }

func uscore(version string) []Profile {
	var all []struct {
		Versions []string `json:"versions"` // empty: all
		Profile
	}
	if json.Unmarshal(uscoreJSON, &all) != nil {
		return nil // the file is part of the program, and a test reads it.
	}
	var out []Profile
	for _, p := range all {
		if len(p.Versions) > 0 && !slices.Contains(p.Versions, version) {
			continue
		}
		p.URL, p.Version = "http://hl7.org/fhir/us/core/StructureDefinition/"+p.URL, version
		out = append(out, p.Profile)
	}
	return out
}
