package idspace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/fhirsync/fhirsync-go/refs"
)

// Mapping is the way back for references: it knows which identity an id in a space stands for. It is filled with the Pairs of [Rewritten] (see [Options.Pairs]), or
// with rows that a store has kept of them, from any number of spaces. The zero value is empty and ready. It is safe for concurrent use
// and must not be copied after first use.
//
// It is memory: about 200 bytes for each identity. Who has millions of them keeps the pairs in a table of his own, with (type, new id) as
// the key, and fills a Mapping with those that a resource needs.
type Mapping struct {
	mu    sync.RWMutex
	pairs map[typeID]Pair
}

type typeID struct{ typ, id string }

// ErrCollision is returned when one id stands for two identities: two spaces share a name and a scheme that should not, or the scheme is
// broken.
var ErrCollision = errors.New("one id for two identities")

// Add adds pairs. Pairs that are there already are no error, but one that gives a type's id to another identity is: [ErrCollision]. It is
// then left out, and all others are added.
func (m *Mapping) Add(pairs ...Pair) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pairs == nil {
		m.pairs = map[typeID]Pair{}
	}
	collisions := 0
	for _, p := range pairs {
		key := typeID{p.Type, p.NewID}
		if old, ok := m.pairs[key]; ok && old != p {
			collisions++
			continue
		}
		m.pairs[key] = p
	}
	if collisions > 0 {
		return fmt.Errorf("idspace: %d pairs: %w", collisions, ErrCollision)
	}
	return nil
}

// Original gives the identity that the id of a type stands for.
func (m *Mapping) Original(typ, newID string) (Pair, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p, ok := m.pairs[typeID{typ, newID}]
	return p, ok
}

// Len is the number of pairs.
func (m *Mapping) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.pairs)
}

// All yields the pairs as they are when the loop begins, in order of space, type and id.
func (m *Mapping) All() iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		for _, p := range m.sorted() {
			if !yield(p) {
				return
			}
		}
	}
}

func (m *Mapping) sorted() []Pair {
	m.mu.RLock()
	all := make([]Pair, 0, len(m.pairs))
	for _, p := range m.pairs {
		all = append(all, p)
	}
	m.mu.RUnlock()
	slices.SortFunc(all, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID), cmp.Compare(a.NewID, b.NewID))
	})
	return all
}

// Restore puts the original ids back into a rewritten resource: its own and those in references, where the Mapping knows them; others stay.
// Bases that Rewrite took away do not come back, and the marker stays. raw is not written to, the result is memory of its
// own, and the errors are those of [Space.Rewrite].
func (m *Mapping) Restore(raw []byte) ([]byte, error) {
	r := newRewriter(nil, func(ref *refs.Reference) (Pair, string, bool) {
		p, ok := m.Original(ref.Type, ref.ID)
		return p, p.ID, ok
	})
	out, err := r.rewrite(raw)
	return out.Raw, err
}

// MarshalJSON gives an array of pairs, in the order of All.
func (m *Mapping) MarshalJSON() ([]byte, error) { return json.Marshal(m.sorted()) }

// UnmarshalJSON replaces the contents by an array of pairs.
func (m *Mapping) UnmarshalJSON(data []byte) error {
	var pairs []Pair
	if err := json.Unmarshal(data, &pairs); err != nil {
		return err
	}
	m.mu.Lock()
	m.pairs = nil
	m.mu.Unlock()
	return m.Add(pairs...)
}
