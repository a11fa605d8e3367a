// Package quirks holds what is known about a FHIR server beside the specification: what it claims, and what it does otherwise.
//
// [Capabilities] is what the server's CapabilityStatement claims, in the form in which a client asks about it. A claim is never a proof:
// servers list what does not work and leave out what does, so the sync uses claims to decide how an answer is judged.
//
// A [Set] is what a client does otherwise on one server than on any other: headers, the parameter that names the patient, types that must
// be asked for in parts, how pages go on, what an error means. An [Entry] says for which servers a Set is meant and how that is known, and
// a [Registry] finds the entries for a server and merges their Sets, in the order that [Level] describes. [Default] is the registry that
// comes with the package; [Load], [Parse] and [Registry.With] add what you know.
//
// No quirk can make a record look more complete than it is: see [Set].
package quirks
