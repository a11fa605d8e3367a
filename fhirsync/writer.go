package fhirsync

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
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
	done   chan struct{}

	mostlyKnown atomic.Bool // the store had most of the last batch: it is of little use to look at what comes before the store was asked
}

// delivery is resources, or something to do with the store after all that was delivered before has been put.
type delivery struct {
	resources []Resource
	plain     []bool // which of them were looked at, and there is nothing: see look; nil: none
	held      int64  // bytes taken from the client's gate
	work      work
	last      bool // nothing comes after
}

// work is what is next for the store: a batch, or something to do.
type work struct {
	resources []Resource
	plain     []bool // as in delivery
	bytes     int64  // of the resources
	held      int64  // of the gate
	since     time.Time
	do        func(ctx context.Context) error
	did       chan error // buffered
}

// readyBatches is how many batches are made ahead of the store.
const readyBatches = 2

func newWriter(r *run, store Store) *writer {
	return &writer{
		r: r, store: store, powers: PowersOf(store), in: make(chan delivery), ready: make(chan work), asks: make(chan work), done: make(chan struct{}),
	}
}

// deliver hands resources over. It waits while too much is in flight.
func (w *writer) deliver(ctx context.Context, resources []Resource) error {
	d := delivery{resources: resources}
	if !w.mostlyKnown.Load() {
		d.plain = make([]bool, len(resources))
		for i := range resources {
			d.plain[i] = jsonscan.Plain(resources[i].Raw)
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
		if len(c.open.resources) > 0 {
			wait = batchWait - time.Since(c.open.since)
			if due = wait <= 0; due {
				wait = time.Hour
			}
		}
		timer.Reset(wait)
		in, ready := w.in, w.ready
		if len(c.queue) >= readyBatches {
			in = nil
		}
		var next work
		switch {
		case len(c.queue) > 0:
			next = c.queue[0]
		case due:
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
	for i := range d.resources {
		res := &d.resources[i]
		b := &c.open
		if n := len(b.resources); n > 0 && (n >= batchResources || b.bytes+size(res) > batchBytes) {
			c.closeBatch()
		}
		if len(b.resources) == 0 {
			b.since = time.Now()
			if len(d.resources) > batchResources/8 { // it will be full.
				b.resources, b.plain = make([]Resource, 0, batchResources), make([]bool, 0, batchResources)
			}
		}
		// What is larger than the whole gate took less of it than it weighs.
		held := min(d.held, weight(res))
		d.held -= held
		b.resources = append(b.resources, *res)
		b.plain = append(b.plain, d.plain != nil && d.plain[i])
		b.bytes += size(res)
		b.held += held
	}
	if len(c.open.resources) >= batchResources || c.open.bytes >= batchBytes {
		c.closeBatch()
	}
	if d.work.do != nil {
		c.closeBatch()
		c.queue = append(c.queue, d.work)
	}
}

// closeBatch ends the batch that is open, if there is one.
func (c *collected) closeBatch() {
	if len(c.open.resources) > 0 {
		c.queue = append(c.queue, c.open)
		c.open = work{}
	}
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
	order := make([]int, len(b.resources))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &b.resources[i].Key, &b.resources[j].Key
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	resources, plain := make([]Resource, len(order)), make([]bool, len(order))
	for at, i := range order {
		resources[at], plain[at] = b.resources[i], b.plain[i]
	}
	err := w.unchanged(ctx, resources)
	if err == nil {
		w.look(resources, plain)
		err = w.originals(ctx, resources)
	}
	if err != nil {
		w.r.storeFailed(err)
		return
	}
	for len(resources) > 0 {
		batch := Batch{Run: w.r.id, Server: w.r.server.name, PatientID: w.r.patientID, Resources: resources}
		start := time.Now()
		err := w.try(ctx, func() error { return w.store.Put(ctx, batch) })
		var reject *RejectError
		if errors.As(err, &reject) && len(reject.Rejected) > 0 {
			rest, err := w.reject(ctx, resources, reject)
			if err != nil {
				w.r.storeFailed(err)
				return
			}
			resources = rest
			continue
		}
		if err != nil {
			w.r.storeFailed(err)
			return
		}
		w.r.stored(resources, time.Since(start))
		return
	}
}

// unchanged asks the store what it holds already.
func (w *writer) unchanged(ctx context.Context, resources []Resource) error {
	if w.powers.Digests == nil {
		return nil
	}
	keys := make([]Key, len(resources))
	digests := make([][32]byte, len(resources))
	for i := range resources {
		keys[i], digests[i] = resources[i].Key, resources[i].Digest
	}
	return w.try(ctx, func() error {
		holds, err := w.powers.Digests.Holds(ctx, keys, digests)
		if err == nil && len(holds) != len(resources) {
			return errors.New("Holds answered for another number of keys than asked")
		}
		known := 0
		for i := range holds {
			resources[i].Unchanged = err == nil && holds[i]
			if resources[i].Unchanged {
				known++
			}
		}
		w.mostlyKnown.Store(known > len(resources)/2)
		return err
	})
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
