package fhirsync

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/fhirsync/fhirsync-go/refs"
)

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
			r.rereadBytes -= len(r.rereads[ref].raw)
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
				r.rereadBytes -= len(x.raw)
				r.mu.Unlock()
			}
		}()
		var fail *ServerError
		if p.Type == "Binary" {
			var err error
			if fail, err = r.contentAgain(ctx, p.ID, x.why); err != nil {
				return err
			}
		}
		if p.Type != "Binary" || fail != nil && errors.Is(fail.Err, errBroken) {
			_, fail = r.readFrom(ctx, p.Type, p.ID, forData, source{
				op: "read", typ: p.Type, strategy: x.from.strategy, read: true, companion: x.from.companion, unattributed: x.trusted(),
			})
		}
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
		r.keepOnce(p.Type, p.ID, x.why, x.raw, x.address)
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
