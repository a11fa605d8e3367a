package fhirtest

import (
	"fmt"
	"net/http"
)

// Faults of Bundle.total and of _summary=count.

func totals(name, seen string, change func(p *page)) Fault {
	return Fault{
		Name: name, Seen: seen, interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply { change(p); return nil },
	}
}

// WrongTotal adds delta to the total of every page; a count stays right. A total never falls below 0. Seen with Google
// and WSO2.
func WrongTotal(delta int) Fault {
	return totals(fmt.Sprintf("WrongTotal(%+d)", delta),
		"Google: an estimate until the last page, https://cloud.google.com/healthcare-api/docs/how-tos/best-practices-fhir-search ; WSO2 (August 2026): 1000 for 3,653 in a compartment search (own observation)",
		func(p *page) { p.total = max(p.total+delta, 0) })
}

// NoTotal leaves the total out of all pages. A count has it. Seen with Epic and Medplum.
func NoTotal() Fault {
	return totals("NoTotal",
		"Epic: https://github.com/jmandel/health-skillz/blob/HEAD/docs/design/PROGRESS_WIDGET_IMPLEMENTATION.md ; Medplum: https://github.com/medplum/medplum/issues/5062",
		func(p *page) { p.totals = false })
}

// TotalOnRequest leaves the total out unless the client sends _total=accurate. Seen with Microsoft's server, Helios and
// WSO2.
func TotalOnRequest() Fault {
	return Fault{
		Name:         "TotalOnRequest",
		Seen:         "Microsoft: https://github.com/microsoft/fhir-server/blob/HEAD/src/Microsoft.Health.Fhir.Core/Configs/CoreFeatureConfiguration.cs ; Helios 0.2.7, WSO2 (own observation)",
		interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply {
			p.totals = p.cursor.sess.query.echo.Get("_total") == "accurate"
			return nil
		},
	}
}

// TotalIsPageSize gives as total the number of matches on the page. Seen with ModMed.
func TotalIsPageSize() Fault {
	return totals("TotalIsPageSize", "ModMed EMA from release 7.7: https://github.com/api-evangelist/modernizing-medicine/blob/HEAD/conventions/modernizing-medicine-conventions.yml",
		func(p *page) { p.total = len(p.entries) })
}

// TotalOnLaterPagesOnly leaves the total out of the first page. Seen with HAPI.
func TotalOnLaterPagesOnly() Fault {
	return totals("TotalOnLaterPagesOnly", "HAPI 8.8.0 (own observation)",
		func(p *page) { p.totals = p.totals && p.cursor.number > 1 })
}

func counts(name, seen string, change func(s *Server, c *call, p *page) *reply) Fault {
	return Fault{Name: name, Seen: seen, interactions: []Interaction{Count}, count: change}
}

// CountWrong adds delta to what _summary=count says. A count never falls below 0. Seen with HAPI.
func CountWrong(delta int) Fault {
	return counts(fmt.Sprintf("CountWrong(%+d)", delta), "HAPI 8.8.0: _count=0 of an operation gives 6432 of 6538 (own observation)",
		func(_ *Server, _ *call, p *page) *reply {
			p.total = max(p.total+delta, 0)
			return nil
		})
}

// CountCap lets a count never exceed n.
func CountCap(n int) Fault {
	return counts(fmt.Sprintf("CountCap(%d)", n), "",
		func(_ *Server, _ *call, p *page) *reply {
			p.total = min(p.total, n)
			return nil
		})
}

// CountWithoutTotal answers a search for a count with a Bundle that has neither entries nor a total. Seen with Health
// Intersections' server.
func CountWithoutTotal() Fault {
	return counts("CountWithoutTotal", "https://github.com/HealthIntersections/fhirserver/issues/65",
		func(_ *Server, _ *call, p *page) *reply {
			p.totals = false
			return nil
		})
}

// CountUnsupported answers 400 to a search for a count. Seen with fhirbase.
func CountUnsupported() Fault {
	return Fault{
		Name: "CountUnsupported", Seen: "fhirbase: https://github.com/fhirbase/fhirbase-plv8/issues/144",
		interactions: []Interaction{Count},
		answer: func(*Server, *call) *reply {
			return refuse(http.StatusBadRequest, "not-supported", "_summary is not supported")
		},
	}
}

// CountIgnored answers a search for a count with the first page of a plain search, whose self link lacks _summary. Seen
// with WSO2.
func CountIgnored() Fault {
	return counts("CountIgnored", "WSO2 (August 2026): _count=0 gives 20 (own observation)",
		func(s *Server, c *call, p *page) *reply {
			q := p.cursor.sess.query
			q.echo.Del("_summary")
			if q.count == 0 {
				q.count = s.DefaultCount
				q.echo.Del("_count")
			}
			p.cursor.sess.first = s.selfLink(q)
			return s.page(c, p.cursor)
		})
}
