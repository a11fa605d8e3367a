package trace

// Version is the number in the first line. It goes up when a reader of the version before would go wrong.
const Version = 1

// Head is the first line.
type Head struct {
	Version  int      `json:"fhirsyncTrace"`
	Patient  string   `json:"patient"` // the placeholder of the patient's id
	Strategy string   `json:"strategy,omitempty"`
	Types    []string `json:"types,omitempty"` // the caller's filter; none: all
}

// Exchange is one attempt: a request and what came of it.
type Exchange struct {
	// N counts requests in the order in which they were sent; lines stand in the order in which exchanges ended.
	N int `json:"n"`
	// Remembered: this was not asked now, but is known from before: a CapabilityStatement.
	Remembered bool         `json:"remembered,omitempty"`
	Method     string       `json:"method"`
	URL        string       `json:"url"`
	Form       string       `json:"form,omitempty"`    // of a POST search
	Body       *RequestBody `json:"body,omitempty"`    // of another POST
	Headers    []string     `json:"headers,omitempty"` // names of request headers

	At      int64 `json:"at"`      // when it was sent: ms since the trace began
	MS      int64 `json:"ms"`      // until the headers of the answer
	TotalMS int64 `json:"totalMs"` // until the end of its body

	Status int `json:"status,omitempty"` // 0: no answer
	// Header has all names of response headers, with the values of those that are on the list and "" for the others.
	Header map[string]string `json:"header,omitempty"`
	Size   int64             `json:"size"` // bytes of the body as read, unpacked
	// Failure says why there is no whole answer: see the constants.
	Failure string `json:"failure,omitempty"`
	Shape   *Shape `json:"shape,omitempty"`
}

// Failures.
const (
	Connection = "connection" // none could be had, or it broke before the headers
	Timeout    = "timeout"    // no headers in time
	Cancelled  = "cancelled"  // the client did not want the answer any longer
	Cut        = "cut"        // the body ended early
	Stalled    = "stalled"    // the body stood still, or was too slow
	Corrupt    = "corrupt"    // the body could not be read for another reason, such as broken compression
	Unread     = "unread"     // the client stopped reading: it was too large
)

// RequestBody is what a POST that is no search carried.
type RequestBody struct {
	Type     string   `json:"type,omitempty"` // the resource type
	Size     int      `json:"size"`
	Requests []string `json:"requests,omitempty"` // of a batch: "GET Observation?patient={id-1}"
}

// Shape is what a body is like.
type Shape struct {
	// Kind is bundle, resource, outcome, capabilities, json (which has no resourceType), html, xml, fhir-xml, text, binary or empty.
	Kind string `json:"kind"`
	// Damage is "truncated" or "syntax", of a body that could not be read to its end; "json" of a resource that is not valid.
	Damage string `json:"damage,omitempty"`

	Type    string  `json:"type,omitempty"` // Bundle.type
	Total   *int    `json:"total,omitempty"`
	Links   []Link  `json:"links,omitempty"`
	Entries []Entry `json:"entries,omitempty"`
	// RefsLeftOut counts references of a huge page that are not listed.
	RefsLeftOut int `json:"refsLeftOut,omitempty"`

	Resource     *Resource     `json:"resource,omitempty"`
	Issues       []Issue       `json:"issues,omitempty"`
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// Link is one of Bundle.link.
type Link struct {
	Relation string `json:"rel"`
	URL      string `json:"url"`
}

// Own stands for a fullUrl that is made of the base URL, the type and the id of the resource.
const Own = "own"

// Entry is one of Bundle.entry.
type Entry struct {
	FullURL string `json:"fullUrl,omitempty"` // Own, or redacted
	Mode    string `json:"mode,omitempty"`
	Status  string `json:"status,omitempty"` // response.status, its number
	// Damage is "entry" where the entry itself could not be read.
	Damage   string    `json:"damage,omitempty"`
	Resource *Resource `json:"resource,omitempty"` // none: the entry has none
	Bundle   *Shape    `json:"bundle,omitempty"`   // instead of Resource
}

// Resource is one resource without its content.
type Resource struct {
	Type      string  `json:"type,omitempty"`
	ID        string  `json:"id,omitempty"`
	Version   bool    `json:"version,omitempty"` // has meta.versionId
	Updated   bool    `json:"updated,omitempty"` // has meta.lastUpdated
	Subsetted bool    `json:"subsetted,omitempty"`
	Size      int     `json:"size"`
	Damage    string  `json:"damage,omitempty"` // "json": it is not valid; "repairable": nor is it, and can be repaired without a guess
	Refs      []Ref   `json:"refs,omitempty"`
	Issues    []Issue `json:"issues,omitempty"` // of an OperationOutcome
}

// Ref is one reference.
type Ref struct {
	Path string `json:"path"` // without the resource type in front
	Kind string `json:"kind"`
	To   string `json:"to"`
	URI  bool   `json:"uri,omitempty"` // the element itself is the reference, and no Reference
}

// Issue is one issue of an OperationOutcome. Its diagnostics and texts are left out.
type Issue struct {
	Severity string   `json:"severity"`
	Code     string   `json:"code"`
	Codes    []string `json:"codes,omitempty"` // of details.coding
}

// Capabilities is a CapabilityStatement.
type Capabilities struct {
	FHIRVersion string `json:"fhirVersion,omitempty"`
	Software    string `json:"software,omitempty"`
	Version     string `json:"version,omitempty"`
	// Interactions and Operations are those of the whole system.
	Interactions []string            `json:"interactions,omitempty"`
	Operations   []string            `json:"operations,omitempty"`
	Types        map[string]TypeCaps `json:"types,omitempty"`
}

// TypeCaps is what is claimed for one type.
type TypeCaps struct {
	Interactions []string `json:"interactions,omitempty"`
	Params       []string `json:"params,omitempty"`
	Operations   []string `json:"operations,omitempty"`
}

// End is the last line of a sync that reached it.
type End struct {
	Verdict  string         `json:"verdict"`
	Received map[string]int `json:"received,omitempty"` // by type
	Gaps     []EndGap       `json:"gaps,omitempty"`
}

// EndGap is one gap of the report, or several that are alike.
type EndGap struct {
	Type   string `json:"type,omitempty"`
	Reason string `json:"reason"`
	Gaps   int    `json:"gaps"`
}
