package refs_test

import (
	"errors"
	"io"
	"testing"

	"github.com/fhirsync/fhirsync-go/refs"
)

// A part of the example in http://hl7.org/fhir/R4/bundle.html#references, with what servers add to it.
const resolvable = `{"resourceType":"Bundle","type":"collection","entry":[
	{"fullUrl":"http://example.org/fhir/Patient/23","resource":{"resourceType":"Patient","id":"23","meta":{"versionId":"2"}}},
	{"fullUrl":"urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d","resource":{"resourceType":"Patient"}},
	{"fullUrl":"http://example.org/fhir/Observation/123","resource":{"resourceType":"Observation","id":"123"}},
	{"fullUrl":"http://other.example/fhir/Observation/124","resource":{"resourceType":"Observation","id":"124"}},
	{"fullUrl":"urn:uuid:dddddddd-4af5-424c-a0e1-ed3aab1c349d","resource":{"resourceType":"Observation"}},
	{"resource":{"resourceType":"Device","id":"bare"}},
	{"fullUrl":"Device/relative","resource":{"resourceType":"Device","id":"relative"}},
	{"fullUrl":"http://example.org/fhir/Twice/1","resource":{"resourceType":"Twice","id":"1","meta":{"versionId":"1"}}},
	{"fullUrl":"http://example.org/fhir/Twice/1","resource":{"resourceType":"Twice","id":"1","meta":{"versionId":"2"}}},
	{"fullUrl":"http://example.org/fhir/Same/1","resource":{"resourceType":"Same","id":"1"}},
	{"fullUrl":"http://example.org/fhir/Same/1","resource":{"resourceType":"Same","id":"1"}},
	{"fullUrl":"http://example.org/documents/7.pdf","resource":{"resourceType":"Binary"}},
	7,
	{"fullUrl":"","resource":{"resourceType":"Device"}}
]}`

func TestBundleResolve(t *testing.T) {
	t.Parallel()
	b, err := refs.ReadBundle([]byte(resolvable), "http://example.org/fhir/")
	if err != nil || b.Len() != 14 {
		t.Fatalf("%d entries, %v", b.Len(), err)
	}
	const patient = "http://example.org/fhir/Patient/23"
	for _, test := range []struct {
		from int
		text string
		want refs.Resolved
		err  error
	}{
		{from: 2, text: "Patient/23", want: refs.Resolved{Entry: 0, URL: patient}},
		{from: 2, text: "Patient/23/_history/2", want: refs.Resolved{Entry: 0, URL: patient + "/_history/2"}},
		{from: 2, text: "Patient/23/_history/1", want: refs.Resolved{Entry: -1, URL: patient + "/_history/1"}},
		{from: 2, text: "Patient/23#p", want: refs.Resolved{Entry: 0, URL: patient, Contained: true, Fragment: "p"}},
		{from: 2, text: patient, want: refs.Resolved{Entry: 0, URL: patient}},
		{from: 4, text: patient, want: refs.Resolved{Entry: 0, URL: patient}},
		{from: 2, text: "https://EXAMPLE.org:443/fhir/Patient/23", want: refs.Resolved{Entry: 0, URL: "https://EXAMPLE.org:443/fhir/Patient/23"}},
		{from: 2, text: "http://example.org:443/fhir/Patient/23", want: refs.Resolved{Entry: -1, URL: "http://example.org:443/fhir/Patient/23"}},
		{from: 2, text: "http://example.org/FHIR/Patient/23", want: refs.Resolved{Entry: -1, URL: "http://example.org/FHIR/Patient/23"}},
		{from: 2, text: "Patient/24", want: refs.Resolved{Entry: -1, URL: "http://example.org/fhir/Patient/24"}},
		// Relative to the server that the entry is of, not to the one of the Bundle.
		{from: 3, text: "Patient/23", want: refs.Resolved{Entry: -1, URL: "http://other.example/fhir/Patient/23"}},
		// In an entry with a urn, a relative reference means nothing.
		{from: 4, text: "Patient/23", want: refs.Resolved{Entry: -1}},
		{from: 4, text: "urn:uuid:04121321-4AF5-424c-a0e1-ed3aab1c349d", want: refs.Resolved{Entry: 1, URL: "urn:uuid:04121321-4AF5-424c-a0e1-ed3aab1c349d"}},
		{from: 4, text: "urn:uuid:1", want: refs.Resolved{Entry: -1, URL: "urn:uuid:1"}},
		{from: 2, text: "#c1", want: refs.Resolved{Entry: 2, Contained: true, Fragment: "c1"}},
		{from: 2, text: "#", want: refs.Resolved{Entry: 2, Contained: true}},
		{from: -1, text: "#c1", want: refs.Resolved{Entry: -1}},
		{from: -1, text: "Patient/23", want: refs.Resolved{Entry: 0, URL: patient}},
		{from: 99, text: "Patient/23", want: refs.Resolved{Entry: 0, URL: patient}},
		{from: 5, text: "Device/relative", want: refs.Resolved{Entry: 6, URL: "http://example.org/fhir/Device/relative"}},
		{from: 6, text: "Device/bare", want: refs.Resolved{Entry: 5, URL: "http://example.org/fhir/Device/bare"}},
		{from: 2, text: "Twice/1", want: refs.Resolved{Entry: -1, URL: "http://example.org/fhir/Twice/1"}, err: refs.ErrAmbiguous},
		{from: 2, text: "Twice/1/_history/2", want: refs.Resolved{Entry: 8, URL: "http://example.org/fhir/Twice/1/_history/2"}},
		{from: 2, text: "Same/1", want: refs.Resolved{Entry: 9, URL: "http://example.org/fhir/Same/1"}},
		{from: 2, text: "http://example.org/documents/7.pdf", want: refs.Resolved{Entry: 11, URL: "http://example.org/documents/7.pdf"}},
		{from: 2, text: "Patient?identifier=a|b", want: refs.Resolved{Entry: -1}},
		{from: 2, text: "Patient/../Patient/23", want: refs.Resolved{Entry: -1}},
		{from: 12, text: "Patient/23", want: refs.Resolved{Entry: -1}},
		{from: 2, text: "", want: refs.Resolved{Entry: -1}},
	} {
		got, err := b.Resolve(test.from, test.text)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q in entry %d: %+v, %v, want %+v, %v", test.text, test.from, got, err, test.want, test.err)
		}
	}
}

func TestBundleWithoutBase(t *testing.T) {
	t.Parallel()
	b, err := refs.ReadBundle([]byte(resolvable), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{-1, 5, 6} {
		if got, err := b.Resolve(from, "Device/bare"); err != nil || got != (refs.Resolved{Entry: -1}) {
			t.Errorf("in entry %d: %+v, %v", from, got, err)
		}
	}
	var none refs.Bundle
	if got, err := none.Resolve(0, "http://example.org/fhir/Patient/23"); err != nil || got.Entry != -1 || got.URL == "" {
		t.Errorf("without entries: %+v, %v", got, err)
	}
}

func TestReadBundleRefuses(t *testing.T) {
	t.Parallel()
	if _, err := refs.ReadBundle([]byte(`{"resourceType":"Bundle","entry":[`), ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	for _, raw := range []string{`{"resourceType":"Patient"}`, `{}`, `[]`, ``, `x`} {
		if _, err := refs.ReadBundle([]byte(raw), ""); err == nil {
			t.Errorf("%q is a Bundle", raw)
		}
	}
}
