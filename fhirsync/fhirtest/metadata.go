package fhirtest

import (
	"net/http"
	"slices"
)

// Claim is what metadata says of one type. Servers list what does not work and leave out what does, so a claim changes nothing in what
// the server answers.
type Claim struct {
	Type string
	// Interactions are the codes listed. nil: read and search-type.
	Interactions []string
	// Params are the names of the search parameters listed. nil: no list.
	Params []string
	// Operations are the names of the operations listed, RevIncludes the values of _revinclude.
	Operations, RevIncludes []string
}

// claim is a Claim with the types of the parameters. Faults change it without changing what the server does.
type claim struct {
	typ                     string
	interactions            []string
	params                  []typeParam
	operations, revIncludes []string
}

// claimed gives what metadata says of the types.
func (s *Server) claimed() []claim {
	if s.Claims == nil {
		return s.able()
	}
	out := make([]claim, len(s.Claims))
	for i, cl := range s.Claims {
		out[i] = claim{typ: cl.Type, interactions: cl.Interactions, operations: cl.Operations, revIncludes: cl.RevIncludes}
		if cl.Interactions == nil {
			out[i].interactions = []string{"read", "search-type"}
		}
		for _, name := range cl.Params {
			kind, known := s.types[cl.Type].param(name)
			if !known {
				kind = "string"
			}
			out[i].params = append(out[i].params, typeParam{name, kind})
		}
	}
	return out
}

// able gives what the server can do.
func (s *Server) able() []claim {
	out := make([]claim, len(s.order))
	for i, name := range s.order {
		out[i] = claim{typ: name, interactions: []string{"read", "vread", "search-type"}, params: slices.Clone(s.types[name].params)}
		if s.RevInclude {
			out[i].revIncludes = []string{"Provenance:target"}
		}
		if name == "Patient" && s.Everything {
			out[i].operations = []string{"everything"}
		}
	}
	return out
}

func (s *Server) metadata(c *call) *reply {
	claims := s.claimed()
	for f := range s.acting(c, func(f *Fault) bool { return f.claims != nil }) {
		claims = f.claims(claims)
	}
	b := []byte(`{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance"`)
	if s.Publisher != "" {
		b = append(b, `,"publisher":`...)
		b = appendString(b, s.Publisher)
	}
	if s.Software != "" {
		b = append(b, `,"software":{"name":`...)
		b = appendString(b, s.Software)
		b = append(b, `,"version":`...)
		b = appendString(b, s.SoftwareVersion)
		b = append(b, '}')
	}
	b = append(b, `,"implementation":{"description":"synthetic data only","url":`...)
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
		b = appendEach(b, "interaction", cl.interactions, func(b []byte, code string) []byte {
			return append(appendString(append(b, `{"code":`...), code), '}')
		})
		b = append(b, `,"versioning":"versioned"`...)
		b = appendEach(b, "searchRevInclude", cl.revIncludes, appendString)
		b = appendEach(b, "operation", cl.operations, func(b []byte, name string) []byte {
			b = appendString(append(b, `{"name":`...), name)
			b = append(b, `,"definition":`...)
			return append(appendString(b, "http://hl7.org/fhir/OperationDefinition/"+cl.typ+"-"+name), '}')
		})
		b = appendEach(b, "searchParam", cl.params, func(b []byte, p typeParam) []byte {
			b = appendString(append(b, `{"name":`...), p.name)
			b = append(b, `,"type":`...)
			return append(appendString(b, string(p.kind)), '}')
		})
		b = append(b, '}')
	}
	b = append(b, "\n]"...)
	if s.Batch {
		b = append(b, `,"interaction":[{"code":"batch"}]`...)
	}
	b = append(b, "}]}\n"...)
	return newReply(http.StatusOK, fhirJSON, b)
}

// appendEach writes a member whose value is an array; nothing if there is nothing in it.
func appendEach[T any](b []byte, key string, values []T, write func([]byte, T) []byte) []byte {
	for i, v := range values {
		if i == 0 {
			b = append(append(append(b, `,"`...), key...), `":[`...)
		} else {
			b = append(b, ',')
		}
		b = write(b, v)
	}
	if len(values) > 0 {
		b = append(b, ']')
	}
	return b
}
