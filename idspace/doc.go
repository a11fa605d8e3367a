// Package idspace gives the resources of several FHIR servers ids that cannot
// collide, rewrites resources and all their references to them, and tells the
// way back.
//
// Two servers both have a Patient/1. A [Space] stands for one server: it maps
// every (type, id) of that server to one id that is legal in FHIR, the same in
// every process for ever, and different from the id of anything else. What
// refers to Patient/1 is rewritten in the same way, so that references meet
// again, also when their target comes later or never.
//
//	space, err := idspace.New(idspace.Options{Name: "payer-a", Bases: []string{"https://fhir.payer-a.example/r4"}})
//	...
//	out, err := space.Rewrite(raw) // out.Raw, out.NewID
//
// # Ids
//
// An id depends on the space's name, the [Scheme], the type and the id, and on
// nothing else: a server may move to another address. The default scheme, [Hash],
// cuts a SHA-256 to 160 bits; the chance that any two of n ids meet is below
// n²/2^161, which for ten thousand million ids is 3.4e-29, and nobody knows how to make
// two ids meet on purpose in fewer than 2^80 attempts. [Prefix] gives readable ids such as
// payer-a-123 and needs no chance where it can; [UUIDv5] gives UUIDs. Ids of all schemes
// hold small letters, so that they stay apart where letter case is folded, also if
// the ids they come from differ in nothing else.
//
// # What is rewritten
//
//   - the id of the resource, and of the resources in the entries of a Bundle and in Parameters;
//   - every string named reference, on any level, in contained resources and extensions;
//   - url, valueUri and valueUrl where they lead to a resource (Attachment.url to a Binary, for
//     example), but not the url of an extension or of a resource, which are names and no addresses;
//   - Bundle.entry.fullUrl, request.url and response.location;
//   - href and src in the narrative.
//
// Of these, only what names a resource of this server: Type/id, or the same
// after one of the space's bases in any spelling (http or https, case of the host, default
// port, slashes at the end). Outside of strings named reference the type must be one that FHIR has, in any
// version from STU3 to R5.
//
// In each such string nothing but the id is replaced, with two exceptions. The base of
// this server, or a slash, before Type/id is taken away, because the resource now lives
// elsewhere: "https://fhir.payer-a.example/r4/Patient/1" becomes "Patient/…". Not so in a fullUrl,
// which must be absolute, and in entries of a Bundle whose fullUrl is no RESTful URL of
// this server. A slash after the id goes too.
//
// What is left alone:
//
//   - canonicals, unless [Options.Canonicals] asks for them;
//   - #fragments, urn: URIs, logical references, references to other servers;
//   - conditional references and other searches (Patient?identifier=...): they name no id;
//   - in a Bundle, the entries whose fullUrl says that they are another server's. Rewritten.Foreign
//     counts them: if they are the server's own, under a name behind its gateway, add that name to Options.Bases.
//   - the version in Type/id/_history/version, and meta.versionId, to which it belongs. Who puts
//     the resource into a server that gives versions of its own strips both.
//   - percent-escapes: Patient/a%20b names the id a%20b, as in package refs.
//
// Every byte outside of what is named above stays as it was.
//
// # The marker
//
// Rewritten resources say where they come from. By default two codings are added to meta.tag:
//
//	{"system":"https://github.com/fhirsync/fhirsync-go/idspace/space","code":"payer-a"}
//	{"system":"https://github.com/fhirsync/fhirsync-go/idspace/original","code":"payer-a/Patient/123"}
//
// The first finds all that came from one server (_tag=system|code), the second is
// the original identity: name of the space, type and id, each with everything but
// letters, digits and "-._~" percent-escaped. [Options.Mark] has other places for it.
//
// They are put in front of what is there. Where meta, meta.tag or identifier is
// null, the null is replaced; a tag that is no array is made the last
// element of one; where meta or tag stands twice, each gets the marker. Only a meta that is
// no object is an error.
//
// # Hostile bytes
//
// Rewrite rewrites always, whatever marker its input carries: a server cannot name itself
// into another's space. Markers that came from the server are kept, but can no longer be
// taken for ours: wherever a string named system is one of the two above, "/foreign" is
// appended to it, and once more to one that has it already; a meta.source of [MarkSource] is put,
// percent-escaped, behind [ForeignSource]. [Space.Original] believes a marker only if the
// resource's id is the one that the space gives to the identity in it.
//
// Absolute references to other servers stay, and a server may put any address into them, that of the caller's
// own server included.
//
// # The way back
//
// The marker tells each resource's own identity. What its references were before, only a
// [Mapping] can tell, or the resources they lead to.
package idspace
