// Package refs understands FHIR references in raw JSON: what a literal reference is, where in a resource references stand, what they mean in a
// Bundle, and what of all that a record refers to is still to be fetched. It has no types for resources, needs none of the other packages of
// this module, and works with FHIR STU3, R4, R4B and R5 alike.
//
// # One reference
//
// [Parse] takes a literal reference apart: relative (Patient/1), absolute, contained (#p1), urn, conditional (Patient?identifier=…); with the
// version it names, if it does. [ParseCanonical] does the same for the name of a definition, url|version#fragment. A Reference without a
// literal, which has an identifier or a display only, is told by [ReadReference].
//
// # All references of a resource
//
// [All] goes through a resource once and gives what it points to, each with the path of its element, its place in the bytes and its [Source]:
// References, Attachments, canonicals, uris and links in the narrative are told apart, because they are different promises. A Reference names a
// resource. An Attachment.url names content, often behind an address that is nobody else's business. A canonical is a name first and an address by
// chance. Most uris are no address at all.
//
// [Rewrite] puts other texts in their places and leaves every other byte as it was. [ReadAttachment] tells what an Attachment says about
// the content that it names: type, size, hash.
//
// # What a reference means
//
// Relative references are relative to the base of the server that the resource came from; whether two bases are the same server is for the caller to
// know. In a Bundle they are relative to the entry they stand in, and what they name may be in the same Bundle: [Bundle] knows the rules.
//
// # What is still wanted
//
// A [Frontier] takes what All found and gives what is to be fetched: each target once, by a [Policy], nothing that is held already, bounded in
// number and in distance, with a count of all that was not followed and why. A loop around it is a whole crawler:
//
//	f := refs.Frontier{Here: isThisServer, Held: isStored, Follow: mayBeFollowed}
//	for targets := f.Take(); len(targets) > 0; targets = f.Take() {
//		for _, target := range targets {
//			resource := fetch(target)
//			for found, err := range refs.All(resource) { … }
//			f.Add(target.Type, f.Hops(target.Type, target.ID), found...)
//		}
//	}
//
// # What this package promises
//
// Nothing is changed on the way: ids are opaque, odd ones are kept, and percent-escapes in them are not decoded. What is fetched by them has to
// escape them. What comes from a server is not trusted: no input makes these functions panic, recurse, or need memory or time out of proportion to its
// size, and no error holds a part of the input. A path with dots that lead somewhere else (Patient/../x) is Invalid.
package refs
