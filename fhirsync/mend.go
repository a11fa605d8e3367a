package fhirsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// mended is what a repair did to a resource.
type mended struct {
	original []byte // as it came; nil where nothing was changed
	repairs  []Repair
}

// add notes a repair. before are the bytes as they were ahead of it; they are copied the first time.
func (m *mended) add(before []byte, x Repair) {
	if m.original == nil {
		m.original = slices.Clone(before)
	}
	m.repairs = append(m.repairs, x)
}

// noteBOM notes a byte order mark before a body, which is no part of any resource.
func (r *run) noteBOM(body []byte) {
	if bytes.HasPrefix(body, []byte(byteOrderMark)) {
		r.ledger.repaired(RepairBOM)
	}
}

// digest gives the SHA-256 of the source bytes.
func (m *mended) digest(raw []byte) [32]byte {
	if m.original != nil {
		return sha256.Sum256(m.original)
	}
	return sha256.Sum256(raw)
}

// nameless gives a resource that has no id the one of the address under which the server gave it. It leaves an entry alone of whose
// address nothing is known, or which says something else of itself.
func (r *run) nameless(e *jsonscan.Entry, id string) *mended {
	if e.Err != nil || e.Resource == nil || e.ID != "" || id == "" || !isTypeName(e.ResourceType) || jsonscan.Valid(e.Resource) != nil {
		return nil
	}
	m := new(mended)
	m.add(e.Resource, Repair{Kind: RepairID, Path: e.ResourceType + ".id", Offset: 1})
	e.Resource, e.ID = withMember(e.Resource, "id", id), id
	return m
}

// withMember gives an object with one more member before the others.
func withMember(object []byte, name, value string) []byte {
	text, _ := json.Marshal(value) // a string always has JSON.
	out := make([]byte, 0, len(object)+len(name)+len(text)+4)
	out = append(out, '{', '"')
	out = append(out, name...)
	out = append(out, '"', ':')
	out = append(out, text...)
	rest := trimBOM(object[1:])
	if rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, object[1:]...)
}
