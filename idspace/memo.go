package idspace

import (
	"encoding/binary"
	"math/bits"
)

// memo remembers what became of texts lately, because the same few occur in all resources of a patient. Which ones it forgets is for the
// texts to say; it never takes one for another.
type memo struct {
	slots []memoSlot // nil before the first text, else memoSlots
}

type memoSlot struct {
	text string
	t    *target
}

const (
	memoBits     = 12
	memoSlots    = 1 << memoBits
	maxKnownText = 200 // longer ones are not remembered
)

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
	return int((h ^ last) * k >> (64 - memoBits) &^ 1) //nolint:gosec // below memoSlots.
}

// find gives what became of a text; nil: it is not known.
func (m *memo) find(text []byte) *target {
	if len(m.slots) == 0 {
		return nil
	}
	at := place(text)
	two := m.slots[at : at+2]
	if two[0].text == string(text) {
		return two[0].t
	}
	if two[1].text == string(text) {
		return two[1].t
	}
	return nil
}

// add remembers a text, which must not change afterwards.
func (m *memo) add(text string, t *target) {
	if len(text) > maxKnownText {
		return
	}
	if m.slots == nil {
		m.slots = make([]memoSlot, memoSlots)
	}
	at := place([]byte(text))
	m.slots[at+1] = m.slots[at]
	m.slots[at] = memoSlot{text, t}
}
