package fhirsync

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/fhirsync/fhirsync-go/refs"
)

// maxWanted bounds how many targets of references are waited for at once.
const maxWanted = 200_000

// frontier is what references name and what has not come. It is guarded by run.mu.
type frontier struct {
	want       map[string]*target // by "Type/id"
	unresolved map[string]*target // tried, and it has not come (so far)
	tried      map[ident]struct{}
	skipped    map[string]int // references that are not followed, by why
	over       int            // targets beyond maxWanted
}

// target is a resource that references name.
type target struct {
	typ, id string
	path    string // of the first reference that named it
	count   int    // how often it was named
}

func newFrontier() frontier {
	return frontier{want: map[string]*target{}, unresolved: map[string]*target{}, tried: map[ident]struct{}{}, skipped: map[string]int{}}
}

func (f *frontier) len() int { return len(f.want) }

// wantAll notes the references of a resource that was accepted. The caller holds run.mu.
func (f *frontier) wantAll(r *run, typ string, found []refs.Found) {
	// A Group or a Person leads to other people.
	follow := typ != "Group" && typ != "Person"
	for i := range found {
		x := &found[i]
		if x.Source != refs.FromReference {
			continue
		}
		switch x.Ref.Kind {
		case refs.Contained:
			continue
		case refs.Absolute:
			if !r.people.here(x.Ref.Base) {
				f.skipped["references to other servers"]++
				continue
			}
		case refs.Relative:
		case refs.URN:
			f.skipped["references by urn that nothing on the page resolved"]++
			continue
		case refs.Conditional:
			f.skipped["conditional references"]++
			continue
		default: // Invalid, Other, and what is no literal reference
			f.skipped["references that name no resource"]++
			continue
		}
		switch {
		case x.Ref.Type == "Patient":
			if !r.people.isOwn(x.Ref.ID) {
				f.skipped["references to other patients"]++
			}
		case !follow:
			f.skipped["references of a Group or Person"]++
		case r.wants(x.Ref.Type):
			f.add(r, x)
		}
	}
}

func (f *frontier) add(r *run, x *refs.Found) {
	key := identOf(x.Ref.Type, x.Ref.ID)
	if r.isHere(key) {
		return
	}
	if _, done := f.tried[key]; done {
		return
	}
	name := x.Ref.Type + "/" + x.Ref.ID
	if t := f.want[name]; t != nil {
		t.count++
		return
	}
	if len(f.want) >= maxWanted {
		f.over++
		return
	}
	f.want[name] = &target{typ: x.Ref.Type, id: x.Ref.ID, path: x.Path, count: 1}
}

// take gives all targets that have still not come, in order, and empties the frontier.
func (f *frontier) take(r *run) []*target {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*target
	for _, name := range slices.Sorted(maps.Keys(f.want)) {
		t := f.want[name]
		key := identOf(t.typ, t.id)
		if !r.isHere(key) {
			f.tried[key] = struct{}{}
			f.unresolved[name] = t
			out = append(out, t)
		}
	}
	clear(f.want)
	return out
}

// report enters what was not followed into the ledger.
func (f *frontier) report(l *ledger) {
	for why, n := range f.skipped {
		l.gap(Gap{Reason: Skipped, Detail: why, Count: n})
	}
	if f.over > 0 {
		l.gap(Gap{Reason: Limited, Detail: "more references than are followed at once", Count: f.over})
	}
	clear(f.skipped)
	f.over = 0
}

// followReferences reads what the patient's resources refer to and what has not come, until nothing new is named.
func (r *run) followReferences(ctx context.Context) error {
	for {
		if err := r.dropCome(); err != nil {
			return err
		}
		targets := r.front.take(r)
		if len(targets) == 0 {
			return nil
		}
		nodes := make(map[*target]*node, len(targets))
		for _, t := range targets {
			nodes[t] = r.ledger.begin(&node{typ: t.typ, label: "the target of a reference"})
		}
		addresses := make([]*url.URL, len(targets))
		for i, t := range targets {
			addresses[i] = r.server.address(nil, t.typ, t.id)
		}
		r.prefetch(ctx, "batch", forReferences, addresses)
		err := each(ctx, workers, targets, func(ctx context.Context, t *target) error {
			if err := r.followOne(ctx, t); err != nil {
				return err
			}
			r.ledger.end(nodes[t], true)
			r.checkpoint()
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// followOne reads the target of a reference.
func (r *run) followOne(ctx context.Context, t *target) error {
	got, fail := r.readFull(ctx, t.typ, t.id, forReferences, asCompanion)
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if fail == nil {
		r.mu.Lock()
		delete(r.front.unresolved, t.typ+"/"+t.id)
		r.mu.Unlock()
		if got.named && got.owner == ours && len(got.resources) > 0 {
			if _, in := r.table.Lookup(t.typ); in {
				r.ledger.with(t.typ, func(e *typeEntry) {
					if e.settled {
						e.closure++
					}
				})
			}
		}
		return nil
	}
	g := r.gapOf(Failed, fail)
	g.Ref = t.typ + "/" + t.id
	named := ", named by " + t.path
	if t.count > 1 {
		named += " (" + itoa(t.count) + " times)"
	}
	switch fail.status() {
	case http.StatusNotFound, http.StatusGone:
		g.Reason = Dangling
	case http.StatusUnauthorized:
		if r.unauthorized(ctx, fail) {
			return context.Cause(r.ctx)
		}
		g.Reason = Denied
	case http.StatusForbidden:
		g.Reason = Denied
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		// Nothing of this type can be read here.
		g.Reason = Unsupported
		if c, _ := r.caps.Type(t.typ); r.noCaps != nil || slices.Contains(c.Interactions, "read") {
			g.Reason = Refused
		}
	}
	g.Detail += named
	g.Count = 1
	r.ledger.gap(g)
	return nil
}

// readAgain reads by themselves the resources that came broken or in parts.
func (r *run) readAgain(ctx context.Context) error {
	r.mu.Lock()
	pending := maps.Clone(r.rereads)
	r.mu.Unlock()
	n := r.ledger.begin(&node{label: "resources to be read by themselves"})
	err := each(ctx, workers, slices.Sorted(maps.Keys(pending)), func(ctx context.Context, ref string) error {
		p := refs.Parse(ref)
		if p.Kind != refs.Relative {
			p.Type, p.ID = cutRef(ref)
		}
		if r.has(p.Type, p.ID) {
			r.mu.Lock()
			delete(r.rereads, ref)
			r.mu.Unlock()
			return nil
		}
		x := pending[ref]
		// What is still to be read stays on the list until it has been: a saved state must not forget it.
		defer func() {
			if r.ctx.Err() == nil {
				r.mu.Lock()
				delete(r.rereads, ref)
				r.mu.Unlock()
			}
		}()
		_, fail := r.readFrom(ctx, p.Type, p.ID, forData, source{
			op: "read", typ: p.Type, strategy: x.from.strategy, read: true, companion: x.from.companion, unattributed: x.trusted(),
		})
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if fail == nil {
			r.ledger.note(p.Type, x.why+", and was read by itself")
			return nil
		}
		g := r.gapOf(Failed, fail)
		if s := fail.StatusCode; s == http.StatusForbidden || s == http.StatusUnauthorized {
			if s == http.StatusUnauthorized && r.unauthorized(ctx, fail) {
				return context.Cause(r.ctx)
			}
			g.Reason = Denied
		}
		g.Ref = ref
		g.Detail = x.why + ", and reading it by itself: " + fail.reason()
		r.ledger.gap(g)
		return nil
	})
	if err == nil {
		r.ledger.end(n, true)
	}
	return err
}

// cutRef splits "Type/id" at the first slash.
func cutRef(ref string) (typ, id string) {
	for i := range len(ref) {
		if ref[i] == '/' {
			return ref[:i], ref[i+1:]
		}
	}
	return ref, ""
}

// decide looks again at each Provenance and AuditEvent that names another patient: it is ours if what it is about is.
func (r *run) decide(ctx context.Context) error {
	r.mu.Lock()
	pending := slices.Sorted(maps.Keys(r.late))
	r.mu.Unlock()
	return each(ctx, workers, pending, func(ctx context.Context, ref string) error {
		defer func() {
			if r.ctx.Err() == nil {
				r.mu.Lock()
				delete(r.late, ref)
				r.mu.Unlock()
			}
		}()
		typ, id := cutRef(ref)
		if r.has(typ, id) {
			return nil
		}
		_, fail := r.readFull(ctx, typ, id, forData, asLate)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if fail != nil {
			g := r.gapOf(Failed, fail)
			g.Ref = ref
			r.ledger.gap(g)
		}
		return nil
	})
}
