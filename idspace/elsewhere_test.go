package idspace_test

import (
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/idspace"
)

// What another server has gets ids of its own, whatever the scheme of the space is and however long the address; and the same ones always.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	own, err := idspace.New(idspace.Options{Name: "payer-a", Scheme: idspace.Prefix()})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{own.ID("Practitioner", "1"): "own"}
	for _, base := range []string{"https://b.example/fhir", "https://c.example/fhir", "https://b.example/" + strings.Repeat("x", 300), "https://b.example/" + strings.Repeat("x", 301)} {
		other, err := own.Elsewhere(base)
		if err != nil {
			t.Fatalf("%s: %v", base, err)
		}
		again, err := own.Elsewhere(base)
		if err != nil || again.ID("Practitioner", "1") != other.ID("Practitioner", "1") {
			t.Errorf("%s: another id the second time, %v", base, err)
		}
		id := other.ID("Practitioner", "1")
		if was, known := seen[id]; known {
			t.Errorf("%s has the id of %s", base, was)
		}
		seen[id] = base
		// A space that a caller makes for that server is another one.
		its, err := idspace.New(idspace.Options{Name: "b", Bases: []string{base}})
		if err != nil || its.ID("Practitioner", "1") == id {
			t.Errorf("%s: the id of its own space, %v", base, err)
		}
		got, err := other.Rewrite([]byte(`{"resourceType":"Practitioner","id":"1","x":{"reference":"Organization/2"}}`))
		if err != nil || got.NewID != id || !strings.Contains(string(got.Raw), other.ID("Organization", "2")) {
			t.Errorf("%s: %s, %v", base, got.Raw, err)
		}
	}
	if _, err := own.Elsewhere("urn:uuid:x"); err == nil {
		t.Error("what is no base URL has a space")
	}
}
