package fhirtest

import (
	"fmt"
	"net/http"
	"slices"
)

// findings are what a search found. Faults may change both.
type findings struct {
	list  []*stored
	total int
}

// session is a search whose pages are being read. Its findings are a snapshot.
type session struct {
	id    int
	query *query
	found *findings
	first string   // self link of the first page
	urls  []string // addresses of the pages in the order of their numbers
	dead  bool     // a fault let it expire
}

// cursor is one page of a session.
type cursor struct {
	sess    *session
	offset  int
	number  int // of the page as the client counts, from 1
	variant int // tells apart pages that only faults know
}

func (c *cursor) token() string {
	h := mix(uint64(c.sess.id)) //nolint:gosec // a small positive number.
	for _, n := range []int{c.offset, c.number, c.variant} {
		h = mix(h ^ uint64(n)) //nolint:gosec // see above.
	}
	return fmt.Sprintf("%016x-%016x", h, mix(h))
}

// page is one page on its way out. Faults may change all of it.
type page struct {
	cursor  *cursor
	size    int // matches asked for
	entries []entry
	total   int
	totals  bool
	self    string
	next    *cursor
	nextURL string // instead of the address of next
	relink  func(string) string
	style   bundleStyle
	padding int
}

// entry is one entry of a page.
type entry struct {
	st      *stored // nil: an OperationOutcome or the like
	fullURL string
	raw     []byte // nil: no resource
	mode    string
	padding int
}

func (s *Server) entry(st *stored) entry {
	return entry{st: st, fullURL: s.base + "/" + st.Ref(), raw: s.bytes(st), mode: "match"}
}

// provenances gives what _revinclude=Provenance:target adds to matches.
func (s *Server) provenances(matches []*stored) []entry {
	var out []entry
	for _, p := range s.byType["Provenance"] {
		if slices.ContainsFunc(matches, func(m *stored) bool { return slices.Contains(p.Links, m.Ref()) }) {
			e := s.entry(p)
			e.mode = "include"
			out = append(out, e)
		}
	}
	return out
}

func (s *Server) nextPage(c *call) *reply {
	if c.cursor == nil {
		return refuse(http.StatusGone, "not-found", "the search is not known or has expired")
	}
	return s.page(c, c.cursor)
}

// page builds and writes one page of a search.
func (s *Server) page(c *call, at *cursor) *reply {
	sess := at.sess
	list := sess.found.list
	p := &page{cursor: at, size: sess.query.count, total: sess.found.total, totals: sess.query.totals, self: sess.first}
	for f := range s.acting(c, func(f *Fault) bool { return f.size != nil }) {
		f.size(s, c, p)
	}
	from := min(at.offset, len(list))
	to := min(from+p.size, len(list))
	for _, st := range list[from:to] {
		p.entries = append(p.entries, s.entry(st))
	}
	if sess.query.provenance {
		p.entries = append(p.entries, s.provenances(list[from:to])...)
	}
	if to < len(list) {
		p.next = &cursor{sess: sess, offset: to, number: at.number + 1}
	}
	if at.number > 1 {
		p.self = s.pageAddress(at)
	}
	if len(sess.urls) < at.number {
		sess.urls = append(sess.urls, p.self)
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.page != nil }) {
		if rep := f.page(s, c, p); rep != nil {
			return f.refuse(rep)
		}
	}
	return newReply(http.StatusOK, fhirJSON, s.bundle(p))
}

// countPage answers a search that asks for the number alone.
func (s *Server) countPage(c *call, sess *session) *reply {
	p := &page{cursor: &cursor{sess: sess, number: 1}, total: sess.found.total, totals: true, self: sess.first}
	for f := range s.acting(c, func(f *Fault) bool { return f.count != nil }) {
		if rep := f.count(s, c, p); rep != nil {
			return f.refuse(rep)
		}
	}
	return newReply(http.StatusOK, fhirJSON, s.bundle(p))
}

// synthetic makes a resource that no record holds, for faults that need one. owner is the patient it claims to be about.
func (s *Server) synthetic(typ, id, owner string) *stored {
	b := []byte(`{"resourceType":`)
	b = appendString(b, typ)
	b = append(b, `,"id":`...)
	b = appendString(b, id)
	b = append(s.about(b, typ, owner), '}')
	return &stored{Resource: Resource{Type: typ, ID: id, Raw: b, Owner: owner}}
}

// about writes the member that names the patient of a resource of the type.
func (s *Server) about(b []byte, typ, owner string) []byte {
	t := s.types[typ]
	if t == nil || t.elem == "" || owner == "" {
		return b
	}
	elem, many := t.elem, false
	if n := len(elem); n > 2 && elem[n-2:] == "[]" {
		elem, many = elem[:n-2], true
	}
	b = append(b, ',')
	b = appendString(b, elem)
	b = append(b, ':')
	if many {
		b = append(b, '[')
	}
	b = append(b, `{"reference":`...)
	b = appendString(b, "Patient/"+owner)
	b = append(b, '}')
	if many {
		b = append(b, ']')
	}
	return b
}

// others gives up to n resources of the type that belong to other patients; invented ones if the server has too few.
func (s *Server) others(typ, patientID string, n int) []*stored {
	var out []*stored
	for _, st := range s.byType[typ] {
		if len(out) < n && st.Owner != "" && st.Owner != patientID {
			out = append(out, st)
		}
	}
	for len(out) < n {
		i := len(out)
		out = append(out, s.synthetic(typ, fmt.Sprintf("foreign-%d", i), fmt.Sprintf("somebody-else-%d", i)))
	}
	return slices.Clip(out)
}
