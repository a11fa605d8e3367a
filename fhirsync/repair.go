package fhirsync

import "maps"

// RepairKind says what was wrong with bytes that were repaired.
type RepairKind string

// The kinds. A repair never guesses: where two readings are possible none is chosen, and what cannot be read without choosing goes into
// quarantine as it came (see [Quarantined]).
const (
	// RepairBOM: a byte order mark stood before the JSON, where none may be (https://www.rfc-editor.org/rfc/rfc8259#section-8.1).
	RepairBOM RepairKind = "byte-order-mark"
	// RepairUTF16: the text was UTF-16.
	RepairUTF16 RepairKind = "utf-16"
	// RepairLatin1: the text was ISO 8859-1 or Windows-1252. It is read as that where the server says so, and where it does not
	// if nothing that came in the same answer is UTF-8 beyond ASCII.
	RepairLatin1 RepairKind = "latin-1"
	// RepairUTF8: bytes that are no character stand as U+FFFD now.
	RepairUTF8 RepairKind = "bad-utf-8"
	// RepairControl: a control character in a string is written as an escape now.
	RepairControl RepairKind = "control-character"
	// RepairNumber: a number had leading zeros, a plus sign, or a decimal point with digits on one side only. Its value is the same.
	RepairNumber RepairKind = "number"
	// RepairComma: a comma stood before a closing bracket.
	RepairComma RepairKind = "trailing-comma"
	// RepairComment: a comment stood between the tokens.
	RepairComment RepairKind = "comment"
	// RepairName: the name of a member had no quotes.
	RepairName RepairKind = "member-name"
	// RepairSurrogate: an escape for half of a character, which stands for none, is the escape of U+FFFD now.
	RepairSurrogate RepairKind = "lone-surrogate"
	// RepairDuplicate: a member stands twice in one object, with different values. Nothing was changed and none of them chosen: what a
	// parser makes of it is its own choice.
	RepairDuplicate RepairKind = "duplicate-member"
	// RepairID: the resource had no id, and got that of the address under which the server gave it.
	RepairID RepairKind = "id-from-url"
	// RepairContentID: the resource had no id, and its address does not tell one. It got one that is made of its content: the same
	// resource gets the same id in every sync, and one that has changed another. It is put when all else has come, and not at all if a
	// resource that says the same beside its id has come with one; what came before the first one without an id is not compared.
	RepairContentID RepairKind = "id-from-content"
	// RepairType: the resource had no resourceType, and only one was possible.
	RepairType RepairKind = "resource-type"
	// RepairBundle: a resource, several, or several Bundles came where one Bundle was due.
	RepairBundle RepairKind = "no-bundle"
	// RepairNested: a Bundle of search results was an entry of another.
	RepairNested RepairKind = "nested-bundle"
	// RepairEntry: Bundle.entry was an object instead of an array.
	RepairEntry RepairKind = "entry-object"
)

// Repair is one thing that was not as it should be in the bytes of a resource, and what was done about it.
type Repair struct {
	// Kind is what was wrong.
	Kind RepairKind `json:"kind"`
	// Path is the element: "Observation.component[1].valueQuantity.value". "" where it is about the whole resource.
	Path string `json:"path,omitempty"`
	// Offset is the place in the bytes as this repair found them: in Resource.Original, or in Resource.Raw where that is nil, unless an
	// earlier repair of the list had moved them.
	Offset int `json:"offset"`
}

// addRepairs counts repairs. The caller holds the ledger's lock.
func addRepairs(counts *map[RepairKind]int, repairs []Repair) {
	if len(repairs) > 0 && *counts == nil {
		*counts = map[RepairKind]int{}
	}
	for _, x := range repairs {
		(*counts)[x.Kind]++
	}
}

// mergeRepairs adds counts to others.
func mergeRepairs(counts *map[RepairKind]int, more map[RepairKind]int) {
	if len(more) > 0 && *counts == nil {
		*counts = map[RepairKind]int{}
	}
	for kind, n := range more {
		(*counts)[kind] += n
	}
}

// repaired notes repairs of a page that are of none of its resources.
func (l *ledger) repaired(kinds ...RepairKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range kinds {
		addRepairs(&l.repairs, []Repair{{Kind: kind}})
	}
}

// allRepairs sums up what was repaired. The caller holds the lock.
func (l *ledger) allRepairs() map[RepairKind]int {
	out := maps.Clone(l.repairs)
	for _, e := range l.types {
		mergeRepairs(&out, e.repairs)
	}
	return out
}
