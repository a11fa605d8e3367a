package fhirtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Faults of paging: searches that end too soon, too late or never, and links that lead astray.

// searches are the interactions that bring pages.
func searches() []Interaction { return []Interaction{Search, Page} }

// PageCap cuts every search to its first n matches, without a next link for the rest. The total agrees with the cut, so
// that nothing in the answer tells; _summary=count still gives the true number unless CountCap is injected too. Seen
// with Epic and Helios.
func PageCap(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("PageCap(%d)", n),
		Seen:         "Epic caps searches at 100, codes 4127 and 59133: https://github.com/api-evangelist/epic-systems/blob/HEAD/rate-limits/epic-systems-rate-limits.yml ; Helios 0.2.7 stops Patient/ID/* at 20 with neither next nor total (own observation)",
		interactions: []Interaction{Search},
		find: func(_ *Server, _ *call, _ *query, found *findings) {
			if len(found.list) > n {
				found.total -= len(found.list) - n
				found.list = found.list[:n]
			}
		},
	}
}

// CutWithOutcome ends every search at n matches like PageCap, and says so by an OperationOutcome of this issue code, and of vendors' codes,
// among the entries.
func CutWithOutcome(n int, code string, vendorCodes ...string) Fault {
	f := PageCap(n)
	f.Name = fmt.Sprintf("CutWithOutcome(%d,%s%v)", n, code, vendorCodes)
	f.page = func(_ *Server, _ *call, p *page) *reply {
		if len(p.cursor.sess.found.list) == n {
			p.entries = append(p.entries, entry{raw: outcome("warning", code, "there may be more", vendorCodes...), mode: "outcome"})
		}
		return nil
	}
	return f
}

// PageSizeCap lowers every page to n matches, whatever _count says, with a next link for the rest. The self link does
// not show it. Seen with LinuxForHealth FHIR, Medplum and HAPI.
func PageSizeCap(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("PageSizeCap(%d)", n),
		Seen:         "LinuxForHealth FHIR cuts _count at 1000: https://github.com/LinuxForHealth/FHIR/blob/0175c222bc1097a874f51469d7c7907abe0fa22d/docs/src/pages/Conformance.md ; Medplum 5.0 and HAPI 8.8.0 likewise (own observation)",
		interactions: searches(),
		size:         func(_ *Server, _ *call, p *page) { p.size = min(p.size, n) },
	}
}

// PageSizeFixed gives pages of n matches, whatever _count says, even if it says less. Seen with Oracle Health.
func PageSizeFixed(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("PageSizeFixed(%d)", n),
		Seen:         "the first page of Oracle Health's Observation search ignores _count: https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4/clinical/diagnostics/observation.md",
		interactions: searches(),
		size:         func(_ *Server, _ *call, p *page) { p.size = n },
	}
}

// CountRejected answers 400 to a _count greater than above; 0 rejects every _count. Seen with Blue Button.
func CountRejected(above int) Fault {
	return Fault{
		Name:         fmt.Sprintf("CountRejected(%d)", above),
		Seen:         "Blue Button rejects a _count above 50: https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/fhir/bluebutton/views/search.py",
		interactions: []Interaction{Search},
		when: func(c *call) bool {
			var n int
			_, err := fmt.Sscan(c.query.Get("_count"), &n)
			return err == nil && n > above
		},
		answer: func(*Server, *call) *reply {
			return refuse(http.StatusBadRequest, "invalid", "_count is not allowed or too large")
		},
	}
}

// NextLoop lets the page of one number name the page of another (not greater) number as its next: NextLoop(1, 1) points
// to itself, NextLoop(3, 1) back to the start. What comes after the page is out of reach. Seen with Microsoft's server
// and guarded against by fasten-sources.
func NextLoop(number, to int) Fault {
	return Fault{
		Name:         fmt.Sprintf("NextLoop(%d,%d)", number, to),
		Seen:         "next the same as before, Microsoft: https://github.com/microsoft/fhir-server/issues/1102 ; next equal to self or previous: https://github.com/fastenhealth/fasten-sources/blob/HEAD/clients/internal/base/fhir401_client.go",
		interactions: searches(),
		when:         func(c *call) bool { return c.number() == number },
		page: func(_ *Server, _ *call, p *page) *reply {
			// The address is written as the server wrote it before: over a socket it does not know how it was reached.
			if urls := p.cursor.sess.urls; to >= 1 && to <= len(urls) {
				p.next, p.nextURL = nil, urls[to-1]
			}
			return nil
		},
	}
}

// RepeatedPage gives the last page a next link to itself under a new address, and so on for ever. Seen with a server in
// front of fhir-py.
func RepeatedPage() Fault {
	return Fault{
		Name:         "RepeatedPage",
		Seen:         "a server that has resources for every page number: https://github.com/beda-software/fhir-py/issues/47",
		interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply {
			if p.next == nil {
				at := *p.cursor
				at.number++
				at.variant++
				p.next = &at
			}
			return nil
		},
	}
}

// EndlessPages never ends: after the last match come pages of resources that were made up on the spot, each of them new.
// They are about the patient who was asked for, but part of no truth.
func EndlessPages() Fault {
	return Fault{
		Name:         "EndlessPages",
		interactions: searches(),
		page: func(s *Server, _ *call, p *page) *reply {
			q, at := p.cursor.sess.query, p.cursor
			typ := q.typ
			if typ == everything {
				typ = "Observation"
			}
			if n := len(p.cursor.sess.found.list); p.next == nil {
				for len(p.entries) < max(p.size, 1) {
					st := s.synthetic(typ, fmt.Sprintf("endless-%d-%d", at.number, len(p.entries)), q.patient())
					p.entries = append(p.entries, s.entry(st))
				}
				p.next = &cursor{sess: at.sess, offset: n, number: at.number + 1}
			}
			return nil
		},
	}
}

// PageTwice gives page k of every search that is at least that long once more, as the page after it; what follows is in order. The total
// counts each match once.
func PageTwice(k int) Fault {
	return Fault{
		Name:         fmt.Sprintf("PageTwice(%d)", k),
		interactions: searches(),
		when:         func(c *call) bool { return c.number() == k },
		page: func(_ *Server, _ *call, p *page) *reply {
			if len(p.entries) > 0 {
				p.next = &cursor{sess: p.cursor.sess, offset: p.cursor.offset, number: p.cursor.number + 1, variant: 1}
			}
			return nil
		},
	}
}

// EmptyPageWithNext inserts an empty page as number k of every search that is at least that long; its next link goes on.
// Seen with Epic.
func EmptyPageWithNext(k int) Fault {
	return Fault{
		Name:         fmt.Sprintf("EmptyPageWithNext(%d)", k),
		Seen:         "Epic filters after fetching since May 2024, so pages may be empty with a next link: https://fhir.epic.com/Specifications?api=10450",
		interactions: searches(),
		when:         func(c *call) bool { return c.number() == k },
		page: func(_ *Server, _ *call, p *page) *reply {
			if len(p.entries) > 0 {
				p.entries = nil
				p.next = &cursor{sess: p.cursor.sess, offset: p.cursor.offset, number: p.cursor.number + 1, variant: 1}
			}
			return nil
		},
	}
}

// EmptyLastPage gives the last page of matches a next link to one more page, which is empty and the end. Seen with
// Microsoft's server and HAPI.
func EmptyLastPage() Fault {
	return Fault{
		Name:         "EmptyLastPage",
		Seen:         "Microsoft: https://github.com/microsoft/fhir-server/pull/4847 ; old versions of HAPI: https://github.com/hapifhir/hapi-fhir/issues/1300",
		interactions: searches(),
		page: func(_ *Server, _ *call, p *page) *reply {
			if p.next == nil && len(p.entries) > 0 {
				p.next = &cursor{sess: p.cursor.sess, offset: len(p.cursor.sess.found.list), number: p.cursor.number + 1}
			}
			return nil
		},
	}
}

// MissingNext leaves the next link out of page k, as if it were the last. The total still tells the truth. Seen with
// WSO2.
func MissingNext(k int) Fault {
	return Fault{
		Name:         fmt.Sprintf("MissingNext(%d)", k),
		Seen:         "WSO2 FHIR Server (August 2026): a search inside a batch and a compartment search bring the first matches without next (own observation)",
		interactions: searches(),
		when:         func(c *call) bool { return c.number() == k },
		page:         func(_ *Server, _ *call, p *page) *reply { p.next, p.nextURL = nil, ""; return nil },
	}
}

// ExpiredCursor answers page k with 410 and lets the whole search expire: its pages stay gone, and only a new search
// from the start has new ones. With Times(1) only the first search expires, without it every search. Seen with HAPI and
// Epic.
func ExpiredCursor(k int) Fault {
	return Fault{
		Name:         fmt.Sprintf("ExpiredCursor(%d)", k),
		Seen:         "HAPI 8.8.0: 410, HAPI-0417 (own observation); Epic: code 4113: https://github.com/api-evangelist/epic-systems/blob/HEAD/rate-limits/epic-systems-rate-limits.yml",
		interactions: []Interaction{Page},
		when:         func(c *call) bool { return c.cursor != nil && c.number() == k && !c.cursor.sess.dead },
		answer: func(_ *Server, c *call) *reply {
			c.cursor.sess.dead = true
			return refuse(http.StatusGone, "not-found", "the search has expired")
		},
	}
}

// relinked makes a fault that rewrites next links.
func relinked(name, seen string, how func(s *Server, next string) string) Fault {
	return Fault{
		Name: name, Seen: seen, interactions: searches(),
		page: func(s *Server, _ *call, p *page) *reply {
			p.relink = func(next string) string { return how(s, next) }
			return nil
		},
	}
}

// NextForeignHost puts another base URL, such as "http://10.0.66.99:8080/fhir", in the place of the server's own in next
// links. Path and query below the base stay right. In process the other host cannot be reached unless Alias names it.
// Seen with the French health directory, Microsoft's server and metriport.
func NextForeignHost(base string) Fault {
	return relinked("NextForeignHost("+base+")",
		"https://github.com/ansforge/annuaire-sante-fhir-documentation/issues/393 (http://10.0.66.99:8080); https://github.com/microsoft/fhir-server/issues/1317 ; https://github.com/metriport/metriport/issues/4974",
		func(s *Server, next string) string {
			return strings.TrimRight(base, "/") + strings.TrimPrefix(next, s.base)
		})
}

// NextRelative makes next links relative to the origin: "/r4?_getpages=...". Seen with Canvas.
func NextRelative() Fault {
	return relinked("NextRelative",
		"Canvas: https://docs.canvasmedical.com/api/pagination ; https://github.com/POLAR-fhiR/fhircrackr/issues/110",
		func(_ *Server, next string) string {
			if u, err := url.Parse(next); err == nil {
				return u.RequestURI()
			}
			return next
		})
}

// NextSchemeless leaves the scheme out of next links: "fhir.example.test/r4?_getpages=...". Seen with Zus Health.
func NextSchemeless() Fault {
	return relinked("NextSchemeless", "Zus Health until May 2024: https://docs.zushealth.com/changelog/may-14-2024-preview-fhir-rest-apis-now-contain-correct-full-links-for-pagination",
		func(_ *Server, next string) string {
			_, rest, _ := strings.Cut(next, "://")
			return rest
		})
}

// NextDowngraded writes http in next links where the base URL says https. It does nothing to a base that is http. Seen
// with servers behind TLS termination.
func NextDowngraded() Fault {
	return relinked("NextDowngraded", "behind TLS termination: https://github.com/UMEssen/FHIR-PYrate/issues/77",
		func(_ *Server, next string) string {
			if rest, ok := strings.CutPrefix(next, "https://"); ok {
				return "http://" + rest
			}
			return next
		})
}

// NextDoublePort repeats the port in next links: "https://fhir.example.test:443:443/r4?...", an address that cannot be
// parsed. Seen with HAPI behind TLS termination.
func NextDoublePort() Fault {
	return relinked("NextDoublePort", "HAPI behind TLS termination: https://github.com/opensrp/fhircore/issues/1714",
		func(_ *Server, next string) string {
			u, err := url.Parse(next)
			if err != nil {
				return next
			}
			port := u.Port()
			if port == "" {
				port = "443"
			}
			return u.Scheme + "://" + u.Hostname() + ":" + port + ":" + port + u.RequestURI()
		})
}
