// Package quirks holds what is known about a FHIR server beside the specification: what it claims, and what it does otherwise.
//
// [Capabilities] is what the server's CapabilityStatement claims, in the form in which a client asks about it. A claim is never a proof:
// servers list what does not work and leave out what does, so the sync uses claims to decide how an answer is judged.
//
// A [Set] is what a client does otherwise on one server than on any other: headers, the parameter that names the patient, types that must
// be asked for in parts, how pages go on, what an error means. An [Entry] says for which servers a Set is meant and how that is known, and
// a [Registry] finds the entries for a server and merges their Sets, in the order that [Level] describes. [Default] is the registry that
// comes with the package. What is in it, with all sources, stands in SERVERS.md beside this file, made of the files in data.
//
// # What is known of a server
//
// A sync finds it by itself; to see it,
//
//	set, entries := quirks.Default().Lookup("https://fhir-open.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d", nil)
//	for _, s := range quirks.Default().Explain("https://fhir-open.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d", nil) {
//		fmt.Println(s.Field, s.Value, "because", s.Sources[0].Says)
//	}
//
// The second argument is what the server says about itself, where that has been read: many products are found by it alone, because each of
// their customers has a host of its own. A report names the entries that were at work.
//
// # Describing a new server in ten minutes
//
// No code is needed: a server is described in a file of JSON, one [Entry] or a list of them. schema.json beside this file is its JSON Schema,
// for editors that know what to do with one.
//
// First, sync one patient without any quirks and read the report. Each gap names a type, a status and the code of the OperationOutcome; the
// notes tell what was tried. Then ask for BASE/metadata and read software.name and publisher. For the fictional Harbor Health, whose
// Observations are refused and whose pages break off after an hour, the file becomes
//
//	{
//	  "id": "harbor-health",
//	  "name": "Harbor Health",
//	  "match": [{"baseURL": "https://*.harbor.example/fhir/*"}, {"software": "Harbor FHIR*"}],
//	  "set": {
//	    "headers": [{"name": "X-Harbor-Tenant", "var": "tenant"}],
//	    "types": {
//	      "*": {"pageSize": 50},
//	      "Observation": {"fanOut": {"param": "category"}}
//	    },
//	    "errors": [{"interactions": ["page"], "status": [403], "contains": "cursor expired", "class": "restart"}]
//	  },
//	  "sources": [
//	    {"id": "tenant-header", "about": "header-required", "confidence": "documented", "seen": "2026-11",
//	     "url": "https://docs.harbor.example/fhir#tenants", "says": "Requests without X-Harbor-Tenant are answered with 400.",
//	     "fields": ["headers"]},
//	    {"id": "count-limit", "about": "page-size", "confidence": "reported", "seen": "2026-11",
//	     "url": "https://forum.harbor.example/t/812", "says": "A _count above 50 is refused.", "fields": ["types.*.pageSize"]},
//	    {"id": "observation-category", "about": "param-required", "confidence": "observed", "seen": "2026-11-24",
//	     "says": "Version 3.2: Observation without a category is refused.", "fields": ["types.Observation"]},
//	    {"id": "cursor-expires", "about": "paging-links", "confidence": "observed", "seen": "2026-11-24",
//	     "says": "Version 3.2: a next link that is an hour old gives 403 and the text cursor expired.", "fields": ["errors"]}
//	  ],
//	  "notes": [
//	    {"source": {"id": "token-life", "about": "auth-token", "confidence": "documented", "seen": "2026-11",
//	     "url": "https://docs.harbor.example/auth", "says": "Access tokens live five minutes."},
//	     "why": "Tokens are the caller's: Server.TokenSource is asked before every request."}
//	  ]
//	}
//
// It says by what the server is found, what is done, and how each thing is known. match needs one of base URL, software, publisher and
// implementation; patterns that fit every host are refused. Each field of set needs a source that names it in fields: what nobody can
// check later is worth little when the server changes. What is good to know and needs no field becomes a note.
//
// Then load it and see that it is found, and what it does:
//
//	entries, err := quirks.Parse("harbor-health.json", data) // errors name file, line and field
//	registry, err := quirks.Default().With(entries...)
//	client, err := fhirsync.New(fhirsync.Config{Quirks: registry})
//	server := fhirsync.Server{BaseURL: "https://west.harbor.example/fhir/r4", Vars: map[string]string{"tenant": "42"}}
//
// Sync the same patient again. The report should have fewer gaps and name harbor-health. A setting that changes neither is not needed: take it
// out, because on another day it will be wrong.
//
// For one server of your own and for settings that need no evidence, Server.Quirks takes a [Set] as it is; it goes before all entries.
// [ParseSet] reads one from JSON.
//
// # Which field
//
// What was seen, and the field of [Set] that is about it:
//
//   - Everything is refused without a header or a parameter of its own: headers, params. Values that are the caller's, such as a tenant or a
//     key, are named by var and given in Server.Vars.
//   - A type is refused without a category, status or intent: types.TYPE.fanOut asks for it by all values at once; values lists those that
//     the server knows, where they are not the usual ones.
//   - It is refused unless one fixed parameter is there: types.TYPE.required. What comes then is taken for a part of the whole.
//   - One value makes the question fatal: types.TYPE.avoid.
//   - A type cannot be searched at all, and others refer to it: types.TYPE.reach.
//   - patient=ID finds nothing, or is no parameter: types.TYPE.patient and patientValue.
//   - Some resources come only if they are asked for explicitly: types.TYPE.further.
//   - _count is refused, or ignored under that name: types.*.pageSize, paging.sizeParam.
//   - There are no next links, or they never end: paging.style, paging.stop. They begin in the wrong place: paging.relativeTo.
//   - Bundle.total is an estimate, or the size of the page: paging.total.
//   - A search ends at a round number: paging.cap.
//   - $everything hurts, lacks something, or does not know _count: everything.
//   - metadata does not exist: metadata. It claims too much or too little: types.TYPE.claim, everything.supported, batch.supported.
//   - A status or code means something else than usual, such as "page gone", "too much at once" or "nothing found": errors.
//   - Outcomes among the entries of a page mean that something is missing, or nothing at all: outcomes.
//   - 429 comes before the limiter has found the pace: rate.limits. The wait stands in another header: rate.waitHeaders.
//   - References lead to the server under another name: references.bases. Contents of attachments are not given, or as bytes only:
//     references.contents.
//   - Resources come masked: redacted. Something is left out without a sign, and nothing can be done about it: silentFilters.
//
// A header that differs in upper and lower case, JSON under another media type, links with the wrong host, duplicates, ids of any form, HTML
// in the place of errors, waits as dates or in milliseconds: a sync copes with these on every server, and there is no field for them.
//
// # What no quirk can do
//
// A quirk file may come from somebody else, so what it can do is bounded. It cannot send anything to another origin than the server's own, set
// Authorization, Host or a cookie, switch off the check for other patients' resources, or raise a rate above the caller's. No quirk can make a
// record look more complete than it is: what a Set narrows or gives up stands in the report, and counts as not proven. Texts are compared
// by plain search and asterisks, so that no pattern takes long.
//
// # Common mistakes
//
//   - A match by the software of an engine, for a thing that one customer's installation does: match by the base URL, or set engine, so that
//     the entry gives way to others.
//   - A rate that somebody guessed: the limiter finds the pace by itself, and a wrong number is worse than none.
//   - errors with a status alone: 400 means many things. Add the vendor's code or a text.
//   - types.TYPE.required where fanOut is meant: whatever has another value is then never asked for.
//   - A copy of what an entry of the registry says already: Explain shows it.
//
// # Contributing
//
// An entry for everybody goes into data/VENDOR.json, with an id for each fact. A fact counts if somebody else can look at it: the vendor's
// documentation, the server's own CapabilityStatement or source code, an issue, working code of a client; or if you have run the server and
// watched it: then confidence is "observed", and says begins with the version. Write your own sentence and copy none. Contents, ids and
// tokens of patients are no evidence: SyncOptions.Trace writes down how a server behaves without them, and fhirtest.Replay makes a test
// of it.
//
//	go test ./quirks -update
//
// writes SERVERS.md and schema.json anew and runs the checks: unknown fields, missing evidence, ids used twice, base URLs that find another
// vendor's entry. Add a row for yours to TestServersAreFound, and a line under Quirks in CHANGELOG.md: a changed quirk changes what people
// receive.
package quirks
