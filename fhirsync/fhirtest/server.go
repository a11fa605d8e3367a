package fhirtest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Server is a FHIR R4 server in memory that knows which resources belong to whom. It speaks metadata, read, vread of the
// current version, search by GET and POST, and paging; it can be reached in process (RoundTripper) or over a loopback
// socket (Start, or as an http.Handler). It does nothing wrong until Inject tells it to.
//
// A Server comes from NewServer; the zero value is not usable. The exported fields are read by every request and must be
// set before the first one. All methods may be called concurrently, also while requests are served.
type Server struct {
	// DefaultCount is the page size where the client names none. NewServer sets 20.
	DefaultCount int
	// MaxCount is the largest page; a larger _count is lowered without a word. NewServer sets 200.
	MaxCount int
	// Software and SoftwareVersion are what the CapabilityStatement says under software; quirks are recognised by it. NewServer sets
	// "fhirtest" and "1". Without Software the element is left out.
	Software, SoftwareVersion string
	// Publisher is the CapabilityStatement's publisher. Empty: left out.
	Publisher string
	// Claims are what the CapabilityStatement says of the types, whatever the server can do. nil: what it can do.
	Claims []Claim
	// Links says how next links look.
	Links LinkStyle
	// Gzip compresses answers for clients that ask for it.
	Gzip bool
	// Everything makes the server speak Patient/ID/$everything, by GET and POST, and say so in metadata. An honest answer is all that
	// Want gives, in pages.
	Everything bool
	// FHIRVersion is what metadata says. NewServer sets "4.0.1".
	FHIRVersion string
	// RevInclude makes the server honour _revinclude=Provenance:target, and say so in metadata.
	RevInclude bool
	// Batch makes the server answer batches of GETs, and say so in metadata.
	Batch bool

	mu       sync.Mutex
	base     string
	aliases  []string
	types    map[string]*typeInfo
	order    []string // type names in the order of metadata
	byRef    map[string]*stored
	old      map[string]*stored // versions that were replaced, by Type/id/version
	byType   map[string][]*stored
	gone     map[string]bool
	faults   []*injected
	jobs     map[string]*job
	log      []*Request
	cursors  map[string]*cursor
	sessions int
	unclosed int
}

// stored is a resource as the server holds it.
type stored struct {
	Resource
	based bool // whether Raw holds the placeholder for the base URL
}

// NewServer makes a server that holds the records.
func NewServer(records ...*Record) *Server {
	s := &Server{
		DefaultCount: 20, MaxCount: 200, Software: "fhirtest", SoftwareVersion: "1", FHIRVersion: "4.0.1",
		base: "https://fhir.example.test/r4", byRef: map[string]*stored{}, old: map[string]*stored{}, byType: map[string][]*stored{},
		gone: map[string]bool{}, cursors: map[string]*cursor{}, jobs: map[string]*job{},
	}
	s.types, s.order = typeInfos()
	for _, r := range records {
		s.Add(r)
	}
	return s
}

// Add puts a record on the server. A resource that is there already is replaced.
func (s *Server) Add(r *Record) {
	if r == nil {
		return
	}
	s.Put(r.Resources...)
	s.Put(r.Referenced...)
}

// Put puts single resources on the server: what a record does not have, such as a resource of another patient that only
// mentions ours, or a new version. A resource that is there already is replaced; its version, if it has another one, can still be read. A type the server does not know becomes
// readable, and searchable by the parameters of its resources, but metadata does not list it. Raw is copied.
func (s *Server) Put(resources ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range resources {
		r.Raw = bytes.Clone(r.Raw)
		r.Params = slices.Clone(r.Params)
		r.Links = slices.Clone(r.Links)
		st := &stored{Resource: r, based: bytes.Contains(r.Raw, []byte(BasePlaceholder))}
		ref := r.Ref()
		delete(s.gone, ref)
		if old := s.byRef[ref]; old != nil {
			list := s.byType[r.Type]
			list[slices.Index(list, old)] = st
		} else {
			s.byType[r.Type] = append(s.byType[r.Type], st)
		}
		if old := s.byRef[ref]; old != nil && old.VersionID != "" && old.VersionID != st.VersionID {
			s.old[ref+"/"+old.VersionID] = old
		}
		s.byRef[ref] = st
	}
}

// Delete removes a resource: from now on a read answers 410, searches and Want are without it. Pages of searches that
// have begun still bring it. It reports whether the resource was there.
func (s *Server) Delete(ref string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.byRef[ref]
	if old == nil {
		return false
	}
	delete(s.byRef, ref)
	s.gone[ref] = true
	list := slices.Clone(s.byType[old.Type])
	s.byType[old.Type] = slices.DeleteFunc(list, func(x *stored) bool { return x == old })
	return true
}

// BaseURL is the service base URL, without a slash at the end. It is "https://fhir.example.test/r4" until SetBaseURL or
// Start change it.
func (s *Server) BaseURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// SetBaseURL sets the service base URL, which links, fullUrls and absolute references then carry. Requests whose path is
// not below the path of the base get an HTML 404, as from the web server in front of a real one.
func (s *Server) SetBaseURL(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = strings.TrimRight(base, "/")
}

// Own gives what belongs to the patient: "Type/id" to the bytes as served under the present base URL. It knows this from
// how the resources were made; faults do not change it. The map is the caller's. An unknown patient has nothing.
func (s *Server) Own(patientID string) map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for ref, st := range s.byRef {
		if patientID != "" && st.Owner == patientID {
			out[ref] = bytes.Clone(s.bytes(st))
		}
	}
	return out
}

// Want gives everything a complete client brings for the patient: Own, and every resource on this server that is reached
// from there by references, at any depth, and belongs to nobody else. What belongs to another patient is neither part of
// it nor followed.
func (s *Server) Want(patientID string) map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for _, st := range s.wanted(patientID) {
		out[st.Ref()] = bytes.Clone(s.bytes(st))
	}
	return out
}

// wanted gives what Want gives, in a stable order: the patient's own, then what they reach. The caller holds the lock.
func (s *Server) wanted(patientID string) []*stored {
	var out []*stored
	have := map[string]bool{}
	if patientID == "" {
		return nil
	}
	for _, typ := range slices.Sorted(maps.Keys(s.byType)) {
		for _, st := range s.byType[typ] {
			if st.Owner == patientID {
				out = append(out, st)
				have[st.Ref()] = true
			}
		}
	}
	for i := 0; i < len(out); i++ {
		for _, ref := range out[i].Links {
			if st := s.byRef[ref]; st != nil && st.Owner == "" && !have[ref] {
				have[ref] = true
				out = append(out, st)
			}
		}
	}
	return out
}

// bytes gives the resource as served. The caller holds the lock and does not write to the result.
func (s *Server) bytes(st *stored) []byte {
	if !st.based {
		return st.Raw
	}
	return bytes.ReplaceAll(st.Raw, []byte(BasePlaceholder), []byte(s.base))
}
