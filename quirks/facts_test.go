package quirks_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// researched is a fact that was found about a server, and where it went: testdata/facts.json lists all of them, so that none gets lost
// when entries are split, merged or rewritten.
type researched struct {
	Server     string            `json:"server"`
	Kind       string            `json:"kind"`
	Source     string            `json:"source"`
	Confidence quirks.Confidence `json:"confidence"`
	Entry      string            `json:"entry"`
	ID         string            `json:"id"`
}

func readFacts(t *testing.T) []researched {
	t.Helper()
	raw, err := os.ReadFile("testdata/facts.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []researched
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// factsOf gives all facts of an entry by their ids: those that speak for a field, and those that are notes.
func factsOf(t *testing.T, e *quirks.Entry) map[string]quirks.Source {
	t.Helper()
	out := map[string]quirks.Source{}
	for _, s := range e.Sources {
		out[s.ID] = s
	}
	for _, n := range e.Notes {
		out[n.Source.ID] = n.Source
	}
	if len(out) != len(e.Sources)+len(e.Notes) {
		t.Errorf("%s: %d facts have %d ids", e.ID, len(e.Sources)+len(e.Notes), len(out))
	}
	return out
}

// TestNoFactIsLost: each of the 203 facts about 61 servers is in the data, as a field with its evidence or as a note with its reason.
func TestNoFactIsLost(t *testing.T) {
	t.Parallel()
	entries := map[string]map[string]quirks.Source{}
	for _, e := range shipped(t).Entries() {
		entries[e.ID] = factsOf(t, &e)
	}
	type count struct{ Facts, Servers, Kinds, Places int }
	servers, kinds, places := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, f := range readFacts(t) {
		servers[f.Server]++
		kinds[f.Kind]++
		places[f.Entry+"/"+f.ID] = true
		got, ok := entries[f.Entry][f.ID]
		if !ok {
			t.Errorf("%s, %s: %s/%s is not in the data", f.Server, f.Kind, f.Entry, f.ID)
			continue
		}
		want := researched{f.Server, f.Kind, f.Source, f.Confidence, f.Entry, f.ID}
		if diff := cmp.Diff(want, researched{f.Server, got.About, got.URL, got.Confidence, f.Entry, got.ID}); diff != "" {
			t.Errorf("%s/%s (-found +in the data):\n%s", f.Entry, f.ID, diff)
		}
	}
	if diff := cmp.Diff(count{203, 61, 41, 203}, count{len(readFacts(t)), len(servers), len(kinds), len(places)}); diff != "" {
		t.Errorf("what was found (-want +got):\n%s", diff)
	}
	// The two servers about which most is known, and kinds of fact that go into fields and into notes.
	for what, n := range map[string]int{
		"Epic": servers["Epic"] - 41, "Oracle": servers["Oracle Health Millennium (Cerner)"] - 32,
		"paging-links": kinds["paging-links"] - 22, "bulk-export": kinds["bulk-export"] - 14, "param-required": kinds["param-required"] - 12,
	} {
		if n != 0 {
			t.Errorf("%s: %+d facts", what, n)
		}
	}
}

func shipped(t *testing.T) *quirks.Registry {
	t.Helper()
	r, err := quirks.Load(quirks.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEachFactHasItsEvidence: kind, address and date; and what is not a field says why.
func TestEachFactHasItsEvidence(t *testing.T) {
	t.Parallel()
	for _, e := range shipped(t).Entries() {
		if len(e.Sources)+len(e.Notes) == 0 {
			t.Errorf("%s says nothing", e.ID)
		}
		for id, s := range factsOf(t, &e) {
			if id == "" || s.About == "" || s.Says == "" || s.Seen == "" || s.URL == "" && s.Confidence != quirks.Observed {
				t.Errorf("%s: a fact lacks id, kind, text, date or address: %+v", e.ID, s)
			}
		}
	}
}
