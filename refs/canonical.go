package refs

import "strings"

// Canonical is an element of type canonical taken apart: the name of a definition, which may be the address of one.
// http://hl7.org/fhir/R4/references.html#canonical
type Canonical struct {
	URL      string    // the name itself; empty for a canonical within the same resource (#q1)
	Version  string    // what follows the bar: the definition's business version, no version id
	Fragment string    // what follows the number sign: an element within it
	Ref      Reference // Parse(URL): says whether it could be the address of a resource
}

// ParseCanonical takes a canonical apart. It never fails and never allocates: the fields are parts of s.
//
// The bar stands before the number sign, url|version#fragment; where a writer has it the other way round, the bar counts as part of the fragment.
func ParseCanonical(s string) Canonical {
	var c Canonical
	s, c.Fragment, _ = strings.Cut(s, "#")
	c.URL, c.Version, _ = strings.Cut(s, "|")
	c.Ref = Parse(c.URL)
	return c
}
