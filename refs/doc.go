// Package refs understands FHIR references: what kind a literal reference is
// ([Parse], [ParseCanonical]), where in a resource references, attachments, canonicals, uris and links stand ([All]), and what of all that
// a record refers to is still to be fetched ([Frontier], by a [Policy]).
//
// It fetches nothing and knows no server: whether two references mean the
// same resource depends on bases that only the caller knows.
//
// Nothing in this package changes what was written. Ids are opaque: odd ones
// are kept, and percent-escapes in them are not decoded.
package refs
