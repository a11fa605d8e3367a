package fhirtest

import (
	"maps"
	"net/url"
	"strconv"
)

// LinkStyle says how next links look. The zero value is that of HAPI: BASE?_getpages=TOKEN, with neither type nor filters.
type LinkStyle struct {
	// Param is the parameter that says which page it is. Empty: _getpages.
	Param string
	// Value is what stands in Param.
	Value LinkValue
	// Typed puts what was asked into the path: BASE/Observation?...
	Typed bool
	// Query repeats the parameters of the search as they were understood.
	Query bool
	// Extra are further parameters of every link.
	Extra url.Values
}

// LinkValue is how a next link names its page.
type LinkValue int

// The ways to name a page. Whatever it is, a page has to be reached by the links of its search: a client that makes up an address gets
// 410.
const (
	// LinkToken: by a token without a meaning.
	LinkToken LinkValue = iota
	// LinkOffset: by the number of matches before it.
	LinkOffset
	// LinkNumber: by the number of the page, from 1.
	LinkNumber
)

// variantParam tells apart pages that only faults know, where their number does not.
const variantParam = "_variant"

func (l LinkStyle) param() string {
	if l.Param == "" {
		return "_getpages"
	}
	return l.Param
}

// pageAddress gives the address of a page.
func (s *Server) pageAddress(c *cursor) string {
	q, params := c.sess.query, url.Values{}
	link := s.base
	if s.Links.Typed {
		link = s.path(q)
	}
	if s.Links.Query {
		maps.Copy(params, q.echo)
	}
	maps.Copy(params, s.Links.Extra)
	switch s.Links.Value {
	case LinkToken:
		params.Set(s.Links.param(), c.token())
	case LinkOffset:
		params.Set(s.Links.param(), strconv.Itoa(c.offset))
	case LinkNumber:
		params.Set(s.Links.param(), strconv.Itoa(c.number))
	}
	if c.variant > 0 && s.Links.Value != LinkToken {
		params.Set(variantParam, strconv.Itoa(c.variant))
	}
	return link + "?" + params.Encode()
}

// link gives the address of a page and makes it valid.
func (s *Server) link(c *cursor) string {
	address := s.pageAddress(c)
	if u, err := url.Parse(address); err == nil {
		s.cursors[s.cursorKey(u, u.Query())] = c
	}
	return address
}

// cursorKey is what a page is found by: its token, else all of its address below the origin.
func (s *Server) cursorKey(u *url.URL, params url.Values) string {
	if s.Links.Value == LinkToken {
		return params.Get(s.Links.param())
	}
	return u.Path + "?" + params.Encode()
}

// path gives the address of what a query asks, without parameters.
func (s *Server) path(q *query) string {
	if q.scope == "" {
		return s.base + "/" + q.typ
	}
	return s.base + "/Patient/" + url.PathEscape(q.scope) + "/" + q.typ
}
