package refs_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fhirsync/fhirsync-go/refs"
)

const frontierBase = "https://h.example/fhir"

// add lets a frontier see a resource, which is as far as the frontier says.
func add(t *testing.T, f *refs.Frontier, typ, id, members string) {
	t.Helper()
	f.Add(typ, f.Hops(typ, id), all(t, fmt.Sprintf(`{"resourceType":%q,"id":%q,%s}`, typ, id, members))...)
}

// literals are targets in one line each.
func literals(targets []refs.Target) []string {
	var out []string
	for i := range targets {
		out = append(out, targets[i].Literal())
	}
	return out
}

func here(base string) bool { return base == frontierBase }

func TestFrontierWantsEachTargetOnce(t *testing.T) {
	t.Parallel()
	held := map[string]bool{"Practitioner/held": true}
	f := refs.Frontier{Here: here, Held: func(t *refs.Target) bool { return held[t.Literal()] }}
	add(t, &f, "Encounter", "e", `"a":[{"reference":"Practitioner/2"},{"reference":"Practitioner/1"},{"reference":"Practitioner/held"}],
		"b":{"reference":"https://h.example/fhir/Practitioner/1/_history/4"},"contained":[{"c":{"reference":"Location/1"}}]`)
	add(t, &f, "Encounter", "e2", `"z":{"reference":"Practitioner/1"}`)
	if f.Len() != 3 {
		t.Errorf("%d are wanted", f.Len())
	}
	held["Practitioner/2"] = true // came by another way
	want := []refs.Target{
		{Type: "Location", ID: "1", Path: "Encounter.contained.c", Count: 1, Hops: 1},
		{Type: "Practitioner", ID: "1", Path: "Encounter.a", Count: 3, Hops: 1},
	}
	if diff := cmp.Diff(want, f.Take()); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	// Whatever became of them, they are not wanted again: the cycle ends.
	add(t, &f, "Practitioner", "1", `"a":{"reference":"Location/1"},"b":{"reference":"Practitioner/1"}`)
	if got := f.Take(); len(got) != 0 || f.Len() != 0 {
		t.Errorf("again %v", got)
	}
	if got := f.Skipped(); len(got) != 0 {
		t.Errorf("skipped %v", got)
	}
}

func TestFrontierFollowsAsFarAsThePolicySays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		hops    refs.Hops
		want    int
		skipped []refs.Skipped
	}{
		{refs.Closure, 30, nil},
		{refs.OneHop, 1, []refs.Skipped{{Reason: refs.TooFar, Count: 1}}},
		{refs.None, 0, []refs.Skipped{{Reason: refs.TooFar, Count: 1}}},
		{5, 5, []refs.Skipped{{Reason: refs.TooFar, Count: 1}}},
	} {
		f := refs.Frontier{Policy: refs.Policy{Hops: test.hops}}
		add(t, &f, "Location", "0", `"partOf":{"reference":"Location/1"}`)
		n := 0
		for targets := f.Take(); len(targets) > 0; targets = f.Take() {
			for _, target := range targets {
				if n++; target.Hops != refs.Hops(n) {
					t.Errorf("%s is %d hops away", target.Literal(), target.Hops)
				}
				if n < 30 {
					add(t, &f, "Location", target.ID, fmt.Sprintf(`"partOf":{"reference":"Location/%d"}`, n+1))
				}
			}
		}
		if n != test.want {
			t.Errorf("with %d: %d targets, want %d", test.hops, n, test.want)
		}
		if diff := cmp.Diff(test.skipped, f.Skipped(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("with %d (-want +got):\n%s", test.hops, diff)
		}
	}
}

func TestFrontierTakesTheShortestWay(t *testing.T) {
	t.Parallel()
	f := refs.Frontier{Policy: refs.Policy{Hops: 2}}
	f.Add("A", 1, all(t, `{"x":{"reference":"T/1"}}`)...)
	f.Add("A", 0, all(t, `{"x":{"reference":"T/1"}}`)...)
	if got := f.Take(); len(got) != 1 || got[0].Hops != 1 || f.Hops("T", "1") != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestFrontierSaysWhatItSkips(t *testing.T) {
	t.Parallel()
	f := refs.Frontier{
		Here:   here,
		Policy: refs.Policy{OmitTypes: []string{"Organization"}},
		Follow: func(typ string, x *refs.Found) (refs.Reason, bool) {
			switch {
			case x.Ref.Type == "Patient":
				return "another patient", x.Ref.ID == "own"
			case typ == "Group":
				return "out of a Group", false
			}
			return "", x.Ref.Type != "Silent"
		},
	}
	add(t, &f, "Encounter", "e", `"a":[{"reference":"Patient/own"},{"reference":"Patient/other"},{"reference":"Organization/1"},{"reference":"#c"},{"reference":""},
		{"reference":"Patient/../x"},{"reference":"javascript:alert(1)"},{"reference":"urn:uuid:1"},{"reference":"Silent/1"},
		{"reference":"https://Other.example:8443/fhir/Patient/1"},{"reference":"http://u:p@third.example/fhir/Patient/1"}],
		"b":{"reference":"Practitioner?identifier=s|v"},"c":{"reference":"Practitioner?identifier=s|v"}`)
	add(t, &f, "Group", "g", `"member":[{"entity":{"reference":"Device/1"}}]`)
	if diff := cmp.Diff([]string{"Patient/own", "Practitioner?identifier=s|v"}, literals(f.Take())); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	want := []refs.Skipped{
		{Reason: "another patient", Count: 1},
		{Reason: refs.NoResource, Count: 4},
		{Reason: refs.OtherServer, Host: "other.example:8443", Count: 1},
		{Reason: "out of a Group", Count: 1},
		{Reason: refs.TypeOmitted, Count: 1},
		{Reason: refs.Unresolved, Count: 1},
	}
	byReason := cmpopts.SortSlices(func(a, b refs.Skipped) bool { return a.Reason < b.Reason })
	if diff := cmp.Diff(want, f.Skipped(), byReason); diff != "" {
		t.Errorf("Skipped (-want +got):\n%s", diff)
	}
}

func TestFrontierAttachments(t *testing.T) {
	t.Parallel()
	const members = `"content":[{"attachment":{"url":"Binary/1"}},{"attachment":{"url":"https://h.example/fhir/Binary/2?x=y"}},{"attachment":{"url":"docs/3.pdf"}},
		{"attachment":{"url":"https://signed.example/doc?sig=secret"}},{"attachment":{"url":"data:text/plain,x"}},{"attachment":{"url":"file:///etc/passwd"}}],
		"context":{"reference":"Binary/1"}`
	f := refs.Frontier{Here: here, Content: func(url string) bool { return url == "docs/3.pdf" }}
	add(t, &f, "DocumentReference", "d", members)
	want := []refs.Target{
		{URL: "docs/3.pdf", Path: "DocumentReference.content.attachment", Count: 1, Hops: 1},
		{Type: "Binary", ID: "1", URL: "Binary/1", Path: "DocumentReference.content.attachment", Count: 2, Hops: 1},
		{Type: "Binary", ID: "2", URL: "https://h.example/fhir/Binary/2?x=y", Path: "DocumentReference.content.attachment", Count: 1, Hops: 1},
	}
	if diff := cmp.Diff(want, f.Take()); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	skipped := []refs.Skipped{{Reason: refs.ContentElsewhere, Host: "signed.example", Count: 1}, {Reason: refs.NoResource, Count: 1}}
	if diff := cmp.Diff(skipped, f.Skipped()); diff != "" {
		t.Errorf("Skipped (-want +got):\n%s", diff)
	}

	without := refs.Frontier{Policy: refs.Policy{OmitAttachments: true}}
	add(t, &without, "DocumentReference", "d", members)
	if diff := cmp.Diff([]string{"Binary/1"}, literals(without.Take())); diff != "" {
		t.Errorf("without attachments (-want +got):\n%s", diff)
	}
	if got := without.Skipped(); len(got) != 0 {
		t.Errorf("skipped %v", got)
	}
}

func TestFrontierCanonicals(t *testing.T) {
	t.Parallel()
	const members = `"questionnaire":"https://h.example/fhir/Questionnaire/1|2.0","meta":{"profile":["http://x.example/StructureDefinition/a"]},
		"extension":[{"valueCanonical":"http://x.example/Questionnaire/phq,9|1#a"}],"instantiatesCanonical":["#c","http://x.example/PlanDefinition/p"]`
	f := refs.Frontier{Here: here, Versions: true, Policy: refs.Policy{Canonicals: []string{"Questionnaire"}}}
	add(t, &f, "QuestionnaireResponse", "r", members)
	want := []string{`Questionnaire?url=http%3A%2F%2Fx.example%2FQuestionnaire%2Fphq%5C%2C9&version=1`, "Questionnaire/1"}
	if diff := cmp.Diff(want, literals(f.Take())); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	var by refs.Frontier
	add(t, &by, "QuestionnaireResponse", "r", members)
	if by.Len() != 0 || len(by.Skipped()) != 0 {
		t.Errorf("by default %v and %v", by.Wanted(), by.Skipped())
	}
}

func TestFrontierVersions(t *testing.T) {
	t.Parallel()
	f := refs.Frontier{Versions: true, Held: func(t *refs.Target) bool { return t.ID == "held" && t.Version == "" }}
	add(t, &f, "A", "1", `"a":{"reference":"B/1/_history/2"},"b":{"reference":"B/held/_history/1"},"c":{"reference":"B/1"}`)
	if diff := cmp.Diff([]string{"B/1", "B/1/_history/2", "B/held/_history/1"}, literals(f.Take())); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
}

func TestFrontierHasALimit(t *testing.T) {
	t.Parallel()
	f := refs.Frontier{Max: 10}
	for round := range 5 { // Max counts those that were taken too: a chain that never ends ends
		for i := range 4 {
			add(t, &f, "A", "1", fmt.Sprintf(`"a":[{"reference":"B/%d-%d"},{"reference":"B/0-0"}]`, round, i))
		}
		f.Take()
	}
	if diff := cmp.Diff([]refs.Skipped{{Reason: refs.TooMany, Count: 10}}, f.Skipped()); diff != "" {
		t.Errorf("Skipped (-want +got):\n%s", diff)
	}
	hosts := refs.Frontier{}
	for i := range 100 {
		add(t, &hosts, "A", "1", fmt.Sprintf(`"a":{"reference":"http://h%d.example/B/1"},"b":{"reference":"http://%s/B/1"}`, i, strings.Repeat("x", 300)))
	}
	got := hosts.Skipped()
	if len(got) != 65 || got[0] != (refs.Skipped{Reason: refs.OtherServer, Count: 136}) {
		t.Errorf("%d hosts, first %+v", len(got), got[0])
	}
}

func TestFrontierGoesOnWhereAnotherLeft(t *testing.T) {
	t.Parallel()
	var before refs.Frontier
	add(t, &before, "A", "1", `"a":[{"reference":"B/2"},{"reference":"B/1"},{"reference":"B/3"},{"reference":"#"},{"reference":"x"}]`)
	taken := before.Take()
	add(t, &before, "A", "2", `"a":{"reference":"B/4"}`)

	var after refs.Frontier
	after.Put(before.Wanted()...)
	after.Put(taken[1:]...) // these have not come
	for _, s := range before.Skipped() {
		after.Skip(s)
	}
	if diff := cmp.Diff(before.Skipped(), after.Skipped()); diff != "" {
		t.Errorf("Skipped (-before +after):\n%s", diff)
	}
	if after.Exclude(refs.Target{Type: "B", ID: "3"}); after.Len() != 2 {
		t.Errorf("wanted: %v", literals(after.Wanted()))
	}
	add(t, &after, "A", "3", `"a":{"reference":"B/3"}`)
	if diff := cmp.Diff([]string{"B/2", "B/4"}, literals(after.Take())); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	after.Put(taken[1]) // could not be asked for
	if diff := cmp.Diff([]string{"B/2"}, literals(after.Take())); diff != "" {
		t.Errorf("put back (-want +got):\n%s", diff)
	}
}

func TestFrontierZeroValue(t *testing.T) {
	t.Parallel()
	var f refs.Frontier
	if f.Len() != 0 || len(f.Take()) != 0 || len(f.Wanted()) != 0 || len(f.Skipped()) != 0 || f.Hops("A", "1") != 0 {
		t.Error("the zero value has something in it")
	}
	// The parts of a target cannot be moved into one another.
	f.Put(refs.Target{Type: "A", ID: "b", Version: "c"}, refs.Target{Type: "A", ID: "b"}, refs.Target{Type: "A", Query: "b"}, refs.Target{URL: "A/b"}, refs.Target{URL: "Ab"})
	if f.Len() != 5 {
		t.Errorf("wanted: %v", f.Wanted())
	}
}

// What has come by another way is not wanted, and can be wanted again where it is not held after all.
func TestFrontierDrop(t *testing.T) {
	t.Parallel()
	var f refs.Frontier
	f.Drop("B", "1") // before there is anything
	add(t, &f, "A", "1", `"a":[{"reference":"B/1"},{"reference":"B/2"}]`)
	f.Drop("B", "1")
	f.Drop("B", "3")
	if diff := cmp.Diff([]string{"B/2"}, literals(f.Wanted())); diff != "" {
		t.Errorf("after Drop (-want +got):\n%s", diff)
	}
	add(t, &f, "A", "2", `"a":{"reference":"B/1"}`)
	if diff := cmp.Diff([]string{"B/1", "B/2"}, literals(f.Take())); diff != "" {
		t.Errorf("named again (-want +got):\n%s", diff)
	}
}

// What was named first is taken first, of one type and as many as are wanted; the rest stays, and nothing is given twice.
func TestTakeSome(t *testing.T) {
	t.Parallel()
	held := map[string]bool{}
	f := refs.Frontier{Held: func(t *refs.Target) bool { return held[t.Literal()] }}
	for i := range 5 {
		add(t, &f, "Observation", strconv.Itoa(i), fmt.Sprintf(`"performer":[{"reference":"Practitioner/%d"},{"reference":"Organization/o"}]`, 9-i))
	}
	if diff := cmp.Diff(map[string]int{"Practitioner": 5, "Organization": 1}, f.Types()); diff != "" || f.Len() != 6 {
		t.Errorf("%d wanted: %s", f.Len(), diff)
	}
	held["Practitioner/8"] = true
	f.Drop("Practitioner", "6")
	even := func(x *refs.Target) bool { return (x.ID[0]-'0')%2 == 0 }
	for _, c := range []struct {
		typ  string
		n    int
		ok   func(*refs.Target) bool
		want []string
	}{
		{"Device", 3, nil, nil},
		{"Practitioner", 0, nil, nil},
		{"Practitioner", 3, even, nil}, // 8 has come, 6 was dropped.
		{"Practitioner", 2, nil, []string{"Practitioner/9", "Practitioner/7"}},
		{"Practitioner", 2, nil, []string{"Practitioner/5"}},
		{"Practitioner", 2, nil, nil},
	} {
		if diff := cmp.Diff(c.want, literals(f.TakeSome(c.typ, c.n, c.ok))); diff != "" {
			t.Errorf("%d of %s: %s", c.n, c.typ, diff)
		}
	}
	add(t, &f, "Observation", "again", `"performer":[{"reference":"Practitioner/9"},{"reference":"Practitioner/6"}]`)
	if diff := cmp.Diff([]string{"Organization/o", "Practitioner/6"}, literals(f.Take())); diff != "" || f.Len() != 0 {
		t.Errorf("the rest: %s", diff)
	}
}
