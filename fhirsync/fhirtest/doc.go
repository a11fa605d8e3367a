// Package fhirtest is a FHIR R4 server for tests that knows the truth about its patients and misbehaves on request.
//
// A client of a FHIR server cannot tell a complete record from one that was cut: both look like pages without an error.
// A test can, if the server under it knows what the client should have brought. [Generate] makes a synthetic patient and
// remembers what belongs to it; a [Server] holds any number of them, serves their bytes exactly as they are, and says with
// [Server.Want] what a complete client ends up with. [Server.Inject] then makes it lie, stall, cut and repeat in ways that
// real servers were seen to do; [Faults] lists them all.
//
//	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200})
//	srv := fhirtest.NewServer(rec)
//	srv.Inject(fhirtest.PageCap(50).For("Observation"), fhirtest.TooManyRequests(3, "1"))
//	got := pull(srv.Client(), srv.BaseURL(), rec.PatientID) // the client under test
//	// everything in srv.Want(rec.PatientID) is in got, or got says what is missing
//
// # The truth
//
// What belongs to a patient is decided while the resources are made, and written down beside their bytes: who owns them,
// which searches find them, which references they hold. Nothing is parsed out of the JSON later and no compartment table
// is consulted, so that a client's own table can be wrong and a test will show it. Faults change what is said, never what
// is true.
//
// All content is invented. The JSON is valid but deliberately uncomfortable: decimals with more digits than a float64
// holds, strings with needless escapes, several styles of white space, unknown members, ids that differ only in case or
// are the same in several types, contained resources, references of every kind, among them dangling ones and cycles.
//
// # The server
//
// The server speaks metadata, read, read of the current version and of those that Put has replaced, search by GET and POST _search and by compartment
// (Patient/ID/Type), _summary=count, _count, _total, _lastUpdated, :missing, :not, dates with prefixes, tokens, and paging
// by links in the style of Server.Links. Unknown parameters are ignored and left out of the self link, unless
// the client asks for strict handling. With Server.Everything it has the operation Patient/ID/$everything as well, with
// Server.Batch it answers batches of GETs, with Server.RevInclude it honours _revinclude=Provenance:target. There are no
// writes, other operations, includes or exports.
//
// A server of a certain make is put together of these pieces: SetBaseURL, Software and Publisher, Server.Claims for a
// CapabilityStatement that says something else than what works, Server.Links, Options.ID, and faults, which refuse in the
// server's own words with [Fault.Refusing].
//
// [Server.RoundTripper] reaches it without sockets, also inside a bubble of testing/synctest, where an hour of Retry-After
// costs no time; [Server.Start] listens on the loopback interface.
package fhirtest
