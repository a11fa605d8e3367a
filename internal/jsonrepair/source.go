package jsonrepair

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// UTF16 is an encoding that a whole text can be in; Latin1 is another.
const UTF16 Kind = "utf-16"

// Source is what a text was before it was made readable. It is used from one goroutine at a time.
type Source struct {
	// Came is the text in its own Encoding, Skip bytes of which are a byte order mark; nil where it was UTF-8.
	Came     []byte
	Encoding Kind
	Skip     int
	// Text is what it was in UTF-8, and Edits and Fixes what was done to that; without edits Text is nil.
	Text  []byte
	Edits []Edit
	Fixes []Fix

	moved          []int // by edit: how much further things are ahead of it than in Text
	textAt, cameAt int   // a place in both
}

// Before gives the place in Text of a place in what Apply made of it. Insertions at its edges are no part of it.
func (s *Source) Before(made Span) Span {
	return Span{s.before(made.Start, true), s.before(made.End, false)}
}

func (s *Source) before(at int, start bool) int {
	if s.moved == nil {
		s.moved = make([]int, len(s.Edits)+1)
		for i, e := range s.Edits {
			s.moved[i+1] = s.moved[i] + len(e.Text) - (e.End - e.Start)
		}
	}
	// The first edit that what is there now ends behind the place, or at it.
	i := sort.Search(len(s.Edits), func(i int) bool {
		to := s.Edits[i].Start + s.moved[i] + len(s.Edits[i].Text)
		return to > at || to == at && !start
	})
	if i == len(s.Edits) {
		return at - s.moved[i]
	}
	e := s.Edits[i]
	switch from := e.Start + s.moved[i]; {
	case at < from, at == from && !start:
		return at - s.moved[i]
	case start:
		return e.Start
	}
	return e.End
}

// Original gives the bytes from which a part of the text was made, and what was wrong with them, with offsets from where they begin. text
// is what there is now. changed is false where they are the same.
func (s *Source) Original(text []byte, made Span) (raw []byte, fixes []Fix, changed bool) {
	before, span := text, made
	if s.Edits != nil {
		before, span = s.Text, s.Before(made)
		first := sort.Search(len(s.Edits), func(i int) bool { return s.Edits[i].End > span.Start })
		changed = first < len(s.Edits) && s.Edits[first].Start < span.End
		for i := sort.Search(len(s.Fixes), func(i int) bool { return s.Fixes[i].Offset >= span.Start }); i < len(s.Fixes) && s.Fixes[i].Offset < span.End; i++ {
			f := s.Fixes[i]
			f.Offset -= span.Start
			fixes = append(fixes, f)
		}
	}
	if s.Encoding == "" {
		return before[span.Start:span.End], fixes, changed
	}
	whole := Fix{Kind: s.Encoding}
	for i := range fixes {
		fixes[i].Offset = s.length(before[span.Start : span.Start+fixes[i].Offset])
	}
	start := s.place(before, span.Start)
	end := start + s.length(before[span.Start:span.End])
	if s.Encoding == Latin1 && end-start == span.End-span.Start && !changed {
		return before[span.Start:span.End], nil, false // nothing in it is beyond ASCII.
	}
	return s.Came[min(start, len(s.Came)):min(end, len(s.Came))], append([]Fix{whole}, fixes...), true
}

// place gives the place in Came of one in the text. Going on from the last one makes many cheap that are in order.
func (s *Source) place(text []byte, at int) int {
	if s.textAt > at || s.textAt > len(text) {
		s.textAt, s.cameAt = 0, 0
	}
	s.cameAt += s.length(text[s.textAt:at])
	s.textAt = at
	return s.Skip + s.cameAt
}

// length is how many bytes a text has in its own encoding.
func (s *Source) length(text []byte) int {
	n := utf8.RuneCount(text)
	if s.Encoding != UTF16 {
		return n
	}
	for _, c := range text {
		if c >= 0xF0 {
			n++ // beyond the basic plane there are two units.
		}
	}
	return 2 * n
}

// Within gives a path below a resource of one below the page that it is an entry of.
func Within(path string) string {
	for strings.HasPrefix(path, "entry[") {
		_, rest, ok := strings.Cut(path, "].resource")
		if !ok {
			return path
		}
		path = strings.TrimPrefix(rest, ".")
	}
	return path
}
