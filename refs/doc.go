// Package refs understands FHIR references: what kind a literal reference is
// ([Parse]), and where in a resource references stand ([All]).
//
// It resolves nothing and knows no server: whether two references mean the
// same resource depends on bases that only the caller knows.
//
// Nothing in this package changes what was written. Ids are opaque: odd ones
// are kept, and percent-escapes in them are not decoded.
package refs
