package fhirsync

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/fhirsync/fhirsync-go/ratelimit"
	"github.com/fhirsync/fhirsync-go/refs"
)

// A sync takes as long as the longest chain of pages, which are read one by one, and what is done after that comes on top. So what need not
// wait for its end goes on beside it: the questions for the same type by other parameters, full lists of targets, contents, and counts of what
// has been answered. It never costs a request more than it would at the end, a list aside where it turns out that it was not the last of its
// type, and whatever is not done here is done when the strategy has returned: see complete.

// beside does what need not wait, in the places that no question needs. The zero pointer does nothing. Safe for concurrent use.
type beside struct {
	r      *run
	kicked chan struct{} // something has changed; buffered
	stop   chan struct{}
	loop   sync.WaitGroup
	jobs   sync.WaitGroup

	mu      sync.Mutex
	asking  int            // questions under way
	running int            // jobs under way
	flying  map[string]int // targets that are asked for by jobs, by type
	waiting []*branch
	closed  bool
	failed  error // the run is over
}

func (r *run) goBeside() *beside {
	b := &beside{r: r, kicked: make(chan struct{}, 1), stop: make(chan struct{}), flying: map[string]int{}}
	b.loop.Go(func() {
		for {
			select {
			case <-b.kicked:
				b.fill()
			case <-b.stop:
				return
			case <-r.ctx.Done():
				return
			}
		}
	})
	return b
}

// close begins nothing more and waits for what is under way. The error means that the run is over.
func (b *beside) close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	close(b.stop)
	b.loop.Wait()
	b.jobs.Wait()
	return b.failed
}

// kick says that something has changed.
func (b *beside) kick() {
	if b == nil {
		return
	}
	select {
	case b.kicked <- struct{}{}:
	default:
	}
}

// enter says that a question needs a place, until leave is called.
func (b *beside) enter() (leave func()) {
	if b == nil {
		return func() {}
	}
	b.mu.Lock()
	b.asking++
	b.mu.Unlock()
	return func() {
		b.mu.Lock()
		b.asking--
		b.mu.Unlock()
		b.kick()
	}
}

// job is something that takes one place.
type job struct {
	typ     string // of targets that it asks for
	targets int    // how many
	do      func(ctx context.Context) error
}

// keptPlaces are not taken by counts.
const keptPlaces = 2

// fill begins jobs as long as there are places and something to do.
func (b *beside) fill() {
	for {
		b.mu.Lock()
		free := !b.closed && b.failed == nil && b.asking+b.running < workers && b.r.ctx.Err() == nil
		var j *job
		if free && len(b.waiting) > 0 {
			x := b.waiting[0]
			b.waiting = b.waiting[1:]
			x.begun = true
			j = &job{do: func(context.Context) error { return x.run() }}
		}
		b.mu.Unlock()
		if !free {
			return
		}
		if j == nil {
			j = b.follow()
		}
		if j == nil && b.places() > keptPlaces {
			j = b.count() // what can be asked at any time leaves places for what others wait for.
		}
		if j == nil {
			return
		}
		b.mu.Lock()
		b.running++
		b.flying[j.typ] += j.targets
		b.mu.Unlock()
		b.jobs.Go(func() {
			err := j.do(b.r.ctx)
			b.mu.Lock()
			b.running--
			if b.flying[j.typ] -= j.targets; b.flying[j.typ] == 0 {
				delete(b.flying, j.typ)
			}
			if b.failed == nil {
				b.failed = err
			}
			b.mu.Unlock()
			b.kick()
		})
	}
}

// places tells how many places are free.
func (b *beside) places() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return workers - b.asking - b.running
}

// branch is the questions for a type by parameters under which the patient is no subject, which go on beside the chain of the whole type. Their
// pages are handed to whoever reads that one, so that a strategy sees one page at a time.
type branch struct {
	beside *beside
	ask    func(yield func(*Page) bool, lazy bool) error
	pages  chan *Page
	more   chan bool
	done   chan struct{}
	err    error

	offered, begun bool // guarded by beside.mu
}

// newBranch makes the branch of a question; nil: it has none, or nothing goes on beside any longer.
func (b *beside) newBranch(ask func(yield func(*Page) bool, lazy bool) error) *branch {
	if b == nil {
		return nil
	}
	return &branch{beside: b, ask: ask, pages: make(chan *Page), more: make(chan bool), done: make(chan struct{})}
}

// offer lets a branch begin when there is a place for it.
func (x *branch) offer() {
	if x == nil {
		return
	}
	x.beside.mu.Lock()
	if !x.offered && !x.begun && !x.beside.closed {
		x.offered = true
		x.beside.waiting = append(x.beside.waiting, x)
	}
	x.beside.mu.Unlock()
	x.beside.kick()
}

// run asks, in a goroutine of its own.
func (x *branch) run() error {
	defer close(x.done)
	x.err = x.ask(func(p *Page) bool {
		select {
		case x.pages <- p:
			return <-x.more
		case <-x.beside.r.ctx.Done():
			return false
		}
	}, true)
	return x.err
}

// join brings a branch to its end: here, if it has not begun.
func (x *branch) join(yield func(*Page) bool) error {
	if x.claim() {
		x.err = x.ask(yield, false)
		close(x.done)
		return x.err
	}
	for {
		select {
		case p := <-x.pages:
			x.more <- yield(p)
		case <-x.done:
			return x.err
		}
	}
}

// drop ends a branch that is of no use: what has begun is waited for, and its pages go nowhere.
func (x *branch) drop() error {
	switch {
	case x == nil:
		return nil
	case x.claim():
		close(x.done)
		return nil
	}
	return x.join(func(*Page) bool { return false })
}

// claim tells whether a branch has not begun, and keeps it from beginning.
func (x *branch) claim() bool {
	b := x.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	if x.begun {
		return false
	}
	x.begun = true
	b.waiting = slices.DeleteFunc(b.waiting, func(other *branch) bool { return other == x })
	return true
}

// await waits for a page, and hands on what the branch brings meanwhile.
func (c *chain) await(coming <-chan *fetched) *fetched {
	if c.branch == nil {
		return <-coming
	}
	for {
		select {
		case page := <-coming:
			return page
		case p := <-c.branch.pages:
			c.branch.more <- c.yield(p)
		}
	}
}

// standing is how far the questions for whole types have come.
type standing struct {
	open     map[string]bool // still to be asked, or being asked
	owed     map[string]bool
	answered map[string]bool // to the end: what is not there then does not come by a question for the type
}

func (r *run) standing() standing {
	s := standing{open: map[string]bool{}, owed: map[string]bool{}, answered: map[string]bool{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	doubted := map[string]bool{}
	for i := range r.doubts {
		doubted[r.doubts[i].q.typ] = true
	}
	leaned := map[string]bool{} // answered, and perhaps to be asked once more
	for i := range r.leans {
		if !r.confirmed(r.leans[i].form) {
			leaned[r.leans[i].q.typ] = true
		}
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	for name, e := range r.ledger.types {
		if !e.owed || name == "Patient" {
			continue
		}
		s.owed[name] = true
		switch {
		case leaned[name]:
		case e.settled && (r.answeredAll[name] || r.settled[name]):
			s.answered[name] = true
		case e.ended && !e.settled, doubted[name]: // nothing is known to come.
		default:
			s.open[name] = true
		}
	}
	return s
}

// follow finds targets of references that can be asked for now without its costing more than at the end: contents, as many of one type as a
// list takes, and fewer of a type that hardly will be named again. Nothing is asked for that may come by a question for its type.
func (b *beside) follow() *job {
	r := b.r
	if r.sources.Load() > 0 {
		return nil
	}
	s := r.standing()
	for typ := range s.open {
		if len(r.quirk(typ).Includes) > 0 {
			return nil // they come with others.
		}
	}
	r.mu.Lock()
	pending := r.front.Types()
	r.mu.Unlock()
	b.mu.Lock()
	others := maps.Clone(pending)
	for typ, n := range b.flying {
		if n > 0 {
			others[typ] += n
		}
	}
	b.mu.Unlock()
	for _, typ := range slices.SortedFunc(maps.Keys(pending), byWave) {
		if s.owed[typ] && !s.answered[typ] || len(s.open) > 0 && r.rides(typ) {
			continue
		}
		if (typ == "" || typ == "Binary") && r.mayDescribe(s.open) {
			continue
		}
		if targets := r.takeEarly(typ, pending[typ], s.open, others); len(targets) > 0 {
			return &job{typ: typ, targets: len(targets), do: func(ctx context.Context) error { return r.bring(ctx, targets) }}
		}
	}
	return nil
}

// mayDescribe tells whether more may come that names contents: another attachment can say what the hash of one must be.
func (r *run) mayDescribe(open map[string]bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for typ := range open {
		if x := r.front.naming.from[typ]; x == nil || x.seen < wellSeen || x.names[""] || x.names["Binary"] {
			return true
		}
	}
	return false
}

// rides tells whether resources of a type come with those of others.
func (r *run) rides(typ string) bool {
	for _, riders := range r.riders {
		for _, name := range riders {
			if len(name) > len(typ) && name[:len(typ)] == typ && name[len(typ)] == ':' {
				return true
			}
		}
	}
	return false
}

// takeEarly takes targets of one type for one list, if that is full or the type is not likely to be named any longer.
func (r *run) takeEarly(typ string, pending int, open map[string]bool, others map[string]int) []refs.Target {
	if typ == "" || typ == "Binary" {
		return r.takeSome(typ, 1, isContent)
	}
	full, plain := r.listLength(typ), true
	if full < 2 {
		full, plain = 1, false
		if r.mayBatch() {
			full = batchEntries
		}
	}
	if pending < full {
		r.mu.Lock()
		final := r.front.naming.isFinal(typ, open, others)
		r.mu.Unlock()
		if !final {
			return nil
		}
	}
	least := min(full, pending)
	targets := r.takeSome(typ, full, func(t *refs.Target) bool {
		return t.Version == "" && t.Query == "" && !isContent(t) && (!plain || isPlainID(t.ID))
	})
	slices.SortFunc(targets, func(a, b refs.Target) int { return cmp.Compare(a.ID, b.ID) })
	keep := len(targets)
	switch {
	case len(targets) < least:
		keep = 0 // the others are something else.
	case plain && len(targets) > 1:
		_, keep = r.listAddress(typ, targets, full)
	}
	r.putBack(targets[keep:])
	return targets[:keep]
}

// takeSome takes targets of one type off the frontier.
func (r *run) takeSome(typ string, n int, ok func(*refs.Target) bool) []refs.Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	targets := r.front.TakeSome(typ, n, ok)
	for i := range targets {
		r.front.open[targets[i].Literal()] = targets[i]
	}
	return targets
}

// putBack undoes takeSome.
func (r *run) putBack(targets []refs.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range targets {
		delete(r.front.open, targets[i].Literal())
	}
	r.front.Put(targets...)
}

// bring asks for targets of one type that were taken.
func (r *run) bring(ctx context.Context, targets []refs.Target) error {
	targets, err := r.notCome(targets)
	if err != nil || len(targets) == 0 {
		return err
	}
	w := r.newWave(targets)
	if isContent(&targets[0]) {
		return each(ctx, workers, targets, w.content)
	}
	return w.resources(ctx, map[string][]refs.Target{targets[0].Type: targets})
}

// count finds answers that can be checked by a count now. One that came in one page or in a few is as good as ended: what is written later
// changes nothing of it. Where batches work, counts are asked together.
func (b *beside) count() *job {
	r := b.r
	var due []*answer
	r.ledger.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(r.ledger.types)) {
		e := r.ledger.types[name]
		if a := e.whole; e.settled && a != nil && a.matches > 0 && !e.checked && !a.countTried && a.counted == nil && a.unsuspected() {
			due = append(due, a)
		}
	}
	r.ledger.mu.Unlock()
	due = slices.DeleteFunc(due, func(a *answer) bool { return !r.countDue(a, a.typ, 0) })
	if len(due) == 0 {
		return nil
	}
	n := 1
	if r.mayBatch() {
		n = min(len(due), batchEntries)
		open := len(r.standing().open)
		b.mu.Lock()
		idle := open <= b.asking
		b.mu.Unlock()
		if n < batchEntries && (n < batchLeast || !idle) {
			return nil // more may come.
		}
	}
	due = due[:n]
	r.ledger.mu.Lock()
	for _, a := range due {
		a.countTried = true
	}
	r.ledger.mu.Unlock()
	return &job{do: func(ctx context.Context) error {
		ctx = ratelimit.WithPriority(ctx, -1)
		if len(due) > 1 {
			var addresses []*url.URL
			for _, a := range due {
				addresses = append(addresses, r.countAddress(question{typ: a.typ}, a.form))
			}
			r.prefetch(ctx, forVerification, addresses)
		}
		for _, a := range due {
			n, ok := r.count(ctx, question{typ: a.typ}, a.form)
			if r.ctx.Err() != nil {
				return context.Cause(r.ctx)
			}
			if ok && n == a.matches {
				r.agrees(n)
				r.ledger.with(a.typ, func(*typeEntry) { a.counted = &n })
			}
		}
		return nil
	}}
}

// unsuspected tells whether nothing about an answer speaks for its not being whole: then a count that agrees is the last word. Anything else
// is looked at when all has come.
func (a *answer) unsuspected() bool {
	return !a.early && !a.totals && !a.partial && !a.withheld && !a.parted && !a.inside && a.lost == nil && a.said <= a.matches && (!a.hadTotal || a.total <= a.matches)
}

// agrees notes that a count agreed with what came.
func (r *run) agrees(count int) {
	r.server.facts.with(func(f *facts) {
		f.agreed++
		f.largest = max(f.largest, count)
	})
}

// mayBatch tells whether several things are better asked for together, as far as is known without asking.
func (r *run) mayBatch() bool {
	known := batchUnknown
	r.server.facts.with(func(f *facts) { known = f.batch })
	if known != batchUnknown {
		return known == batchWorks
	}
	most := deref(r.server.quirks.set.Batch.MaxEntries)
	if most > 0 && most < batchLeast || is(r.server.quirks.set.Batch.Supported, false) {
		return false
	}
	return is(r.server.quirks.set.Batch.Supported, true) || r.noCaps == nil && (r.caps.ClaimsInteraction("batch") || r.caps.ClaimsInteraction("transaction"))
}

// earliestCount is from how many pages on a chain is counted while its last page is asked for.
const earliestCount = 4

// countWithLast asks for the count of a long chain together with its last page: they tell of the same time, and the count takes none of its
// own. It is thrown away if it was not the last one, or they do not agree.
func (c *chain) countWithLast(ctx context.Context) {
	if c.pressing != 1 || c.lastCount != nil || c.out.pages < earliestCount || !c.q.whole() || !c.out.hadTotal && c.out.pages > 1 {
		return
	}
	a := answer{question: c.q, form: c.form, matches: c.out.total, total: c.out.total, hadTotal: true, asked: c.count}
	if !c.r.countDue(&a, c.q.typ, 0) {
		return
	}
	c.lastCount, c.countedAt = make(chan int, 1), c.out.pages+1
	go func() {
		n, ok := c.r.count(ratelimit.WithPriority(ctx, 1), c.q, c.form)
		if !ok {
			n = -1
		}
		c.lastCount <- n
	}()
}

// takeCount takes over what countWithLast found.
func (c *chain) takeCount() {
	if c.lastCount == nil {
		return
	}
	n := <-c.lastCount
	if a := &c.out.answer; c.out.err == nil && c.out.foreign == 0 && !c.out.ignored && c.out.pages == c.countedAt && n == c.r.distinct(c.q.typ, c.keys) && a.unsuspectedBy(n) {
		a.counted = &n
		c.r.agrees(n)
	}
}

// unsuspectedBy is unsuspected before the number of matches is set.
func (a *answer) unsuspectedBy(matches int) bool {
	b := *a
	b.matches = matches
	return b.unsuspected()
}

// byWave orders types as waves are.
func byWave(a, b string) int {
	return cmp.Or(cmp.Compare(waveOf[a], waveOf[b]), cmp.Compare(a, b))
}
