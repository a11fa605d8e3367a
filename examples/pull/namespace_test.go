package main_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/refs"
)

// namespaced checks that a folder holds the whole record, rewritten, and nothing else, and that references lead where they led before.
func namespaced(t *testing.T, srv *fhirtest.Server, record *fhirtest.Record, name, base, dir string) {
	t.Helper()
	space, err := idspace.New(idspace.Options{Name: name, Bases: []string{base}})
	if err != nil {
		t.Fatal(err)
	}
	got := linesIn(t, dir)
	want := srv.Want(record.PatientID)
	if len(got) != len(want) {
		t.Errorf("%d in the files, not %d", len(got), len(want))
	}
	meet := 0
	for ref, raw := range want {
		typ, id, _ := strings.Cut(ref, "/")
		newID := space.ID(typ, id)
		line, ok := got[typ+"/"+newID]
		if !ok {
			t.Errorf("%s is missing", ref)
			continue
		}
		if was, ok := space.Original([]byte(line)); !ok || was.Type != typ || was.ID != id || was.Space != name {
			t.Errorf("%s says that it was %+v", ref, was)
		}
		before, after := referencesIn(t, raw), referencesIn(t, []byte(line))
		if len(before) != len(after) {
			t.Errorf("%s has %d references, not %d", ref, len(after), len(before))
			continue
		}
		for i, b := range before {
			old := refs.Parse(b)
			if old.Kind != refs.Relative && (old.Kind != refs.Absolute || !space.HasBase(old.Base)) {
				if after[i] != b {
					t.Errorf("%s: %s became %s", ref, b, after[i])
				}
				continue
			}
			now := refs.Parse(after[i])
			if now.Kind != refs.Relative || now.Type != old.Type || now.ID != space.ID(old.Type, old.ID) {
				t.Errorf("%s: %s became %s", ref, b, after[i])
			}
			if _, there := got[now.Type+"/"+now.ID]; there {
				meet++
			} else if _, was := want[old.Type+"/"+old.ID]; was {
				t.Errorf("%s: %s leads nowhere", ref, after[i])
			}
		}
	}
	if meet < len(want) {
		t.Errorf("only %d references meet", meet)
	}
}

// referencesIn gives all strings named reference, in an order that does not depend on what they say.
func referencesIn(t *testing.T, raw []byte) []string {
	t.Helper()
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			names := make([]string, 0, len(value))
			for name := range value {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				if text, ok := value[name].(string); ok && name == "reference" {
					out = append(out, text)
				}
				walk(value[name])
			}
		case []any:
			for _, v := range value {
				walk(v)
			}
		}
	}
	walk(value)
	return out
}

func TestNamespace(t *testing.T) {
	t.Parallel()
	record := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 150, Dangling: 1})
	srv := fhirtest.NewServer(record)
	base := start(t, srv)
	dir := t.TempDir()
	const name = "Payer Ü"
	out, report := filepath.Join(dir, "out"), filepath.Join(dir, "report.json")
	args := []string{"-base", base, "-patient", record.PatientID, "-out", out, "-report", report, "-namespace", name}
	code, stdout, stderr := run(t, args...)
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	namespaced(t, srv, record, name, base, out)
	speaksOfTheSource(t, reportIn(t, report), stdout, record, name)

	// What is unchanged is known to be, though it is kept under another id.
	few := slices.Concat(args, []string{"-types", "Observation,Condition"})
	if code, stdout, stderr := run(t, few...); code != 0 {
		t.Errorf("again: status %d\n%s%s", code, stdout, stderr)
	}
	again := reportIn(t, report)
	unchanged := 0
	for _, c := range again.Types {
		unchanged += c.Unchanged
	}
	if unchanged == 0 || unchanged != again.Received() {
		t.Errorf("again: %d of %d are unchanged", unchanged, again.Received())
	}

	// The folder is that namespace's.
	code, stdout, stderr = run(t, append(few, "-namespace", "other")...)
	if code == 0 || !strings.Contains(stdout+stderr, "server") {
		t.Errorf("then other: status %d\n%s%s", code, stdout, stderr)
	}
	namespaced(t, srv, record, name, base, out)
}

// speaksOfTheSource checks that a report names what the server names so.
func speaksOfTheSource(t *testing.T, report *fhirsync.Report, text string, record *fhirtest.Record, name string) {
	t.Helper()
	if report.PatientID != record.PatientID || report.Server != name {
		t.Errorf("the report is of patient %s on %s", report.PatientID, report.Server)
	}
	if !strings.Contains(text, record.PatientID) || !strings.Contains(text, record.Dangling[0]) {
		t.Errorf("patient %s or the dangling %s is not in:\n%s", record.PatientID, record.Dangling[0], text)
	}
}

func TestNamespaceOfTheOwnServer(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	code, stdout, stderr := run(t, "-namespace", "payer-a", "-out", out)
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	space, err := idspace.New(idspace.Options{Name: "payer-a"})
	if err != nil {
		t.Fatal(err)
	}
	lines := linesIn(t, out)
	for ref, line := range lines {
		if !space.IsRewritten([]byte(line)) {
			t.Errorf("%s is not rewritten: %s", ref, line)
		}
	}
	if len(lines) < 100 {
		t.Errorf("%d resources", len(lines))
	}
}
