package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/refs"
)

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "records.db")
	var before string
	for range 2 { // the second time into the same file
		var out bytes.Buffer
		if err := start(t.Context(), &out, []string{file}); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for _, p := range payers {
			if want := fmt.Sprintf("%s: %d resources, complete", p.name, len(all(p.record))); !strings.Contains(text, want) {
				t.Errorf("%q is not in the output:\n%s", want, text)
			}
		}
		sections := strings.Split(text, "\n\n")
		if len(sections) != 4 {
			t.Fatalf("%d sections:\n%s", len(sections), text)
		}
		for i, want := range [][]string{wantCollisions(), wantEncounters(t), wantTypes()} {
			var got []string
			for line := range strings.Lines(sections[i+1]) {
				if row, ok := strings.CutPrefix(line, "  "); ok {
					columns := strings.Fields(row)
					if i == 2 {
						columns = columns[:2] // the first of the ids follows
					}
					got = append(got, strings.Join(columns, " "))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q\nin\n%s", got, want, sections[i+1])
			}
		}
		if before != "" && text != before {
			t.Errorf("first\n%s\nthen\n%s", before, text)
		}
		before = text
	}
	t.Log(before)
}

// all gives what a sync brings of a record.
func all(record *fhirtest.Record) map[string][]byte {
	return fhirtest.NewServer(record).Want(record.PatientID)
}

func wantCollisions() []string {
	a, b := all(payers[0].record), all(payers[1].record)
	n := 0
	for ref := range a {
		if b[ref] != nil {
			n++
		}
	}
	return []string{fmt.Sprintf("payer-a %d %d", len(a), n), fmt.Sprintf("payer-b %d %d", len(b), n)}
}

func wantEncounters(t *testing.T) []string {
	t.Helper()
	count := map[string]int{}
	for _, p := range payers {
		resources := all(p.record)
		for ref, raw := range resources {
			var observation struct{ Encounter struct{ Reference string } }
			var encounter struct{ Class struct{ Code string } }
			if !strings.HasPrefix(ref, "Observation/") {
				continue
			}
			if err := json.Unmarshal(raw, &observation); err != nil {
				t.Fatal(err)
			}
			to := refs.Parse(observation.Encounter.Reference)
			there := resources["Encounter/"+to.ID]
			if there == nil {
				continue
			}
			if err := json.Unmarshal(there, &encounter); err != nil {
				t.Fatal(err)
			}
			count[p.name+" "+cmp.Or(encounter.Class.Code, "none")]++
		}
	}
	var want []string
	for what, n := range count {
		want = append(want, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(want)
	return want
}

func wantTypes() []string {
	count := map[string]int{}
	for ref := range all(payers[0].record) {
		typ, _, _ := strings.Cut(ref, "/")
		count[typ]++
	}
	var types []string
	for typ := range count {
		types = append(types, typ)
	}
	slices.SortFunc(types, func(a, b string) int { return cmp.Or(-cmp.Compare(count[a], count[b]), cmp.Compare(a, b)) })
	for i, typ := range types {
		types[i] = fmt.Sprintf("%s %d", typ, count[typ])
	}
	return types[:8]
}

func TestTemporaryFile(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := start(t.Context(), &out, nil); err != nil || !strings.Contains(out.String(), "payer-b") {
		t.Errorf("%v\n%s", err, &out)
	}
}
