// Package sqlstore keeps resources in a SQLite or PostgreSQL database that the caller opens, with a driver of the caller's choice: this
// package imports none.
//
//	db, err := sql.Open("sqlite", "file:records.db?_journal_mode=WAL&_synchronous=NORMAL&_pragma=page_size(16384)")
//	...
//	store, err := sqlstore.Open(ctx, db, sqlstore.SQLite, nil)
//	...
//	report, err := client.Sync(ctx, server, patientID, store, nil)
//
// All optional powers are there, two of them by Options: an unfinished sync is resumed, what has not changed is not written again, and what cannot be stored is
// kept in quarantine. A *Store is safe for concurrent use, and several processes may use one database.
//
// # Tables
//
// [Open] makes the tables and brings those of an older release up to date, in one transaction and under a lock. Their names begin with
// [Options.Prefix]; here they are without it:
//
//	resources    no, server, type, id, version_id, last_updated, digest, body_digest, first_seen, body
//	patients     no, server, id
//	members      patient_no, resource_no, first_seen, last_seen, run_no: whose record a resource belongs to
//	version_members, content_members: whose record versions and contents belong to
//	runs         no, run, patient_no, started: the syncs of the last week that have put something
//	edges        resource_no, seq, path, reference, target_type, target_id, contained: with Options.References
//	states       what an unfinished sync needs, and what was learned
//	versions     no, server, type, id, version_id, last_updated, digest, first_seen, body: old versions, with Options.History
//	contents     no, server, type, id, url, content_type, size, digest, first_seen: what attachments name, with Options.Contents
//	pieces       no, content_no, seq, body: the bytes of contents, 1 MB each but the last
//	quarantine   bytes that could not be read as a resource, that the store refused, or as they were before a repair
//	records      a view for people: server, patient_id, type, id, version_id, last_updated, first_seen, last_seen, resource_no, json
//
// The body is kept as bytes (BLOB, bytea), because nothing else gives them back as they came: a jsonb column reorders members, drops
// duplicates and refuses \u0000. In the view, json is the same as text, for json_extract in SQLite and a cast to jsonb in PostgreSQL:
//
//	SELECT json_extract(json, '$.code.text') FROM fhirsync_records WHERE patient_id = 'p1' AND type = 'Condition'
//	SELECT json::jsonb #>> '{code,text}'     FROM fhirsync_records WHERE patient_id = 'p1' AND type = 'Condition'
//
// Times are UTC with microseconds; in SQLite they are text, which compares and sorts as the times do. An id that a text column cannot hold
// (with a NUL, not UTF-8, or beginning with \x) stands there as \x and its bytes in hexadecimal. PostgreSQL's indexes take no key of
// more than about 2,000 bytes: such a resource is rejected, becomes a gap in the report and goes into quarantine.
//
// # What is written
//
// A resource whose digest is the one held is not written, only noted as seen in the members table. One that was last updated strictly
// before the one held, where both say when, is stale: it does not replace it, and [Store.Stats] counts it. Everything else replaces
// what is there. SQLite gets a batch in one transaction: all of it is written, or nothing. PostgreSQL gets one of a hundred resources or more in
// two transactions at the same time, over two connections, where the pool has them.
//
// Old versions and contents are kept where [Options] ask for them, and apart from the resources: [Store.Get], [Store.All] and [Store.Patient] do not
// give them, but [Store.Version], [Store.Versions], [Store.Content] and [Store.Contents] do. A content is written and read piece by piece, so that
// one of a gigabyte needs no more memory than one of a megabyte; in SQLite other writers wait meanwhile.
//
// # Erasing
//
// [Store.ErasePatient] removes one patient's record, old versions and contents included. What the database software itself leaves behind (free pages, write-ahead log,
// backups) is the operator's to remove: PRAGMA secure_delete and VACUUM in SQLite, VACUUM in PostgreSQL.
//
// # Databases
//
// SQLite 3.35 or newer. Write-ahead logging lets readers and the writer work at the same time, and a page_size of 16384 is faster for
// resources than the default by a third. It must be set before journal_mode is, on a database that is empty: modernc.org/sqlite has the order right with
// the parameters above, and not with _pragma=journal_mode(WAL), which it would carry out first. What the log holds is copied into the database beside
// the writer, over a second connection if there is one: the log becomes up to four times as long as wal_autocheckpoint says. synchronous must not be OFF. A database in memory needs db.SetMaxOpenConns(1), else each connection has its
// own. Writers of one Store wait for each other here, and for other processes' by trying again.
//
// PostgreSQL 12 or newer, with the encoding UTF8. Statements work with any driver that hands strings to the server as text. Deadlocks
// and serialization failures are tried again.
package sqlstore
