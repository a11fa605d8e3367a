package fhirtest

import (
	"fmt"
	"net/http"
	"slices"
)

// Faults in searches by _id=a,b,c, and in reads by id.

// idList gives the filter by several ids of a query, if it has one.
func idList(q *query) *filter {
	for i := range q.filters {
		if f := &q.filters[i]; f.name == "_id" && len(f.values) > 1 {
			return f
		}
	}
	return nil
}

// IDListFindsNothing takes a list of ids for one id, which nothing has. Seen with HAPI, Medplum and FHIR Works on AWS.
func IDListFindsNothing() Fault {
	return Fault{
		Name:         "IDListFindsNothing",
		Seen:         "early HAPI: https://github.com/hapifhir/hapi-fhir/issues/225 ; Medplum before 0.9.25: https://github.com/medplum/medplum/pull/854 ; FHIR Works on AWS, every list: https://github.com/awslabs/fhir-works-on-aws-search-es/issues/95",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			q.nothing = q.nothing || idList(q) != nil
			return nil
		},
	}
}

// IDListCut looks at the first n ids of a list and says nothing of the others.
func IDListCut(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("IDListCut(%d)", n),
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			if f := idList(q); f != nil && len(f.values) > n {
				f.values = f.values[:max(n, 1)]
			}
			return nil
		},
	}
}

// IDListRefused answers 400 to searches by more than n ids.
func IDListRefused(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("IDListRefused(%d)", n),
		Seen:         "lists of values refused by a partitioned HAPI: https://github.com/hapifhir/hapi-fhir/issues/5325",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			if f := idList(q); f != nil && len(f.values) > n {
				return refuse(http.StatusBadRequest, "invalid", "too many values of _id")
			}
			return nil
		},
	}
}

// IDIgnored drops _id and finds everything, as ParamIgnored("_id") does, but keeps it in the self link.
func IDIgnored() Fault {
	return Fault{
		Name:         "IDIgnored",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			if q.patient() == "" {
				q.filters = slices.DeleteFunc(q.filters, func(f filter) bool { return f.name == "_id" })
			}
			return nil
		},
	}
}

// WrongTypeOnRead answers a read with a resource of another type that has the id asked for.
func WrongTypeOnRead() Fault {
	return Fault{
		Name:         "WrongTypeOnRead",
		interactions: []Interaction{Read},
		wire: func(s *Server, c *call, rep *reply) {
			if rep.status == http.StatusOK {
				rep.body = s.synthetic("Basic", c.id, "").Raw
			}
		},
	}
}

// OtherName gives fullUrl and self links below another base URL, as a gateway does that passes on what the server behind it
// calls itself. Next links stay. Seen with
// gateways before Microsoft's server.
func OtherName(base string) Fault {
	return Fault{
		Name:         "OtherName(" + base + ")",
		Seen:         "Microsoft's server behind a proxy: https://github.com/microsoft/fhir-server/issues/1080",
		interactions: searches(),
		page: func(s *Server, _ *call, p *page) *reply {
			for i, e := range p.entries {
				if e.st != nil && e.fullURL != "" {
					p.entries[i].fullURL = base + "/" + e.st.Ref()
				}
			}
			if len(p.self) >= len(s.base) && p.self[:len(s.base)] == s.base {
				p.self = base + p.self[len(s.base):]
			}
			return nil
		},
	}
}
