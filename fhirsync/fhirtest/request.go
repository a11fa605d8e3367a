package fhirtest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Interaction says what a request asks for.
type Interaction string

// The interactions the server tells apart. A later page of a search is an interaction of its own, and so is a request for
// a count, because real servers fail at them separately.
const (
	Metadata Interaction = "metadata"
	Read     Interaction = "read"   // also a read of a version
	Search   Interaction = "search" // the first page of a search, by GET or POST
	Page     Interaction = "page"   // a page that a next link named
	Count    Interaction = "count"  // a search with _summary=count or _count=0
	// Operation is $everything, its first page or the kick-off of its job; Job is a poll of that job, or its deletion.
	Operation Interaction = "operation"
	Job       Interaction = "job"
	// Batch is a batch of requests. Each of those is logged as well, as what it is.
	Batch   Interaction = "batch"
	Other   Interaction = "other"   // anything else below the base URL
	Foreign Interaction = "foreign" // an address that is not this server's
)

// Request is one request the server received, as Requests gives it.
type Request struct {
	Method string
	// URL is the address as the client wrote it, without a fragment.
	URL string
	// Path is the path below the base URL, without a slash in front: "Observation", "Patient/1".
	Path string
	// Query holds the parameters of the URL and, for a POST search, those of the body.
	Query url.Values
	// Header is a copy of the request's headers.
	Header http.Header
	// Status is the status of the answer; 0 while there is none, and for good if the connection was refused or cut.
	Status int
	// Interaction is what was asked, Foreign if the address was not this server's (in process only: see Server.RoundTripper).
	Interaction Interaction
	// Type is the resource type asked for, where there is one. Number is the number of the page, from 1, for Search and Page.
	Type   string
	Number int
	// Faults are the names of the injected faults that took part in the answer.
	Faults []string
}

// Requests gives the log of all requests so far, in order of arrival. The slice and what it holds are the caller's.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.log))
	for i, entry := range s.log {
		r := *entry
		r.Header = r.Header.Clone()
		r.Query = url.Values(http.Header(r.Query).Clone()) // a deep copy; the two types are alike.
		r.Faults = slices.Clone(r.Faults)
		out[i] = r
	}
	return out
}

// ResetRequests empties the log, so that a test can look at one phase alone.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// call is a request in progress.
type call struct {
	method  string
	url     *url.URL
	header  http.Header
	path    string // below the base, without a slash in front
	outside bool   // not below the base at all
	query   url.Values
	kind    Interaction
	typ     string
	id      string
	version string
	scope   string // the patient id of a compartment search
	cursor  *cursor
	body    []byte   // of a batch
	inside  bool     // one of the requests of a batch
	entry   *Request // in the log
	empty   bool     // a fault noticed that the search found nothing
	hits    map[*injected]bool
}

// number is the page number that faults count by.
func (c *call) number() int {
	if c.cursor != nil {
		return c.cursor.number
	}
	return 1
}

// parse understands a request. The caller holds the lock.
func (s *Server) parse(r *http.Request, body []byte) *call {
	c := &call{method: r.Method, url: r.URL, header: r.Header, kind: Other, query: r.URL.Query(), hits: map[*injected]bool{}}
	root := ""
	if u, err := url.Parse(s.base); err == nil {
		root = u.Path
	}
	rest, below := strings.CutPrefix(r.URL.Path, root)
	if !below || (rest != "" && rest[0] != '/') {
		c.outside = true
		c.path = r.URL.Path
		return c
	}
	c.path = strings.TrimPrefix(rest, "/")
	parts := strings.Split(c.path, "/")
	get := r.Method == http.MethodGet
	search := get
	if r.Method == http.MethodPost && len(parts) == 2 && parts[1] == "_search" {
		if form, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range form {
				c.query[k] = append(c.query[k], v...)
			}
		}
		parts, search = parts[:1], true
	}
	switch {
	case get && c.query.Has(s.Links.param()):
		c.kind = Page
		if cur := s.cursors[s.cursorKey(r.URL, c.query)]; cur != nil {
			c.cursor, c.typ = cur, cur.sess.query.typ
		}
	case s.Batch && r.Method == http.MethodPost && c.path == "":
		c.kind, c.body = Batch, body
	case parts[0] == jobPath && len(parts) == 2:
		c.kind, c.id = Job, parts[1]
	case s.Everything && len(parts) == 3 && parts[0] == "Patient" && parts[2] == everything && (get || r.Method == http.MethodPost):
		c.kind, c.typ, c.id = Operation, everything, parts[1]
	case get && c.path == "metadata":
		c.kind, c.typ = Metadata, "metadata"
	case search && len(parts) == 1 && parts[0] != "" && parts[0][0] != '$' && parts[0][0] != '_':
		c.kind, c.typ = Search, parts[0]
	case get && len(parts) == 2 && parts[1] != "" && parts[1][0] != '$' && parts[1][0] != '_':
		c.kind, c.typ, c.id = Read, parts[0], parts[1]
	case get && len(parts) == 4 && parts[2] == "_history":
		c.kind, c.typ, c.id, c.version = Read, parts[0], parts[1], parts[3]
	case get && len(parts) == 3 && parts[0] == "Patient" && parts[2] != "" && parts[2][0] != '$' && parts[2][0] != '_' && parts[2] != "*":
		c.kind, c.typ, c.scope = Search, parts[2], parts[1]
	}
	if c.kind == Search && (c.query.Get("_summary") == "count" || c.query.Get("_count") == "0") {
		c.kind = Count
	}
	return c
}

// begin notes a request in the log; the caller holds the lock.
func (s *Server) begin(c *call, address string) {
	c.entry = &Request{
		Method: c.method, URL: address, Path: c.path, Query: maps.Clone(c.query), Header: c.header.Clone(),
		Interaction: c.kind, Type: c.typ,
	}
	if c.kind == Search || c.kind == Page {
		c.entry.Number = c.number()
	}
	s.log = append(s.log, c.entry)
}
