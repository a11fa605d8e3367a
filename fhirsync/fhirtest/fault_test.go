package fhirtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestFaultsAreListedOnceAndDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range fhirtest.Faults() {
		if f.Name == "" || seen[f.Name] {
			t.Errorf("name %q is empty or repeated", f.Name)
		}
		seen[f.Name] = true
	}
}

func TestEachFaultHasItsEffect(t *testing.T) {
	t.Parallel()
	checks := effects(t)
	used := map[string]bool{}
	for _, f := range fhirtest.Faults() {
		name, _, _ := strings.Cut(f.Name, ".")
		name, _, _ = strings.Cut(name, "(")
		check := checks[name]
		if check == nil {
			t.Errorf("no check for %s", f.Name)
			continue
		}
		used[name] = true
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			check(t, f)
			// The same value serves a second server as well as the first.
			check(t, f)
		})
	}
	for name := range checks {
		if !used[name] {
			t.Errorf("%s is checked but not listed", name)
		}
	}
}

func TestFaultsNeverChangeTheTruth(t *testing.T) {
	t.Parallel()
	honest := faulty()
	want := honest.Want("p")
	for _, f := range fhirtest.Faults() {
		if strings.HasPrefix(f.Name, "Slow") || strings.HasPrefix(f.Name, "Stalled") || strings.HasPrefix(f.Name, "Hang") {
			continue
		}
		s := faulty(f)
		for _, path := range []string{"metadata", "Patient/p", obs, obs + "&_count=500", "Condition?patient=p", obs + "&_summary=count"} {
			a := ask(t, s, path)
			b := new(bundle)
			if json.Unmarshal(a.body, b) == nil && strings.HasPrefix(b.link("next"), s.BaseURL()) {
				get(t.Context(), s.Client(), b.link("next"))
			}
		}
		if d := difference(s.Want("p"), want); d != "" {
			t.Errorf("%s: %s", f.Name, d)
		}
		s.Heal()
		if got := matches(chain(t, s, obs, 10)); len(got) != 60 {
			t.Errorf("%s: %d Observations after Heal", f.Name, len(got))
		}
		for ref, raw := range want {
			if a := ask(t, s, ref); string(a.body) != string(raw) {
				t.Errorf("%s: %s has other bytes after Heal", f.Name, ref)
			}
		}
	}
}

func TestNarrowing(t *testing.T) {
	t.Parallel()
	statuses := func(s *fhirtest.Server, paths ...string) []int {
		var out []int
		for _, p := range paths {
			out = append(out, ask(t, s, p).status)
		}
		return out
	}
	tests := []struct {
		fault fhirtest.Fault
		paths []string
		want  []int
	}{
		{fhirtest.Status(500), []string{"metadata", "Patient/p", obs}, []int{200, 500, 500}},
		{fhirtest.Status(500).On(fhirtest.Metadata), []string{"metadata", "Patient/p", obs}, []int{500, 200, 200}},
		{fhirtest.Status(500).For("metadata", "Goal").On(fhirtest.Metadata, fhirtest.Search), []string{"metadata", "Goal?patient=p", obs}, []int{500, 500, 200}},
		{fhirtest.Status(500).For("Observation"), []string{"Patient/p", obs, "Patient/p/Observation", obs + "&_summary=count"}, []int{200, 500, 500, 500}},
		{fhirtest.Status(500).Times(2), []string{obs, obs, obs}, []int{500, 500, 200}},
		{fhirtest.Status(500).After(1), []string{obs, obs, obs}, []int{200, 500, 500}},
		{fhirtest.Status(500).After(1).Times(1).For("Observation"), []string{obs, "Goal?patient=p", obs, obs}, []int{200, 200, 500, 200}},
		{fhirtest.TooManyRequests(2, ""), []string{"metadata", obs, obs}, []int{429, 429, 200}},
		{fhirtest.Fault{}, []string{obs}, []int{200}},
	}
	for _, tt := range tests {
		if got := statuses(faulty(tt.fault), tt.paths...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v on %v, want %v", tt.fault.Name, got, tt.paths, tt.want)
		}
	}
	f := fhirtest.Status(403)
	if g := f.For("Goal").Times(1).After(2); f.Name != "Status(403)" || g.Name != "Status(403).For(Goal).Times(1).After(2)" {
		t.Errorf("names %s, %s", f.Name, g.Name)
	}
}

func TestCombinations(t *testing.T) {
	t.Parallel()
	// Two faults that answer: the second starts when the first is done.
	s := faulty(fhirtest.TooManyRequests(1, "1"), fhirtest.Status(503).Times(1), fhirtest.NoTotal(), fhirtest.PageSizeCap(7), fhirtest.PageCap(20).For("Observation"), fhirtest.DuplicateEntries())
	if a, b := ask(t, s, obs), ask(t, s, obs); a.status != 429 || b.status != 503 {
		t.Errorf("%d, then %d", a.status, b.status)
	}
	pages := chain(t, s, obs, 10)
	if got := matches(pages); len(got) != 20 || len(pages) != 3 || pages[0].Total != nil || len(pages[0].Entry) != 8 {
		t.Errorf("%d matches on %d pages, total %v", len(got), len(pages), pages[0].Total)
	}
	log := s.Requests()
	if got := strings.Join(log[2].Faults, " "); got != "PageCap(20).For(Observation) PageSizeCap(7) NoTotal DuplicateEntries" {
		t.Errorf("the log names %s", got)
	}
	if got := strings.Join(log[0].Faults, " "); got != "TooManyRequests(1,1)" || log[0].Status != 429 {
		t.Errorf("the log names %s for %d", got, log[0].Status)
	}
}

func TestExpiredCursorKillsTheSearch(t *testing.T) {
	t.Parallel()
	s := faulty(fhirtest.ExpiredCursor(2).Times(1))
	next := page(t, s, obs).link("next")
	for range 2 {
		if a := get(t.Context(), s.Client(), next); a.status != http.StatusGone {
			t.Errorf("expired page: %d", a.status)
		}
	}
	s.Heal()
	if a := get(t.Context(), s.Client(), next); a.status != http.StatusGone {
		t.Errorf("expired page after Heal: %d", a.status)
	}
	if got := matches(chain(t, s, obs, 10)); len(got) != 60 {
		t.Errorf("the next search finds %d", len(got))
	}
}

func TestHiddenFromSearch(t *testing.T) {
	t.Parallel()
	ref := matches(chain(t, faulty(), obs, 10))[7]
	s := faulty(fhirtest.HiddenFromSearch(ref, "Observation/unheard"))
	if got := page(t, s, obs); *got.Total != 59 {
		t.Errorf("total %d", *got.Total)
	}
	if got := matches(chain(t, s, obs, 10)); len(got) != 59 || slices.Contains(got, ref) {
		t.Errorf("%d found", len(got))
	}
	if a := ask(t, s, ref); a.status != http.StatusOK || s.Own("p")[ref] == nil {
		t.Errorf("read: %d", a.status)
	}
}

// obs is the search that most checks look at: it finds 60 Observations of patient p, on three pages.
const obs = "Observation?patient=p"

// faulty makes a server with two patients, p and another, and these faults.
func faulty(faults ...fhirtest.Fault) *fhirtest.Server {
	s := fhirtest.NewServer(
		fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 120, PatientID: "p"}),
		fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 30, PatientID: "other"}),
	)
	s.Inject(faults...)
	return s
}

func ask(t *testing.T, s *fhirtest.Server, path string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return get(ctx, s.Client(), s.BaseURL()+"/"+path, header...)
}

// matches gives the distinct resources of a chain of pages, in order.
func matches(pages []*bundle) []string {
	var out []string
	for _, b := range pages {
		for _, r := range b.refs() {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}
