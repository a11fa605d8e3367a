// Package strategytest runs a fhirsync.Strategy against servers that misbehave, and fails if anything is lost in silence.
//
// The whole test of a strategy:
//
//	func TestMine(t *testing.T) {
//		strategytest.Run(t, strategytest.Suite{Strategy: func() fhirsync.Strategy { return Mine{} }})
//	}
//
// Every fault of fhirtest is injected alone, and faults are injected in pairs chosen by seed. Each time three properties must hold:
//
//   - Everything that belongs to the patient is in the store, byte for byte or with a recorded repair that changes nothing of what it says,
//     or the report names what is missing.
//   - Nothing of another patient is in the store.
//   - The verdict is not Complete while something is missing.
//
// And against a server that does nothing wrong a fourth: no false alarm.
//
// Faults come and go between patients too: what was learned from one must not lead astray when the server has changed.
//
// The same holds for servers made after ten real ones (see the vendors_*.go files): they want headers and parameters, refuse in codes of
// their own, claim what they do not have, and do one thing that nobody has said of them. Under -v a table says what each sync came to.
package strategytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// Suite says what is tested.
type Suite struct {
	// Strategy makes the strategy under test, anew for each run.
	Strategy func() fhirsync.Strategy
	// Proves: the strategy asks for everything in a way that can be proven, so that an honest server ends Complete with nothing missing.
	// Without it Restricted will do.
	Proves bool
	// Pairs is how many pairs of faults are tried. 0: 40. The environment variable FHIRSYNC_PAIRS overrides it.
	Pairs int
	// Config is the Client's configuration; HTTPClient and Strategy are set by the suite.
	Config fhirsync.Config
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if s.Strategy == nil {
		t.Fatal("strategytest: Suite.Strategy is nil")
	}
	t.Run("honest", func(t *testing.T) { s.honest(t) })
	t.Run("faults", func(t *testing.T) { s.alone(t) })
	t.Run("pairs", func(t *testing.T) { s.pairs(t) })
	t.Run("changes", func(t *testing.T) { s.changes(t) })
	t.Run("profiles", func(t *testing.T) { s.profiles(t) })
}

// kinds are the servers that faults are injected into: with and without what only some servers have.
var kinds = []struct {
	name string
	set  func(*fhirtest.Server)
}{
	{"searches", func(*fhirtest.Server) {}},
	{"small pages", func(s *fhirtest.Server) { s.MaxCount = 20 }},
	{"everything", func(s *fhirtest.Server) { s.Everything, s.MaxCount = true, 50 }},
	{"batch", func(s *fhirtest.Server) { s.Batch, s.MaxCount = true, 50 }},
}

func (s Suite) honest(t *testing.T) {
	t.Helper()
	for i, kind := range kinds {
		for _, size := range []int{1, 20, 300} {
			t.Run(fmt.Sprintf("%s/%d", kind.name, size), func(t *testing.T) {
				t.Parallel()
				o := s.run(t, 100+seedOf(i), size, kind.set)
				o.properties(t)
				switch {
				case o.report.Verdict == fhirsync.Incomplete:
					t.Errorf("a false alarm: nothing is wrong with this server\n%s", o.report)
				case s.Proves && size > 1 && (o.report.Verdict != fhirsync.Complete || len(o.lost) > 0):
					t.Errorf("lost %v, and nothing is wrong with this server\n%s", o.lost, o.report)
				}
			})
		}
	}
}

func (s Suite) alone(t *testing.T) {
	t.Helper()
	for i, kind := range kinds {
		faults := fhirtest.Faults()
		switch kind.name {
		case "everything":
			faults = fhirtest.EverythingFaults()
		case "batch":
			faults = fhirtest.BatchFaults()
		}
		for j, f := range faults {
			t.Run(kind.name+"/"+f.Name, func(t *testing.T) {
				t.Parallel()
				s.run(t, seedOf(1000*i+j), 120, kind.set, f).properties(t)
			})
		}
	}
}

func (s Suite) pairs(t *testing.T) {
	t.Helper()
	n := s.Pairs
	if n == 0 {
		n = 40
	}
	if v := os.Getenv("FHIRSYNC_PAIRS"); v != "" {
		if k, err := strconv.Atoi(v); err == nil {
			n = k
		}
	}
	all := slices.Concat(fhirtest.Faults(), fhirtest.EverythingFaults(), fhirtest.BatchFaults())
	for i := range n {
		rnd := rand.New(rand.NewPCG(seedOf(i), 11)) //nolint:gosec // a seed for a test.
		kind := kinds[rnd.IntN(len(kinds))]
		a, b := all[rnd.IntN(len(all))], all[rnd.IntN(len(all))]
		t.Run(fmt.Sprintf("%d/%s/%s/%s", i, kind.name, a.Name, b.Name), func(t *testing.T) {
			t.Parallel()
			s.run(t, seedOf(i), 100, kind.set, a, b).properties(t)
		})
	}
}

// changes lets faults begin after one patient was synced, or end: every form in which a server can stop to understand the patient's id, and
// others chosen by seed.
func (s Suite) changes(t *testing.T) {
	t.Helper()
	all := slices.Concat(fhirtest.Faults(), fhirtest.EverythingFaults(), fhirtest.BatchFaults())
	type change struct{ before, after []fhirtest.Fault }
	cases := []change{
		{after: []fhirtest.Fault{fhirtest.TypedIDFindsNothing()}},
		{after: []fhirtest.Fault{fhirtest.BareIDFindsNothing()}},
		{after: []fhirtest.Fault{fhirtest.TypedIDFindsNothing(), fhirtest.BareIDFindsNothing()}},
		{before: []fhirtest.Fault{fhirtest.BareIDFindsNothing()}, after: []fhirtest.Fault{fhirtest.TypedIDFindsNothing()}},
		{before: []fhirtest.Fault{fhirtest.TypedIDFindsNothing()}, after: []fhirtest.Fault{fhirtest.BareIDFindsNothing()}},
	}
	for i := range 15 {
		rnd := rand.New(rand.NewPCG(seedOf(i), 12)) //nolint:gosec // a seed for a test.
		cases = append(cases, change{
			before: []fhirtest.Fault{all[rnd.IntN(len(all))]}, after: []fhirtest.Fault{all[rnd.IntN(len(all))], all[rnd.IntN(len(all))]},
		})
	}
	for i, c := range cases {
		kind := kinds[i%len(kinds)]
		t.Run(fmt.Sprintf("%d/%s/%s/%s", i, kind.name, faultNames(c.before), faultNames(c.after)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seed := 5000 + seedOf(i)
				first := fhirtest.Generate(fhirtest.Options{Seed: seed + 2_000_000, Size: 150, Secondary: 8})
				second := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: 100, Dangling: 2, Secondary: 4, Attachments: 3})
				srv := fhirtest.NewServer(first, second)
				kind.set(srv)
				cfg := s.Config
				cfg.HTTPClient, cfg.Strategy = srv.Client(), s.Strategy()
				client, err := fhirsync.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				target := fhirsync.Server{Name: "server", BaseURL: srv.BaseURL()}
				srv.Inject(c.before...)
				pull(t, client, target, srv, first.PatientID, c.before...)
				srv.Heal()
				srv.Inject(c.after...)
				o := pull(t, client, target, srv, second.PatientID, slices.Concat(c.before, c.after)...)
				o.invents = strings.Contains(faultNames(c.after), "EndlessPages")
				o.properties(t)
			})
		})
	}
}

func faultNames(faults []fhirtest.Fault) string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.Name
	}
	return strings.Join(names, "+")
}

func seedOf(i int) uint64 { return uint64(i) } //nolint:gosec // small and not negative.

// outcome is what came of one sync.
type outcome struct {
	report   *fhirsync.Report
	err      error
	lost     []string // not in the store, or with other bytes
	alien    []string // in the store, and not the patient's
	twice    []string // in the store with an id that was made for it, and with its own
	invents  bool     // a fault makes resources up that claim to be the patient's
	open     int      // bodies left open
	repaired int      // resources in the store that were repaired

	requests, refused, wanted int // sent, answered by an error, and resources to be had: of the profiles
}

// run syncs one patient from a server that holds others too.
func (s Suite) run(t *testing.T, seed uint64, size int, set func(*fhirtest.Server), faults ...fhirtest.Fault) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: size, Dangling: size / 60, Secondary: size / 30, Attachments: size / 30})
		srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: seed + 1_000_000, Size: 110}))
		set(srv)
		srv.Inject(faults...)
		cfg := s.Config
		cfg.HTTPClient, cfg.Strategy = srv.Client(), s.Strategy()
		client, err := fhirsync.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(faults) == 0 && size > 1 {
			// The first patient of a server is not the last: what is learned by one must not lead the next astray.
			before := fhirtest.Generate(fhirtest.Options{Seed: seed + 2_000_000, Size: 150, Secondary: 8})
			srv.Add(before)
			if _, err := client.Sync(t.Context(), fhirsync.Server{Name: "server", BaseURL: srv.BaseURL()}, before.PatientID, new(memstore.Store), nil); err != nil {
				t.Errorf("the patient before: %v", err)
			}
		}
		o = pull(t, client, fhirsync.Server{Name: "server", BaseURL: srv.BaseURL()}, srv, rec.PatientID, faults...)
		for _, f := range faults {
			o.invents = o.invents || strings.HasPrefix(f.Name, "EndlessPages")
		}
	})
	return o
}

// sameContent tells whether two Binary resources hold the same: one may have been made of the bytes that the server gives in its place.
func sameContent(a, b []byte) bool {
	var x, y struct {
		ResourceType, ID, ContentType string
		Data                          []byte
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x.ResourceType == "Binary" && x.ResourceType == y.ResourceType && x.ID == y.ID &&
		x.ContentType == y.ContentType && bytes.Equal(x.Data, y.Data)
}

// properties checks what must hold whatever the server does.
func (o outcome) properties(t *testing.T) {
	t.Helper()
	rep := o.report
	if len(o.alien) > 0 && !o.invents {
		t.Errorf("in the store and not the patient's: %v", o.alien)
	}
	if lost := o.unnamed(); len(lost) > 0 {
		t.Errorf("missing, and the report does not say so: %v\n%s", lost, rep)
	}
	if lost := o.unavailable(); len(lost) > 0 && rep.Verdict == fhirsync.Complete {
		t.Errorf("complete, and missing: %v\n%s", lost, rep)
	}
	if len(o.twice) > 0 {
		t.Errorf("twice in the store, once under an id that was made of the content: %v", o.twice)
	}
	if o.repaired > 0 && len(rep.Repairs) == 0 {
		t.Errorf("%d resources were repaired, and the report does not say so", o.repaired)
	}
	if o.open > 0 {
		t.Errorf("%d response bodies were left open", o.open)
	}
	incomplete := new(fhirsync.IncompleteError)
	switch {
	case (rep.Verdict == fhirsync.Incomplete) != (o.err != nil):
		t.Errorf("the verdict is %s, and the error %v", rep.Verdict, o.err)
	case errors.As(o.err, &incomplete) && (len(incomplete.Gaps) == 0 || rep.Interrupted):
		t.Error("incomplete without a gap that says why, or interrupted as well")
	}
}

// unnamed gives what is missing and not covered by the report: a verdict of Incomplete or Restricted with a gap for the resource, for its
// type, or for everything.
func (o outcome) unnamed() []string {
	return slices.DeleteFunc(slices.Clone(o.lost), func(ref string) bool {
		if o.report.Interrupted {
			return true
		}
		typ, _, _ := strings.Cut(ref, "/")
		return slices.ContainsFunc(o.report.Gaps, func(g fhirsync.Gap) bool {
			switch {
			case g.Ref == ref:
				return true
			case g.Ref != "" && g.Reason.Verdict() == fhirsync.Complete:
				return false
			case g.Reason == fhirsync.Skipped:
				return false
			case g.Type == typ || strings.Contains(g.Detail, typ):
				return true
			case g.Type == "":
				return g.Reason.Verdict() != fhirsync.Complete
			}
			// What only a missing resource names is missing with it.
			return !searchable(typ) && (g.Reason.Verdict() != fhirsync.Complete || o.lacks(g))
		})
	})
}

// unavailable gives what is missing of types that the server has, as far as can be told: one that neither claims a type nor answers for it
// cannot be told from one that does not have it.
func (o outcome) unavailable() []string {
	return slices.DeleteFunc(slices.Clone(o.lost), func(ref string) bool {
		typ, _, _ := strings.Cut(ref, "/")
		return slices.ContainsFunc(o.report.Gaps, func(g fhirsync.Gap) bool {
			return g.Type == typ && g.Ref == "" && g.Reason == fhirsync.Unsupported || !searchable(typ) && o.lacks(g)
		})
	})
}

// lacks tells whether a gap is of a type that the server does not seem to have, and of which something is missing.
func (o outcome) lacks(g fhirsync.Gap) bool {
	return g.Reason == fhirsync.Unsupported && g.Ref == "" && slices.ContainsFunc(o.lost, func(ref string) bool { return strings.HasPrefix(ref, g.Type+"/") })
}

// searchable tells whether a type is asked for by patient; the others come by reference only.
func searchable(typ string) bool {
	switch typ {
	case "Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Endpoint", "Medication", "ResearchStudy", "Binary":
		return false
	}
	return true
}
