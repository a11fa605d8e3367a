package fhirtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter is one search parameter as understood.
type filter struct {
	name, modifier string
	kind           paramKind
	values         []string // any of them
}

// query is a search as understood. Faults may change it before it runs.
type query struct {
	typ        string
	filters    []filter
	scope      string // compartment search: the patient
	count      int
	counted    bool     // _count was given
	totals     bool     // _total is not none
	provenance bool     // _revinclude=Provenance:target
	nothing    bool     // a fault has decided that nothing is found
	unknown    []string // parameters that were not understood
	echo       url.Values
}

// patient gives the id of the patient the query asks for; empty: for nobody in particular.
func (q *query) patient() string {
	if q.scope != "" {
		return q.scope
	}
	for _, f := range q.filters {
		if f.kind == kindReference {
			for _, v := range f.values {
				v = v[strings.LastIndexByte(v, '/')+1:]
				if v != "" {
					return v
				}
			}
		}
	}
	return ""
}

// understand reads the parameters of a search; a reply means that they were refused.
func (s *Server) understand(c *call) (*query, *reply) {
	q := &query{typ: c.typ, scope: c.scope, count: s.DefaultCount, totals: true, echo: url.Values{}}
	t := s.types[c.typ]
	names := make([]string, 0, len(c.query))
	for name := range c.query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, full := range names {
		name, modifier, _ := strings.Cut(full, ":")
		for _, v := range c.query[full] {
			if v == "" {
				continue // search.html: empty parameters are ignored.
			}
			switch name {
			case "_count":
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 {
					return nil, refuse(http.StatusBadRequest, "value", "_count is not a number")
				}
				q.count, q.counted = min(n, s.MaxCount), true
			case "_summary":
				if v != "count" && v != "false" {
					q.unknown = append(q.unknown, full)
					continue
				}
			case "_total":
				q.totals = v != "none"
			case "_format", "_pretty":
			case "_revinclude":
				if !s.RevInclude || v != "Provenance:target" {
					q.unknown = append(q.unknown, full)
					continue
				}
				q.provenance = true
			default:
				kind, ok := t.param(name)
				if !ok {
					kind, ok = s.held(c.typ, name)
				}
				if !ok {
					q.unknown = append(q.unknown, full)
					continue
				}
				f := filter{name: name, modifier: modifier, kind: kind, values: splitValues(v)}
				if rep := f.check(); rep != nil {
					return nil, rep
				}
				q.filters = append(q.filters, f)
			}
			if name == "_count" {
				v = strconv.Itoa(q.count)
			}
			q.echo.Add(full, v)
		}
	}
	if strings.Contains(c.header.Get("Prefer"), "handling=strict") {
		if rep := s.refuseUnknown(q); rep != nil {
			return nil, rep
		}
	}
	return q, nil
}

// held tells whether a resource that was put on the server by hand answers to a parameter that the type does not have.
func (s *Server) held(typ, name string) (paramKind, bool) {
	for _, st := range s.byType[typ] {
		for _, p := range st.Params {
			if p.Name != name {
				continue
			}
			if _, _, ok := splitRef(p.Value); ok {
				return kindReference, true
			}
			return kindToken, true
		}
	}
	return "", false
}

func (s *Server) refuseUnknown(q *query) *reply {
	if len(q.unknown) == 0 {
		return nil
	}
	known := []string{"_count", "_format", "_summary", "_total"}
	if t := s.types[q.typ]; t != nil {
		for _, p := range t.params {
			known = append(known, p.name)
		}
	}
	return refuse(http.StatusBadRequest, "invalid", "unknown search parameter "+strconv.Quote(q.unknown[0])+" for "+q.typ+"; valid are "+strings.Join(known, ", "))
}

// splitValues cuts at commas that no backslash precedes.
func splitValues(v string) []string {
	var out []string
	var cur strings.Builder
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v):
			i++
			cur.WriteByte(v[i])
		case v[i] == ',':
			out = append(out, cur.String())
			cur.Reset()
		default:
			cur.WriteByte(v[i])
		}
	}
	return append(out, cur.String())
}

// check refuses what search.html says shall be refused: modifiers that are not understood, dates that are none.
func (f filter) check() *reply {
	allowed := f.modifier == "" || f.modifier == "missing" || f.modifier == "not" && f.kind == kindToken || f.modifier == "Patient" && f.kind == kindReference
	if !allowed {
		return refuse(http.StatusBadRequest, "not-supported", "modifier "+strconv.Quote(f.modifier)+" of "+f.name)
	}
	if f.modifier == "missing" {
		if f.values[0] != "true" && f.values[0] != "false" {
			return refuse(http.StatusBadRequest, "value", f.name+":missing is true or false")
		}
		return nil
	}
	if f.kind == kindDate {
		for _, v := range f.values {
			if _, ok := parseDateFilter(v); !ok {
				return refuse(http.StatusBadRequest, "value", f.name+" is not a date")
			}
		}
	}
	return nil
}

// match gives the resources a query finds, in the order in which they were put on the server.
func (s *Server) match(q *query) []*stored {
	if q.nothing {
		return nil
	}
	var out []*stored
	for _, st := range s.byType[q.typ] {
		if s.found(st, q) {
			out = append(out, st)
		}
	}
	return out
}

func (s *Server) found(st *stored, q *query) bool {
	if q.scope != "" && !slices.ContainsFunc(st.Params, func(p Param) bool { return p.Value == "Patient/"+q.scope }) {
		return false
	}
	for _, f := range q.filters {
		if !s.passes(st, f) {
			return false
		}
	}
	return true
}

func (s *Server) passes(st *stored, f filter) bool {
	var have []string
	switch f.name {
	case "_id":
		have = []string{st.ID}
	case "_lastUpdated":
		if st.LastUpdated != "" {
			have = []string{st.LastUpdated}
		}
	default:
		for _, p := range st.Params {
			if p.Name == f.name {
				have = append(have, p.Value)
			}
		}
	}
	hit := func() bool {
		for _, v := range f.values {
			for _, h := range have {
				if s.equal(f, v, h) {
					return true
				}
			}
		}
		return false
	}
	switch f.modifier {
	case "missing":
		return (len(have) == 0) == (f.values[0] == "true")
	case "not":
		return !hit() // also what has no value at all: search.html#modifiers.
	default:
		return hit()
	}
}

// equal compares one asked value with one held value.
func (s *Server) equal(f filter, asked, held string) bool {
	switch f.kind {
	case kindDate:
		want, ok1 := parseDateFilter(asked)
		have, ok2 := parseSpan(held)
		return ok1 && ok2 && want.matches(have)
	case kindReference:
		asked = strings.TrimPrefix(asked, s.base+"/")
		if strings.Contains(asked, "/") {
			return asked == held
		}
		typ, id, _ := strings.Cut(held, "/")
		return asked == id && (f.modifier == "" || f.modifier == typ)
	default:
		if f.name == "_id" {
			return asked == held
		}
		system, code, _ := strings.Cut(held, "|")
		askedSystem, askedCode, both := strings.Cut(asked, "|")
		if !both {
			return asked == code
		}
		return (askedSystem == system) && (askedCode == "" || askedCode == code)
	}
}

// serve answers a call as an honest server does. The caller holds the lock.
func (s *Server) serve(c *call) *reply {
	if c.outside {
		return newReply(http.StatusNotFound, "text/html; charset=utf-8", htmlPage("404 Not Found"))
	}
	switch c.kind {
	case Metadata:
		return s.metadata(c)
	case Read:
		return s.read(c)
	case Search, Count:
		return s.search(c)
	case Page:
		return s.nextPage(c)
	case Batch:
		return s.batch(c)
	case Operation:
		return s.everything(c)
	case Job:
		return s.pollJob(c)
	default:
		if c.method != http.MethodGet && c.method != http.MethodPost {
			return refuse(http.StatusMethodNotAllowed, "not-supported", "method "+c.method)
		}
		return refuse(http.StatusNotFound, "not-supported", "no such interaction")
	}
}

func (s *Server) known(typ string) bool { return s.types[typ] != nil || len(s.byType[typ]) > 0 }

func (s *Server) read(c *call) *reply {
	ref := c.typ + "/" + c.id
	st := s.byRef[ref]
	switch {
	case !s.known(c.typ):
		return refuse(http.StatusNotFound, "not-supported", "unknown resource type")
	case st == nil && s.gone[ref]:
		return refuse(http.StatusGone, "deleted", "the resource was deleted")
	case st == nil:
		return refuse(http.StatusNotFound, "not-found", "no such resource")
	case c.version != "" && c.version != st.VersionID && s.old[ref+"/"+c.version] != nil:
		return newReply(http.StatusOK, fhirJSON, s.bytes(s.old[ref+"/"+c.version]))
	case c.version != "" && c.version != st.VersionID:
		return refuse(http.StatusNotFound, "not-found", "this version is not kept")
	}
	rep := newReply(http.StatusOK, fhirJSON, s.bytes(st))
	if st.Content != nil && !asksFHIR(c.header.Get("Accept")) {
		rep = newReply(http.StatusOK, st.ContentType, st.Content)
	}
	if st.VersionID != "" {
		tag := `W/"` + st.VersionID + `"`
		rep.header.Set("ETag", tag)
		if c.header.Get("If-None-Match") == tag {
			rep.status, rep.body = http.StatusNotModified, nil
		}
	}
	if t, ok := parseDate(st.LastUpdated); ok && st.LastUpdated != "" {
		rep.header.Set("Last-Modified", t.lo.UTC().Truncate(time.Second).Format(http.TimeFormat))
	}
	return rep
}

// asksFHIR tells whether an Accept header asks for a Binary as a resource rather than for what it holds.
func asksFHIR(accept string) bool {
	return accept == "" || strings.Contains(accept, "json") || strings.Contains(accept, "fhir")
}

func (s *Server) search(c *call) *reply {
	if !s.known(c.typ) {
		return refuse(http.StatusNotFound, "not-supported", "unknown resource type")
	}
	q, refused := s.understand(c)
	if refused != nil {
		return refused
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.query != nil }) {
		if rep := f.query(s, c, q); rep != nil {
			return f.refuse(rep)
		}
	}
	found := &findings{list: s.match(q)}
	found.total = len(found.list)
	for f := range s.acting(c, func(f *Fault) bool { return f.find != nil }) {
		f.find(s, c, q, found)
	}
	s.sessions++
	sess := &session{id: s.sessions, query: q, found: found, first: s.selfLink(q)}
	if c.kind == Count {
		return s.countPage(c, sess)
	}
	if q.count == 0 {
		q.count = s.DefaultCount
	}
	return s.page(c, &cursor{sess: sess, number: 1})
}

// selfLink tells which parameters were used.
func (s *Server) selfLink(q *query) string {
	link := s.path(q)
	if len(q.echo) > 0 {
		link += "?" + q.echo.Encode()
	}
	return link
}
