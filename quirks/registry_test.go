package quirks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

func evidence(fields ...string) []quirks.Source {
	return []quirks.Source{{URL: "https://example.org/docs", Confidence: quirks.Documented, Says: "so it is", Fields: fields}}
}

// layered has one entry for each level, all of which speak of the same fields, and of one of their own.
func layered(t *testing.T) *quirks.Registry {
	t.Helper()
	set := func(n int, own string) quirks.Set {
		return quirks.Set{
			Accept: new("application/json;level=" + own),
			Types:  map[string]quirks.Type{"Observation": {PageSize: &n}, own: {PageSize: &n}},
			Errors: []quirks.ErrorRule{{Status: []int{410 + n}, Class: quirks.Absent}},
			Headers: []quirks.Header{
				{Name: "X-Common", Value: own}, {Name: "X-" + own, Value: own},
			},
			SilentFilters: []quirks.Filter{quirks.Filter(own)},
		}
	}
	named := evidence("accept", "types", "errors", "headers", "silentFilters")
	r, err := quirks.New(
		// In an order that is not that of merging.
		quirks.Entry{ID: "narrow", Name: "x", Match: []quirks.Match{{BaseURL: "https://a.example.org/fhir/r4"}}, Set: set(4, "Narrow"), Sources: named},
		quirks.Entry{ID: "wide", Name: "x", Match: []quirks.Match{{BaseURL: "//*.example.org/**"}}, Set: set(3, "Wide"), Sources: named},
		quirks.Entry{ID: "vendor", Name: "x", Match: []quirks.Match{{Publisher: "The Vendor"}}, Set: set(2, "Vendor"), Sources: named},
		quirks.Entry{ID: "engine", Name: "x", Engine: true, Match: []quirks.Match{{Software: "the engine"}}, Set: set(1, "Engine"), Sources: named},
		quirks.Entry{ID: "another", Name: "x", Match: []quirks.Match{{Software: "Another"}}, Set: set(9, "Another"), Sources: named},
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ids(entries []quirks.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func TestLookupMergesInOrder(t *testing.T) {
	t.Parallel()
	r := layered(t)
	caps := &quirks.Capabilities{Known: true, SoftwareName: "The Engine", Publisher: "the vendor"}
	set, entries := r.Lookup("https://a.example.org/fhir/r4", caps)
	if diff := cmp.Diff([]string{"engine", "vendor", "wide", "narrow"}, ids(entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if got := *set.Accept; got != "application/json;level=Narrow" {
		t.Errorf("accept = %s, want the narrowest", got)
	}
	sizes := map[string]int{}
	for typ := range set.Types {
		sizes[typ] = *set.Type(typ).PageSize
	}
	if diff := cmp.Diff(map[string]int{"Observation": 4, "Engine": 1, "Vendor": 2, "Wide": 3, "Narrow": 4}, sizes); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	var statuses []int
	for _, e := range set.Errors {
		statuses = append(statuses, e.Status...)
	}
	if diff := cmp.Diff([]int{414, 413, 412, 411}, statuses); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	headers := map[string]string{}
	for _, h := range set.Headers {
		headers[h.Name] = h.Value
	}
	want := map[string]string{"X-Common": "Narrow", "X-Engine": "Engine", "X-Vendor": "Vendor", "X-Wide": "Wide", "X-Narrow": "Narrow"}
	if diff := cmp.Diff(want, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]quirks.Filter{"Narrow", "Wide", "Vendor", "Engine"}, set.SilentFilters); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
}

func TestLookupByBaseURLAlone(t *testing.T) {
	t.Parallel()
	r := layered(t)
	for base, want := range map[string][]string{
		"https://a.example.org/fhir/r4":     {"wide", "narrow"},
		"https://A.Example.org:443/fhir/r4": {"wide", "narrow"},
		"http://a.example.org/fhir/r4":      {"wide"},
		"https://b.c.example.org/fhir":      {"wide"},
		"https://example.org/fhir/r4":       nil, // the asterisk stands for at least one label.
		"https://a.example.org.evil.test":   nil,
		"https://aexample.org/fhir/r4":      nil,
		"not a URL":                         nil,
	} {
		if _, entries := r.Lookup(base, nil); !cmp.Equal(want, ids(entries)) {
			t.Errorf("%s: %v, want %v", base, ids(entries), want)
		}
	}
}

func TestLookupGivesCopies(t *testing.T) {
	t.Parallel()
	r := layered(t)
	first, entries := r.Lookup("https://a.example.org/fhir/r4", nil)
	want, _ := r.Lookup("https://a.example.org/fhir/r4", nil)
	*first.Accept = "spoiled"
	first.Headers[0].Value = "spoiled"
	*first.Types["Observation"].PageSize = 99
	first.Types["New"] = quirks.Type{}
	*entries[0].Set.Accept = "spoiled"
	got, _ := r.Lookup("https://a.example.org/fhir/r4", nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the registry was changed (-before +after):\n%s", diff)
	}
}

func TestMergeTellsUnsetFromFalse(t *testing.T) {
	t.Parallel()
	low := quirks.Set{
		Counts: new(true), Types: map[string]quirks.Type{"Goal": {RevIncludes: []string{"Provenance:target"}, PageSize: new(10)}, "*": {PageSize: new(50)}},
	}
	over := quirks.Set{Counts: new(false), Types: map[string]quirks.Type{"Goal": {RevIncludes: []string{}}}}
	got := low.Merge(over)
	if *got.Counts {
		t.Error("false did not replace true")
	}
	if got.Types["Goal"].RevIncludes == nil || len(got.Types["Goal"].RevIncludes) != 0 {
		t.Errorf("an empty list did not replace one: %v", got.Types["Goal"].RevIncludes)
	}
	if *got.Type("Goal").PageSize != 10 || *got.Type("Task").PageSize != 50 {
		t.Error("what the other layer does not speak of was lost")
	}
	if got := low.Merge(quirks.Set{}); !*got.Counts {
		t.Error("unset replaced true")
	}
	if !*low.Counts || len(low.Types["Goal"].RevIncludes) != 1 {
		t.Error("Merge changed its receiver")
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	r := layered(t)
	over, err := r.With(
		quirks.Entry{ID: "wide", Name: "y", Match: []quirks.Match{{BaseURL: "https://elsewhere.example.org"}}},
		quirks.Entry{
			ID: "mine", Name: "x", Match: []quirks.Match{{Publisher: "The Vendor"}}, Set: quirks.Set{Accept: new("application/json")},
			Sources: evidence("accept"),
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	set, entries := over.Lookup("https://z.example.org/x", &quirks.Capabilities{Publisher: "The Vendor"})
	if diff := cmp.Diff([]string{"vendor", "mine"}, ids(entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if *set.Accept != "application/json" {
		t.Errorf("accept = %s", *set.Accept)
	}
	if n := len(r.Entries()); n != 5 {
		t.Errorf("the registry itself has %d entries now", n)
	}
	if _, err := r.With(quirks.Entry{ID: "bad"}); err == nil {
		t.Error("an entry without a name was accepted")
	}
	var none *quirks.Registry
	if set, entries := none.Lookup("https://a.example.org", nil); !cmp.Equal(set, quirks.Set{}) || entries != nil {
		t.Error("no registry knows something")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	got := layered(t).Explain("https://a.example.org/fhir/r4", nil)
	var accept, wide *quirks.Setting
	for i := range got {
		switch got[i].Field {
		case "accept":
			accept = &got[i]
		case "types.Wide.pageSize":
			wide = &got[i]
		}
	}
	if accept == nil || accept.Entry != "narrow" || accept.Level != quirks.ByBaseURL || !cmp.Equal(accept.Over, []string{"wide"}) ||
		accept.Value != `"application/json;level=Narrow"` || len(accept.Sources) != 1 {
		t.Errorf("accept: %+v", accept)
	}
	if wide == nil || wide.Entry != "wide" || wide.Value != "3" || wide.Over != nil {
		t.Errorf("types.Wide.pageSize: %+v", wide)
	}
}

func TestApplyCorrectsInBothDirections(t *testing.T) {
	t.Parallel()
	caps, err := quirks.ParseCapabilities([]byte(`{"resourceType":"CapabilityStatement","rest":[{"interaction":[{"code":"batch"}],"resource":[
		{"type":"Patient","operation":[{"name":"everything"}]},
		{"type":"Goal","interaction":[{"code":"search-type"}],"searchParam":[{"name":"patient"}]},
		{"type":"Coverage","interaction":[{"code":"read"}],"searchParam":[{"name":"_id"}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	set := quirks.Set{
		Types: map[string]quirks.Type{
			"Goal": {Claim: new(false)}, "Coverage": {Claim: new(true), Patient: new("beneficiary")}, "Task": {Claim: new(true)},
		},
		Everything: quirks.Everything{Supported: new(false)}, Batch: quirks.Batch{Supported: new(false)},
	}
	got := set.Apply(caps)
	if got.ClaimsSearch("Goal", "patient") || !got.ClaimsSearch("Coverage", "beneficiary") || got.ClaimsSearch("Coverage", "patient") || !got.ClaimsSearch("Task", "patient") {
		t.Error("types were not corrected")
	}
	if got.ClaimsOperation("Patient", "everything") || got.ClaimsInteraction("batch") {
		t.Error("claims stayed that are false")
	}
	if !caps.ClaimsSearch("Goal", "patient") || !caps.ClaimsOperation("Patient", "everything") || !caps.ClaimsInteraction("batch") {
		t.Error("Apply changed its argument")
	}
	set = quirks.Set{Everything: quirks.Everything{Supported: new(true)}, Batch: quirks.Batch{Supported: new(true)}}
	if got := set.Apply(nil); !got.ClaimsOperation("Patient", "everything") || !got.ClaimsInteraction("batch") || got.Known {
		t.Errorf("nothing known: %+v", got)
	}
}
