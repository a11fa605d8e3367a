package idspace_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/idspace"
)

func TestMapping(t *testing.T) {
	t.Parallel()
	var m idspace.Mapping
	if _, ok := m.Original("Patient", "x"); ok || m.Len() != 0 {
		t.Error("the zero value is not empty")
	}
	a := idspace.Pair{Space: "a", Type: "Patient", ID: "1", NewID: "x"}
	b := idspace.Pair{Space: "b", Type: "Patient", ID: "1", NewID: "y"}
	if err := m.Add(b, a, a); err != nil {
		t.Error(err)
	}
	stolen := idspace.Pair{Space: "b", Type: "Patient", ID: "2", NewID: "x"}
	group := idspace.Pair{Space: "b", Type: "Group", ID: "2", NewID: "x"}
	if err := m.Add(stolen, group); !errors.Is(err, idspace.ErrCollision) {
		t.Errorf("collision: %v", err)
	}
	if diff := cmp.Diff([]idspace.Pair{a, group, b}, slices.Collect(m.All())); diff != "" {
		t.Error(diff)
	}
	if got, ok := m.Original("Patient", "x"); !ok || got != a {
		t.Errorf("original is %v, %v", got, ok)
	}
	for range m.All() {
		break
	}
	data, err := json.Marshal(&m)
	const want = `[{"space":"a","type":"Patient","id":"1","newId":"x"},{"space":"b","type":"Group","id":"2","newId":"x"},{"space":"b","type":"Patient","id":"1","newId":"y"}]`
	if err != nil || string(data) != want {
		t.Errorf("%v, %s", err, data)
	}
	if err := json.Unmarshal([]byte(`7`), &m); err == nil || m.Len() != 3 {
		t.Errorf("a number was taken: %v", err)
	}
}

// What is restored is what was there, also where the id has to be escaped in the place where it stands.
func TestRestore(t *testing.T) {
	t.Parallel()
	space := spaceA(t, idspace.Options{Pairs: true})
	const members = `"reference":"Patient/x|\"y","a":[{"reference":"https:\/\/fhir.example.org\/r4\/Group\/2"},{"reference":"Patient/unknown"}],` +
		`"text":{"div":"<a href=\"Patient/<&amp;>\"/><a href='Group/2#x'/>"},"photo":[{"url":"Binary/1/_history/2"}]`
	out, err := space.Rewrite([]byte(`{"resourceType":"Patient","id":"1","meta":{"tag":[]},` + members + `}`))
	if err != nil {
		t.Fatal(err)
	}
	var m idspace.Mapping
	for _, p := range out.Pairs {
		if p.ID != "unknown" {
			if err := m.Add(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	back, err := m.Restore(out.Raw)
	const want = `"reference":"Patient/x|\"y","a":[{"reference":"Group/2"},{"reference":"Patient/a-unknown"}],` +
		`"text":{"div":"<a href=\"Patient/&lt;&amp;&gt;\"/><a href='Group/2#x'/>"},"photo":[{"url":"Binary/1/_history/2"}]`
	if full := `{"resourceType":"Patient","id":"1","meta":{"tag":[` + tags("Patient", "1") + `]},` + want + `}`; err != nil || string(back) != full {
		t.Errorf("%v\ngot  %s\nwant %s", err, back, full)
	}
	if _, err := m.Restore([]byte(`{`)); err == nil {
		t.Error("broken JSON was restored")
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]idspace.Identifier{
		`{}`: nil,
		`{"identifier":[{"system":"s","value":"1","use":"official"},{"value":"\u0032"},{"assigner":{}},7,null,{"system":3,"value":"x"}]}`: {{"s", "1", "official"}, {"", "2", ""}, {"", "x", ""}},
		`{"identifier":{"system":"s","value":"1"},"x":{"identifier":{"value":"2"}}}`:                                                      {{"s", "1", ""}},
		`{"identifier":[{"system":"` + idspace.OriginalSystem + `","value":"a/Patient/1"},{"value":"1"}]}`:                                {{"", "1", ""}},
		`{"identifier":"x"}`: nil,
	} {
		got, err := idspace.Identifiers([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
	if _, err := idspace.Identifiers([]byte(`[]`)); !errors.Is(err, idspace.ErrIdentity) {
		t.Errorf("an array: %v", err)
	}
	if _, err := idspace.Identifiers([]byte(`{`)); err == nil {
		t.Error("broken JSON was accepted")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	all := patients(t)[:200]
	space := mustSpace(t, idspace.Options{Name: "a", Bases: []string{patientBase}, Pairs: true})
	var want []string
	for _, raw := range all {
		out, err := space.Rewrite(raw)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(out.Raw))
	}
	var m idspace.Mapping
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, raw := range all {
				out, err := space.Rewrite(raw)
				if err != nil || string(out.Raw) != want[i] {
					t.Errorf("resource %d: %v", i, err)
				}
				if err := m.Add(out.Pairs...); err != nil {
					t.Error(err)
				}
				if _, err := m.Restore(out.Raw); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
