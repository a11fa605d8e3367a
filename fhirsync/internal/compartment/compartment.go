// Package compartment knows which resource types belong to a patient, how to ask for them, and which elements say whose a resource is.
package compartment

// Type is what the specification says about one resource type that can belong to a patient.
type Type struct {
	// Params are the search parameters that ask for the patient's resources, the best first. Each alone asks for the whole.
	Params []string
	// Via are parameters by which a resource can be the patient's although the primary element is absent (a Communication with only
	// a sender, a Coverage the patient is subscriber of). Types whose primary element is required (1..1) have none as a rule: whoever
	// is only their performer does not own them. Coverage has several owners, and a Procedure without the subject it must have is
	// still its performer's.
	Via []string
	// Primary are the elements, as paths without indexes, that say whose resource this is.
	Primary []string
	// AnyMention: the resource belongs to every patient it mentions.
	AnyMention bool
	// Outside: not in the Patient compartment, but searchable by patient.
	Outside bool
	// Date is the search parameter of type date by which the type is best halved; "" where it has none that says something. Resources
	// may lack the element: Date:missing=true asks for those.
	Date string
	// Splits are the ways to ask for the type in parts, where the whole is refused or capped. The first are those that guides make
	// servers answer; an Exhaustive one further on is worth a question, because it proves the whole.
	Splits []Split
	// Revincluded: many servers have no search for the type, and give it with what it is about (_revinclude=TYPE:target) or not at all.
	Revincluded bool
}
