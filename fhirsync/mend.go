package fhirsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
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

// mendAll repairs the entries of a page; nil: there was nothing to do.
func (r *run) mendAll(b *jsonscan.Bundle, body []byte, src *source) []*mended {
	var all []*mended
	if src.before != nil {
		src.inside = map[jsonrepair.Kind]int{}
	}
	for i := range b.Entries {
		if m := r.mend(&b.Entries[i], body, src); m != nil {
			if all == nil {
				all = make([]*mended, len(b.Entries))
			}
			all[i] = m
		}
	}
	return all
}

// mend makes an entry readable that is not as it should be, as far as that needs no guess, and tells what it did; nil: nothing.
func (r *run) mend(e *jsonscan.Entry, body []byte, src *source) *mended {
	whole := e.Err == nil && e.Resource != nil
	if whole && e.ID != "" && e.ResourceType != "" && src.before == nil {
		return nil // as nearly all are
	}
	m := new(mended)
	if src.before != nil && e.Resource != nil {
		m.fromPage(e, body, src)
	}
	if whole && e.ID != "" && e.ResourceType != "" {
		return m.orNil()
	}
	// What has to be read closer is rare: an entry without a resource, or a resource without its identity.
	if e.Err != nil || whole && jsonscan.Valid(e.Resource) != nil {
		if more := r.mendJSON(e, body, src); more != nil {
			m.join(more)
		} else {
			return m.orNil()
		}
	}
	if e.Err == nil && e.Resource != nil {
		r.identity(m, e, body, src)
	}
	return m.orNil()
}

func (m *mended) orNil() *mended {
	if m.original == nil && len(m.repairs) == 0 {
		return nil
	}
	return m
}

// join adds what was repaired after m, of bytes that m had repaired before.
func (m *mended) join(later *mended) {
	if m.original == nil {
		m.original = later.original
	}
	m.repairs = append(m.repairs, later.repairs...)
}

// fromPage notes what was repaired of the page and lies in the resource.
func (m *mended) fromPage(e *jsonscan.Entry, body []byte, src *source) {
	start := e.Start + max(bytes.Index(body[e.Start:e.End], e.Resource), 0)
	raw, fixes, changed := src.before.Original(body, jsonrepair.Span{Start: start, End: start + len(e.Resource)})
	if changed {
		m.original = slices.Clone(raw)
	}
	m.repairs = repairsOf(e.ResourceType, fixes)
	for _, f := range fixes {
		src.inside[f.Kind]++
	}
}

// outside notes what was repaired of a page and lies in none of its resources.
func (r *run) outside(src *source) {
	if src.before == nil {
		return
	}
	for _, f := range src.before.Fixes {
		if src.inside[f.Kind]--; src.inside[f.Kind] < 0 && f.Kind != jsonrepair.BOM { // those are noted already.
			r.ledger.repaired(RepairKind(f.Kind))
		}
	}
}

// repairsOf makes Repairs of what was repaired in a resource.
func repairsOf(typ string, fixes []jsonrepair.Fix) []Repair {
	if len(fixes) == 0 {
		return nil
	}
	if !isTypeName(typ) {
		typ = ""
	}
	out := make([]Repair, len(fixes))
	for i, f := range fixes {
		path := jsonrepair.Within(f.Path)
		switch {
		case path != "" && typ != "":
			path = typ + "." + path
		case path == "":
			path = typ
		}
		if encoding := RepairKind(f.Kind); encoding == RepairUTF16 || f.Path == "" && encoding == RepairLatin1 {
			path = ""
		}
		out[i] = Repair{Kind: RepairKind(f.Kind), Path: path, Offset: f.Offset}
	}
	return out
}

// mendJSON repairs an entry that is not JSON, and reads it again; nil: that needs a guess.
func (r *run) mendJSON(e *jsonscan.Entry, body []byte, src *source) *mended {
	came := body[e.Start:e.End]
	o := jsonrepair.Options{Latin1: src.isLatin1(body)}
	fixed, found, err := jsonrepair.Repair(came, o)
	if err != nil {
		if !isEarlyEnd(err) {
			e.Err = err // it says more than what was found first.
		}
		return nil
	}
	fresh := *e
	if src.bare {
		fixed = trimBOM(fixed)
		fresh.Header, fresh.Err = jsonscan.Head(fixed)
		fresh.Resource = fixed
	} else {
		const before, after = `{"resourceType":"Bundle","entry":[`, `]}`
		var b jsonscan.Bundle
		if b.Split(slices.Concat([]byte(before), fixed, []byte(after))) != nil || len(b.Entries) != 1 {
			return nil
		}
		fresh = b.Entries[0]
	}
	if fresh.Err != nil || fresh.Resource == nil || jsonscan.Valid(fresh.Resource) != nil {
		return nil
	}
	at := bytes.Index(fixed, fresh.Resource)
	if !src.bare {
		for i, f := range found.Fixes {
			found.Fixes[i].Path = strings.TrimPrefix(strings.TrimPrefix(f.Path, "resource"), ".")
		}
	}
	source := jsonrepair.Source{Text: came, Edits: found.Edits, Fixes: found.Fixes}
	raw, fixes, changed := source.Original(fixed, jsonrepair.Span{Start: at, End: at + len(fresh.Resource)})
	fresh.Start, fresh.End = e.Start, e.End
	*e = fresh
	if !changed {
		// What was wrong was around the resource.
		for _, f := range found.Fixes {
			r.ledger.repaired(RepairKind(f.Kind))
		}
		return new(mended)
	}
	return &mended{original: slices.Clone(raw), repairs: repairsOf(e.ResourceType, fixes)}
}

// isLatin1 tells whether bytes on the page that are not UTF-8 are Latin-1.
func (src *source) isLatin1(body []byte) bool {
	if src.latin1 == nil {
		is := (src.before == nil || src.before.Encoding == "") && jsonrepair.IsLatin1(body)
		src.latin1 = &is
	}
	return *src.latin1
}

// identity completes what a resource says of itself, where it is certain.
func (r *run) identity(m *mended, e *jsonscan.Entry, body []byte, src *source) {
	address := refs.Parse(e.FullURL)
	known := address.Kind == refs.Absolute || address.Kind == refs.Relative
	if e.ResourceType == "" {
		typ := ""
		match := e.Mode == "match" || e.Mode == "" && !src.companion
		switch {
		case e.ID == "" && !known: // nothing shows that this is a resource.
		case known && (!match || src.typ == "" || address.Type == src.typ):
			typ = address.Type
		case !known && match && src.plain:
			typ = src.typ
		}
		if !isTypeName(typ) {
			return
		}
		m.add(e.Resource, Repair{Kind: RepairType, Path: typ, Offset: 1})
		e.Resource, e.ResourceType = withMember(e.Resource, "resourceType", typ), typ
	}
	if e.ID != "" || !isTypeName(e.ResourceType) {
		return
	}
	kind, id := RepairID, r.identify(e)
	if uuid := address.ID[strings.LastIndexByte(address.ID, ':')+1:]; id == "" && address.Kind == refs.URN && uuid != "" && bytes.Contains(body, []byte(`"`+e.ResourceType+"/"+uuid+`"`)) {
		id = uuid // references on the page show that this is its id.
	}
	if id == "" {
		if src.read || e.ResourceType == "OperationOutcome" {
			return
		}
		kind, id = RepairContentID, contentID(e.ResourceType, e.Resource)
	}
	m.add(e.Resource, Repair{Kind: kind, Path: e.ResourceType + ".id", Offset: 1})
	e.Resource, e.ID = withMember(e.Resource, "id", id), id
}

// contentID makes an id of what a resource says, white space aside. It is a legal one (http://hl7.org/fhir/R4/datatypes.html#id).
func contentID(typ string, resource []byte) string {
	var text bytes.Buffer
	text.WriteString(typ + "/")
	if json.Compact(&text, resource) != nil {
		text.Write(resource)
	}
	sum := sha256.Sum256(text.Bytes())
	return "content-" + hex.EncodeToString(sum[:20])
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
