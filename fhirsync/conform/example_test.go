package conform_test

import (
	"context"
	"fmt"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// A resource as servers send them, and what is done about it.
func Example() {
	c, err := conform.New(conform.Options{})
	if err != nil {
		panic(err)
	}
	out, err := c.Apply([]byte(`{"resourceType":"Observation","id":"1","status":"Final ","code":{"text":"weight"},"note":[],` +
		`"effectiveDateTime":"2024-3-1","issued":"2024-03-01 08:30:00","valueQuantity":{"value":"70.50","code":" KG"}}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out.Raw))
	for _, change := range out.Changes {
		fmt.Println("changed:", change.Rule, change.Path)
	}
	for _, n := range out.Nonconformities {
		fmt.Println("left:", n.Rule, n.Path) // nobody knows in which zone that was
	}
	// Output:
	// {"resourceType":"Observation","id":"1","status":"final","code":{"text":"weight"},"effectiveDateTime":"2024-03-01","issued":"2024-03-01 08:30:00","valueQuantity":{"value":70.50,"code":" KG"}}
	// changed: codes Observation.status
	// changed: dates Observation.effectiveDateTime
	// changed: numbers Observation.valueQuantity.value
	// changed: empty Observation.note
	// left: dates Observation.issued
}

// A patient of a payer meets US Core's profile where the data allow it.
func ExampleUSCore6() {
	c, err := conform.New(conform.Options{Profiles: conform.USCore6()})
	if err != nil {
		panic(err)
	}
	for _, raw := range []string{
		`{"resourceType":"Patient","id":"1","identifier":[{"system":"https://payer.example","value":"7"}],"name":[{"family":"A"}]}`,
		`{"resourceType":"Patient","id":"2","telecom":[{"value":"555-0100"}]}`,
	} {
		out, err := c.Apply([]byte(raw))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(out.Raw))
		for _, n := range out.Nonconformities {
			fmt.Println("not met, for want of", n.Path)
		}
	}
	// Output:
	// {"resourceType":"Patient","id":"1","identifier":[{"system":"https://payer.example","value":"7"}],"name":[{"family":"A"}],"gender":"unknown","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|6.1.0"]}}
	// {"resourceType":"Patient","id":"2","telecom":[{"value":"555-0100"}]}
	// not met, for want of Patient.telecom[0].system
}

// A validator before the store; what it refuses is marked.
func ExampleStore() {
	c, err := conform.New(conform.Options{})
	if err != nil {
		panic(err)
	}
	validator := conform.ValidatorFunc(func(_ context.Context, typ string, _ []byte) ([]fhirsync.Issue, error) {
		if typ == "Basic" { // validate.Server asks a FHIR server
			return []fhirsync.Issue{{Severity: "error", Code: "not-supported"}}, nil
		}
		return nil, nil
	})
	var mem memstore.Store
	store := conform.Store(&mem, c, &conform.StoreOptions{
		Validator: validator,
		Refused:   conform.Mark,
		OnResult:  func(o conform.Outcome) { fmt.Println(o.Key.Type, len(o.Changes), "changes, refused:", o.Refused) },
	})
	err = store.Put(context.Background(), fhirsync.Batch{Server: "a", Resources: []fhirsync.Resource{
		{Key: fhirsync.Key{Server: "a", Type: "Basic", ID: "1"}, Raw: []byte(`{"resourceType":"Basic","id":"1","code":{"text":"x"}}`)},
		{Key: fhirsync.Key{Server: "a", Type: "Patient", ID: "1"}, Raw: []byte(`{"resourceType":"Patient","id":"1","active":"true"}`)},
	}})
	fmt.Println(err)
	for r := range mem.All() {
		fmt.Println(string(r.Raw))
	}
	// Output:
	// Basic 1 changes, refused: true
	// Patient 1 changes, refused: false
	// <nil>
	// {"resourceType":"Basic","id":"1","code":{"text":"x"},"meta":{"tag":[{"system":"https://github.com/fhirsync/fhirsync-go/conform","code":"refused-by-validator"}]}}
	// {"resourceType":"Patient","id":"1","active":true}
}
