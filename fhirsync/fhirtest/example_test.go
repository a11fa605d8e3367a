package fhirtest_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// A client that stops at the end of the pages believes it has everything. The server knows better.
func Example() {
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200})
	srv := fhirtest.NewServer(rec)
	srv.Inject(fhirtest.PageCap(50).For("Observation"))

	got, err := pull(context.Background(), srv.Client(), srv.BaseURL(), rec.PatientID)
	if err != nil {
		log.Fatal(err)
	}
	missing := map[string]int{}
	for _, r := range rec.Resources {
		if _, ok := got[r.Ref()]; !ok {
			missing[r.Type]++
		}
	}
	fmt.Println("no error, and missing:", missing)
	// Output: no error, and missing: map[Observation:50]
}

// A resource that no record has: it is about somebody else and only mentions our patient.
func ExampleServer_Put() {
	ours, theirs := fhirtest.Generate(fhirtest.Options{Seed: 1}), fhirtest.Generate(fhirtest.Options{Seed: 2})
	srv := fhirtest.NewServer(ours, theirs)
	srv.Put(fhirtest.Resource{
		Type: "Observation", ID: "newborn", Owner: theirs.PatientID,
		Raw: []byte(`{"resourceType":"Observation","id":"newborn","subject":{"reference":"Patient/` + theirs.PatientID + `"},` +
			`"performer":[{"reference":"Patient/` + ours.PatientID + `"}]}`),
		Params: slices.Concat(fhirtest.Of(theirs.PatientID, "patient", "subject"), fhirtest.Of(ours.PatientID, "performer")),
		Links:  []string{"Patient/" + ours.PatientID, "Patient/" + theirs.PatientID},
	})
	_, wanted := srv.Want(ours.PatientID)["Observation/newborn"]
	_, own := srv.Own(theirs.PatientID)["Observation/newborn"]
	fmt.Println(wanted, own)
	// Output: false true
}

// Every fault can be narrowed down, and combined with others.
func ExampleServer_Inject() {
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"}))
	srv.Inject(
		fhirtest.TooManyRequests(1, "1"),
		fhirtest.Status(403).For("Goal"),
		fhirtest.TruncatedBody().For("Observation").On(fhirtest.Page).Times(1),
	)
	for range 2 {
		a := get(context.Background(), srv.Client(), srv.BaseURL()+"/Goal?patient=p")
		fmt.Printf("%d %q\n", a.status, a.header.Get("Retry-After"))
	}
	for _, r := range srv.Requests() {
		fmt.Println(r.Path, r.Status, r.Faults)
	}
	// Output:
	// 429 "1"
	// 403 ""
	// Goal 429 [TooManyRequests(1,1)]
	// Goal 403 [Status(403).For(Goal)]
}
