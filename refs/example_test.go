package refs_test

import (
	"fmt"

	"github.com/fhirsync/fhirsync-go/refs"
)

func ExampleParse() {
	for _, text := range []string{
		"Patient/123",
		"https://server.example/fhir/Observation/7/_history/2",
		"#p1",
		"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
		"Patient?identifier=http://hospital.example/mrn|42",
		"Patient/../../admin",
	} {
		ref := refs.Parse(text)
		fmt.Printf("%-11s type %q, id %q, version %q, base %q\n", ref.Kind, ref.Type, ref.ID, ref.Version, ref.Base)
	}
	// Output:
	// relative    type "Patient", id "123", version "", base ""
	// absolute    type "Observation", id "7", version "2", base "https://server.example/fhir"
	// contained   type "", id "", version "", base ""
	// urn         type "", id "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", version "", base ""
	// conditional type "Patient", id "", version "", base ""
	// invalid     type "", id "", version "", base ""
}

func ExampleAll() {
	resource := []byte(`{
	  "resourceType": "Encounter",
	  "contained": [{"resourceType": "Location", "id": "l", "managingOrganization": {"reference": "Organization/9"}}],
	  "subject": {"reference": "Patient/123"},
	  "participant": [{"individual": {"reference": "https://other.example/fhir/Practitioner/4"}}],
	  "location": [{"location": {"reference": "#l"}}]
	}`)
	for found, err := range refs.All(resource) {
		if err != nil {
			fmt.Println("broken:", err) // take nothing from this resource
			return
		}
		fmt.Println(found.Path, found.Ref.Kind, found.Text)
	}
	// Output:
	// Encounter.contained.managingOrganization relative Organization/9
	// Encounter.subject relative Patient/123
	// Encounter.participant.individual absolute https://other.example/fhir/Practitioner/4
	// Encounter.location.location contained #l
}
