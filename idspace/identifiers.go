package idspace

import (
	"fmt"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Identifier is a business identifier. What is absent or no string is empty. It grows by fields.
type Identifier struct {
	System, Value, Use string
}

// Identifiers gives the business identifiers of a resource, in order: those by which the same person or organization may be recognised in the
// records of several servers. Merging them is the caller's business; ids keep them apart.
//
// It reads the member identifier, whether that is an array or a single object, and leaves out the ones that [MarkIdentifier] added. The error
// is that of [Space.Rewrite] for what is not JSON, or [ErrIdentity] for what is not an object.
func Identifiers(raw []byte) ([]Identifier, error) {
	if err := jsonscan.Valid(raw); err != nil {
		return nil, fmt.Errorf("idspace: %w", err)
	}
	at := skipSpace(raw, 0)
	if raw[at] != '{' {
		return nil, fmt.Errorf("idspace: not an object: %w", ErrIdentity)
	}
	r := rewriter{raw: raw}
	var out []Identifier
	o := openObject(raw, at)
	for o.next() {
		if string(o.name()) != "identifier" {
			continue
		}
		_ = r.each(o.val, func(at int) error {
			var id Identifier
			m := openObject(raw, at)
			for m.next() {
				if m.kind() != '"' {
					continue
				}
				text := r.said(m.val)
				switch string(m.name()) {
				case "system":
					id.System = text
				case "value":
					id.Value = text
				case "use":
					id.Use = text
				}
			}
			if id.System != OriginalSystem && id != (Identifier{}) {
				out = append(out, id)
			}
			return nil
		}) // never an error
	}
	return out, nil
}
