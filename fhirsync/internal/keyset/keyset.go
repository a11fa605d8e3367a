// Package keyset is a set of hashes that may be very large.
package keyset

import (
	"iter"
	"math/bits"
	"slices"
)

// Set is a set of 64-bit hashes. It takes 9 to 14 bytes for each, where a map takes three times that, and grows a small part at a time. nil is an
// empty set that cannot be added to. It is not safe for concurrent use.
type Set struct {
	n      int
	tables []table // by the highest bits of what is in them; few are in one
}

// table has open addressing. What is in it is in the order of its slots, but for what was moved on to the next free one.
type table struct {
	n     int
	slots []uint64 // 0: free
}

const (
	few    = 1 << 12 // are in one table
	prefix = 8       // bits by which they are in tables beyond
)

// New gives an empty set.
func New() *Set { return &Set{tables: make([]table, 1)} }

// Len is how many there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return s.n
}

// place gives the table of a hash, how many bits of it the table stands for, and the hash as it is held: 0 is as 1.
func (s *Set) place(hash uint64) (t *table, shift int, held uint64) {
	held = max(hash, 1)
	if len(s.tables) == 1 {
		return &s.tables[0], 0, held
	}
	return &s.tables[held>>(64-prefix)], prefix, held
}

// Add adds one and tells whether it is new.
func (s *Set) Add(hash uint64) bool {
	if s.n == few && len(s.tables) == 1 {
		all := s.tables[0].slots
		s.tables = make([]table, 1<<prefix)
		for _, h := range all {
			if h != 0 {
				t, shift, h := s.place(h)
				t.add(h, shift)
			}
		}
	}
	t, shift, held := s.place(hash)
	if !t.add(held, shift) {
		return false
	}
	s.n++
	return true
}

// Has tells whether one is there.
func (s *Set) Has(hash uint64) bool {
	if s == nil {
		return false
	}
	t, shift, held := s.place(hash)
	return t.n > 0 && t.slots[t.find(held, shift)] == held
}

// All gives all, in no order. The set must not be added to meanwhile.
func (s *Set) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if s == nil {
			return
		}
		for i := range s.tables {
			for _, h := range s.tables[i].slots {
				if h != 0 && !yield(h) {
					return
				}
			}
		}
	}
}

// Clone gives a copy; of nil an empty set.
func (s *Set) Clone() *Set {
	if s == nil {
		return New()
	}
	out := &Set{n: s.n, tables: slices.Clone(s.tables)}
	for i := range out.tables {
		out.tables[i].slots = slices.Clone(out.tables[i].slots)
	}
	return out
}

// find gives the slot where one is, or belongs. There is always a free one.
func (t *table) find(held uint64, shift int) uint64 {
	n := uint64(len(t.slots))
	i, _ := bits.Mul64(held<<shift, n)
	for t.slots[i] != 0 && t.slots[i] != held {
		if i++; i == n {
			i = 0
		}
	}
	return i
}

func (t *table) add(held uint64, shift int) bool {
	if t.n >= len(t.slots)-len(t.slots)/8-1 {
		before := t.slots
		t.slots = make([]uint64, 8+len(before)+len(before)/4)
		for _, h := range before {
			if h != 0 {
				t.slots[t.find(h, shift)] = h
			}
		}
	}
	i := t.find(held, shift)
	if t.slots[i] == held {
		return false
	}
	t.slots[i] = held
	t.n++
	return true
}
