package quirks

import "strings"

// Entry is what is known of one vendor's product or of one server, and how it is known.
type Entry struct {
	// ID is a stable name, in small letters, digits and hyphens. Reports name entries by it.
	ID string `json:"id"`
	// Name is what people call it.
	Name string `json:"name"`
	// Engine: a generic engine that vendors build their products on, which may behave in another way than it does by itself. Its entry
	// is merged before those of vendors.
	Engine bool `json:"engine,omitempty"`
	// Match tells which servers it is about. One that fits is enough.
	Match []Match `json:"match"`
	// Set is what is done for them.
	Set Set `json:"set,omitzero"`
	// Sources are the evidence. Each field of Set must be named by one of them.
	Sources []Source `json:"sources,omitempty"`
	// Notes are facts that need no field: the library copes anyhow, or they are about something that it does not do.
	Notes []Note `json:"notes,omitempty"`
	// MovedTo says in words, or by an address, where the service has gone. It is told to the caller and never followed.
	MovedTo string `json:"movedTo,omitempty"`
}

// Match selects servers. All of what it names must fit, and it must name at least BaseURL or one of Software, Publisher and Implementation.
// In texts, which are compared without regard to upper and lower case, an asterisk stands for anything.
type Match struct {
	// BaseURL is "https://fhir.example.org/r4". In the host an asterisk stands for letters, digits and hyphens, and as the first label for
	// one or more labels; the host cannot be an asterisk, or one in front of a single label, because that would be every host. In the
	// path "*" stands for anything within a segment and "**", as the last segment, for whatever follows. The path "/**" also fits none.
	// The scheme may be left out: "//fhir.example.org/r4".
	BaseURL string `json:"baseURL,omitempty"`
	// Software and Version are CapabilityStatement.software; versions are no numbers, only texts.
	Software string `json:"software,omitempty"`
	Version  string `json:"version,omitempty"`
	// Publisher is CapabilityStatement.publisher, Implementation is CapabilityStatement.implementation.description.
	Publisher      string `json:"publisher,omitempty"`
	Implementation string `json:"implementation,omitempty"`
	// FHIRVersion is CapabilityStatement.fhirVersion: "4.0*".
	FHIRVersion string `json:"fhirVersion,omitempty"`
}

// Source is one fact, and where it is known from.
type Source struct {
	// ID names the fact within its entry, in small letters, digits and hyphens: "observation-needs-category".
	ID string `json:"id,omitempty"`
	// About is the kind of fact: "param-required", "auth-token", "bulk-export".
	About string `json:"about,omitempty"`
	// URL is the address; empty where Confidence is [Observed].
	URL        string     `json:"url,omitempty"`
	Confidence Confidence `json:"confidence"`
	// Seen is when it was looked at: "2026-08" or "2026-08-21".
	Seen string `json:"seen,omitempty"`
	// Fields are the fields of the entry's Set it speaks for, by their JSON names with dots: "types.Observation.fanOut". A name stands for
	// all fields below it.
	Fields []string `json:"fields,omitempty"`
	// Says is what it says, in our own words.
	Says string `json:"says"`
}

// Confidence is how well something is known.
type Confidence string

// The grades.
const (
	Documented Confidence = "documented" // by the vendor, the server's own statement or its own source code
	Reported   Confidence = "reported"   // by somebody who runs against the server
	Inferred   Confidence = "inferred"   // read out of code
	Observed   Confidence = "observed"   // the server was run and watched
)

// Note is a fact without a field: the library copes anyhow, or it is about something that it does not do.
type Note struct {
	Source Source `json:"source"`
	// Why says why no field expresses it, or what is done about it instead.
	Why string `json:"why"`
}

// Level is where a layer stands in the order of merging. A later one replaces what an earlier one says, field by field:
//
//	library < engine < vendor < base URL < learned < caller
//
// The library is the zero Set. What was learned about a server is kept by the sync, which asks the caller's Set first, then what was
// learned, then what the registry says. This is the only place where the order is written down; [Registry.Lookup] and the sync keep to it.
type Level int

// The levels of entries. An entry that fits by a base URL is of the level ByBaseURL, whatever else it is.
const (
	ByEngine Level = iota + 1
	ByVendor
	ByBaseURL
)

// String names the level.
func (l Level) String() string {
	switch l {
	case ByEngine:
		return "engine"
	case ByVendor:
		return "vendor"
	case ByBaseURL:
		return "base URL"
	}
	return "library"
}

// fits tells at which level an entry is about a server; 0: it is not. weight is how narrow the base URL is.
func (e *Entry) fits(base *address, caps *Capabilities) (level Level, weight int) {
	for i := range e.Match {
		m := &e.Match[i]
		if !m.fits(base, caps) {
			continue
		}
		l, w := ByVendor, 0
		switch {
		case m.BaseURL != "":
			l, w = ByBaseURL, len(strings.ReplaceAll(m.BaseURL, "*", ""))
		case e.Engine:
			l = ByEngine
		}
		if l > level || l == level && w > weight {
			level, weight = l, w
		}
	}
	return level, weight
}

func (m *Match) fits(base *address, caps *Capabilities) bool {
	if m.BaseURL != "" {
		p, err := parsePattern(m.BaseURL)
		if err != nil || base == nil || !p.fits(base) {
			return false
		}
	}
	if m.Software+m.Version+m.Publisher+m.Implementation+m.FHIRVersion == "" {
		return m.BaseURL != ""
	}
	if caps == nil {
		return false
	}
	for _, x := range []struct{ glob, text string }{
		{m.Software, caps.SoftwareName},
		{m.Version, caps.SoftwareVersion},
		{m.Publisher, caps.Publisher},
		{m.Implementation, caps.ImplementationDescription},
		{m.FHIRVersion, caps.FHIRVersion},
	} {
		if x.glob != "" && !globFits(strings.ToLower(x.glob), strings.ToLower(x.text)) {
			return false
		}
	}
	return true
}
