package fhirsync

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// Bounds of batches (http://hl7.org/fhir/R4/http.html#transaction).
const (
	batchEntries  = 20       // requests in one batch
	batchLeast    = 3        // for fewer it is not worth it
	innerBytes    = 1 << 20  // of one inner answer; a larger one is asked for by itself
	innerAll      = 32 << 20 // of all inner answers that are kept
	innerSuspects = 10       // entries from which a page without next may have been cut at a default page size (WSO2 did, at 20)
)

// inner is one answer out of a batch, or one that was asked for ahead.
type inner struct {
	status int
	body   []byte
	alone  bool // it was asked for by itself, ahead of who needs it
}

// batching is whether a server answers batches.
type batching int

const (
	batchUnknown batching = iota
	batchWorks
	batchFails
)

// prefetch asks for several addresses in batches, where the server supports that, and keeps the answers for those who ask for them. It only
// saves requests: whatever is not answered in a way that leaves no doubt is asked for by itself later.
func (r *run) prefetch(ctx context.Context, why purpose, addresses []*url.URL) {
	if len(addresses) < batchLeast || !r.batches(ctx) {
		return
	}
	for len(addresses) > 0 && ctx.Err() == nil {
		n := min(len(addresses), batchEntries)
		if most := deref(r.server.quirks.set.Batch.MaxEntries); most > 0 {
			n = min(n, most)
		}
		if !r.sendBatch(ctx, "batch", why, addresses[:n]) {
			return
		}
		addresses = addresses[n:]
	}
}

// batches tells whether the server answers batches: where it claims to, one small batch shows it, once per server.
func (r *run) batches(ctx context.Context) bool {
	most := deref(r.server.quirks.set.Batch.MaxEntries)
	if most > 0 && most < batchLeast || is(r.server.quirks.caller.Batch.Supported, false) {
		return false
	}
	known := batchUnknown
	r.server.facts.with(func(f *facts) { known = f.batch })
	if known != batchUnknown {
		return known == batchWorks
	}
	if is(r.server.quirks.set.Batch.Supported, false) {
		return false
	}
	if r.noCaps != nil && !is(r.server.quirks.set.Batch.Supported, true) || !r.caps.ClaimsInteraction("batch") && !r.caps.ClaimsInteraction("transaction") {
		return false
	}
	select {
	case r.probing <- struct{}{}:
		defer func() { <-r.probing }()
	case <-ctx.Done():
		return false
	}
	r.server.facts.with(func(f *facts) { known = f.batch })
	if known != batchUnknown {
		return known == batchWorks
	}
	patient := r.server.address(nil, "Patient", r.asking)
	nobody := r.server.address(url.Values{"_id": {impossibleID}}, "Patient")
	answers, ok := r.postBatch(ctx, "batch", forVerification, []*url.URL{patient, nobody})
	if ctx.Err() != nil {
		return false
	}
	works := false
	if ok && answers[0].status == http.StatusOK && answers[1].status == http.StatusOK {
		head, err := jsonscan.Head(answers[0].body)
		var b jsonscan.Bundle
		works = err == nil && head.ResourceType == "Patient" && head.ID == r.asking &&
			b.Split(answers[1].body) == nil && b.ResourceType == "Bundle" && len(b.Entries) == 0
	}
	r.server.facts.with(func(f *facts) {
		f.batch = batchFails
		if works {
			f.batch = batchWorks
		}
		f.confirm("batch")
	})
	return works
}

// sendBatch sends one batch and keeps what is beyond doubt; false: it was of no use, and the next one would not be either.
func (r *run) sendBatch(ctx context.Context, op string, why purpose, addresses []*url.URL) bool {
	answers, ok := r.postBatch(ctx, op, why, addresses)
	if !ok {
		if ctx.Err() == nil {
			r.batchFailed()
		}
		return false
	}
	for i, a := range answers {
		if a.status == http.StatusOK && !r.belongs(addresses[i], a.body) {
			// An answer in another's place: none of them can be trusted.
			r.batchFailed()
			return false
		}
	}
	nothing := make([]bool, len(answers))
	for i, a := range answers {
		if a.status != http.StatusOK {
			continue
		}
		// What finds something alone may find nothing in a batch (a front before Medplum did that): an empty answer counts once the same
		// form has brought something in a batch.
		form := r.formIn(addresses[i])
		empty := emptyBundle(a.body)
		r.server.facts.with(func(f *facts) {
			if !empty {
				f.inside[form] = true
			}
		})
		nothing[i] = empty
	}
	r.server.facts.with(func(f *facts) {
		for i := range nothing {
			nothing[i] = nothing[i] && !f.inside[r.formIn(addresses[i])]
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range answers {
		if a.status != http.StatusOK || nothing[i] || len(a.body) > innerBytes || r.innerBytes+len(a.body) > innerAll || r.cutInside(a.body) {
			continue // asked for by itself: what is refused there is refused for good.
		}
		if r.inner == nil {
			r.inner = map[string]inner{}
		}
		r.inner[addresses[i].String()] = a
		r.innerBytes += len(a.body)
	}
	return true
}

// formIn tells in which form an address names the patient.
func (r *run) formIn(address *url.URL) string {
	for name, values := range address.Query() {
		for _, v := range values {
			switch v {
			case form{}.value(r.asking):
				return form{param: name}.name()
			case form{typed: true}.value(r.asking):
				return form{param: name, typed: true}.name()
			}
		}
	}
	return ""
}

// emptyBundle tells whether a body is a Bundle that says that there is nothing.
func emptyBundle(body []byte) bool {
	var b jsonscan.Bundle
	if b.Split(body) != nil || b.ResourceType != "Bundle" || b.Total > 0 {
		return false
	}
	for i := range b.Entries {
		if b.Entries[i].ResourceType != "OperationOutcome" {
			return false
		}
	}
	return true
}

func (r *run) batchFailed() {
	r.server.facts.with(func(f *facts) { f.batch = batchFails })
	r.ledger.note("", "a batch was not answered as it should be; requests are sent one by one")
}

// cutInside tells whether an inner searchset may have been cut at the server's default page: it is full enough, and has no next link.
func (r *run) cutInside(body []byte) bool {
	var b jsonscan.Bundle
	if b.Split(body) != nil || b.ResourceType != "Bundle" || len(b.Entries) < innerSuspects {
		return false
	}
	for _, l := range b.Links {
		if l.Relation == "next" {
			return false
		}
	}
	return true
}

// belongs tells whether an inner answer is one to the request at its place.
func (r *run) belongs(address *url.URL, body []byte) bool {
	path := strings.TrimPrefix(strings.TrimPrefix(address.Path, r.server.base.Path), "/")
	typ, id, read := strings.Cut(path, "/")
	head, err := jsonscan.Head(body)
	if err != nil {
		return false
	}
	if read {
		return head.ResourceType == typ && head.ID == id
	}
	if head.ResourceType != "Bundle" {
		return head.ResourceType == "OperationOutcome"
	}
	var b jsonscan.Bundle
	if b.Split(body) != nil {
		return false
	}
	for _, l := range b.Links {
		if l.Relation == "self" {
			if u, err := url.Parse(l.URL); err == nil && strings.Contains(u.Path, "/") {
				last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
				if isTypeName(last) && last != typ {
					return false
				}
			}
		}
	}
	for i := range b.Entries {
		if m := b.Entries[i].Mode; (m == "match" || m == "") && b.Entries[i].ResourceType != typ && b.Entries[i].ResourceType != "OperationOutcome" {
			return false
		}
	}
	return true
}

// postBatch sends a batch and gives the answers in the order of the requests; false where it was not answered as one.
func (r *run) postBatch(ctx context.Context, op string, why purpose, addresses []*url.URL) ([]inner, bool) {
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	type entry struct {
		Request request `json:"request"`
	}
	bundle := struct {
		ResourceType string  `json:"resourceType"`
		Type         string  `json:"type"`
		Entry        []entry `json:"entry"`
	}{ResourceType: "Bundle", Type: "batch"}
	root := r.server.base.String() + "/"
	for _, a := range addresses {
		inner := r.server.http.Address(&transport.Request{Op: innerOp(a), URL: a})
		bundle.Entry = append(bundle.Entry, entry{request{http.MethodGet, strings.TrimPrefix(inner.String(), root)}})
	}
	body, err := json.Marshal(bundle)
	if err != nil {
		return nil, false
	}
	b := new(jsonscan.Bundle)
	resp, err := r.send(ctx, op, "", why, &transport.Request{Method: http.MethodPost, URL: r.server.base, Body: body, Check: checkBundle(b)})
	defer resp.Release()
	if resp != nil && resp.Source != nil {
		return nil, false // what is broken as a batch is asked for one by one, so that each answer is kept as it came.
	}
	if serverError(op, "", "", resp, err) != nil || b.Type != "batch-response" && b.Type != "" || len(b.Entries) != len(addresses) {
		return nil, false
	}
	out := make([]inner, len(addresses))
	throttled := false
	for i := range b.Entries {
		e := &b.Entries[i]
		status, _, _ := strings.Cut(strings.TrimSpace(e.Status), " ")
		if len(status) == 3 && e.Err == nil {
			out[i].status = int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
		}
		throttled = throttled || out[i].status == http.StatusTooManyRequests
		if e.Resource == nil || e.ResourceType == "OperationOutcome" && out[i].status == http.StatusOK {
			out[i].status = 0
			continue
		}
		out[i].body = bytes.Clone(e.Resource)
	}
	if throttled {
		// The transport saw a 200. What was refused inside is asked for again by itself, and not at the old pace.
		r.server.client.limiter(r.server.base.String()).Refused(0)
	}
	return out, true
}

// innerOp is the interaction of a request inside a batch.
func innerOp(a *url.URL) quirks.Interaction {
	switch q := a.Query(); {
	case q.Has("_summary"):
		return quirks.Count
	case len(q) > 0:
		return quirks.Search
	}
	return quirks.Read
}

// fromBatch gives the answer that a batch has brought for a request, once.
func (r *run) fromBatch(req *transport.Request) (*transport.Response, bool) {
	if req.Method != "" && req.Method != http.MethodGet {
		return nil, false
	}
	r.mu.Lock()
	address := req.URL.String()
	a, ok := r.inner[address]
	if ok {
		delete(r.inner, address)
		r.innerBytes -= len(a.body)
	}
	r.mu.Unlock()
	if !ok {
		return nil, false
	}
	resp := transport.Answer(a.status, req.URL, a.body)
	resp.Inside = !a.alone
	if req.Check != nil {
		if err := req.Check(resp); err != nil {
			return nil, false // asked for by itself.
		}
	}
	return resp, true
}

// Prefetch asks for the first pages of several queries at once where the server supports batches, so that asking them afterwards takes no
// request of its own. Elsewhere it does nothing. It owes and settles nothing.
func (s *Session) Prefetch(ctx context.Context, queries ...Query) error {
	r := s.r
	counts := countUnknown
	r.server.facts.with(func(f *facts) { counts = f.counts })
	if counts == countFails {
		return nil // servers cut searches inside of batches without a sign: that shows only in a count.
	}
	return s.prefetch(ctx, forData, queries, func(q question, f form) *url.URL { return r.searchAddress(q, f, r.pageSize(q.typ)) })
}

// PrefetchCounts is Prefetch for counts: those that [Session.Count] and [Session.Confirm] ask for.
func (s *Session) PrefetchCounts(ctx context.Context, queries ...Query) error {
	return s.prefetch(ctx, forVerification, queries, s.r.countAddress)
}

// inOneSearch tells whether a type is asked for by one search, in its first form, by GET.
func (r *run) inOneSearch(typ string) bool {
	return r.reach(typ) == quirks.BySearch && r.knownSplit(typ) == "" && deref(r.server.quirks.set.SearchMethod) != quirks.Post
}

func (s *Session) prefetch(ctx context.Context, why purpose, queries []Query, address func(question, form) *url.URL) error {
	r := s.r
	var addresses []*url.URL
	for _, q := range queries {
		if forms := r.forms(q.Type); isTypeName(q.Type) && len(forms) > 0 && !r.wasSettled(q.Type) && r.inOneSearch(q.Type) {
			addresses = append(addresses, address(question{typ: q.Type, fixed: q.Params}, forms[0]))
		}
	}
	r.prefetch(ctx, why, addresses)
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return nil
}
