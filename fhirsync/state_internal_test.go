package fhirsync

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/fhirsync/fhirsync-go/refs"
)

// TestAStateDoesNotSpeakForWhatIsOnItsWay: what has come is taken for held as soon as it is known, and other questions end without it. Until it is
// with the writer no state may say that its type is settled, or forget one that only references bring.
func TestAStateDoesNotSpeakForWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		state   func(r *run)
		settled bool
		wanted  bool
	}{
		{"all is with the writer", func(*run) {}, true, false},
		{"a match is not", func(r *run) { r.mark("Observation", identOf("Observation", "2")) }, false, false},
		{"a match never got there", func(r *run) {
			r.mark("Observation", identOf("Observation", "2"))
			r.ledger.typ("Observation").Received++
			r.undo([]Resource{{Key: Key{Type: "Observation", ID: "2"}}})
		}, false, false},
		{"a practitioner is not", func(r *run) {
			r.front.Put(refs.Target{Type: "Practitioner", ID: "1", Count: 1})
			r.mark("Practitioner", identOf("Practitioner", "1"))
			r.front.Drop("Practitioner", "1")
			r.front.expect("Practitioner", "1")
		}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := client.newRun(Server{BaseURL: "https://fhir.example.test/r4"}, "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.begin(t.Context())
			defer r.cancel(nil)
			r.ledger.owe("Observation")
			r.mark("Observation", identOf("Observation", "1"))
			r.seen[identOf("Observation", "1")] &^= onItsWay
			r.ledger.settle("Observation", Ended, &answer{matches: 1, total: 1})
			r.answeredAll["Observation"] = true
			c.state(r)
			var s savedState
			if err := json.Unmarshal(r.snapshot(), &s); err != nil {
				t.Fatal(err)
			}
			if _, settled := s.Types["Observation"]; settled != c.settled {
				t.Errorf("settled: %t", settled)
			}
			if wanted := slices.ContainsFunc(s.Want, func(t savedTarget) bool { return t.Type == "Practitioner" && t.ID == "1" }); wanted != c.wanted {
				t.Errorf("wanted: %t", wanted)
			}
		})
	}
}
