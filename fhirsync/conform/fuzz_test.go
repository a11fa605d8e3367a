package conform_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// FuzzApply: whatever comes, there is no panic; what is refused is no resource; what is accepted stays JSON, keeps its identity, and is not
// changed by a second time.
func FuzzApply(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Patient","id":"1","meta":{"versionId":"1","profile":["p",null],"_profile":[null,{}]},"name":[{"given":["",null],"_given":[{},null]}],"active":"true"}`,
		`{"resourceType":"Observation","status":" FINAL","valueQuantity":{"value":"1.50"},"issued":"2020-1-2 3:04:05","text":{"div":"<p onclick='a'>x&nbsp;<br>"},"future":[null,""]}`,
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Condition","subject":{"reference":"/Patient/1/"}}}],"total":"1"}`,
		`{"resourceType":"Patient","name":null,"_name":[null],"birthDate":"","_birthDate":{"a":[]},"contained":[{},null],"gender":"M","identifier":[{}]}`,
		`{"resourceType":"Coverage","meta":null,"extension":{},"status":null,"_status":[{}]}`,
		`{"\u0072esourceType":"Patient","x":"\ud83d\ude00\ud800","x":1}`,
		`{"resourceType":"Patient","managingOrganization":{"reference":" http://a/Patient/ /"}}`,
		`[1]`, ``, `{}`,
	} {
		f.Add([]byte(s))
	}
	cs := []*conform.Conformer{
		conformer(f, conform.Options{}),
		conformer(f, conform.Options{Location: time.UTC, Versions: conform.VersionsExtension, Unknowns: conform.UnknownsExtension, Profiles: append(conform.USCore6(), conform.USCore8()...)}),
		conformer(f, conform.Options{FHIRVersion: "5.0.0", Bases: []string{"http://a"}, Versions: conform.DropVersions, Claims: conform.RemoveClaims}),
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		valid := jsonscan.Valid(raw) == nil && bytes.TrimSpace(raw)[0] == '{'
		for i, c := range cs {
			out, err := c.Apply(raw)
			if !bytes.Equal(raw, before) {
				t.Fatal("the input was written to")
			}
			if (err == nil) != valid {
				t.Fatalf("valid %t, and %v", valid, err)
			}
			if err != nil {
				continue
			}
			if err := jsonscan.Valid(out.Raw); err != nil {
				t.Fatalf("%d: %v in %s", i, err, out.Raw)
			}
			if len(out.Changes) == 0 && !bytes.Equal(out.Raw, raw) {
				t.Fatalf("%d: changed to %s, and no change says so", i, out.Raw)
			}
			a, errA := jsonscan.Head(raw)
			b, errB := jsonscan.Head(out.Raw)
			if errA == nil && a.ID != "" && (errB != nil || a.ResourceType != b.ResourceType || a.ID != b.ID) {
				t.Fatalf("%d: %v became %v, %v", i, a, b, errB)
			}
			again, err := c.Apply(out.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Raw, out.Raw) {
				t.Fatalf("%d: a second time changes %v:\n%s\n%s", i, again.Changes, out.Raw, again.Raw)
			}
		}
	})
}
