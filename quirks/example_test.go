package quirks_test

import (
	"fmt"
	"os"
	"testing/fstest"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// What is known of a server by its base URL, before anything has been asked.
func ExampleRegistry_Lookup() {
	set, entries := quirks.Default().Lookup("https://api.bluebutton.cms.gov/v2/fhir", nil)
	for _, e := range entries {
		fmt.Println(e.ID)
	}
	fmt.Println("pages of", *set.Type("ExplanationOfBenefit").PageSize)
	fmt.Println("Coverage by", *set.Type("Coverage").Patient)
	// Output:
	// cms-blue-button
	// pages of 50
	// Coverage by beneficiary
}

// Each setting says where it comes from.
func ExampleRegistry_Explain() {
	caps := &quirks.Capabilities{Known: true, SoftwareName: "medplum"}
	for _, s := range quirks.Default().Explain("https://fhir.example.org/fhir/R4", caps) {
		fmt.Printf("%s, because of %s (%s):\n", s.Field, s.Entry, s.Level)
		for _, source := range s.Sources {
			fmt.Println(" ", source.Confidence, source.ID)
		}
	}
	// Output:
	// everything.supported, because of medplum (engine):
	//   observed everything-unlisted
	// errors, because of medplum (engine):
	//   documented offset-cap
	//   observed offset-error
}

// A folder of files in the place of what is shipped, or beside it.
func ExampleLoad() {
	own, err := quirks.Load(os.DirFS("testdata/own"))
	if err != nil {
		fmt.Println(err)
		return
	}
	all, err := quirks.Default().With(own.Entries()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, entries := all.Lookup("https://west.harbor.example/fhir/r4", nil)
	fmt.Println(entries[0].Name, "wants", set.Headers[0].Name, "and Server.Vars with", set.Vars())
	// Output:
	// Harbor Health wants X-Harbor-Tenant and Server.Vars with [tenant]
}

// Mistakes are told with file, line and field.
func ExampleLoad_mistakes() {
	files := fstest.MapFS{"harbor.json": {Data: []byte(`{
  "id": "harbor",
  "name": "Harbor",
  "match": [{"baseURL": "https://*/fhir"}],
  "set": {
    "headers": [{"name": "Authorization", "value": "Basic c2VjcmV0"}],
    "types": {"Observation": {"pageSize": 50}}
  }
}`)}}
	_, err := quirks.Load(files)
	fmt.Println(err)
	// Output:
	// quirks: harbor.json:6: harbor.set.headers[0].name: a quirk cannot set Authorization
	// quirks: harbor.json:4: harbor.match[0].baseURL: fits every host: at least the last two labels must be given, without an asterisk
	// quirks: harbor.json:6: harbor.set.headers: has no evidence: no source names it in fields
	// quirks: harbor.json:7: harbor.set.types.Observation.pageSize: has no evidence: no source names it in fields
}

// The caller has the last word: here on the size of pages and on a limit that was agreed with the operator.
func ExampleSet_Merge() {
	known, _ := quirks.Default().Lookup("https://api.1up.health/r4", nil)
	mine, err := quirks.ParseSet("mine", []byte(`{"types": {"*": {"pageSize": 20}}, "rate": {"limits": [{"requests": 60, "per": "1m"}]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	set := known.Merge(mine) // as a sync does with Server.Quirks.
	fmt.Println("pages of", *known.Type("Condition").PageSize, "become pages of", *set.Type("Condition").PageSize)
	fmt.Println("limits:", len(known.Rate.Limits), "and", len(set.Rate.Limits))
	// Output:
	// pages of 100 become pages of 20
	// limits: 0 and 1
}
