// Package memo remembers what was made of short texts that come again and again, in memory that does not grow.
package memo

import (
	"encoding/binary"
	"math/bits"
)

// Memo remembers what became of texts lately. Which ones it forgets is for the texts to say; it never takes one for another. The zero value is
// empty and ready. It must not be used by several goroutines at once.
type Memo[V any] struct {
	slots []slot[V] // nil before the first text, else Slots
}

type slot[V any] struct {
	text  string
	value *V
}

const slotBits = 12

// Slots is how many texts a Memo remembers at most.
const Slots = 1 << slotBits

// Longest is the length of the longest text that is remembered.
const Longest = 200

// place gives the first of the two slots that a text can be in.
func place(text []byte) int {
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
	return int((h ^ last) * k >> (64 - slotBits) &^ 1) //nolint:gosec // below Slots.
}

// Find gives what became of a text; nil: it is not known.
func (m *Memo[V]) Find(text []byte) *V {
	if len(m.slots) == 0 {
		return nil
	}
	at := place(text)
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
	if m.slots == nil {
		m.slots = make([]slot[V], Slots)
	}
	at := place([]byte(text))
	m.slots[at+1] = m.slots[at]
	m.slots[at] = slot[V]{text, value}
}
