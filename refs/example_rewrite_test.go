package refs_test

import (
	"fmt"
	"strings"

	"github.com/fhirsync/fhirsync-go/refs"
)

func ExampleRewrite() {
	resource := []byte(`{"resourceType":"Observation", "valueQuantity":{"value":1.50}, "subject" : {"reference":"Patient\/1"}}`)
	out, err := refs.Rewrite(resource, func(found *refs.Found) string {
		if found.Ref.Kind == refs.Relative {
			return "https://server.example/fhir/" + found.Text
		}
		return found.Text
	}, refs.FromReference)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(out))
	// Output: {"resourceType":"Observation", "valueQuantity":{"value":1.50}, "subject" : {"reference":"https://server.example/fhir/Patient/1"}}
}

func ExampleBundle() {
	b, err := refs.ReadBundle([]byte(`{"resourceType":"Bundle","entry":[
		{"fullUrl":"https://server.example/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
		{"fullUrl":"https://server.example/fhir/Encounter/2","resource":{"resourceType":"Encounter","id":"2"}},
		{"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":{"resourceType":"Observation"}}]}`), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, reference := range []string{"Patient/1", "Patient/9", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "#c"} {
		r, err := b.Resolve(1, reference) // in the Encounter
		fmt.Println(r.Entry, r.URL, r.Contained, err)
	}
	r, err := b.Resolve(2, "Patient/1") // in the Observation, which is on no server
	fmt.Println(r.Entry, r.URL, err)
	// Output:
	// 0 https://server.example/fhir/Patient/1 false <nil>
	// -1 https://server.example/fhir/Patient/9 false <nil>
	// 2 urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0 false <nil>
	// 1  true <nil>
	// -1  <nil>
}

func ExampleReadAttachment() {
	resource := []byte(`{"resourceType":"DocumentReference","content":[{"attachment":{"contentType":"application/pdf","url":"Binary/7","size":1024}}]}`)
	for found, err := range refs.All(resource, refs.FromAttachment) {
		if err != nil {
			fmt.Println("broken:", err)
			return
		}
		attachment, err := refs.ReadAttachment(resource, found.Object)
		fmt.Println(found.Path, attachment.URL, attachment.ContentType, attachment.Size, err)
	}
	// Output: DocumentReference.content.attachment Binary/7 application/pdf 1024 <nil>
}

func ExampleReadReference() {
	for _, raw := range []string{`{"reference":"Patient/1"}`, `{"identifier":{"system":"urn:x","value":"42"}}`, `{"display":"Dr. Who"}`} {
		e, err := refs.ReadReference([]byte(raw), 0)
		fmt.Println(e.Kind, e.Ref.ID+e.Identifier.Value+e.Display, err)
	}
	// Output:
	// relative 1 <nil>
	// logical 42 <nil>
	// display only Dr. Who <nil>
}

func ExampleParseCanonical() {
	c := refs.ParseCanonical("https://server.example/fhir/Questionnaire/7|2.1#q3")
	fmt.Println(c.URL, c.Version, c.Fragment, c.Ref.Type, c.Ref.ID)
	// Output: https://server.example/fhir/Questionnaire/7 2.1 q3 Questionnaire 7
}

// A crawler: from one resource to all it refers to on the same server, but to no other patient.
func ExampleFrontier() {
	server := map[string]string{
		"Encounter/1": `{"resourceType":"Encounter","id":"1","subject":{"reference":"Patient/1"},"location":[{"location":{"reference":"Location/ward"}}],
			"partOf":{"reference":"Encounter/0"},"serviceProvider":{"reference":"https://elsewhere.example/fhir/Organization/1"}}`,
		"Location/ward":     `{"resourceType":"Location","id":"ward","partOf":{"reference":"Location/hospital"}}`,
		"Location/hospital": `{"resourceType":"Location","id":"hospital","managingOrganization":{"reference":"https://server.example/fhir/Organization/1"}}`,
		"Organization/1":    `{"resourceType":"Organization","id":"1","partOf":{"reference":"Organization/1"}}`,
	}
	frontier := refs.Frontier{
		Here: func(base string) bool { return strings.EqualFold(base, "https://server.example/fhir") },
		Follow: func(_ string, found *refs.Found) (refs.Reason, bool) {
			return "another patient", found.Ref.Type != "Patient"
		},
	}
	frontier.Put(refs.Target{Type: "Encounter", ID: "1"})
	for targets := frontier.Take(); len(targets) > 0; targets = frontier.Take() {
		for _, target := range targets {
			resource, ok := server[target.Literal()]
			if !ok {
				fmt.Printf("%s, named by %s: not found\n", target.Literal(), target.Path)
				continue
			}
			fmt.Println(target.Literal(), target.Hops)
			for found, err := range refs.All([]byte(resource)) {
				if err != nil {
					fmt.Println("broken:", err)
					return
				}
				frontier.Add(target.Type, frontier.Hops(target.Type, target.ID), found)
			}
		}
	}
	for _, s := range frontier.Skipped() {
		fmt.Printf("not followed: %d %s %q\n", s.Count, s.Reason, s.Host)
	}
	// Output:
	// Encounter/1 0
	// Encounter/0, named by Encounter.partOf: not found
	// Location/ward 1
	// Location/hospital 2
	// Organization/1 3
	// not followed: 1 another patient ""
	// not followed: 1 on another server "elsewhere.example"
}
