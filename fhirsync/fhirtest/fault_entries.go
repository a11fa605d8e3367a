package fhirtest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Faults inside a searchset: entries that are doubled, cut, broken or not what was asked for.

// OutcomeEntry adds an OperationOutcome entry with mode outcome to the first page of each search. Each vendor code
// becomes a details.coding. Nothing is left out of the answer; combine it with PageCap for a warning that is true. Seen
// with Epic and Helios.
func OutcomeEntry(severity, code string, vendorCodes ...string) Fault {
	return Fault{
		Name:         fmt.Sprintf("OutcomeEntry(%s,%s%v)", severity, code, vendorCodes),
		Seen:         "Epic 4119 and 4101: https://github.com/onc-healthit/inferno-program/issues/229 ; Helios 0.2.7 for unknown parameters (own observation)",
		interactions: []Interaction{Search},
		page: func(_ *Server, _ *call, p *page) *reply {
			p.entries = append(p.entries, entry{raw: outcome(severity, code, "issue inside a searchset", vendorCodes...), mode: "outcome"})
			return nil
		},
	}
}

// EmptyOutcome puts an OperationOutcome with warning 4101 into searches that find nothing. Seen with Epic.
func EmptyOutcome() Fault {
	f := OutcomeEntry("warning", "processing", "4101")
	f.Name, f.Seen = "EmptyOutcome", "Epic: https://github.com/onc-healthit/inferno-program/issues/229"
	add := f.page
	f.page = func(s *Server, c *call, p *page) *reply {
		if len(p.cursor.sess.found.list) > 0 {
			return nil
		}
		return add(s, c, p)
	}
	return f
}

// ErrorOutcome200 answers reads and searches with an OperationOutcome of severity error and status 200.
func ErrorOutcome200() Fault {
	return Fault{Name: "ErrorOutcome200", interactions: dataRequests(), answer: func(*Server, *call) *reply {
		return newReply(http.StatusOK, fhirJSON, outcome("error", "exception", "something went wrong"))
	}}
}

// DuplicateEntries gives the first resource of each page twice, and repeats the last resource of a page at the start of
// the next. The total counts each once. Seen with Oracle Health.
func DuplicateEntries() Fault {
	return Fault{
		Name:         "DuplicateEntries",
		Seen:         "Oracle Health, the same id on several pages: https://github.com/api-evangelist/cerner/blob/HEAD/conventions/cerner-conventions.yml",
		interactions: searches(),
		page: func(s *Server, _ *call, p *page) *reply {
			if len(p.entries) == 0 {
				return nil
			}
			p.entries = append(p.entries, p.entries[0])
			if list, at := p.cursor.sess.found.list, p.cursor.offset; at > 0 && at <= len(list) {
				p.entries = append([]entry{s.entry(list[at-1])}, p.entries...)
			}
			return nil
		},
	}
}

// Subsetted cuts every resource in search results down to its type, id and patient, tagged SUBSETTED. A read gives the
// whole. Seen with servers discussed at Spark.
func Subsetted() Fault {
	const seen = "servers that give partial data with the tag: https://github.com/FirelyTeam/spark/issues/43"
	return Fault{Name: "Subsetted", Seen: seen, interactions: searches(), page: func(s *Server, _ *call, p *page) *reply {
		for i, e := range p.entries {
			if e.st == nil {
				continue
			}
			b := []byte(`{"resourceType":`)
			b = appendString(b, e.st.Type)
			b = append(b, `,"id":`...)
			b = appendString(b, e.st.ID)
			b = append(b, `,"meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}`...)
			p.entries[i].raw = append(s.about(b, e.st.Type, e.st.Owner), '}')
		}
		return nil
	}}
}

// spoiled makes a fault that changes the first entry of the first page of each search.
func spoiled(name, seen string, how func(e *entry)) Fault {
	return Fault{Name: name, Seen: seen, interactions: []Interaction{Search}, page: func(_ *Server, _ *call, p *page) *reply {
		if len(p.entries) > 0 && p.entries[0].raw != nil {
			how(&p.entries[0])
		}
		return nil
	}}
}

// BrokenEntry writes junk, such as NaN, as the value of an extra member of the first resource of each search, so that
// the JSON of the whole Bundle is invalid though its shape is not. A read gives the resource whole. Seen with
// Microsoft's converter.
func BrokenEntry(junk string) Fault {
	return spoiled(fmt.Sprintf("BrokenEntry(%q)", junk), "invalid JSON from a converter: https://github.com/microsoft/FHIR-Converter/issues/402", func(e *entry) {
		whole := bytes.TrimSuffix(bytes.TrimSpace(e.raw), []byte("}"))
		e.raw = slices.Concat(whole, []byte(`,"broken":`+junk+"}")) // a copy: the stored bytes stay whole.
	})
}

// EntryWithoutID takes the id from the first resource of each search; its fullUrl becomes a urn:uuid. Seen with HAPI's
// encoder.
func EntryWithoutID() Fault {
	return spoiled("EntryWithoutID", "an encoder that drops ids inside Bundles: https://github.com/hapifhir/hapi-fhir/issues/4280", func(e *entry) {
		e.raw = withoutMember(e.raw, "id")
		e.fullURL = "urn:uuid:00000000-0000-4000-8000-000000000000"
	})
}

// withoutMember gives an object without one of its members; the bytes of the others stay.
func withoutMember(object []byte, name string) []byte {
	var w jsonscan.Walker
	members, err := w.WalkMembers(object, nil, nil)
	if err != nil {
		return object
	}
	for i, m := range members {
		if string(object[m.KeyStart:m.KeyEnd]) != `"`+name+`"` {
			continue
		}
		switch {
		case i+1 < len(members):
			return slices.Concat(object[:m.KeyStart], object[members[i+1].KeyStart:])
		case i > 0:
			return slices.Concat(object[:members[i-1].End], object[m.End:])
		}
	}
	return object
}

// EntryWithoutResource leaves the resource out of the first entry of each search. The fullUrl stays. Seen with Medplum.
func EntryWithoutResource() Fault {
	return spoiled("EntryWithoutResource", "Medplum 5.0, in a history (own observation)", func(e *entry) { e.raw = nil })
}

// EntriesWithoutFullURL leaves fullUrl and search.mode out of all entries. Seen with Medplum and HAPI.
func EntriesWithoutFullURL() Fault {
	return Fault{
		Name:         "EntriesWithoutFullURL",
		Seen:         "Medplum's router 4.5.2: no search.mode (own observation); HAPI 8.8.0: no fullUrl inside a batch (own observation)",
		interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply {
			for i := range p.entries {
				p.entries[i].fullURL, p.entries[i].mode = "", ""
			}
			return nil
		},
	}
}

// WrongIDOnRead answers a read with the resource under another id, as if it had been merged away. Seen with Epic.
func WrongIDOnRead() Fault {
	return Fault{
		Name:         "WrongIDOnRead",
		Seen:         "merged patients, Epic 4107: https://github.com/api-evangelist/epic-systems/blob/HEAD/errors/epic-systems-error-codes.yml",
		interactions: []Interaction{Read},
		wire: func(_ *Server, c *call, rep *reply) {
			if rep.status == http.StatusOK {
				rep.body = bytes.Replace(rep.body, []byte(`"`+c.id+`"`), []byte(`"`+c.id+`-merged"`), 1)
			}
		},
	}
}

// OddBundle writes searchsets in an unusual but legal way: entries before links and total, resourceType last, next
// before self, search before resource, escaped slashes and much white space. Nothing is wrong with it. Seen with Humana.
func OddBundle() Fault {
	return Fault{
		Name:         "OddBundle",
		Seen:         "next before self, Humana: https://developers.humana.com/apis/explanation-of-benefits-api/doc",
		interactions: searches(),
		page:         func(_ *Server, _ *call, p *page) *reply { p.style = unusual; return nil },
	}
}

// HugePage puts all matches on one page, whatever _count says, and makes the page larger by extra bytes. Seen with WSO2
// and Helios.
func HugePage(extra int) Fault {
	return Fault{
		Name:         fmt.Sprintf("HugePage(%d)", extra),
		Seen:         "WSO2 (August 2026): 9,075 resources, 17 MB, in one Bundle; Helios 0.2.7: pages of 10,000 (own observations, of operations)",
		interactions: searches(),
		size:         func(_ *Server, _ *call, p *page) { p.size = max(len(p.cursor.sess.found.list), 1) },
		page:         func(_ *Server, _ *call, p *page) *reply { p.padding += extra; return nil },
	}
}

// HeavyEntries makes each entry larger by extra bytes, outside of its resource: a smaller _count helps.
func HeavyEntries(extra int) Fault {
	return Fault{
		Name:         fmt.Sprintf("HeavyEntries(%d)", extra),
		interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply {
			for i := range p.entries {
				p.entries[i].padding += extra
			}
			return nil
		},
	}
}
