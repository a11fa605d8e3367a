package fhirtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Faults in how a search is understood.

func searchStart() []Interaction { return []Interaction{Search, Count} }

// FilterIgnored drops the parameters that name a patient and finds everybody's resources. The self link lacks them. Seen
// with Helios, Spark and Microsoft's server.
func FilterIgnored() Fault {
	return Fault{
		Name:         "FilterIgnored",
		Seen:         "Helios 0.2.7 started without its search parameters (own observation); Spark: https://github.com/FirelyTeam/spark/issues/6 ; Microsoft for unknown parameters: https://github.com/mock-health/fhir-server-compare/blob/HEAD/config/queries.yaml",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			q.scope = ""
			q.filters = slices.DeleteFunc(q.filters, func(f filter) bool {
				if f.kind == kindReference {
					q.echo.Del(f.name)
					q.echo.Del(f.name + ":" + f.modifier)
				}
				return f.kind == kindReference
			})
			return nil
		},
	}
}

// ParamIgnored drops one parameter, whatever it means, as a server does that does not know it: it finds what the others
// find, and the self link lacks it. Seen with Blue Button.
func ParamIgnored(name string) Fault {
	return Fault{
		Name:         "ParamIgnored(" + name + ")",
		Seen:         "Blue Button drops what is not on its list: https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/fhir/bluebutton/views/generic.py",
		interactions: searchStart(),
		query: func(s *Server, _ *call, q *query) *reply {
			if name == "_count" {
				q.count = s.DefaultCount
			}
			for full := range q.echo {
				if n, _, _ := strings.Cut(full, ":"); n == name {
					delete(q.echo, full)
				}
			}
			q.filters = slices.DeleteFunc(q.filters, func(f filter) bool { return f.name == name })
			return nil
		},
	}
}

// ParamRejected answers 400 to searches with this parameter. Seen with HAPI.
func ParamRejected(name string) Fault {
	return Fault{
		Name:         "ParamRejected(" + name + ")",
		Seen:         "HAPI: https://github.com/mock-health/fhir-server-compare/blob/HEAD/config/queries.yaml",
		interactions: searchStart(),
		when: func(c *call) bool {
			for full := range c.query {
				if n, _, _ := strings.Cut(full, ":"); n == name {
					return true
				}
			}
			return false
		},
		answer: func(*Server, *call) *reply {
			return refuse(http.StatusBadRequest, "invalid", "unknown search parameter "+name)
		},
	}
}

// ParamRequired answers 400 to searches with a patient but without this parameter, "status" say, or one of these; it may be one that the
// server does not understand otherwise. Searches by _id need it not, unless it is _id that is required. Seen with Epic.
func ParamRequired(names ...string) Fault {
	return Fault{
		Name:         "ParamRequired(" + strings.Join(names, ",") + ")",
		Seen:         "Epic's code 59108: https://github.com/api-evangelist/epic-systems/blob/HEAD/errors/epic-systems-error-codes.yml ; US Core servers may for status: https://github.com/inferno-framework/us-core-test-kit/blob/HEAD/lib/us_core_test_kit/search_test.rb",
		interactions: searchStart(),
		query: func(_ *Server, c *call, q *query) *reply {
			if q.patient() == "" || slices.ContainsFunc(q.filters, func(f filter) bool { return slices.Contains(names, f.name) }) || slices.ContainsFunc(names, c.query.Has) {
				return nil
			}
			return refuse(http.StatusBadRequest, "required", "search parameter "+strings.Join(names, " or ")+" is required")
		},
	}
}

// ParamValues answers 400 to searches by this parameter that name anything but these values, in a list too. Seen with Epic and Oracle
// Health.
func ParamValues(name string, values ...string) Fault {
	return Fault{
		Name:         "ParamValues(" + name + "," + strings.Join(values, ",") + ")",
		Seen:         "Epic's code 59111: https://github.com/api-evangelist/epic-systems/blob/HEAD/errors/epic-systems-error-codes.yml ; CarePlan by assess-plan alone, Oracle Health: https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4/clinical/care-provision/care-plan.md",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			for _, f := range q.filters {
				if f.name != name || f.modifier == "missing" {
					continue
				}
				for _, v := range f.values {
					code := v[strings.LastIndexByte(v, '|')+1:]
					if !slices.Contains(values, v) && !slices.Contains(values, code) {
						return refuse(http.StatusBadRequest, "value", "the value of "+name+" is not supported")
					}
				}
			}
			return nil
		},
	}
}

// OnlyParams drops every search parameter but these, whatever it means and without a word; the self link lacks what was dropped. A
// modifier is part of a name. Seen with Blue Button.
func OnlyParams(names ...string) Fault {
	return Fault{
		Name:         "OnlyParams(" + strings.Join(names, ",") + ")",
		Seen:         "Blue Button drops what is not on its list: https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/fhir/bluebutton/views/search.py",
		interactions: searchStart(),
		query: func(s *Server, _ *call, q *query) *reply {
			for full := range q.echo {
				if slices.Contains(names, full) {
					continue
				}
				delete(q.echo, full)
				q.unknown = append(q.unknown, full)
				if full == "_count" {
					q.count = s.DefaultCount
				}
			}
			slices.Sort(q.unknown)
			q.filters = slices.DeleteFunc(q.filters, func(f filter) bool {
				full := f.name
				if f.modifier != "" {
					full += ":" + f.modifier
				}
				return !slices.Contains(names, full)
			})
			return nil
		},
	}
}

// ModifiersRejected answers 400 to searches with a modifier other than :Patient. Seen with Epic.
func ModifiersRejected() Fault {
	return Fault{
		Name:         "ModifiersRejected",
		Seen:         "negative modifiers do not help, Epic: https://github.com/smart-on-fhir/smart-fetch/blob/HEAD/smart_fetch/crawl_utils.py",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			for _, f := range q.filters {
				if f.modifier != "" && f.modifier != "Patient" {
					return refuse(http.StatusBadRequest, "invalid", "modifier of "+f.name+" is not supported")
				}
			}
			return nil
		},
	}
}

// PatientFixed answers every search for the patient whom the grant is for, whomever it names: the parameters that name a patient are
// replaced, and so is the _id of a search for Patients. Seen with Blue Button.
func PatientFixed(patientID string) Fault {
	return Fault{
		Name:         "PatientFixed(" + patientID + ")",
		Seen:         "Blue Button overwrites them with the id tied to the token: https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/fhir/bluebutton/views/search.py",
		interactions: searchStart(),
		query: func(s *Server, _ *call, q *query) *reply {
			name, kind, value := "patient", kindReference, "Patient/"+patientID
			if q.typ == "Patient" {
				name, kind, value = "_id", kindToken, patientID
			} else if _, ok := s.types[q.typ].param("beneficiary"); ok {
				name = "beneficiary"
			}
			if _, ok := s.types[q.typ].param(name); !ok {
				return nil
			}
			q.scope = ""
			q.filters = slices.DeleteFunc(q.filters, func(f filter) bool {
				if f.kind == kindReference || f.name == name {
					delete(q.echo, f.name)
					delete(q.echo, f.name+":"+f.modifier)
					return true
				}
				return false
			})
			q.filters = append(q.filters, filter{name: name, kind: kind, values: []string{value}})
			q.echo.Set(name, value)
			return nil
		},
	}
}

// ForeignMixed mixes up to n resources of other patients into each search by patient that finds anything: those of this
// server, else invented ones. The self link and all else look right; the total counts them. Seen with GT-FHIR.
func ForeignMixed(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("ForeignMixed(%d)", n),
		Seen:         "another patient's Condition: https://github.com/gt-health/GT-FHIR/issues/50",
		interactions: searchStart(),
		find: func(s *Server, _ *call, q *query, found *findings) {
			if q.patient() == "" || len(found.list) == 0 {
				return
			}
			found.list = slices.Insert(slices.Clone(found.list), 1, s.others(q.typ, q.patient(), n)...)
			found.total += n
		},
	}
}

// SelfVerbatim writes the request as it came into the self link of a first page, with parameters that were not
// understood. Seen with HAPI.
func SelfVerbatim() Fault {
	const seen = "https://github.com/hapifhir/hapi-fhir/issues/149"
	return Fault{Name: "SelfVerbatim", Seen: seen, interactions: []Interaction{Search}, page: func(s *Server, c *call, p *page) *reply {
		p.self = s.base + "/" + c.path
		if c.url.RawQuery != "" {
			p.self += "?" + c.url.RawQuery
		}
		return nil
	}}
}

// SelfWithoutParams leaves all parameters out of the self link of a first page. Seen with HAPI.
func SelfWithoutParams() Fault {
	return Fault{
		Name: "SelfWithoutParams", Seen: "HAPI 8.8.0 after a POST _search (own observation)",
		interactions: []Interaction{Search},
		page: func(_ *Server, _ *call, p *page) *reply {
			p.self, _, _ = strings.Cut(p.self, "?")
			return nil
		},
	}
}

// unfound makes a fault that finds nothing for some forms of a patient's id.
func unfound(name, seen string, bad func(s *Server, value string) bool) Fault {
	return Fault{
		Name: name, Seen: seen, interactions: searchStart(),
		query: func(s *Server, _ *call, q *query) *reply {
			for _, f := range q.filters {
				if f.kind == kindReference && f.modifier != "missing" && slices.ContainsFunc(f.values, func(v string) bool { return bad(s, v) }) {
					q.nothing = true
				}
			}
			return nil
		},
	}
}

// BareIDFindsNothing finds nothing for patient=ID and answers 200 with total 0, also to a count: only patient=Patient/ID
// works. Seen with Medplum.
func BareIDFindsNothing() Fault {
	return unfound("BareIDFindsNothing", "Medplum's router 4.5.2 (own observation)",
		func(_ *Server, v string) bool { return !strings.Contains(v, "/") })
}

// TypedIDFindsNothing finds nothing for patient=Patient/ID and answers 200 with total 0, also to a count: only
// patient=ID works. Seen with Health Intersections' server.
func TypedIDFindsNothing() Fault {
	return unfound("TypedIDFindsNothing", "for a chained parameter: https://github.com/HealthIntersections/fhirserver/issues/74",
		func(_ *Server, v string) bool { return strings.Contains(v, "/") })
}

// AbsoluteIDFindsNothing finds nothing for patient=<absolute URL>; the other forms work. Seen with Spark and Helios.
func AbsoluteIDFindsNothing() Fault {
	return unfound("AbsoluteIDFindsNothing", "Spark: https://github.com/FirelyTeam/spark/issues/6 ; Helios 0.2.7 (own observation)",
		func(_ *Server, v string) bool { return strings.Contains(v, "://") })
}

// ParamFindsNothing finds nothing for searches by this parameter and answers 200 with total 0, also to a count, although
// the self link names it. Other parameters of the same meaning work. Seen with Spark.
func ParamFindsNothing(name string) Fault {
	return Fault{
		Name:         "ParamFindsNothing(" + name + ")",
		Seen:         "DocumentReference by patient, but not by subject, Spark: https://github.com/FirelyTeam/spark/issues/521",
		interactions: searchStart(),
		query: func(_ *Server, _ *call, q *query) *reply {
			q.nothing = q.nothing || slices.ContainsFunc(q.filters, func(f filter) bool { return f.name == name })
			return nil
		},
	}
}

// UnknownParam400 refuses parameters that are not understood, without being asked to be strict. Seen with HAPI and
// Medplum.
func UnknownParam400() Fault {
	return Fault{
		Name:         "UnknownParam400",
		Seen:         "HAPI: https://github.com/mock-health/fhir-server-compare/blob/HEAD/config/queries.yaml ; Medplum 5.0 (own observation)",
		interactions: searchStart(),
		query:        func(s *Server, _ *call, q *query) *reply { return s.refuseUnknown(q) },
	}
}

// UnknownTypeEmpty answers searches for types the server does not know with 200 and an empty Bundle. Seen with Helios
// and WSO2.
func UnknownTypeEmpty() Fault {
	return Fault{
		Name:         "UnknownTypeEmpty",
		Seen:         "Helios: https://github.com/HeliosSoftware/hfs/issues/989 ; WSO2 (own observation)",
		interactions: searchStart(),
		wire: func(s *Server, c *call, rep *reply) {
			if s.known(c.typ) || rep.status != http.StatusNotFound {
				return
			}
			q := &query{typ: c.typ, totals: true}
			sess := &session{query: q, found: &findings{}, first: s.base + "/" + c.typ}
			rep.status, rep.body = http.StatusOK, s.bundle(&page{cursor: &cursor{sess: sess, number: 1}, totals: true, self: sess.first})
		},
	}
}

// Empty404 answers searches that find nothing with 404 and a body that is not FHIR. Seen with LibreHealth EHR.
func Empty404() Fault {
	return Fault{
		Name:         "Empty404",
		Seen:         "LibreHealth EHR: https://github.com/LibreHealthIO/lh-ehr-fhir-api/issues/24",
		interactions: searchStart(),
		find: func(_ *Server, c *call, _ *query, found *findings) {
			if len(found.list) == 0 {
				c.empty = true
			}
		},
		wire: func(_ *Server, c *call, rep *reply) {
			if c.empty {
				rep.status, rep.body = http.StatusNotFound, []byte("[]")
				rep.header.Set("Content-Type", "application/json")
			}
		},
	}
}

// CompartmentRejected answers 400 to searches by compartment (Patient/ID/Type). Seen with HAPI.
func CompartmentRejected() Fault {
	return Fault{
		Name: "CompartmentRejected", Seen: "HAPI 8.8.0 (own observation)", interactions: searchStart(),
		when:   func(c *call) bool { return c.scope != "" },
		answer: func(*Server, *call) *reply { return refuse(http.StatusBadRequest, "processing", "no such request") },
	}
}

// EmptyWithoutLinks leaves the links, the self link among them, out of searches that find nothing. Seen with Canvas.
func EmptyWithoutLinks() Fault {
	return Fault{
		Name: "EmptyWithoutLinks", Seen: "Canvas: https://docs.canvasmedical.com/api/pagination", interactions: []Interaction{Search},
		page: func(_ *Server, _ *call, p *page) *reply {
			if len(p.cursor.sess.found.list) == 0 {
				p.self = ""
			}
			return nil
		},
	}
}

// HiddenFromSearch leaves these resources, each "Type/id", out of every search and count. A read gives them. Seen with
// US Core servers, as the guide tells them to.
func HiddenFromSearch(refs ...string) Fault {
	return Fault{
		Name:         "HiddenFromSearch(" + strings.Join(refs, ",") + ")",
		Seen:         "US Core servers leave a resource without its required status out of searches, as the guide tells them to",
		interactions: searchStart(),
		find: func(_ *Server, _ *call, _ *query, found *findings) {
			before := len(found.list)
			found.list = slices.DeleteFunc(slices.Clone(found.list), func(st *stored) bool { return slices.Contains(refs, st.Ref()) })
			found.total -= before - len(found.list)
		},
	}
}
