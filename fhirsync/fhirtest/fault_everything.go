package fhirtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Faults of $everything. The faults of searches and of HTTP reach it too, by On(Operation) for its first page, and by For("$everything")
// for all of them: Status(500).On(Operation), Slow(5*time.Minute).On(Operation), ExpiredCursor(2).For("$everything").

// EverythingFaults gives an instance of every fault that is about $everything, for tests that run over all of them. They need a Server
// with Everything set.
func EverythingFaults() []Fault {
	return []Fault{
		Status(http.StatusNotFound).On(Operation), Status(http.StatusNotImplemented).On(Operation), Status(http.StatusForbidden).On(Operation),
		Status(http.StatusInternalServerError).On(Operation), Status(http.StatusBadRequest).On(Operation), ErrorOutcome200().On(Operation),
		HTMLError(http.StatusBadGateway).On(Operation), TruncatedBody().On(Operation), TruncatedJSON().On(Operation), Hang().On(Operation),
		EverythingTruncated(30), EverythingWithout("Observation"), EverythingWithout("Practitioner", "Organization", "Medication"),
		EverythingPatientAlone(), EverythingForeign(3), EverythingCountFatal(http.StatusInternalServerError), EverythingCountFatal(http.StatusBadRequest),
		EverythingUnpaged(), EverythingByPostOnly(), EverythingCollection(), EverythingJob(3, true), EverythingJob(0, false), EverythingJob(-1, true),
		ExpiredCursor(2).For(everything), MissingNext(1).For(everything), NextLoop(2, 1).For(everything), EndlessPages().For(everything),
		Status(http.StatusInternalServerError).On(Page).For(everything), EmptyPageWithNext(2).For(everything), NoTotal().For(everything),
		DuplicateEntries().For(everything), Subsetted().For(everything), BrokenEntry("NaN").On(Operation),
	}
}

func ofEverything(name, seen string, find func(s *Server, q *query, found *findings)) Fault {
	return Fault{
		Name: name, Seen: seen, interactions: []Interaction{Operation},
		find: func(s *Server, _ *call, q *query, found *findings) { find(s, q, found) },
	}
}

// EverythingTruncated cuts the operation to its first n resources, without a sign: the total agrees. Seen with HAPI's includes.
func EverythingTruncated(n int) Fault {
	return ofEverything(fmt.Sprintf("EverythingTruncated(%d)", n), "HAPI 8.8.0: a page's includes are cut at 1000 without a word (own observation)",
		func(_ *Server, _ *query, found *findings) {
			found.list = found.list[:min(n, len(found.list))]
			found.total = len(found.list)
		})
}

// EverythingWithout leaves all resources of these types out of the operation. Seen with WSO2, which leaves out Practitioner, Organization,
// Location and Medication.
func EverythingWithout(types ...string) Fault {
	return ofEverything("EverythingWithout("+strings.Join(types, ",")+")", "WSO2 FHIR Server (August 2026): no Practitioner, Organization, Location, Medication (own observation)",
		func(_ *Server, _ *query, found *findings) {
			found.list = slices.DeleteFunc(slices.Clone(found.list), func(st *stored) bool { return slices.Contains(types, st.Type) })
			found.total = len(found.list)
		})
}

// EverythingPatientAlone gives the Patient and nothing else. Seen with Helios and Medplum.
func EverythingPatientAlone() Fault {
	return ofEverything("EverythingPatientAlone", "Helios 0.2.7 started without its search parameters: the Patient alone with total 1; Medplum 5.0 by POST (own observations)",
		func(_ *Server, _ *query, found *findings) {
			found.list = slices.DeleteFunc(slices.Clone(found.list), func(st *stored) bool { return st.Type != "Patient" })
			found.total = len(found.list)
		})
}

// EverythingForeign mixes up to n Observations of other patients into the operation.
func EverythingForeign(n int) Fault {
	return ofEverything(fmt.Sprintf("EverythingForeign(%d)", n), "",
		func(s *Server, q *query, found *findings) {
			found.list = slices.Insert(slices.Clone(found.list), min(1, len(found.list)), s.others("Observation", q.scope, n)...)
			found.total += n
		})
}

// EverythingCountFatal answers the operation with this status if it has a _count.
func EverythingCountFatal(status int) Fault {
	return Fault{
		Name: fmt.Sprintf("EverythingCountFatal(%d)", status), interactions: []Interaction{Operation},
		when:   func(c *call) bool { return c.query.Has("_count") },
		answer: func(*Server, *call) *reply { return refuse(status, issueCode(status), "_count") },
	}
}

// EverythingUnpaged puts all resources on one page, whatever _count says. Seen with WSO2.
func EverythingUnpaged() Fault {
	return Fault{
		Name: "EverythingUnpaged", Seen: "WSO2 FHIR Server (August 2026): 9,075 resources in one Bundle of 17 MB (own observation)",
		interactions: []Interaction{Operation},
		size:         func(_ *Server, _ *call, p *page) { p.size = max(len(p.cursor.sess.found.list), 1) },
	}
}

// EverythingByPostOnly answers 405 to a GET of the operation.
func EverythingByPostOnly() Fault {
	return Fault{
		Name: "EverythingByPostOnly", interactions: []Interaction{Operation},
		when:   func(c *call) bool { return c.method == http.MethodGet },
		answer: func(*Server, *call) *reply { return refuse(http.StatusMethodNotAllowed, "not-supported", "GET") },
	}
}

// EverythingCollection gives the operation's Bundles the type collection.
func EverythingCollection() Fault {
	return Fault{
		Name: "EverythingCollection", interactions: []Interaction{Operation, Page},
		wire: func(_ *Server, _ *call, rep *reply) {
			rep.body = []byte(strings.Replace(string(rep.body), `"type":"searchset"`, `"type":"collection"`, 1))
		},
	}
}

// EverythingJob answers the operation with 202 and a job that is done after some polls, never if polls is negative. nested: the result is
// the first entry of a batch-response, as R5's asynchronous pattern has it.
func EverythingJob(polls int, nested bool) Fault {
	return Fault{
		Name: fmt.Sprintf("EverythingJob(%d,%v)", polls, nested), interactions: []Interaction{Operation},
		job: func() (int, bool) { return polls, nested },
	}
}

// Dies breaks every connection from the n+1st request on, as a server does that has crashed.
func Dies(n int) Fault {
	f := ConnectionLost().On(Metadata, Read, Search, Page, Count, Operation, Job).After(n)
	f.Name = fmt.Sprintf("Dies(%d)", n)
	return f
}
