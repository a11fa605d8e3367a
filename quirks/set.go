package quirks

import (
	"fmt"
	"strconv"
	"time"
)

// Set is what a client does otherwise on one server than on any other. The zero value changes nothing: nil says nothing, so that a layer
// that is merged over another one replaces only what it speaks of. Each field is read by the sync, and changes a request that is sent or
// what is made of an answer.
//
// A Set never widens anything: no field names an origin to which something is sent, switches the check for other patients' resources off,
// raises a rate above the caller's, or makes an answer prove more than it does. What a Set narrows stands in the report.
//
// A Set is plain data. One that came from a [Registry] is a copy of the caller's own.
type Set struct {
	// Headers are sent with requests to the server's own origin. Server.Header goes first.
	Headers []Header `json:"headers,omitempty"`
	// Params are added to the address of requests that lack them, next links among them: what names a tenant, for example.
	Params []Param `json:"params,omitempty"`
	// Accept is the Accept header of requests for FHIR JSON.
	Accept *string `json:"accept,omitempty"`
	// SearchMethod is how searches and counts are sent. Unset: by GET, and by POST where an address would be too long, or where every
	// form by GET was refused.
	SearchMethod *Method `json:"searchMethod,omitempty"`
	// Types are by resource type; "*" is for all of them.
	Types map[string]Type `json:"types,omitempty"`
	// Paging is how an answer goes on.
	Paging Paging `json:"paging,omitzero"`
	// Metadata is whether the CapabilityStatement is asked for. That is decided before the software is known, so that only the base URL can
	// say it.
	Metadata *Metadata `json:"metadata,omitempty"`
	// Everything describes Patient/$everything.
	Everything Everything `json:"everything,omitzero"`
	// Batch describes batches of reads and searches.
	Batch Batch `json:"batch,omitzero"`
	// Counts is whether _summary=count is of use. false spares the question; what a count would have proven is then not proven.
	Counts *bool `json:"counts,omitempty"`
	// Errors say what answers mean. The first that fits counts; those of a later layer come before those of an earlier one.
	Errors []ErrorRule `json:"errors,omitempty"`
	// Outcomes say what OperationOutcomes mean that stand among the entries of a page, by the vendor's code (issue.details.coding.code).
	Outcomes map[string]Outcome `json:"outcomes,omitempty"`
	// Rate is how much the server bears. It lowers what the caller allows, and never raises it.
	Rate Rate `json:"rate,omitzero"`
	// Timeouts are how long an answer may take to begin, by interaction.
	Timeouts map[Interaction]Duration `json:"timeouts,omitempty"`
	// SilentFilters say in words what the server leaves out without telling. They stand in the plan and in the report.
	SilentFilters []Filter `json:"silentFilters,omitempty"`
	// Redacted are codes in meta.security or meta.tag of resources of which the server has masked something. Such a resource is stored as
	// it came, and the report says that something is withheld.
	Redacted []string `json:"redacted,omitempty"`
	// References describes what references lead to.
	References References `json:"references,omitzero"`
}

// Header is a header that the server wants. Exactly one of Value, Var and Generate says what is in it.
type Header struct {
	// Name is the header's. Authorization, Host and those of the connection itself cannot be set.
	Name string `json:"name"`
	// Value is sent as it is.
	Value string `json:"value,omitempty"`
	// Var names what the caller has to say, in Server.Vars. The header is left out, and the report says so, where the caller did not.
	Var string `json:"var,omitempty"`
	// Generate makes the value.
	Generate Generator `json:"generate,omitempty"`
	// Interactions are those with which it is sent. Empty: all.
	Interactions []Interaction `json:"interactions,omitempty"`
}

// Generator makes the value of a header.
type Generator string

// UUID is a random UUID for each request; attempts to send the same request again repeat it.
const UUID Generator = "uuid"

// Param is a parameter that the server wants in addresses. Exactly one of Value and Var says what its value is.
//
// It must not be one that selects resources (those that FHIR defines for search, such as patient, category or _lastUpdated): such a thing
// belongs into [Type.Required], where the sync knows that the answer is a part of the whole.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Var names what the caller has to say, in Server.Vars. The parameter is left out, and the report says so, where the caller did not.
	Var string `json:"var,omitempty"`
	// Raw: the value is put into the address as it is. Only what may stand in a query (RFC 3986) is left so.
	Raw bool `json:"raw,omitempty"`
	// Interactions are those with which it is sent. Empty: all.
	Interactions []Interaction `json:"interactions,omitempty"`
}

// Interaction is a kind of request, in the words that reports and errors have for it.
type Interaction string

// The interactions. Search, where it selects, stands for all pages; Page for those after the first.
const (
	MetadataInteraction Interaction = "metadata"
	Read                Interaction = "read"
	Search              Interaction = "search"
	Page                Interaction = "page"
	Count               Interaction = "count"
	OperationCall       Interaction = "operation"
	BatchCall           Interaction = "batch"
)

// Method is how a search is sent.
type Method string

// The methods.
const (
	Get  Method = "get"  // never by POST
	Post Method = "post" // by POST to Type/_search, as a form
)

// Type is what is different for one resource type.
type Type struct {
	// Reach is how resources of the type are come by.
	Reach *Reach `json:"reach,omitempty"`
	// Claim corrects metadata. true: the type can be searched by patient although metadata does not say so; that it is not answered is
	// then a gap. false: it cannot, although metadata says so; it is asked for once all the same.
	Claim *bool `json:"claim,omitempty"`
	// Patient is the search parameter that names the patient; "none" where the grant alone says whose resources come.
	Patient *string `json:"patient,omitempty"`
	// PatientValue is how the patient is written in it.
	PatientValue *PatientValue `json:"patientValue,omitempty"`
	// Required are parameters that a search for the type must have. The answer is taken for a part of the whole.
	Required map[string]string `json:"required,omitempty"`
	// FanOut asks for the type in parts at once, without asking for the whole first.
	FanOut FanOut `json:"fanOut,omitzero"`
	// Further are questions beside that for the whole type, each a set of parameters: for what the server leaves out of the answer to it.
	Further []map[string]string `json:"further,omitempty"`
	// Avoid are values by parameter that make a question fatal. The parts that they stand for are not asked for.
	Avoid map[string][]string `json:"avoid,omitempty"`
	// Includes and RevIncludes are values of _include and _revinclude that ride on searches for the type. An empty list that is not nil
	// keeps those off that metadata lists.
	Includes    []string `json:"includes,omitempty"`
	RevIncludes []string `json:"revIncludes,omitempty"`
	// PageSize is the size of page that is asked for. 0 asks for none.
	PageSize *int `json:"pageSize,omitempty"`
	// IDsPerSearch is the most ids in one search by _id. 0 or 1: resources of the type are read one by one.
	IDsPerSearch *int `json:"idsPerSearch,omitempty"`
}

// Reach is how resources of a type are come by.
type Reach string

// The ways. A type that is not searched is a gap in the report: one that leaves the verdict alone only if metadata does not claim the type.
const (
	BySearch     Reach = "search"     // the default
	ByReference  Reach = "reference"  // other resources refer to them, and they are read; not searched
	ByRevInclude Reach = "revinclude" // they ride on searches for other types ([Type.RevIncludes] of those); not searched
	Nowhere      Reach = "none"       // the server does not have the type
)

// PatientValue is how a patient is written in a search parameter.
type PatientValue string

// The ways to write it.
const (
	BareID         PatientValue = "id"        // 355
	TypedReference PatientValue = "reference" // Patient/355
)

// FanOut is a search parameter and the values of it that are asked for one after the other, or several at once.
type FanOut struct {
	Param *string `json:"param,omitempty"`
	// Values are what is asked for. Unset: what the specification and the guides of FHIR list for the type and parameter.
	Values []string `json:"values,omitempty"`
}

// Paging is how an answer goes on from page to page.
type Paging struct {
	// Style is how the next page is found.
	Style *Style `json:"style,omitempty"`
	// PageParam is the parameter for the number of the page, or the offset. It is needed with the styles that have one.
	PageParam *string `json:"pageParam,omitempty"`
	// SizeParam is the parameter for the size of a page, instead of _count.
	SizeParam *string `json:"sizeParam,omitempty"`
	// RelativeTo is against what a next link without a host is resolved.
	RelativeTo *Relative `json:"relativeTo,omitempty"`
	// Stop says which page is the last.
	Stop *Stop `json:"stop,omitempty"`
	// Total is what Bundle.total says.
	Total *Total `json:"total,omitempty"`
	// AskTotal asks for Bundle.total by _total=accurate.
	AskTotal *bool `json:"askTotal,omitempty"`
	// Cap is the number of matches at which the server stops without a sign. A search that brought as many is taken for cut.
	Cap *int `json:"cap,omitempty"`
}

// Style is how the next page is found.
type Style string

// The styles.
const (
	Links      Style = "links"  // by the next link (https://hl7.org/fhir/R4/http.html#paging); the default
	PageNumber Style = "page"   // by PageParam=2, 3 and so on, up to a page without entries
	Offset     Style = "offset" // by PageParam= the number of matches so far, up to a page without entries
)

// Relative is against what a link without a host is resolved.
type Relative string

// The two.
const (
	ToPage Relative = "page" // the address of the page it stands on, as RFC 3986 has it; the default
	ToBase Relative = "base" // the service base URL, also where the link begins with a slash
)

// Stop says which page is the last.
type Stop string

// The rules.
const (
	NoNext    Stop = "no-next"    // the one without a next link; the default
	EmptyPage Stop = "empty-page" // the one without entries, although it has a next link
)

// Total is what Bundle.total says.
type Total string

// What it can be.
const (
	TotalMatches   Total = "matches"   // how many matches there are, as the specification has it; the default
	TotalLastPage  Total = "last-page" // an estimate up to the last page
	TotalUntrusted Total = "untrusted" // the number of entries on the page, an estimate, or nothing that can be used
)

// Metadata is whether the CapabilityStatement is asked for.
type Metadata string

// The two.
const (
	MetadataRead Metadata = "read"
	MetadataSkip Metadata = "skip" // there is none: once it was refused, it is not asked for again with every sync
)

// Everything describes Patient/$everything (https://hl7.org/fhir/R4/patient-operation-everything.html).
type Everything struct {
	// Supported overrides what metadata says. false: it is not invoked.
	Supported *bool `json:"supported,omitempty"`
	// SendCount is whether _count is sent with it.
	SendCount *bool `json:"sendCount,omitempty"`
	// Omits are types of which it does not give all. They are searched, whatever it has given.
	Omits []string `json:"omits,omitempty"`
}

// Batch describes batches (https://hl7.org/fhir/R4/http.html#transaction).
type Batch struct {
	// Supported overrides what metadata says. A claim is tried out all the same before it is relied on.
	Supported *bool `json:"supported,omitempty"`
	// MaxEntries is the most requests in one batch.
	MaxEntries *int `json:"maxEntries,omitempty"`
}

// ErrorRule says what an answer means. All of what it names must fit.
type ErrorRule struct {
	// Interactions, Types and Status select the answer by what was asked, and by its HTTP status. Empty: all, but Status or one of the
	// fields below must be there.
	Interactions []Interaction `json:"interactions,omitempty"`
	Types        []string      `json:"types,omitempty"`
	Status       []int         `json:"status,omitempty"`
	// Issue is an issue.code of the OperationOutcome, Code a code of issue.details.coding, where vendors put their own.
	Issue string `json:"issue,omitempty"`
	Code  string `json:"code,omitempty"`
	// Body is what the body is.
	Body Body `json:"body,omitempty"`
	// Contains is a text in the body, in upper or lower case; the first 64 KB are looked at.
	Contains string `json:"contains,omitempty"`
	// Class is what the answer means.
	Class Class `json:"class"`
}

// Body is what a body is.
type Body string

// What it can be.
const (
	JSONBody  Body = "json"
	XMLBody   Body = "xml"
	HTMLBody  Body = "html"
	EmptyBody Body = "empty"
)

// Class is what an answer means to a client.
type Class string

// The classes.
const (
	// Empty: nothing was found. It is an empty answer that needs the same proof as any.
	Empty Class = "empty"
	// Absent: the server does not have the type, the resource or the operation.
	Absent Class = "absent"
	// Denied: the grant does not cover it.
	Denied Class = "denied"
	// BadQuestion: the question was refused, not the type. Another form of it may do, or parts.
	BadQuestion Class = "bad-question"
	// Restart: a page is gone. The search is begun anew.
	Restart Class = "restart"
	// Split: there is more than the server gives at once. The type is asked for in parts.
	Split Class = "split"
	// Transient: it passes. The same is asked again.
	Transient Class = "transient"
	// Permanent: it does not pass. The same is not asked again, and the question has failed.
	Permanent Class = "permanent"
)

// Outcome is what an OperationOutcome among the entries of a page means.
type Outcome string

// What it can mean.
const (
	Normal   Outcome = "normal"   // nothing, whatever its issue code is; it stands in the report
	Partial  Outcome = "partial"  // the answer is not whole
	Withheld Outcome = "withheld" // the server keeps something back
)

// Filter says in words what a server leaves out without telling.
type Filter string

// Rate is how much a server bears.
type Rate struct {
	// PerSecond is the most requests in a second, Concurrency the most at once. Both lower ratelimit.Policy and never raise it.
	PerSecond   *float64 `json:"perSecond,omitempty"`
	Concurrency *int     `json:"concurrency,omitempty"`
	// Limits are what the server declares. All of them are kept.
	Limits []Limit `json:"limits,omitempty"`
	// WaitHeaders are headers of a refusal that say how long to wait, before those that are known anyhow.
	WaitHeaders []WaitHeader `json:"waitHeaders,omitempty"`
	// QuotaHeaders is whether headers about what is left of a quota are heeded. false: they mean something else here.
	QuotaHeaders *bool `json:"quotaHeaders,omitempty"`
}

// Limit is a number of requests in a time.
type Limit struct {
	Requests int      `json:"requests"`
	Per      Duration `json:"per"`
	// Aligned: the times begin at whole multiples of Per by the clock, in UTC; else any time of that length counts.
	Aligned bool `json:"aligned,omitempty"`
	// Classes are "search" and "read", as ratelimit.Class has them. Empty: all.
	Classes []string `json:"classes,omitempty"`
}

// WaitHeader is a header that says how long to wait.
type WaitHeader struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
}

// Unit is how a wait is written.
type Unit string

// The units.
const (
	Seconds      Unit = "s"     // from now on
	Milliseconds Unit = "ms"    // from now on
	Epoch        Unit = "epoch" // seconds since 1970
)

// References describes what references lead to.
type References struct {
	// Bases are other base URLs by which the server means itself in absolute references. They decide what a reference names; requests go
	// to the server's own base URL all the same.
	Bases []string `json:"bases,omitempty"`
	// DeniedAfter is after how many refusals (403) of a type no further references to it are followed in a sync, which is a gap. Unset: 5.
	DeniedAfter *int `json:"deniedAfter,omitempty"`
	// Contents is how the contents are had that attachments name by address.
	Contents *Contents `json:"contents,omitempty"`
}

// Contents is how contents are had.
type Contents string

// The ways. Unset: as a Binary resource, and where that does not do, as the bytes it is. Which of the two works is learned.
const (
	AsBinary   Contents = "binary" // as a Binary resource first
	AsItself   Contents = "raw"    // as the bytes it is first
	NoContents Contents = "none"   // the server does not give them: they are not asked for, which is a gap
)

// Duration is a time.Duration that stands in JSON as "90s" or "2m".
type Duration time.Duration

// MarshalText writes it as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, and nothing below zero.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("want a time like \"90s\" or \"2m\", not %s", strconv.Quote(string(text[:min(len(text), 40)])))
	}
	*d = Duration(v)
	return nil
}

// Type gives what is different for one resource type: what is said of it, over what is said of all.
func (s Set) Type(name string) Type {
	t := s.Types["*"]
	if own, ok := s.Types[name]; ok {
		t = merge(t, own)
	}
	return t
}

// Vars are the names that the caller has to give values for, in order.
func (s Set) Vars() []string {
	var names []string
	for _, h := range s.Headers {
		names = append(names, h.Var)
	}
	for _, p := range s.Params {
		names = append(names, p.Var)
	}
	return sorted(names)
}
