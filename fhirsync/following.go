package fhirsync

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/fhirsync/fhirsync-go/refs"
)

// following are the bounds within which targets of references are asked for.
type following struct {
	listIDs     int // ids in one search by _id
	listAddress int // bytes of its address; servers and gateways refuse long ones, some from 2,048 on
	denials     int // reads of one type refused by 403 until no more of it are asked for: the type is not in the grant then
	missing     int // targets that are not there, until no more are asked for
}

var usualFollowing = following{listIDs: 50, listAddress: 2000, denials: 5, missing: 1000}

// following gives the bounds for this server.
func (r *run) following() following {
	f := usualFollowing
	if n := r.server.quirks.set.References.DeniedAfter; n != nil {
		f.denials = *n
	}
	return f
}

// wave is some targets that are asked for together, each with its obligation.
type wave struct {
	*run
	nodes map[string]*node // by refs.Target.Literal
}

// followReferences asks for what the patient's resources refer to and what has not come, until nothing new is named.
func (r *run) followReferences(ctx context.Context) error {
	for {
		targets := r.takeWave()
		if len(targets) == 0 {
			return nil
		}
		targets, err := r.notCome(targets)
		if err != nil {
			return err
		}
		w := r.newWave(targets)
		byType := map[string][]refs.Target{}
		var contents, versions, queries []refs.Target
		var addresses []*url.URL
		for i := range targets {
			t := &targets[i]
			switch {
			case isContent(t):
				contents = append(contents, *t)
			case t.Version != "":
				versions = append(versions, *t)
			case t.Query != "":
				queries = append(queries, *t)
				addresses = append(addresses, r.queryAddress(t))
			default:
				byType[t.Type] = append(byType[t.Type], *t)
			}
		}
		if err := each(ctx, workers, contents, w.content); err != nil {
			return err
		}
		r.prefetch(ctx, forReferences, addresses)
		if err := each(ctx, workers, queries, w.query); err != nil {
			return err
		}
		if err := w.resources(ctx, byType); err != nil {
			return err
		}
		if err := each(ctx, workers, versions, w.version); err != nil {
			return err
		}
	}
}

// newWave enters the obligations for targets.
func (r *run) newWave(targets []refs.Target) *wave {
	w := &wave{run: r, nodes: make(map[string]*node, len(targets))}
	for i := range targets {
		w.nodes[targets[i].Literal()] = r.ledger.begin(&node{typ: targets[i].Type, label: "the target of a reference"})
	}
	return w
}

// done ends the obligation of a target. What has not come stays on the list of a state that is saved.
func (w *wave) done(t *refs.Target, came bool) {
	if came {
		w.came(t)
	}
	w.ledger.end(w.nodes[t.Literal()], true)
	w.checkpoint()
}

// left is a target that is to be read by itself.
type left struct {
	refs.Target
	asked, came int // of the list that did not bring it; 0: there was none
}

// resources asks for resources by their ids: in searches for many, then in batches of reads, then one by one.
func (w *wave) resources(ctx context.Context, byType map[string][]refs.Target) error {
	types := make([]string, 0, len(byType))
	for typ := range byType {
		types = append(types, typ)
	}
	slices.Sort(types)
	lefts := make([][]left, len(types))
	indexes := make([]int, len(types))
	for i := range types {
		indexes[i] = i
	}
	err := each(ctx, workers, indexes, func(ctx context.Context, i int) (err error) {
		lefts[i], err = w.lists(ctx, types[i], byType[types[i]])
		return err
	})
	if err != nil {
		return err
	}
	rest := slices.Concat(lefts...)
	var addresses []*url.URL
	for i := range rest {
		// What a list that works did not bring is hardly there, and a batch cannot say so.
		if x := &rest[i]; x.came == 0 && !w.givenUp(x.Type) {
			addresses = append(addresses, w.server.address(nil, x.Type, x.ID))
		}
	}
	w.prefetch(ctx, forReferences, addresses)
	return each(ctx, workers, rest, func(ctx context.Context, x left) error {
		came, err := w.single(ctx, &x.Target)
		if came && x.asked > 0 {
			w.lowerLists(x.Type, x.came)
		}
		return err
	})
}

// givenUp tells whether resources of the type are not asked for any longer, because the server does not let them be read.
func (r *run) givenUp(typ string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.front.denied[typ] >= r.following().denials
}

// single reads a target by itself and ends its obligation. came: there is such a resource. The error means that the run is over.
func (w *wave) single(ctx context.Context, t *refs.Target) (came bool, err error) {
	g := Gap{Type: t.Type}
	switch {
	case w.has(t.Type, t.ID):
		w.done(t, true)
		return true, nil
	case w.givenUp(t.Type):
		g.Reason, g.StatusCode = Denied, http.StatusForbidden
		g.Detail = "targets of references that were not asked for any longer, because others of the type were refused"
	case w.missed() >= w.following().missing:
		g.Reason, g.Detail = Limited, "targets of references that were not asked for any longer, because too many others were not there"
	default:
		if came, err = w.readTarget(ctx, t); err == nil {
			w.done(t, came)
		}
		return came, err
	}
	w.ledger.gap(g)
	w.done(t, false)
	return false, nil
}

// readTarget reads what a reference names. came: there is such a resource. The error means that the run is over.
func (r *run) readTarget(ctx context.Context, t *refs.Target) (came bool, err error) {
	got, fail := r.readFull(ctx, t.Type, t.ID, forReferences, asCompanion)
	switch {
	case r.ctx.Err() != nil:
		return false, context.Cause(r.ctx)
	case fail != nil:
		if fail.status() == http.StatusNotFound {
			if came, err := r.findUnread(ctx, t); came || err != nil {
				return came, err
			}
		}
		return false, r.targetFailed(ctx, t, fail)
	}
	r.closes(t.Type, got.own)
	return true, nil
}

// closes tells the ledger that references brought resources of the patient.
func (r *run) closes(typ string, n int) {
	if _, in := r.table.Lookup(typ); in && n > 0 {
		r.ledger.with(typ, func(e *typeEntry) {
			if e.settled {
				e.closure += n
			}
		})
	}
}

// targetFailed enters a target that could not be read. The error means that the run is over.
func (r *run) targetFailed(ctx context.Context, t *refs.Target, fail *ServerError) error {
	g := r.gapOf(Failed, fail)
	g.Type, g.Ref, g.Count = t.Type, t.Literal(), 1
	switch fail.status() {
	case http.StatusNotFound, http.StatusGone:
		g.Reason = Dangling
		r.notThere(t)
	case http.StatusUnauthorized:
		if r.unauthorized(ctx, fail) {
			return context.Cause(r.ctx)
		}
		g.Reason = Denied
	case http.StatusForbidden:
		g.Reason = Denied
		r.mu.Lock()
		r.front.denied[t.Type]++
		r.mu.Unlock()
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		// Nothing of this type can be read here.
		g.Reason = Unsupported
		if c, _ := r.caps.Type(t.Type); r.noCaps != nil || slices.Contains(c.Interactions, "read") {
			g.Reason = Refused
		}
	}
	g.Detail += ", named by " + t.Path
	if t.Count > 1 {
		g.Detail += " (" + itoa(t.Count) + " times)"
	}
	r.ledger.gap(g)
	return nil
}
