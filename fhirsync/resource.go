package fhirsync

import (
	"encoding/json"
	"time"
)

// Key is the identity of a resource in the caller's world. Keys are comparable.
type Key struct {
	Server string // Server.Name, or the normalised base URL where that is empty; of what another server had (see Elsewhere), that one's base URL
	Type   string // resource type
	ID     string // logical id: opaque, unique only per type and server, case-sensitive, and not always legal by FHIR's rules
}

// Resource is one resource on its way into a store. It is immutable, and so are the bytes of Raw: keep them, never write to them.
type Resource struct {
	Key
	// VersionID is meta.versionId, "" where absent. It is opaque and has no order.
	VersionID string
	// LastUpdated is meta.lastUpdated, zero where it is absent or not an instant.
	LastUpdated time.Time
	// Raw are the server's bytes, never re-encoded. They are one JSON object (RFC 8259, in UTF-8): what is not JSON and cannot be repaired
	// without a guess, NaN for one, is not put but quarantined. Only where Original is set did a repair change anything.
	Raw json.RawMessage
	// Original are the bytes as they came from the server, where a repair changed them; nil where Raw is what came. They may be anything.
	// A store that has a QuarantineStore gets them there as well, before the resource, so that it need not keep this field.
	Original []byte
	// Repairs says what was not as it should be, in order of Offset; nil for nearly all resources.
	Repairs []Repair
	// Digest is the SHA-256 of the source bytes: of Original where it is set, else of Raw.
	Digest [32]byte
	// Unchanged: the store said (see DigestStore) that it holds exactly this already.
	Unchanged bool
	// Origin says how it came.
	Origin Origin
}

// Origin says where a resource came from.
type Origin struct {
	// Strategy is the name of the strategy that asked.
	Strategy string
	// Op is the interaction that brought it: "search", "read" or "operation"; "content" for a Binary that was made of the bytes to which an
	// Attachment.url led, where the server does not have them as a Binary.
	Op string
	// Received is when the answer had been read.
	Received time.Time
	// Key is the resource's Key on its server where a Store around the store (see Namespaced) gave it another; zero where none did.
	Key Key
}

// Batch is one delivery to a [Store]. It grows by fields, but by none whose neglect would lose data.
type Batch struct {
	// Run is the report's Run, Server whose record it is: the Key.Server of all resources but of those that other servers had (see Elsewhere).
	Run, Server string
	// PatientID is the patient whose record these belong to. A resource that belongs to nobody, a Practitioner say, comes once per patient.
	PatientID string
	// Resources has each Key at most once, in Key order, so that concurrent upserts do not deadlock.
	Resources []Resource
}
