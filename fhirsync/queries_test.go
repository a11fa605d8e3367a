package fhirsync_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/refs"
)

// known puts a resource on the server that is found by an identifier.
func (w web) known(ref, system, value string) {
	typ, id, _ := strings.Cut(ref, "/")
	w.Put(fhirtest.Resource{
		Type: typ, ID: id, Params: []fhirtest.Param{{Name: "identifier", Value: system + "|" + value}},
		Raw: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"identifier":[{"system":"x","value":"other"},{"system":%q,"value":%q}],"partOf":{"reference":"Organization/above"}}`, typ, id, system, value),
	})
}

// A conditional reference means the one resource that answers to it, and is looked up once.
func TestConditionalReferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reference string
		fault     fhirtest.Fault
		want      []string // ids of Organizations in the store
		gap       string
	}{
		{"Organization?identifier=urn:s|one", fhirtest.Fault{}, []string{"1", "above"}, ""},
		{"Organization?identifier=urn%3As%7Cone", fhirtest.Fault{}, []string{"1", "above"}, ""},
		{"Organization?identifier=urn:s|none", fhirtest.Fault{}, nil, "dangling"},
		{"Organization?identifier=urn:s|two", fhirtest.Fault{}, nil, "skipped"},
		{"Organization?identifier=urn:s|one", fhirtest.ParamIgnored("identifier"), nil, "unproven"},
		{"Organization?identifier=urn:s|one", fhirtest.ParamRejected("identifier"), nil, "skipped"},
		{"Organization?identifier=urn:s|one", fhirtest.Status(403).For("Organization"), nil, "denied"},
		{"Organization?identifier=urn:s|one", fhirtest.LoginPage().For("Organization"), nil, "failed"},
		{"Patient?identifier=urn:s|one", fhirtest.Fault{}, nil, "skipped"},
		{"Observation?patient=Patient/x", fhirtest.Fault{}, nil, "skipped"},
		{"Organization?_include=*&identifier=urn:s|one", fhirtest.Fault{}, nil, "skipped"},
		{"Organization?general.identifier=urn:s|one", fhirtest.Fault{}, nil, "skipped"},
	} {
		w := newWeb()
		w.known("Organization/1", "urn:s", "one")
		w.known("Organization/2", "urn:s", "two")
		w.known("Organization/3", "urn:s", "two")
		w.put("Organization/above", false, "")
		for i := range 3 {
			w.put(fmt.Sprintf("Encounter/%d", i), true, fmt.Sprintf(`"serviceProvider":{"reference":%q}`, c.reference))
		}
		w.Inject(c.fault)
		store := new(memstore.Store)
		rep := w.sync(t, w.client(t), store, nil)
		var got []string
		for r := range store.All() {
			if r.Type == "Organization" {
				got = append(got, r.ID)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s %s: %s\n%s", c.reference, c.fault.Name, d, rep)
		}
		if i := slices.IndexFunc(rep.Gaps, func(g fhirsync.Gap) bool { return string(g.Reason) == c.gap }); c.gap != "" && i < 0 {
			t.Errorf("%s %s: no gap\n%s", c.reference, c.fault.Name, rep)
		}
		if text := rep.String(); strings.Contains(text, "urn:s") {
			t.Errorf("the value is in the report\n%s", text)
		}
		asked := 0
		for _, q := range w.Requests() {
			if q.Query.Has("identifier") || strings.Contains(q.URL, "%2Fx") || strings.Contains(q.URL, "_include") {
				asked++
			}
		}
		if most := map[bool]int{true: 1, false: 4}[c.gap != "failed"]; asked > most {
			t.Errorf("%s: asked %d times", c.reference, asked)
		}
	}
}

// What answers a conditional reference with something else, or with what cannot be read, has not said that there is nothing.
func TestConditionalReferencesAnsweredOddly(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]fhirsync.GapReason{
		`{"resource":{"resourceType":"Practitioner","id":"1"}}`:                                                                                    fhirsync.Unproven,
		`{"resource":{"resourceType":"Organization","id":"1","identifier":[{"system":"urn:s","value":"other"}]}}`:                                  fhirsync.Unproven,
		`{"resource":{"resourceType":"Organization","identifier":[{"system":"urn:s","value":"one"}]}}`:                                             fhirsync.Unproven,
		`{"resource":{"resourceType":"Organization","id":"1","identifier":[{"system":"urn:s","value":}]}}`:                                         fhirsync.Unproven,
		`{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}}`:                                      fhirsync.Unproven,
		`{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}}`: fhirsync.Dangling,
		"": fhirsync.Dangling,
	} {
		w := newWeb()
		w.put("Encounter/1", true, `"serviceProvider":{"reference":"Organization?identifier=urn:s|one"}`)
		rep := w.pull(t, new(memstore.Store), nil, &spy{answer: func(r *http.Request) *http.Response {
			if !r.URL.Query().Has("identifier") {
				return nil
			}
			body := `{"resourceType":"Bundle","type":"searchset","entry":[` + entry + `]}`
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
			}
		}})
		if len(gapsOf(rep, want)) != 1 || want == fhirsync.Unproven && rep.Verdict != fhirsync.Restricted {
			t.Errorf("%s\n%s", entry, rep)
		}
	}
}

// A target that a read does not find and a search does is there.
func TestTargetsThatOnlyASearchFinds(t *testing.T) {
	t.Parallel()
	w := newWeb()
	for i := range 3 {
		w.put(fmt.Sprint("Organization/", i), false, "")
	}
	w.put("Encounter/1", true, `"serviceProvider":{"reference":"Organization/0"}`, "Organization/0")
	w.put("Encounter/2", true, `"serviceProvider":{"reference":"Organization/none"}`)
	w.put("Organization/0", false, `"partOf":{"reference":"Organization/1"}`, "Organization/1")
	w.put("Organization/1", false, `"partOf":{"reference":"Organization/2"}`, "Organization/2")
	w.Inject(fhirtest.Status(404).For("Organization").On(fhirtest.Read))
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	if rep.Types["Organization"].Stored != 3 || len(gapsOf(rep, fhirsync.Dangling)) != 1 || rep.Verdict != fhirsync.Complete {
		t.Errorf("%s", rep)
	}
}

// Canonicals are followed to the types that the policy names, and to no others.
func TestCanonicals(t *testing.T) {
	t.Parallel()
	w := newWeb()
	questionnaire := func(id, url, version string) {
		w.Put(fhirtest.Resource{
			Type: "Questionnaire", ID: id, Params: []fhirtest.Param{{Name: "url", Value: "|" + url}, {Name: "version", Value: "|" + version}},
			Raw: fmt.Appendf(nil, `{"resourceType":"Questionnaire","id":%q,"url":%q,"version":%q}`, id, url, version),
		})
	}
	questionnaire("q1", "http://example.org/Questionnaire/one", "1")
	questionnaire("q2", "http://example.org/Questionnaire/two", "1")
	questionnaire("q3", "http://example.org/Questionnaire/two", "2")
	questionnaire("q4", w.BaseURL()+"/Questionnaire/q4", "1")
	for i, canonical := range []string{"http://example.org/Questionnaire/one", "http://example.org/Questionnaire/two|2", w.BaseURL() + "/Questionnaire/q4", "http://example.org/Questionnaire/none"} {
		w.put(fmt.Sprintf("QuestionnaireResponse/%d", i), true, fmt.Sprintf(`"questionnaire":%q,"meta":{"profile":["http://example.org/StructureDefinition/x"]}`, canonical))
	}
	for policy, want := range map[string][]string{"": nil, "Questionnaire": {"q1", "q3", "q4"}} {
		store := new(memstore.Store)
		o := &fhirsync.SyncOptions{}
		if policy != "" {
			o.References.Canonicals = []string{policy}
		}
		w.ResetRequests()
		rep := w.sync(t, w.client(t), store, o)
		var got []string
		for r := range store.All() {
			if r.Type == "Questionnaire" {
				got = append(got, r.ID)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s\n%s", policy, d, rep)
		}
		for _, q := range w.Requests() {
			if strings.Contains(q.URL, "StructureDefinition") || q.Interaction == fhirtest.Foreign {
				t.Errorf("asked for %s", q.URL)
			}
		}
	}
}

// A named version goes to a store that keeps versions, beside the current one, and is asked for only then and only where it is another.
func TestNamedVersions(t *testing.T) {
	t.Parallel()
	w := newWeb()
	version := func(v string, more string) fhirtest.Resource {
		return fhirtest.Resource{
			Type: "Practitioner", ID: "1", VersionID: v,
			Raw: fmt.Appendf(nil, `{"resourceType":"Practitioner","id":"1","meta":{"versionId":%q},"note":%q%s}`, v, "version "+v, more),
		}
	}
	w.Put(version("1", ""))
	w.Put(version("2", `,"extension":[{"url":"x","valueReference":{"reference":"Organization/old"}}]`))
	w.Put(version("3", ""))
	w.put("Observation/1", true, `"performer":[{"reference":"Practitioner/1/_history/2"},{"reference":"Practitioner/1/_history/3"},{"reference":"Practitioner/1/_history/9"},{"reference":"Practitioner/1"}]`, "Practitioner/1")
	space, err := idspace.New(idspace.Options{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	history := func() int {
		n := 0
		for _, q := range w.Requests() {
			if strings.Contains(q.URL, "_history") {
				n++
			}
		}
		w.ResetRequests()
		return n
	}
	plain := new(memstore.Store)
	rep := w.sync(t, w.client(t), plain, nil)
	w.complete(t, plain, rep)
	if n := history(); n != 0 {
		t.Errorf("%d versions were asked for without need", n)
	}
	key := fhirsync.Key{Server: "web", Type: "Practitioner", ID: "1"}
	store := new(memstore.History)
	rep = w.sync(t, w.client(t), store, nil)
	w.complete(t, &store.Store, rep)
	if r, ok := store.Version(key, "2"); !ok || !strings.Contains(string(r.Raw), "version 2") || history() != 2 {
		t.Errorf("%t %+v", ok, r)
	}
	if _, ok := store.Version(key, "3"); ok {
		t.Error("the current version came as an old one")
	}
	if _, ok := store.Version(key, "1"); ok {
		t.Error("a version that nobody names came")
	}
	if d := cmp.Diff([]string{"Practitioner/1/_history/9 404 not-found, named by Observation.performer 1"}, gapsOf(rep, fhirsync.Dangling)); d != "" {
		t.Error(d)
	}
	inner := new(memstore.History)
	w.sync(t, w.client(t), fhirsync.Namespaced(inner, space), nil)
	renamed := key
	renamed.ID = space.ID("Practitioner", "1")
	if r, ok := inner.Version(renamed, "2"); !ok || !strings.Contains(string(r.Raw), renamed.ID) {
		t.Errorf("namespaced: %t %s", ok, r.Raw)
	}
	both := []*memstore.History{new(memstore.History), new(memstore.History)}
	w.sync(t, w.client(t), fhirsync.Tee(both[0], both[1]), nil)
	for _, s := range both {
		if _, ok := s.Version(key, "2"); !ok {
			t.Error("not in both")
		}
	}
	history()
	w.sync(t, w.client(t), fhirsync.Tee(both[0], plain), nil)
	if n := history(); n != 0 {
		t.Errorf("%d asked for a store that does not keep them", n)
	}
}

// A server that keeps no versions is not asked for one after the other.
func TestServersWithoutVersions(t *testing.T) {
	t.Parallel()
	w := newWeb()
	for i := range 60 {
		w.put(fmt.Sprintf("Organization/%d", i), false, "")
		w.put(fmt.Sprintf("Observation/%d", i), true, fmt.Sprintf(`"performer":[{"reference":"Organization/%d/_history/7"}]`, i), fmt.Sprintf("Organization/%d", i))
	}
	store := new(memstore.History)
	client := w.client(t)
	for range 2 {
		rep := w.sync(t, client, store, nil)
		w.complete(t, &store.Store, rep)
		n := 0
		for _, q := range w.Requests() {
			if strings.Contains(q.URL, "_history") {
				n++
			}
		}
		if n > 13 || len(gapsOf(rep, fhirsync.Skipped)) != 1 {
			t.Errorf("asked %d times\n%s", n, rep)
		}
	}
	_ = refs.Policy{}
}
