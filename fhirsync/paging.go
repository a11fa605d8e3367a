package fhirsync

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// How the pages of some servers go on, and what their totals say, as quirks describe it.

// counted decides where a chain goes on a server whose pages are found by number or offset: on, until a page brings nothing.
func (c *chain) counted(page *fetched, style quirks.Style, sign func(string) func()) (next *url.URL, mapped bool, done func()) {
	nothing := func() {}
	if isEmpty(page.b) {
		return nil, false, nothing
	}
	if page.number >= maxPages {
		return nil, false, sign("more pages than are followed")
	}
	at := page.number + 1
	if style == quirks.Offset {
		at = c.entries
	}
	u := *c.begun
	params := u.Query()
	params.Set(deref(c.r.server.quirks.set.Paging.PageParam), strconv.Itoa(at))
	u.RawQuery = params.Encode()
	if c.urls[u.String()] {
		return nil, false, sign("pages that bring no matches")
	}
	c.urls[u.String()] = true
	c.r.server.facts.with(func(f *facts) { f.shownNext = true })
	return &u, false, nothing
}

// matchesOf gives how many entries of a page are matches, or may be.
func matchesOf(b *jsonscan.Bundle) int {
	n := 0
	for i := range b.Entries {
		if m := b.Entries[i].Mode; m == "match" || m == "" {
			n++
		}
	}
	return n
}

// press estimates how many pages are still to come, before one is asked for: a chain of pages is read one by one, so that a sync takes as long
// as its longest one, and that must not wait for others. page is the one that came last; nil: there is none.
func (c *chain) press(page *fetched) {
	switch {
	case page == nil && c.q.whole():
		longest := 0
		c.r.server.facts.with(func(f *facts) { longest = f.longest[c.q.typ] })
		c.pressing = 1 + longest/max(c.count, 1)
	case page == nil && c.q.via != "":
		c.pressing = 0 // there is hardly ever much.
	case page == nil:
		c.pressing = 1
	case page.b.HasTotal && page.b.Total > c.entries:
		c.pressing = 1 + (page.b.Total-c.entries-1)/max(1, c.entries/page.number)
	default:
		c.pressing = page.number // who has come so far is likely to go as far again.
	}
}

// isEmpty tells whether a page has no entries, those aside that only say something.
func isEmpty(b *jsonscan.Bundle) bool {
	for i := range b.Entries {
		if b.Entries[i].ResourceType != "OperationOutcome" {
			return false
		}
	}
	return true
}

// onBaseURL makes a link without a host one below the base URL.
func onBaseURL(base *url.URL, link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" {
		return link
	}
	root := strings.TrimRight(base.EscapedPath(), "/")
	if p := u.EscapedPath(); root == "" || p == root || strings.HasPrefix(p, root+"/") {
		return link
	}
	return base.String() + "/" + strings.TrimLeft(link, "/")
}

// asksTotal tells whether a search is to ask for Bundle.total (http://hl7.org/fhir/R4/search.html#total).
func (r *run) asksTotal(q question) bool {
	return q.op == nil && !r.noTotals.Load() && is(r.server.quirks.set.Paging.AskTotal, true)
}

// withoutTotal decides whether a refused search is worth asking without asking for its total.
func (c *chain) withoutTotal(e *ServerError) bool {
	if c.untotaled || e.refusal() != refusedOnce || !c.r.asksTotal(c.q) {
		return false
	}
	c.untotaled = true // whether that was the reason shows when it is answered.
	return true
}

// believeTotal tells whether the Bundle.total of a page says how many matches there are.
func (c *chain) believeTotal(b *jsonscan.Bundle, more bool) bool {
	if !b.HasTotal {
		return false
	}
	switch deref(c.r.server.quirks.set.Paging.Total) {
	case quirks.TotalUntrusted:
	case quirks.TotalLastPage:
		if !more {
			return true
		}
	default:
		return true
	}
	c.out.said = max(c.out.said, b.Total)
	return false
}

// capped notes the sign of truncation where a search has brought as many as the server is known to stop at.
func (c *chain) capped() {
	most := deref(c.r.server.quirks.set.Paging.Cap)
	if most > 0 && c.q.op == nil && c.out.err == nil && c.keys.Len() == most {
		c.out.early, c.out.why = true, "this server is known to stop at "+itoa(most)
	}
}
