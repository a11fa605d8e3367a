package fhirtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// batchEntry is one answer of a batch.
type batchEntry struct {
	status int
	body   []byte
}

// batch answers a batch of GETs. The caller holds the lock.
func (s *Server) batch(c *call) *reply {
	var in struct {
		ResourceType, Type string
		Entry              []struct {
			Request struct{ Method, URL string }
		}
	}
	if json.Unmarshal(c.body, &in) != nil || in.ResourceType != "Bundle" || in.Type != "batch" {
		return refuse(http.StatusBadRequest, "structure", "not a batch")
	}
	var entries []batchEntry
	for _, e := range in.Entry {
		u, err := url.Parse(s.base + "/" + strings.TrimPrefix(e.Request.URL, "/"))
		if err != nil || e.Request.Method != http.MethodGet {
			entries = append(entries, batchEntry{http.StatusBadRequest, outcome("error", "invalid", "request")})
			continue
		}
		inner := s.parse(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}, nil)
		inner.inside = true
		s.begin(inner, u.String())
		rep := s.answer(inner)
		inner.entry.Status = rep.status
		entries = append(entries, batchEntry{rep.status, rep.body})
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.batch != nil }) {
		entries = f.batch(entries)
	}
	b := []byte(`{"resourceType":"Bundle","type":"batch-response","entry":[`)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n{"...)
		if len(e.body) > 0 && e.body[0] == '{' || len(e.body) > 0 && e.body[0] == '\r' {
			b = append(b, `"resource":`...)
			b = append(b, e.body...)
			b = append(b, ',')
		}
		b = append(b, `"response":{"status":"`...)
		b = strconv.AppendInt(b, int64(e.status), 10)
		b = append(b, ' ')
		b = append(b, http.StatusText(e.status)...)
		b = append(b, `"}}`...)
	}
	return newReply(http.StatusOK, fhirJSON, append(b, "\n]}\n"...))
}

// BatchFaults gives an instance of every fault of batches. They need a Server with Batch set.
func BatchFaults() []Fault {
	return []Fault{
		Status(http.StatusBadRequest).On(Batch), Status(http.StatusInternalServerError).On(Batch), Status(http.StatusForbidden).On(Batch),
		Status(http.StatusBadRequest).On(Batch).After(1), TruncatedBody().On(Batch), HTMLError(http.StatusBadGateway).On(Batch).After(2),
		TooManyRequests(2, "1").On(Batch), BatchReversed(), BatchShort(1), BatchEntryStatus(http.StatusTooManyRequests, 3),
		BatchEntryStatus(http.StatusForbidden, 2), BatchFirstPageOnly(5), BatchFirstPageOnly(20),
	}
}

// BatchReversed gives the answers of a batch in the reverse order.
func BatchReversed() Fault {
	return Fault{Name: "BatchReversed", interactions: []Interaction{Batch}, batch: func(entries []batchEntry) []batchEntry {
		entries = slices.Clone(entries)
		slices.Reverse(entries)
		return entries
	}}
}

// BatchShort leaves the last n answers of a batch out.
func BatchShort(n int) Fault {
	return Fault{Name: "BatchShort(" + strconv.Itoa(n) + ")", interactions: []Interaction{Batch}, batch: func(entries []batchEntry) []batchEntry {
		return entries[:max(0, len(entries)-n)]
	}}
}

// BatchEntryStatus answers every nth request of a batch with a status and an outcome.
func BatchEntryStatus(status, nth int) Fault {
	return Fault{
		Name: "BatchEntryStatus(" + strconv.Itoa(status) + "," + strconv.Itoa(nth) + ")", interactions: []Interaction{Batch},
		batch: func(entries []batchEntry) []batchEntry {
			entries = slices.Clone(entries)
			for i := range entries {
				if (i+1)%max(nth, 1) == 0 {
					entries[i] = batchEntry{status, outcome("error", issueCode(status), http.StatusText(status))}
				}
			}
			return entries
		},
	}
}

// BatchFirstPageOnly cuts the searches inside a batch to n matches, without a next link. Seen with WSO2.
func BatchFirstPageOnly(n int) Fault {
	return Fault{
		Name: "BatchFirstPageOnly(" + strconv.Itoa(n) + ")", interactions: []Interaction{Search},
		Seen: "WSO2 FHIR Server (August 2026): a search inside a batch gives the first 20 only and no next (own observation)",
		when: func(c *call) bool { return c.inside },
		size: func(_ *Server, _ *call, p *page) { p.size = n },
		page: func(_ *Server, _ *call, p *page) *reply {
			p.next, p.nextURL, p.totals = nil, "", false
			return nil
		},
	}
}
