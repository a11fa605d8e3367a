package fhirtest

import (
	"net/http"
)

// Faults of contents: reads of Binary.

// contentOf gives the Binary that a call reads; nil if it reads none.
func (s *Server) contentOf(c *call) *stored {
	if st := s.byRef[c.typ+"/"+c.id]; c.kind == Read && st != nil && st.Content != nil {
		return st
	}
	return nil
}

// BinaryNative gives a Binary as the bytes it holds whatever Accept says. Seen with HAPI.
func BinaryNative() Fault {
	return Fault{
		Name:         "BinaryNative",
		Seen:         "HAPI, where the content is JSON: https://github.com/hapifhir/hapi-fhir/issues/5078",
		interactions: []Interaction{Read},
		answer: func(s *Server, c *call) *reply {
			if st := s.contentOf(c); st != nil {
				return newReply(http.StatusOK, st.ContentType, st.Content)
			}
			return nil
		},
	}
}

// BinaryWrapped gives a Binary as a resource whatever Accept says. Seen with Spark.
func BinaryWrapped() Fault {
	return Fault{
		Name:         "BinaryWrapped",
		Seen:         "Spark: https://github.com/FirelyTeam/spark/issues/76",
		interactions: []Interaction{Read},
		answer: func(s *Server, c *call) *reply {
			if st := s.contentOf(c); st != nil {
				return newReply(http.StatusOK, fhirJSON, s.bytes(st))
			}
			return nil
		},
	}
}

// BinaryAccept refuses to give a Binary unless Accept is application/fhir+json or the media type of what it holds, and nothing else beside.
// Seen with Oracle Health.
func BinaryAccept() Fault {
	return Fault{
		Name:         "BinaryAccept",
		Seen:         "Oracle Health: https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4/foundation/other/binary.md",
		interactions: []Interaction{Read},
		answer: func(s *Server, c *call) *reply {
			st := s.contentOf(c)
			if accept := c.header.Get("Accept"); st != nil && accept != "application/fhir+json" && accept != st.ContentType {
				return refuse(http.StatusNotAcceptable, "not-supported", "Accept")
			}
			return nil
		},
	}
}

// BinaryWithoutData gives a Binary, where it is asked for as a resource, without what it holds. Seen with HAPI.
func BinaryWithoutData() Fault {
	return Fault{
		Name:         "BinaryWithoutData",
		Seen:         "HAPI, for what it keeps outside of its database: https://github.com/hapifhir/hapi-fhir-jpaserver-starter/issues/179",
		interactions: []Interaction{Read},
		answer: func(s *Server, c *call) *reply {
			st := s.contentOf(c)
			if st == nil || !asksFHIR(c.header.Get("Accept")) {
				return nil
			}
			b := appendString([]byte(`{"resourceType":"Binary","id":`), c.id)
			b = appendString(append(b, `,"contentType":`...), st.ContentType)
			return newReply(http.StatusOK, fhirJSON, append(b, '}'))
		},
	}
}

// WrongContent gives a Binary, in whatever form, with another content than the one that was put on the server.
func WrongContent() Fault {
	return Fault{
		Name:         "WrongContent",
		interactions: []Interaction{Read},
		answer: func(s *Server, c *call) *reply {
			st := s.contentOf(c)
			switch {
			case st == nil:
				return nil
			case !asksFHIR(c.header.Get("Accept")):
				return newReply(http.StatusOK, st.ContentType, []byte("something else"))
			}
			b := appendString([]byte(`{"resourceType":"Binary","id":`), c.id)
			b = appendString(append(b, `,"contentType":`...), st.ContentType)
			return newReply(http.StatusOK, fhirJSON, append(b, `,"data":"c29tZXRoaW5nIGVsc2U="}`...))
		},
	}
}
