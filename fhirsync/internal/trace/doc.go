// Package trace writes a record of the exchanges between a client and a FHIR server that shows how the server behaves and holds nothing of
// what it said about people.
//
// Everything that is written goes by lists of what is harmless: names of resource types, search parameters, elements and headers, status
// codes, codes of OperationOutcomes, numbers of bytes and milliseconds. Whatever is on no list (ids, values of parameters, tokens in links,
// hosts) becomes a placeholder such as {id-1}, counted in the order in which it appears. The same value has the same placeholder all
// through one trace, and two traces have nothing in common.
//
// The format is that of fhirtest.Replay, which has its own reading of it.
package trace
