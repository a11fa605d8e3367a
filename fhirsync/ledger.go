package fhirsync

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
)

// ledger holds what a sync owes and how each obligation ended. Every obligation is entered before a request for it is sent. What is still
// open at the end becomes a gap: a ledger with an open obligation is never complete. Safe for concurrent use.
type ledger struct {
	onGap func(Gap)

	mu    sync.Mutex
	types map[string]*typeEntry
	gaps  map[gapKey]*Gap
	notes map[noteKey]int
	// repairs are of pages; those of resources are with their types.
	repairs map[RepairKind]int
	checks  map[gapKey]bool    // gaps that came of checking a type
	open    map[*node]struct{} // parts, questions and jobs that have not ended
}

type gapKey struct {
	typ, ref, host string
	reason         GapReason
	detail         string
}

type noteKey struct{ typ, detail string }

// maxNotes bounds the memory for notes, which hold words of the server.
const maxNotes = 2000

// maxGaps bounds the memory for gaps. What goes beyond is counted in one gap of reason Limited.
const maxGaps = 50_000

// typeEntry is the obligation "all resources of this type of this patient".
type typeEntry struct {
	TypeReport
	repairs  map[RepairKind]int // of resources that are on their way to the store or there
	owed     bool               // asked for by the caller: it must end in one way or another
	ended    bool               // answered, or ended in a gap
	settled  bool               // answered
	covered  bool               // an operation brought what it has of the type, which proves nothing
	whole    *answer
	parts    int         // parts asked
	partKeys *keyset.Set // distinct matches of the parts
	// closure counts resources of the patient that references brought although the search, which was answered, had not.
	closure, closureSeen int
	// Of the passes for other ids of the patient that are over: how many there were, the weakest evidence, what was received and expected.
	passes                   int
	floor                    Evidence
	receivedThen, expectThen int
	restored                 int  // of what was received: by an earlier part of this run, as its state has it
	subject                  int  // received in this pass, and about the patient: what the plain question for the type must find
	checked, verified        bool // against the server's count: begun, and done
	// What the question for the whole type took, in the form that took most, and the parts of it, in pages.
	wholePages, partPages int
	tried                 bool // asked for at all
	leastThen             int  // of the passes that are over
}

// answer is what a chain of pages for all resources of a type came to.
type answer struct {
	question
	form        form
	matches     int // distinct resources among the matches
	total       int // the last Bundle.total; -1: none
	hadTotal    bool
	totals      bool // totals differed between pages
	said        int  // the largest Bundle.total that was not believed, because it means something else on this server
	pages       int  // pages read
	asked       int  // _count
	early       bool // a sign that it ended too soon: a loop, or a chain that never ended
	partial     bool // the server said itself that the answer may be partial
	withheld    bool // the server said that it holds something back
	why         string
	keys        *keyset.Set // the matches; nil where they are not known any longer
	inside      bool        // it came inside of a batch, where servers cut searches without a sign
	parted      bool        // it was asked in parts of which nothing shows that they are the whole
	cut         bool        // and of one of them something is known to be missing
	filled      bool        // it was asked for in parts beside
	provenWhole bool        // and these are known to be the whole
	lost        *Gap        // a page was lost: the gap it is unless the rest can be brought in another way
	counted     *int        // a count that was asked when it had ended, and agreed; nil: none
	countTried  bool        // a count was asked for then
	again       bool        // other forms were tried because references brought what this answer had not
}

// node is one obligation beside those of whole types: a part of a type, a question with parameters, a job of a strategy.
type node struct {
	typ    string
	label  string // for the report
	parent *node
	open   int // children that have not ended; a node without children is open until it ends
	failed bool
	ended  bool
	scope  *scope
	isPart bool
}

// scope is a run of a strategy within another.
type scope struct{ parent *scope }

func (s *scope) within(outer *scope) bool {
	for ; s != nil; s = s.parent {
		if s == outer {
			return true
		}
	}
	return false
}

func newLedger(onGap func(Gap)) *ledger {
	return &ledger{onGap: onGap, types: map[string]*typeEntry{}, gaps: map[gapKey]*Gap{}, notes: map[noteKey]int{}, open: map[*node]struct{}{}}
}

// typ gives the entry of a type; the caller holds the lock.
func (l *ledger) typ(name string) *typeEntry {
	e := l.types[name]
	if e == nil {
		e = &typeEntry{}
		l.types[name] = e
	}
	return e
}

// with runs fn on the entry of a type under the lock.
func (l *ledger) with(name string, fn func(e *typeEntry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(l.typ(name))
}

// owe enters the obligation for a whole type.
func (l *ledger) owe(name string) { l.with(name, func(e *typeEntry) { e.owed = true }) }

// unchecked tells whether an answer is still to be verified.
func (l *ledger) unchecked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.types {
		if e.settled && e.whole != nil && (!e.checked || e.closure > e.closureSeen) {
			return true
		}
	}
	return false
}

// disown takes back what is owed, the Patient aside: another FHIR version has other types.
func (l *ledger) disown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, e := range l.types {
		e.owed = name == "Patient"
	}
}

// settle ends the obligation for a whole type by an answer.
func (l *ledger) settle(name string, evidence Evidence, a *answer) {
	l.with(name, func(e *typeEntry) {
		e.ended, e.settled = true, true
		e.Evidence = max(e.Evidence, evidence)
		if a != nil {
			e.whole = a
		}
	})
}

// fail ends the obligation for a whole type by a gap.
func (l *ledger) fail(name string, g Gap) {
	l.with(name, func(e *typeEntry) { e.ended = true })
	g.Type = name
	l.gap(g)
}

// gap enters a gap. Gaps that are the same but for their count are one.
func (l *ledger) gap(g Gap) {
	l.mu.Lock()
	k := gapKey{g.Type, g.Ref, g.Host, g.Reason, g.Detail}
	if known := l.gaps[k]; known != nil {
		known.Count += max(g.Count, 1)
		l.mu.Unlock()
		return
	}
	if len(l.gaps) >= maxGaps {
		k = gapKey{reason: Limited, detail: "more gaps than are listed one by one"}
		if known := l.gaps[k]; known != nil {
			known.Count++
			l.mu.Unlock()
			return
		}
		g = Gap{Reason: k.reason, Detail: k.detail}
	}
	g.Count = max(g.Count, 1)
	l.gaps[k] = &g
	l.mu.Unlock()
	l.onGap(g)
}

// dangling gives what was found not to be there.
func (l *ledger) dangling() []Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Gap
	for _, g := range l.gaps {
		if g.Reason == Dangling && g.Ref != "" {
			out = append(out, *g)
		}
	}
	return out
}

// takeBack takes a gap back.
func (l *ledger) takeBack(g *Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.gaps, gapKey{g.Type, g.Ref, g.Host, g.Reason, g.Detail})
}

// gapOnce enters a gap of a type that is checked more than once: the newest of the same reason counts.
func (l *ledger) gapOnce(g Gap) {
	l.mu.Lock()
	for k := range l.gaps {
		if k.typ == g.Type && k.ref == "" && k.reason == g.Reason && l.checks[k] {
			delete(l.gaps, k)
			delete(l.checks, k)
		}
	}
	if l.checks == nil {
		l.checks = map[gapKey]bool{}
	}
	l.checks[gapKey{g.Type, g.Ref, g.Host, g.Reason, g.Detail}] = true
	l.mu.Unlock()
	l.gap(g)
}

// note enters a note.
func (l *ledger) note(typ, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := noteKey{typ, detail}
	if _, known := l.notes[k]; !known && len(l.notes) >= maxNotes {
		k = noteKey{detail: "more notes than are kept"}
	}
	l.notes[k]++
}

// begin enters an obligation beside the whole types.
func (l *ledger) begin(n *node) *node {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[n] = struct{}{}
	return n
}

// split enters the parts of a whole type, or of a part.
func (l *ledger) split(whole *node, typ, label string, sc *scope, labels []string) []*node {
	l.mu.Lock()
	defer l.mu.Unlock()
	if whole == nil {
		whole = &node{typ: typ, label: label, scope: sc, isPart: true}
		l.open[whole] = struct{}{}
	}
	out := make([]*node, len(labels))
	for i, text := range labels {
		out[i] = &node{typ: typ, label: text, parent: whole, scope: sc, isPart: true}
		l.open[out[i]] = struct{}{}
	}
	whole.open += len(out)
	e := l.typ(typ)
	e.parts += len(out)
	e.Parts = label
	return out
}

// end ends an obligation beside the whole types. When the last part of a type has ended well, the type is settled as asked in parts.
func (l *ledger) end(n *node, well bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n != nil && !n.ended {
		n.ended = true
		n.failed = n.failed || !well
		delete(l.open, n)
		p := n.parent
		if p == nil {
			if n.isPart {
				e := l.typ(n.typ)
				e.ended = true
				if !n.failed {
					e.settled, e.Evidence = true, max(e.Evidence, Partitioned)
				}
			}
			return
		}
		p.failed = p.failed || n.failed
		if p.open--; p.open > 0 {
			return
		}
		n, well = p, !p.failed
	}
}

// nextPass closes the books for one id of the patient and opens them for the next.
func (l *ledger) nextPass() {
	l.close(false, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.types {
		if !e.owed {
			continue
		}
		evidence := e.Evidence
		if !e.settled {
			evidence = None
		}
		if e.passes == 0 || evidence < e.floor {
			e.floor = evidence
		}
		e.passes++
		e.leastThen += e.least()
		e.wholePages, e.partPages, e.tried = 0, 0, false
		e.receivedThen, e.subject = e.Received, 0
		if e.Expected != nil {
			e.expectThen += *e.Expected
		}
		e.ended, e.settled, e.covered, e.whole, e.parts, e.partKeys, e.closure, e.closureSeen = false, false, false, nil, 0, nil, 0, 0
		e.checked, e.verified, e.Expected, e.Evidence = false, false, nil, None
	}
	clear(l.open)
}

// withdraw forgets what a strategy left open that turned out not to be supported.
func (l *ledger) withdraw(sc *scope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range l.open {
		if n.scope.within(sc) {
			n.ended = true
			delete(l.open, n)
		}
	}
}

// close turns what is still open into gaps. interrupted: the run did not reach its end.
func (l *ledger) close(interrupted bool, cause error) {
	reason, detail := Unasked, "the strategy never asked for it"
	if interrupted {
		reason, detail = Failed, "the sync ended before it was answered"
	}
	l.mu.Lock()
	var open []Gap
	var covered []string
	for name, e := range l.types {
		switch {
		case e.ended || !e.owed:
		case e.covered && !interrupted:
			covered = append(covered, name)
			e.ended = true
		default:
			open = append(open, Gap{Type: name, Reason: reason, Detail: detail, Err: cause})
		}
	}
	for n := range l.open {
		if n.parent == nil && n.isPart && n.open > 0 {
			continue // its open parts say it.
		}
		d := "left in the middle: " + n.label
		if interrupted {
			d = detail + ": " + n.label
		}
		open = append(open, Gap{Type: n.typ, Reason: reason, Detail: d, Err: cause})
	}
	l.mu.Unlock()
	if len(covered) > 0 {
		slices.Sort(covered)
		l.gap(Gap{
			Reason: Unproven, Count: len(covered),
			Detail: "an operation brought what there is, and nothing proves that it is all: " + strings.Join(covered, ", "),
		})
	}
	for _, g := range open {
		l.gap(g)
	}
}

// asked notes how many pages a question had. A refusal is one.
func (l *ledger) asked(q *question, pages int, refused bool) {
	l.with(q.typ, func(e *typeEntry) {
		e.tried = true
		switch {
		case q.whole() && !refused:
			e.wholePages = max(e.wholePages, pages, 1)
		case q.node != nil && q.node.isPart:
			e.partPages += max(pages, 1)
		}
	})
}

// minimum is the part of RequestCounts.Minimum that the ledger knows of.
func (l *ledger) minimum() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for name, e := range l.types {
		if name == "Patient" {
			n += 1 + e.passes
			continue
		}
		n += e.leastThen + e.least()
	}
	return n
}

// least is how many requests the type takes at least.
func (e *typeEntry) least() int {
	switch {
	case e.wholePages > 0:
		return e.wholePages
	case e.tried:
		return max(e.partPages, 1)
	}
	return 0
}

// report writes the ledger into a report.
func (l *ledger) report(r *Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Types = map[string]TypeReport{}
	r.Gaps = []Gap{}
	r.Verdict, r.Evidence = Complete, None
	bad := map[string]bool{}
	for _, g := range l.gaps {
		r.Gaps = append(r.Gaps, *g)
		r.Verdict = min(r.Verdict, g.Reason.Verdict())
		if g.Ref == "" && g.Reason.Verdict() != Complete {
			bad[g.Type] = true
		}
	}
	first := true
	for name, e := range l.types {
		if !e.owed && e.Received == 0 && !e.ended {
			continue
		}
		t := e.TypeReport
		if !e.settled {
			t.Evidence = None
		}
		if e.passes > 0 {
			t.Evidence = min(t.Evidence, e.floor)
			if t.Expected != nil {
				n := *t.Expected + e.expectThen
				t.Expected = &n
			}
		}
		r.Types[name] = t
		if e.settled && !bad[name] {
			if first || t.Evidence < r.Evidence {
				r.Evidence = t.Evidence
			}
			first = false
		}
	}
	slices.SortFunc(r.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Detail, b.Detail))
	})
	r.Repairs = l.allRepairs()
	r.Notes = nil
	for _, k := range slices.SortedFunc(maps.Keys(l.notes), func(a, b noteKey) int {
		return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.detail, b.detail))
	}) {
		r.Notes = append(r.Notes, Note{Type: k.typ, Detail: k.detail, Count: l.notes[k]})
	}
}

// counted puts a number and a noun together.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
