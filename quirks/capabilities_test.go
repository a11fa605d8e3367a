package quirks_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

func TestParseCapabilities(t *testing.T) {
	t.Parallel()
	c, err := quirks.ParseCapabilities([]byte(`{"rest":[{"mode":"server","operation":[{"name":"lastn"}, 7],"resource":[
		{"type":"Observation","interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"patient"},{"name":"category"}]},
		{"type":"Binary","interaction":[{"code":"read"}]},
		{"type":"Goal","interaction":[{"code":"search-type"}],"searchParam":"none"},
		"broken",
		{"type":"Patient","operation":[{"name":"everything","definition":{"reference":"x"}}]}]},
		{"mode":"client","resource":[{"type":"Flag","interaction":[{"code":"search-type"}]}]}],
		"software":{"name":"Example","version":"May 2026"},"format":["json"],"fhirVersion":"4.0.1","resourceType":"CapabilityStatement"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Binary", "Goal", "Observation", "Patient"}, c.Types()); diff != "" {
		t.Errorf("Types (-want +got):\n%s", diff)
	}
	for _, q := range []struct {
		typ, param string
		want       bool
	}{
		{"Observation", "patient", true},
		{"Observation", "subject", false},
		{"Binary", "patient", false}, // read only
		{"Goal", "patient", true},    // no list of parameters: nothing is excluded
		{"Flag", "patient", false},   // claimed as a client, not as a server
		{"Account", "patient", false},
	} {
		if got := c.ClaimsSearch(q.typ, q.param); got != q.want {
			t.Errorf("ClaimsSearch(%s, %s) = %v, want %v", q.typ, q.param, got, q.want)
		}
	}
	if !c.ClaimsOperation("Patient", "everything") || c.ClaimsOperation("Observation", "everything") || !c.ClaimsOperation("Observation", "lastn") {
		t.Error("operations not read")
	}
	if c.SoftwareName != "Example" || c.SoftwareVersion != "May 2026" || c.FHIRVersion != "4.0.1" || !c.Known {
		t.Errorf("identity not read: %+v", c)
	}
}

func TestParseCapabilitiesRefusesOthers(t *testing.T) {
	t.Parallel()
	if _, err := quirks.ParseCapabilities([]byte(`{"resourceType":"OperationOutcome"}`)); !errors.Is(err, quirks.ErrNotCapabilityStatement) {
		t.Errorf("an OperationOutcome gave %v", err)
	}
	for _, bad := range []string{``, `<html>`, `[]`, `{"resourceType":`} {
		if _, err := quirks.ParseCapabilities([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	var none *quirks.Capabilities
	if none.ClaimsSearch("Patient") || none.Types() != nil {
		t.Error("no capabilities claim nothing")
	}
}
