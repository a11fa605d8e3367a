// Package memo remembers what was made of short texts that come again and again, in memory that does not grow.
package memo

import (
	"encoding/binary"
	"math/bits"
)

// Memo remembers what became of texts lately. Which ones it forgets is for the texts to say; it never takes one for another. The zero value is
// empty and ready. It must not be used by several goroutines at once.
type Memo[V any] struct {
	slots []slot[V] // nil before the first text; they grow up to Slots
	bits  int       // there are 1<<bits of them
	added int       // texts since they grew
}

type slot[V any] struct {
	text  string
	value *V
}

const (
	firstBits  = 6
	growBits   = 3
	mostBits   = firstBits + 2*growBits
	hashLength = 64
)

// Slots is how many texts a Memo remembers at most.
const Slots = 1 << mostBits

// Longest is the length of the longest text that is remembered.
const Longest = 200

// place gives the first of the two slots that a text can be in.
func (m *Memo[V]) place(text []byte) int {
	const k = 0x9E3779B97F4A7C15
	h := uint64(len(text))
	var last uint64
	if n := len(text); n >= 8 {
		last = binary.LittleEndian.Uint64(text[n-8:]) // what of it was read before does no harm
		for ; len(text) > 8; text = text[8:] {
			h = bits.RotateLeft64((h^binary.LittleEndian.Uint64(text))*k, 23)
		}
	} else {
		for _, c := range text {
			last = last<<8 | uint64(c)
		}
	}
	return int((h ^ last) * k >> (hashLength - m.bits) &^ 1) //nolint:gosec // below Slots.
}

// Find gives what became of a text; nil: it is not known.
func (m *Memo[V]) Find(text []byte) *V {
	if len(m.slots) == 0 {
		return nil
	}
	at := m.place(text)
	two := m.slots[at : at+2]
	if two[0].text == string(text) {
		return two[0].value
	}
	if two[1].text == string(text) {
		return two[1].value
	}
	return nil
}

// Add remembers what became of a text. Neither may change afterwards.
func (m *Memo[V]) Add(text string, value *V) {
	if len(text) > Longest {
		return
	}
	if m.added >= len(m.slots)/8 && m.bits < mostBits { // while there is room, nearly none is lost
		m.grow()
	}
	m.added++
	m.put(slot[V]{text, value})
}

func (m *Memo[V]) put(s slot[V]) {
	at := m.place([]byte(s.text))
	m.slots[at+1] = m.slots[at]
	m.slots[at] = s
}

// grow makes more slots: few texts shall not cost the memory of many.
func (m *Memo[V]) grow() {
	old := m.slots
	if m.bits = firstBits; old != nil {
		m.bits = min(bits.Len(uint(len(old)))-1+growBits, mostBits)
	}
	m.slots, m.added = make([]slot[V], 1<<m.bits), 0
	for _, s := range old {
		if s.value != nil {
			m.put(s)
		}
	}
}
