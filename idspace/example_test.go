package idspace_test

import (
	"fmt"

	"github.com/fhirsync/fhirsync-go/idspace"
)

// Two payers have a Patient/1. In spaces they are two.
func Example() {
	raw := []byte(`{"resourceType":"Coverage","id":"7","beneficiary":{"reference":"Patient/1"}}`)
	for _, payer := range []string{"payer-a", "payer-b"} {
		space, err := idspace.New(idspace.Options{
			Name:   payer,
			Bases:  []string{"https://fhir." + payer + ".example/r4"},
			Scheme: idspace.Prefix(),
		})
		if err != nil {
			panic(err)
		}
		out, err := space.Rewrite(raw)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", out.Raw)
	}
	// Output:
	// {"resourceType":"Coverage","id":"payer-a-7","meta":{"tag":[{"system":"https://github.com/fhirsync/fhirsync-go/idspace/space","code":"payer-a"},{"system":"https://github.com/fhirsync/fhirsync-go/idspace/original","code":"payer-a/Coverage/7"}]},"beneficiary":{"reference":"Patient/payer-a-1"}}
	// {"resourceType":"Coverage","id":"payer-b-7","meta":{"tag":[{"system":"https://github.com/fhirsync/fhirsync-go/idspace/space","code":"payer-b"},{"system":"https://github.com/fhirsync/fhirsync-go/idspace/original","code":"payer-b/Coverage/7"}]},"beneficiary":{"reference":"Patient/payer-b-1"}}
}

// The default scheme takes any id, however long or odd.
func ExampleSpace_ID() {
	space, err := idspace.New(idspace.Options{Name: "payer-a"})
	if err != nil {
		panic(err)
	}
	fmt.Println(space.ID("Patient", "abc"))
	fmt.Println(space.ID("Patient", "ABC"))
	fmt.Println(space.ID("Observation", "an id_with|everything"))
	// Output:
	// 54czjxzu4xaknh3drkhuobpinqpoew5n
	// yot37f3ax3ej3jlgxtpx7xi7mw5dbjjz
	// btn6lvhyncwx4snujqcqahg2jgtqkwba
}

// A resource that was stored says itself what it was.
func ExampleSpace_Original() {
	space, err := idspace.New(idspace.Options{Name: "payer-a"})
	if err != nil {
		panic(err)
	}
	out, err := space.Rewrite([]byte(`{"resourceType":"Patient","id":"1"}`))
	if err != nil {
		panic(err)
	}
	was, ok := space.Original(out.Raw)
	fmt.Println(was.Type, was.ID, ok)
	// Output: Patient 1 true
}

// A Mapping also knows what the references were.
func ExampleMapping() {
	space, err := idspace.New(idspace.Options{Name: "payer-a", Mark: idspace.MarkSource, Pairs: true})
	if err != nil {
		panic(err)
	}
	out, err := space.Rewrite([]byte(`{"resourceType":"Coverage","id":"7","beneficiary":{"reference":"Patient/1"}}`))
	if err != nil {
		panic(err)
	}
	var m idspace.Mapping // or rows of a table, kept beside the resources
	if err := m.Add(out.Pairs...); err != nil {
		panic(err)
	}
	back, err := m.Restore(out.Raw)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", back)
	// Output:
	// {"resourceType":"Coverage","id":"7","meta":{"source":"https://github.com/fhirsync/fhirsync-go/idspace/source/payer-a/Coverage/7"},"beneficiary":{"reference":"Patient/1"}}
}

// The same practitioner from two servers stays two; the identifiers tell.
func ExampleIdentifiers() {
	ids, err := idspace.Identifiers([]byte(`{"resourceType":"Practitioner","id":"1","identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"9999999999"}]}`))
	if err != nil {
		panic(err)
	}
	for _, id := range ids {
		fmt.Println(id.System, id.Value)
	}
	// Output: http://hl7.org/fhir/sid/us-npi 9999999999
}
