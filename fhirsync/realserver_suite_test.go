package fhirsync_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// table collects what was seen, for people.
type table struct {
	mu   sync.Mutex
	rows []string
}

func (tb *table) add(s *realServer, p *loadedPatient, strategy string, rep *fhirsync.Report, c compared) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows = append(tb.rows, fmt.Sprintf("%s\t%s\t%s\t%d\t%.4f\t%s\t%s\t%d\t%.1f\t%d", s.name, p.name, strategy, len(p.truth.raw), c.recall(p),
		rep.Verdict, rep.Evidence, rep.Requests.Total(), rep.Finished.Sub(rep.Started).Seconds(), c.same))
}

func (tb *table) log(t *testing.T) {
	t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	slices.Sort(tb.rows)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tpatient\tstrategy\tresources\trecall\tverdict\tevidence\trequests\tseconds\tequal to a read byte by byte")
	fmt.Fprintln(w, strings.Join(tb.rows, "\n"))
	w.Flush()
	t.Logf("\n%s", b.String())
}

// realStrategies are those that are tried on every server, in the order of the table.
func realStrategies() []fhirsync.Strategy {
	return []fhirsync.Strategy{
		fhirsync.SearchByType(), fhirsync.Auto(), fhirsync.Everything(),
		fhirsync.Union(fhirsync.Everything(), fhirsync.SearchByType()), fhirsync.FirstOf(fhirsync.Everything(), fhirsync.SearchByType()),
	}
}

// realClient makes a client that has learned nothing yet and goes as fast as the server does.
func realClient(t *testing.T, cfg fhirsync.Config) *fhirsync.Client {
	t.Helper()
	cfg.Limit = ratelimit.Policy{Rate: -1, Concurrency: 8}
	c, err := fhirsync.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRealServers pulls patients from servers that nobody here wrote, by every strategy, and compares with what was loaded and with what
// the server says.
func TestRealServers(t *testing.T) {
	t.Parallel()
	tb := new(table)
	t.Cleanup(func() { tb.log(t) })
	for _, s := range realServers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.connect(t)
			patients := s.loadAll(t)
			for i, p := range patients {
				t.Run(p.name, func(t *testing.T) {
					for _, strategy := range realStrategies() {
						name := strategy.Name()
						if i > 1 && name != "auto" && name != "search-by-type" {
							continue // one of each origin is enough for all strategies.
						}
						t.Run(name, func(t *testing.T) { s.pull(t, tb, p, strategy) })
					}
				})
			}
			t.Run("side by side", func(t *testing.T) { s.pullAll(t, tb, patients[:3]) })
			if s.forgetful {
				t.Run("page links expire", func(t *testing.T) { s.forgetPages(t, tb) })
			}
		})
	}
}

// loadAll loads the patients of the suite. The first two are of different origin.
func (s *realServer) loadAll(t *testing.T) []*loadedPatient {
	t.Helper()
	var patients []*loadedPatient
	folders := []string{component(t, "FHIRSYNC_SYNTHEA")}
	if more := os.Getenv("FHIRSYNC_RECORDS"); more != "" {
		folders = append(folders, more)
	}
	for _, folder := range folders {
		for _, f := range readFiles(t, folder) {
			if f.patients > 0 && f.size > s.most {
				continue
			}
			if p := s.load(t, f); p != nil {
				patients = append(patients, p)
			}
		}
	}
	if len(patients) == 0 {
		t.Fatalf("%s: no patient of %v is small enough", s.name, folders)
	}
	patients = slices.Insert(
		patients, 1,
		s.loadGenerated(t, fhirtest.Options{Seed: 41, Size: 150, Secondary: 6, Dangling: 3}),
		s.loadGenerated(t, fhirtest.Options{Seed: 42, Size: 110}),
	)
	for _, p := range patients {
		s.learn(t, p)
		if len(p.truth.orphans) > 0 {
			t.Logf("%s: %s: nothing leads to %d of %d loaded resources: %.200s", s.name, p.name, len(p.truth.orphans), len(p.refs), strings.Join(p.truth.orphans, " "))
		}
	}
	return patients
}

// pull brings one patient by one strategy and looks at everything that came of it.
func (s *realServer) pull(t *testing.T, tb *table, p *loadedPatient, strategy fhirsync.Strategy) {
	t.Helper()
	store := new(memstore.Store)
	rep, err := realClient(t, fhirsync.Config{Strategy: strategy}).Sync(t.Context(), fhirsync.Server{Name: s.name, BaseURL: s.base}, p.id, store, nil)
	if rep == nil {
		t.Fatal(err)
	}
	c := s.compare(t, p, store)
	tb.add(s, p, strategy.Name(), rep, c)
	s.check(t, p, strategy.Name(), rep, err, c)
	if n := len(c.lost); len(slices.Collect(store.All())) != len(p.truth.raw)-n+len(c.alien) {
		t.Error("something is in the store that is not this patient's")
	}
}

// pullAll brings several patients at once with one client into one store.
func (s *realServer) pullAll(t *testing.T, tb *table, patients []*loadedPatient) {
	t.Helper()
	store, client := new(memstore.Store), realClient(t, fhirsync.Config{})
	var wg sync.WaitGroup
	reports, errs := make([]*fhirsync.Report, len(patients)), make([]error, len(patients))
	for i, p := range patients {
		wg.Go(func() {
			reports[i], errs[i] = client.Sync(t.Context(), fhirsync.Server{Name: s.name, BaseURL: s.base}, p.id, store, nil)
		})
	}
	wg.Wait()
	for i, p := range patients {
		if reports[i] == nil {
			t.Fatal(errs[i])
		}
		c := s.compare(t, p, store)
		tb.add(s, p, "auto, side by side", reports[i], c)
		s.check(t, p, "auto", reports[i], errs[i], c)
	}
}

// check holds a report against the truth.
func (s *realServer) check(t *testing.T, p *loadedPatient, strategy string, rep *fhirsync.Report, err error, c compared) {
	t.Helper()
	if len(c.alien) > 0 {
		t.Errorf("not to be there: %.1000s", strings.Join(c.alien, " "))
	}
	if len(c.altered) > 0 {
		t.Errorf("other than a read gives it: %.1000s", strings.Join(c.altered, " "))
	}
	if (rep.Verdict == fhirsync.Incomplete) != errors.Is(err, fhirsync.ErrIncomplete) || rep.Interrupted {
		t.Errorf("verdict %s, interrupted %t, error %v", rep.Verdict, rep.Interrupted, err)
	}
	if len(c.lost) > 0 && rep.Verdict == fhirsync.Complete {
		t.Errorf("complete, and %d are missing: %.1000s", len(c.lost), strings.Join(c.lost, " "))
	}
	want, lost := fhirsync.Complete, c.lost
	switch {
	case s.everything && (strategy == "everything" || strings.HasPrefix(strategy, "first-of")):
		want = fhirsync.Restricted // nothing proves what the operation brings, and it leaves out some.
		lost = slices.DeleteFunc(slices.Clone(lost), func(ref string) bool {
			typ, _, _ := strings.Cut(ref, "/")
			return slices.Contains(s.leavesOut, typ)
		})
	case strategy == "everything":
		want = fhirsync.Incomplete // it is the only way, and the server does not know it.
	}
	if rep.Verdict != want {
		t.Errorf("verdict %s, want %s", rep.Verdict, want)
	}
	if want != fhirsync.Incomplete && len(lost) > 0 {
		t.Errorf("%d are missing: %.1000s", len(lost), strings.Join(lost, " "))
	}
	if want == fhirsync.Complete && rep.Evidence < fhirsync.Ended {
		t.Errorf("complete on evidence %s", rep.Evidence)
	}
	for typ, said := range p.truth.counted {
		r := rep.Types[typ]
		if want == fhirsync.Complete && r.Received < said {
			t.Errorf("%s: the server counts %d, %d were received", typ, said, r.Received)
		}
		if r.Expected != nil && *r.Expected != said {
			t.Errorf("%s: the server counts %d, the report expects %d", typ, said, *r.Expected)
		}
		if want == fhirsync.Complete && said > 0 && r.Evidence < fhirsync.Ended {
			t.Errorf("%s: evidence %s", typ, r.Evidence)
		}
	}
	for typ, r := range rep.Types {
		if r.Stored != r.Received {
			t.Errorf("%s: %d received, %d stored", typ, r.Received, r.Stored)
		}
	}
	dangling := 0
	for _, g := range rep.Gaps {
		if g.Reason == fhirsync.Dangling {
			dangling++
		}
	}
	if want != fhirsync.Incomplete && dangling < p.dangling {
		t.Errorf("%d dangling references are reported, at least %d were loaded", dangling, p.dangling)
	}
	if t.Failed() {
		t.Log(rep)
	}
}
