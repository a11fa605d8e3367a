// Package memstore keeps resources in memory.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Store is a fhirsync.Store in memory, with all optional powers. The zero value is empty and ready. Safe for concurrent use; must not be
// copied after first use.
type Store struct {
	mu         sync.RWMutex
	resources  map[fhirsync.Key]fhirsync.Resource
	patients   map[patient]map[fhirsync.Key]struct{}
	states     map[string]state
	quarantine []fhirsync.Quarantined
}

type patient struct{ server, id string }

type state struct {
	bytes []byte
	rev   int
}

var (
	_ fhirsync.Store           = (*Store)(nil)
	_ fhirsync.StateStore      = (*Store)(nil)
	_ fhirsync.DigestStore     = (*Store)(nil)
	_ fhirsync.QuarantineStore = (*Store)(nil)
)

// Put keeps the resources of a batch, all of them or, if ctx has ended, none. Their bytes are kept, not copied.
func (s *Store) Put(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resources == nil {
		s.resources = map[fhirsync.Key]fhirsync.Resource{}
		s.patients = map[patient]map[fhirsync.Key]struct{}{}
	}
	whose := patient{batch.Server, batch.PatientID}
	if s.patients[whose] == nil {
		s.patients[whose] = map[fhirsync.Key]struct{}{}
	}
	for _, r := range batch.Resources {
		s.resources[r.Key] = r
		s.patients[whose][r.Key] = struct{}{}
	}
	return nil
}

// Get gives one resource.
func (s *Store) Get(key fhirsync.Key) (fhirsync.Resource, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.resources[key]
	return r, ok
}

// Len is the number of resources.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.resources)
}

// All yields all resources in Key order, as they were when the loop began.
func (s *Store) All() iter.Seq[fhirsync.Resource] {
	return func(yield func(fhirsync.Resource) bool) {
		s.mu.RLock()
		all := slices.Collect(maps.Values(s.resources))
		s.mu.RUnlock()
		each(all, yield)
	}
}

// Patient yields the resources of one patient's record in Key order, shared ones such as Practitioners included.
func (s *Store) Patient(server, id string) iter.Seq[fhirsync.Resource] {
	return func(yield func(fhirsync.Resource) bool) {
		s.mu.RLock()
		var all []fhirsync.Resource
		for key := range s.patients[patient{server, id}] {
			all = append(all, s.resources[key])
		}
		s.mu.RUnlock()
		each(all, yield)
	}
}

func each(all []fhirsync.Resource, yield func(fhirsync.Resource) bool) {
	slices.SortFunc(all, func(a, b fhirsync.Resource) int {
		if c := strings.Compare(a.Server, b.Server); c != 0 {
			return c
		}
		if c := strings.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, r := range all {
		if !yield(r) {
			return
		}
	}
}

// Holds tells which resources were put last with these digests.
func (s *Store) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(keys) != len(digests) {
		return nil, fmt.Errorf("memstore: %d keys and %d digests", len(keys), len(digests))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]bool, len(keys))
	for i, k := range keys {
		r, ok := s.resources[k]
		out[i] = ok && r.Digest == digests[i]
	}
	return out, nil
}

// LoadState gives a state and its revision.
func (s *Store) LoadState(ctx context.Context, key string) ([]byte, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st, ok := s.states[key]
	if !ok {
		return nil, "", nil
	}
	return bytes.Clone(st.bytes), fmt.Sprint(st.rev), nil
}

// SaveState replaces a state if rev is its revision.
func (s *Store) SaveState(ctx context.Context, key string, data []byte, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.states[key]
	if ok != (rev != "") || ok && fmt.Sprint(old.rev) != rev {
		return "", fhirsync.ErrStateConflict
	}
	if data == nil {
		delete(s.states, key)
		return "", nil
	}
	if s.states == nil {
		s.states = map[string]state{}
	}
	next := state{bytes: bytes.Clone(data), rev: old.rev + 1}
	s.states[key] = next
	return fmt.Sprint(next.rev), nil
}

// Quarantine keeps bytes that could not be stored as resources.
func (s *Store) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantine = append(s.quarantine, items...)
	return nil
}

// Quarantined gives what is in quarantine, in the order in which it came.
func (s *Store) Quarantined() []fhirsync.Quarantined {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.quarantine)
}
