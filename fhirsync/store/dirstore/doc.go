// Package dirstore keeps resources in a folder: one NDJSON file per resource type, one resource a line, as bulk loaders and data tools
// read them.
//
//	store, err := dirstore.Open("records/payer", nil)
//	if err != nil {
//		return err
//	}
//	_, err = client.Sync(ctx, server, patientID, store, nil)
//	return errors.Join(err, store.Close())
//
// # The folder
//
// Patient.ndjson, Observation.ndjson and so on (.ndjson.gz with Options.Gzip) hold each Key once when the store is closed. While it is
// open, and after a crash, a line that was replaced may still be there before the new one; the next Open and Close put that right.
//
// Beside them is a folder .fhirsync with what the store has to know: the keys and digests of all lines, the states of unfinished syncs,
// and the quarantine. Without it the lines are still resources: Open reads them anew. Only a line whose JSON has no id, because it stood
// elsewhere, is then nobody's and goes to quarantine. Copy or move the two together.
//
// A folder belongs to one server, because a line does not tell where it is from: resources of another Server are refused with
// [ErrOtherServer]. What a sync gets from other servers, because [fhirsync.SyncOptions] Elsewhere says so, lies in folders of the same form below elsewhere,
// one for each of them; [Store.Elsewhere] opens them. Several patients of one server may share a folder. Who wants them apart gives each a folder of its own.
//
// With Options.History the folder history has a file for each old version that references name, with Options.Contents the folder contents has the
// bytes of what attachments name, and beside each a JSON file that says what it is. Both are named by hashes: [Store.Version] and [Store.Content] find
// them. A content is whole or not there. Who removes a patient from such a folder removes all of it: history and contents tell whose record had them last, not
// all that did.
//
// A resource is a line: line breaks between the tokens of its JSON, which mean nothing, are left out. All other bytes are the server's.
// What is not a JSON object is rejected (see [fhirsync.RejectError]), and so is a type that is no FHIR type name, because types become
// names of files.
//
// Folders are created for the owner only (0700), and so are files (0600): they hold health data. The permissions of a folder that is
// there already are left alone.
//
// # Crashes
//
// When Put returns nil, the resources are on the disk (unless Options.NoSync says otherwise), and after a crash at any instant the next
// Open finds all of them. What was half written is cut off. Bytes in the files that cannot be read as a resource, because somebody else
// changed or damaged them, go to quarantine, and what is before and behind them stays.
//
// A folder is open in one process at a time; others get [ErrLocked]. (On systems with neither flock nor Windows' file sharing that is
// noticed within the process only.)
//
// # Size
//
// Memory is bounded: beside what is being put, up to 262,144 entries of 50 bytes per type, and 63 bytes per thousand resources. Opening a
// folder that was closed reads 24 bytes per resource, after a crash also what was put since the index was last written. The first time,
// or where files were changed by others, all of it is read.
//
// A resource that was replaced makes Close write the file of its type anew. Where every second counts and others do not read the files
// in between, keep the store open.
package dirstore
