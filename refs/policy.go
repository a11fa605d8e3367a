package refs

import "slices"

// Policy says which references are followed. The zero value is the default: the closure over all References to the same server, and the contents
// that Attachments name there; no canonicals.
//
// References within the resource (#p1) are never followed, and neither are links in the narrative and elements of type uri.
type Policy struct {
	// Hops bounds how far references are followed: [Closure] (the zero value), [OneHop], [None], or any number of hops.
	Hops Hops

	// OmitTypes are resource types that are not followed to, as FHIR writes them. nil: none is left out.
	OmitTypes []string

	// OmitAttachments leaves what an Attachment.url names where it is. Binary resources that a Reference names are followed
	// all the same; OmitTypes is for those.
	OmitAttachments bool

	// Canonicals are the types of definitions that canonicals are followed to, "Questionnaire" for example: read where the canonical is an
	// address on the same server, else searched for there by url. nil: canonicals are not followed.
	Canonicals []string
}

// Hops is a number of references that lie between a resource that was asked for and one that is followed to: 1 for what it names itself.
// In a [Policy] it is a bound, whose zero value means that there is none.
type Hops int

// The bounds with names.
const (
	Closure Hops = 0  // as far as references lead; a Frontier's Max ends it
	OneHop  Hops = 1  // what the resources themselves name, and no further
	None    Hops = -1 // nothing is followed
)

// Reaches tells whether what lies so many hops away is to be followed.
func (p *Policy) Reaches(hops Hops) bool {
	return p.Hops == Closure || p.Hops > 0 && hops <= p.Hops
}

// Omits tells whether resources of the type are left out.
func (p *Policy) Omits(typ string) bool { return slices.Contains(p.OmitTypes, typ) }
