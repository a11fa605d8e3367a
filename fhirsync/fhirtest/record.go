package fhirtest

import "strings"

// BasePlaceholder stands, inside Resource.Raw, for the service base URL of the server that will hold the resource.
// Generated resources name some of their targets by absolute URL, and the base is known only when they are served.
// The server puts its own base in wherever these bytes occur; Own and Want give the bytes with the base put in.
const BasePlaceholder = "{fhirtest-base}"

// Resource is one resource that a server holds, with its exact bytes and with what the server must know about it.
// Nothing here is ever read out of Raw: whoever makes the resource says what is true of it.
// The zero value is not useful; Type, ID and Raw must be given. A Resource is immutable once handed to a Server.
type Resource struct {
	// Type is the resource type, ID the logical id.
	Type, ID string
	// Raw is the JSON, served byte for byte except for BasePlaceholder.
	Raw []byte
	// Owner is the id of the patient to whom the resource belongs; empty: it belongs to nobody, like an Organization.
	Owner string
	// Params are the searches that find the resource. Without them it is found by _id alone.
	Params []Param
	// Links are the references "Type/id" (without base, without version) that Raw holds and that can be followed.
	Links []string
	// Content and ContentType are what a Binary holds. A read that asks for another format than FHIR's gets them as they are. nil: the
	// resource holds none.
	Content     []byte
	ContentType string
	// VersionID and LastUpdated repeat what meta in Raw says; empty: meta does not say.
	VersionID, LastUpdated string
}

// Ref gives "Type/id", the identity of the resource within its server.
func (r Resource) Ref() string { return r.Type + "/" + r.ID }

// Param is one search that finds a resource: the name of a search parameter, and a value of the resource under it.
// The value is "Patient/id" for a reference, "code" or "system|code" for a token, and a FHIR date or "start..end" for a
// date, where one end of a period may be missing.
type Param struct{ Name, Value string }

// Of gives the Params of a resource that is found for a patient by each of the named parameters.
func Of(patientID string, names ...string) []Param {
	out := make([]Param, 0, len(names))
	for _, n := range names {
		out = append(out, Param{Name: n, Value: "Patient/" + patientID})
	}
	return out
}

// Record is one synthetic patient as generated: the truth against which a client is measured.
// It is immutable once made, so one Record may be given to any number of servers.
type Record struct {
	// PatientID is the logical id of the Patient.
	PatientID string
	// Resources are the patient's own, the Patient first: what searches by patient must bring.
	Resources []Resource
	// Referenced are resources of nobody that are reached from Resources by reference only, at any depth.
	Referenced []Resource
	// Dangling are references ("Practitioner/gone-1") that Resources name and that no generated resource answers to.
	Dangling []string
}

// Options say what Generate makes. The zero value gives a patient of about 100 resources without dangling references.
type Options struct {
	// Seed decides everything that is left to chance. Records of different seeds share no ids except those of the few
	// resources that all records have in common (a network Organization, say), which are equal byte for byte.
	Seed uint64
	// Size is the number of the patient's own resources, the Patient included. 0: 100. From 100 on every type occurs.
	Size int
	// PatientID is the logical id of the Patient. Empty: made from Seed.
	PatientID string
	// Dangling is the number of references that lead to nothing.
	Dangling int
	// Secondary is the number of own resources, beyond Size, in which the patient is only sender, author or performer and
	// the subject is absent. They belong to the patient, but only a search by that parameter finds them.
	Secondary int
	// Attachments is the number of DocumentReferences, beyond Size, whose content is a Binary named by Attachment.url.
	// The Binary is among Referenced, and so part of what a client must bring. Some of these attachments say hash and size.
	Attachments int
	// Types limits the own resources to these types, evenly, or more of those that are named more than once; the Patient is always there.
	// Unknown names are left out. Empty: all.
	Types []string
	// ID makes the logical id of a resource, the n-th of its type from 0, those of nobody included. The ids of a type must differ, and so
	// must those of two records on one server. nil: ids that clash where FHIR allows it.
	ID func(typ string, n int) string
	// Padding is the number of bytes of narrative that each own resource carries, to make a record heavy.
	Padding int
}

// splitRef splits "Type/id"; ok is false for anything else.
func splitRef(ref string) (typ, id string, ok bool) {
	typ, id, ok = strings.Cut(ref, "/")
	return typ, id, ok && typ != "" && id != "" && !strings.Contains(id, "/")
}
