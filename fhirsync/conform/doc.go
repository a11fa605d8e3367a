// Package conform makes what servers send fit for strict receivers, without changing what it means: a [fhirsync.Store] around a store
// ([Store]), and a plain function on the bytes of a resource ([Conformer.Apply]).
//
//	c, err := conform.New(conform.Options{})
//	...
//	store := conform.Store(next, c, nil)   // on the way into a store
//	out, err := c.Apply(raw)               // or by itself: out.Raw, out.Changes, out.Nonconformities
//
// Three promises:
//
//   - Nothing is changed that a rule does not name, and each change says so. Bytes outside of it stay, white space included; decimals keep
//     their digits, and elements that FHIR does not have stay as they are.
//   - Nothing is made up. Where a value could be put right in two ways, or in none without a guess, it stays and is a [Nonconformity]. A date
//     gets no precision and no zone that it does not have, and Coding.code, units and values of quantities are never touched.
//   - Applied twice, it changes nothing the second time.
//
// # What is changed by default
//
// This, and nothing else. Each line is a [Rule] that can be switched off by itself ([Options.Rules]).
//
//   - empty: empty strings, objects and arrays are taken away. In a list of primitives a null takes the place of an empty string beside which
//     something stands.
//   - nulls: a null is taken away where there is none or another null beside it (value and _value). All others stay: they hold a place.
//   - dates: a blank or small t instead of T, parts with one digit, a small z, a zone without colon or minutes, and blanks around it are
//     put right. A time without a zone gets one only if [Options.Location] says where it was written down, and only if the clock there
//     showed that time just once. Times without seconds and dates in other orders stay.
//   - numbers, booleans: a string that says just a number (or true, false) where the element is one becomes that, with the same digits.
//   - codes: letter case and surrounding white space of elements of type code that have a required binding, where just one code of the
//     value set is the same but for these.
//   - references: blanks around a literal reference, and slashes around Type/id, are taken away. An absolute reference to one of
//     [Options.Bases] becomes a relative one.
//   - status: a resource's own status that FHIR requires and that is missing becomes unknown, if that is one of its codes, else it gets the
//     extension data-absent-reason.
//   - narrative: scripts, styles, event handlers, elements and attributes that FHIR does not allow, and HTML's names of characters go from
//     text.div; tags are closed; the namespace is put in. The words stay. Elements that unsay their text (del, s) or hold a state (forms)
//     are not touched: such a narrative stays as it is.
//
// Contained resources are never removed, by no rule. By default meta stays as it is; [Options.Versions], [Options.Claims] and
// [Options.Unknowns] change that. Tags and security labels always stay.
//
// These rules only look, and say what they find: required (an element that must be there), unknown (elements that FHIR does not have),
// shape (an object where a string is due), duplicates (a name twice in an object: no winner is chosen, and nothing under it is touched),
// ids (an id that is not legal; package idspace makes legal ones).
//
// Numbers, booleans, dates and codes are told by the elements' types, from FHIR's own definitions of R4 (r4.txt; R4B is taken for the
// same). For resources of another version say so in [Options.FHIRVersion]: then only the rules that need no types are carried out.
//
// # How to see it
//
// [Result] has all changes and all that is left, each with rule and path. A [Store] writes changes into Resource.Repairs, keeps what was
// before them in Resource.Original, and tells of each resource by [StoreOptions.OnResult]. The report counts none of them: it is about what
// came. To see what would be done to a record before doing it, pull it into a store of your own and call Apply on what comes. To switch it
// all off, leave the wrapper away; to switch one rule off:
//
//	conform.Options{Rules: conform.Without(conform.DefaultRules(), conform.RuleDates)}
//
// # Profiles
//
// A [Profile] is data: what a resource must have to claim a profile, and what may be done so that it has it (fill in, map, remove, move
// into an extension). Filled in is nothing but data-absent-reason and the code unknown; New refuses a profile that says otherwise, or that
// maps clinical codes or units. If a resource cannot be made to meet a profile it is left as it was before, the reasons are Nonconformities
// with the profile's name, and the claim in meta.profile is not made, or taken away. [USCore6] and [USCore8] are ready ones, off by
// default.
//
// # Validators
//
// A [Validator] is asked about each resource after the rules, and [Policy] says what becomes of what it refuses: kept, marked in meta.tag,
// or rejected, so that it goes into quarantine and the report names it. A validator that cannot be asked is an error of Put, never a pass.
// Package validate, below this one, has one that asks a FHIR server by $validate.
//
// # Together with Namespaced
//
// It works both ways round; the digests and states of both stay apart as they should. Prefer
//
//	fhirsync.Namespaced(conform.Store(next, c, nil), spaces...)
//
// where ids are rewritten first: they are legal then, references to the own server are relative, and what the rules and the validator see is
// what next gets. The other way round,
//
//	conform.Store(fhirsync.Namespaced(next, spaces...), c, nil)
//
// outcomes and validators speak of the source's ids, the rule ids finds fault with those that FHIR does not allow, and the marks that
// idspace puts into meta come after everything else. Bytes that are no JSON are rejected by Namespaced in either order.
//
// # Common mistakes
//
//   - A digest is not that of the stored bytes. It never was: it is that of the source's, and here of source and settings together. Whoever
//     changes a rule gets everything again, as new.
//   - RemoveClaims is for receivers that do not know the profiles: many refuse a claim that they cannot check.
//   - A Nonconformity is no error. What has one is stored like everything else; strict receivers may refuse it.
//   - Of a time without a zone, Location is the place where it was written down, not the one where the program runs.
package conform
