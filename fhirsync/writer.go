package fhirsync

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Limits of one batch.
const (
	batchResources = 1000
	batchBytes     = 8 << 20
	batchWait      = 200 * time.Millisecond
)

// How often a store is tried, and how long is waited between.
const (
	putAttempts = 4
	putWait     = 500 * time.Millisecond
)

// writer puts what came into the store. One goroutine (collect) makes batches of it while another one (loop) has the store at work, so that no two
// methods of the store are called at once; those who bring are held back while it is slow.
type writer struct {
	r      *run
	store  Store
	powers Powers
	in     chan delivery // to collect
	ready  chan work     // to loop
	asks   chan work     // the same, beside what is ready
	turn   chan struct{} // held by the one who takes in a page while the store has enough to do
	hungry chan struct{} // given away while it has not
	done   chan struct{}

	mostlyKnown atomic.Bool // the store had most of the last batch: it is of little use to look at what comes before the store was asked
	allNew      bool        // it had nothing of the last batch. Of loop alone, as is tells
	tells       bool        // its last Put told what it had
}

// delivery is resources, or something to do with the store after all that was delivered before has been put.
type delivery struct {
	resources []Resource
	plain     []bool // which of them were looked at, and there is nothing: see look
	held      int64  // bytes taken from the client's gate
	work      work
	last      bool // nothing comes after
}

// work is what is next for the store: a batch, or something to do.
type work struct {
	resources []Resource // once it is sorted
	plain     []bool     // as in delivery
	parts     []part     // as they came
	count     int        // of the resources
	bytes     int64      // of the resources
	held      int64      // of the gate
	sorted    bool       // in the order of keys
	since     time.Time
	do        func(ctx context.Context) error
	did       chan error // buffered
}

// readyBatches is how many batches are made ahead of the store.
const readyBatches = 4

func newWriter(r *run, store Store) *writer {
	return &writer{
		r: r, store: store, powers: PowersOf(store), in: make(chan delivery), ready: make(chan work), asks: make(chan work),
		turn: make(chan struct{}, 1), hungry: make(chan struct{}), done: make(chan struct{}),
	}
}

// begin waits until the next page may be taken in. What is done with a page before it is delivered takes about as long on one processor as most
// databases take for its rows, and often they are on the same machine: who is ahead of the store leaves it what it needs, and keeps
// pages as they came instead of twice. So while a batch waits for the store, pages are taken in one after another. The caller calls end when it has delivered.
func (w *writer) begin() (end func()) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }
	default:
	}
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }
	case <-w.hungry:
	case <-w.r.ctx.Done():
	case <-w.done:
	}
	return func() {}
}

// deliver hands resources over, with which of them are known to be plain. It waits while too much is in flight.
func (w *writer) deliver(ctx context.Context, resources []Resource, plain []bool) error {
	d := delivery{resources: resources, plain: plain}
	if !w.mostlyKnown.Load() {
		for i := range resources {
			plain[i] = plain[i] || jsonscan.Plain(resources[i].Raw)
		}
	}
	var n int64
	for i := range resources {
		n += weight(&resources[i])
	}
	var err error
	if d.held, err = w.r.client.inFlight.enter(ctx, n); err != nil {
		return err
	}
	select {
	case w.in <- d:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-w.done:
		err = errEnded
	}
	w.r.client.inFlight.leave(d.held)
	return err
}

// size is how many bytes a resource holds.
func size(res *Resource) int64 { return int64(len(res.Raw) + len(res.Original)) }

// weight is what it takes of the gate.
func weight(res *Resource) int64 { return size(res) + 256 }

// errEnded is what a strategy gets that goes on after its Fetch has returned.
var errEnded = errors.New("fhirsync: the sync has ended")

// do runs fn where the store may be called, after all that was delivered before has been put, and waits for it.
func (w *writer) do(ctx context.Context, fn func(ctx context.Context) error) error {
	wk := work{do: fn, did: make(chan error, 1)}
	select {
	case w.in <- delivery{work: wk}:
		return w.wait(ctx, wk)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.done:
		return errEnded
	}
}

// ask runs fn where the store may be called, whatever has been put by then, and waits for it.
func (w *writer) ask(ctx context.Context, fn func(ctx context.Context) error) error {
	wk := work{do: fn, did: make(chan error, 1)}
	select {
	case w.asks <- wk:
		return w.wait(ctx, wk)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.done:
		return errEnded
	}
}

func (w *writer) wait(ctx context.Context, wk work) error {
	select {
	case err := <-wk.did:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close puts what is left and ends both goroutines.
func (w *writer) close() {
	w.in <- delivery{last: true}
	<-w.done
}

// collect makes batches until close, and hands each over as soon as the store is free for it and it is full or has waited for long enough.
func (w *writer) collect() {
	defer close(w.ready)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var c collected
	for {
		wait, due := time.Hour, false
		if c.open.count > 0 {
			wait = batchWait - time.Since(c.open.since)
			if due = wait <= 0; due {
				wait = time.Hour
			}
		}
		timer.Reset(wait)
		in, ready, hungry := w.in, w.ready, w.hungry
		if len(c.queue) >= readyBatches {
			in = nil
		}
		if len(c.queue) > 0 {
			hungry = nil
		}
		var next work
		switch {
		case len(c.queue) > 0:
			next = c.queue[0]
		case due:
			c.open.sort()
			next = c.open
		default:
			ready = nil
		}
		select {
		case d := <-in:
			if d.last {
				c.closeBatch()
				for _, next := range c.queue {
					w.ready <- next
				}
				return
			}
			c.take(d)
		case ready <- next:
			if len(c.queue) > 0 {
				c.queue = c.queue[1:]
			} else {
				c.open = work{}
			}
		case hungry <- struct{}{}:
		case <-timer.C:
		}
	}
}

// collected is what waits for the store.
type collected struct {
	queue []work // in order
	open  work   // a batch that is not full yet, and comes after
}

func (c *collected) take(d delivery) {
	from := 0 // of those that are not in a batch yet
	for i := range d.resources {
		res := &d.resources[i]
		b := &c.open
		if b.count > 0 && (b.count >= batchResources || b.bytes+size(res) > batchBytes) {
			b.add(&d, from, i)
			from = i
			c.closeBatch()
		}
		if b.count == 0 {
			b.since = time.Now()
		}
		// What is larger than the whole gate took less of it than it weighs.
		held := min(d.held, weight(res))
		d.held -= held
		b.bytes += size(res)
		b.held += held
		b.count++
	}
	c.open.add(&d, from, len(d.resources))
	if c.open.count >= batchResources || c.open.bytes >= batchBytes {
		c.closeBatch()
	}
	if d.work.do != nil {
		c.closeBatch()
		c.queue = append(c.queue, d.work)
	}
}

// closeBatch ends the batch that is open, if there is one.
func (c *collected) closeBatch() {
	if c.open.count > 0 {
		c.open.sort()      // here and not while the store waits for it.
		c.open.parts = nil // nothing more comes.
		c.queue = append(c.queue, c.open)
		c.open = work{}
	}
}

// part is some of what was delivered together.
type part struct {
	resources []Resource
	plain     []bool
}

func (b *work) add(d *delivery, from, to int) {
	if from == to {
		return
	}
	b.parts, b.sorted = append(b.parts, part{d.resources[from:to], d.plain[from:to]}), false
}

// sort makes the resources of the parts, in the order of their keys.
func (b *work) sort() {
	if b.sorted {
		return
	}
	type place struct {
		res   *Resource
		plain bool
	}
	order := make([]place, 0, b.count)
	for _, p := range b.parts {
		for i := range p.resources {
			order = append(order, place{&p.resources[i], p.plain[i]})
		}
	}
	slices.SortFunc(order, func(x, y place) int {
		a, b := &x.res.Key, &y.res.Key
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	b.resources, b.plain = make([]Resource, len(order)), make([]bool, len(order))
	for i, p := range order {
		b.resources[i], b.plain[i] = *p.res, p.plain
	}
	b.sorted = true
}

// loop has the store at work until collect has ended and all of it is done. A store that failed for good ends the run; what comes after is
// thrown away, and the report counts it as received and not stored.
func (w *writer) loop(ctx context.Context) {
	defer close(w.done)
	go w.collect()
	for asked := false; ; {
		// Who asks has a page in hand that waits for the answer. But a batch does not wait for all who ask.
		if !asked {
			select {
			case ask := <-w.asks:
				w.work(ctx, ask)
				asked = true
				continue
			default:
			}
		}
		select {
		case ask := <-w.asks:
			w.work(ctx, ask)
			asked = true
		case next, more := <-w.ready:
			if !more {
				return
			}
			w.work(ctx, next)
			asked = false
		}
	}
}

func (w *writer) work(ctx context.Context, next work) {
	if next.do == nil {
		w.put(ctx, next)
		w.r.client.inFlight.leave(next.held)
		return
	}
	err := w.r.storeErr()
	if err == nil {
		err = next.do(ctx)
	}
	next.did <- err
}

// put puts a batch, all of it or nothing as far as is known.
func (w *writer) put(ctx context.Context, b work) {
	if w.r.storeErr() != nil {
		return
	}
	resources := b.resources
	asked, err := w.unchanged(ctx, resources)
	if err == nil {
		w.look(resources, b.plain)
		err = w.originals(ctx, resources)
	}
	if err != nil {
		w.r.storeFailed(err)
		return
	}
	for len(resources) > 0 {
		batch := Batch{Run: w.r.id, Server: w.r.server.name, PatientID: w.r.patientID, Resources: resources}
		start := time.Now()
		held, err := w.hand(ctx, batch, asked)
		var reject *RejectError
		if errors.As(err, &reject) && len(reject.Rejected) > 0 {
			rest, err := w.reject(ctx, resources, reject)
			if err != nil {
				w.r.storeFailed(err)
				return
			}
			resources, asked = rest, true
			continue
		}
		if err != nil {
			w.r.storeFailed(err)
			return
		}
		w.r.stored(resources, held, time.Since(start))
		return
	}
}

// hand gives the store a batch. held are those of which the store told only now that it had them; nil: none. After an error, what it has may be from
// this very batch.
func (w *writer) hand(ctx context.Context, batch Batch, asked bool) (held map[Key]bool, err error) {
	var mu sync.Mutex
	tells, tries := false, 0
	ctx = context.WithValue(ctx, asCameKey{}, asCameOf(batch.Resources))
	err = w.try(ctx, func() error {
		mu.Lock()
		tells, held = false, nil
		tries++
		mu.Unlock()
		return w.store.Put(OnHeld(ctx, func(keys []Key) {
			mu.Lock()
			defer mu.Unlock()
			tells = true
			if len(keys) > 0 && held == nil {
				held = map[Key]bool{}
			}
			for _, k := range keys {
				held[k] = true
			}
		}), batch)
	})
	mu.Lock() // who tells too late is not heard.
	defer mu.Unlock()
	if err != nil {
		return nil, err
	}
	w.tells = tells
	if asked || tries > 1 {
		return nil, nil
	}
	w.mostlyKnown.Store(2*len(held) > len(batch.Resources))
	w.allNew = tells && len(held) == 0
	return maps.Clone(held), nil
}

// samples is how many of a batch are asked for to see whether it is worth while to ask for all.
const samples = 16

// unchanged asks the store what it holds already. asked is false where it most likely holds nothing of the batch and tells of the rest when it puts it:
// see TellHeld.
func (w *writer) unchanged(ctx context.Context, resources []Resource) (asked bool, err error) {
	if w.powers.Digests == nil {
		return false, nil
	}
	if w.tells && w.allNew {
		return false, nil // as a rule it has nothing of the next one either, and if it has, it tells.
	}
	if w.tells && !w.mostlyKnown.Load() && len(resources) >= 2*samples {
		some := make([]int, samples)
		for i := range some {
			some[i] = i * (len(resources) - 1) / (samples - 1)
		}
		switch known, err := w.holds(ctx, resources, some); {
		case err != nil:
			return false, err
		case known == 0:
			return false, nil
		}
	}
	all := make([]int, len(resources))
	for i := range all {
		all[i] = i
	}
	known, err := w.holds(ctx, resources, all)
	w.allNew = known == 0
	w.mostlyKnown.Store(2*known > len(resources))
	return true, err
}

// holds asks the store which of some resources it holds, marks these, and counts them.
func (w *writer) holds(ctx context.Context, resources []Resource, which []int) (known int, err error) {
	keys := make([]Key, len(which))
	digests := make([][32]byte, len(which))
	for at, i := range which {
		keys[at], digests[at] = resources[i].Key, resources[i].Digest
	}
	err = w.try(ctx, func() error {
		holds, err := w.powers.Digests.Holds(ctx, keys, digests)
		if err == nil && len(holds) != len(which) {
			return errors.New("Holds answered for another number of keys than asked")
		}
		known = 0
		for at, i := range which {
			resources[i].Unchanged = err == nil && holds[at]
			if resources[i].Unchanged {
				known++
			}
		}
		return err
	})
	return known, err
}

// reject takes the rejected resources out: each is a gap, and goes into quarantine where there is one.
func (w *writer) reject(ctx context.Context, resources []Resource, reject *RejectError) ([]Resource, error) {
	var rest []Resource
	var items []Quarantined
	for i, res := range resources {
		why, is := reject.Rejected[i]
		if !is {
			rest = append(rest, res)
			continue
		}
		w.r.ledger.gap(Gap{Type: res.Type, Ref: res.Type + "/" + res.ID, Reason: Failed, Detail: "rejected by the store", Err: why})
		items = append(items, Quarantined{
			Run: w.r.id, Server: w.r.server.name, PatientID: w.r.patientID, Type: res.Type, ID: res.ID,
			Reason: "rejected by the store", Raw: slices.Clone([]byte(res.Raw)),
		})
	}
	if len(rest) == len(resources) {
		return nil, reject // its indexes are none of this batch.
	}
	return rest, w.quarantine(ctx, items)
}

// look looks for what a strict reader lets pass and readers make different things of: members that stand twice, which are only noted, and
// halves of characters. What the store holds already was looked at when it came. Of what is plain that is known already.
func (w *writer) look(resources []Resource, plain []bool) {
	for i := range resources {
		res := &resources[i]
		if res.Unchanged || plain[i] || jsonscan.Plain(res.Raw) {
			continue
		}
		fixed, found, err := jsonrepair.Repair(res.Raw, jsonrepair.Options{Names: true})
		if err != nil || len(found.Fixes) == 0 {
			continue
		}
		if len(found.Edits) > 0 {
			if res.Original == nil {
				res.Original = res.Raw
			}
			res.Raw = fixed
		}
		repairs := repairsOf(res.Type, found.Fixes)
		res.Repairs = append(slices.Clip(res.Repairs), repairs...)
		w.r.ledger.with(res.Type, func(e *typeEntry) { addRepairs(&e.repairs, repairs) })
	}
}

// originals keeps what repaired resources were before: ahead of the resources, so that there is no time at which it could be lost.
func (w *writer) originals(ctx context.Context, resources []Resource) error {
	var items []Quarantined
	for i := range resources {
		if res := &resources[i]; res.Original != nil && !res.Unchanged {
			items = append(items, Quarantined{
				Run: w.r.id, Server: w.r.server.name, PatientID: w.r.patientID, Type: res.Type, ID: res.ID,
				Reason: "repaired", Repairs: res.Repairs, Raw: slices.Clone(res.Original),
			})
		}
	}
	return w.quarantine(ctx, items)
}

func (w *writer) quarantine(ctx context.Context, items []Quarantined) error {
	if w.powers.Quarantine == nil || len(items) == 0 {
		return nil
	}
	return w.try(ctx, func() error { return w.powers.Quarantine.Quarantine(ctx, items) })
}

// try calls a method of the store until it succeeds, a few times.
func (w *writer) try(ctx context.Context, call func() error) error {
	for attempt := 1; ; attempt++ {
		err := call()
		var reject *RejectError
		if err == nil || errors.As(err, &reject) || errors.Is(err, ErrStateConflict) {
			return err
		}
		if attempt == putAttempts || ctx.Err() != nil {
			return err
		}
		w.r.client.cfg.Logger.WarnContext(ctx, "fhirsync: store failed, trying again", "attempt", attempt)
		timer := time.NewTimer(putWait << (attempt - 1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
