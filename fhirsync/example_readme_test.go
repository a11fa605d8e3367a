package fhirsync_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// readmeServer is what the README's program asks, under the address that it has there. It keeps Goals to itself, and three references
// lead to nothing.
func readmeServer() *fhirtest.Server {
	const patient, subject = "17", `,"subject":{"reference":"Patient/17"}`
	srv := fhirtest.NewServer()
	put := func(typ, id, owner, more string, links ...string) {
		r := fhirtest.Resource{Type: typ, ID: id, Owner: owner, Links: links, Raw: fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s}`, typ, id, more)}
		if owner != "" {
			r.Params = fhirtest.Of(owner, "patient", "subject")
		}
		srv.Put(r)
	}
	put("Patient", patient, patient, `,"name":[{"family":"Example"}]`)
	put("Practitioner", "3", "", "")
	for typ, n := range map[string]int{"Condition": 34, "Encounter": 31, "Goal": 2, "MedicationRequest": 19, "Observation": 212} {
		for i := range n {
			more, doctor := subject, "Practitioner/3"
			if i < 3 {
				doctor = "Practitioner/77"
			}
			if typ == "Encounter" {
				more += `,"participant":[{"individual":{"reference":"` + doctor + `"}}]`
			}
			put(typ, fmt.Sprintf("%s-%d", strings.ToLower(typ), i), patient, more, doctor)
		}
	}
	srv.Inject(fhirtest.Status(403).For("Goal"))
	return srv
}

// The program in the README is built and run as it stands there, but for the address, and prints what stands there, but for how many
// requests it took and how long. The one in the documentation of the module is the same.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := between(t, string(readme), "```go\n", "```")
	printed := between(t, string(readme), "prints\n\n```text\n", "```")

	doc, err := os.ReadFile("../doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented strings.Builder
	for line := range strings.Lines(string(doc)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			documented.WriteString(code)
		} else if line == "//\n" {
			documented.WriteString("\n")
		}
	}
	if !strings.Contains(documented.String(), program) {
		t.Errorf("doc.go has another program than the README:\n%s", documented.String())
	}

	srv := readmeServer()
	base, stop, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const address = "https://fhir.example.org/r4"
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.exe")
	if err := os.WriteFile(source, []byte(strings.ReplaceAll(program, address, base)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := string(bytes.ReplaceAll(out, []byte(base), []byte(address))); plain(got) != plain(printed) {
		t.Errorf("it prints\n%s\nand in the README stands\n%s", got, printed)
	}
}

// plain leaves out of a report what differs from one run to the next.
func plain(report string) string {
	report = regexp.MustCompile(`\d+ requests \(.*`).ReplaceAllString(report, "requests")
	return regexp.MustCompile(` +`).ReplaceAllString(strings.TrimSpace(report), " ")
}

func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, ok := strings.Cut(text, from)
	text, _, end := strings.Cut(text, to)
	if !ok || !end {
		t.Fatalf("%q is not in the README", from)
	}
	return text
}
