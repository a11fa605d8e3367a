package fhirsync

import (
	"cmp"
	"context"
	"errors"
	"slices"
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

// writer puts what came into the store: one goroutine, so that no two methods of the store are called at once, and those who bring are
// held back while it is slow.
type writer struct {
	r      *run
	store  Store
	powers Powers
	in     chan delivery
	done   chan struct{}

	pending []Resource
	bytes   int64 // of pending
	held    int64 // of the gate
	since   time.Time
}

// delivery is resources, or something to do with the store after all that was delivered before has been put.
type delivery struct {
	resources []Resource
	held      int64 // bytes taken from the client's gate
	do        func(ctx context.Context) error
	early     bool       // do need not wait for what was delivered before
	did       chan error // buffered
	last      bool       // nothing comes after
}

func newWriter(r *run, store Store) *writer {
	return &writer{r: r, store: store, powers: PowersOf(store), in: make(chan delivery, 4), done: make(chan struct{})}
}

// deliver hands resources over. It waits while too much is in flight.
func (w *writer) deliver(ctx context.Context, resources []Resource) error {
	var n int64
	for i := range resources {
		n += size(&resources[i]) + 256
	}
	held, err := w.r.client.inFlight.enter(ctx, n)
	if err != nil {
		return err
	}
	select {
	case w.in <- delivery{resources: resources, held: held}:
		return nil
	case <-ctx.Done():
		w.r.client.inFlight.leave(held)
		return context.Cause(ctx)
	case <-w.done:
		w.r.client.inFlight.leave(held)
		return errEnded
	}
}

// size is how many bytes a resource holds.
func size(res *Resource) int64 { return int64(len(res.Raw) + len(res.Original)) }

// errEnded is what a strategy gets that goes on after its Fetch has returned.
var errEnded = errors.New("fhirsync: the sync has ended")

// do runs fn in the writer's goroutine after all that was delivered before has been put, and waits for it.
func (w *writer) do(ctx context.Context, fn func(ctx context.Context) error) error {
	return w.run(ctx, delivery{do: fn, did: make(chan error, 1)})
}

// ask runs fn in the writer's goroutine, where the store may be called, whatever has been put by then, and waits for it.
func (w *writer) ask(ctx context.Context, fn func(ctx context.Context) error) error {
	return w.run(ctx, delivery{do: fn, did: make(chan error, 1), early: true})
}

func (w *writer) run(ctx context.Context, d delivery) error {
	select {
	case w.in <- d:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.done:
		return errEnded
	}
	select {
	case err := <-d.did:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close puts what is left and ends the loop.
func (w *writer) close() {
	w.in <- delivery{last: true}
	<-w.done
}

// loop runs until close. A store that failed for good ends the run; what comes after is thrown away, and the report counts it as
// received and not stored.
func (w *writer) loop(ctx context.Context) {
	defer close(w.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if len(w.pending) > 0 {
			wait = max(0, batchWait-time.Since(w.since))
		}
		timer.Reset(wait)
		select {
		case d := <-w.in:
			w.take(ctx, d)
			if d.last {
				w.flush(ctx)
				w.drain()
				return
			}
		case <-timer.C:
			w.flush(ctx)
		}
	}
}

func (w *writer) take(ctx context.Context, d delivery) {
	w.held += d.held
	for _, res := range d.resources {
		if len(w.pending) > 0 && (len(w.pending) >= batchResources || w.bytes+size(&res) > batchBytes) {
			w.put(ctx)
		}
		if len(w.pending) == 0 {
			w.since = time.Now()
		}
		w.pending = append(w.pending, res)
		w.bytes += size(&res)
	}
	if len(w.pending) >= batchResources || w.bytes >= batchBytes {
		w.flush(ctx)
	}
	if d.do == nil {
		return
	}
	if !d.early {
		w.flush(ctx)
	}
	err := w.r.storeErr()
	if err == nil {
		err = d.do(ctx)
	}
	d.did <- err
}

// drain turns away what a strategy brings after its end.
func (w *writer) drain() {
	for {
		select {
		case d := <-w.in:
			w.r.client.inFlight.leave(d.held)
			if d.did != nil {
				d.did <- errEnded
			}
		default:
			return
		}
	}
}

// flush puts what is pending and lets others bring more.
func (w *writer) flush(ctx context.Context) {
	if len(w.pending) > 0 {
		w.put(ctx)
	}
	w.r.client.inFlight.leave(w.held)
	w.held = 0
}

// put puts the pending resources, all of them or none as far as is known.
func (w *writer) put(ctx context.Context) {
	resources := w.pending
	w.pending, w.bytes = nil, 0
	if w.r.storeErr() != nil {
		return
	}
	slices.SortFunc(resources, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
	err := w.unchanged(ctx, resources)
	if err == nil {
		w.look(resources)
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
		for i := range holds {
			resources[i].Unchanged = err == nil && holds[i]
		}
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
// halves of characters. What the store holds already was looked at when it came.
func (w *writer) look(resources []Resource) {
	for i := range resources {
		res := &resources[i]
		if res.Unchanged || jsonscan.Plain(res.Raw) {
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
