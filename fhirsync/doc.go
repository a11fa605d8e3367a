// Package fhirsync pulls all of one patient's health record out of any FHIR server and into the caller's own storage.
//
// The promise: every resource of the patient reaches the store, or the report says which did not, and why.
//
// # Pulling a patient
//
// Make one [Client] per process with [New], and call [Client.Sync] with a [Server], the Patient's logical id and a [Store]:
//
//	client, err := fhirsync.New(fhirsync.Config{})
//	if err != nil {
//		return err
//	}
//	server := fhirsync.Server{Name: "payer-a", BaseURL: "https://fhir.example.org/r4", TokenSource: tokens}
//	report, err := client.Sync(ctx, server, "17", store, nil)
//
// A sync reads the CapabilityStatement (and survives without it) and the Patient, asks for all types of the Patient compartment and for
// those outside of it that carry a patient, follows references to whatever else the record names on the same server, and checks what came
// against the server's own counts. What attachments name on the same server comes too, bit for bit: as Binary resources, or to a store that is a
// [ContentStore]. Other servers are asked where [SyncOptions].Elsewhere says so, without any credential. Resources keep the server's bytes. Those of other patients that a server mixes in are not stored.
//
// [SyncOptions] limits the types and tells of progress ([Event]). The server has to speak FHIR R4, R4B, R5 or STU3.
//
// # What is repaired
//
// Servers send what a strict parser refuses. What can be read in one way only is repaired, and nothing else: another encoding (UTF-16,
// Latin-1), a byte order mark, bytes that are no character, control characters, leading zeros and plus signs, commas before a closing bracket,
// comments, names without quotes, halves of characters; one resource, lines of resources or several Bundles where one was due, a Bundle of
// results within another, an entry that is an object; an id or a resourceType that is not there and is certain from the address or the
// question. A resource without any id gets one made of its content. Each repair is in [Resource].Repairs and counted in [Report].Repairs, and
// the bytes as they came are in [Resource].Original and, where the store has one, in its [QuarantineStore]. [RepairKind] lists the kinds.
// Of a resource that no repair has touched every byte is the server's.
//
// A page that ends early is not repaired but asked for again, and XML is asked for again as JSON. What would need a guess (NaN, a missing
// comma, two ids) is read by itself and, if that is no better, kept in quarantine with what was asked for and why, and is a gap of reason
// [Failed]. A member that stands twice with different values stays as it is and is only recorded: [RepairDuplicate].
//
// Nothing of this can be switched off, because a resource that is not JSON helps nobody: who wants the server's bytes takes Original.
//
// # Stores
//
// A [Store] has one method, Put. Packages store/memstore and store/dirstore are stores; [StoreFunc] makes one of a function;
// [Tee] fills several, [Filter] takes a part, [Namespaced] gives each resource an id of its own. Package conform
// has one that makes what servers send fit for strict receivers.
//
// The contract:
//
//   - nil means that every resource of the [Batch] is accepted. An error means that any part of it may be there.
//   - The same batch may come again, and so may any of its resources: Put is an upsert by [Key].
//   - One Sync never calls two methods of its store at once. Different Syncs do.
//   - A [*RejectError] names what will never be accepted: a gap each, and the rest comes again. Any other error is tried again a few times and
//     then ends the sync.
//   - What a store can do besides, it says by implementing [StateStore], [DigestStore], [ContentStore], [HistoryStore], [SeenStore] or [QuarantineStore], or with a
//     method Powers() [Powers].
//
// Checklist:
//
//   - The primary key is Server, Type and ID, all three, compared byte by byte.
//   - A resource can be of another server than its batch (see [Elsewhere]). A store that is for one server alone rejects it.
//   - Raw is written as it is, into a column of bytes or text and not of parsed JSON.
//   - The resources of a batch may belong to several patients' records: a Practitioner comes once for each, and Batch.PatientID says whose
//     record it is this time.
//   - Put honours its context. It is not cancelled at once when the caller's context is: what has come is given some seconds to be put.
//   - A state is saved where the data are, and never survives them.
//   - package storetest passes.
//
// Common mistakes:
//
//   - An insert instead of an upsert: the second sync fails on every resource.
//   - Ids folded to lower case, or put into file names as they are: "a1" and "A1" are two resources, and an id may hold a slash.
//   - Re-encoding: 1.50 becomes 1.5, and big numbers lose digits.
//   - Deleting what did not come. A server that had a bad day is no reason.
//   - Embedding a store in a wrapper without handing on its powers: the sync cannot be resumed, and says so. See [PowersOf].
//   - Writing to Raw or to Resources: others read them too.
//   - Batch.Server as the server of each resource: what another one had would take the place of the server's own.
//   - A content that is there as soon as its first bytes are: what fails in the middle must leave the one before, or none.
//
// # Strategies
//
// A [Strategy] decides what is asked, in what order, through a [Session]. [Auto] is the default; [SearchByType] and [Everything] are its
// parts; [FirstOf] and [Union] combine others.
//
// The contract:
//
//   - The Session keeps the books. Asking enters an obligation, and what comes is judged, stored and counted without the strategy's help.
//     References, broken resources and checks by counts are seen to after Fetch.
//   - Fetch returns nil when all is asked, whether or not all was answered; [errors.ErrUnsupported] if the server cannot do this at all, in
//     which case what it left unanswered is withdrawn; otherwise the error of the Session method that ended the run.
//   - An error of [Session.Search], [Session.Pages], [Session.Read] or [Session.Run] means that the run is over. That one question failed is
//     no error.
//   - Types that were never asked, page loops that were left, parts and obligations that stay open become gaps of reason [Unasked].
//
// Checklist:
//
//   - Name is stable: it is part of what a saved state is found by.
//   - Every type of [Session.Types] is searched whole, or split with [Session.Partition] into parts that are all asked. A search with
//     parameters of its own settles nothing.
//   - Decisions go by [Session.Capabilities] and [Session.Offers], never by a vendor's name.
//   - What comes by another way, out of files of a job say, is announced with [Session.Owe] before it is fetched.
//   - No code for resuming: in a resumed run a type that was settled yields nothing and sends nothing.
//
// Common mistakes:
//
//   - The patient among the parameters of a [Query]: the Session names it, in the form that the server understands.
//   - Taking an empty answer for the truth while Fetch runs: it may be asked again in another form afterwards.
//   - Keeping a [Page] beyond its iteration. Its Resources may be kept.
//   - Going on after an error of the Session, or swallowing it.
//
// # Completeness
//
// A sync owes all resources of each type, the targets of references, and what a strategy announces. Each of these ends answered or as a
// [Gap], and what stays open is a gap. The [Report] says for each type how many were received and stored, how many the server said it has,
// and by what [Evidence] these are known to be all:
//
//   - [Counted]: an independent statement of the server agrees, its count as a rule.
//   - [Ended]: the pages ended as the protocol says, without a sign of truncation that is not explained.
//   - [Partitioned]: the type could be asked in parts only; each ended, but nothing proves that they are the whole.
//   - [None]: it was not asked for (what came by reference has no number that it could be compared with), or nothing can be concluded.
//
// The [Verdict] is that of the worst gap: [Complete], [Restricted] (nothing is known to be lost, but not all could be seen or proven) or
// [Incomplete]. [GapReason.Verdict] tells what each reason does. Signs of truncation are looked for in every answer: totals that do not
// agree, pages that end on a round number, links that lead in circles, outcomes that say so, resources that references bring and searches
// did not. What was cut is asked for in parts: by dates, by record time, by values. A sign that cannot be cleared up is a gap. An empty answer is believed only if the server has shown that it understands the
// question.
//
// fmt.Println(report) prints it for people; as JSON it has stable names and can be read back.
//
// # Resuming
//
// If the store is a [StateStore], the state of a sync is saved into it from time to time and when the sync is interrupted, never for more
// than what has been put. The next Sync of the same server, patient, types and strategy, within a day, goes on from there, under the same
// Report.Run and in another process as well; Report.ResumedFrom says since when. Types that were in the middle are asked again from their
// first page. [SyncOptions].Full starts over.
//
// A sync that reached its end leaves only how many each type brought: the next one asks everything again, and looks closer where it gets
// fewer. A sync with [SyncOptions].AlsoPatients cannot be resumed. With a [DigestStore], Report says how much of it was
// unchanged.
//
// Report.Resumable tells whether there is a state to go on from. There is none without a StateStore, after the store failed, and for records
// of more than some 40,000 resources unless the store is a [SeenStore] too. The state of such a sync does not name what has come, the store
// knows it; where the process died, what was put in the last seconds before is there and not counted in the report.
//
// # Errors
//
// The Report is nil only if an argument was wrong; then nothing was sent. A sync that reached its end gives nil or an [*IncompleteError]
// ([ErrIncomplete]). One that did not gives its cause alone, with Report.Interrupted set: [ErrUnauthorized], [ErrPatientNotFound],
// [ErrNotFHIR], [*VersionError], [*PatientMovedError], [*ServerError], [*StoreError], or the cause of the context. So
//
//	if err != nil && !errors.Is(err, fhirsync.ErrIncomplete) {
//		return err
//	}
//
// tolerates gaps and nothing else. A [*ServerError] keeps status, issues and address of one request.
//
// # Being polite to servers
//
// All syncs of a Client share one limit per base URL, for the rate of requests and for how many are under way ([Config].Limit; the zero
// value is meant for servers of other people). A Retry-After holds back all of them. Failures are tried again a few times, with growing
// pauses and within a budget. Counts that check the answers get fewer as a server proves to be honest, and what was learned about a server
// is kept as long as the Client.
//
// # What is known of servers
//
// Many servers want a header of their own, refuse a type without a category, or stop where nobody expects it. Package quirks knows some fifty
// of them by their base URLs and by what they say about themselves ([Config].Quirks; its list is quirks/SERVERS.md), and [Server].Quirks takes
// what you know of one. Where such a thing is yours alone, a tenant or a client id, it is asked for by name and given in [Server].Vars; what
// is missing there stands in the report, and so do the entries that were at work ([Report].Quirks) and what the server is known to leave out.
// The guide to describing a server in a file stands in the documentation of package quirks.
//
// What is known saves questions that would be refused. It proves nothing: a type that was asked for in parts, or not at all, because of it is
// no more complete than the answers show.
//
// # Privacy
//
// Tokens and Server.Header are sent to the scheme, host and port of Server.BaseURL only, whatever redirects, links and resources name. Other servers
// hear of a record only with [SyncOptions].Elsewhere, which has no credential to send.
// Messages of errors, log lines and events hold no ids, query values, tokens or content; [ServerError].URL and [Issue].Diagnostics can, and
// are in no message. A Report holds ids of resources and of the patient.
package fhirsync
