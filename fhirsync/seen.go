package fhirsync

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// What has come is known by its identity. As long as that is little it is all kept in memory, where looking costs nothing. Beyond, if the store
// is a SeenStore, only what is not in it yet is kept, and the store is asked: once for the keys of each page, and once for what the new
// resources on it refer to.

// seenInMemory is how many identities are kept in memory before the store is asked: no more than go into a saved state.
const seenInMemory = 40_000

// Marks of an identity in run.seen, beside the index of its type's name.
const (
	onItsWay  = 1 << 15 // it is not with the writer yet: a saved state must not speak for it
	passing   = 1 << 14 // it leaves memory when the store has it
	seenMarks = onItsWay | passing
)

// looking is what makes a look into the store and a look into memory one: whoever finds nothing in the store, and then nothing in memory, must
// not have missed what went from the one into the other in between. So what the store has got stays in memory as long as anyone is
// looking who began before. It is guarded by run.mu.
type looking struct {
	at      uint64              // counts looks and what leaves
	open    map[uint64]struct{} // looks under way, by when they began
	leaving []leaving           // in order
	known   map[ident]struct{}  // some of what the store said it has: the same targets are named again and again
}

// leaving is what the store has got at a time.
type leaving struct {
	at   uint64
	keys []ident
}

// maxKnown bounds what is remembered of the store's answers.
const maxKnown = 20_000

// mark notes that a resource has come. The caller holds mu, or nobody else is at work yet.
func (r *run) mark(typ string, key ident) {
	id, ok := r.nameIDs[typ]
	if !ok {
		if len(r.names) > maxTypeNames {
			id = 0 // a server that invents types: they are told apart no longer.
		} else {
			id = uint16(len(r.names)) //nolint:gosec // bounded by maxTypeNames.
			r.names = append(r.names, typ)
			r.nameIDs[typ] = id
		}
	}
	mark := id | onItsWay
	if len(r.seen) >= r.client.seenInMemory && r.storeSees(typ) {
		r.spilled = true
		mark |= passing
	}
	r.seen[key] = mark
}

// storeSees tells whether the store can be asked what of a type has come.
func (r *run) storeSees(typ string) bool {
	return r.writer.powers.Seen != nil && (r.inStore == nil || r.inStore[typ])
}

// asksStore tells whether the store has to be asked whether a resource of a type has come that is not in memory. The caller holds mu.
func (r *run) asksStore(typ string) bool { return r.spilled && r.storeSees(typ) }

// isHere tells what is known without asking. The caller holds mu.
func (r *run) isHere(key ident) bool {
	if _, have := r.seen[key]; have {
		return true
	}
	_, have := r.looks.known[key]
	return have
}

// has tells whether a resource has come. In a run that is over it may say no.
func (r *run) has(typ, id string) bool {
	come, err := r.lookUp([]Key{{Type: typ, ID: id}})
	return err == nil && come[0]
}

// lookUp tells which resources have come, by type and id. The error means that the run is over.
func (r *run) lookUp(keys []Key) ([]bool, error) {
	come := make([]bool, len(keys))
	var ask []Key
	var at []int
	r.mu.Lock()
	for i := range keys {
		if keys[i].Type == "" || keys[i].ID == "" {
			continue
		}
		if come[i] = r.isHere(identOf(keys[i].Type, keys[i].ID)); !come[i] && r.asksStore(keys[i].Type) {
			ask = append(ask, Key{Server: r.server.name, Type: keys[i].Type, ID: keys[i].ID})
			at = append(at, i)
		}
	}
	r.mu.Unlock()
	if len(ask) == 0 {
		return come, nil
	}
	seen, err := r.askSeen(ask)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, is := range seen {
		if is {
			come[at[i]] = true
			r.know(identOf(ask[i].Type, ask[i].ID))
		}
	}
	return come, nil
}

// askSeen asks the store. The error means that the run is over.
func (r *run) askSeen(keys []Key) ([]bool, error) {
	// It may still be written to when nobody waits for it any longer: it is read only after a nil error.
	var seen []bool
	err := r.writer.ask(r.ctx, func(ctx context.Context) error {
		return r.writer.try(ctx, func() (err error) {
			seen, err = r.writer.powers.Seen.Seen(ctx, r.id, keys)
			if err == nil && len(seen) != len(keys) {
				err = errors.New("Seen answered for another number of keys than asked")
			}
			return err
		})
	})
	if err != nil {
		if r.ctx.Err() == nil {
			r.storeFailed(err)
		}
		return nil, err
	}
	return seen, nil
}

// putBefore gives those of the resources that an earlier part of this run has put and counted, and that come again for what they refer to.
func (r *run) putBefore(accepted []candidate) (map[ident]bool, error) {
	if r.inStore == nil || r.writer.powers.Seen == nil || !r.resumedInStore {
		return nil, nil
	}
	var keys []Key
	for _, c := range accepted {
		if typ := c.entry.ResourceType; !r.inStore[typ] && r.byReference(typ) {
			keys = append(keys, Key{Server: r.server.name, Type: typ, ID: c.id})
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	seen, err := r.askSeen(keys)
	if err != nil {
		return nil, err
	}
	before := map[ident]bool{}
	for i, is := range seen {
		if is {
			before[identOf(keys[i].Type, keys[i].ID)] = true
		}
	}
	return before, nil
}

// byReference tells whether resources of a type come because others name them, and not because they are asked for by patient.
func (r *run) byReference(typ string) bool {
	owed := false
	r.ledger.with(typ, func(e *typeEntry) { owed = e.owed })
	return !owed
}

// know remembers that the store has a resource. The caller holds mu.
func (r *run) know(key ident) {
	if len(r.looks.known) >= maxKnown {
		clear(r.looks.known)
	}
	r.looks.known[key] = struct{}{}
}

// comeBefore tells which entries of a page are resources that have come, by index, and gives the identities of all.
func (r *run) comeBefore(b *jsonscan.Bundle) (come []bool, of []ident, err error) {
	of = make([]ident, len(b.Entries))
	for i := range b.Entries {
		e := &b.Entries[i]
		of[i] = identOf(e.ResourceType, e.ID)
	}
	come = make([]bool, len(b.Entries))
	var ask []Key
	var at []int
	r.mu.Lock()
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Err != nil || e.Resource == nil || e.ResourceType == "" || e.ID == "" {
			continue
		}
		if come[i] = r.isHere(of[i]); !come[i] && r.asksStore(e.ResourceType) {
			ask = append(ask, Key{Type: e.ResourceType, ID: e.ID})
			at = append(at, i)
		}
	}
	r.mu.Unlock()
	if len(ask) == 0 {
		return come, of, nil
	}
	seen, err := r.lookUp(ask)
	if err != nil {
		return nil, nil, err
	}
	for i, is := range seen {
		come[at[i]] = is
	}
	return come, of, nil
}

// lookUpTargets asks the store about what new resources refer to, so that isHere knows. It may forget: what is then wanted is looked up once
// more before it is asked for.
func (r *run) lookUpTargets(accepted []candidate, found []refs.Found) error {
	r.mu.Lock()
	spilled := r.spilled
	r.mu.Unlock()
	if !spilled {
		return nil
	}
	twice := map[Key]struct{}{}
	var keys []Key
	for _, c := range accepted {
		for i := range found[c.from:c.to] {
			ref := &found[c.from+i].Ref
			if ref.Kind != refs.Relative && (ref.Kind != refs.Absolute || !r.people.here(ref.Base)) || ref.Type == "Patient" {
				continue
			}
			key := Key{Type: ref.Type, ID: ref.ID}
			if _, have := twice[key]; !have {
				twice[key] = struct{}{}
				keys = append(keys, key)
			}
		}
	}
	_, err := r.lookUp(keys)
	return err
}

// notCome gives those of the targets that have not come meanwhile, as far as that can be seen in the store.
func (r *run) notCome(targets []refs.Target) ([]refs.Target, error) {
	r.mu.Lock()
	spilled := r.spilled
	r.mu.Unlock()
	if !spilled {
		return targets, nil // the frontier has looked.
	}
	var out []refs.Target
	for part := range slices.Chunk(targets, batchResources) {
		keys := make([]Key, len(part))
		for i, t := range part {
			if t.Version == "" {
				keys[i] = Key{Type: t.Type, ID: t.ID}
			}
		}
		come, err := r.lookUp(keys)
		if err != nil {
			return nil, err
		}
		for i := range part {
			if come[i] {
				r.came(&part[i])
			} else {
				out = append(out, part[i])
			}
		}
	}
	return out, nil
}

// beginLook begins a look: what is found not to have come before it ends has not come, unless it is in memory by then.
func (r *run) beginLook() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks.at++
	r.looks.open[r.looks.at] = struct{}{}
	return r.looks.at
}

// endLook ends it.
func (r *run) endLook(at uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.looks.open, at)
	r.letGo()
}

// nowInStore notes that the store has resources.
func (r *run) nowInStore(resources []Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.spilled {
		return
	}
	var keys []ident
	for i := range resources {
		if key := identOf(resources[i].Type, resources[i].ID); r.seen[key]&passing != 0 {
			keys = append(keys, key)
		}
	}
	r.looks.at++
	r.looks.leaving = append(r.looks.leaving, leaving{r.looks.at, keys})
	r.letGo()
}

// letGo forgets what the store has and nobody can be looking for. The caller holds mu.
func (r *run) letGo() {
	oldest := uint64(math.MaxUint64)
	for at := range r.looks.open {
		oldest = min(oldest, at)
	}
	for len(r.looks.leaving) > 0 && r.looks.leaving[0].at < oldest {
		for _, key := range r.looks.leaving[0].keys {
			delete(r.seen, key)
		}
		r.looks.leaving = r.looks.leaving[1:]
	}
}
