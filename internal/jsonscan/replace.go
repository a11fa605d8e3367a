package jsonscan

// Edit puts another text in the place of one string.
type Edit struct {
	Start, End int    // the string token with its quotes: Field.Start and Field.End
	Text       string // what it shall say, unescaped
}

// Replace appends raw to dst with the edits made, and gives the extended
// slice. Each Text is written as a JSON string; every byte outside the edited
// tokens is the same as in raw. dst must not share memory with raw.
//
// Edits stand in ascending order, within raw, and do not overlap. One that
// breaks this is left out, and those after it are made: it is for the caller
// to see to it that there are none.
func Replace(dst, raw []byte, edits []Edit) []byte {
	at := 0
	for _, e := range edits {
		if e.Start < at || e.End < e.Start || e.End > len(raw) {
			continue
		}
		dst = append(dst, raw[at:e.Start]...)
		dst = AppendString(dst, e.Text)
		at = e.End
	}
	return append(dst, raw[at:]...)
}
