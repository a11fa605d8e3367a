package fhirtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Faults of the text itself: another encoding, what is nearly JSON, and answers of another shape than a Bundle. What the truth says can be
// read out of all of them, but for OddResources with junk that is no JSON in any reading, and XML.

// wired makes a fault that changes the bytes of successful answers.
func wired(name, seen string, on []Interaction, change func(body []byte) []byte) Fault {
	return Fault{Name: name, Seen: seen, interactions: on, wire: func(_ *Server, _ *call, rep *reply) {
		if rep.status == http.StatusOK && len(rep.body) > 0 {
			rep.body = change(slices.Clone(rep.body))
		}
	}}
}

// ByteOrderMark puts a byte order mark before every answer. Seen with Spark.
func ByteOrderMark() Fault {
	return wired("ByteOrderMark", "Spark, before XML: https://github.com/hapifhir/hapi-fhir/issues/266", fhirRequests(), func(body []byte) []byte {
		return append([]byte("\xEF\xBB\xBF"), body...)
	})
}

// UTF16 answers in UTF-16 with a byte order mark.
func UTF16() Fault {
	return wired("UTF16", "", fhirRequests(), func(body []byte) []byte {
		out := []byte{0xFF, 0xFE}
		for _, unit := range utf16.Encode([]rune(string(body))) {
			out = binary.LittleEndian.AppendUint16(out, unit)
		}
		return out
	})
}

// Latin1 answers in ISO 8859-1 and calls it by a name of a charset, which may be another: "utf-8". Seen with FHIR Works on AWS.
func Latin1(charset string) Fault {
	f := wired("Latin1("+charset+")", "FHIR Works on AWS, reads alone: https://github.com/awslabs/fhir-works-on-aws-deployment/issues/324", dataRequests(), func(body []byte) []byte {
		out := make([]byte, 0, len(body))
		for _, r := range string(body) {
			switch {
			case r < utf8.RuneSelf, r >= 0xA0 && r <= 0xFF:
				out = append(out, byte(r)) //nolint:gosec // it is below 0x100.
			case r > 0xFFFF:
				r -= 0x10000
				out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
			default:
				out = fmt.Appendf(out, `\u%04x`, r)
			}
		}
		return out
	})
	change := f.wire
	f.wire = func(s *Server, c *call, rep *reply) {
		change(s, c, rep)
		rep.header.Set("Content-Type", "application/fhir+json; charset="+charset)
	}
	return f
}

// TrailingCommas puts a comma after the last member of each resource, and after the last entry. Seen with Microsoft's converter.
func TrailingCommas() Fault {
	const seen = "a converter, in every object and array: https://github.com/microsoft/FHIR-Converter/issues/402"
	f := wired("TrailingCommas", seen, dataRequests(), func(body []byte) []byte {
		if i := bytes.LastIndex(body, []byte("\n]")); i >= 0 && bytes.HasPrefix(body, []byte(`{"resourceType":"Bundle"`)) {
			return slices.Insert(body, i, ',')
		}
		if i := bytes.LastIndexByte(body, '}'); i >= 0 {
			return slices.Insert(body, i, ',')
		}
		return body
	})
	f.page = func(_ *Server, _ *call, p *page) *reply {
		for i, e := range p.entries {
			if at := bytes.LastIndexByte(e.raw, '}'); e.st != nil && at >= 0 {
				p.entries[i].raw = slices.Insert(slices.Clone(e.raw), at, ',')
			}
		}
		return nil
	}
	return f
}

// JSONComments puts comments into every answer. Seen in the test cases of HL7's validator.
func JSONComments() Fault {
	const seen = "json-comments-1.json: https://github.com/FHIR/fhir-test-cases/tree/HEAD/validator"
	return wired("JSONComments", seen, dataRequests(), func(body []byte) []byte {
		if i := bytes.IndexByte(body, '{'); i >= 0 {
			body = slices.Insert(body, i+1, []byte(`/* generated: "not" by hand { */`)...)
		}
		return append([]byte("// it's an answer\n"), body...)
	})
}

// NamesWithoutQuotes leaves the quotes of resourceType away. Seen in the test cases of HL7's validator.
func NamesWithoutQuotes() Fault {
	const seen = "json-no-quotes-1.json: https://github.com/FHIR/fhir-test-cases/tree/HEAD/validator"
	return wired("NamesWithoutQuotes", seen, dataRequests(), func(body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(`"resourceType"`), []byte(`resourceType`))
	})
}

// OddResources writes something as the value of an extra member of every resource, in searches and in reads: "007", or NaN, which cannot be
// repaired. Seen with converters.
func OddResources(junk string) Fault {
	spoil := func(raw []byte) []byte {
		whole := bytes.TrimSuffix(bytes.TrimSpace(raw), []byte("}"))
		return slices.Concat(whole, []byte(`,"odd":`+junk+"}"))
	}
	return Fault{
		Name:         "OddResources(" + strconv.Quote(junk) + ")",
		Seen:         "065.88 from an OBX segment: https://github.com/CDCgov/trusted-intermediary/issues/1454 ; texts that were not escaped: https://github.com/chaseastewart/fhir-converter/issues/7",
		interactions: []Interaction{Read, Search, Page},
		page: func(_ *Server, _ *call, p *page) *reply {
			for i, e := range p.entries {
				if e.st != nil {
					p.entries[i].raw = spoil(e.raw)
				}
			}
			return nil
		},
		wire: func(_ *Server, c *call, rep *reply) {
			if c.kind == Read && rep.status == http.StatusOK {
				rep.body = spoil(rep.body)
			}
		},
	}
}

// without makes a fault that leaves a member of every resource in a search away.
func without(name, seen, member string) Fault {
	return Fault{Name: name, Seen: seen, interactions: searches(), page: func(_ *Server, _ *call, p *page) *reply {
		for i, e := range p.entries {
			if e.st != nil {
				p.entries[i].raw = withoutMember(e.raw, member)
			}
		}
		return nil
	}}
}

// EntriesWithoutID leaves the id of every resource in a search away. The fullUrl tells it. Seen with HAPI's encoder.
func EntriesWithoutID() Fault {
	return without("EntriesWithoutID", "an encoder that drops ids inside Bundles: https://github.com/hapifhir/hapi-fhir/issues/4280", "id")
}

// EntriesWithoutType leaves the resourceType of every resource in a search away. The fullUrl tells it.
func EntriesWithoutType() Fault { return without("EntriesWithoutType", "", "resourceType") }

// ResourceInsteadOfBundle answers a search that has one match with the resource itself.
func ResourceInsteadOfBundle() Fault {
	return Fault{Name: "ResourceInsteadOfBundle", interactions: searches(), page: func(_ *Server, _ *call, p *page) *reply {
		if len(p.entries) != 1 || p.next != nil || p.entries[0].st == nil || p.cursor.number > 1 {
			return nil
		}
		return newReply(http.StatusOK, fhirJSON, p.entries[0].raw)
	}}
}

// NDJSONInsteadOfBundle answers every search that finds something with all matches, one after the other; they are lines as far as their
// own white space allows.
func NDJSONInsteadOfBundle() Fault {
	return Fault{
		Name: "NDJSONInsteadOfBundle", interactions: searches(),
		size: func(_ *Server, _ *call, p *page) { p.size = max(len(p.cursor.sess.found.list), 1) },
		page: func(_ *Server, _ *call, p *page) *reply {
			var lines []byte
			for _, e := range p.entries {
				if e.raw != nil {
					lines = append(append(lines, e.raw...), '\n')
				}
			}
			if len(lines) == 0 {
				return nil
			}
			return newReply(http.StatusOK, "application/fhir+ndjson", lines)
		},
	}
}

// DoubledBundle sends the Bundle of every search twice, one after the other.
func DoubledBundle() Fault {
	return wired("DoubledBundle", "", searches(), func(body []byte) []byte { return slices.Concat(body, body) })
}

// NestedBundle sends the Bundle of every search as the entry of another.
func NestedBundle() Fault {
	return wired("NestedBundle", "", searches(), func(body []byte) []byte {
		return slices.Concat([]byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":`), body, []byte(`}]}`))
	})
}

// EntryAsObject writes Bundle.entry as an object where there is one entry.
func EntryAsObject() Fault {
	return wired("EntryAsObject", "", searches(), func(body []byte) []byte {
		var b jsonscan.Bundle
		if b.Split(body) != nil || len(b.Entries) != 1 {
			return body
		}
		e := b.Entries[0]
		open, shut := bytes.LastIndexByte(body[:e.Start], '['), bytes.IndexByte(body[e.End:], ']')
		if open < 0 || shut < 0 {
			return body
		}
		return slices.Concat(body[:open], body[e.Start:e.End], body[e.End+shut+1:])
	})
}

const xmlBundle = `<?xml version="1.0" encoding="UTF-8"?><Bundle xmlns="http://hl7.org/fhir"><type value="searchset"/></Bundle>`

// XMLUnlessFormat answers in XML whatever Accept says, unless _format=json is in the URL. Seen with SMART's and Spark.
func XMLUnlessFormat() Fault {
	f := XMLOnly()
	f.Name = "XMLUnlessFormat"
	f.answer = func(_ *Server, c *call) *reply {
		if c.query.Get("_format") == "json" || c.cursor != nil {
			return nil
		}
		return newReply(http.StatusOK, "application/fhir+xml; charset=utf-8", []byte(xmlBundle))
	}
	return f
}

// XMLOnly answers in XML whatever is asked for.
func XMLOnly() Fault {
	return Fault{
		Name: "XMLOnly", Seen: "https://github.com/smart-on-fhir/api-server/issues/42 ; https://github.com/FirelyTeam/spark/issues/177",
		interactions: fhirRequests(),
		answer: func(*Server, *call) *reply {
			return newReply(http.StatusOK, "application/fhir+xml; charset=utf-8", []byte(xmlBundle))
		},
	}
}
