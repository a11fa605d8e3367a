package fhirsync

import (
	"context"
	"errors"
	"fmt"
)

// Store is where resources go: the caller's database, folder, queue or service. One method is all there is to write.
//
// Put takes a batch of at most 1,000 resources and 8 MB (one resource may be larger), delivered at the latest 200 ms after its first
// resource came, or when the call before it has returned.
//
//   - nil means that every resource of the batch is accepted, and as durable as anything this store's SaveState has saved. An error
//     means that any part of the batch may be there. The same batch may come again, so Put is an upsert by Key and must be idempotent.
//   - A [*RejectError] names resources that this store will never accept; the others are put again without them. Any other error is
//     tried again a few times and then ends the sync.
//   - One Sync never calls two methods of its store at once. Different Syncs do.
//   - Bytes are stored as they are. Do not parse, pretty-print or re-marshal them.
//   - That a resource did not come is never a deletion.
//
// [storetest] has the whole contract as a test suite.
//
// [storetest]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/storetest
type Store interface {
	Put(ctx context.Context, batch Batch) error
}

// StoreFunc makes a Store of a function.
type StoreFunc func(ctx context.Context, batch Batch) error

// Put calls f.
func (f StoreFunc) Put(ctx context.Context, batch Batch) error { return f(ctx, batch) }

// Powers are what a store can do beside Put. A nil field means that it cannot. The struct grows by fields.
type Powers struct {
	// State lets an unfinished sync be resumed.
	State StateStore
	// Digests tells what the store holds already, so that it is not written again.
	Digests DigestStore
	// Seen tells what a sync has put, so that the sync need not remember it.
	Seen SeenStore
	// Content takes what attachments name as the bytes that it is. Without it, it comes to Put as Binary resources.
	Content ContentStore
	// History keeps old versions that references name. Without it they are not asked for.
	History HistoryStore
	// Quarantine keeps bytes that could not be read, that the store refused, or that were repaired.
	Quarantine QuarantineStore
}

// PowersOf gives the powers of a store: what its method Powers() Powers gives, if it has one, else what it implements itself.
// A wrapper that changes neither keys nor bytes hands its inner store's powers on with
//
//	func (w Wrapper) Powers() fhirsync.Powers { return fhirsync.PowersOf(w.Store) }
//
// and one that does change them builds the struct itself. Embedding alone loses powers, which is safe.
func PowersOf(s Store) Powers {
	if p, ok := s.(interface{ Powers() Powers }); ok {
		return p.Powers()
	}
	var p Powers
	p.State, _ = s.(StateStore)
	p.Digests, _ = s.(DigestStore)
	p.Seen, _ = s.(SeenStore)
	p.Content, _ = s.(ContentStore)
	p.History, _ = s.(HistoryStore)
	p.Quarantine, _ = s.(QuarantineStore)
	return p
}

// StateStore keeps small states (under 1 MB) beside the data they speak for.
type StateStore interface {
	// LoadState gives the state saved under key and its revision; nil and "" where there is none.
	LoadState(ctx context.Context, key string) (state []byte, rev string, err error)
	// SaveState replaces the state under key if rev is still its revision, else it returns ErrStateConflict. rev "" creates; a nil state
	// deletes. It gives the new revision, "" after a deletion.
	SaveState(ctx context.Context, key string, state []byte, rev string) (newRev string, err error)
}

// DigestStore knows what it holds. Each batch is asked about before it is put, unless Put tells as well: see [TellHeld].
type DigestStore interface {
	// Holds tells, position by position, whether the resource under the key was put with this Resource.Digest last.
	Holds(ctx context.Context, keys []Key, digests [][32]byte) ([]bool, error)
}

// SeenStore knows which sync has put what. Without it a sync keeps the identity of all that has come in memory, some 40 bytes for each
// resource, and beyond 45,000 resources it cannot be resumed. With it, a sync of that size asks its store: once or twice for each page, about some
// hundred keys.
type SeenStore interface {
	// Seen tells, position by position, whether a batch with this Batch.Run that was put had a resource under the key, Unchanged or not.
	// What it says is as durable as what was put. It must never say yes to what the run has not put, which would be lost. To say no to
	// what it has put is allowed where another run of the same patient has put it since; it then comes, and is counted, again.
	Seen(ctx context.Context, run string, keys []Key) ([]bool, error)
}

// QuarantineStore keeps what could not be stored as a resource, and what resources were before they were repaired.
type QuarantineStore interface {
	Quarantine(ctx context.Context, items []Quarantined) error
}

// Quarantined is bytes that could not be read as a resource, a resource that the store rejected, or the bytes of a resource as they were
// before they were repaired.
type Quarantined struct {
	// Run, Server and PatientID are as in Batch.
	Run, Server, PatientID string
	// Type and ID are what could be read of the resource's identity; each may be empty.
	Type, ID string
	// Reason says what is wrong with the bytes, without quoting them.
	Reason string
	// Query is what was asked for: "Observation?_count=&patient=", with the names of parameters and no values. "" where that is not known.
	Query string
	// Repairs says what was repaired since, where the resource itself went to Put; nil for what could not be stored.
	Repairs []Repair
	// Raw are the bytes as they came. They belong to the receiver.
	Raw []byte
}

// RejectError is returned by Put for resources that the store will never accept. The sync puts the others of the batch again, names
// each rejected one as a gap, and hands it to the store's QuarantineStore if there is one.
type RejectError struct {
	// Rejected has the reason by index into Batch.Resources.
	Rejected map[int]error
}

// isReject tells whether an error is a RejectError.
func isReject(err error) bool {
	_, is := errors.AsType[*RejectError](err)
	return is
}

// Error counts the rejected resources.
func (e *RejectError) Error() string {
	return fmt.Sprintf("%d resources rejected", len(e.Rejected))
}
