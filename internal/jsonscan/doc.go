// Package jsonscan reads FHIR JSON without decoding it: it cuts a Bundle into
// the bytes of its resources, finds the strings a caller asks for, and
// replaces strings while every other byte stays as the server sent it.
//
// There are two kinds of reading, and the difference matters:
//
//   - [Bundle.Split] and [Head] are structural. They match brackets and
//     strings and read the header fields, and look at nothing else, so that one
//     broken resource does not cost the page it came on.
//   - [Walker.Walk] and [Valid] are strict. What they accept is JSON by RFC 8259
//     in correct UTF-8, nested no deeper than [MaxDepth].
//
// Bytes that came out of Split are therefore not known to be JSON until Walk
// has accepted them.
//
// No function of this package recurses, and none needs memory in proportion to
// how its input is nested. Errors tell where and why, never what: they hold
// no part of the input and can be logged.
package jsonscan
