package fhirtest

import (
	"net/http"
	"slices"
)

// claim is what metadata says of one type. Faults change it without changing what the server does.
type claim struct {
	typ    string
	params []typeParam
	search bool
}

func (s *Server) metadata(c *call) *reply {
	claims := make([]claim, 0, len(s.order))
	for _, name := range s.order {
		claims = append(claims, claim{typ: name, params: slices.Clone(s.types[name].params), search: true})
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.claims != nil }) {
		claims = f.claims(claims)
	}
	b := []byte(`{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","software":{"name":`)
	b = appendString(b, s.Software)
	b = append(b, `,"version":"1"},"implementation":{"description":"synthetic data only","url":`...)
	b = appendString(b, s.base)
	b = append(b, `},"fhirVersion":`...)
	b = appendString(b, s.FHIRVersion)
	b = append(b, `,"format":["application/fhir+json"],"rest":[{"mode":"server","resource":[`...)
	for i, cl := range claims {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n{\"type\":"...)
		b = appendString(b, cl.typ)
		b = append(b, `,"interaction":[{"code":"read"},{"code":"vread"}`...)
		if cl.search {
			b = append(b, `,{"code":"search-type"}`...)
		}
		b = append(b, `],"versioning":"versioned"`...)
		if s.RevInclude && cl.search {
			b = append(b, `,"searchRevInclude":["Provenance:target"]`...)
		}
		if cl.typ == "Patient" && s.Everything {
			b = append(b, `,"operation":[{"name":"everything","definition":"http://hl7.org/fhir/OperationDefinition/Patient-everything"}]`...)
		}
		for j, p := range cl.params {
			if j == 0 {
				b = append(b, `,"searchParam":[`...)
			} else {
				b = append(b, ',')
			}
			b = append(b, `{"name":`...)
			b = appendString(b, p.name)
			b = append(b, `,"type":`...)
			b = appendString(b, string(p.kind))
			b = append(b, '}')
		}
		if len(cl.params) > 0 {
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	b = append(b, "\n]"...)
	if s.Batch {
		b = append(b, `,"interaction":[{"code":"batch"}]`...)
	}
	b = append(b, "}]}\n"...)
	return newReply(http.StatusOK, fhirJSON, b)
}
