package fhirtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestNaiveClientGetsEverythingFromAnHonestServer(t *testing.T) {
	t.Parallel()
	a := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 250, Dangling: 4})
	b := fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 90})
	s := fhirtest.NewServer(a, b)
	for _, r := range []*fhirtest.Record{a, b} {
		got, err := pull(t.Context(), s.Client(), s.BaseURL(), r.PatientID)
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(got, s.Own(r.PatientID)); d != "" {
			t.Error(d)
		}
	}
	if n := s.Unclosed(); n != 0 {
		t.Errorf("%d bodies left open", n)
	}
	base, stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	got, err := pull(t.Context(), http.DefaultClient, base, a.PatientID)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(got, s.Own(a.PatientID)); d != "" {
		t.Error("over a socket:", d)
	}
	stop()
	stop()
}

func TestWantIsWhatReadsServe(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 3, Secondary: 6, Attachments: 2, Dangling: 3})
	other := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 20})
	s := fhirtest.NewServer(r, other)
	want := s.Want(r.PatientID)
	if len(want) != len(r.Resources)+len(r.Referenced) {
		t.Errorf("%d wanted, %d made", len(want), len(r.Resources)+len(r.Referenced))
	}
	for ref, raw := range want {
		a := get(t.Context(), s.Client(), s.BaseURL()+"/"+ref)
		if a.status != http.StatusOK || string(a.body) != string(raw) {
			t.Errorf("%s: %d, other bytes than wanted", ref, a.status)
		}
		if strings.Contains(string(raw), fhirtest.BasePlaceholder) {
			t.Errorf("%s: placeholder served", ref)
		}
	}
	s.SetBaseURL("http://gateway.example/other/")
	if moved := s.Want(r.PatientID); difference(moved, want) == "" {
		t.Error("the base URL does not matter to absolute references")
	}
	if len(s.Want("nobody")) != 0 || len(s.Own("")) != 0 {
		t.Error("a patient nobody knows has resources")
	}
}

func TestWantFollowsReferencesButNotIntoOtherPatients(t *testing.T) {
	t.Parallel()
	const ours, theirs = "ours", "theirs"
	s := fhirtest.NewServer()
	raw := func(ref string) []byte {
		typ, id, _ := strings.Cut(ref, "/")
		return []byte(`{"resourceType":"` + typ + `","id":"` + id + `"}`)
	}
	put := func(ref, owner string, params []fhirtest.Param, links ...string) {
		typ, id, _ := strings.Cut(ref, "/")
		s.Put(fhirtest.Resource{Type: typ, ID: id, Raw: raw(ref), Owner: owner, Params: params, Links: links})
	}
	put("Patient/ours", ours, nil, "Organization/a", "Patient/theirs")
	put("Patient/theirs", theirs, nil, "Organization/c")
	put("Organization/a", "", nil, "Organization/b", "Practitioner/gone")
	put("Organization/b", "", nil, "Organization/a")
	put("Organization/c", "", nil)
	put("Observation/shared", theirs, append(fhirtest.Of(theirs, "subject", "patient"), fhirtest.Of(ours, "performer")...), "Patient/ours")
	if got := s.Want(ours); len(got) != 3 || got["Organization/b"] == nil {
		t.Errorf("want %v", got)
	}
	if got := page(t, s, "Observation?performer="+ours).refs(); !slices.Equal(got, []string{"Observation/shared"}) {
		t.Errorf("performer finds %v", got)
	}
	if got := page(t, s, "Observation?patient="+ours).refs(); len(got) != 0 {
		t.Errorf("patient finds %v", got)
	}
	// Delete and put back.
	if !s.Delete("Organization/b") || s.Delete("Organization/b") {
		t.Error("Delete")
	}
	if a := get(t.Context(), s.Client(), s.BaseURL()+"/Organization/b"); a.status != http.StatusGone {
		t.Errorf("deleted: %d", a.status)
	}
	if got := s.Want(ours); len(got) != 2 {
		t.Errorf("want %v", got)
	}
	put("Organization/b", "", nil)
	put("Organization/b", "", nil)
	if a := get(t.Context(), s.Client(), s.BaseURL()+"/Organization/b"); a.status != http.StatusOK {
		t.Errorf("put back: %d", a.status)
	}
	if n := len(page(t, s, "Organization?_id=b").Entry); n != 1 {
		t.Errorf("put twice, found %d times", n)
	}
}

func TestSearchForms(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 200, Secondary: 6})
	s := fhirtest.NewServer(r, fhirtest.Generate(fhirtest.Options{Seed: 6}))
	id := r.PatientID
	whole := page(t, s, "Observation?_count=200&patient="+id).refs()
	if len(whole) < 50 {
		t.Fatalf("only %d Observations", len(whole))
	}
	for _, form := range []string{
		"Observation?patient=Patient/" + id, "Observation?subject=" + id, "Observation?subject:Patient=" + id,
		"Observation?patient=" + url.QueryEscape(s.BaseURL()+"/Patient/"+id), "Patient/" + id + "/Observation", "Observation?patient=" + id + "&unheard=of",
	} {
		var got []string
		for _, b := range chain(t, s, form, 100) {
			got = append(got, b.refs()...)
			if b.Total == nil || *b.Total < len(whole) {
				t.Errorf("%s: total %v", form, b.Total)
			}
		}
		// The compartment also has those where the patient is the performer.
		for _, ref := range whole {
			if !slices.Contains(got, ref) {
				t.Errorf("%s lacks %s", form, ref)
			}
		}
	}
	count := func(query string) int {
		t.Helper()
		b := page(t, s, query+"&_summary=count")
		if b.Total == nil || len(b.Entry) > 0 || b.link("next") != "" {
			t.Errorf("%s: not a count", query)
			return -1
		}
		return *b.Total
	}
	n := len(whole)
	q := "Observation?patient=" + id
	if got := count(q); got != n {
		t.Errorf("count %d", got)
	}
	if a, b := count(q+"&category=laboratory"), count(q+"&category:not=laboratory"); a == 0 || a+b != n {
		t.Errorf("laboratory %d, rest %d of %d", a, b, n)
	}
	if a, b := count(q+"&category=laboratory,exam,vital-signs,survey,social-history"), count(q+"&category:missing=true"); a+b != n || b == 0 {
		t.Errorf("in categories %d, without %d of %d", a, b, n)
	}
	if a := count(q + "&category=" + url.QueryEscape("https://codes.fhirtest.example/category|exam")); a == 0 || a != count(q+"&category=exam") {
		t.Errorf("token with system: %d", a)
	}
	for _, split := range []string{"2020", "2020-06", "2020-06-15", "2020-06-15T12:00:00Z"} {
		for _, param := range []string{"date", "_lastUpdated"} {
			a, b, none := count(q+"&"+param+"=lt"+split), count(q+"&"+param+"=ge"+split), count(q+"&"+param+":missing=true")
			if a+b+none < n || none == 0 || a == 0 || b == 0 {
				t.Errorf("%s at %s: %d + %d + %d of %d", param, split, a, b, none, n)
			}
		}
	}
	if a := count(q + "&date=ge2018&date=lt2020"); a == 0 || a >= n {
		t.Errorf("range: %d", a)
	}
	two := strings.TrimPrefix(whole[0], "Observation/") + "," + strings.TrimPrefix(whole[1], "Observation/") + ",unheard"
	if got := page(t, s, "Observation?_id="+two).refs(); !slices.Equal(got, whole[:2]) {
		t.Errorf("_id list: %v", got)
	}
	if got := page(t, s, "Observation?patient=nobody"); len(got.Entry) != 0 || *got.Total != 0 || got.link("next") != "" {
		t.Errorf("nobody has %v", got.refs())
	}
	if got := page(t, s, "Communication?sender="+id).refs(); len(got) != 1 {
		t.Errorf("sender: %v", got)
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 301, Types: []string{"Observation"}})
	s := fhirtest.NewServer(r)
	q := "Observation?patient=" + r.PatientID + "&unheard=1&date:missing=false"
	pages := chain(t, s, q, 100)
	for i, b := range pages {
		if len(b.Entry) != 20 && i != len(pages)-1 {
			t.Errorf("page %d has %d entries", i+1, len(b.Entry))
		}
		for _, e := range b.Entry {
			if e.Search.Mode != "match" || e.FullURL != s.BaseURL()+"/"+refOf(e.Resource) {
				t.Errorf("entry %s %s", e.FullURL, e.Search.Mode)
			}
		}
		if *b.Total != *pages[0].Total {
			t.Errorf("total changes to %d", *b.Total)
		}
	}
	if self := pages[0].link("self"); strings.Contains(self, "unheard") || !strings.Contains(self, "patient=") || !strings.Contains(self, "missing") {
		t.Errorf("self link %s", self)
	}
	if next := pages[0].link("next"); strings.Contains(next, "Observation") || strings.Contains(next, r.PatientID) {
		t.Errorf("next link is not opaque: %s", next)
	}
	again := page(t, s, pages[0].link("next"))
	if !slices.Equal(again.refs(), pages[1].refs()) {
		t.Error("a page read twice differs")
	}
	if n := len(page(t, s, "Observation?_count=1000").Entry); n != 200 {
		t.Errorf("largest page %d", n)
	}
	if n := len(page(t, s, "Observation?_count=7").Entry); n != 7 {
		t.Errorf("page of 7 has %d", n)
	}
	// What is deleted while pages are read still comes.
	b := page(t, s, "Observation?_count=100")
	s.Delete("Observation/" + strings.TrimPrefix(pages[6].refs()[0], "Observation/"))
	if n := len(page(t, s, b.link("next")).Entry); n != 100 {
		t.Errorf("second page has %d", n)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 8, Size: 10})
	s := fhirtest.NewServer(r)
	for path, want := range map[string]int{
		"/Unheard?patient=1": 404, "/Unheard/1": 404, "/Patient/none": 404, "/Observation?_count=x": 400, "/Observation?date=yesterday": 400,
		"/Observation?patient:exact=1": 400, "/Observation?category:missing=perhaps": 400, "/?_getpages=unheard": 410, "/Patient/x/$everything": 404, "/$export": 404,
		"/Patient/" + r.PatientID + "/_history/99": 404,
	} {
		a := get(t.Context(), s.Client(), s.BaseURL()+path)
		if a.status != want || !strings.Contains(string(a.body), "OperationOutcome") || !json.Valid(a.body) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := get(t.Context(), s.Client(), "https://fhir.example.test/other/metadata"); a.status != 404 || !strings.Contains(string(a.body), "<html>") {
		t.Errorf("beside the base: %d %s", a.status, a.body)
	}
	if a := get(t.Context(), s.Client(), s.BaseURL()+"/Patient?unheard=1", "Prefer", "handling=strict"); a.status != 400 {
		t.Errorf("strict: %d", a.status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.BaseURL()+"/Patient/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
}

func TestPostSearchAndVersions(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 9})
	s := fhirtest.NewServer(r)
	form := strings.NewReader("patient=" + r.PatientID + "&_count=5")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.BaseURL()+"/Observation/_search", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := new(bundle)
	if err := json.NewDecoder(res.Body).Decode(b); err != nil || len(b.Entry) != 5 || b.link("next") == "" {
		t.Fatalf("%v %+v", err, b)
	}
	if got := page(t, s, b.link("next")); len(got.Entry) != 5 {
		t.Error("the next page of a POST search")
	}
	log := s.Requests()
	if log[0].Query.Get("patient") != r.PatientID || log[0].Interaction != fhirtest.Search || log[1].Number != 2 || log[1].Type != "Observation" {
		t.Errorf("log %+v", log)
	}
	for _, x := range r.Resources {
		if x.VersionID == "" {
			continue
		}
		a := get(t.Context(), s.Client(), s.BaseURL()+"/"+x.Ref()+"/_history/"+x.VersionID)
		tag := a.header.Get("ETag")
		if a.status != 200 || tag != `W/"`+x.VersionID+`"` {
			t.Errorf("%s: %d %s", x.Ref(), a.status, tag)
		}
		if a := get(t.Context(), s.Client(), s.BaseURL()+"/"+x.Ref(), "If-None-Match", tag); a.status != http.StatusNotModified || len(a.body) > 0 {
			t.Errorf("%s: conditional read %d", x.Ref(), a.status)
		}
		break
	}
}

func TestMetadataListsWhatWorks(t *testing.T) {
	t.Parallel()
	s := fhirtest.NewServer()
	s.Software = "Pretender <1>"
	a := get(t.Context(), s.Client(), s.BaseURL()+"/metadata")
	var m struct {
		ResourceType, FhirVersion string
		Software                  struct{ Name string }
		Rest                      []struct {
			Resource []struct {
				Type        string
				SearchParam []struct{ Name, Type string }
			}
		}
	}
	if err := json.Unmarshal(a.body, &m); err != nil || m.ResourceType != "CapabilityStatement" || m.FhirVersion != "4.0.1" || m.Software.Name != s.Software {
		t.Fatalf("%v %s", err, a.body)
	}
	for _, r := range m.Rest[0].Resource {
		for _, p := range r.SearchParam {
			value := map[string]string{"reference": "Patient/1", "token": "1", "date": "2020"}[p.Type]
			if self := page(t, s, r.Type+"?"+p.Name+"="+value).link("self"); !strings.Contains(self, p.Name+"=") {
				t.Errorf("%s by %s is claimed but not understood: %s", r.Type, p.Name, self)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	r := fhirtest.Generate(fhirtest.Options{Seed: 10, Size: 60})
	s := fhirtest.NewServer(r)
	s.Inject(fhirtest.DuplicateEntries(), fhirtest.TooManyRequests(0, "0").On(fhirtest.Read), fhirtest.RateLimit(1000, 1))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				a := get(context.Background(), s.Client(), s.BaseURL()+"/Observation?_count=3&patient="+r.PatientID)
				b := new(bundle)
				if a.err != nil || json.Unmarshal(a.body, b) != nil && a.status == 200 {
					t.Error(a.err)
				}
				if next := b.link("next"); next != "" {
					get(context.Background(), s.Client(), next)
				}
				s.Requests()
				s.Want(r.PatientID)
				s.Put(r.Resources[3])
			}
		})
	}
	wg.Wait()
	if n := s.Unclosed(); n != 0 {
		t.Errorf("%d bodies left open", n)
	}
	s.ResetRequests()
	if len(s.Requests()) != 0 {
		t.Error("log after reset")
	}
}
