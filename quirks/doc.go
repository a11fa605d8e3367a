// Package quirks holds what is known about a FHIR server beside the specification.
//
// For now that is [Capabilities]: what the server's CapabilityStatement claims, in the form in which a client asks about it. A claim is
// never a proof: servers list what does not work and leave out what does, so the sync uses claims to decide how an answer is judged,
// and never to leave a question unasked.
package quirks
