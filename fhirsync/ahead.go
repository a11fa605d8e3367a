package fhirsync

import (
	"bytes"
	"net/http"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// opener is a strategy of ours that can tell by which search it begins.
type opener interface {
	// opens gives the type; "": it begins with something else.
	opens(s *Session) string
}

func (searchByType) opens(s *Session) string {
	if types := longestFirst(s); len(types) > 0 {
		return types[0]
	}
	return ""
}

func (auto) opens(s *Session) string {
	if s.Offers("everything") {
		return ""
	}
	return searchByType{}.opens(s)
}

// aheadBytes bounds an answer that is kept for the one who will ask for it.
const aheadBytes = 4 << 20

// askAhead asks for the first page of the longest chain while the Patient is read, on a server of which it is known how to ask. Nothing of it is
// taken in before the strategy asks for it; whatever is not a plain answer is thrown away and asked for again. wait waits until it has come.
func (r *run) askAhead() (wait func()) {
	s := &Session{r: r, scope: &scope{}, strategy: r.strategy.Name()}
	o, ok := r.strategy.(opener)
	if !ok {
		return func() {}
	}
	typ := o.opens(s)
	if typ == "" || !r.server.facts.knows(typ) || r.wasSettled(typ) || !r.inOneSearch(typ) {
		return func() {}
	}
	address := r.searchAddress(question{typ: typ}, r.forms(typ)[0], r.pageSize(typ))
	if len(address.RawQuery) > maxQuery {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := new(jsonscan.Bundle)
		resp, err := r.send(ratelimit.WithPriority(r.ctx, 1), "search", typ, forData, &transport.Request{URL: address, Check: checkBundle(b)})
		defer resp.Release()
		if err != nil || resp.Status != http.StatusOK || resp.Class != "" || resp.Source != nil || b.ResourceType != "Bundle" || len(resp.Body()) > aheadBytes {
			return
		}
		body := bytes.Clone(resp.Body())
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.inner == nil {
			r.inner = map[string]inner{}
		}
		r.inner[address.String()] = inner{status: resp.Status, body: body, alone: true}
		r.innerBytes += len(body)
	}()
	return func() { <-done }
}
