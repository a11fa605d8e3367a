package fhirtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestPatientFixed(t *testing.T) {
	t.Parallel()
	s := faulty(fhirtest.PatientFixed("p"))
	for query, want := range map[string]int{
		"Observation?patient=other": 60, "Observation": 60, "Patient/other/Observation": 60, "Patient?_id=other": 1, "Coverage?patient=other": 1,
	} {
		for _, ref := range matches(chain(t, s, query, 10)) {
			if s.Own("p")[ref] == nil {
				t.Errorf("%s brings %s, which is not the patient's", query, ref)
			}
		}
		if got := *page(t, s, query).Total; got < want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if self := page(t, s, "Coverage?patient=other").link("self"); !strings.Contains(self, "beneficiary=Patient%2Fp") || strings.Contains(self, "other") {
		t.Errorf("self %s", self)
	}
}

func TestRefusing(t *testing.T) {
	t.Parallel()
	own := fhirtest.Refusal{Severity: "fatal", Code: "business-rule", Details: []string{"59108"}, System: "urn:oid:1.2", Text: "either category or code"}
	tests := []struct {
		fault     fhirtest.Fault
		path      string
		status    int
		mediaType string
		body      string
	}{
		{fhirtest.ParamRequired("category").Refusing(own), obs, 400, "application/fhir+json", `{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"business-rule","details":{"coding":[{"system":"urn:oid:1.2","code":"59108"}]},"diagnostics":"either category or code"}]}`},
		{fhirtest.Status(500).Refusing(fhirtest.Refusal{Status: 404}), obs, 404, "application/fhir+json", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported","diagnostics":"Not Found"}]}`},
		{fhirtest.Status(400).Refusing(fhirtest.Refusal{ContentType: "application/json", Body: `{"detail":"no"}`}), "Patient/p", 400, "application/json", `{"detail":"no"}`},
		{fhirtest.RateLimit(1, 1e9).Refusing(own), obs, 200, "application/fhir+json", `"searchset"`},
		{fhirtest.WrongTotal(1).Refusing(own), obs, 200, "application/fhir+json", `"total":61`},
	}
	for _, tt := range tests {
		a := ask(t, faulty(tt.fault), tt.path)
		if a.status != tt.status || !strings.HasPrefix(a.header.Get("Content-Type"), tt.mediaType) || !strings.Contains(string(a.body), tt.body) {
			t.Errorf("%s: %d %s %.300s", tt.fault.Name, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
	s := faulty(fhirtest.RateLimit(1, 1e9).Refusing(own))
	ask(t, s, obs)
	if a := ask(t, s, obs); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "59108") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
}

func TestLinkStyles(t *testing.T) {
	t.Parallel()
	base := "https://fhir.example.test/r4"
	tests := []struct {
		style fhirtest.LinkStyle
		query string
		want  string // the second page
	}{
		{fhirtest.LinkStyle{Param: "_offset", Value: fhirtest.LinkOffset, Typed: true, Query: true}, obs + "&_count=25", base + "/Observation?_count=25&_offset=25&patient=p"},
		{fhirtest.LinkStyle{Param: "page", Value: fhirtest.LinkNumber, Typed: true, Query: true}, obs, base + "/Observation?page=2&patient=p"},
		{fhirtest.LinkStyle{Param: "page", Value: fhirtest.LinkNumber, Typed: true, Query: true}, "Patient/p/Observation", base + "/Patient/p/Observation?page=2"},
		{fhirtest.LinkStyle{Param: "n", Value: fhirtest.LinkNumber, Extra: url.Values{"direction": {"NEXT"}}}, obs, base + "?direction=NEXT&n=2"},
	}
	for _, tt := range tests {
		s := faulty()
		s.Links = tt.style
		first := page(t, s, tt.query)
		if next := first.link("next"); next != tt.want {
			t.Errorf("next is %s, want %s", next, tt.want)
		}
		if got := matches(chain(t, s, tt.query, 10)); len(got) != 60 {
			t.Errorf("%s: %d matches", tt.want, len(got))
		}
		if a := get(t.Context(), s.Client(), strings.Replace(tt.want, "patient=p", "patient=q", 1)+"&more=1"); a.status != http.StatusGone {
			t.Errorf("an address made up: %d", a.status)
		}
	}
	// Faults that insert pages find their way with every style.
	for _, f := range []fhirtest.Fault{fhirtest.EmptyPageWithNext(2), fhirtest.EmptyLastPage(), fhirtest.PageSizeCap(7)} {
		s := faulty(f)
		s.Links = fhirtest.LinkStyle{Param: "_skip", Value: fhirtest.LinkOffset, Typed: true, Query: true}
		if got := matches(chain(t, s, obs, 12)); len(got) != 60 {
			t.Errorf("%s: %d matches", f.Name, len(got))
		}
	}
	s := faulty()
	s.Everything, s.Links = true, fhirtest.LinkStyle{Param: "ct", Typed: true}
	if next := page(t, s, "Patient/p/$everything?_count=50").link("next"); !strings.HasPrefix(next, base+"/Patient/p/$everything?ct=") {
		t.Errorf("next is %s", next)
	}
	if got := matches(chain(t, s, "Patient/p/$everything?_count=50", 10)); len(got) != len(s.Want("p")) {
		t.Errorf("%d of %d", len(got), len(s.Want("p")))
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	s := faulty()
	s.Software, s.Publisher = "", "Nobody & Sons"
	s.Claims = []fhirtest.Claim{
		{Type: "Observation", Params: []string{"patient", "invented"}, RevIncludes: []string{"Provenance:target"}},
		{Type: "Binary", Interactions: []string{"read"}},
		{Type: "Patient", Operations: []string{"everything", "match"}},
	}
	body := string(ask(t, s, "metadata").body)
	for _, want := range []string{
		`"publisher":"Nobody & Sons"`,
		`{"type":"Observation","interaction":[{"code":"read"},{"code":"search-type"}],"versioning":"versioned","searchRevInclude":["Provenance:target"],"searchParam":[{"name":"patient","type":"reference"},{"name":"invented","type":"string"}]}`,
		`{"type":"Binary","interaction":[{"code":"read"}],"versioning":"versioned"}`,
		`"operation":[{"name":"everything","definition":"http://hl7.org/fhir/OperationDefinition/Patient-everything"},{"name":"match",`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metadata lacks %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "software") || strings.Contains(body, "Goal") {
		t.Errorf("metadata says too much: %s", body)
	}
	if got := matches(chain(t, s, "Goal?patient=p", 2)); len(got) != 1 {
		t.Errorf("a type that is not claimed: %v", got)
	}
}

func TestIDsOfOnesOwn(t *testing.T) {
	t.Parallel()
	id := func(typ string, n int) string { return fmt.Sprintf("%s_%s~%d|x", strings.ToUpper(typ[:2]), typ, n) }
	rec := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 120, ID: id, Attachments: 1})
	s := fhirtest.NewServer(rec)
	if rec.PatientID != "PA_Patient~0|x" {
		t.Errorf("the patient is %s", rec.PatientID)
	}
	var odd []string
	for ref, raw := range s.Want(rec.PatientID) {
		typ, rest, _ := strings.Cut(ref, "/")
		if !strings.HasPrefix(rest, strings.ToUpper(typ[:2])+"_"+typ+"~") && !strings.HasPrefix(rest, "fhirtest-") {
			odd = append(odd, ref)
		}
		a := get(t.Context(), s.Client(), s.BaseURL()+"/"+typ+"/"+url.PathEscape(rest))
		if diff := cmp.Diff(string(raw), string(a.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ref, diff)
		}
	}
	if slices.Sort(odd); len(odd) > 0 {
		t.Errorf("ids of another kind: %v", odd)
	}
	if got := matches(chain(t, s, "Observation?patient="+url.QueryEscape(strings.ReplaceAll(rec.PatientID, "|", `\|`)), 10)); len(got) != 60 {
		t.Errorf("%d Observations", len(got))
	}
}

func TestTypesMoreThanOnce(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, r := range fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 41, Types: []string{"Goal", "Observation", "Observation", "Observation"}}).Resources {
		got[r.Type]++
	}
	if diff := cmp.Diff(map[string]int{"Patient": 1, "Observation": 30, "Goal": 10}, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}
