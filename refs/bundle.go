package refs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Bundle resolves references between the entries of a Bundle, by the rules of http://hl7.org/fhir/R4/bundle.html#references.
//
// The zero value is a Bundle without entries; [Bundle.Add] adds them, or [ReadBundle] reads all of one. Once the last entry is added,
// several goroutines may resolve.
type Bundle struct {
	// Base is the base URL of the server that the Bundle came from. Entries without a fullUrl, which are many in practice, are taken to be
	// there. Without a Base, nothing finds them.
	Base string

	entries []bundleEntry
	byURL   map[string][]int
}

type bundleEntry struct {
	root             string // what a relative reference in it is relative to; empty: it means nothing
	typ, id, version string
}

// Resolved is what a reference means in a Bundle.
type Resolved struct {
	// Entry is the index of the entry with the resource, -1 if no entry has it.
	Entry int

	// Contained tells that what is meant is within that entry's resource: the contained resource with the id Fragment, or the resource itself
	// if Fragment is empty.
	Contained bool
	Fragment  string

	// URL is what the reference means outside of the Bundle: an address, or a urn that has no meaning there. Empty if it has none at all, as
	// with a relative reference in an entry whose fullUrl is a urn.
	URL string
}

// ErrAmbiguous says that several entries of a Bundle are what a reference names.
var ErrAmbiguous = errors.New("refs: several entries match the reference")

// ReadBundle reads the entries of a Bundle. base may be empty; see [Bundle.Base]. Entries that cannot be read are there, but nothing
// finds them. The error is that of JSON which cannot be followed, or says that it is no Bundle.
func ReadBundle(raw []byte, base string) (*Bundle, error) {
	var page jsonscan.Bundle
	if err := page.Split(raw); err != nil {
		return nil, fmt.Errorf("refs: %w", err)
	}
	if page.ResourceType != "Bundle" {
		return nil, errors.New("refs: not a Bundle")
	}
	b := &Bundle{Base: base}
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.Err != nil {
			b.Add("", "", "", "")
			continue
		}
		b.Add(e.FullURL, e.ResourceType, e.ID, e.VersionID)
	}
	return b, nil
}

// Add adds an entry by its fullUrl and its resource's type, logical id and meta.versionId, any of which may be empty, and gives its index.
func (b *Bundle) Add(fullURL, typ, id, versionID string) int {
	e := bundleEntry{typ: typ, id: id, version: versionID}
	ref := Parse(fullURL)
	var key string
	switch {
	case fullURL == "" && b.Base != "" && typ != "" && id != "":
		ref = Reference{Kind: Absolute, Base: strings.TrimRight(b.Base, "/"), Type: typ, ID: id}
	case ref.Kind == Relative && b.Base != "": // not conformant, and seen
		ref.Kind, ref.Base = Absolute, strings.TrimRight(b.Base, "/")
	}
	if ref.Kind == Absolute {
		e.root = ref.Base
	}
	if ref.Kind != Invalid {
		key = keyOf(&ref, fullURL)
	}
	n := len(b.entries)
	b.entries = append(b.entries, e)
	if key != "" {
		if b.byURL == nil {
			b.byURL = map[string][]int{}
		}
		b.byURL[key] = append(b.byURL[key], n)
	}
	return n
}

// Len gives the number of entries.
func (b *Bundle) Len() int { return len(b.entries) }

// Resolve tells what a reference in the resource of an entry means. from is the entry's index; -1 stands for the Bundle as such, in which
// relative references are relative to Base.
//
//   - A reference within the resource (#p1) is Contained in the same entry.
//   - A relative one is taken from the root of the entry's fullUrl, if that is the address of a resource. If it is not (a urn), the reference
//     means nothing.
//   - What it then means is looked up among the fullUrls. Addresses of resources are the same in any spelling of the host, by http or https,
//     with or without the default port, and without their query; a version is compared to the meta.versionId of the entry.
//   - Entries with the same type, id and version count as one, the first. Else, where several match, the error is [ErrAmbiguous].
//
// There is no other error: what is not in the Bundle has the Entry -1.
func (b *Bundle) Resolve(from int, reference string) (Resolved, error) {
	var key string
	out := Resolved{Entry: -1}
	ref := Parse(reference)
	switch ref.Kind {
	case Contained:
		if from < 0 || from >= len(b.entries) {
			return out, nil
		}
		return Resolved{Entry: from, Contained: true, Fragment: ref.Fragment}, nil
	case Relative:
		ref.Base = strings.TrimRight(b.Base, "/")
		if from >= 0 && from < len(b.entries) {
			ref.Base = b.entries[from].root
		}
		if ref.Base == "" {
			return out, nil
		}
		ref.Kind = Absolute
		fallthrough
	case Absolute:
		out.URL = ref.Base + "/" + ref.Type + "/" + ref.ID
		if ref.Version != "" {
			out.URL += "/_history/" + ref.Version
		}
		key = keyOf(&ref, "")
	case URN, Other:
		out.URL, _, _ = strings.Cut(reference, "#")
		key = keyOf(&ref, reference)
	default:
		return out, nil
	}
	if ref.Fragment != "" {
		out.Contained, out.Fragment = true, ref.Fragment
	}
	for _, n := range b.byURL[key] {
		e := &b.entries[n]
		if ref.Version != "" && e.version != ref.Version {
			continue
		}
		if out.Entry < 0 {
			out.Entry = n
			continue
		}
		if first := &b.entries[out.Entry]; first.typ != e.typ || first.id != e.id || first.version != e.version {
			out.Entry = -1
			return out, ErrAmbiguous
		}
	}
	return out, nil
}

// keyOf gives the same text for what is the same to a Bundle.
func keyOf(ref *Reference, text string) string {
	switch ref.Kind {
	case URN:
		return strings.ToLower(ref.ID) // http://www.rfc-editor.org/rfc/rfc9562#section-4
	case Absolute:
		// http://hl7.org/fhir/R4/http.html#general
		scheme, rest, _ := strings.Cut(ref.Base, "://")
		host, path, _ := strings.Cut(rest, "/")
		host = strings.ToLower(host)
		if strings.EqualFold(scheme, "https") {
			host = strings.TrimSuffix(host, ":443")
		} else {
			host = strings.TrimSuffix(host, ":80")
		}
		return "//" + host + "/" + path + "/" + ref.Type + "/" + ref.ID
	default:
		text, _, _ = strings.Cut(text, "#")
		return text
	}
}
