package fhirsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Filter is a Store around a Store that hands on only those resources for which keep is true. What keep turns away is gone: for the sync the
// store has accepted it, so the report counts it as stored and has no gap for it. To ask the server for less, use [SyncOptions].Types.
//
// keep is called for each resource of each batch, more than once where a batch comes again, and by several goroutines where several syncs
// use the store. It must give the same answer for the same resource each time, and must not change it.
//
// Powers:
//
//   - State is that of next, under a key that has name in it, if name is not empty: a sync that was interrupted is not gone on with under
//     another rule, which would leave out what the first one turned away. So whoever changes what keep does changes the name. With the
//     name "" a sync cannot be resumed.
//   - Digests and Quarantine are those of next. What was turned away next does not hold, so that it is never unchanged. Seen is not
//     there: next cannot tell what was put and turned away, so a sync keeps in memory what has come.
//
// A [RejectError] of next is given with the indexes of the whole batch. It is safe for concurrent use if next and keep are. Without next or
// keep every Put fails.
func Filter(next Store, name string, keep func(Resource) bool) Store {
	return &filter{next, name, keep}
}

type filter struct {
	next Store
	name string
	keep func(Resource) bool
}

// Put hands on what is to be kept of a batch.
func (f *filter) Put(ctx context.Context, batch Batch) error {
	if f.next == nil || f.keep == nil {
		return errors.New("fhirsync: Filter: no store, or no function")
	}
	out := batch
	out.Resources = nil
	var kept []int
	for i := range batch.Resources {
		if f.keep(batch.Resources[i]) {
			out.Resources = append(out.Resources, batch.Resources[i])
			kept = append(kept, i)
		}
	}
	if len(kept) == 0 && len(batch.Resources) > 0 {
		return ctx.Err()
	}
	return backToSource("Filter", f.next.Put(ctx, out), kept)
}

// Powers gives what next can do, in terms of what comes in.
func (f *filter) Powers() Powers {
	if f.next == nil || f.keep == nil {
		return Powers{}
	}
	next := PowersOf(f.next)
	p := Powers{Digests: next.Digests, Quarantine: next.Quarantine}
	if next.State != nil && f.name != "" {
		sum := sha256.Sum256([]byte(f.name))
		p.State = suffixedState{next.State, "-filter-" + hex.EncodeToString(sum[:16])}
	}
	return p
}
