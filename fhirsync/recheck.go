package fhirsync

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Verify asks the server how many resources of each type it has for the patient now, and compares that with an earlier report of the same
// patient and server. It stores nothing and asks for counts only.
//
// The Report it gives has, for each type of the earlier one, what was stored then as Received and Stored, and what the server counts as
// Expected. A type of which the server has more is a gap of reason [Truncated], one that it does not count is [Unproven], and one of
// which it has fewer is a note: that something is not found any longer is not a deletion. The error is as that of [Client.Sync].
func (c *Client) Verify(ctx context.Context, srv Server, prior *Report, opts *SyncOptions) (*Report, error) {
	if prior == nil {
		return nil, errors.New("fhirsync: no report to verify")
	}
	r, err := c.newRun(srv, prior.PatientID, opts)
	if err != nil {
		return nil, err
	}
	r.begin(ctx)
	defer r.cancel(nil)
	r.report.Strategy = "verify"
	r.loadLearned(ctx)
	err = r.readMetadata()
	if err == nil {
		err = r.recount(prior)
	}
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	r.saveLearned(context.WithoutCancel(ctx))
	return r.finish(context.WithoutCancel(ctx), err, err != nil)
}

// recount counts each type of an earlier report, and each other type that the server claims.
func (r *run) recount(prior *Report) error {
	r.ledger.disown()
	types := map[string]bool{}
	for _, typ := range r.types {
		if t, was := prior.Types[typ]; was && t.Received > 0 || r.claims(typ) {
			types[typ] = true
		}
	}
	return each(r.ctx, workers, slices.Sorted(maps.Keys(types)), func(ctx context.Context, typ string) error {
		was := prior.Types[typ]
		r.ledger.with(typ, func(e *typeEntry) {
			e.owed, e.ended = true, true
			e.Received, e.Stored = was.Received, was.Stored
		})
		had := was.Received
		if was.Expected != nil {
			had = *was.Expected // the same question is asked again: what came by other ways is not part of it.
		}
		for _, f := range r.forms(typ) {
			n, ok := r.count(ctx, question{typ: typ}, f)
			if r.ctx.Err() != nil {
				return context.Cause(r.ctx)
			}
			if !ok || n == 0 && !r.understood(typ, f, false) {
				continue
			}
			r.ledger.with(typ, func(e *typeEntry) { e.Expected = &n })
			switch {
			case n > had:
				r.ledger.gap(Gap{Type: typ, Reason: Truncated, Count: n - had, Detail: "the server counts " + itoa(n) + " now, and had " + itoa(had)})
			case n < had:
				r.ledger.note(typ, "the server counts "+itoa(n)+" now, and had "+itoa(had))
				fallthrough
			default:
				r.ledger.settle(typ, Counted, nil)
			}
			return nil
		}
		if had > 0 {
			r.ledger.gap(Gap{Type: typ, Reason: Unproven, Detail: "the server does not count it"})
		}
		return nil
	})
}
