package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// A server that wants a header of which only a file knows.
const fictional = `{
  "id": "fictional", "name": "Fictional",
  "match": [{"baseURL": %q}],
  "set": {"headers": [{"name": "X-Tenant", "var": "tenant"}], "silentFilters": ["notes of the night shift"]},
  "sources": [{"confidence": "observed", "seen": "2026-11", "says": "400 without it", "fields": ["headers", "silentFilters"]}]
}`

func TestQuirksFromAFile(t *testing.T) {
	t.Parallel()
	record := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 30, Types: []string{"Goal", "Condition"}})
	srv := fhirtest.NewServer(record)
	srv.Inject(fhirtest.RequiredHeader("X-Tenant"))
	base := start(t, srv)
	file := filepath.Join(t.TempDir(), "mine.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, fictional, base), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-base", base, "-patient", record.PatientID, "-types", "Goal,Condition", "-out"}
	if code, out, errs := run(t, append(args, t.TempDir())...); code == 0 {
		t.Errorf("without the file: status %d\n%s%s", code, out, errs)
	}
	code, out, errs := run(t, append(args, t.TempDir(), "-quirks", file, "-var", "tenant=north")...)
	if code != 0 || !strings.Contains(out, "quirks: fictional") || !strings.Contains(out, "notes of the night shift") {
		t.Errorf("with the file: status %d\n%s%s", code, out, errs)
	}
	if err := os.WriteFile(file, []byte("{\n\"idd\": 1}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, append(args, t.TempDir(), "-quirks", file)...); code != 2 || !strings.Contains(errs, "mine.json:2: idd") {
		t.Errorf("a file with a mistake: status %d\n%s", code, errs)
	}
	if code, _, errs := run(t, append(args, t.TempDir(), "-var", "tenant")...); code != 2 || !strings.Contains(errs, "NAME=VALUE") {
		t.Errorf("a variable without a value: status %d\n%s", code, errs)
	}
}
